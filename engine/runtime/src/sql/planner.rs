//! From a syntax tree to a plan: names are looked up among the relations of the run, as they are written.

use super::exact::make_exact;
use super::source::{Step, Table};
use super::types::{self, Types};
use super::{Relation, Sql};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DataFusionError, Result, TableReference, plan_err};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ExprPlanner, TypePlanner};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF, cast,
};
use datafusion::optimizer::Analyzer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::planner::{ContextProvider, ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{Query, Statement};
use obmen_sdk::{Error, ErrorKind};
use std::sync::Arc;

/// Plans queries over the relations of a run; one of them may be replaced by other rows.
pub(super) struct Planner<'a> {
    sql: &'a Sql,
    instead: Option<(&'a str, Arc<Table>)>,
}

impl<'a> Planner<'a> {
    /// Plans over the relations as they are.
    pub(super) fn new(sql: &'a Sql) -> Self {
        Self { sql, instead: None }
    }

    /// Plans over `rows` where the query says `relation`.
    pub(super) fn with(sql: &'a Sql, relation: &'a str, rows: Arc<Table>) -> Self {
        Self { sql, instead: Some((relation, rows)) }
    }

    /// What a query means, before types are settled.
    pub(super) fn plan(&self, query: &Query) -> Result<LogicalPlan> {
        let options = ParserOptions::from(&self.options().sql_parser);
        SqlToRel::new_with_options(self, options).sql_statement_to_plan(Statement::Query(Box::new(query.clone())))
    }

    /// Settles the types of a plan.
    pub(super) fn settle(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        Analyzer::new().execute_and_check(plan, self.options(), |_, _| {})
    }

    /// The rows of a relation, to build on.
    pub(super) fn scan(&self, relation: &str) -> Result<LogicalPlanBuilder> {
        let name = TableReference::bare(relation);
        LogicalPlanBuilder::scan(name.clone(), self.get_table_source(name)?, None)
    }

    /// How an analyzed plan is computed, its steps put in.
    pub(super) async fn physical(&self, plan: LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        let mut reads = READS;
        self.sql.state.create_physical_plan(&self.sql.with_steps(plan, &mut reads)?).await
    }

    /// The session.
    pub(super) fn state(&self) -> &SessionState {
        &self.sql.state
    }

    fn provider(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        if let Some((relation, rows)) = &self.instead
            && *relation == name
        {
            return Some(Arc::clone(rows) as _);
        }
        match self.sql.relations.get(name)? {
            Relation::Rows(table) => Some(Arc::clone(table) as _),
            Relation::Step { view, .. } => Some(Arc::clone(view) as _),
            Relation::Broken => None,
        }
    }
}

/// Guards what can fail in a settled plan; `relation` is named in messages. Columns whose type cannot leave a query get
/// the one that can; those without such a type stay as they are.
pub(super) fn finish(plan: LogicalPlan, relation: &Arc<str>) -> Result<LogicalPlan> {
    make_exact(leave(plan)?, relation)
}

/// Gives every column a type that may leave a query.
fn leave(plan: LogicalPlan) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let wrong = |kind: &DataType| types::leaving(kind).filter(|right| right != kind);
    if schema.fields().iter().all(|field| wrong(field.data_type()).is_none()) {
        return Ok(plan);
    }
    let columns = schema.iter().map(|(relation, field)| {
        let column = Expr::from((relation, field));
        match wrong(field.data_type()) {
            Some(right) => cast(column, right).alias(field.name()),
            None => column,
        }
    });
    LogicalPlanBuilder::from(plan).project(columns.collect::<Vec<_>>())?.build()
}

/// How often one plan may read steps, those inside steps counted again each time.
const READS: usize = 1000;

impl Sql {
    /// The plan with the plans of steps in place of scans of them. A step that is read several times is computed several
    /// times, and so is what it reads; `reads` counts down.
    fn with_steps(&self, plan: LogicalPlan, reads: &mut usize) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
            let provider = source_as_provider(&scan.source)?;
            let Some(step) = provider.downcast_ref::<Step>() else { return Ok(Transformed::no(node)) };
            let inner = match self.relations.get(step.name()) {
                Some(Relation::Step { plan, .. }) => {
                    *reads = reads.checked_sub(1).ok_or_else(|| too_many_reads(step.name()))?;
                    self.with_steps(plan.as_ref().clone(), reads)?
                }
                // The step was computed meanwhile, and its rows took its place.
                Some(Relation::Rows(table)) => {
                    let source = provider_as_source(Arc::clone(table) as _);
                    LogicalPlanBuilder::scan(step.name(), source, None)?.build()?
                }
                _ => return plan_err!("the step `{}` is gone", step.name()),
            };
            Ok(Transformed::yes(LogicalPlanBuilder::from(inner).alias(scan.table_name.clone())?.build()?))
        })
        .data()
    }
}

fn too_many_reads(step: &str) -> DataFusionError {
    let message = format!(
        "`{step}` and the steps it reads are read more than {READS} times by one query, and computed each time: \
         join them once instead of step by step"
    );
    DataFusionError::External(Box::new(Error::new(ErrorKind::Exhausted, message)))
}

impl ContextProvider for Planner<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let Some(provider) = self.provider(name.table()) else {
            return plan_err!("there is no relation `{}`", name.table());
        };
        Ok(provider_as_source(provider))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.sql.functions.planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(Types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.sql.functions.scalar(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.sql.functions.aggregate(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.sql.functions.window(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.sql.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.sql.functions.names().map(str::to_owned).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
