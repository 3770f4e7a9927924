//! What a query may not say: statements other than one SELECT, clauses that would be read and ignored,
//! functions that do not exist or whose result is not always the same, relations that do not exist.

use super::exact::decimal;
use super::functions::{Functions, Known};
use super::place::Places;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArgumentClause, FunctionArguments, GroupByExpr, JoinConstraint,
    JoinOperator, LimitClause, ObjectName, OrderBy, OrderByKind, Query, Select, SelectFlavor, SetExpr, Spanned,
    TableFactor, Value, ValueWithSpan, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;
use obmen_diagnostics::{Problems, code};
use obmen_spec::name;
use std::ops::ControlFlow;

/// What a piece of SQL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A step: one query.
    Step,
    /// A condition on one row.
    Condition,
}

/// Reports everything a query may not say. Gives the places of calls of functions that do not exist, which
/// have to be taken out before the rest can be looked at.
pub(super) fn check(
    query: &Query,
    purpose: Purpose,
    functions: &Functions,
    places: Places<'_>,
    problems: &mut Problems,
) -> Vec<TokenSpan> {
    let mut checker = Checker { purpose, functions, places, problems, unknown: Vec::new(), depth: 0 };
    let _unbroken: ControlFlow<()> = query.visit(&mut checker);
    checker.unknown
}

struct Checker<'a> {
    purpose: Purpose,
    functions: &'a Functions,
    places: Places<'a>,
    problems: &'a mut Problems,
    unknown: Vec<TokenSpan>,
    /// Queries around the place: 1 is the step itself, or the query a condition is planned as.
    depth: usize,
}

