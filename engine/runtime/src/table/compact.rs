//! Merging the files of a baseline, so that reading many commits costs what reading one does.

use super::baseline::Baseline;
use super::{FileWriter, baseline_fields};
use crate::state::{ScopeId, State};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use obmen_sdk::Result;
use std::sync::Arc;

/// An older file is merged with the newer ones when they together have reached this part of it.
const MERGE_RATIO: u64 = 4;
/// Rows merged at a time: with their values they are in memory.
const MERGE_ROWS: usize = 8192;

impl State {
    /// Merges files of a baseline that are of similar size, newest first. Rows that are gone stay, as
    /// older files may still have them. Readers that opened the old files keep them; the files are
    /// removed by the next run. It may be left out or cut off at any time: nothing depends on it.
    pub(crate) fn compact(&self, scope: ScopeId) -> Result<()> {
        let rows: Vec<u64> = self.segments(scope)?.iter().map(|segment| segment.rows).collect();
        let start = merge_from(&rows);
        if rows.len() - start < 2 {
            return Ok(());
        }
        let mut merged = Baseline::open(self, scope)?;
        merged.files.drain(..start);
        merged.keep_alike();
        if merged.files.len() < 2 {
            return Ok(());
        }
        let ids: Vec<i64> = merged.files.iter().map(|(segment, _)| segment.id).collect();
        let name = format!("baseline/{}-{}.parquet", scope.0, ulid::Ulid::generate());
        let rows = merged.write_merged(self, &name)?;
        self.replace_segments(scope, &ids, Some((&name, rows)))
    }
}

impl Baseline {
    /// Keeps the newest files, as far back as their values are the same in the types of the newest.
    fn keep_alike(&mut self) {
        let schema = self.value_schema();
        let is_alike = |field: &FieldRef| {
            schema.field_with_name(field.name()).map_or(true, |now| holds_all(now.data_type(), field.data_type()))
        };
        let other = self.files.iter().rposition(|(_, file)| !file.schema().fields().iter().all(is_alike));
        self.files.drain(..other.map_or(0, |other| other + 1));
    }

    fn write_merged(&self, state: &State, name: &str) -> Result<u64> {
        let mut fields = baseline_fields();
        fields.extend(self.value_schema().fields().iter().map(|field| field.as_ref().clone()));
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let mut writer = FileWriter::create(state.folder(), name, Arc::clone(&schema), state.durability())?;
        let mut cursor = self.cursor()?;
        loop {
            let rows = cursor.take(MERGE_ROWS)?;
            if rows.is_empty() {
                return writer.finish();
            }
            writer.write(&self.values(&rows, &schema)?)?;
        }
    }
}

/// Whether every value of a type is the same value in another one: a baseline says what the other side has, to the digit.
fn holds_all(wide: &DataType, narrow: &DataType) -> bool {
    use DataType::{Decimal128, Int32, Int64, List, Struct};
    /// Digits of the longest whole numbers.
    const INT: i16 = 10;
    const LONG: i16 = 19;
    let whole_digits = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
    match (wide, narrow) {
        (Int64, Int32) => true,
        (Decimal128(precision, scale), Int32) => *scale >= 0 && whole_digits(*precision, *scale) >= INT,
        (Decimal128(precision, scale), Int64) => *scale >= 0 && whole_digits(*precision, *scale) >= LONG,
        (Decimal128(precision, scale), Decimal128(less, fewer)) => {
            scale >= fewer && whole_digits(*precision, *scale) >= whole_digits(*less, *fewer)
        }
        (List(item), List(old)) => holds_all(item.data_type(), old.data_type()),
        (Struct(fields), Struct(old)) => fields.iter().all(|field| {
            let same = old.iter().find(|old| old.name() == field.name());
            same.is_none_or(|old| holds_all(field.data_type(), old.data_type()))
        }),
        (wide, narrow) => wide == narrow,
    }
}

/// The first file of the run of newest files that are worth merging.
fn merge_from(rows: &[u64]) -> usize {
    let mut start = rows.len().saturating_sub(1);
    let mut newer = rows.last().copied().unwrap_or(0);
    while start > 0 && rows[start - 1] <= newer.saturating_mul(MERGE_RATIO) {
        start -= 1;
        newer += rows[start];
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_holds_all_of_another_if_no_value_changes() {
        use DataType::{Date32, Decimal128, Float64, Int32, Int64, Utf8};
        for (wide, narrow, expected) in [
            (Utf8, Utf8, true),
            (Int64, Int32, true),
            (Int32, Int64, false),
            (Decimal128(15, 2), Int32, true),
            (Decimal128(15, 2), Int64, false),
            (Decimal128(21, 2), Int64, true),
            (Decimal128(18, 4), Decimal128(17, 2), false),
            (Decimal128(18, 4), Decimal128(16, 2), true),
            (Decimal128(18, 2), Decimal128(15, 3), false),
            (Float64, Int32, false),
            (Int64, Utf8, false),
            (Utf8, Date32, false),
        ] {
            assert_eq!(holds_all(&wide, &narrow), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn files_of_similar_size_are_merged_and_large_ones_left_alone() {
        assert_eq!(merge_from(&[1_000_000, 10, 10]), 1);
        assert_eq!(merge_from(&[30, 10]), 0);
        assert_eq!(merge_from(&[1_000_000, 100, 10]), 2);
        assert_eq!(merge_from(&[5]), 0);
        assert_eq!(merge_from(&[]), 0);
    }
}
