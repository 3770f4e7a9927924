//! Values of vars: from `--var`, or from their defaults.

use crate::sql::VarValue;
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, Utc};
use obmen_sdk::{Error, ErrorKind, Result};
use obmen_spec::pipeline::{Pipeline, VarType};
use obmen_spec::{ColumnType, Node, Value};
use std::collections::BTreeMap;

/// Values of a pipeline's vars.
#[derive(Clone, Debug, Default)]
pub struct Vars {
    values: BTreeMap<String, VarValue>,
    texts: BTreeMap<String, String>,
}

impl Vars {
    /// The values of a run. `given` are those of `--var`.
    ///
    /// # Errors
    /// `NotFound` for a var without a value or a value without a var; `InvalidData` for one that is not of its type.
    pub fn resolve(pipeline: &Pipeline, given: &BTreeMap<String, String>, now: DateTime<Utc>) -> Result<Self> {
        let mut vars = Self::default();
        for name in given.keys() {
            if pipeline.vars.get(name).is_none() {
                let known: Vec<&str> = pipeline.vars.names().collect();
                let message =
                    format!("pipeline `{}` has no var `{name}`, only: {}", pipeline.pipeline, known.join(", "));
                return Err(Error::new(ErrorKind::NotFound, message));
            }
        }
        for (name, var) in pipeline.vars.iter() {
            let texts = match (given.get(&name.value), &var.default) {
                (Some(text), _) => split(text, var.kind.value),
                (None, Some(default)) => texts(default),
                (None, None) => {
                    let message = format!("var `{name}` has no value: give it with --var {name}=…");
                    return Err(Error::new(ErrorKind::NotFound, message));
                }
            };
            vars.texts.insert(name.value.clone(), texts.join(","));
            vars.values.insert(name.value.clone(), value(name, var.kind.value, texts, now)?);
        }
        Ok(vars)
    }

    /// Values that stand for whatever a run will be given: enough to check SQL.
    pub fn placeholders(pipeline: &Pipeline, now: DateTime<Utc>) -> Self {
        let mut vars = Self::default();
        for (name, var) in pipeline.vars.iter() {
            let default = var.default.as_ref().map(texts);
            let known = default.clone().and_then(|texts| value(name, var.kind.value, texts, now).ok());
            vars.values.insert(name.value.clone(), known.unwrap_or_else(|| placeholder(var.kind.value)));
            if let Some(texts) = default {
                vars.texts.insert(name.value.clone(), texts.join(","));
            }
        }
        vars
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &VarValue)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// A text with every `$name` replaced by the var's value as it was written.
    pub fn replace(&self, text: &str) -> String {
        let mut names: Vec<&String> = self.texts.keys().collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.into_iter().fold(text.to_owned(), |text, name| {
            text.replace(&format!("${name}"), self.texts.get(name).map_or("", String::as_str))
        })
    }
}

impl Vars {
    /// Options with every `$name` in their texts replaced.
    pub fn replace_in(&self, node: &Node) -> Node {
        let value = match &node.value {
            Value::Scalar(scalar) if scalar.text.contains('$') => {
                Value::Scalar(obmen_spec::Scalar::new(self.replace(&scalar.text), scalar.style))
            }
            Value::List(list) => Value::List(list.iter().map(|node| self.replace_in(node)).collect()),
            Value::Map(map) => Value::Map(obmen_spec::Map {
                entries: map.entries.iter().map(|(key, node)| (key.clone(), self.replace_in(node))).collect(),
            }),
            other => other.clone(),
        };
        Node { span: node.span, value }
    }
}

fn split(text: &str, kind: VarType) -> Vec<String> {
    match kind {
        VarType::List => text.split(',').map(|part| part.trim().to_owned()).collect(),
        _ => vec![text.to_owned()],
    }
}

fn texts(node: &Node) -> Vec<String> {
    match &node.value {
        Value::List(list) => list.iter().filter_map(Node::as_str).map(str::to_owned).collect(),
        _ => node.as_str().map(str::to_owned).into_iter().collect(),
    }
}

fn value(name: &str, kind: VarType, texts: Vec<String>, now: DateTime<Utc>) -> Result<VarValue> {
    let text = texts.first().cloned().unwrap_or_default();
    let wrong = |expected: &str| Error::invalid_data(format!("var `{name}` is `{text}`, expected {expected}"));
    Ok(match kind {
        VarType::List => VarValue::List(texts),
        VarType::Month => {
            VarValue::Text(month(&text, now).ok_or_else(|| wrong("`current`, `previous` or a month like 2026-11"))?)
        }
        VarType::One(kind) => match kind {
            ColumnType::Bool => VarValue::Bool(text.parse().map_err(|_| wrong("true or false"))?),
            ColumnType::Int => VarValue::Long(i64::from(text.parse::<i32>().map_err(|_| wrong("a whole number"))?)),
            ColumnType::Long => VarValue::Long(text.parse().map_err(|_| wrong("a whole number"))?),
            ColumnType::Decimal { .. } | ColumnType::Double => {
                let plain = text.trim_start_matches('-');
                let digits = !plain.is_empty() && plain.chars().all(|c| c.is_ascii_digit() || c == '.');
                if !digits || plain.matches('.').count() > 1 {
                    return Err(wrong("a number with a point"));
                }
                VarValue::Decimal(text)
            }
            ColumnType::Date => {
                let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d");
                VarValue::Date(date.map_err(|_| wrong("a date like 2026-11-22"))?)
            }
            ColumnType::Datetime => {
                let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f");
                VarValue::Datetime(time.map_err(|_| wrong("a time like 2026-11-22T10:00:00"))?)
            }
            _ => VarValue::Text(text),
        },
    })
}

fn month(text: &str, now: DateTime<Utc>) -> Option<String> {
    let of = |date: NaiveDate| format!("{:04}-{:02}", date.year(), date.month());
    match text {
        "current" => Some(of(now.date_naive())),
        "previous" => Some(of(now.date_naive().checked_sub_months(Months::new(1))?)),
        text => NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok().map(of),
    }
}

fn placeholder(kind: VarType) -> VarValue {
    match kind {
        VarType::List => VarValue::List(vec![String::new()]),
        VarType::Month => VarValue::Text("2026-01".to_owned()),
        VarType::One(ColumnType::Bool) => VarValue::Bool(false),
        VarType::One(ColumnType::Int | ColumnType::Long) => VarValue::Long(0),
        VarType::One(ColumnType::Decimal { .. } | ColumnType::Double) => VarValue::Decimal("0".to_owned()),
        VarType::One(ColumnType::Date) => VarValue::Date(NaiveDate::default()),
        VarType::One(ColumnType::Datetime) => VarValue::Datetime(NaiveDateTime::default()),
        VarType::One(_) => VarValue::Text(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_counted_from_the_runs_clock() {
        let january: DateTime<Utc> = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(month("previous", january).unwrap(), "2025-12");
        assert_eq!(month("current", january).unwrap(), "2026-01");
        assert_eq!(month("2024-2", january).unwrap(), "2024-02");
        assert_eq!(month("soon", january), None);
    }
}
