//! Rows on their way into batches, good and bad ones apart.

use crate::values::ColumnBuilder;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter;
use arrow::datatypes::SchemaRef;
use obmen_sdk::{BadRow, Batch, Result};

/// Text and bytes a batch holds before it is handed over, however few rows it has.
pub const BATCH_BYTES: usize = 16 << 20;

/// Collects rows column by column. A row that fails half-way leaves no trace but its [`BadRow`].
#[derive(Debug)]
pub struct Rows {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    good: Vec<bool>,
    bad: Vec<BadRow>,
    bytes: usize,
    most: usize,
}

impl Rows {
    /// No rows yet; `schema` has the columns to build, `batch_rows` is the most rows of a batch.
    ///
    /// # Errors
    /// `Unsupported` for a column of a type that cannot be declared.
    pub fn new(schema: SchemaRef, batch_rows: usize) -> Result<Self> {
        let columns = schema.fields().iter().map(|field| ColumnBuilder::new(field)).collect::<Result<_>>()?;
        let (good, bad) = (Vec::new(), Vec::new());
        Ok(Self { schema, columns, good, bad, bytes: 0, most: batch_rows.max(1) })
    }

    /// Adds a row of about `bytes`: `fill` appends at most one value to each column. What it leaves out is NULL.
    pub fn row(&mut self, bytes: usize, fill: impl FnOnce(&mut [ColumnBuilder]) -> Result<(), BadRow>) {
        let filled = fill(&mut self.columns);
        self.good.push(filled.is_ok());
        self.bytes = self.bytes.saturating_add(bytes);
        for column in &mut self.columns {
            while column.len() < self.good.len() {
                column.append_null();
            }
        }
        if let Err(bad) = filled {
            self.bad.push(bad);
        }
    }

    /// Adds a row that could not even be taken apart.
    pub fn bad(&mut self, bad: BadRow) {
        self.bad.push(bad);
    }

    /// Whether it is time to [`take`](Self::take).
    pub fn is_full(&self) -> bool {
        self.good.len().max(self.bad.len()) >= self.most || self.bytes >= BATCH_BYTES
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.good.is_empty() && self.bad.is_empty()
    }

    /// What has been collected; the collection is empty afterwards.
    ///
    /// # Errors
    /// `InvalidData` if the columns do not fit together (a mistake of the caller).
    pub fn take(&mut self) -> Result<Batch> {
        let good = std::mem::take(&mut self.good);
        let bad = std::mem::take(&mut self.bad);
        self.bytes = 0;
        let kept = good.iter().filter(|good| **good).count();
        let mut columns: Vec<ArrayRef> = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        if kept < good.len() {
            let good = BooleanArray::from(good);
            columns = columns.iter().map(|column| filter(column, &good)).collect::<Result<_, _>>()?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(kept));
        let rows = RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)?;
        Ok(Batch { bad, ..Batch::of(rows) })
    }
}
