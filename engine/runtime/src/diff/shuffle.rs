//! Rows with their values, grouped by ranges of key hashes within a memory budget.

use super::runs::Runs;
use super::{RANGES, range_of};
use crate::beside::Writer;
use crate::table::hash_at;
use arrow::array::{Array, AsArray};
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use obmen_sdk::Result;
use std::path::Path;

/// Batches whose first column is the key hash, on their way to be read range by range.
#[derive(Debug)]
pub(super) struct Shuffle {
    schema: SchemaRef,
    /// Batches as they came.
    batches: Vec<RecordBatch>,
    /// Per range: batch and row of its rows among `batches`.
    places: Vec<Vec<(usize, usize)>>,
    buffered: usize,
    budget: usize,
    spilled: Runs,
}

impl Shuffle {
    /// Up to `budget` bytes stay in memory, more goes to the file `name` in `folder`.
    pub(super) fn new(schema: SchemaRef, budget: usize, folder: &Path, name: &str) -> Self {
        let spilled = Runs::new(&folder.join(format!("{name}.rows")), RANGES);
        Self { schema, batches: Vec::new(), places: vec![Vec::new(); RANGES], buffered: 0, budget, spilled }
    }

    /// Adds rows.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let keys = batch.column(0).as_fixed_size_binary();
        let index = self.batches.len();
        for row in 0..batch.num_rows() {
            if let Some(places) = self.places.get_mut(range_of(hash_at(keys, row))) {
                places.push((index, row));
            }
        }
        let arrays: usize =
            batch.columns().iter().map(|array| array.to_data().get_slice_memory_size().unwrap_or(0)).sum();
        self.buffered += arrays + batch.num_rows() * size_of::<(usize, usize)>();
        self.batches.push(batch);
        if self.buffered > self.budget { self.spill() } else { Ok(()) }
    }

    /// Bytes of a range, about.
    pub(super) fn bytes(&self, range: usize) -> usize {
        let rows: usize = self.batches.iter().map(RecordBatch::num_rows).sum();
        self.spilled.bytes(range) + self.buffered / rows.max(1) * self.places[range].len()
    }

    /// All rows of the ranges `from..to`, as one batch.
    pub(super) fn read(&self, from: usize, to: usize) -> Result<RecordBatch> {
        let mut batches = Vec::new();
        for range in from..to {
            for run in self.spilled.read(range)? {
                let reader = StreamReader::try_new(run.as_slice(), None)?;
                batches.extend(reader.collect::<std::result::Result<Vec<_>, _>>()?);
            }
            batches.extend(self.buffered(range)?);
        }
        Ok(concat_batches(&self.schema, &batches)?)
    }

    fn buffered(&self, range: usize) -> Result<Option<RecordBatch>> {
        let places = &self.places[range];
        if places.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Ok(Some(interleave_record_batch(&batches, places)?))
    }

    fn spill(&mut self) -> Result<()> {
        for range in 0..RANGES {
            if let Some(batch) = self.buffered(range)? {
                let mut writer = StreamWriter::try_new(Vec::new(), &self.schema)?;
                writer.write(&batch)?;
                self.spilled.append(range, &writer.into_inner()?)?;
                self.places[range].clear();
            }
        }
        self.batches.clear();
        self.buffered = 0;
        Ok(())
    }
}

impl Writer for Shuffle {
    fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.push(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::end_of;
    use crate::hash::Hash;
    use crate::table::{KEY, hash_array, hash_field};
    use arrow::datatypes::Schema;
    use std::sync::Arc;

    #[test]
    fn every_row_comes_back_in_its_range_spilled_or_not() {
        for budget in [0, 30_000, usize::MAX] {
            let folder = tempfile::tempdir().unwrap();
            let schema = Arc::new(Schema::new(vec![hash_field(KEY)]));
            let mut shuffle = Shuffle::new(Arc::clone(&schema), budget, folder.path(), "t");
            let hashes: Vec<Hash> =
                (0..5000_u128).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).collect();
            for part in hashes.chunks(700) {
                shuffle.push(RecordBatch::try_new(Arc::clone(&schema), vec![hash_array(part)]).unwrap()).unwrap();
            }
            let mut found = Vec::new();
            let mut low = 0;
            for range in 0..RANGES {
                let batch = shuffle.read(range, range + 1).unwrap();
                for row in 0..batch.num_rows() {
                    let hash = hash_at(batch.column(0).as_fixed_size_binary(), row);
                    assert!(hash >= low && end_of(range).is_none_or(|end| hash < end));
                    found.push(hash);
                }
                low = end_of(range).unwrap_or(low);
            }
            found.sort_unstable();
            let mut expected = hashes;
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
    }
}
