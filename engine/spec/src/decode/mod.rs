//! Tree → typed values, mistakes with places.
//!
//! Two ways in, for two kinds of authors. [`decode`] fills any type that derives `serde::Deserialize`: a connector's
//! settings, written by somebody who should not have to know about trees. [`Fields`] reads a mapping key by key: the
//! pipeline itself, whose parts keep SQL places and free-form options. Both report every mistake they can see.

mod fields;
mod mistake;
mod poison;
mod scalar;
mod tree;

pub use fields::{Fields, named, split, texts};
pub(crate) use fields::{count, text, word};
pub use scalar::{expected, found};

use crate::Node;
use mistake::Mistake;
use obmen_diagnostics::{Problems, Spanned};
use serde::de::DeserializeOwned;
use tree::{Session, Tree};

/// Components by name, in the order they were written.
#[derive(Clone, Debug)]
pub struct Named<T> {
    /// Names with their places, and components.
    pub entries: Vec<(Spanned<String>, T)>,
    /// Names of components that could not be read: what is wrong with them was reported, and nothing
    /// follows from their absence.
    pub broken: Vec<String>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), broken: Vec::new() }
    }
}

impl<T> Named<T> {
    /// The component of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.entries.iter().find(|(key, _)| key.value == name).map(|(_, value)| value)
    }

    /// Names with places, and components, as written.
    pub fn iter(&self) -> impl Iterator<Item = (&Spanned<String>, &T)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// The names alone.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.value.as_str())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Reads a tree as a type, reporting every mistake at its place. `None` if anything was wrong.
///
/// What the type says with serde is what is accepted: names and aliases of fields, defaults, enums by word or as a
/// mapping of one word. Fields of type [`Spanned`] keep their place. A key no field takes is always an error, also without
/// `deny_unknown_fields`: nothing is accepted and ignored. Numbers are read without a detour through a binary fraction
/// where the field is a `String`; `#[serde(flatten)]` and untagged enums work, but their mistakes are placed less exactly.
///
/// All mistakes are found in one call: after each one the value is read again without the entry that was wrong, or with
/// a neutral value in its place, until nothing new is found.
pub fn decode<T: DeserializeOwned>(node: &Node, problems: &mut Problems) -> Option<T> {
    let session = Session::default();
    let mut clean = true;
    loop {
        match T::deserialize(Tree::new(node, &session)).map_err(|mistake| mistake.at(node)) {
            Ok(value) => return clean.then_some(value),
            Err(mistake) => {
                clean = false;
                if !session.learn(mistake, problems) {
                    return None;
                }
            }
        }
    }
}
