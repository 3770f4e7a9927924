//! One element with everything in it, for items that are read as a whole.

use super::xml::Place;
use std::ops::Range;

/// An element with everything in it. Its buffers serve one item after another.
///
/// Elements lie in the order of their opening tags, so the children of one begin right after it and
/// each ends where its next sibling begins.
#[derive(Debug, Default)]
pub(super) struct Item {
    nodes: Vec<Node>,
    /// Names and values, as places in `text`.
    attributes: Vec<[Range<usize>; 2]>,
    /// All names, values and texts.
    text: String,
    /// The elements that are not closed yet.
    open: Vec<usize>,
    /// The texts of the elements that are not closed yet, by depth.
    pending: Vec<String>,
    size: usize,
}

/// An element of an [`Item`].
#[derive(Debug)]
struct Node {
    name: Range<usize>,
    attributes: Range<usize>,
    /// The texts directly inside, joined; empty if there is only space in them.
    text: Range<usize>,
    /// Where the elements inside it end.
    end: usize,
    place: Place,
}

impl Item {
    /// Forgets the item before.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.attributes.clear();
        self.text.clear();
        self.open.clear();
        self.pending.iter_mut().for_each(String::clear);
        self.size = 0;
    }

    /// Adds an opening tag.
    pub(super) fn open(&mut self, name: &str, place: Place) {
        self.size += 128;
        self.open.push(self.nodes.len());
        if self.pending.len() < self.open.len() {
            self.pending.push(String::new());
        }
        let (name, attributes) = (self.keep(name), self.attributes.len());
        self.nodes.push(Node { name, attributes: attributes..attributes, text: 0..0, end: 0, place });
    }

    /// Adds an attribute of the tag that was opened last.
    pub(super) fn attribute(&mut self, name: &str, value: &str) {
        self.size += name.len() + value.len();
        let attribute = [self.keep(name), self.keep(value)];
        self.attributes.push(attribute);
        if let Some(node) = self.nodes.last_mut() {
            node.attributes.end += 1;
        }
    }

    /// Adds a piece of text.
    pub(super) fn text(&mut self, piece: &str) {
        self.size += piece.len();
        if let Some(pending) = self.open.len().checked_sub(1).and_then(|depth| self.pending.get_mut(depth)) {
            pending.push_str(piece);
        }
    }

    /// Adds a closing tag; says whether the item is complete.
    pub(super) fn close(&mut self) -> bool {
        let (Some(at), end) = (self.open.pop(), self.nodes.len()) else { return true };
        if let (Some(node), Some(pending)) = (self.nodes.get_mut(at), self.pending.get_mut(self.open.len())) {
            let from = self.text.len();
            if !pending.trim().is_empty() {
                self.text.push_str(pending);
            }
            pending.clear();
            (node.text, node.end) = (from..self.text.len(), end);
        }
        self.open.is_empty()
    }

    /// About how many bytes it has.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The element itself.
    pub(super) fn root(&self) -> Option<Tree<'_>> {
        self.tree(0)
    }

    fn tree(&self, at: usize) -> Option<Tree<'_>> {
        Some(Tree { item: self, at, node: self.nodes.get(at)? })
    }

    fn keep(&mut self, text: &str) -> Range<usize> {
        let from = self.text.len();
        self.text.push_str(text);
        from..self.text.len()
    }

    fn said(&self, at: &Range<usize>) -> &str {
        self.text.get(at.clone()).unwrap_or_default()
    }
}

/// An element of an item. Children are found by name, in any order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree<'a> {
    item: &'a Item,
    at: usize,
    node: &'a Node,
}

impl<'a> Tree<'a> {
    /// Where its tag begins.
    pub(super) fn place(self) -> Place {
        self.node.place
    }

    /// The first child of a name.
    pub(super) fn child(self, name: &'a str) -> Option<Self> {
        self.all(name).next()
    }

    /// The first of several children that is there and says something.
    pub(super) fn first(self, names: &[&'a str]) -> Option<Self> {
        names.iter().filter_map(|name| self.child(name)).find(|child| child.value().is_some())
    }

    /// All children of a name.
    pub(super) fn all(self, name: &'a str) -> impl Iterator<Item = Self> {
        self.children().filter(move |child| self.item.said(&child.node.name) == name)
    }

    /// Items inside all lists of a name: `Цены/Цена`.
    pub(super) fn items(self, list: &'a str, item: &'a str) -> impl Iterator<Item = Self> {
        self.all(list).flat_map(move |list| list.all(item))
    }

    /// An attribute without surrounding space, if it says something.
    pub(super) fn attribute(self, name: &str) -> Option<&'a str> {
        let attributes = self.item.attributes.get(self.node.attributes.clone())?;
        let [_, value] = attributes.iter().find(|[key, _]| self.item.said(key) == name)?;
        Some(self.item.said(value).trim()).filter(|value| !value.is_empty())
    }

    /// The text, if there is more than space in it.
    pub(super) fn value(self) -> Option<&'a str> {
        Some(self.item.said(&self.node.text)).filter(|text| !text.is_empty())
    }

    /// The text of a child.
    pub(super) fn text_of(self, name: &'a str) -> Option<&'a str> {
        self.first(&[name]).and_then(Tree::value)
    }

    /// The text of a child that is an id, code or number: without surrounding space.
    pub(super) fn word_of(self, name: &'a str) -> Option<&'a str> {
        self.text_of(name).map(str::trim)
    }

    /// The value of a requisite: `ЗначенияРеквизитов/ЗначениеРеквизита`.
    pub(super) fn requisite(self, name: &str) -> Option<Self> {
        self.items("ЗначенияРеквизитов", "ЗначениеРеквизита")
            .filter(|requisite| requisite.word_of("Наименование") == Some(name))
            .find_map(|requisite| requisite.first(&["Значение"]))
    }

    fn children(self) -> impl Iterator<Item = Self> {
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let child = self.item.tree(at).filter(|_| at < self.node.end)?;
            at = child.node.end;
            Some(child)
        })
    }
}
