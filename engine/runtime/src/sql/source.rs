//! Relations as DataFusion reads them.

use super::exact::KEY;
use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::StreamExt;
use futures::stream::BoxStream;
use obmen_sdk::Error;
use std::fmt;
use std::sync::Arc;

/// Starts reading a relation; may be called several times, also at the same time.
///
/// The argument are positions of columns in the relation's schema: the batches have these columns in this
/// order. `None`: all of them.
pub type ReadRows = Arc<
    dyn Fn(Option<Vec<usize>>) -> obmen_sdk::Result<BoxStream<'static, obmen_sdk::Result<RecordBatch>>> + Send + Sync,
>;

/// The rows of a relation.
#[derive(Clone)]
pub enum Rows {
    /// None: the relation is known by its columns only, for validation.
    None,
    /// Rows in memory.
    Memory(Vec<RecordBatch>),
    /// Rows that are read when a query needs them.
    Stream(ReadRows),
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Memory(batches) => f.debug_tuple("Memory").field(&batches.len()).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// The columns of a source, those of its key marked; all of them nullable.
pub(super) fn marked(schema: &Schema, key: &[String]) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let mut metadata = field.metadata().clone();
        metadata.remove(KEY);
        if key.contains(field.name()) {
            metadata.insert(KEY.to_owned(), String::new());
        }
        Field::new(field.name(), field.data_type().clone(), true).with_metadata(metadata)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The columns without our marks.
pub(super) fn unmarked(schema: &Schema) -> SchemaRef {
    marked(schema, &[])
}

/// A relation with rows.
#[derive(Debug)]
pub(super) struct Table {
    name: String,
    schema: SchemaRef,
    rows: Rows,
}

/// A step: its plan takes the place of every scan of it before anything runs.
#[derive(Debug)]
pub(super) struct Step {
    name: String,
    schema: SchemaRef,
}

impl Table {
    /// A relation; the rows have the columns of `schema`.
    pub(super) fn new(name: &str, schema: SchemaRef, rows: Rows) -> Self {
        Self { name: name.to_owned(), schema, rows }
    }
}

impl Step {
    /// A step with these columns.
    pub(super) fn new(name: &str, schema: SchemaRef) -> Self {
        Self { name: name.to_owned(), schema }
    }

    /// The step's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

fn projected(schema: &SchemaRef, projection: Option<&Vec<usize>>) -> Result<SchemaRef> {
    Ok(match projection {
        Some(columns) => Arc::new(schema.project(columns)?),
        None => Arc::clone(schema),
    })
}

#[async_trait]
impl TableProvider for Step {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(EmptyExec::new(projected(&self.schema, projection)?)))
    }
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = projected(&self.schema, projection)?;
        Ok(match &self.rows {
            Rows::None => Arc::new(EmptyExec::new(schema)),
            Rows::Memory(batches) => {
                let all: Vec<usize> = (0..self.schema.fields().len()).collect();
                let batches = batches.iter().map(|batch| conform(&self.name, batch, &self.schema, all.len()));
                let batches = batches.collect::<Result<Vec<_>>>()?;
                MemorySourceConfig::try_new_exec(&[batches], Arc::clone(&self.schema), projection.cloned())?
            }
            Rows::Stream(read) => {
                let reading = Reading {
                    name: self.name.clone(),
                    schema: Arc::clone(&schema),
                    columns: projection.cloned(),
                    read: Arc::clone(read),
                };
                Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(reading)], None, [], false, limit)?)
            }
        })
    }
}

/// A read of some columns.
struct Reading {
    name: String,
    schema: SchemaRef,
    columns: Option<Vec<usize>>,
    read: ReadRows,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("name", &self.name).field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl PartitionStream for Reading {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        // Where only the number of rows matters, one column is read to count them.
        let columns = match &self.columns {
            Some(columns) if columns.is_empty() => Some(vec![0]),
            other => other.clone(),
        };
        let (name, schema) = (self.name.clone(), Arc::clone(&self.schema));
        let wanted = self.schema.fields().len();
        let rows = match (self.read)(columns) {
            Ok(rows) => rows.map(move |batch| conform(&name, &batch.map_err(external)?, &schema, wanted)).boxed(),
            Err(error) => futures::stream::once(std::future::ready(Err(external(error)))).boxed(),
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The first `wanted` columns of a batch under our schema; they must have its types.
fn conform(name: &str, batch: &RecordBatch, schema: &SchemaRef, wanted: usize) -> Result<RecordBatch> {
    let columns: Vec<_> = batch.columns().iter().take(wanted).cloned().collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| external(Error::internal(format!("`{name}` gives other columns than it declared: {error}"))))
}
