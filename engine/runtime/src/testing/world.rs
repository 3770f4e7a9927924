//! The world of a test: sources that are rows, sinks that answer as told.

use super::rows::{cell, equal, typed};
use crate::connections::Connections;
use arrow::array::BooleanArray;
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::StreamExt;
use obmen_sdk::{
    Batch, BatchStream, Changes, Connection, Error, ErrorKind, Load, LoadId, Operations, Outcome, RejectClass,
    Repetition, Result, RowId, Scan, Sink, SinkAbilities, SinkTarget, Snapshot, Source, SourceAbilities, SourceTarget,
    TargetAbilities,
};
use obmen_spec::pipeline::Source as SourceSpec;
use obmen_spec::test_file::{Answer, Reply, Row};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Sources and sinks of a test, shared by everything that stands for them.
pub(super) type SharedWorld = Arc<Mutex<World>>;

/// Rows of sources and answers of sinks, by name.
#[derive(Debug, Default)]
pub(super) struct World {
    sources: BTreeMap<String, RecordBatch>,
    replies: BTreeMap<String, Vec<Reply>>,
}

impl World {
    /// Looks at or changes the world.
    pub(super) fn change<T>(world: &SharedWorld, change: impl FnOnce(&mut Self) -> T) -> T {
        change(&mut world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_source(&mut self, name: &str, rows: RecordBatch) {
        self.sources.insert(name.to_owned(), rows);
    }

    pub(super) fn set_replies(&mut self, sink: &str, replies: Vec<Reply>) {
        self.replies.insert(sink.to_owned(), replies);
    }

    /// Changes rows found by the source's key; rows that are not found are added.
    pub(super) fn patch(&mut self, name: &str, source: &SourceSpec, patch: &[Row]) -> Result<()> {
        for row in patch {
            let batch = self.rows(name)?;
            let schema = batch.schema();
            match find(&batch, source, row)? {
                None => {
                    let added = typed(std::slice::from_ref(row), &schema)?;
                    self.set_source(name, concat_batches(&schema, [&batch, &added])?);
                }
                Some(at) => {
                    let mut columns = Vec::with_capacity(schema.fields().len());
                    for (field, column) in schema.fields().iter().zip(batch.columns()) {
                        let new = row.columns.iter().find(|(name, _)| name.value == *field.name());
                        columns.push(match new {
                            Some((_, node)) => {
                                let (before, after) =
                                    (column.slice(0, at), column.slice(at + 1, column.len() - at - 1));
                                arrow::compute::concat(&[before.as_ref(), cell(node, field)?.as_ref(), after.as_ref()])?
                            }
                            None => Arc::clone(column),
                        });
                    }
                    self.set_source(name, RecordBatch::try_new(schema, columns)?);
                }
            }
        }
        Ok(())
    }

    /// Takes rows away by key.
    pub(super) fn remove(&mut self, name: &str, source: &SourceSpec, keys: &[Row]) -> Result<()> {
        for key in keys {
            let batch = self.rows(name)?;
            let at = find(&batch, source, key)?
                .ok_or_else(|| Error::invalid_data(format!("source `{name}` has no such row to remove")))?;
            let kept: BooleanArray = (0..batch.num_rows()).map(|row| Some(row != at)).collect();
            self.set_source(name, filter_record_batch(&batch, &kept)?);
        }
        Ok(())
    }

    fn rows(&self, name: &str) -> Result<RecordBatch> {
        let found = self.sources.get(name).cloned();
        found.ok_or_else(|| Error::invalid_data(format!("no step has said what source `{name}` has")))
    }

    fn answer(&self, sink: &str, target: &SinkTarget, changes: &Changes, row: usize) -> Result<Outcome> {
        for reply in self.replies.get(sink).into_iter().flatten() {
            if !key_is(&changes.rows, &target.key, &reply.key, row)? {
                continue;
            }
            return Ok(match &reply.answer {
                Answer::Lost => Outcome::Unknown { reason: "the answer was lost".to_owned() },
                Answer::Reject { reason, class, altered } => Outcome::Rejected {
                    altered: *altered,
                    class: class_of(class.as_ref().map(|class| class.value.as_str())),
                    reason: reason.value.clone(),
                },
            });
        }
        Ok(Outcome::acked())
    }
}

fn class_of(word: Option<&str>) -> RejectClass {
    match word {
        Some("missing") => RejectClass::Missing,
        Some("conflict") => RejectClass::Conflict,
        Some("temporary") => RejectClass::Temporary,
        Some("forbidden") => RejectClass::Forbidden,
        _ => RejectClass::Data,
    }
}

/// The row of a batch whose key columns have the values of `row`.
fn find(batch: &RecordBatch, source: &SourceSpec, row: &Row) -> Result<Option<usize>> {
    let key: Vec<String> = source.key.iter().map(|key| key.value.clone()).collect();
    for at in 0..batch.num_rows() {
        if key_is(batch, &key, row, at)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn key_is(batch: &RecordBatch, key: &[String], wanted: &Row, at: usize) -> Result<bool> {
    for name in key {
        let (Ok(field), Some(column)) = (batch.schema_ref().field_with_name(name), batch.column_by_name(name)) else {
            return Ok(false);
        };
        let Some((_, node)) = wanted.columns.iter().find(|(column, _)| column.value == *name) else { return Ok(false) };
        if !equal(&cell(node, field)?, column, at)? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Connections for SharedWorld {
    fn open(&self, name: &str) -> Result<Arc<dyn Connection>> {
        Ok(Arc::new(StandIn { name: name.to_owned(), world: Arc::clone(self) }))
    }
}

/// Stands for a connection.
#[derive(Debug)]
struct StandIn {
    name: String,
    world: SharedWorld,
}

#[async_trait]
impl Connection for StandIn {
    fn identity(&self) -> String {
        format!("test:{}", self.name)
    }

    async fn check(&self) -> Result<String> {
        Ok("stands in for a test".to_owned())
    }

    async fn entities(&self) -> Result<Vec<String>> {
        Err(Error::new(ErrorKind::Unsupported, "a test has no entities"))
    }

    async fn source(&self, target: SourceTarget) -> Result<Arc<dyn Source>> {
        let rows = World::change(&self.world, |world| world.rows(&target.name))?;
        Ok(Arc::new(GivenRows { rows }))
    }

    async fn sink(&self, targets: Vec<SinkTarget>) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(ToldSink { targets, world: Arc::clone(&self.world) }))
    }
}

/// Rows a test gives.
#[derive(Debug)]
struct GivenRows {
    rows: RecordBatch,
}

#[async_trait]
impl Source for GivenRows {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn abilities(&self) -> SourceAbilities {
        SourceAbilities { snapshot: Snapshot::Exact, projection: false, resume: false, filter: false }
    }

    async fn read(&self, _scan: Scan) -> Result<BatchStream> {
        let batch = Batch::of(self.rows.clone());
        Ok(futures::stream::once(async move { Ok(batch) }).boxed())
    }
}

/// A sink that answers as a test tells it.
#[derive(Debug)]
struct ToldSink {
    targets: Vec<SinkTarget>,
    world: SharedWorld,
}

#[async_trait]
impl Sink for ToldSink {
    fn abilities(&self) -> SinkAbilities {
        let target =
            TargetAbilities { operations: Operations { mark: true, delete: true, children: true }, whole: false };
        SinkAbilities {
            targets: vec![target; self.targets.len()],
            order: (0..self.targets.len()).collect(),
            portion_rows: 10_000,
            repetition: Repetition::Harmless,
            exclusive: true,
            find: false,
        }
    }

    async fn begin(&self, _load: &LoadId) -> Result<Box<dyn Load>> {
        Ok(Box::new(ToldLoad { targets: self.targets.clone(), world: Arc::clone(&self.world) }))
    }
}

struct ToldLoad {
    targets: Vec<SinkTarget>,
    world: SharedWorld,
}

#[async_trait]
impl Load for ToldLoad {
    async fn send(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        let target = self.targets.get(changes.target).ok_or_else(|| Error::internal("a change for no target"))?;
        World::change(&self.world, |world| {
            let answers = changes.ids.iter().enumerate();
            answers.map(|(row, id)| Ok((*id, world.answer(&target.name, target, changes, row)?))).collect()
        })
    }

    async fn finish(self: Box<Self>) -> Result<Vec<(RowId, Outcome)>> {
        Ok(Vec::new())
    }
}
