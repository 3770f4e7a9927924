//! Addresses of requests: percent-encoding and literals as 1C reads them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything except the unreserved characters of RFC 3986. A space becomes `%20`: 1C does not read `+` as a space in
/// `$filter` and answers 400.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes a text as UTF-8.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A text literal: `'Д''Артаньян'`.
pub(crate) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A request for rows: the path, percent-encoded, and options that are encoded when it is written.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    text: String,
}

impl Query {
    /// A request for JSON of a path, percent-encoded; empty for the service document.
    pub(crate) fn json(path: &str) -> Self {
        Self { text: format!("{path}?$format=json") }
    }

    /// Adds an option; its name is one of ours and stays as it is.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.text.push('&');
        self.text.push_str(name);
        self.text.push('=');
        self.text.push_str(&encode(value));
        self
    }

    /// Adds a page: so many rows after so many.
    #[must_use]
    pub(crate) fn page(self, top: usize, skip: u64) -> Self {
        let paged = self.with("$top", &top.to_string());
        if skip > 0 { paged.with("$skip", &skip.to_string()) } else { paged }
    }

    /// Path and query, percent-encoded.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, byte by byte.
    fn naive(text: &str) -> String {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn encoding_is_the_definition_and_can_be_undone(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert_eq!(&encoded, &naive(&text));
            prop_assert!(!encoded.contains('+') && !encoded.contains(' '));
            prop_assert_eq!(percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap(), text);
        }
    }

    #[test]
    fn names_and_filters_are_encoded_as_1c_reads_them() {
        assert_eq!(encode("Catalog_Валюты"), "Catalog_%D0%92%D0%B0%D0%BB%D1%8E%D1%82%D1%8B");
        assert_eq!(encode("a eq 'b+c'"), "a%20eq%20%27b%2Bc%27");
        assert_eq!(text_literal("Д'Артаньян"), "'Д''Артаньян'");
    }

    #[test]
    fn a_page_is_top_and_skip_after_the_rest() {
        let query = Query::json("Catalog_X").with("$orderby", "Ref_Key,LineNumber").page(50, 100).into_text();
        assert_eq!(query, "Catalog_X?$format=json&$orderby=Ref_Key%2CLineNumber&$top=50&$skip=100");
    }
}
