//! Rows of a source, found by some of its columns.

use crate::hash::{Hash, hash_keys};
use crate::land::LandedRows;
use crate::mirror::Mirror;
use crate::sources::{RowsRead, SourceRead};
use crate::state::State;
use crate::table::{Baseline, Known};
use arrow::array::{Array, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

/// A source whose rows can be found.
pub(super) struct Relation<'a> {
    source: &'a SourceRead,
    state: &'a State,
    budget: usize,
    work: &'a Path,
    /// Old and new images of the rows that changed since the last plan.
    pub(super) changed: RecordBatch,
}

/// Some rows of a relation, each once.
#[derive(Clone, Debug)]
pub(super) enum RowSet {
    /// Rows of a mirror by their keys.
    Mirrored(BTreeMap<Hash, Known>),
    /// Rows that were read whole, by their numbers.
    Landed(BTreeSet<u64>),
}

impl<'a> Relation<'a> {
    /// A source, and what changed in it.
    pub(super) fn new(
        source: &'a SourceRead,
        state: &'a State,
        (budget, work): (usize, &'a Path),
        changed: Option<RecordBatch>,
    ) -> Self {
        let changed = changed.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&source.schema)));
        Self { source, state, budget, work, changed }
    }

    /// Its columns.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.source.schema
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.source.name
    }

    /// Its key.
    pub(super) fn key(&self) -> &[String] {
        &self.source.key
    }

    /// Rows there are now whose columns equal one of `values` (in the order of `columns`). NULL equals nothing.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn find(&self, columns: &[String], values: &RecordBatch) -> Result<RowSet> {
        match &self.source.rows {
            RowsRead::Mirrored(_) => {
                let found = self.mirror()?.matching(columns, values, (self.budget, self.work))?;
                Ok(RowSet::Mirrored(found.into_iter().map(|known| (known.key, known)).collect()))
            }
            RowsRead::Landed(rows) => {
                let wanted = hashes(values)?;
                let mut found = BTreeSet::new();
                let mut first = 0;
                for batch in rows.batches()? {
                    let batch = batch?;
                    let own = columns_of(&batch, columns)?;
                    found.extend(positions(&own, &wanted)?.into_iter().map(|row| first + row));
                    first += batch.num_rows() as u64;
                }
                Ok(RowSet::Landed(found))
            }
        }
    }

    /// All rows; `None` if they are too many of a mirror.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn all(&self, most: usize) -> Result<Option<RowSet>> {
        match &self.source.rows {
            RowsRead::Mirrored(scope) => {
                let mut cursor = Baseline::open(self.state, *scope)?.cursor()?;
                let known = cursor.take(most + 1)?;
                let all = known.iter().filter(|known| !known.gone).map(|known| (known.key, *known)).collect();
                Ok((known.len() <= most).then_some(RowSet::Mirrored(all)))
            }
            RowsRead::Landed(rows) => {
                let mut count = 0;
                for batch in rows.batches()? {
                    count += batch?.num_rows() as u64;
                }
                Ok(Some(RowSet::Landed((0..count).collect())))
            }
        }
    }

    /// No rows.
    pub(super) fn nothing(&self) -> RowSet {
        match &self.source.rows {
            RowsRead::Mirrored(_) => RowSet::Mirrored(BTreeMap::new()),
            RowsRead::Landed(_) => RowSet::Landed(BTreeSet::new()),
        }
    }

    /// The rows themselves.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn rows(&self, set: &RowSet) -> Result<RecordBatch> {
        match (set, &self.source.rows) {
            (RowSet::Mirrored(known), RowsRead::Mirrored(scope)) => {
                let known: Vec<Known> = known.values().copied().collect();
                let values = Baseline::open(self.state, *scope)?.whole_values(&known, &self.source.schema);
                values.map_err(|error| error.with("source", &self.source.name))
            }
            (RowSet::Landed(numbers), RowsRead::Landed(rows)) => taken(rows, numbers, &self.source.schema),
            _ => Err(Error::internal("rows of one relation in another")),
        }
    }

    /// The rows that changed and whose columns equal one of `values`.
    ///
    /// # Errors
    /// Those of hashing.
    pub(super) fn changed_with(&self, columns: &[String], values: &RecordBatch) -> Result<RecordBatch> {
        let own = columns_of(&self.changed, columns)?;
        let rows: UInt64Array = positions(&own, &hashes(values)?)?.into_iter().collect();
        Ok(take_record_batch(&self.changed, &rows)?)
    }

    fn mirror(&self) -> Result<Mirror<'_>> {
        let RowsRead::Mirrored(scope) = &self.source.rows else { return Err(Error::internal("not a mirror")) };
        Ok(Mirror {
            state: self.state,
            scope: *scope,
            name: &self.source.name,
            key: &self.source.key,
            schema: Arc::clone(&self.source.schema),
        })
    }
}

impl RowSet {
    /// Adds the rows of another set of the same relation.
    pub(super) fn extend(&mut self, other: Self) {
        match (self, other) {
            (Self::Mirrored(mine), Self::Mirrored(more)) => mine.extend(more),
            (Self::Landed(mine), Self::Landed(more)) => mine.extend(more),
            _ => {}
        }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Mirrored(known) => known.len(),
            Self::Landed(numbers) => numbers.len(),
        }
    }
}

/// Columns of a batch, in this order.
pub(super) fn columns_of(batch: &RecordBatch, columns: &[String]) -> Result<RecordBatch> {
    let indices = columns.iter().map(|name| Ok(batch.schema_ref().index_of(name)?)).collect::<Result<Vec<_>>>()?;
    Ok(batch.project(&indices)?)
}

/// The same columns under other names.
pub(super) fn named(batch: &RecordBatch, names: &[String]) -> Result<RecordBatch> {
    let fields = batch.schema_ref().fields().iter().zip(names);
    let fields: Vec<_> = fields.map(|(field, name)| field.as_ref().clone().with_name(name)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec())?)
}

/// The hashes of rows without NULL.
fn hashes(values: &RecordBatch) -> Result<HashSet<Hash>> {
    let all = all_hashes(values)?;
    Ok((0..values.num_rows()).filter(|row| is_whole(values, *row)).filter_map(|row| all.get(row).copied()).collect())
}

fn all_hashes(values: &RecordBatch) -> Result<Vec<Hash>> {
    let names: Vec<String> = values.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
    hash_keys(values, &names)
}

fn positions(own: &RecordBatch, wanted: &HashSet<Hash>) -> Result<Vec<u64>> {
    let hashes = all_hashes(own)?.into_iter().enumerate();
    Ok(hashes.filter(|(row, hash)| wanted.contains(hash) && is_whole(own, *row)).map(|(row, _)| row as u64).collect())
}

/// Whether a row has no NULL.
pub(super) fn is_whole(batch: &RecordBatch, row: usize) -> bool {
    batch.columns().iter().all(|column| column.is_valid(row))
}

fn taken(rows: &LandedRows, numbers: &BTreeSet<u64>, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut batches = Vec::new();
    let mut first = 0;
    for batch in rows.batches()? {
        let batch = batch?;
        let end = first + batch.num_rows() as u64;
        let here: UInt64Array = numbers.range(first..end).map(|number| number - first).collect();
        if !here.is_empty() {
            batches.push(take_record_batch(&batch, &here)?);
        }
        first = end;
    }
    Ok(concat_batches(schema, &batches)?)
}
