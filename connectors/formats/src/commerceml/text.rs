//! Text inside XML.

use std::fmt::Write;

/// A text without the characters XML 1.0 cannot hold (control characters but tab and line breaks,
/// U+FFFE, U+FFFF): real catalogues contain them, and one makes a whole file unreadable.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| is_allowed(*c)).collect()
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Writes a text so that a reader gets exactly it back: also a lone carriage return, and in
/// attributes tabs and line breaks, which XML would turn into spaces.
pub(super) fn escape(into: &mut String, text: &str, attribute: bool) {
    for c in text.chars().filter(|c| is_allowed(*c)) {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\r' => into.push_str("&#13;"),
            '\t' | '\n' if attribute => drop(write!(into, "&#{};", u32::from(c))),
            c => into.push(c),
        }
    }
}
