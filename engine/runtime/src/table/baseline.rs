//! What a sink is known to have: the files of its baseline as one table.

use super::cursor::{BaselineCursor, HashColumns};
use super::{KEY, RECIPE, RowFile, align};
use crate::hash::Hash;
use crate::state::{ScopeId, SegmentRecord, State};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use obmen_sdk::Result;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The files of a baseline, oldest first, as they were when it was opened: what is committed or
/// compacted later does not change what is read.
#[derive(Clone, Debug)]
pub(crate) struct Baseline {
    pub(super) files: Vec<(SegmentRecord, RowFile)>,
}

/// What is known of one key, without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) key: Hash,
    pub(crate) row: Hash,
    pub(crate) recipe: i64,
    pub(crate) gone: bool,
    pub(crate) created: i64,
    pub(crate) acked: i64,
    pub(super) file: usize,
    pub(super) at: u64,
}

impl Baseline {
    /// Opens the files of a scope.
    ///
    /// # Errors
    /// Those of the state; a missing or damaged file is named.
    pub(crate) fn open(state: &State, scope: ScopeId) -> Result<Self> {
        let files = state
            .segments(scope)?
            .into_iter()
            .map(|segment| {
                let file = state.file(&segment.file, segment.mark)?;
                Ok((segment, file))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { files })
    }

    /// Whether nothing was ever known.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Rows of all files: at least as many as there are keys.
    pub(crate) fn rows(&self) -> u64 {
        self.files.iter().map(|(segment, _)| segment.rows).sum()
    }

    /// Whether any row was compared under another recipe.
    pub(crate) fn has_other_recipes(&self, recipe: i64) -> Result<bool> {
        for (_, file) in &self.files {
            if !file.holds_only(RECIPE, recipe)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Starts reading in the order of key hashes.
    pub(crate) fn cursor(&self) -> Result<BaselineCursor> {
        BaselineCursor::open(self.files.iter().map(|(_, file)| file))
    }

    /// What is known of some keys (ascending, distinct), gone ones too; keys never heard of are left
    /// out. Only the pages that can hold them are read.
    ///
    /// # Errors
    /// Those of the state.
    pub(crate) fn find(&self, keys: &[Hash]) -> Result<Vec<Known>> {
        let mut left = keys.to_vec();
        let mut found = Vec::new();
        for (index, (_, file)) in self.files.iter().enumerate().rev() {
            if left.is_empty() {
                break;
            }
            let hits = file.find(KEY, &left)?;
            let mut taken = hits.iter().map(|(key, _)| *key).peekable();
            left.retain(|key| taken.next_if_eq(key).is_none());
            let rows: Vec<u64> = hits.into_iter().map(|(_, row)| row).collect();
            found.extend(self.known_at(index, &rows)?);
        }
        found.sort_unstable_by_key(|known| known.key);
        Ok(found)
    }

    /// What the rows at `rows` (ascending) of a file say.
    pub(super) fn known_at(&self, file: usize, rows: &[u64]) -> Result<Vec<Known>> {
        let mut known = Vec::with_capacity(rows.len());
        if let (Some((_, opened)), false) = (self.files.get(file), rows.is_empty()) {
            let batch = opened.rows_with(Some(&HashColumns::NAMES), rows)?;
            let columns = HashColumns::of(&batch)?;
            columns.push(0..rows.len(), (file, 0), &mut known);
            for (known, at) in known.iter_mut().zip(rows) {
                known.at = *at;
            }
        }
        Ok(known)
    }

    /// Those of `keys` (ascending) that files newer than `file` say something of.
    pub(super) fn overruled(&self, file: usize, keys: &[Hash]) -> Result<BTreeSet<Hash>> {
        let mut found = BTreeSet::new();
        for (_, newer) in self.files.iter().skip(file + 1) {
            found.extend(newer.find(KEY, keys)?.into_iter().map(|(key, _)| key));
        }
        Ok(found)
    }

    /// The values of known keys, with the columns of `schema`, in the order given (ascending keys).
    pub(crate) fn values(&self, known: &[Known], schema: &SchemaRef) -> Result<RecordBatch> {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mut batches = Vec::with_capacity(self.files.len());
        for (index, (_, file)) in self.files.iter().enumerate() {
            let rows: Vec<u64> = known.iter().filter(|row| row.file == index).map(|row| row.at).collect();
            batches.push(if rows.is_empty() {
                RecordBatch::new_empty(Arc::clone(schema))
            } else {
                align(&file.rows_with(Some(&names), &rows)?, schema)?
            });
            if rows.len() == known.len() && !rows.is_empty() {
                return Ok(batches.swap_remove(index));
            }
        }
        if known.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(schema)));
        }
        let mut next = vec![0_usize; batches.len()];
        let order: Vec<(usize, usize)> = known
            .iter()
            .map(|row| {
                let at = next[row.file];
                next[row.file] += 1;
                (row.file, at)
            })
            .collect();
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        Ok(interleave_record_batch(&batches, &order)?)
    }

    /// The columns that any file has beside ours: the newest file's first.
    pub(crate) fn value_schema(&self) -> SchemaRef {
        let mut fields: Vec<arrow::datatypes::FieldRef> = Vec::new();
        for (_, file) in self.files.iter().rev() {
            for field in file.schema().fields() {
                let known = fields.iter().any(|other| other.name() == field.name());
                if !known && !field.name().starts_with(super::OURS) {
                    fields.push(Arc::clone(field));
                }
            }
        }
        Arc::new(Schema::new(fields))
    }
}
