//! The tree of a YAML document, every node with its exact place.

use obmen_diagnostics::{Span, Spanned};

/// A node and where it stands.
///
/// The place of a scalar is all of it, quotes included (of a text after `|` or `>`, its lines); of a list or map it is from its first to its last child, or from
/// bracket to bracket; of an alias (`*name`) it is the alias, while what is inside keeps the place where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What stands there.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A text, number or truth value: YAML tells them apart only when somebody asks for one.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping; keys are unique.
    Map(Map),
}

/// The text of a scalar, after YAML's escapes, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The content. Numbers keep the digits that were written.
    pub text: String,
    /// How it was written.
    pub style: ScalarStyle,
    /// The way back from the text to the file: pieces that stand in the file as they are, as the byte where a piece
    /// begins in `text` and in the file. Empty where the text does not stand in the file (folded, with escapes).
    pub pieces: Vec<(usize, usize)>,
}

impl Scalar {
    /// A text that stands in no file.
    pub fn new(text: impl Into<String>, style: ScalarStyle) -> Self {
        Self { text: text.into(), style, pieces: Vec::new() }
    }
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarStyle {
    /// Bare.
    Plain,
    /// In single or double quotes: always a text.
    Quoted,
    /// After `|`: the lines stand in the file as they are, indented.
    Literal,
    /// After `>`.
    Folded,
}

/// A mapping in the order it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// Keys with their places, and values.
    pub entries: Vec<(Spanned<String>, Node)>,
}

impl Map {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node)
    }
}

impl Node {
    /// The text of a scalar.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
}
