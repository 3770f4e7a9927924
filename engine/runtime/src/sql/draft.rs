//! From the text of a step or condition to its plan, with all mistakes on the way.
//!
//! The planner stops at the first mistake it meets. To find the others, what is wrong is reported,
//! replaced (by what was probably meant, or by NULL), and the query is planned again. Once something
//! was replaced, only mistakes of names are believed: types may be wrong because of the replacement.

use super::mistakes::{self, Mistake};
use super::place::Places;
use super::planner::{Planner, finish};
use super::rules::Purpose;
use super::{Relation, Sql, dialect, references, repair, rules, types, vars};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, TableReference};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::sql::sqlparser::ast::{Query, SelectItem, SetExpr, Spanned, Statement};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;
use obmen_diagnostics::{Problems, code};
use obmen_spec::{SqlText, name};
use std::sync::Arc;

/// How often a query is mended and planned again.
const ATTEMPTS: usize = 32;

/// A query on its way to a plan.
pub(super) struct Draft<'a> {
    planner: Planner<'a>,
    places: Places<'a>,
    query: Query,
    /// Something wrong was replaced: the query is not what the user wrote any more.
    mended: bool,
}

impl<'a> Draft<'a> {
    /// Reads a step's query. `None` if it cannot be planned at all, or reads what is broken elsewhere.
    pub(super) fn step(sql: &'a Sql, text: &'a SqlText, problems: &mut Problems) -> Option<Self> {
        let places = Places::new(text);
        let statements = match dialect::statements(&text.text) {
            Ok(statements) => statements,
            Err(error) => {
                problems.error(code::SQL_SYNTAX, places.word(error.at), error.message);
                return None;
            }
        };
        let query = one_query(statements, places, problems)?;
        Self::new(Planner::new(sql), sql, places, query, Purpose::Step, problems)
    }

    /// Reads a condition on the rows of a relation, which `planner` knows.
    pub(super) fn condition(
        planner: Planner<'a>,
        sql: &'a Sql,
        relation: &str,
        text: &'a SqlText,
        problems: &mut Problems,
    ) -> Option<Self> {
        let places = Places::new(text);
        let expr = match dialect::condition(&text.text) {
            Ok(expr) => expr,
            Err(error) => {
                problems.error(code::SQL_SYNTAX, places.word(error.at), error.message);
                return None;
            }
        };
        let query = dialect::query_of_condition(expr, relation)?;
        Self::new(planner, sql, places, query, Purpose::Condition, problems)
    }

    fn new(
        planner: Planner<'a>,
        sql: &'a Sql,
        places: Places<'a>,
        query: Query,
        purpose: Purpose,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut draft = Self { planner, places, query, mended: false };
        let mut found = Problems::new();
        let calls = rules::check(&draft.query, purpose, &sql.functions, places, &mut found);
        repair::without_calls(&mut draft.query, &calls);
        vars::bind(&mut draft.query, &sql.vars, places, &mut found);
        let known = draft.relations(sql, purpose, &mut found);
        draft.mended = found.has_errors();
        problems.extend(found);
        known.then_some(draft)
    }

    /// Looks up the relations; `false` if the query cannot be looked at any further.
    fn relations(&mut self, sql: &Sql, purpose: Purpose, problems: &mut Problems) -> bool {
        let mut whole = true;
        for (relation, at) in references::relations(&self.query) {
            // The relation of a condition is not part of its text; the caller looks it up.
            let given = purpose == Purpose::Condition && at == TokenSpan::empty();
            match sql.relations.get(&relation) {
                _ if given => {}
                Some(Relation::Broken) => whole = false,
                Some(_) => {}
                None => {
                    let place = self.places.of(at);
                    let problem =
                        problems.error(code::UNKNOWN_RELATION, place, format!("there is no relation `{relation}`"));
                    let known = sql.relations.iter().filter(|(_, known)| !matches!(known, Relation::Broken));
                    if let Some(near) = name::suggest(&relation, sql.relations.keys().map(String::as_str)) {
                        problem.help(format!("did you mean `{near}`?")).fix(place, near);
                        if known.clone().any(|(name, _)| name == near) {
                            repair::replace_relation(&mut self.query, at, near);
                            continue;
                        }
                    } else {
                        let names: Vec<String> = known.take(20).map(|(name, _)| format!("`{name}`")).collect();
                        if names.is_empty() {
                            problem.help("declare it under `sources`");
                        } else {
                            problem.help(format!("there are: {}", names.join(", ")));
                        }
                    }
                    whole = false;
                }
            }
        }
        whole
    }

