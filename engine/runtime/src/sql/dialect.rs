//! Reading SQL: the dialect, and syntax errors in words.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, SelectItem,
    SetExpr, Statement, TableFactor, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token};
use std::any::TypeId;
use std::ops::ControlFlow;

/// How deep expressions may nest.
const DEPTH: usize = 128;

/// The SQL of steps: the generic dialect without what an ETL query has no use for.
///
/// Clauses that the planner would read and ignore (`PREWHERE`, `SETTINGS`, `LIMIT … BY`, hints) are not
/// switched on, so they are syntax errors.
#[derive(Debug)]
struct StepDialect;

/// A text that is not SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// What is wrong, as a phrase.
    pub(super) message: String,
    /// Line and column in characters, from 1; `None`: the end of the text.
    pub(super) at: Option<(usize, usize)>,
}

/// The statements of a text.
pub(super) fn statements(text: &str) -> Result<Vec<Statement>, SyntaxError> {
    let read = parser(text).and_then(|mut parser| parser.parse_statements());
    let mut statements = read.map_err(|error| SyntaxError::of(&error))?;
    local_times(&mut statements);
    Ok(statements)
}

/// The only expression of a text.
pub(super) fn condition(text: &str) -> Result<Expr, SyntaxError> {
    let read = |text| {
        let mut parser = parser(text)?;
        let expr = parser.parse_expr()?;
        parser.expect_token(&Token::EOF)?;
        Ok(expr)
    };
    let mut expr = read(text).map_err(|error| SyntaxError::of(&error))?;
    local_times(&mut expr);
    Ok(expr)
}

/// `x AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Moscow'` is the time that clocks in Moscow show, as in PostgreSQL: the
/// first zone says where a time without a zone was taken, the second where it is looked at.
fn local_times(tree: &mut impl VisitMut) {
    struct LocalTimes;
    impl VisitorMut for LocalTimes {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::AtTimeZone { timestamp, .. } = expr
                && is_zoned(timestamp)
                && let Some(call) = call("to_local_time(x)", expr)
            {
                *expr = call;
            }
            ControlFlow::Continue(())
        }
    }
    let _unbroken: ControlFlow<()> = tree.visit(&mut LocalTimes);
}

fn is_zoned(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_zoned(inner),
        Expr::AtTimeZone { .. } => true,
        _ => false,
    }
}

/// A call with another argument.
fn call(template: &str, argument: &Expr) -> Option<Expr> {
    let mut call = parser(template).ok()?.parse_expr().ok()?;
    let Expr::Function(function) = &mut call else { return None };
    let FunctionArguments::List(list) = &mut function.args else { return None };
    list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument.clone()))];
    Some(call)
}

/// `SELECT expr FROM relation`: the query a condition is planned as.
pub(super) fn query_of_condition(expr: Expr, relation: &str) -> Option<Query> {
    let Some(Statement::Query(mut query)) = statements("SELECT 1 FROM x").ok()?.into_iter().next() else { return None };
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    select.projection = vec![SelectItem::UnnamedExpr(expr)];
    // What is not part of the condition's text stands nowhere in it.
    select.select_token.0.span = Span::empty();
    for table in &mut select.from {
        if let TableFactor::Table { name, .. } = &mut table.relation {
            let ident = Ident { value: relation.to_owned(), quote_style: Some('"'), span: Span::empty() };
            *name = ObjectName(vec![ObjectNamePart::Identifier(ident)]);
        }
    }
    Some(*query)
}

fn parser(text: &str) -> Result<Parser<'static>, ParserError> {
    Parser::new(&StepDialect).with_recursion_limit(DEPTH).try_with_sql(text)
}

impl SyntaxError {
    fn of(error: &ParserError) -> Self {
        let text = match error {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.clone(),
            ParserError::RecursionLimitExceeded => "the SQL is nested too deeply".to_owned(),
        };
        let (message, at) = match text.rsplit_once(" at Line: ") {
            Some((message, place)) => (message.to_owned(), location(place)),
            None => (text, None),
        };
        Self { message: in_words(&message), at }
    }
}

fn location(place: &str) -> Option<(usize, usize)> {
    let (line, column) = place.split_once(", Column: ")?;
    let line: usize = line.trim().parse().ok()?;
    let column = column.trim().trim_end_matches(|letter: char| !letter.is_ascii_digit()).parse().ok()?;
    (line > 0).then_some((line, column))
}

