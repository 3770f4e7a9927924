//! What serde says is wrong, and where.

use super::scalar::found;
use crate::name::suggest;
use crate::{Node, Value};
use obmen_diagnostics::{Code, Diagnostic, Severity, Span, code};
use serde::de;
use std::fmt;

/// A mistake on its way from the value that is wrong out to the root.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) what: What,
    /// Addresses of the nodes it passed, innermost first; see [`Node`] addresses in `tree`.
    pub(super) trail: Vec<usize>,
    /// Another attempt will get past it without dropping anything.
    pub(super) learnt: bool,
}

/// A mistake, with or without a place.
#[derive(Debug)]
pub(super) enum What {
    /// Ready to be shown.
    Placed(Box<Diagnostic>),
    /// A field is not there; the struct will say where.
    Missing(&'static str),
    /// A field is not there because what was given for it was wrong.
    Hidden(&'static str),
    /// A key nobody takes, and the ones somebody would; the map will say where.
    Unknown(String, &'static [&'static str]),
    /// Something else; the value will say where.
    Unplaced { code: Code, message: String, help: Option<String> },
    /// A consequence of a mistake that was reported already.
    Silent,
}

impl Mistake {
    fn of(what: What) -> Self {
        Self { what, trail: Vec::new(), learnt: false }
    }

    pub(super) fn new(code: Code, message: impl Into<String>, help: Option<String>) -> Self {
        Self::of(What::Unplaced { code, message: message.into(), help })
    }

    pub(super) fn silent() -> Self {
        Self::of(What::Silent)
    }

    /// A field that is not there because what was given for it was wrong.
    pub(super) fn hidden(field: &'static str) -> Self {
        Self::of(What::Hidden(field))
    }

    /// A field that is not there; the next attempt knows that it is not.
    pub(super) fn missing(node: &Node, field: &str) -> Self {
        Self { learnt: true, ..Self::of(What::Placed(Box::new(missing_field(node, field)))) }
    }

    pub(super) fn wrong_type(node: &Node, expected: &str) -> Self {
        Self::new(code::WRONG_TYPE, format!("expected {expected}, found {}", found(node)), None)
    }

    /// Notes that the mistake passed a node; the innermost one is its place.
    pub(super) fn at(mut self, node: &Node) -> Self {
        self.what = match self.what {
            What::Unplaced { code, message, help } => placed(code, node.span, message, help),
            What::Missing(field) => What::Placed(Box::new(missing_field(node, field))),
            What::Unknown(key, known) => {
                let entry = node.as_map().and_then(|map| map.entries.iter().find(|(name, _)| name.value == key));
                let span = entry.map_or(node.span, |(name, _)| name.span);
                What::Placed(Box::new(unknown_field(&key, span, known.iter().copied())))
            }
            other => other,
        };
        self.trail.push(address(node));
        self
    }

    /// Notes that the mistake is the key of an entry.
    pub(super) fn at_key(mut self, key: &str, span: Span, value: &Node) -> Self {
        self.what = match self.what {
            What::Unknown(_, known) => What::Placed(Box::new(unknown_field(key, span, known.iter().copied()))),
            What::Unplaced { code, message, help } => placed(code, span, message, help),
            other => other,
        };
        self.trail.push(address(value));
        self
    }
}

fn placed(code: Code, span: Span, message: String, help: Option<String>) -> What {
    let mut diagnostic = Diagnostic::new(code, Severity::Error, span, message);
    diagnostic.help.extend(help);
    What::Placed(Box::new(diagnostic))
}

/// What tells a node from all others while the tree is borrowed.
pub(super) fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// A key that is not among the known ones, with the one that was probably meant.
pub(super) fn unknown_field<'a>(key: &str, span: Span, known: impl Iterator<Item = &'a str>) -> Diagnostic {
    let known: Vec<&str> = known.collect();
    let mut diagnostic = Diagnostic::new(code::UNKNOWN_FIELD, Severity::Error, span, format!("unknown field `{key}`"));
    if let Some(similar) = suggest(key, known.iter().copied()) {
        diagnostic.help("a field with a similar name exists").fix(span, similar);
        if let Some(odd) = crate::name::odd_letters(key) {
            diagnostic.help(odd);
        }
    } else if known.is_empty() {
        diagnostic.help("remove it: there are no fields here");
    } else {
        diagnostic.help(format!("use one of {}", crate::name::listed(&known)));
    }
    diagnostic
}

