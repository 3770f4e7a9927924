//! SQL of one run: steps, conditions, exact values, bounded memory. The only place that knows DataFusion.
//!
//! A [`Sql`] has sources ([`add_source`](Sql::add_source)) and steps ([`add_step`](Sql::add_step)), each by the name
//! it has in the pipeline, exactly as it is written there. Planning finds all mistakes, with their places in the
//! YAML file; rows come out of [`stream`](Sql::stream). What the language is and how it differs from DataFusion's
//! is said in the README of `engine/runtime`.
//!
//! ```text
//! text ── dialect ─▶ tree ── rules, vars ─▶ tree ── planner ─▶ plan ── exact ─▶ plan ── stream ─▶ rows
//!                     └──────────── draft: mends the tree and goes on after each mistake ────────────┘
//! ```

mod dialect;
mod draft;
mod exact;
mod failure;
mod functions;
mod join;
mod mistakes;
mod place;
mod planner;
mod reach;
mod references;
mod repair;
mod rules;
mod session;
mod source;
#[cfg(test)]
mod tests;
mod types;
mod vars;

pub use reach::{FromKey, Hop, NoReach, Reach, ScanReach, ToKey};
pub use references::{References, references, references_of_condition};
pub use source::{ReadRows, Rows};
pub use vars::VarValue;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DataFusionError};
use datafusion::datasource::source_as_provider;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ScalarUDF};
use datafusion::physical_plan::execute_stream;
use draft::Draft;
use exact::{Cast, Guarded, Loss, Target, Words};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use obmen_diagnostics::Problems;
use obmen_sdk::types::{arrow_field, arrow_type};
use obmen_sdk::{Error, Result};
use obmen_spec::{ColumnType, SqlText};
use planner::Planner;
use source::{Step, Table, marked, unmarked};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The name of the column that remembers the order of rows in [`Sql::evaluate`].
const ROW: &str = "obmen.row";

/// What a session may use, and when it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes that queries may hold at a time, all together.
    pub memory: usize,
    /// A folder for what does not fit in memory; made if it is not there. What a session puts there goes with it.
    pub spill: PathBuf,
    /// The run's clock: `now()`, `current_date`.
    pub now: DateTime<Utc>,
    /// Queries are computed in this many parts at a time.
    pub threads: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
}

/// The relations of one run.
///
/// Cheap to make: functions are shared by the process.
pub struct Sql {
    state: SessionState,
    functions: functions::Functions,
    vars: BTreeMap<String, VarValue>,
    relations: BTreeMap<String, Relation>,
}

enum Relation {
    Rows(Arc<Table>),
    Step {
        /// What the step computes; other steps stand in it as scans.
        plan: Arc<LogicalPlan>,
        view: Arc<Step>,
    },
    /// Something is wrong with it, and was reported where it is.
    Broken,
}

/// Rows of a relation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The relation.
    pub relation: String,
    /// Its columns, in this order; `None`: all, in its own.
    pub columns: Option<Vec<String>>,
    /// Further columns: whether a condition is true. NULL counts as false.
    pub flags: Vec<(String, SqlText)>,
    /// Types that columns are to have. A value that would lose something is an error.
    pub casts: Vec<(String, ColumnType)>,
}

/// The functions a query can call, by name, each with how it is written (`upper(str)`) where that is known.
pub fn functions() -> Vec<(String, Option<String>)> {
    functions::all()
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relations: Vec<&String> = self.relations.keys().collect();
        f.debug_struct("Sql").field("relations", &relations).finish_non_exhaustive()
    }
}

impl Sql {
    /// A session without relations.
    ///
    /// # Errors
    /// Those of the disk if the folder `spill` cannot be made.
    pub fn new(options: Options) -> Result<Self> {
        std::fs::create_dir_all(&options.spill)
            .map_err(|error| Error::from(error).with("file", options.spill.display()))?;
        let functions = functions::Functions::new(options.now);
        let state = session::open(options, &functions).map_err(|error| Error::internal(error.strip_backtrace()))?;
        Ok(Self { state, functions, vars: BTreeMap::new(), relations: BTreeMap::new() })
    }

    /// Sets a var, `$name` in SQL. Must be set before the steps that use it are added.
    pub fn var(&mut self, name: &str, value: VarValue) {
        self.vars.insert(name.to_owned(), value);
    }

