//! How a source finds its changes: a word, or a word with settings.

use super::{Changes, ChangesKind};
use crate::decode::{expected, word};
use crate::{Node, Value};
use obmen_diagnostics::{Problems, code};

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
        matches!(self, Self::Full | Self::Inbox)
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
        let kind = word(&named, KINDS, problems)?;
        Some(Self { kind: kind.value, settings, span: node.span })
    }
}
