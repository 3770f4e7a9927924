//! Conditions on rows that a source may apply itself.

use crate::{Error, Result};
use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use std::collections::HashSet;

/// A condition on rows. Values stand in a batch whose columns have the names and types of the source's.
///
/// NULL meets no condition. Texts compare by their bytes.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Rows from a position on: their columns, compared one after the other, are greater than those of
    /// `row` (which is one row), or equal to them if `inclusive`.
    From {
        /// The position: one row of the columns compared.
        row: RecordBatch,
        /// Whether the position itself belongs to it.
        inclusive: bool,
    },
    /// Rows whose columns equal those of one of the rows given.
    OneOf(RecordBatch),
}

impl Filter {
    /// The names of the columns compared.
    pub fn columns(&self) -> Vec<String> {
        let batch = match self {
            Self::From { row, .. } => row,
            Self::OneOf(rows) => rows,
        };
        batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// Which rows of `batch` meet the condition. What a source that applies filters itself must agree with.
    ///
    /// # Errors
    /// `Internal` for a column that `batch` does not have or whose type differs.
    pub fn holds(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let names = self.columns();
        let columns = names
            .iter()
            .map(|name| {
                let column = batch.column_by_name(name).cloned();
                column.ok_or_else(|| Error::internal(format!("there is no column `{name}` to filter by")))
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let rows = converter.convert_columns(&columns)?;
        let whole = |row: usize| columns.iter().all(|column| column.is_valid(row));
        let known = |batch: &RecordBatch| -> Result<Rows> { Ok(converter.convert_columns(batch.columns())?) };
        Ok(match self {
            Self::From { row, inclusive } => {
                let from = known(row)?;
                let from = from.iter().next().ok_or_else(|| Error::internal("a position without a row"))?;
                (0..rows.num_rows())
                    .map(|at| Some(whole(at) && (rows.row(at) > from || (*inclusive && rows.row(at) == from))))
                    .collect()
            }
            Self::OneOf(wanted) => {
                let wanted = known(wanted)?;
                let wanted: HashSet<&[u8]> = wanted.iter().map(|row| row.data()).collect();
                (0..rows.num_rows()).map(|at| Some(whole(at) && wanted.contains(rows.row(at).data()))).collect()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;

    fn rows(times: &[Option<i64>], ids: &[i64]) -> RecordBatch {
        let times = TimestampMicrosecondArray::from(times.to_vec());
        RecordBatch::try_from_iter([
            ("at", Arc::new(times) as ArrayRef),
            ("id", Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef),
        ])
        .unwrap()
    }

    fn kept(filter: &Filter, batch: &RecordBatch) -> Vec<bool> {
        filter.holds(batch).unwrap().iter().map(Option::unwrap).collect()
    }

    #[test]
    fn a_position_is_compared_column_by_column_and_null_is_never_after_it() {
        let batch = rows(&[Some(5), Some(5), Some(5), Some(6), None], &[1, 2, 3, 1, 9]);
        let after = Filter::From { row: rows(&[Some(5)], &[2]), inclusive: false };
        assert_eq!(kept(&after, &batch), [false, false, true, true, false]);
        let from = Filter::From { row: rows(&[Some(5)], &[2]), inclusive: true };
        assert_eq!(kept(&from, &batch), [false, true, true, true, false]);
    }

    #[test]
    fn one_of_compares_whole_rows() {
        let batch = rows(&[Some(5), Some(6), None], &[1, 2, 3]);
        assert_eq!(kept(&Filter::OneOf(rows(&[Some(5), Some(6), None], &[1, 1, 3])), &batch), [true, false, false]);
    }

    #[test]
    fn a_column_that_is_not_there_is_an_error() {
        let row = RecordBatch::try_from_iter([("name", Arc::new(StringArray::from(vec!["x"])) as ArrayRef)]).unwrap();
        assert!(Filter::From { row, inclusive: true }.holds(&rows(&[], &[])).is_err());
    }
}