    /// Adds a source, or the rows of a step that were computed before. All columns are nullable; those of `key` name
    /// the row in messages.
    ///
    /// # Errors
    /// `SchemaMismatch` if two columns have one name.
    #[expect(clippy::needless_pass_by_value, reason = "schemas are handed on, cheap to clone")]
    pub fn add_source(&mut self, name: &str, schema: SchemaRef, key: &[String], rows: Rows) -> Result<()> {
        for (at, field) in schema.fields().iter().enumerate() {
            if schema.fields().iter().take(at).any(|other| other.name() == field.name()) {
                let message = format!("`{name}` has two columns `{}`", field.name());
                return Err(Error::new(obmen_sdk::ErrorKind::SchemaMismatch, message));
            }
        }
        let table = Table::new(name, marked(&schema, key), rows);
        self.relations.insert(name.to_owned(), Relation::Rows(Arc::new(table)));
        Ok(())
    }

    /// Adds a name whose relation is wrong for reasons reported elsewhere: what reads it gives `None` in silence.
    pub fn add_broken(&mut self, name: &str) {
        self.relations.insert(name.to_owned(), Relation::Broken);
    }

    /// Plans a step and adds it under its name; gives its columns.
    ///
    /// Everything it reads must have been added before. Mistakes are reported at their places, all that can be found;
    /// the name is broken then.
    pub fn add_step(&mut self, name: &str, sql: &SqlText, problems: &mut Problems) -> Option<SchemaRef> {
        let relation: Arc<str> = Arc::from(name);
        let planned = Draft::step(self, sql, problems).and_then(|draft| draft.plan(&relation, problems));
        let Some(plan) = planned.and_then(|planned| planned.step(problems)) else {
            self.add_broken(name);
            return None;
        };
        let columns = marked_keys(plan.schema().as_arrow());
        let step = Relation::Step { plan: Arc::new(plan), view: Arc::new(Step::new(name, columns)) };
        self.relations.insert(name.to_owned(), step);
        self.schema(name)
    }

