//! What a piece of SQL speaks of: relations, vars and functions, by its syntax alone.

use super::dialect;
use super::place::Places;
use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Spanned, Statement, Value, ValueWithSpan, Visit, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;
use obmen_diagnostics::Span;
use obmen_spec::SqlText;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What a piece of SQL speaks of, each with its place, in the order it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Relations from outside: names that the query itself does not define with `WITH`.
    pub relations: Vec<(String, Span)>,
    /// Vars, without the `$`.
    pub vars: Vec<(String, Span)>,
    /// Functions, as written.
    pub functions: Vec<(String, Span)>,
}

/// What a query (a step) speaks of. Empty for SQL that cannot be read.
pub fn references(sql: &SqlText) -> References {
    dialect::statements(&sql.text).map_or_else(|_| References::default(), |statements| collect(sql, &statements))
}

/// What a condition (`expect`, `scope`, `where`) speaks of. Empty for SQL that cannot be read.
pub fn references_of_condition(sql: &SqlText) -> References {
    dialect::condition(&sql.text).map_or_else(|_| References::default(), |expr| collect(sql, &expr))
}

fn collect(sql: &SqlText, tree: &impl Visit) -> References {
    let places = Places::new(sql);
    let placed = |names: Vec<(String, TokenSpan)>| names.into_iter().map(|(name, at)| (name, places.of(at))).collect();
    let mut collector = Collector::default();
    let _unbroken: ControlFlow<()> = tree.visit(&mut collector);
    let Collector { relations, vars, functions, .. } = collector;
    References { relations: placed(relations), vars: placed(vars), functions: placed(functions) }
}

/// The relations from outside that a query reads, where it names them.
pub(super) fn relations(query: &Query) -> Vec<(String, TokenSpan)> {
    let mut collector = Collector::default();
    let _unbroken: ControlFlow<()> = query.visit(&mut collector);
    collector.relations
}

#[derive(Default)]
struct Collector {
    relations: Vec<(String, TokenSpan)>,
    vars: Vec<(String, TokenSpan)>,
    functions: Vec<(String, TokenSpan)>,
    scopes: Vec<Scope>,
}

/// Names one query defines with `WITH`.
#[derive(Default)]
struct Scope {
    /// Names that can be used by now.
    names: Vec<String>,
    /// Definitions that are still to come, by the identity of their query: each sees those before it.
    coming: BTreeMap<*const Query, String>,
}

impl Visitor for Collector {
    type Break = ();

    fn pre_visit_statement(&mut self, _: &Statement) -> ControlFlow<()> {
        self.scopes.clear();
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let mut scope = Scope::default();
        if let Some(with) = &query.with {
            for definition in &with.cte_tables {
                let name = definition.alias.name.value.clone();
                if with.recursive {
                    scope.names.push(name);
                } else {
                    scope.coming.insert(&raw const *definition.query, name);
                }
            }
        }
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.scopes.pop();
        if let Some(outer) = self.scopes.last_mut()
            && let Some(name) = outer.coming.remove(&(&raw const *query))
        {
            outer.names.push(name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        if let [part] = relation.0.as_slice()
            && let Some(name) = part.as_ident()
            && !self.scopes.iter().any(|scope| scope.names.contains(&name.value))
        {
            self.relations.push((name.value.clone(), name.span));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.functions.push((function.name.to_string(), function.name.span()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        if let Value::Placeholder(text) = &value.value {
            let name = text.strip_prefix('$').unwrap_or(text).to_owned();
            self.vars.push((name, value.span));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::place::tests::sql;

    fn names(found: &[(String, Span)]) -> Vec<&str> {
        found.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn names_defined_by_the_query_are_left_out() {
        let text = "WITH товары AS (SELECT * FROM goods), b AS (SELECT * FROM товары) \
                    SELECT * FROM b JOIN stock ON b.id = stock.id WHERE EXISTS (SELECT 1 FROM prices)";
        assert_eq!(names(&references(&sql(text)).relations), ["goods", "stock", "prices"]);
    }

    #[test]
    fn a_definition_does_not_hide_the_source_it_reads() {
        let text = "WITH goods AS (SELECT * FROM goods) SELECT * FROM goods";
        assert_eq!(names(&references(&sql(text)).relations), ["goods"]);
        let text = "WITH RECURSIVE tree AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM tree) SELECT * FROM tree";
        assert_eq!(names(&references(&sql(text)).relations), [""; 0]);
        let text = "SELECT * FROM (WITH a AS (SELECT 1 AS x) SELECT * FROM a) AS q JOIN a ON true";
        assert_eq!(names(&references(&sql(text)).relations), ["a"]);
    }

    #[test]
    fn vars_and_functions_have_places() {
        let text = "SELECT upper(Склад) FROM stock WHERE Склад IN ($склады) AND day >= $from";
        let piece = sql(text);
        let found = references(&piece);
        assert_eq!(names(&found.vars), ["склады", "from"]);
        assert_eq!(names(&found.functions), ["upper"]);
        let place = found.vars[0].1.range();
        let offset = piece.span.range().start;
        assert_eq!(text.get(place.start - offset..place.end - offset), Some("$склады"));
        assert_eq!(names(&references_of_condition(&sql("period = $period")).vars), ["period"]);
    }
}
