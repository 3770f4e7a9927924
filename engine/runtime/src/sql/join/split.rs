//! Splits rows by the hash of their keys.

use super::PARTS;
use super::scratch::{Scratch, Writing};
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::buffer::NullBuffer;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::common::{NullEquality, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExprRef;
use futures::StreamExt;
use std::sync::Arc;

/// Makes hashes other than those that distribute rows to threads and those of hash joins.
const SEED: u64 = 0x6f62_6d65_6e00;

/// The keys of one side.
pub(super) struct Keys {
    /// Expressions over the side's columns.
    pub(super) on: Vec<PhysicalExprRef>,
    /// Whether NULL equals NULL. If not, rows with a NULL in the key match nothing, and are in any part.
    pub(super) nulls: NullEquality,
    /// How often the rows were split before: every time by another hash.
    pub(super) level: usize,
}

/// The key columns of some rows.
pub(super) fn keys_of(on: &[PhysicalExprRef], rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
    on.iter().map(|key| key.evaluate(rows)?.into_array(rows.num_rows())).collect()
}

/// Writes rows to the parts that their keys belong to. Rows with equal keys are in one part, on both sides.
///
/// Holds about `limit` bytes of rows, less where memory is short.
pub(super) async fn split(
    mut rows: SendableRecordBatchStream,
    keys: Keys,
    reserved: MemoryReservation,
    limit: usize,
    file: Writing,
) -> Result<Arc<Scratch>> {
    let mut gathered = Gathered {
        schema: rows.schema(),
        file,
        batches: Vec::new(),
        places: vec![Vec::new(); PARTS],
        counter: RecordBatchMemoryCounter::new(),
        reserved,
        limit,
        spread: 0,
    };
    while let Some(batch) = rows.next().await.transpose()? {
        gathered.add(batch, &keys)?;
    }
    gathered.flush()?;
    gathered.file.finish()
}

/// Rows on their way to disk.
struct Gathered {
    schema: SchemaRef,
    file: Writing,
    batches: Vec<RecordBatch>,
    /// For each part, where its rows are: batch and row.
    places: Vec<Vec<(usize, usize)>>,
    counter: RecordBatchMemoryCounter,
    reserved: MemoryReservation,
    /// Bytes of rows to gather.
    limit: usize,
    /// Counts rows that match nothing, to put them into all parts by turns.
    spread: usize,
}

impl Gathered {
    fn add(&mut self, batch: RecordBatch, keys: &Keys) -> Result<()> {
        let arrays = keys_of(&keys.on, &batch)?;
        let mut hashes = vec![0; batch.num_rows()];
        create_hashes(&arrays, &RandomState::with_seed(SEED + keys.level as u64), &mut hashes)?;
        let unmatched = match keys.nulls {
            NullEquality::NullEqualsNothing => nulls(&arrays),
            NullEquality::NullEqualsNull => None,
        };
        for (row, hash) in hashes.into_iter().enumerate() {
            let part = if unmatched.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                self.spread = (self.spread + 1) % PARTS;
                self.spread
            } else {
                let part = usize::try_from(hash % PARTS as u64).unwrap_or(0);
                self.file.saw(part, hash);
                part
            };
            self.places[part].push((self.batches.len(), row));
        }
        let bytes = self.counter.count_batch(&batch);
        self.batches.push(batch);
        let short = self.reserved.try_grow(bytes).is_err();
        if short || self.counter.memory_usage() >= self.limit {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        for (part, places) in self.places.iter_mut().enumerate().filter(|(_, places)| !places.is_empty()) {
            let rows = interleave_record_batch(&batches, places)?;
            let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
            let schema = Arc::clone(&self.schema);
            self.file.write(part, &RecordBatch::try_new_with_options(schema, rows.columns().to_vec(), &options)?)?;
            places.clear();
        }
        self.batches.clear();
        self.counter = RecordBatchMemoryCounter::new();
        self.reserved.free();
        Ok(())
    }
}

/// Which rows have a NULL in the key; `None` if none has.
pub(super) fn nulls(keys: &[ArrayRef]) -> Option<NullBuffer> {
    let nulls = keys.iter().fold(None, |all, key| NullBuffer::union(all.as_ref(), key.logical_nulls().as_ref()));
    nulls.filter(|nulls| nulls.null_count() > 0)
}
