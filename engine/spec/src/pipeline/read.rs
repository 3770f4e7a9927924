//! Tree → [`Pipeline`]. Each entry is read separately, so that one run reports all mistakes.

use super::{Check, Enabled, Otherwise, Pipeline, Schedule, Var, VarType};
use crate::decode::{Fields, expected, found, named};
use crate::{ColumnType, Node, SqlText, Value};
use obmen_diagnostics::{Problems, Spanned, code};

/// What a key of a later version holds; what is cheap to check is checked before the key is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// `true` or `false`.
    Flag,
    /// A mapping.
    Mapping,
    /// A piece of SQL.
    Sql,
    /// A text.
    Text,
    /// A list of texts.
    Texts,
}

/// Refuses keys that are understood but whose part of the engine is not there yet. Never ignores them.
pub(crate) fn refuse_later(fields: &Fields<'_>, later: &[(&'static str, Shape)], problems: &mut Problems) {
    for (key, shape) in later {
        let Some((name, _)) = fields.entry(key) else { continue };
        match shape {
            Shape::Any => {}
            Shape::Flag => drop(fields.flag(key, problems)),
            Shape::Mapping => {
                if let Some(node) = fields.get(key, problems) {
                    drop(Fields::of(node, "a mapping", problems));
                }
            }
            Shape::Sql => drop(fields.sql(key, problems)),
            Shape::Text => drop(fields.text(key, problems)),
            Shape::Texts => drop(fields.texts(key, problems)),
        }
        problems
            .error(code::NOT_AVAILABLE_YET, name.span, format!("`{key}` is not available yet"))
            .help("remove it: this version would not do what it says");
    }
}

/// Keys of a pipeline whose part of the engine is not there yet.
const LATER: &[(&str, Shape)] =
    &[("engine", Shape::Mapping), ("route", Shape::Any), ("gate", Shape::Any), ("reconcile", Shape::Any)];

impl Pipeline {
    /// Reads a pipeline file. Everything that was wrong is in `problems`; with errors there the pipeline is
    /// what could be read of it, good for finding more mistakes and for nothing else. `None` without a name.
    pub fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        read(node, problems)
    }
}

fn read(node: &Node, problems: &mut Problems) -> Option<Pipeline> {
    let fields = Fields::of(node, "a pipeline: a mapping with `pipeline`, `sources`, `sinks`", problems)?;
    let pipeline = fields.require_text("pipeline", problems);
    let description = fields.text("description", problems).map(|text| text.value);
    let schedule = fields.get("schedule", problems).and_then(|node| read_schedule(node, problems));
    let enabled = fields.get("enabled", problems).and_then(|node| read_enabled(node, problems));
    let vars =
        named(fields.get("vars", problems), "vars by name", problems, |_, node, problems| read_var(node, problems));
    let sources = named(fields.get("sources", problems), "sources by name", problems, |_, node, problems| {
        super::read_source::read(node, problems)
    });
    let steps = named(fields.get("steps", problems), "SQL queries by name", problems, |_, node, problems| {
        SqlText::from_node(node, problems)
    });
    let matches = named(fields.get("match", problems), "matches by name", problems, |_, node, problems| {
        super::read_match::read(node, problems)
    });
    refuse_later(&fields, &[("match", Shape::Any)], problems);
    let checks = fields.get("checks", problems).map_or_else(Vec::new, |node| read_checks(node, problems));
    let sinks = named(fields.get("sinks", problems), "sinks by name", problems, |_, node, problems| {
        super::read_sink::read(node, problems)
    });
    refuse_later(&fields, LATER, problems);
    fields.finish(problems);
    let pipeline = pipeline?;
    let enabled = enabled.unwrap_or_else(|| Spanned::new(Enabled::Manual, pipeline.span));
    Some(Pipeline { pipeline, description, schedule, enabled, vars, sources, steps, matches, checks, sinks })
}

