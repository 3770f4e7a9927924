//! One element with everything in it, for items that are read as a whole.

use super::xml::{Element, Place};

/// An element with everything in it. Children are found by name, in any order.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    /// The texts directly inside, joined.
    pub(super) text: String,
    pub(super) children: Vec<Tree>,
    pub(super) place: Place,
}

impl Tree {
    /// An element with nothing in it yet.
    pub(super) fn new(element: &Element) -> Self {
        Self {
            name: element.name.clone(),
            attributes: element.attributes.clone(),
            text: String::new(),
            children: Vec::new(),
            place: element.place,
        }
    }

    /// The first child of a name.
    pub(super) fn child(&self, name: &str) -> Option<&Tree> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The first of several children that is there and says something.
    pub(super) fn first(&self, names: &[&str]) -> Option<&Tree> {
        names.iter().filter_map(|name| self.child(name)).find(|child| child.value().is_some())
    }

    /// All children of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Tree> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Items inside all lists of a name: `Цены/Цена`.
    pub(super) fn items<'a>(&'a self, list: &'a str, item: &'a str) -> impl Iterator<Item = &'a Tree> {
        self.all(list).flat_map(move |list| list.all(item))
    }

    /// An attribute without surrounding space, if it says something.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The text, if there is more than space in it.
    pub(super) fn value(&self) -> Option<&str> {
        Some(self.text.as_str()).filter(|text| !text.trim().is_empty())
    }

    /// The text of a child.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.first(&[name]).and_then(Tree::value)
    }

    /// The text of a child that is an id, code or number: without surrounding space.
    pub(super) fn word_of(&self, name: &str) -> Option<&str> {
        self.text_of(name).map(str::trim)
    }

    /// The value of a requisite: `ЗначенияРеквизитов/ЗначениеРеквизита`.
    pub(super) fn requisite(&self, name: &str) -> Option<&Tree> {
        self.items("ЗначенияРеквизитов", "ЗначениеРеквизита")
            .filter(|requisite| requisite.word_of("Наименование") == Some(name))
            .find_map(|requisite| requisite.first(&["Значение"]))
    }
}
