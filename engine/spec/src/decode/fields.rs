//! A mapping read key by key, each value by its own reader, so that every entry reports its own mistakes.

use super::mistake::{missing_field, unknown_field, unknown_word};
use super::scalar::{self, expected};
use super::{Mistake, Named};
use crate::name::suggest;
use crate::{Map, Node, SqlText, Value};
use obmen_diagnostics::{Problems, Span, Spanned, code};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// A mapping with known keys. What is asked for is known; what is left when it is [finished](Self::finish) is a mistake.
///
/// Readers return `None` after reporting what is wrong, so that the mistakes beside it are found too.
#[derive(Debug)]
pub struct Fields<'n> {
    node: &'n Node,
    map: &'n Map,
    known: RefCell<BTreeSet<&'static str>>,
    /// Required keys that were not there, reported at the end: their misspelt form may be among what is left.
    absent: RefCell<Vec<&'static str>>,
}

impl<'n> Fields<'n> {
    /// The mapping at a node; `what` says in words what is expected when it is none.
    pub fn of(node: &'n Node, what: &str, problems: &mut Problems) -> Option<Self> {
        let Value::Map(map) = &node.value else {
            problems.error(code::WRONG_TYPE, node.span, expected(what, node));
            return None;
        };
        Some(Self { node, map, known: RefCell::default(), absent: RefCell::default() })
    }

    /// The whole mapping.
    pub fn span(&self) -> Span {
        self.node.span
    }

    /// The entry of a key, with the place of the key.
    pub fn entry(&self, key: &'static str) -> Option<(&'n Spanned<String>, &'n Node)> {
        self.known.borrow_mut().insert(key);
        self.map.entries.iter().find(|(name, _)| name.value == key).map(|(name, node)| (name, node))
    }

    /// The value of a key, if it is there. A key without a value is a mistake.
    pub fn get(&self, key: &'static str, problems: &mut Problems) -> Option<&'n Node> {
        let (name, node) = self.entry(key)?;
        if node.value == Value::Null {
            problems
                .error(code::WRONG_TYPE, name.span, format!("`{key}` has no value"))
                .help("give it one, or remove the line");
            return None;
        }
        Some(node)
    }

    /// The value of a key that must be there.
    pub fn require(&self, key: &'static str, problems: &mut Problems) -> Option<&'n Node> {
        if self.entry(key).is_none() {
            self.absent.borrow_mut().push(key);
        }
        self.get(key, problems)
    }

    /// A text.
    pub fn text(&self, key: &'static str, problems: &mut Problems) -> Option<Spanned<String>> {
        text(self.get(key, problems)?, problems)
    }

    /// A text that must be there.
    pub fn require_text(&self, key: &'static str, problems: &mut Problems) -> Option<Spanned<String>> {
        text(self.require(key, problems)?, problems)
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &'static str, problems: &mut Problems) -> Option<bool> {
        let node = self.get(key, problems)?;
        report(scalar::truth(node), node, problems)
    }

    /// A whole number, 0 or more.
    pub fn count(&self, key: &'static str, problems: &mut Problems) -> Option<Spanned<u64>> {
        count(self.get(key, problems)?, problems)
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)], problems: &mut Problems) -> Option<Spanned<T>> {
        word(self.get(key, problems)?, words, problems)
    }

    /// A piece of SQL.
    pub fn sql(&self, key: &'static str, problems: &mut Problems) -> Option<SqlText> {
        SqlText::from_node(self.get(key, problems)?, problems)
    }

    /// A piece of SQL that must be there.
    pub fn require_sql(&self, key: &'static str, problems: &mut Problems) -> Option<SqlText> {
        SqlText::from_node(self.require(key, problems)?, problems)
    }

    /// A list of texts.
    pub fn texts(&self, key: &'static str, problems: &mut Problems) -> Option<Vec<Spanned<String>>> {
        texts(self.get(key, problems)?, problems)
    }

    /// A list of texts that must be there.
    pub fn require_texts(&self, key: &'static str, problems: &mut Problems) -> Option<Vec<Spanned<String>>> {
        texts(self.require(key, problems)?, problems)
    }

    /// Reports keys nobody asked for, and required ones that are not there.
    pub fn finish(self, problems: &mut Problems) {
        let known = self.known.take();
        let mut meant = BTreeSet::new();
        for (key, _) in self.map.entries.iter().filter(|(key, _)| !known.contains(key.value.as_str())) {
            meant.extend(suggest(key, known.iter().copied()));
            problems.push(unknown_field(key, key.span, known.iter().copied()));
        }
        self.report_absent(&meant, problems);
    }