fn read_enabled(node: &Node, problems: &mut Problems) -> Option<Spanned<Enabled>> {
    let words =
        [("false", Enabled::Off), ("shadow", Enabled::Shadow), ("manual", Enabled::Manual), ("auto", Enabled::Auto)];
    if matches!(node.as_str(), Some("true" | "True" | "TRUE")) {
        problems
            .error(
                code::UNKNOWN_WORD,
                node.span,
                "`true` does not say how: expected `false`, `shadow`, `manual` or `auto`",
            )
            .help("write `auto` to run by schedule, `manual` to run by hand");
        return None;
    }
    crate::decode::word(node, &words, problems)
}

fn read_schedule(node: &Node, problems: &mut Problems) -> Option<Schedule> {
    let fields = Fields::of(node, "a mapping with `cron` or `every`", problems)?;
    let cron = fields.text("cron", problems);
    let every = fields.text("every", problems);
    let timezone = fields.text("timezone", problems);
    let overlap = fields.get("overlap", problems).and_then(|node| {
        crate::decode::word(node, &[("skip", "skip"), ("queue", "queue")], problems).map(|word| word.map(str::to_owned))
    });
    fields.finish(problems);
    Some(Schedule { cron, every, timezone, overlap })
}

/// The words a var's type can be, for suggestions.
const VAR_TYPES: &[&str] =
    &["string", "bool", "int", "long", "decimal(15,2)", "double", "date", "datetime", "month", "list"];

fn read_var(node: &Node, problems: &mut Problems) -> Option<Var> {
    let fields = Fields::of(node, "a mapping with `type` and `default`", problems)?;
    let kind = fields.require_text("type", problems).and_then(|text| read_var_type(&text, problems));
    let default = fields.get("default", problems).cloned();
    fields.finish(problems);
    let kind = kind?;
    if let Some(default) = &default {
        check_default(kind.value, default, problems);
    }
    Some(Var { kind, default })
}

fn read_var_type(text: &Spanned<String>, problems: &mut Problems) -> Option<Spanned<VarType>> {
    let kind = match text.as_str() {
        "month" => Ok(VarType::Month),
        "list" => Ok(VarType::List),
        other => ColumnType::parse(other).map(VarType::One),
    };
    match kind {
        Ok(VarType::One(kind @ (ColumnType::Time | ColumnType::Uuid | ColumnType::Json | ColumnType::Binary))) => {
            problems
                .error(code::INVALID_VALUE, text.span, format!("a var cannot be of type `{kind}`"))
                .help("use `string` and convert it in SQL");
            None
        }
        Ok(kind) => Some(Spanned::new(kind, text.span)),
        Err(message) => {
            let found = problems.error(code::UNKNOWN_WORD, text.span, message);
            suggest_type(found, text, VAR_TYPES);
            None
        }
    }
}

/// Adds the type that was probably meant, or the list of them.
pub(super) fn suggest_type(found: &mut obmen_diagnostics::Diagnostic, text: &Spanned<String>, types: &[&str]) {
    if let Some(similar) = crate::name::suggest(text, types.iter().copied()) {
        found.help("a type with a similar name exists").fix(text.span, similar);
    } else {
        found.help(format!("use one of {}", crate::name::listed(types)));
    }
}

/// Reports a default that is not of its var's type. Dates and decimals are read by the runtime, which knows their limits.
fn check_default(kind: VarType, default: &Node, problems: &mut Problems) {
    let wrong = match (kind, &default.value) {
        (VarType::List, Value::List(list)) => {
            for item in list.iter().filter(|item| item.as_str().is_none()) {
                problems.error(code::WRONG_TYPE, item.span, expected("a text", item));
            }
            None
        }
        (VarType::List, _) => Some("a list".to_owned()),
        (_, Value::List(_) | Value::Map(_) | Value::Null) => Some("one value".to_owned()),
        (VarType::Month, Value::Scalar(scalar)) => {
            let fits = matches!(scalar.text.as_str(), "current" | "previous") || is_month(&scalar.text);
            (!fits).then(|| "`current`, `previous` or a month like `2026-11`".to_owned())
        }
        (VarType::One(ColumnType::Int | ColumnType::Long), Value::Scalar(scalar)) => {
            scalar.text.parse::<i64>().is_err().then(|| "a whole number".to_owned())
        }
        (VarType::One(ColumnType::Bool), Value::Scalar(scalar)) => {
            (!matches!(scalar.text.as_str(), "true" | "false")).then(|| "`true` or `false`".to_owned())
        }
        (VarType::One(_), Value::Scalar(_)) => None,
    };
    if let Some(wrong) = wrong {
        problems.error(code::WRONG_TYPE, default.span, expected(&wrong, default));
    }
}