    /// Whether computing a relation takes more than a look at each of its sources' rows.
    pub(crate) fn is_costly(&self, relation: &str) -> bool {
        let Some(Relation::Step { plan, .. }) = self.relations.get(relation) else { return false };
        let looked = plan.exists(|node| {
            Ok(match node {
                LogicalPlan::TableScan(scan) => {
                    let provider = source_as_provider(&scan.source)?;
                    provider.downcast_ref::<Step>().is_some_and(|step| self.is_costly(step.name()))
                }
                LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
                    node.expressions().iter().any(has_subquery)
                }
                _ => true,
            })
        });
        looked.unwrap_or(true)
    }

    /// Puts the rows of a step, computed before, in its place.
    ///
    /// # Errors
    /// `NotFound` if there is no such step.
    pub(crate) fn replace(&mut self, step: &str, rows: Rows) -> Result<()> {
        use datafusion::catalog::TableProvider;
        let Some(Relation::Step { view, .. }) = self.relations.get(step) else {
            return Err(missing(format!("there is no step `{step}`")));
        };
        let table = Table::new(step, view.schema(), rows);
        self.relations.insert(step.to_owned(), Relation::Rows(Arc::new(table)));
        Ok(())
    }

    /// The columns of a relation; `None` if there is none or it is broken.
    pub fn schema(&self, relation: &str) -> Option<SchemaRef> {
        self.columns(relation).map(|schema| unmarked(&schema))
    }

    fn columns(&self, relation: &str) -> Option<SchemaRef> {
        use datafusion::catalog::TableProvider;
        match self.relations.get(relation)? {
            Relation::Rows(table) => Some(table.schema()),
            Relation::Step { view, .. } => Some(view.schema()),
            Relation::Broken => None,
        }
    }

    /// Reports what is wrong with a condition on the rows of a relation (`expect`, `scope`): it must be true or false.
    /// Gives whether it is right. A broken relation gives `false` in silence.
    pub fn check_condition(&self, relation: &str, condition: &SqlText, problems: &mut Problems) -> bool {
        self.columns(relation).is_some() && self.condition(Planner::new(self), relation, condition, problems).is_some()
    }

    fn condition(&self, planner: Planner<'_>, relation: &str, text: &SqlText, problems: &mut Problems) -> Option<Expr> {
        let name: Arc<str> = Arc::from(relation);
        let draft = Draft::condition(planner, self, relation, text, problems)?;
        draft.plan(&name, problems)?.condition(problems)
    }

    /// The condition of a running query, which was checked before.
    fn checked(&self, planner: Planner<'_>, relation: &str, text: &SqlText) -> Result<Expr> {
        let mut problems = Problems::new();
        self.condition(planner, relation, text, &mut problems).ok_or_else(|| {
            let first = problems.iter().next().map_or("it reads what is broken", |problem| problem.message.as_str());
            Error::invalid_data(format!("the condition `{}` on `{relation}` is wrong: {first}", text.text.trim()))
        })
    }

    /// Computes the rows of a relation, in no particular order.
    ///
    /// Columns have the types of [`obmen_sdk::types`]. Dropping the stream stops the query and frees what it held.
    ///
    /// # Errors
    /// `NotFound` for a relation or column that is not there, `InvalidData` for a value that cannot be computed
    /// (overflow, division by zero, a cast; the message names the row), `Exhausted`, and those of the sources; also as
    /// items of the stream, after which it ends.
    pub async fn stream(&self, query: Query) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let planner = Planner::new(self);
        let (plan, schema) = self.plan(&planner, &query)?;
        self.run(&planner, plan, schema, query.relation).await
    }

    /// Whether a condition is true, for rows that are not those of the relation now (old values, say). The rows have
    /// columns of the relation's names. NULL counts as false.
    ///
    /// # Errors
    /// As for [`stream`](Self::stream).
    pub async fn evaluate(&self, relation: &str, rows: &RecordBatch, condition: &SqlText) -> Result<Vec<bool>> {
        let count = rows.num_rows();
        let order = Int64Array::from_iter_values(0..i64::try_from(count).unwrap_or(i64::MAX));
        let fields = rows.schema_ref().fields().iter().map(|field| field.as_ref().clone());
        let fields: Vec<Field> = fields.chain([Field::new(ROW, DataType::Int64, true)]).collect();
        let schema = Arc::new(Schema::new(fields));
        let columns = rows.columns().iter().cloned().chain([Arc::new(order) as _]).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let table = Arc::new(Table::new(relation, marked(&schema, &[]), Rows::Memory(vec![batch])));
        let planner = || Planner::with(self, relation, Arc::clone(&table));
        let condition = self.checked(planner(), relation, condition)?;
        let failed = |error| failure::of_running(error, relation);
        let row = Expr::Column(Column::new(Some(relation), ROW));
        let plan = planner().scan(relation).and_then(|scan| scan.project([row, condition.is_true().alias("true")]));
        let plan = plan.and_then(LogicalPlanBuilder::build).map_err(failed)?;
        let schema = Arc::clone(plan.schema().inner());
        let batches: Vec<RecordBatch> =
            self.run(&planner(), plan, schema, relation.to_owned()).await?.try_collect().await?;
        let mut holds = vec![false; count];
        for batch in &batches {
            let (order, flags) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_boolean());
            for at in 0..batch.num_rows() {
                if let Some(row) = usize::try_from(order.value(at)).ok().and_then(|row| holds.get_mut(row)) {
                    *row = flags.is_valid(at) && flags.value(at);
                }
            }
        }
        Ok(holds)
    }

    /// The plan of a query and the columns it gives.
    fn plan(&self, planner: &Planner<'_>, query: &Query) -> Result<(LogicalPlan, SchemaRef)> {
        let relation = query.relation.as_str();
        let known = self.columns(relation).ok_or_else(|| missing(format!("there is no relation `{relation}`")))?;
        let all = || known.fields().iter().map(|field| field.name().clone()).collect();
        let columns: Vec<String> = query.columns.clone().unwrap_or_else(all);
        let (mut fields, mut exprs) = (Vec::new(), Vec::new());
        for name in &columns {
            let field = known.field_with_name(name);
            let field = field.map_err(|_| missing(format!("`{relation}` has no column `{name}`")))?;
            let column = Expr::Column(Column::new(Some(relation), name));
            if let Some((_, kind)) = query.casts.iter().find(|(cast, _)| cast == name) {
                exprs.push(declared(column, name, *kind, relation, &known));
                fields.push(arrow_field(name, *kind));
            } else {
                exprs.push(column);
                fields.push(field.clone());
            }
        }
        for (name, condition) in &query.flags {
            let condition = self.checked(Planner::new(self), relation, condition)?;
            exprs.push(condition.is_true().alias(name));
            fields.push(Field::new(name, DataType::Boolean, true));
        }
        let plan = planner.scan(relation).and_then(|scan| scan.project(exprs)).and_then(LogicalPlanBuilder::build);
        let plan = plan.map_err(|error| failure::of_running(error, relation))?;
        Ok((plan, unmarked(&Schema::new(fields))))
    }

    async fn run(
        &self,
        planner: &Planner<'_>,
        plan: LogicalPlan,
        schema: SchemaRef,
        relation: String,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let failed = |error: DataFusionError, relation: &str| failure::of_running(error, relation);
        let physical = planner.physical(plan).await.map_err(|error| failed(error, &relation))?;
        let context = Arc::new(TaskContext::from(&self.state));
        let rows = execute_stream(physical, context).map_err(|error| failed(error, &relation))?;
        let rows = rows.map(move |batch| {
            let batch = batch.map_err(|error| failure::of_running(error, &relation))?;
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(&schema), batch.columns().to_vec(), &options)
                .map_err(|error| Error::internal(format!("`{relation}` gives other columns than planned: {error}")))
        });
        Ok(end_after_error(rows.boxed()))
    }
}