    /// Plans the query; reports every mistake that can be found. `None` if there was one.
    pub(super) fn plan(mut self, relation: &Arc<str>, problems: &mut Problems) -> Option<Planned<'a>> {
        for _ in 0..ATTEMPTS {
            let error = match self.planner.plan(&self.query) {
                Ok(plan) => return self.settle(plan, relation, problems),
                Err(error) => error,
            };
            if !self.mend(&error, problems) {
                return None;
            }
        }
        None
    }

    /// Reports the mistakes in an error and takes those of names out of the query. Whether that changed it.
    fn mend(&mut self, error: &DataFusionError, problems: &mut Problems) -> bool {
        let mut changed = false;
        for mistake in mistakes::of_planning(error) {
            match &mistake {
                Mistake::Column { column, at, known } => {
                    let table = column.relation.as_ref().map(TableReference::table);
                    for at in self.columns(*at, table, &column.name) {
                        mistakes::report(&mistake, Some(at), self.places, problems);
                        let meant = mistakes::meant(column, known);
                        changed |= repair::replace_column(&mut self.query, at, meant);
                    }
                }
                Mistake::Ambiguous { column, at } => {
                    for at in self.columns(*at, None, &column.name) {
                        mistakes::report(&mistake, Some(at), self.places, problems);
                        changed |= repair::replace_column(&mut self.query, at, None);
                    }
                }
                Mistake::Other { .. } if self.mended => {}
                Mistake::Other { at, .. } => {
                    let at = at.or_else(|| self.culprit(error));
                    mistakes::report(&mistake, at, self.places, problems);
                }
            }
        }
        self.mended = true;
        changed
    }

    /// Where a column stands: where the planner says, or everywhere it is written.
    fn columns(&self, at: Option<TokenSpan>, relation: Option<&str>, name: &str) -> Vec<TokenSpan> {
        let written = repair::places_of_column(&self.query, relation, name);
        match at {
            Some(at) if written.contains(&at) => vec![at],
            _ => written,
        }
    }

    /// The part of the query an error is about.
    fn culprit(&self, error: &DataFusionError) -> Option<TokenSpan> {
        let text = error.strip_backtrace();
        let relation = Arc::from("");
        repair::culprit(&self.query, |query| {
            let planned = self.planner.plan(query).and_then(|plan| self.planner.settle(plan));
            let planned = planned.and_then(|plan| finish(plan, &relation));
            planned.is_err_and(|other| other.strip_backtrace() == text)
        })
    }

    fn settle(self, plan: LogicalPlan, relation: &Arc<str>, problems: &mut Problems) -> Option<Planned<'a>> {
        if self.mended {
            return None;
        }
        let mut warnings = Problems::new();
        compared_kinds(&plan, self.places, &mut warnings);
        match self.planner.settle(plan) {
            Ok(plan) => {
                problems.extend(warnings);
                Some(Planned { draft: self, plan, relation: Arc::clone(relation) })
            }
            Err(error) => {
                self.report(&error, problems);
                None
            }
        }
    }

    fn report(&self, error: &DataFusionError, problems: &mut Problems) {
        for mistake in mistakes::of_planning(error) {
            let at = match &mistake {
                Mistake::Column { at, .. } | Mistake::Ambiguous { at, .. } | Mistake::Other { at, .. } => *at,
            };
            mistakes::report(&mistake, at.or_else(|| self.culprit(error)), self.places, problems);
        }
    }
}

/// A query with settled types.
pub(super) struct Planned<'a> {
    draft: Draft<'a>,
    plan: LogicalPlan,
    relation: Arc<str>,
}

impl Planned<'_> {
    /// The plan of a step: columns with types that may leave it, each with a name of its own.
    pub(super) fn step(self, problems: &mut Problems) -> Option<LogicalPlan> {
        let items = items(&self.draft.query);
        let place = |column: usize| {
            let item = items.as_ref().and_then(|items| items.get(column));
            item.map_or_else(|| self.draft.places.whole(), |item| self.draft.places.of(item.span()))
        };
        let fields = self.plan.schema().fields().clone();
        let mut fine = true;
        for (at, field) in fields.iter().enumerate() {
            if fields.iter().take(at).any(|other| other.name() == field.name()) {
                let message = format!("the result has two columns `{}`", field.name());
                problems
                    .error(code::AMBIGUOUS_COLUMN, place(at), message)
                    .help("give one of them another name with AS");
                fine = false;
            }
            if types::leaving(field.data_type()).is_none() {
                let message = format!(
                    "column `{}` is of type {}, which no column has",
                    field.name(),
                    types::name(field.data_type())
                );
                problems
                    .error(code::SQL_TYPE, place(at), message)
                    .help("cast it to a type of `columns:`, like `CAST(x AS string)`");
                fine = false;
            }
        }
        self.warn_of_nameless(items.as_deref(), problems);
        if !fine {
            return None;
        }
        self.finish(problems)
    }

    /// The expression of a condition, which is true, false or NULL.
    pub(super) fn condition(self, problems: &mut Problems) -> Option<Expr> {
        let field = Arc::clone(self.plan.schema().fields().first()?);
        if *field.data_type() != DataType::Boolean {
            let message = format!("the condition is {}, expected true or false", types::a(field.data_type()));
            problems
                .error(code::SQL_TYPE, self.draft.places.whole(), message)
                .help("write a comparison, like `price > 0`");
            return None;
        }
        let LogicalPlan::Projection(projection) = self.finish(problems)? else { return None };
        projection.expr.into_iter().next().map(Expr::unalias)
    }

    /// Guards the plan and looks whether it can be carried out: some queries fail only when it comes to that.
    fn finish(self, problems: &mut Problems) -> Option<LogicalPlan> {
        let computable = |plan: LogicalPlan| {
            super::ready(self.draft.planner.state().create_physical_plan(&plan))?;
            Ok(plan)
        };
        match finish(self.plan, &self.relation).and_then(computable) {
            Ok(plan) => Some(plan),
            Err(error) => {
                self.draft.report(&error, problems);
                None
            }
        }
    }

    fn warn_of_nameless(&self, items: Option<&[SelectItem]>, problems: &mut Problems) {
        use datafusion::sql::sqlparser::ast::Expr as Written;
        for item in items.unwrap_or_default() {
            if let SelectItem::UnnamedExpr(expr) = item
                && !matches!(expr, Written::Identifier(_) | Written::CompoundIdentifier(_))
            {
                let place = self.draft.places.of(expr.span());
                problems
                    .warning(code::SQL_NOT_ALLOWED, place, "the column has no name that other steps could use")
                    .help("give it one: `… AS name`");
            }
        }
    }
}