impl Checker<'_> {
    fn refuse(&mut self, span: TokenSpan, what: &str, instead: &str) {
        let place = self.places.of(span);
        let problem = self.problems.error(code::SQL_NOT_ALLOWED, place, what);
        if !instead.is_empty() {
            problem.help(instead);
        }
    }

    /// Refuses a clause that would be read and ignored.
    fn ignored(&mut self, present: bool, clause: &str, span: TokenSpan) {
        if present {
            self.refuse(span, &format!("`{clause}` would have no effect here"), "take it out");
        }
    }

    fn query(&mut self, query: &Query) {
        let span = query.span();
        self.ignored(!query.locks.is_empty(), "FOR UPDATE", span);
        self.ignored(query.for_clause.is_some(), "FOR", span);
        self.ignored(query.settings.is_some(), "SETTINGS", span);
        self.ignored(query.format_clause.is_some(), "FORMAT", span);
        if query.fetch.is_some() {
            self.refuse(span, "`FETCH` is not available", "write `LIMIT n`");
        }
        if !query.pipe_operators.is_empty() {
            self.refuse(span, "`|>` is not available", "write the query with SELECT");
        }
        if let Some(LimitClause::LimitOffset { limit_by, .. }) = &query.limit_clause {
            self.ignored(!limit_by.is_empty(), "LIMIT BY", span);
        }
        if let Some(OrderBy { kind, interpolate }) = &query.order_by {
            self.ignored(interpolate.is_some(), "INTERPOLATE", span);
            match kind {
                OrderByKind::All(_) => self.refuse(span, "`ORDER BY ALL` is not available", "name the columns"),
                OrderByKind::Expressions(keys) => {
                    self.ignored(keys.iter().any(|key| key.with_fill.is_some()), "WITH FILL", span);
                }
            }
        } else if query.limit_clause.is_some() && self.depth == 1 {
            let place = self.places.of(query.limit_clause.as_ref().map_or(span, Spanned::span));
            self.problems
                .warning(code::SQL_NOT_ALLOWED, place, "`LIMIT` without `ORDER BY` may keep other rows every time")
                .help("add `ORDER BY` with a column that is never the same in two rows");
        }
        for definition in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.ignored(definition.materialized.is_some(), "MATERIALIZED", definition.alias.name.span);
            self.ignored(definition.from.is_some(), "FROM", definition.alias.name.span);
        }
        self.set_expr(&query.body);
    }

    fn set_expr(&mut self, body: &SetExpr) {
        match body {
            SetExpr::SetOperation { left, right, .. } => {
                self.set_expr(left);
                self.set_expr(right);
            }
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => {}
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) | SetExpr::Table(_) => {
                self.refuse(body.span(), "only SELECT is allowed in a query", "write what to select");
            }
        }
    }

    fn select(&mut self, select: &Select) {
        let span = select.select_token.0.span;
        if let Some(into) = &select.into {
            self.refuse(
                into.name.span(),
                "`SELECT … INTO` is not allowed",
                "the step itself is the name of the result",
            );
        }
        for (present, clause) in [
            (select.top.is_some(), "TOP"),
            (select.exclude.is_some(), "EXCLUDE"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (!select.cluster_by.is_empty(), "CLUSTER BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!select.sort_by.is_empty(), "SORT BY"),
            (select.value_table_mode.is_some(), "AS STRUCT"),
            (!select.optimizer_hints.is_empty(), "/*+ … */"),
            (select.select_modifiers.is_some(), "SELECT modifiers"),
            (select.flavor != SelectFlavor::Standard, "FROM before SELECT"),
        ] {
            self.ignored(present, clause, span);
        }
        let (GroupByExpr::Expressions(_, modifiers) | GroupByExpr::All(modifiers)) = &select.group_by;
        if !modifiers.is_empty() {
            self.refuse(span, "`GROUP BY … WITH` would have no effect here", "write `GROUP BY ROLLUP (…)`");
        }
        for table in &select.from {
            for join in &table.joins {
                self.ignored(join.global, "GLOBAL", join.relation.span());
                self.join(&join.join_operator, join.relation.span());
            }
        }
    }

    fn join(&mut self, operator: &JoinOperator, span: TokenSpan) {
        use JoinOperator::{
            Anti, CrossJoin, FullOuter, Inner, Join, Left, LeftAnti, LeftOuter, LeftSemi, Right, RightAnti, RightOuter,
            RightSemi, Semi,
        };
        match operator {
            CrossJoin(_) => {}
            Join(constraint)
            | Inner(constraint)
            | Left(constraint)
            | LeftOuter(constraint)
            | Right(constraint)
            | RightOuter(constraint)
            | FullOuter(constraint)
            | Semi(constraint)
            | LeftSemi(constraint)
            | RightSemi(constraint)
            | Anti(constraint)
            | LeftAnti(constraint)
            | RightAnti(constraint) => self.join_condition(constraint, span),
            _ => {
                let instead = "write JOIN, LEFT JOIN, RIGHT JOIN or FULL JOIN";
                self.refuse(span, "this kind of join is not available", instead);
            }
        }
    }

    fn join_condition(&mut self, constraint: &JoinConstraint, span: TokenSpan) {
        match constraint {
            JoinConstraint::Natural => {
                let instead = "say how: `ON a.x = b.x` or `USING (x)`";
                self.refuse(span, "NATURAL JOIN joins by whatever names happen to be the same", instead);
            }
            JoinConstraint::None => {
                let instead = "add `ON …`, or write CROSS JOIN if all pairs are meant";
                self.refuse(span, "JOIN needs a condition", instead);
            }
            JoinConstraint::On(_) | JoinConstraint::Using(_) => {}
        }
    }

    fn function(&mut self, call: &Function) {
        let span = call.name.span();
        let name = match call.name.0.as_slice() {
            [part] => part.as_ident().map(|ident| match ident.quote_style {
                Some(_) => ident.value.clone(),
                None => ident.value.to_ascii_lowercase(),
            }),
            _ => None,
        };
        let name = name.unwrap_or_else(|| call.name.to_string());
        self.ignored(call.parameters != FunctionArguments::None, "parameters", span);
        self.ignored(call.uses_odbc_syntax, "{fn …}", span);
        self.ignored(matches!(call.args, FunctionArguments::Subquery(_)), "a query as an argument", span);
        match self.functions.known(&name) {
            None => self.unknown_function(call, &name),
            Some(Known::Refused(why, instead)) => {
                self.refuse(span, &format!("`{name}` {why}"), instead);
                self.unknown.push(call.span());
            }
            Some(Known::Aggregate { .. }) if self.in_condition() && call.over.is_none() => {
                let message = format!("`{name}` computes over many rows; a condition sees one row");
                self.refuse(span, &message, "compute it in a step, and look at the step's column here");
            }
            Some(Known::Aggregate { ordered: true }) if call.over.is_none() && !is_ordered(call) => {
                let message = format!("`{name}` without ORDER BY gives another result every time");
                self.refuse(span, &message, &format!("write `{name}(… ORDER BY a column)`"));
            }
            Some(_) if self.in_condition() && call.over.is_some() => {
                let message = format!("`{name} … OVER` computes over many rows; a condition sees one row");
                self.refuse(span, &message, "compute it in a step, and look at the step's column here");
            }
            Some(Known::Window) if call.over.is_none() => {
                self.refuse(span, &format!("`{name}` needs a window"), &format!("write `{name}(…) OVER (ORDER BY …)`"));
            }
            Some(_) => {}
        }
    }

    /// Whether the place is in a condition itself, not in a query inside it.
    fn in_condition(&self) -> bool {
        self.purpose == Purpose::Condition && self.depth == 1
    }

    fn unknown_function(&mut self, call: &Function, name: &str) {
        let place = self.places.of(call.name.span());
        let problem = self.problems.error(code::UNKNOWN_FUNCTION, place, format!("there is no function `{name}`"));
        match name::suggest(name, self.functions.names()) {
            Some(near) => {
                problem.help(format!("did you mean `{near}`?")).fix(place, near);
            }
            None => {
                problem.help("the functions are those of Apache DataFusion 55 and those of the page SQL");
            }
        }
        self.unknown.push(call.span());
    }

    fn number(&mut self, digits: &str, span: TokenSpan) {
        let digits: String = decimal::plain(digits).chars().filter(char::is_ascii_digit).collect();
        if digits.trim_start_matches('0').len() > usize::from(super::types::MAX_DIGITS) {
            let place = self.places.of(span);
            self.problems
                .error(code::SQL_TYPE, place, "the number has more than 38 digits")
                .help("write it with 38 digits or fewer, or as a text");
        }
    }
}

/// Whether a call says in which order it takes the rows.
fn is_ordered(call: &Function) -> bool {
    let inside = match &call.args {
        FunctionArguments::List(list) => {
            list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)))
        }
        _ => false,
    };
    inside || !call.within_group.is_empty()
}

