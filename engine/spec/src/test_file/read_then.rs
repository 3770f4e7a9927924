//! What a test says must come of a run.

use super::read::{read_row, read_rows};
use super::{Counter, Expected, ExpectedChange, ExpectedChanges, ExpectedColumns, ExpectedOp, Held, Then};
use crate::decode::{Fields, expected, named};
use crate::{Node, Value};
use obmen_diagnostics::{Problems, Spanned, code};

pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Then> {
    let fields = Fields::of(node, "what must come of the run: a mapping", problems)?;
    let asserts = node.as_map().is_some_and(|map| map.entries.iter().any(|(key, _)| key.value != "sink"));
    if !asserts {
        problems
            .error(code::EMPTY_TEST, node.span, "`then` asserts nothing")
            .help("say what must be sent, like `acked: 3` or `changes: { exact: [] }`");
    }
    let sink = fields.text("sink", problems);
    let changes = fields.get("changes", problems).map(|node| read_changes(node, problems));
    let counters = Counter::ALL
        .iter()
        .filter_map(|counter| fields.count(counter.name(), problems).map(|number| (*counter, number)))
        .collect();
    let queue = fields.get("queue", problems).and_then(|node| read_queue(node, problems));
    let held = fields.get("held", problems).and_then(|node| read_held(node, problems));
    let checks = named(fields.get("checks", problems), "numbers of rows by check", problems, |_, node, problems| {
        crate::decode::count(node, problems)
    });
    let relations = named(fields.get("relations", problems), "rows by step", problems, |_, node, problems| {
        read_rows(node, problems)
    });
    fields.finish(problems);
    let changes = match changes {
        Some(None) => return None,
        Some(changes) => changes,
        None => None,
    };
    Some(Then { sink, changes, counters, queue, held, checks, relations, span: node.span })
}

fn read_queue(node: &Node, problems: &mut Problems) -> Option<Spanned<u64>> {
    if node.as_str() == Some("empty") {
        return Some(Spanned::new(0, node.span));
    }
    if let Some(number) = node.as_str().and_then(|text| text.parse().ok()) {
        return Some(Spanned::new(number, node.span));
    }
    problems.error(code::WRONG_TYPE, node.span, expected("`empty` or a number of keys", node));
    None
}

/// Reasons a change is held for, as in a run's report.
const REASONS: &[(&str, &str)] = &[
    ("guard", "guard"),
    ("gate", "gate"),
    ("waits", "waits"),
    ("closed", "closed"),
    ("parked", "parked"),
    ("ignored", "ignored"),
];

fn read_held(node: &Node, problems: &mut Problems) -> Option<Spanned<Held>> {
    let held = match node.as_str() {
        Some("true") => Held::Any,
        Some("false") => Held::Nothing,
        Some(text) => match text.parse() {
            Ok(0) => Held::Nothing,
            Ok(rows) => Held::Rows(rows),
            Err(_) => Held::Reason(crate::decode::word(node, REASONS, problems)?.value.to_owned()),
        },
        None => {
            problems.error(code::WRONG_TYPE, node.span, expected("`true`, a number of rows, or a reason", node));
            return None;
        }
    };
    Some(Spanned::new(held, node.span))
}

fn read_changes(node: &Node, problems: &mut Problems) -> Option<ExpectedChanges> {
    let fields = Fields::of(node, "a mapping with `exact` or `contains`", problems)?;
    let exact = fields.get("exact", problems);
    let contains = fields.get("contains", problems);
    fields.finish(problems);
    let list = match (exact, contains) {
        (Some(list), None) | (None, Some(list)) => list,
        (Some(_), Some(_)) => {
            problems.error(code::INVALID_VALUE, node.span, "`exact` and `contains` together").help("keep one of them");
            return None;
        }
        (None, None) => {
            let found = problems.error(code::EMPTY_TEST, node.span, "`changes` asserts nothing");
            found.help("write `exact: []` if nothing may be sent");
            return None;
        }
    };
    let Some(entries) = list.as_list() else {
        problems.error(code::WRONG_TYPE, list.span, expected("a list of changes", list));
        return None;
    };
    if entries.is_empty() && contains.is_some() {
        problems.error(code::EMPTY_TEST, list.span, "`contains` of nothing asserts nothing");
    }
    let changes: Vec<_> = entries.iter().map(|node| read_change(node, problems)).collect();
    let changes: Option<Vec<ExpectedChange>> = changes.into_iter().collect();
    Some(ExpectedChanges { exact: exact.is_some(), changes: changes?, span: node.span })
}

/// A change: `op` and `key`; every other entry is a column or a child of the sink.
fn read_change(node: &Node, problems: &mut Problems) -> Option<ExpectedChange> {
    let fields = Fields::of(node, "a change: a mapping with `op` and `key`", problems)?;
    let ops = [("create", ExpectedOp::Create), ("update", ExpectedOp::Update), ("delete", ExpectedOp::Delete)];
    let op = fields.require("op", problems).and_then(|node| crate::decode::word(node, &ops, problems));
    let key = fields.require("key", problems).and_then(|node| read_row(node, problems));
    let rest = fields.rest(problems);
    let columns = read_columns(&rest, problems);
    Some(ExpectedChange { op: op?, key: key?, columns: columns?, span: node.span })
}

fn read_columns(node: &Node, problems: &mut Problems) -> Option<ExpectedColumns> {
    let map = node.as_map()?;
    let columns: Vec<_> =
        map.entries.iter().map(|(name, node)| Some((name.clone(), read_expected(node, problems)?))).collect();
    columns.into_iter().collect()
}

fn read_expected(node: &Node, problems: &mut Problems) -> Option<Expected> {
    match &node.value {
        Value::Scalar(_) | Value::Null => Some(Expected::Value(node.clone())),
        Value::List(list) => match list.as_slice() {
            [old, new] if is_one(old) && is_one(new) => Some(Expected::Change { old: old.clone(), new: new.clone() }),
            _ => {
                let found = problems.error(code::WRONG_TYPE, node.span, "expected the old and the new value");
                found.help("write `[old, new]`, with `null` for none");
                None
            }
        },
        Value::Map(map) => {
            let mut parts = Vec::new();
            for (key, part) in &map.entries {
                if !matches!(part.value, Value::Map(_)) {
                    let message = expected("columns of the part with their values", part);
                    problems.error(code::WRONG_TYPE, part.span, message);
                    return None;
                }
                parts.push((key.clone(), read_columns(part, problems)?));
            }
            Some(Expected::Parts(parts))
        }
    }
}

fn is_one(node: &Node) -> bool {
    matches!(node.value, Value::Scalar(_) | Value::Null)
}
