//! Rows found by other columns than their key: an index per file and list of columns.

use super::baseline::{Baseline, Known};
use super::sort::Sorter;
use super::{AT, FileWriter, GONE, INDEX, RowFile, hash_array, hash_field};
use crate::hash::{Hash, hash_keys};
use crate::state::{SegmentRecord, State};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// Rows of an index written at a time.
const WRITE_ROWS: usize = 16 << 10;

impl Baseline {
    /// The rows that are not gone and whose columns `columns` hash to one of `wanted` (ascending,
    /// distinct, each as [`hash_keys`] of the columns in this order), ascending by key hash. A row with
    /// a NULL among the columns is never found.
    ///
    /// The indexes are made when they are asked for first, one for each file, and kept as long as the
    /// file; `budget`: bytes that may be in memory then, more goes to files under `work`.
    ///
    /// # Errors
    /// Those of the state and the disk; `Unsupported` for columns that have no hash.
    pub(crate) fn by_columns(
        &self,
        state: &State,
        columns: &[String],
        wanted: &[Hash],
        budget: usize,
        work: &Path,
    ) -> Result<Vec<Known>> {
        let mut found = Vec::new();
        for (index, (segment, file)) in self.files.iter().enumerate() {
            let indexed = Indexed { state, segment, file, columns, budget, work };
            let rows = indexed.rows(wanted)?;
            let mut known = self.known_at(index, &rows)?;
            known.sort_unstable_by_key(|known| known.key);
            let keys: Vec<Hash> = known.iter().map(|known| known.key).collect();
            let overruled = self.overruled(index, &keys)?;
            found.extend(known.into_iter().filter(|known| !known.gone && !overruled.contains(&known.key)));
        }
        found.sort_unstable_by_key(|known| known.key);
        Ok(found)
    }
}

/// A file of a baseline and the columns to find rows by.
struct Indexed<'a> {
    state: &'a State,
    segment: &'a SegmentRecord,
    file: &'a RowFile,
    columns: &'a [String],
    budget: usize,
    work: &'a Path,
}

impl Indexed<'_> {
    /// The numbers of the rows, ascending. An index that cannot be read is made anew: it says nothing
    /// that the file does not.
    fn rows(&self, wanted: &[Hash]) -> Result<Vec<u64>> {
        if let Some((name, mark)) = self.state.index_file(self.segment, self.columns)? {
            let opened = RowFile::open_marked(self.state.folder(), &name, mark);
            match opened.and_then(|index| look_up(&index, wanted)) {
                Ok(rows) => return Ok(rows),
                Err(error) => tracing::warn!("an index is made again: {error}"),
            }
        }
        let name = self.build()?;
        let index = RowFile::open(self.state.folder(), &name)?;
        self.state.set_index_file(self.segment, self.columns, &name, index.mark())?;
        look_up(&index, wanted)
    }

    fn build(&self) -> Result<String> {
        let mut sorter = Sorter::new(self.budget, self.work)?;
        if self.columns.iter().all(|column| self.file.schema().index_of(column).is_ok()) {
            self.collect(&mut sorter)?;
        }
        let name = format!("baseline/index-{}-{}.parquet", self.segment.id, ulid::Ulid::generate());
        let schema = Arc::new(Schema::new(vec![hash_field(INDEX), Field::new(AT, DataType::Int64, false)]));
        let mut writer = FileWriter::create(self.state.folder(), &name, Arc::clone(&schema), self.state.durability())?;
        sorter.drain(WRITE_ROWS, |entries| {
            let hashes: Vec<Hash> = entries.iter().map(|(hash, _)| *hash).collect();
            let rows: Int64Array = entries.iter().map(|(_, row)| row.cast_signed()).collect();
            let columns: Vec<ArrayRef> = vec![hash_array(&hashes), Arc::new(rows)];
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)
        })?;
        writer.finish()?;
        Ok(name)
    }

    fn collect(&self, sorter: &mut Sorter) -> Result<()> {
        let names: Vec<&str> = self.columns.iter().map(String::as_str).chain([GONE]).collect();
        let mut number = 0_u64;
        for batch in self.file.scan(&names)? {
            let batch = batch?;
            let missing = || Error::internal("a column to index is not in its file");
            let values: Vec<&ArrayRef> = self
                .columns
                .iter()
                .map(|column| batch.column_by_name(column).ok_or_else(missing))
                .collect::<Result<_>>()?;
            let gone = batch.column_by_name(GONE).and_then(|gone| gone.as_boolean_opt()).ok_or_else(missing)?;
            for (row, hash) in hash_keys(&batch, self.columns)?.into_iter().enumerate() {
                if !gone.value(row) && values.iter().all(|values| values.is_valid(row)) {
                    sorter.push((hash, number))?;
                }
                number += 1;
            }
        }
        Ok(())
    }
}

fn look_up(index: &RowFile, wanted: &[Hash]) -> Result<Vec<u64>> {
    let entries: Vec<u64> = index.find(INDEX, wanted)?.into_iter().map(|(_, entry)| entry).collect();
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let batch = index.rows_with(Some(&[AT]), &entries)?;
    let rows = batch.column(0).as_primitive_opt::<Int64Type>();
    let rows = rows.ok_or_else(|| Error::invalid_data("an index has no row numbers"))?;
    let mut rows: Vec<u64> = rows.values().iter().map(|row| row.unsigned_abs()).collect();
    rows.sort_unstable();
    Ok(rows)
}