impl Visitor for Checker<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        if self.purpose == Purpose::Condition && self.depth == 2 {
            let instead = "look it up in a step with a JOIN, and look at the step's column here";
            self.refuse(query.span(), "a condition sees one row, and no other relation", instead);
        }
        self.query(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.select(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        if relation.0.len() > 1 {
            let place = self.places.of(relation.span());
            self.problems
                .error(code::UNKNOWN_RELATION, place, format!("there is no relation `{relation}`: names have no parts"))
                .help("name a source, a step or a match of this pipeline; quote a name that has a point in it");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let span = factor.span();
        match factor {
            TableFactor::Table {
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
                ..
            } => {
                if args.is_some() {
                    self.refuse(span, "functions in FROM are not available", "read a source or a step");
                }
                self.ignored(!with_hints.is_empty() || !index_hints.is_empty(), "hints", span);
                self.ignored(version.is_some(), "FOR SYSTEM_TIME", span);
                self.ignored(*with_ordinality, "WITH ORDINALITY", span);
                self.ignored(!partitions.is_empty(), "PARTITION", span);
                self.ignored(json_path.is_some(), "a JSON path", span);
                self.ignored(sample.is_some(), "TABLESAMPLE", span);
            }
            TableFactor::Derived { sample, .. } => self.ignored(sample.is_some(), "TABLESAMPLE", span),
            TableFactor::NestedJoin { .. } => {}
            _ => self.refuse(span, "this is not available in FROM", "read a source, a step or a query in parentheses"),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(call) => self.function(call),
            Expr::BinaryOp { op: BinaryOperator::PGBitwiseShiftLeft, .. } => {
                self.refuse(expr.span(), "`<<` loses the digits that leave the number", "multiply by a power of two");
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        if let Value::Number(digits, _) = &value.value {
            self.number(digits, value.span);
        }
        ControlFlow::Continue(())
    }
}
