//! Text inside XML.

use std::borrow::Cow;
use std::fmt::Write;

/// A text without the characters XML 1.0 cannot hold (control characters but tab and line breaks,
/// U+FFFE, U+FFFF): real catalogues contain them, and one makes a whole file unreadable.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.bytes().any(may_be_forbidden) && !text.chars().all(is_allowed) {
        return Cow::Owned(text.chars().filter(|c| is_allowed(*c)).collect());
    }
    Cow::Borrowed(text)
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Whether a byte can begin a character that is not allowed. Nearly no text has such a byte.
fn may_be_forbidden(byte: u8) -> bool {
    byte < b' ' || byte == 0xEF
}

/// Writes a text so that a reader gets exactly it back: also a lone carriage return, and in
/// attributes tabs and line breaks, which XML would turn into spaces.
pub(super) fn escape(into: &mut String, text: &str, attribute: bool) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| may_be_forbidden(byte) || b"&<>\"".contains(&byte)) {
        // Such a byte begins a character, so the text may be cut before it.
        let (plain, marked) = rest.split_at(at);
        into.push_str(plain);
        let mut marked = marked.chars();
        escape_one(into, marked.next(), attribute);
        rest = marked.as_str();
    }
    into.push_str(rest);
}

fn escape_one(into: &mut String, c: Option<char>, attribute: bool) {
    match c.filter(|c| is_allowed(*c)) {
        Some('&') => into.push_str("&amp;"),
        Some('<') => into.push_str("&lt;"),
        Some('>') => into.push_str("&gt;"),
        Some('"') => into.push_str("&quot;"),
        Some('\r') => into.push_str("&#13;"),
        Some(c @ ('\t' | '\n')) if attribute => drop(write!(into, "&#{};", u32::from(c))),
        Some(c) => into.push(c),
        None => {}
    }
}
