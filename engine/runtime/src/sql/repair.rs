//! Changes a query just enough to look for its next mistake, and finds the part that is to blame.

use super::dialect;
use super::vars::null;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, SetExpr, Spanned, Statement, TableAlias, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;
use std::ops::ControlFlow;

/// The most parts of a query that are tried one by one.
const PARTS: usize = 300;

/// Puts `NULL` in place of the calls at these places.
pub(super) fn without_calls(query: &mut Query, calls: &[TokenSpan]) {
    each_expr(query, |expr| {
        if matches!(expr, Expr::Function(_)) && calls.contains(&expr.span()) {
            *expr = null(expr.span());
        }
    });
}

/// Puts another column, or `NULL`, in place of the column at a place. Whether there was one.
pub(super) fn replace_column(query: &mut Query, at: TokenSpan, by: Option<&str>) -> bool {
    let mut found = false;
    each_expr(query, |expr| {
        if is_column(expr) && expr.span() == at {
            found = true;
            match (by, &mut *expr) {
                (Some(name), Expr::Identifier(ident)) => *ident = renamed(ident, name),
                (Some(name), Expr::CompoundIdentifier(parts)) => {
                    if let Some(last) = parts.last_mut() {
                        *last = renamed(last, name);
                    }
                }
                _ => *expr = null(at),
            }
        }
    });
    found
}

/// Where columns of this name stand; `relation` must agree where both sides name one.
pub(super) fn places_of_column(query: &Query, relation: Option<&str>, name: &str) -> Vec<TokenSpan> {
    let mut found = Vec::new();
    all_exprs(query, |expr| {
        let matches = match expr {
            Expr::Identifier(ident) => ident.value == name,
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., table, column] => column.value == name && relation.is_none_or(|relation| relation == table.value),
                _ => false,
            },
            _ => false,
        };
        if matches {
            found.push(expr.span());
        }
    });
    found
}

/// Reads another relation in place of the one whose name stands at a place, under the old name.
pub(super) fn replace_relation(query: &mut Query, at: TokenSpan, by: &str) {
    struct Replace<'a>(TokenSpan, &'a str);
    impl VisitorMut for Replace<'_> {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { name, alias, .. } = factor
                && let [part] = name.0.as_mut_slice()
                && let Some(old) = part.as_ident().cloned()
                && old.span == self.0
            {
                *part = datafusion::sql::sqlparser::ast::ObjectNamePart::Identifier(renamed(&old, self.1));
                if alias.is_none() {
                    *alias = alias_of(old);
                }
            }
            ControlFlow::Continue(())
        }
    }
    let _unbroken: ControlFlow<()> = query.visit(&mut Replace(at, by));
}

fn alias_of(name: Ident) -> Option<TableAlias> {
    let Statement::Query(query) = dialect::statements("SELECT 1 FROM a AS b").ok()?.pop()? else { return None };
    let SetExpr::Select(select) = *query.body else { return None };
    let TableFactor::Table { alias: Some(mut alias), .. } = select.from.into_iter().next()?.relation else {
        return None;
    };
    alias.name = name;
    Some(alias)
}

fn renamed(old: &Ident, name: &str) -> Ident {
    Ident { value: name.to_owned(), quote_style: Some('"'), span: old.span }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// The smallest part of the query without which it does not fail in the same way; calls and operators are
/// preferred to the columns and constants in them. `None` where no single part is to blame.
pub(super) fn culprit(query: &Query, fails: impl Fn(&Query) -> bool) -> Option<TokenSpan> {
    let mut parts = Vec::new();
    all_exprs(query, |expr| {
        let leaf = is_column(expr) || matches!(expr, Expr::Value(_));
        parts.push((leaf, expr.to_string().len(), expr.span()));
    });
    let blamed = parts.iter().take(PARTS).enumerate().filter(|(at, (.., span))| {
        *span != TokenSpan::empty() && {
            let mut changed = query.clone();
            remove(&mut changed, *at);
            !fails(&changed)
        }
    });
    blamed.map(|(_, part)| part).min_by_key(|(leaf, length, _)| (*leaf, *length)).map(|(.., span)| *span)
}

/// Puts `NULL` in place of the expression of this number.
fn remove(query: &mut Query, number: usize) {
    let mut at = 0;
    each_expr(query, |expr| {
        if at == number {
            *expr = null(expr.span());
        }
        at += 1;
    });
}

/// Expressions from the outside in.
fn all_exprs(query: &Query, each: impl FnMut(&Expr)) {
    struct Walk<F>(F);
    impl<F: FnMut(&Expr)> Visitor for Walk<F> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            (self.0)(expr);
            ControlFlow::Continue(())
        }
    }
    let _unbroken: ControlFlow<()> = query.visit(&mut Walk(each));
}

/// The same, to be changed.
fn each_expr(query: &mut Query, each: impl FnMut(&mut Expr)) {
    struct Walk<F>(F);
    impl<F: FnMut(&mut Expr)> VisitorMut for Walk<F> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            (self.0)(expr);
            ControlFlow::Continue(())
        }
    }
    let _unbroken: ControlFlow<()> = query.visit(&mut Walk(each));
}
