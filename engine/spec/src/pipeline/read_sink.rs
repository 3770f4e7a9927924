//! Tree → [`Sink`].

use super::read::{Shape, read_columns, refuse_later};
use super::{After, Child, Deletes, Guard, Limit, Sink};
use crate::decode::{Fields, expected, named};
use crate::{Node, Value};
use obmen_diagnostics::{Problems, Spanned, code};

/// Keys of a sink whose part of the engine is not there yet.
const LATER: &[(&str, Shape)] = &[
    ("crosswalk", Shape::Text),
    ("values", Shape::Mapping),
    ("create_only", Shape::Texts),
    ("closed", Shape::Mapping),
    ("on_change", Shape::Text),
    ("post", Shape::Flag),
    ("label", Shape::Sql),
    ("route", Shape::Any),
    ("gate", Shape::Any),
    ("observe", Shape::Any),
    ("acknowledged_by", Shape::Text),
    ("deliver", Shape::Text),
];

pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Sink> {
    let fields = Fields::of(node, "a sink: a mapping with `connection`, `entity`, `from`, `key`", problems)?;
    let connection = fields.require_text("connection", problems);
    let entity = fields.require_text("entity", problems);
    let from = fields.require_text("from", problems);
    let key = fields.require_texts("key", problems);
    let columns = fields.get("columns", problems).and_then(|node| read_columns(node, problems));
    let children = named(fields.get("children", problems), "children by name", problems, |_, node, problems| {
        read_child(node, problems)
    });
    let compare = fields.texts("compare", problems);
    let after = fields.get("after", problems).map_or_else(Vec::new, |node| read_after(node, problems));
    let words = [("ignore", Deletes::Ignore), ("mark", Deletes::Mark), ("delete", Deletes::Delete)];
    let deletes = fields.word("deletes", &words, problems);
    let scope = fields.sql("scope", problems);
    let guard = fields.get("guard", problems).and_then(|node| read_guard(node, problems));
    refuse_later(&fields, LATER, problems);
    let options = fields.rest(problems);
    Some(Sink {
        connection: connection?,
        entity: entity?,
        from: from?,
        key: key?,
        columns,
        children,
        compare,
        after,
        deletes: deletes.unwrap_or_else(|| Spanned::new(Deletes::Ignore, node.span)),
        scope,
        guard,
        options,
        span: node.span,
    })
}

fn read_child(node: &Node, problems: &mut Problems) -> Option<Child> {
    let fields = Fields::of(node, "a child: a mapping with `from`, `by`, `key`", problems)?;
    let from = fields.require_text("from", problems);
    let by = fields.require_texts("by", problems);
    let key = fields.require_texts("key", problems);
    fields.finish(problems);
    Some(Child { from: from?, by: by?, key: key?, span: node.span })
}

/// One sink to wait for, or a list of them.
fn read_after(node: &Node, problems: &mut Problems) -> Vec<After> {
    match &node.value {
        Value::List(list) => list.iter().filter_map(|node| read_one_after(node, problems)).collect(),
        _ => read_one_after(node, problems).into_iter().collect(),
    }
}

fn read_one_after(node: &Node, problems: &mut Problems) -> Option<After> {
    let fields = Fields::of(node, "a mapping with `sink` and `by`", problems)?;
    let sink = fields.require_text("sink", problems);
    let by = fields.require_texts("by", problems);
    fields.finish(problems);
    Some(After { sink: sink?, by: by?, span: node.span })
}

fn read_guard(node: &Node, problems: &mut Problems) -> Option<Guard> {
    if node.as_str() == Some("off") {
        let off = || Some(Spanned::new(Limit::Off, node.span));
        return Some(Guard { deletes: off(), updates: off(), at_least: None });
    }
    let fields = Fields::of(node, "`off`, or a mapping with `deletes`, `updates`, `at_least`", problems)?;
    let deletes = fields.get("deletes", problems).and_then(|node| read_limit(node, problems));
    let updates = fields.get("updates", problems).and_then(|node| read_limit(node, problems));
    let at_least = fields.count("at_least", problems);
    fields.finish(problems);
    Some(Guard { deletes, updates, at_least })
}

/// A share like `5%`, a number of rows, or `off`.
fn read_limit(node: &Node, problems: &mut Problems) -> Option<Spanned<Limit>> {
    let text = node.as_str().unwrap_or("");
    let limit = if text == "off" {
        Some(Limit::Off)
    } else if let Some(share) = text.strip_suffix('%') {
        share.trim_end().parse::<f64>().ok().filter(|share| share.is_finite()).map(Limit::Percent)
    } else {
        text.parse::<u64>().ok().map(Limit::Rows)
    };
    if limit.is_none() {
        problems
            .error(code::WRONG_TYPE, node.span, expected("a limit", node))
            .help("write a share like `5%`, a number of rows like `100`, or `off`");
    }
    limit.map(|limit| Spanned::new(limit, node.span))
}
