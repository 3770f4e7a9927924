//! Rows of any number, grouped by ranges of key hashes within a fixed memory budget.

use crate::hash::Hash;
use crate::table::hash_at;
use arrow::array::{AsArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, Result};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ranges of key hashes: the top bits of the hash.
pub(super) const BUCKETS: usize = 64;
const BUCKET_SHIFT: u32 = 128 - BUCKETS.trailing_zeros();

/// Batches whose first column is the key hash, on their way to be read range by range.
pub(super) struct Shuffle {
    schema: SchemaRef,
    buckets: Vec<Bucket>,
    buffered: usize,
    budget: usize,
    folder: PathBuf,
    name: String,
}

#[derive(Default)]
struct Bucket {
    batches: Vec<RecordBatch>,
    bytes: usize,
    spill: Option<StreamWriter<BufWriter<File>>>,
}

impl Shuffle {
    /// `budget`: bytes kept in memory; more goes to files named after `name` in `folder`.
    pub(super) fn new(schema: SchemaRef, budget: usize, folder: &Path, name: &str) -> Self {
        let buckets = (0..BUCKETS).map(|_| Bucket::default()).collect();
        Self { schema, buckets, buffered: 0, budget, folder: folder.to_owned(), name: name.to_owned() }
    }

    /// Adds rows.
    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = batch.column(0).as_fixed_size_binary();
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); BUCKETS];
        for (row, at) in (0..batch.num_rows()).zip(0_u32..) {
            rows[bucket_of(hash_at(keys, row))].push(at);
        }
        for (bucket, rows) in self.buckets.iter_mut().zip(rows) {
            if rows.is_empty() {
                continue;
            }
            let part = take_record_batch(batch, &UInt32Array::from(rows))?;
            let bytes = part.get_array_memory_size();
            bucket.bytes += bytes;
            self.buffered += bytes;
            bucket.batches.push(part);
        }
        if self.buffered > self.budget {
            self.spill()?;
        }
        Ok(())
    }

    /// Bytes of a range, about.
    pub(super) fn bytes(&self, bucket: usize) -> usize {
        self.buckets.get(bucket).map_or(0, |bucket| bucket.bytes)
    }

    /// All rows of the ranges `from..to`, as one batch; they are gone from here then.
    pub(super) fn take(&mut self, from: usize, to: usize) -> Result<RecordBatch> {
        let mut batches = Vec::new();
        for index in from..to {
            let path = self.path(index);
            let Some(bucket) = self.buckets.get_mut(index) else { continue };
            if let Some(mut writer) = bucket.spill.take() {
                writer.finish()?;
                drop(writer);
                let reader = StreamReader::try_new(BufReader::new(File::open(&path)?), None)?;
                batches.extend(reader.collect::<std::result::Result<Vec<_>, _>>()?);
                std::fs::remove_file(&path)?;
            }
            batches.append(&mut bucket.batches);
        }
        Ok(concat_batches(&self.schema, &batches)?)
    }

    fn spill(&mut self) -> Result<()> {
        for index in 0..self.buckets.len() {
            let path = self.path(index);
            let schema = Arc::clone(&self.schema);
            let bucket = &mut self.buckets[index];
            if bucket.batches.is_empty() {
                continue;
            }
            let batch = concat_batches(&schema, &bucket.batches)?;
            bucket.batches.clear();
            if bucket.spill.is_none() {
                let file = File::create(&path).map_err(|error| Error::from(error).with("file", path.display()))?;
                bucket.spill = Some(StreamWriter::try_new(BufWriter::new(file), &schema)?);
            }
            if let Some(writer) = &mut bucket.spill {
                writer.write(&batch)?;
            }
        }
        self.buffered = 0;
        Ok(())
    }

    fn path(&self, bucket: usize) -> PathBuf {
        self.folder.join(format!("{}-{bucket}.arrow", self.name))
    }
}

/// The first hash above the ranges up to `bucket`; `None` above the last.
pub(super) fn end_of(bucket: usize) -> Option<Hash> {
    (bucket + 1 < BUCKETS).then(|| (bucket as Hash + 1) << BUCKET_SHIFT)
}

fn bucket_of(hash: Hash) -> usize {
    usize::try_from(hash >> BUCKET_SHIFT).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{KEY, hash_array, hash_field};
    use arrow::datatypes::Schema;

    #[test]
    fn every_row_comes_back_in_its_range_spilled_or_not() {
        for budget in [0, usize::MAX] {
            let folder = tempfile::tempdir().unwrap();
            let schema = Arc::new(Schema::new(vec![hash_field(KEY)]));
            let mut shuffle = Shuffle::new(Arc::clone(&schema), budget, folder.path(), "t");
            let hashes: Vec<Hash> =
                (0..5000_u128).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).collect();
            for part in hashes.chunks(700) {
                shuffle.push(&RecordBatch::try_new(Arc::clone(&schema), vec![hash_array(part)]).unwrap()).unwrap();
            }
            let mut found = Vec::new();
            let mut low = 0;
            for bucket in 0..BUCKETS {
                let batch = shuffle.take(bucket, bucket + 1).unwrap();
                for row in 0..batch.num_rows() {
                    let hash = hash_at(batch.column(0).as_fixed_size_binary(), row);
                    assert!(hash >= low && end_of(bucket).is_none_or(|end| hash < end));
                    found.push(hash);
                }
                low = end_of(bucket).unwrap_or(low);
            }
            found.sort_unstable();
            let mut expected = hashes;
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
    }
}
