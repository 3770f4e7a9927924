//! Walks a plan from its sources up: where columns come from, and which scans are compared with which.

use super::super::source::Step;
use super::super::{Relation, Sql};
use super::{Graph, NoReach};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column as PlanColumn, DFSchema, JoinType, NullEquality};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, Expr, Filter, Join, LogicalPlan, Operator, Projection, TableScan, Union,
    Volatility,
};
use datafusion::optimizer::Optimizer;
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use std::sync::Arc;

/// Scans of one plan at most, those of steps counted as often as they are read.
const SCANS: usize = 1000;

/// A column of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Column {
    /// The scan's number.
    pub(super) scan: usize,
    /// The column's place in the source.
    pub(super) at: usize,
}

/// Where the values of a column of a node come from; the abilities are said in the page of the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The column of the source.
    pub(super) column: Column,
    /// Its rows know the values.
    pub(super) gives: bool,
    /// Its rows can be selected by the values.
    pub(super) takes: bool,
    /// It may be NULL, and the column of the node with it.
    pub(super) null: bool,
}

/// All that is known of where one column comes from; empty for what is computed.
pub(super) type Origins = Vec<Origin>;

/// The columns of a node, in its order.
type Columns = Vec<Origins>;

/// Collects scans and edges of a relation.
pub(super) struct Tracer<'a> {
    sql: &'a Sql,
    graph: Graph,
    /// Steps around the place, the innermost last.
    steps: Vec<String>,
}

/// Whether equal values of a type are the same value.
pub(super) fn is_exact(kind: &DataType) -> bool {
    !kind.is_floating() && !kind.is_nested()
}

impl<'a> Tracer<'a> {
    /// Knows no scans yet.
    pub(super) fn new(sql: &'a Sql) -> Self {
        Self { sql, graph: Graph::default(), steps: Vec::new() }
    }

    /// What was collected.
    pub(super) fn graph(self) -> Graph {
        self.graph
    }

    /// Where the columns of a relation come from.
    pub(super) fn relation(&mut self, name: &str) -> Result<Columns, NoReach> {
        match self.sql.relations.get(name) {
            Some(Relation::Rows(_)) => match self.sql.schema(name) {
                Some(schema) => self.source(name, &schema),
                None => Err(self.refuse("reads what is broken")),
            },
            Some(Relation::Step { plan, .. }) => {
                self.steps.push(name.to_owned());
                let plan = self.without_subqueries(plan)?;
                let columns = self.node(&plan)?;
                self.steps.pop();
                Ok(columns)
            }
            _ => Err(self.refuse("reads what is broken")),
        }
    }

    fn source(&mut self, name: &str, schema: &Schema) -> Result<Columns, NoReach> {
        if self.graph.len() >= SCANS {
            return Err(self.refuse("reads its sources too often"));
        }
        let scan = self.graph.scan(name, schema.fields().iter().map(|field| field.name().clone()).collect());
        let columns = schema.fields().iter().enumerate().map(|(at, field)| {
            let origin = Origin { column: Column { scan, at }, gives: true, takes: true, null: true };
            if is_exact(field.data_type()) { vec![origin] } else { Vec::new() }
        });
        Ok(columns.collect())
    }

    /// ``step `totals` uses a window function``
    fn refuse(&self, what: &str) -> NoReach {
        let step = self.steps.last().map_or_else(String::new, |step| format!("step `{step}` "));
        NoReach::new(format!("{step}{what}"))
    }

