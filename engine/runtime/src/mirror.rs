//! Our copy of a source that brings only changes, so that SQL always sees the whole relation.
//!
//! Rows are kept by the source's key in the same keyed tables as baselines; a later row replaces an
//! earlier one. Only when the rows are durable here is the source told that it may forget them.

use crate::commit::baseline_schema;
use crate::hash::{Hash, hash_keys, hash_rows};
use crate::land::{Landed, LandedRows};
use crate::sql::Rows;
use crate::state::{ScopeId, State};
use crate::table::{Baseline, FileWriter, align, hash_array};
use arrow::array::{ArrayRef, BooleanArray, Int64Array, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use obmen_sdk::{Error, Result};
use std::sync::Arc;

/// Rows of a file of the mirror at most: what is sorted in memory at a time.
const FILE_ROWS: usize = 200_000;
/// Rows read at a time.
const READ_ROWS: usize = 8192;

/// The mirror of a source: shared by all pipelines that read the entity through the connection.
pub(crate) struct Mirror<'a> {
    pub(crate) state: &'a State,
    pub(crate) scope: ScopeId,
    pub(crate) key: &'a [String],
    pub(crate) schema: SchemaRef,
}

impl Mirror<'_> {
    /// Takes landed rows over. Gives how many there were.
    ///
    /// # Errors
    /// `InvalidData` for a source without a key; those of the disk.
    pub(crate) fn update(&self, landed: &Landed) -> Result<()> {
        if self.key.is_empty() {
            return Err(Error::invalid_data("a source that brings only changes needs a `key`"));
        }
        let mut pending: Vec<RecordBatch> = Vec::new();
        let mut rows = 0;
        for batch in batches(&landed.rows)? {
            let batch = align(&batch?, &self.schema)?;
            rows += batch.num_rows();
            pending.push(batch);
            if rows >= FILE_ROWS {
                self.write(&std::mem::take(&mut pending))?;
                rows = 0;
            }
        }
        self.write(&pending)
    }

    /// The whole relation, for SQL.
    pub(crate) fn rows(&self) -> Result<Rows> {
        let baseline = Baseline::open(self.state, self.scope)?;
        let schema = Arc::clone(&self.schema);
        Ok(Rows::Stream(Arc::new(move |columns: Option<Vec<usize>>| {
            let mut cursor = baseline.cursor()?;
            let (baseline, schema) = (baseline.clone(), Arc::clone(&schema));
            let batches = std::iter::from_fn(move || {
                let read = cursor.take(READ_ROWS).and_then(|known| {
                    if known.is_empty() {
                        return Ok(None);
                    }
                    let batch = baseline.values(&known, &schema)?;
                    Ok(Some(match &columns {
                        Some(columns) => batch.project(columns)?,
                        None => batch,
                    }))
                });
                read.transpose()
            });
            Ok(futures::stream::iter(batches).boxed())
        })))
    }

    fn write(&self, batches: &[RecordBatch]) -> Result<()> {
        let batch = concat_batches(&self.schema, batches)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let keys = hash_keys(&batch, self.key)?;
        let mut order: Vec<u32> = (0_u32..).take(batch.num_rows()).collect();
        // the last row of a key wins: sort by key, later rows first, and keep the first of each
        order.sort_by_key(|row| (keys.get(*row as usize).copied(), std::cmp::Reverse(*row)));
        order.dedup_by_key(|row| keys.get(*row as usize).copied());
        let batch = take_record_batch(&batch, &UInt32Array::from(order.clone()))?;
        let keys: Vec<Hash> = order.iter().filter_map(|row| keys.get(*row as usize).copied()).collect();
        let name = format!("baseline/{}-{}.parquet", self.scope.0, ulid::Ulid::generate());
        let schema = baseline_schema(&self.schema);
        let mut writer = FileWriter::create(self.state.folder(), &name, Arc::clone(&schema), self.state.durability())?;
        writer.write(&self.file_batch(&batch, &keys, &schema)?)?;
        let rows = writer.finish()?;
        self.state.add_segment(self.scope, &name, rows, &[])?;
        self.state.compact(self.scope)
    }

    fn file_batch(&self, batch: &RecordBatch, keys: &[Hash], schema: &SchemaRef) -> Result<RecordBatch> {
        let names: Vec<String> = self.schema.fields().iter().map(|field| field.name().clone()).collect();
        let hashes = hash_rows(batch, &names)?;
        let zeros = || Arc::new(Int64Array::from(vec![0; keys.len()])) as ArrayRef;
        let present = Arc::new(BooleanArray::from(vec![false; keys.len()]));
        let mut columns: Vec<ArrayRef> =
            vec![hash_array(keys), hash_array(&hashes), zeros(), present, zeros(), zeros()];
        columns.extend(batch.columns().iter().map(Arc::clone));
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

fn batches(rows: &LandedRows) -> Result<Box<dyn Iterator<Item = Result<RecordBatch>> + '_>> {
    Ok(match rows {
        LandedRows::Memory(batches) => Box::new(batches.iter().map(|batch| Ok(batch.clone()))),
        LandedRows::File(path) => {
            let file = std::io::BufReader::new(std::fs::File::open(path)?);
            let reader = arrow::ipc::reader::FileReader::try_new(file, None)?;
            Box::new(reader.map(|batch| batch.map_err(Error::from)))
        }
    })
}
