//! Tree → [`Source`].

use super::read::read_columns;
use super::{Changes, OnBadRow, Source};
use crate::Node;
use crate::decode::Fields;
use obmen_diagnostics::Problems;

pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Source> {
    let fields = Fields::of(node, "a source: a mapping with `connection`, `entity`, `key`", problems)?;
    let connection = fields.require_text("connection", problems);
    let entity = fields.require_text("entity", problems);
    let columns = fields.get("columns", problems).and_then(|node| read_columns(node, problems));
    let key = fields.require_texts("key", problems);
    let changes = fields.get("changes", problems).and_then(|node| Changes::read(node, problems));
    let words = [("reject", OnBadRow::Reject), ("stop", OnBadRow::Stop)];
    let on_bad_row = fields.word("on_bad_row", &words, problems);
    let may_be_empty = fields.flag("may_be_empty", problems).unwrap_or(false);
    let options = fields.rest(problems);
    Some(Source {
        connection: connection?,
        entity: entity?,
        columns,
        key: key?,
        changes,
        on_bad_row,
        may_be_empty,
        options,
        span: node.span,
    })
}