    /// Puts joins in place of EXISTS, IN and scalar subqueries, as far as there are such joins.
    fn without_subqueries(&self, plan: &LogicalPlan) -> Result<LogicalPlan, NoReach> {
        let mut found = false;
        let searched = plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                found |= expr.exists(|expr| Ok(subquery(expr)))?;
                Ok(TreeNodeRecursion::Continue)
            })
        });
        if searched.is_ok() && !found {
            return Ok(plan.clone());
        }
        let rules = Optimizer::with_rules(vec![
            Arc::new(DecorrelatePredicateSubquery::new()),
            Arc::new(ScalarSubqueryToJoin::new()),
        ]);
        let joined = rules.optimize(plan.clone(), &self.sql.state, |_, _| {});
        joined.map_err(|_| self.refuse("uses a subquery that is no join"))
    }

    fn node(&mut self, plan: &LogicalPlan) -> Result<Columns, NoReach> {
        self.check_expressions(plan)?;
        match plan {
            LogicalPlan::TableScan(scan) => self.table_scan(scan),
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::SubqueryAlias(alias) => self.node(&alias.input),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => self.node(input),
            LogicalPlan::Distinct(Distinct::On(_)) => Err(self.refuse("uses `DISTINCT ON`")),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.node(&sort.input),
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => Err(self.refuse("uses `LIMIT`")),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Window(_) => Err(self.refuse("uses a window function")),
            LogicalPlan::RecursiveQuery(_) => Err(self.refuse("uses `WITH RECURSIVE`")),
            LogicalPlan::Unnest(_) => Err(self.refuse("uses `unnest`")),
            LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => Err(self.refuse("makes rows of its own")),
            LogicalPlan::Subquery(_) => Err(self.refuse("uses a subquery that is no join")),
            other => Err(self.refuse(&format!("uses `{}`", other.display()))),
        }
    }

    /// Refuses expressions whose value is not that of the row alone. The constants that subqueries compute are the
    /// exception: their scans have no edges, and are read whole.
    fn check_expressions(&mut self, plan: &LogicalPlan) -> Result<(), NoReach> {
        let (mut wrong, mut constants) = (None, Vec::new());
        let searched = plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::ScalarSubquery(query) if query.outer_ref_columns.is_empty() => {
                        constants.push(Arc::clone(&query.subquery));
                    }
                    _ => wrong = wrong.take().or_else(|| outside(expr)),
                }
                Ok(TreeNodeRecursion::Continue)
            })
        });
        if let Err(error) = searched {
            return Err(self.refuse(&format!("cannot be read: {}", error.strip_backtrace())));
        }
        if let Some(what) = wrong {
            return Err(self.refuse(&what));
        }
        constants.iter().try_for_each(|plan| self.node(plan).map(|_| ()))
    }

    fn table_scan(&mut self, scan: &TableScan) -> Result<Columns, NoReach> {
        if scan.fetch.is_some() {
            return Err(self.refuse("uses `LIMIT`"));
        }
        let Ok(provider) = source_as_provider(&scan.source) else {
            return Err(self.refuse("uses `WITH RECURSIVE`"));
        };
        let all = match provider.downcast_ref::<Step>() {
            Some(step) => self.relation(step.name())?,
            None => self.source(scan.table_name.table(), &provider.schema())?,
        };
        Ok(match &scan.projection {
            Some(columns) => columns.iter().map(|at| all.get(*at).cloned().unwrap_or_default()).collect(),
            None => all,
        })
    }

    fn projection(&mut self, projection: &Projection) -> Result<Columns, NoReach> {
        let input = self.node(&projection.input)?;
        Ok(plain(&projection.expr, projection.input.schema(), &input))
    }

    fn filter(&mut self, filter: &Filter) -> Result<Columns, NoReach> {
        let mut columns = self.node(&filter.input)?;
        let sides = Sides::one(filter.input.schema());
        for part in split_conjunction(&filter.predicate) {
            if let Some(origins) = sides.not_null(part).and_then(|at| columns.get_mut(at)) {
                for origin in origins.iter_mut() {
                    origin.null = false;
                }
            }
        }
        let equal = split_conjunction(&filter.predicate).into_iter().filter_map(|part| sides.equality(part));
        Ok(self.unite(columns, &equal.collect::<Vec<_>>()))
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Columns, NoReach> {
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return Err(self.refuse("uses `ROLLUP`, `CUBE` or `GROUPING SETS`"));
        }
        let input = self.node(&aggregate.input)?;
        let mut columns = plain(&aggregate.group_expr, aggregate.input.schema(), &input);
        columns.resize(aggregate.schema.fields().len(), Vec::new());
        Ok(columns)
    }

    fn union(&mut self, union: &Union) -> Result<Columns, NoReach> {
        let mut columns: Columns = vec![Vec::new(); union.schema.fields().len()];
        for input in &union.inputs {
            let branch = self.node(input)?;
            let kinds = union.schema.fields().iter().zip(input.schema().fields());
            for ((column, origins), (whole, part)) in columns.iter_mut().zip(branch).zip(kinds) {
                if whole.data_type() == part.data_type() {
                    column.extend(origins.into_iter().map(|origin| Origin { gives: false, ..origin }));
                }
            }
        }
        Ok(columns)
    }

    fn join(&mut self, join: &Join) -> Result<Columns, NoReach> {
        use JoinType::{Full, Inner, Left, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi};
        if join.join_type == Full {
            return Err(self.refuse("uses `FULL JOIN`"));
        }
        let (left, right) = (self.node(&join.left)?, self.node(&join.right)?);
        let equal = equalities(join);
        if join.join_type == Inner {
            return Ok(self.unite(joined(left, right), &equal));
        }
        // Both sides are numbered as one; an equality within one side says nothing here.
        let between = |(one, other): &(usize, usize)| {
            let (low, high) = (*one.min(other), *one.max(other));
            Some((left.get(low)?.as_slice(), right.get(high.checked_sub(left.len())?)?.as_slice()))
        };
        let mut compared: Vec<_> = equal.iter().filter_map(between).collect();
        let from_left = matches!(join.join_type, Left | LeftSemi | LeftAnti | LeftMark);
        if !from_left {
            compared = compared.into_iter().map(|(left, right)| (right, left)).collect();
        }
        self.graph.lead(&compared);
        Ok(match join.join_type {
            Left => joined(left, missing(right)),
            Right => joined(missing(left), right),
            LeftMark => joined(left, vec![Vec::new()]),
            RightMark => joined(right, vec![Vec::new()]),
            RightSemi | RightAnti => right,
            _ => left,
        })
    }

    /// The columns where these are equal: they share their origins, and lead to each other.
    fn unite(&mut self, mut columns: Columns, equal: &[(usize, usize)]) -> Columns {
        let classes = classes(equal);
        let mut compared = Vec::new();
        for class in &classes {
            let origins = |at: &usize| columns.get(*at).map(Vec::as_slice);
            for (one, other) in class.iter().flat_map(|one| class.iter().map(move |other| (one, other))) {
                if let (true, Some(one), Some(other)) = (one != other, origins(one), origins(other)) {
                    compared.push((one, other));
                }
            }
        }
        self.graph.lead(&compared);
        for class in &classes {
            let mut shared = share(class.iter().filter_map(|at| columns.get(*at)).flatten());
            for origin in &mut shared {
                origin.null = false;
            }
            for at in class {
                if let Some(column) = columns.get_mut(*at) {
                    column.clone_from(&shared);
                }
            }
        }
        columns
    }
}