/// `Expected: an expression, found: FROM` → ``expected an expression, found `FROM` ``.
fn in_words(message: &str) -> String {
    let message = message.trim().trim_end_matches('.');
    if let Some((expected, found)) = message.strip_prefix("Expected: ").and_then(|rest| rest.rsplit_once(", found: ")) {
        let found = if found == "EOF" { "the end of the text".to_owned() } else { format!("`{found}`") };
        return format!("expected {expected}, found {found}");
    }
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Answers `true` for the listed questions of [`Dialect`].
macro_rules! supports {
    ($($question:ident)*) => { $(fn $question(&self) -> bool { true })* };
}

impl Dialect for StepDialect {
    fn dialect(&self) -> TypeId {
        // Parts of the parser ask for the generic dialect by type instead of by ability.
        TypeId::of::<GenericDialect>()
    }

    fn is_identifier_start(&self, letter: char) -> bool {
        letter.is_alphabetic() || letter == '_'
    }

    fn is_identifier_part(&self, letter: char) -> bool {
        letter.is_alphanumeric() || letter == '_'
    }

    fn is_delimited_identifier_start(&self, letter: char) -> bool {
        letter == '"'
    }

    supports! {
        supports_group_by_expr
        supports_left_associative_joins_without_parens
        supports_window_function_null_treatment_arg
        supports_window_clause_named_window_reference
        supports_select_wildcard_except
        supports_select_wildcard_exclude
        supports_select_wildcard_replace
        supports_parens_around_table_factor
        supports_values_as_table_factor
        supports_filter_during_aggregation
        supports_projection_trailing_commas
        supports_nested_comments
        supports_string_escape_constant
        supports_bitwise_shift_operators
        supports_interval_options
        allow_extract_custom
        allow_extract_single_quotes
    }

    /// `a IS DISTINCT FROM b OR …` compares `a` with `b` alone: the parser's own rule takes everything
    /// to the right as the second operand (datafusion-sqlparser-rs #2436).
    fn parse_infix(&self, parser: &mut Parser<'_>, left: &Expr, _precedence: u8) -> Option<Result<Expr, ParserError>> {
        let negated = if parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
            false
        } else if parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]) {
            true
        } else {
            return None;
        };
        let left = Box::new(left.clone());
        Some(parser.parse_subexpr(self.prec_value(Precedence::Is)).map(|right| {
            let right = Box::new(right);
            if negated { Expr::IsNotDistinctFrom(left, right) } else { Expr::IsDistinctFrom(left, right) }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree with all its parentheses.
    fn shape(expr: &Expr) -> String {
        match expr {
            Expr::Nested(inner) => shape(inner),
            Expr::BinaryOp { left, op, right } => format!("({} {op} {})", shape(left), shape(right)),
            Expr::UnaryOp { op, expr } => format!("({op} {})", shape(expr)),
            Expr::IsDistinctFrom(left, right) => format!("({} <> {})", shape(left), shape(right)),
            Expr::IsNotDistinctFrom(left, right) => format!("({} = {})", shape(left), shape(right)),
            other => other.to_string(),
        }
    }

    #[test]
    fn distinct_from_binds_tighter_than_or() {
        for (text, tree) in [
            ("a IS DISTINCT FROM b OR c IS NOT DISTINCT FROM d", "((a <> b) OR (c = d))"),
            ("x AND a IS DISTINCT FROM b OR c", "((x AND (a <> b)) OR c)"),
            ("NOT a IS DISTINCT FROM b OR c", "((NOT (a <> b)) OR c)"),
            ("a IS DISTINCT FROM b + 1 AND c", "((a <> (b + 1)) AND c)"),
        ] {
            assert_eq!(shape(&condition(text).unwrap()), tree, "{text}");
        }
    }

    #[test]
    fn cyrillic_names_need_no_quotes() {
        assert_eq!(condition("Цена_1 > 0").unwrap().to_string(), "Цена_1 > 0");
    }

    #[test]
    fn syntax_errors_have_a_place_and_plain_words() {
        let error = statements("SELECT Цена\n  FROM товары WHERE = 1").unwrap_err();
        assert_eq!(error.at, Some((2, 21)));
        assert!(!error.message.contains("Line:"), "{}", error.message);
        let error = statements("SELECT (1").unwrap_err();
        assert_eq!(error.message, "expected ), found the end of the text");
        assert!(condition("a > 0 b").is_err());
        assert!(statements("SELECT 'abc").is_err());
    }

    #[test]
    fn ignored_clauses_are_not_read() {
        for text in ["SELECT a FROM t LIMIT 1 BY a", "SELECT a FROM t SETTINGS x = 1", "SELECT a FROM t PREWHERE a"] {
            assert!(statements(text).is_err(), "{text}");
        }
    }
}