    /// The entries nobody asked for, as a mapping for a connector to decode. Required keys that are not there are
    /// reported; so are keys that look like a known one that is not there, which the connector then does not see.
    pub fn rest(self, problems: &mut Problems) -> Node {
        let known = self.known.take();
        let free: Vec<&str> = known.iter().copied().filter(|key| self.map.get(key).is_none()).collect();
        let mut meant = BTreeSet::new();
        let mut rest = Map::default();
        for (key, value) in self.map.entries.iter().filter(|(key, _)| !known.contains(key.value.as_str())) {
            match nearly(key, &free) {
                Some(similar) => {
                    meant.insert(similar);
                    problems.push(unknown_field(key, key.span, known.iter().copied()));
                }
                None => rest.entries.push((key.clone(), value.clone())),
            }
        }
        self.report_absent(&meant, problems);
        Node { span: self.node.span, value: Value::Map(rest) }
    }

    fn report_absent(&self, meant: &BTreeSet<&str>, problems: &mut Problems) {
        for key in self.absent.borrow().iter().filter(|key| !meant.contains(**key)) {
            problems.push(missing_field(self.node, key));
        }
    }
}

/// The key that was meant beyond reasonable doubt: a long word with one slip, or letters of another alphabet or case.
/// Anything less may be an option of the connector.
fn nearly<'k>(key: &str, free: &[&'k str]) -> Option<&'k str> {
    free.iter().copied().find(|known| {
        let long = known.chars().count() >= 5;
        suggest(key, [*known]).is_some() && crate::name::distance(key, known) <= usize::from(long)
    })
}

/// Splits a mapping into the entries of known keys and a mapping of all others, with the place of the whole.
pub fn split(node: &Node, known: &[&str]) -> Option<(Map, Node)> {
    let map = node.as_map()?;
    let (ours, rest) = map.entries.iter().cloned().partition(|(key, _)| known.contains(&key.value.as_str()));
    Some((Map { entries: ours }, Node { span: node.span, value: Value::Map(Map { entries: rest }) }))
}

/// Reads each entry of a mapping separately: entries that are wrong report it and are left out. Nothing: no entries.
pub fn named<T>(
    node: Option<&Node>,
    what: &str,
    problems: &mut Problems,
    mut read: impl FnMut(&Spanned<String>, &Node, &mut Problems) -> Option<T>,
) -> Named<T> {
    let mut all = Named::default();
    let Some(node) = node else { return all };
    let Value::Map(map) = &node.value else {
        problems.error(code::WRONG_TYPE, node.span, expected(what, node));
        return all;
    };
    for (name, node) in &map.entries {
        match read(name, node, problems) {
            Some(value) => all.entries.push((name.clone(), value)),
            None => all.broken.push(name.value.clone()),
        }
    }
    all
}

/// A text with its place.
pub(crate) fn text(node: &Node, problems: &mut Problems) -> Option<Spanned<String>> {
    match &node.value {
        Value::Scalar(scalar) if scalar.text.trim().is_empty() => {
            problems.error(code::INVALID_VALUE, node.span, "expected a text, found an empty one");
            None
        }
        Value::Scalar(scalar) => Some(Spanned::new(scalar.text.clone(), node.span)),
        _ => {
            problems.error(code::WRONG_TYPE, node.span, expected("a text", node));
            None
        }
    }
}

/// A list of texts; a single text is a mistake with the brackets as a fix.
pub fn texts(node: &Node, problems: &mut Problems) -> Option<Vec<Spanned<String>>> {
    let Value::List(list) = &node.value else {
        let found = problems.error(code::WRONG_TYPE, node.span, expected("a list", node));
        if let Some(one) = node.as_str() {
            found.help("put it in brackets").fix(node.span, format!("[{one}]"));
        }
        return None;
    };
    let read: Vec<_> = list.iter().map(|node| text(node, problems)).collect();
    read.into_iter().collect()
}

/// A whole number, 0 or more, with its place.
pub(crate) fn count(node: &Node, problems: &mut Problems) -> Option<Spanned<u64>> {
    let number = report(scalar::whole(node, 0, i128::from(u64::MAX)), node, problems)?;
    Some(Spanned::new(u64::try_from(number).ok()?, node.span))
}

/// One of some words.
pub(crate) fn word<T: Copy>(node: &Node, words: &[(&str, T)], problems: &mut Problems) -> Option<Spanned<T>> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let Some(written) = node.as_str() else {
        problems.error(code::WRONG_TYPE, node.span, expected(&crate::name::listed(&names), node));
        return None;
    };
    if let Some((_, value)) = words.iter().find(|(name, _)| *name == written) {
        return Some(Spanned::new(*value, node.span));
    }
    let (message, _) = unknown_word(written, &names);
    let found = problems.error(code::UNKNOWN_WORD, node.span, message);
    if let Some(similar) = suggest(written, names) {
        found.help("a word with a similar name exists").fix(node.span, similar);
    }
    None
}

fn report<T>(result: Result<T, Mistake>, node: &Node, problems: &mut Problems) -> Option<T> {
    result
        .map_err(|mistake| {
            if let super::mistake::What::Placed(diagnostic) = mistake.at(node).what {
                problems.push(*diagnostic);
            }
        })
        .ok()
}