/// Which part of a step an expression makes depend on more than the row.
fn outside(expr: &Expr) -> Option<String> {
    match expr {
        Expr::ScalarFunction(call) if call.args.is_empty() && call.func.name() != "pi" => {
            Some(format!("uses the clock (`{}`)", call.func.name()))
        }
        Expr::ScalarFunction(call) if call.func.signature().volatility == Volatility::Volatile => {
            Some(format!("uses `{}`, which gives another result every time", call.func.name()))
        }
        Expr::WindowFunction(_) => Some("uses a window function".to_owned()),
        Expr::OuterReferenceColumn(..) => Some("uses a subquery that is no join".to_owned()),
        Expr::Unnest(_) => Some("uses `unnest`".to_owned()),
        Expr::Placeholder(_) | Expr::ScalarVariable(..) => Some("has a variable without a value".to_owned()),
        expr if subquery(expr) => Some("uses a subquery that is no join".to_owned()),
        _ => None,
    }
}

fn subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_))
}

/// The origins of plain columns and their aliases; none for what is computed.
fn plain(exprs: &[Expr], schema: &DFSchema, input: &Columns) -> Columns {
    let origins = |expr| column(expr).and_then(|column| input.get(position(schema, column)?)).cloned();
    exprs.iter().map(|expr| origins(expr).unwrap_or_default()).collect()
}