/// A field that must be there and is not, shown at the first key of its mapping.
pub(super) fn missing_field(node: &Node, field: &str) -> Diagnostic {
    let span = match &node.value {
        Value::Map(map) => map.entries.first().map_or(node.span, |(key, _)| key.span),
        _ => node.span,
    };
    let mut diagnostic = Diagnostic::new(code::MISSING_FIELD, Severity::Error, span, format!("`{field}` is missing"));
    diagnostic.help(format!("add `{field}:` to this mapping"));
    diagnostic
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Placed(diagnostic) => f.write_str(&diagnostic.message),
            What::Missing(field) | What::Hidden(field) => write!(f, "`{field}` is missing"),
            What::Unknown(key, _) => write!(f, "unknown field `{key}`"),
            What::Unplaced { message, .. } => f.write_str(message),
            What::Silent => f.write_str("see above"),
        }
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(code::INVALID_VALUE, message.to_string(), None)
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = in_words(&unexpected);
        Self::new(code::WRONG_TYPE, format!("expected {}, found {found}", human(&expected.to_string())), None)
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = in_words(&unexpected);
        Self::new(code::INVALID_VALUE, format!("expected {}, found {found}", human(&expected.to_string())), None)
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        let expected = human(&expected.to_string());
        Self::new(code::INVALID_VALUE, format!("expected {expected}, found {length} of them"), None)
    }

    fn unknown_variant(word: &str, allowed: &'static [&'static str]) -> Self {
        let (message, help) = unknown_word(word, allowed);
        Self::new(code::UNKNOWN_WORD, message, help)
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::of(What::Unknown(key.to_owned(), known))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::of(What::Missing(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(code::DUPLICATE_KEY, format!("`{field}` is given twice, once under another name"), None)
    }
}

/// Message and help for a word that is not among the allowed ones.
pub(super) fn unknown_word(word: &str, allowed: &[&str]) -> (String, Option<String>) {
    let message = format!("unknown word `{}`, expected {}", super::scalar::short(word), crate::name::listed(allowed));
    let help = suggest(word, allowed.iter().copied()).map(|similar| format!("write `{similar}`"));
    (message, help)
}

fn in_words(unexpected: &de::Unexpected<'_>) -> String {
    use de::Unexpected as U;
    match unexpected {
        U::Bool(value) => format!("`{value}`"),
        U::Unsigned(value) => format!("`{value}`"),
        U::Signed(value) => format!("`{value}`"),
        U::Float(value) => format!("`{value}`"),
        U::Char(value) => format!("`{value}`"),
        U::Str(value) => format!("`{}`", super::scalar::short(value)),
        U::Unit | U::Option => "nothing".to_owned(),
        U::Seq | U::TupleVariant => "a list".to_owned(),
        U::Map | U::StructVariant | U::NewtypeVariant => "a mapping".to_owned(),
        U::UnitVariant => "a word".to_owned(),
        U::Other(what) => (*what).to_owned(),
        _ => "something else".to_owned(),
    }
}

/// What serde's visitors expect, in the words of the manual instead of Rust's.
fn human(expected: &str) -> String {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" | "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => {
            "a whole number"
        }
        "f32" | "f64" => "a number",
        "a string" | "string" | "str" => "a text",
        "a character" | "char" => "one letter",
        "a boolean" | "bool" => "`true` or `false`",
        "a sequence" | "an array" => "a list",
        "a map" => "a mapping",
        "unit" => "nothing",
        _ if expected.starts_with("struct ") => "a mapping",
        _ if expected.starts_with("enum ") => "one of the allowed words",
        _ if expected.starts_with("tuple ") || expected.starts_with("a tuple ") => "a list of fixed length",
        _ => expected,
    }
    .to_owned()
}