fn one_query(statements: Vec<Statement>, places: Places<'_>, problems: &mut Problems) -> Option<Query> {
    let mut statements = statements.into_iter();
    let problem = match (statements.next(), statements.next()) {
        (Some(Statement::Query(query)), None) => return Some(*query),
        (None, _) => problems.error(code::SQL_SYNTAX, places.whole(), "the step has no query"),
        (Some(_), Some(_)) => problems.error(code::SQL_NOT_ALLOWED, places.whole(), "a step is one query, not several"),
        (Some(_), None) => {
            problems.error(code::SQL_NOT_ALLOWED, places.word(Some((1, 1))), "a step is a SELECT and changes nothing")
        }
    };
    problem.help("write one SELECT; rows reach other systems through `sinks`");
    None
}

/// The items of a plain `SELECT a, b, …` without `*`, which are its columns one by one.
fn items(query: &Query) -> Option<Vec<SelectItem>> {
    let mut body = query.body.as_ref();
    while let SetExpr::SetOperation { left, .. } = body {
        body = left;
    }
    let SetExpr::Select(select) = body else { return None };
    let wild = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
    (!select.projection.iter().any(wild)).then(|| select.projection.clone())
}

/// Warns of a UNION that makes one column of texts and numbers.
fn mixed_kinds(inputs: &[Arc<LogicalPlan>], places: Places<'_>, problems: &mut Problems) {
    let Some((first, others)) = inputs.split_first() else { return };
    for (at, field) in first.schema().fields().iter().enumerate() {
        let kinds = others.iter().filter_map(|other| other.schema().fields().get(at).map(|field| field.data_type()));
        let differ = |one: &DataType, two: &DataType| types::is_text(one) && types::is_number(two);
        let one = field.data_type();
        if let Some(two) = kinds.into_iter().find(|two| differ(one, two) || differ(two, one)) {
            let message = format!(
                "`{}` is {} in one part of UNION and {} in another",
                field.name(),
                types::a(one),
                types::a(two)
            );
            problems
                .warning(code::SQL_TYPE, places.whole(), message)
                .help("cast one of them, so that it is clear what the column is: `CAST(x AS string)`");
        }
    }
}

/// Warns of texts compared with numbers: one side is converted row by row, and `'007'` equals 7 or does not.
fn compared_kinds(plan: &LogicalPlan, places: Places<'_>, problems: &mut Problems) {
    let warn = |left: &Expr, right: &Expr, schema: &DFSchema, problems: &mut Problems| {
        let (Ok(one), Ok(two)) = (left.get_type(schema), right.get_type(schema)) else { return };
        let differ = |text: &DataType, number: &DataType| types::is_text(text) && types::is_number(number);
        if !differ(&one, &two) && !differ(&two, &one) {
            return;
        }
        let spans = [left, right].into_iter().find_map(|side| side.spans().and_then(datafusion::common::Spans::first));
        let place = spans.map_or_else(|| places.whole(), |span| places.of_plan(span));
        let message = format!("{} is compared with {}", types::a(&one), types::a(&two));
        problems
            .warning(code::SQL_TYPE, place, message)
            .help("cast one side, so that it is clear how they are compared: `CAST(x AS string)`");
    };
    // Looking never fails: types that cannot be told are passed over.
    let _whole = plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        if let LogicalPlan::Union(union) = node {
            mixed_kinds(&union.inputs, places, problems);
        }
        for expr in node.expressions() {
            expr.apply(|part| {
                match part {
                    Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
                        warn(left, right, &schema, problems);
                    }
                    Expr::InList(list) => {
                        if let Some(item) = list.list.first() {
                            warn(&list.expr, item, &schema, problems);
                        }
                    }
                    Expr::Between(between) => warn(&between.expr, &between.low, &schema, problems),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    });
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}
