//! Constants of SQL. A number with an exponent is written out, so that it is an exact decimal.
//!
//! Vars: `$name` in SQL becomes a typed constant before anything is planned.
//!
//! The value is put into the syntax tree, never into the text, so no value can change the query.

use super::exact::decimal;
use super::place::Places;
use chrono::{NaiveDate, NaiveDateTime};
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Query, TimezoneInfo, TypedString, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;
use obmen_diagnostics::{Problems, code};
use obmen_spec::name;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The value of a var.
#[derive(Clone, Debug, PartialEq)]
pub enum VarValue {
    /// No value.
    Null,
    /// A text; also months (`2026-11`) and identifiers.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// An exact number, as its digits: `-12.50`.
    Decimal(String),
    /// A day.
    Date(NaiveDate),
    /// A day and time, to the microsecond.
    Datetime(NaiveDateTime),
    /// Texts for `IN ($name)`.
    List(Vec<String>),
}

/// Puts the values of vars in their places; reports vars that do not exist and lists outside `IN (…)`.
pub(super) fn bind(query: &mut Query, vars: &BTreeMap<String, VarValue>, places: Places<'_>, problems: &mut Problems) {
    let mut binder = Binder { vars, places, problems };
    let _unbroken: ControlFlow<()> = query.visit(&mut binder);
}

struct Binder<'a> {
    vars: &'a BTreeMap<String, VarValue>,
    places: Places<'a>,
    problems: &'a mut Problems,
}

impl Binder<'_> {
    fn list(&self, expr: &Expr) -> Option<(&[String], TokenSpan)> {
        let Expr::Value(ValueWithSpan { value: Value::Placeholder(text), span }) = expr else { return None };
        match self.vars.get(text.strip_prefix('$')?)? {
            VarValue::List(values) => Some((values, *span)),
            _ => None,
        }
    }

    fn one(&mut self, text: &str, span: TokenSpan) -> Expr {
        let place = self.places.of(span);
        let Some(var) = text.strip_prefix('$') else {
            let problem =
                self.problems.error(code::SQL_NOT_ALLOWED, place, format!("`{text}` stands for nothing here"));
            problem.help("vars are written `$name`");
            return null(span);
        };
        match self.vars.get(var) {
            Some(VarValue::List(_)) => {
                let message = format!("`{text}` is a list, which can stand only in `IN ({text})`");
                self.problems.error(code::SQL_TYPE, place, message).help(format!("write `… IN ({text})`"));
                null(span)
            }
            Some(value) => constant(value, span),
            None => {
                let problem = self.problems.error(code::UNKNOWN_VAR, place, format!("there is no var `{var}`"));
                match name::suggest(var, self.vars.keys().map(String::as_str)) {
                    Some(near) => problem.help(format!("did you mean `${near}`?")).fix(place, format!("${near}")),
                    None => problem.help(format!("declare it: `vars: {{ {var}: {{ type: string }} }}`")),
                };
                null(span)
            }
        }
    }
}

impl VisitorMut for Binder<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::InList { list, .. } => {
                if let [only] = list.as_slice()
                    && let Some((values, span)) = self.list(only)
                {
                    *list = values.iter().map(|value| text(value, span)).collect();
                }
            }
            Expr::Value(ValueWithSpan { value: Value::Placeholder(text), span }) => {
                let (text, span) = (text.clone(), *span);
                *expr = self.one(&text, span);
            }
            Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => *digits = decimal::plain(digits),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn value(value: Value, span: TokenSpan) -> Expr {
    Expr::Value(ValueWithSpan { value, span })
}

/// `NULL` at a place.
pub(super) fn null(span: TokenSpan) -> Expr {
    value(Value::Null, span)
}

fn text(text: &str, span: TokenSpan) -> Expr {
    value(Value::SingleQuotedString(text.to_owned()), span)
}

fn number(digits: &str, span: TokenSpan) -> Expr {
    match digits.strip_prefix('-') {
        Some(digits) => Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(number(digits, span)) },
        None => value(Value::Number(digits.to_owned(), false), span),
    }
}

fn typed(kind: DataType, literal: String, span: TokenSpan) -> Expr {
    let value = ValueWithSpan { value: Value::SingleQuotedString(literal), span };
    Expr::TypedString(TypedString { data_type: kind, value, uses_odbc_syntax: false })
}

fn constant(var: &VarValue, span: TokenSpan) -> Expr {
    match var {
        VarValue::Null | VarValue::List(_) => null(span),
        VarValue::Text(value) => text(value, span),
        VarValue::Bool(flag) => value(Value::Boolean(*flag), span),
        VarValue::Long(whole) => number(&whole.to_string(), span),
        VarValue::Decimal(digits) => number(digits.trim_start_matches('+'), span),
        VarValue::Date(day) => typed(DataType::Date, day.format("%Y-%m-%d").to_string(), span),
        VarValue::Datetime(time) => {
            let kind = DataType::Timestamp(None, TimezoneInfo::None);
            typed(kind, time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(), span)
        }
    }
}
