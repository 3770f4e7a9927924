//! XML elements as text, indented with tabs as 1C does.

use super::cell::Value;
use super::text::escape;

/// XML under construction.
#[derive(Debug, Default)]
pub(super) struct Xml {
    text: String,
    depth: usize,
}

/// Where an [`Xml`] stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    length: usize,
    depth: usize,
}

impl Xml {
    /// Nothing yet, to be put at a depth.
    pub(super) fn at(depth: usize) -> Self {
        Self { text: String::new(), depth }
    }

    /// `<name attribute="value">`
    pub(super) fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.text.push_str(">\n");
        self.depth += 1;
    }

    /// `</name>`
    pub(super) fn close(&mut self, name: &str) {
        self.depth = self.depth.saturating_sub(1);
        self.indent();
        self.end(name);
    }

    /// `<name>text</name>`
    pub(super) fn leaf(&mut self, name: &str, text: &str) {
        self.leaf_with(name, &[], text);
    }

    /// `<name>value</name>`
    pub(super) fn value(&mut self, name: &str, value: &Value<'_>) {
        match value {
            Value::Text(text) => self.leaf(name, text),
            Value::Number(number, least) => {
                self.tag(name, &[]);
                self.text.push('>');
                number.write(&mut self.text, *least);
                self.end(name);
            }
        }
    }

    /// `<name>value</name>` if there is a value.
    pub(super) fn value_if(&mut self, name: &str, value: Option<&Value<'_>>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    /// `<name attribute="value">text</name>`, or `<name attribute="value"/>` without a text.
    pub(super) fn leaf_with(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.tag(name, attributes);
        if text.is_empty() {
            self.text.push_str("/>\n");
            return;
        }
        self.text.push('>');
        escape(&mut self.text, text, false);
        self.end(name);
    }

    /// Text that is XML already, at this depth.
    pub(super) fn append(&mut self, xml: &str) {
        self.text.push_str(xml);
    }

    /// What was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Forgets what was written, and goes on at the same depth in the same memory.
    pub(super) fn clear(&mut self) {
        self.text.clear();
    }

    /// Takes what was written, and goes on at the same depth.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Where it stands, to come back to.
    pub(super) fn mark(&self) -> Mark {
        Mark { length: self.text.len(), depth: self.depth }
    }

    /// Forgets what was written since.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.text.truncate(mark.length);
        self.depth = mark.depth;
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        for (key, value) in attributes {
            self.text.push(' ');
            self.text.push_str(key);
            self.text.push_str("=\"");
            escape(&mut self.text, value, true);
            self.text.push('"');
        }
    }

    fn end(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\n");
    }

    fn indent(&mut self) {
        const TABS: &str = "\t\t\t\t\t\t\t\t";
        match TABS.get(..self.depth) {
            Some(tabs) => self.text.push_str(tabs),
            None => self.text.extend(std::iter::repeat_n('\t', self.depth)),
        }
    }
}