fn column(expr: &Expr) -> Option<&PlanColumn> {
    match expr {
        Expr::Alias(alias) => column(&alias.expr),
        Expr::Column(column) => Some(column),
        _ => None,
    }
}

/// The place of a column; `None` unless exactly one has this very name.
fn position(schema: &DFSchema, column: &PlanColumn) -> Option<usize> {
    let same = schema
        .iter()
        .enumerate()
        .filter(|(_, (relation, field))| *relation == column.relation.as_ref() && field.name() == &column.name);
    let mut places = same.map(|(at, _)| at);
    places.next().filter(|_| places.next().is_none())
}

/// The inputs of a node, their columns numbered one after the other.
struct Sides<'a>(Vec<&'a DFSchema>);

impl<'a> Sides<'a> {
    fn one(schema: &'a DFSchema) -> Self {
        Self(vec![schema])
    }

    fn place(&self, column: &PlanColumn) -> Option<(usize, &DataType)> {
        let mut before = 0;
        let mut found = None;
        for schema in &self.0 {
            if let Some(at) = position(schema, column) {
                if found.is_some() {
                    return None;
                }
                found = Some((before + at, schema.fields().get(at)?.data_type()));
            }
            before += schema.fields().len();
        }
        found
    }

    /// The column that is not NULL where this is true.
    fn not_null(&self, expr: &Expr) -> Option<usize> {
        match expr {
            Expr::IsNotNull(inner) => Some(self.place(column(inner)?)?.0),
            _ => None,
        }
    }

    /// Two columns that are the same value where this is true.
    fn equality(&self, expr: &Expr) -> Option<(usize, usize)> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => self.equal(left, right),
            _ => None,
        }
    }

    fn equal(&self, left: &Expr, right: &Expr) -> Option<(usize, usize)> {
        let (left, right) = (self.place(column(left)?)?, self.place(column(right)?)?);
        (left.1 == right.1 && is_exact(left.1)).then_some((left.0, right.0))
    }
}

/// The columns a join compares, those of the right side numbered after those of the left. None where NULL equals NULL, or
/// a NULL on one side empties the other.
fn equalities(join: &Join) -> Vec<(usize, usize)> {
    if join.null_aware {
        return Vec::new();
    }
    let sides = Sides(vec![join.left.schema(), join.right.schema()]);
    let keys = join.on.iter().filter(|_| join.null_equality == NullEquality::NullEqualsNothing);
    let parts = join.filter.iter().flat_map(split_conjunction);
    let keys = keys.filter_map(|(left, right)| sides.equal(left, right));
    keys.chain(parts.filter_map(|part| sides.equality(part))).collect()
}

/// Equal columns, put together as far as equality carries.
fn classes(equal: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut classes: Vec<Vec<usize>> = Vec::new();
    for (one, other) in equal {
        let (joint, mut rest): (Vec<_>, Vec<_>) =
            classes.into_iter().partition(|class| class.contains(one) || class.contains(other));
        let mut class: Vec<usize> = joint.into_iter().flatten().chain([*one, *other]).collect();
        class.sort_unstable();
        class.dedup();
        rest.push(class);
        classes = rest;
    }
    classes
}

/// All origins, each once, with all that it is able to.
fn share<'o>(origins: impl Iterator<Item = &'o Origin>) -> Origins {
    let mut shared: Origins = Vec::new();
    for origin in origins {
        match shared.iter_mut().find(|known| known.column == origin.column) {
            Some(known) => {
                known.gives |= origin.gives;
                known.takes |= origin.takes;
                known.null &= origin.null;
            }
            None => shared.push(*origin),
        }
    }
    shared
}

fn joined(mut left: Columns, right: Columns) -> Columns {
    left.extend(right);
    left
}

/// The columns of a side whose row may be missing.
fn missing(mut columns: Columns) -> Columns {
    for origin in columns.iter_mut().flatten() {
        origin.takes = false;
    }
    columns
}
