//! XML elements as text, indented with tabs as 1C does.

use super::text::escape;

/// XML under construction.
#[derive(Debug, Default)]
pub(super) struct Xml {
    text: String,
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
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\n");
    }

    /// `<name>text</name>`
    pub(super) fn leaf(&mut self, name: &str, text: &str) {
        self.leaf_with(name, &[], text);
    }

    /// `<name>text</name>` if there is a text.
    pub(super) fn leaf_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.leaf(name, text);
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
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\n");
    }

    /// Text that is XML already, at this depth.
    pub(super) fn append(&mut self, xml: &str) {
        self.text.push_str(xml);
    }

    /// What was written.
    pub(super) fn finish(self) -> String {
        self.text
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

    fn indent(&mut self) {
        self.text.extend(std::iter::repeat_n('\t', self.depth));
    }
}