/// The key of a step's rows, for messages, is that of the sources it passes on.
fn marked_keys(schema: &Schema) -> SchemaRef {
    let key: Vec<String> = schema
        .fields()
        .iter()
        .filter(|field| field.metadata().contains_key(exact::KEY))
        .map(|field| field.name().clone())
        .collect();
    marked(schema, &key)
}

/// Values in another type, as a declared column takes them: unchanged, or not at all. NULL where a value cannot be taken.
pub(crate) fn taken_exactly(values: &ArrayRef, kind: &DataType) -> ArrayRef {
    let cast = Cast::new(Target::Type(kind.clone()), Loss::Refused, true);
    cast.apply(values).unwrap_or_else(|_| new_null_array(kind, values.len()))
}

/// A column cast to a declared type.
fn declared(column: Expr, name: &str, kind: ColumnType, relation: &str, known: &Schema) -> Expr {
    let target = match kind {
        ColumnType::Uuid => Target::Uuid,
        ColumnType::Json => Target::Json,
        other => Target::Type(arrow_type(other)),
    };
    let cast = Arc::new(ScalarUDF::from(Cast::new(target, Loss::Refused, false)));
    let marked = known.fields().iter().filter(|field| field.metadata().contains_key(exact::KEY));
    let key: Vec<String> = marked.map(|field| field.name().clone()).collect();
    let args =
        std::iter::once(column).chain(key.iter().map(|name| Expr::Column(Column::new(Some(relation), name)))).collect();
    let words = Words { relation: Arc::from(relation), text: name.to_owned() };
    let guarded = Guarded::new(cast, words, vec![name.to_owned()], key);
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(guarded)), args)).alias(name)
}

fn has_subquery(expr: &Expr) -> bool {
    let subquery = |part: &Expr| Ok(matches!(part, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_)));
    expr.exists(subquery).unwrap_or(true)
}

fn missing(message: String) -> Error {
    Error::new(obmen_sdk::ErrorKind::NotFound, message)
}

/// The stream up to and with its first error.
fn end_after_error(rows: BoxStream<'static, Result<RecordBatch>>) -> BoxStream<'static, Result<RecordBatch>> {
    rows.scan(false, |failed, batch| {
        let next = (!*failed).then_some(batch);
        *failed |= matches!(next, Some(Err(_)));
        std::future::ready(next)
    })
    .boxed()
}

/// The result of a future that waits for nothing outside: planning is asynchronous only in form.
fn ready<T>(future: impl Future<Output = Result<T, DataFusionError>>) -> Result<T, DataFusionError> {
    /// Long plans give way to others now and then.
    const POLLS: usize = 100_000;
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..POLLS {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
    }
    Err(DataFusionError::Internal("planning waits for something".to_owned()))
}
