//! How a source finds its changes: a word, or a word with settings.

use super::{Back, Changes, ChangesKind, Watermark};
use crate::check::schedule::seconds;
use crate::decode::{Fields, expected, word};
use crate::{Node, Value};
use obmen_diagnostics::{Problems, Spanned, code};

/// The words after `changes:`.
const KINDS: &[(&str, ChangesKind)] = &[
    ("full", ChangesKind::Full),
    ("cursor", ChangesKind::Cursor),
    ("version", ChangesKind::Version),
    ("window", ChangesKind::Window),
    ("feed", ChangesKind::Feed),
    ("register", ChangesKind::Register),
    ("log", ChangesKind::Log),
    ("inbox", ChangesKind::Inbox),
];

impl ChangesKind {
    /// The word in YAML.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Whether this version of the engine can do it.
    pub fn is_available(self) -> bool {
        matches!(self, Self::Full | Self::Inbox | Self::Cursor | Self::Version | Self::Window)
    }
}

impl Changes {
    /// Reads `full`, or `{ feed: site }`.
    pub fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let (named, settings) = match &node.value {
            Value::Map(map) => {
                let [(name, settings)] = map.entries.as_slice() else {
                    let help = "write one of them, like `changes: full` or `changes: { feed: site }`";
                    problems.error(code::WRONG_TYPE, node.span, "expected one way to find changes").help(help);
                    return None;
                };
                let scalar = crate::Scalar::new(name.value.clone(), crate::ScalarStyle::Plain);
                (Node { span: name.span, value: Value::Scalar(scalar) }, settings.clone())
            }
            Value::Scalar(_) => (node.clone(), Node { span: node.span, value: Value::Null }),
            _ => {
                problems.error(code::WRONG_TYPE, node.span, expected("a way to find changes, like `full`", node));
                return None;
            }
        };
        let kind = word(&named, KINDS, problems)?.value;
        let watermark = match kind {
            ChangesKind::Cursor | ChangesKind::Version | ChangesKind::Window => {
                Some(Watermark::read(kind, node, &settings, problems)?)
            }
            _ => None,
        };
        Some(Self { kind, settings, watermark, span: node.span })
    }
}

impl Watermark {
    /// Reads a column's name, or a mapping with `column`.
    fn read(kind: ChangesKind, node: &Node, settings: &Node, problems: &mut Problems) -> Option<Self> {
        if let Value::Scalar(scalar) = &settings.value {
            let column = Spanned::new(scalar.text.clone(), settings.span);
            let mark = Self { column, overlap: None, tie: None, last: None };
            return mark.complete(kind, problems);
        }
        if settings.value == Value::Null {
            let message = format!("`changes: {}` does not say by which column", kind.name());
            let help = format!("write `changes: {{ {}: updated_at }}`", kind.name());
            problems.error(code::MISSING_FIELD, node.span, message).help(help);
            return None;
        }
        let fields = Fields::of(settings, "a column, or a mapping with `column`", problems)?;
        let column = fields.require_text("column", problems);
        let (mut overlap, mut tie, mut last) = (None, None, None);
        if kind == ChangesKind::Cursor {
            overlap = fields.text("overlap", problems).and_then(|text| back(&text, problems));
            tie = fields.text("tie", problems);
        }
        if kind == ChangesKind::Window {
            last = fields.text("last", problems).and_then(|text| back(&text, problems));
        }
        fields.finish(problems);
        Self { column: column?, overlap, tie, last }.complete(kind, problems)
    }

    fn complete(self, kind: ChangesKind, problems: &mut Problems) -> Option<Self> {
        if let (Some(overlap), Some(tie)) = (&self.overlap, &self.tie) {
            problems
                .error(code::INVALID_VALUE, tie.span, "`tie` says something only without `overlap`")
                .label(overlap.span, "rows before the last position are read again anyway")
                .help("keep one of them");
        }
        if kind == ChangesKind::Window && self.last.is_none() {
            problems
                .error(code::MISSING_FIELD, self.column.span, "the window does not say how far back it goes")
                .help("add `last: 7d`");
            return None;
        }
        Some(self)
    }
}

/// A whole number, or one with a unit of time.
fn back(text: &Spanned<String>, problems: &mut Problems) -> Option<Spanned<Back>> {
    let found = text.parse().map(Back::Units).ok().or_else(|| seconds(text).map(Back::Seconds));
    if found.is_none() {
        problems
            .error(code::INVALID_VALUE, text.span, format!("`{}` says no distance", text.value))
            .help("write a time, `10m` or `2d`, or a whole number for a column of numbers");
    }
    Some(Spanned::new(found?, text.span))
}