fn is_month(text: &str) -> bool {
    let Some((year, month)) = text.split_once('-') else { return false };
    let number = |digits: &str, length: usize| {
        (digits.len() == length && digits.bytes().all(|digit| digit.is_ascii_digit()))
            .then(|| digits.parse::<u16>().ok())
    };
    matches!((number(year, 4).flatten(), number(month, 2).flatten()), (Some(_), Some(1..=12)))
}

fn read_checks(node: &Node, problems: &mut Problems) -> Vec<Check> {
    let Some(list) = node.as_list() else {
        let found = problems.error(code::WRONG_TYPE, node.span, expected("a list of checks", node));
        found.help("begin each check with `- `");
        return Vec::new();
    };
    list.iter().filter_map(|node| read_check(node, problems)).collect()
}

fn read_check(node: &Node, problems: &mut Problems) -> Option<Check> {
    let fields = Fields::of(node, "a check: a mapping with `of`, `name`, `expect`, `otherwise`", problems)?;
    let of = fields.require_text("of", problems);
    let name = fields.require_text("name", problems);
    let expect = fields.require_sql("expect", problems);
    let words = [("reject", Otherwise::Reject), ("warn", Otherwise::Warn), ("stop", Otherwise::Stop)];
    let otherwise = fields.word("otherwise", &words, problems);
    fields.finish(problems);
    let otherwise = otherwise.unwrap_or_else(|| Spanned::new(Otherwise::Reject, node.span));
    Some(Check { of: of?, name: name?, expect: expect?, otherwise, span: node.span })
}

/// Names and types of columns, as `Name: type` or one per line.
pub(super) fn read_columns(node: &Node, problems: &mut Problems) -> Option<Vec<crate::Column>> {
    let Value::Map(map) = &node.value else {
        problems
            .error(code::WRONG_TYPE, node.span, format!("expected columns with their types, found {}", found(node)))
            .help("write `columns: { Name: string, Price: \"decimal(15,2)\" }`");
        return None;
    };
    if map.entries.is_empty() {
        problems.error(code::INVALID_VALUE, node.span, "expected at least one column, found none");
        return None;
    }
    let read: Vec<_> = map.entries.iter().map(|(name, node)| read_column(name, node, problems)).collect();
    read.into_iter().collect()
}

fn read_column(name: &Spanned<String>, node: &Node, problems: &mut Problems) -> Option<crate::Column> {
    if name.trim().is_empty() {
        problems.error(code::INVALID_NAME, name.span, "a column without a name");
        return None;
    }
    let Some(text) = node.as_str() else {
        let help = format!("use one of {}", crate::name::listed(ColumnType::NAMES));
        let message = expected(&format!("the type of column `{}`", name.value), node);
        // An absent type stands nowhere: the column's name is where to write it.
        let span = if node.value == Value::Null { name.span } else { node.span };
        problems.error(code::WRONG_TYPE, span, message).help(help);
        return None;
    };
    match ColumnType::parse(text) {
        Ok(kind) => Some(crate::Column { name: name.clone(), kind: Spanned::new(kind, node.span) }),
        Err(message) => {
            let written = Spanned::new(text.to_owned(), node.span);
            suggest_type(problems.error(code::UNKNOWN_WORD, node.span, message), &written, ColumnType::NAMES);
            None
        }
    }
}
