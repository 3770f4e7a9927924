//! What a test says of the world before a run.

use super::read::{read_row, read_row_list, read_rows};
use super::{Answer, Given, Replies, Reply};
use crate::decode::{Fields, expected, named};
use crate::{Node, Value};
use obmen_diagnostics::{Problems, code};

pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Given> {
    let fields = Fields::of(node, "what is given: a mapping", problems)?;
    let sources = named(fields.get("sources", problems), "rows by source", problems, |_, node, problems| {
        read_rows(node, problems)
    });
    let patch = named(fields.get("patch", problems), "rows by source", problems, |_, node, problems| {
        read_row_list(node, problems)
    });
    let remove = named(fields.get("remove", problems), "keys by source", problems, |_, node, problems| {
        read_row_list(node, problems)
    });
    let acked = fields.texts("acked", problems).unwrap_or_default();
    for sink in acked.iter().filter(|sink| sink.split('/').filter(|part| !part.trim().is_empty()).count() != 2) {
        problems
            .error(code::INVALID_VALUE, sink.span, format!("`{}` does not name a sink of another pipeline", sink.value))
            .help("write `pipeline/sink`");
    }
    let sinks = named(fields.get("sinks", problems), "answers by sink", problems, |_, node, problems| {
        read_replies(node, problems)
    });
    let vars = named(fields.get("vars", problems), "values by var", problems, |_, node, _| Some(node.clone()));
    let clock = fields.text("clock", problems);
    fields.finish(problems);
    Some(Given { sources, patch, remove, acked, sinks, vars, clock, span: node.span })
}

fn read_replies(node: &Node, problems: &mut Problems) -> Option<Replies> {
    if let Value::Scalar(_) = node.value {
        crate::decode::word(node, &[("ack_all", ())], problems)?;
        return Some(Replies { rows: Vec::new(), span: node.span });
    }
    let fields = Fields::of(node, "`ack_all`, or a mapping with `reply`", problems)?;
    let list = fields.require("reply", problems);
    let rows = list.and_then(|node| {
        let Some(list) = node.as_list() else {
            problems.error(code::WRONG_TYPE, node.span, expected("a list of answers", node));
            return None;
        };
        let rows: Vec<_> = list.iter().map(|node| read_reply(node, problems)).collect();
        rows.into_iter().collect()
    });
    fields.finish(problems);
    Some(Replies { rows: rows?, span: node.span })
}

/// The words after `class:`, as in the journal.
const CLASSES: &[(&str, &str)] = &[
    ("data", "data"),
    ("missing", "missing"),
    ("conflict", "conflict"),
    ("temporary", "temporary"),
    ("forbidden", "forbidden"),
];

fn read_reply(node: &Node, problems: &mut Problems) -> Option<Reply> {
    let fields = Fields::of(node, "an answer: a mapping with `key` and `reject` or `lost`", problems)?;
    let key = fields.require("key", problems).and_then(|node| read_row(node, problems));
    let reason = fields.text("reject", problems);
    let class = fields.word("class", CLASSES, problems).map(|word| word.map(str::to_owned));
    let altered = fields.flag("altered", problems);
    let lost = fields.flag("lost", problems);
    let is_rejected = fields.entry("reject").is_some();
    let misplaced = [class.is_some().then_some("class"), altered.is_some().then_some("altered")];
    if !is_rejected {
        for key in misplaced.into_iter().flatten() {
            if let Some((name, _)) = fields.entry(key) {
                problems.error(code::INVALID_VALUE, name.span, format!("`{key}` says something only beside `reject`"));
            }
        }
    }
    fields.finish(problems);
    let answer = match (reason, lost) {
        (Some(reason), None | Some(false)) => Answer::Reject { reason, class, altered: altered.unwrap_or(false) },
        (None, Some(true)) if !is_rejected => Answer::Lost,
        (Some(_), Some(true)) => {
            problems.error(code::INVALID_VALUE, node.span, "an answer is either `reject` or `lost`, not both");
            return None;
        }
        _ if is_rejected => return None,
        _ => {
            let found = problems.error(code::MISSING_FIELD, node.span, "an answer without `reject` or `lost`");
            found.help("remove it: rows that are not listed are acked");
            return None;
        }
    };
    Some(Reply { key: key?, answer, span: node.span })
}
