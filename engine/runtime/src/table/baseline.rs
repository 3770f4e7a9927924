//! What a sink is known to have: the files of its baseline as one table.

use super::cursor::{BaselineCursor, HashColumns};
use super::{KEY, RECIPE, RowFile, align};
use crate::hash::{Hash, hash_rows};
use crate::state::{ScopeId, SegmentRecord, State};
use arrow::array::{Array, ArrayRef};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, ErrorKind, Result};
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

    /// The values of known keys as [`values`](Self::values), and none of them left out: what a file has in another type
    /// fits the type of `schema`.
    ///
    /// # Errors
    /// `SchemaMismatch` for a column with a value that does not fit; those of the state.
    pub(crate) fn whole_values(&self, known: &[Known], schema: &SchemaRef) -> Result<RecordBatch> {
        let values = self.values(known, schema)?;
        for field in schema.fields() {
            let is_other = |(index, kind): (usize, Option<&DataType>)| {
                kind.is_some_and(|kind| kind != field.data_type()) && known.iter().any(|known| known.file == index)
            };
            if self.types_of(field.name()).enumerate().any(is_other) {
                let written = self.as_written(known, &Arc::new(Schema::new(vec![Arc::clone(field)])))?;
                let nulls = |array: Option<&ArrayRef>| array.map_or(0, Array::null_count);
                let before: usize = written.iter().map(|(_, batch)| nulls(batch.columns().first())).sum();
                if nulls(values.column_by_name(field.name())) > before {
                    let message = format!(
                        "column `{}` is {} now, and what is kept of it does not fit: declare it as it was",
                        field.name(),
                        field.data_type()
                    );
                    return Err(Error::new(ErrorKind::SchemaMismatch, message));
                }
            }
        }
        Ok(values)
    }

    /// The hashes of known keys over some columns of `schema`, of the values as they were written: another type than
    /// that of `schema` changes none.
    ///
    /// # Errors
    /// Those of the state.
    pub(crate) fn hashes(&self, known: &[Known], schema: &SchemaRef, names: &[String]) -> Result<Vec<Hash>> {
        let asked: Vec<FieldRef> =
            schema.fields().iter().filter(|field| names.contains(field.name())).map(Arc::clone).collect();
        let mut hashes = vec![0; known.len()];
        for (places, batch) in self.as_written(known, &Arc::new(Schema::new(asked)))? {
            for (place, hash) in places.into_iter().zip(hash_rows(&batch, names)?) {
                if let Some(found) = hashes.get_mut(place) {
                    *found = hash;
                }
            }
        }
        Ok(hashes)
    }

    /// The values of known keys, file by file, each with the places of its rows in `known`: columns of `schema` in the
    /// types the file has them in.
    fn as_written(&self, known: &[Known], schema: &SchemaRef) -> Result<Vec<(Vec<usize>, RecordBatch)>> {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mut batches = Vec::new();
        for (index, (_, file)) in self.files.iter().enumerate() {
            let (places, rows): (Vec<usize>, Vec<u64>) = known
                .iter()
                .enumerate()
                .filter(|(_, known)| known.file == index)
                .map(|(place, known)| (place, known.at))
                .unzip();
            if !rows.is_empty() {
                let batch = file.rows_with(Some(&names), &rows)?;
                let fields = schema.fields().iter().map(|field| {
                    let written = batch.schema_ref().field_with_name(field.name()).ok();
                    let kind = written.map_or_else(
                        || field.data_type().clone(),
                        |own| written_type(own.data_type(), field.data_type()),
                    );
                    field.as_ref().clone().with_data_type(kind)
                });
                let own = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
                batches.push((places, align(&batch, &own)?));
            }
        }
        Ok(batches)
    }

    /// The types that a column has in the files.
    fn types_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Option<&'a DataType>> {
        let own = |file: &'a RowFile| file.schema().field_with_name(name).ok().map(Field::data_type);
        self.files.iter().map(move |(_, file)| own(file))
    }

    /// The columns that any file has beside ours: the newest file's first.
    pub(crate) fn value_schema(&self) -> SchemaRef {
        let mut fields: Vec<FieldRef> = Vec::new();
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

/// The type in which values were written; of parts the columns that are asked for, each in its own.
fn written_type(written: &DataType, asked: &DataType) -> DataType {
    let (DataType::List(own), DataType::List(item)) = (written, asked) else { return written.clone() };
    let (DataType::Struct(own), DataType::Struct(fields)) = (own.data_type(), item.data_type()) else {
        return written.clone();
    };
    let field = |field: &FieldRef| {
        let same = own.iter().find(|own| own.name() == field.name());
        let kind = same.map_or_else(|| field.data_type().clone(), |same| same.data_type().clone());
        field.as_ref().clone().with_data_type(kind)
    };
    let fields = fields.iter().map(field).collect::<Vec<_>>();
    DataType::List(Arc::new(item.as_ref().clone().with_data_type(DataType::Struct(fields.into()))))
}
