//! SQL inside YAML, and the way back from a place in the SQL to a place in the file.

use crate::decode::expected;
use crate::{Node, Value};
use obmen_diagnostics::{Problems, Span, code};
use std::ops::Range;

/// A piece of SQL as it stands in a YAML scalar.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlText {
    /// The SQL.
    pub text: String,
    /// The whole scalar.
    pub span: Span,
    /// For each line as written: where it begins in `text` and in the file. Empty when the scalar's
    /// style does not keep the text as it stands (folded, or quoted with escapes).
    pub lines: Vec<(usize, usize)>,
}

impl SqlText {
    /// The SQL at a node; anything but a text that says something is reported.
    pub fn from_node(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Scalar(scalar) if scalar.text.trim().is_empty() => {
                problems.error(code::INVALID_VALUE, node.span, "expected SQL, found an empty text");
                None
            }
            Value::Scalar(scalar) => {
                Some(Self { text: scalar.text.clone(), span: node.span, lines: scalar.pieces.clone() })
            }
            _ => {
                problems.error(code::WRONG_TYPE, node.span, expected("SQL", node)).help("write it after `|`, indented");
                None
            }
        }
    }
    /// The place in the file of bytes `range` of the SQL; the whole scalar where that cannot be said.
    pub fn place(&self, range: Range<usize>) -> Span {
        // The end is looked for from the last byte: the byte after it may already be on the next line of the file.
        let end = match range.end.checked_sub(1) {
            Some(last) if last >= range.start => self.file_offset(last).map(|last| last + 1),
            _ => self.file_offset(range.start),
        };
        match (self.file_offset(range.start), end) {
            (Some(start), Some(end)) if end >= start => Span::new(self.span.file, start..end),
            _ => self.span,
        }
    }

    /// The byte offset in the SQL of a line and column (in characters), both from 1.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let start = self.text.match_indices('\n').map(|(at, _)| at + 1).nth(line.wrapping_sub(2)).unwrap_or(0);
        let start = if line <= 1 { 0 } else { start };
        let rest = self.text.get(start..).unwrap_or("");
        start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
    }

    fn file_offset(&self, at: usize) -> Option<usize> {
        let line = self.lines.partition_point(|(sql, _)| *sql <= at).checked_sub(1)?;
        let (sql, file) = self.lines.get(line)?;
        Some(file + (at - sql))
    }
}
