//! Numbers and values in running text.

use serde_json::Value;

/// A number with its digits in groups: `501 204`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `12 rows`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A text on one line that a terminal shows and does not obey: control characters as `\n`, `\u{1b}`.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// A text of at most so many characters, cut with `…`.
pub(crate) fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

/// A value of a journal as a person reads it: texts bare, nothing as `NULL`.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) if text.is_empty() => "''".to_owned(),
        Value::String(text) => cut(&plain(text), 80),
        other => cut(&plain(&other.to_string()), 80),
    }
}

/// A key as a person reads it: `shop=main number=15`; a key of one column without its name.
pub(crate) fn key(key: &Value) -> String {
    match key {
        Value::Object(columns) if columns.len() == 1 => columns.values().map(value).collect(),
        Value::Object(columns) => {
            let parts: Vec<String> = columns.iter().map(|(name, part)| format!("{name}={}", value(part))).collect();
            parts.join(" ")
        }
        other => value(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn digits_stand_in_groups() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (501_204, "501 204"), (1_234_567, "1 234 567")]
        {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(counted(1, "row", "rows"), "1 row");
    }

    #[test]
    fn terminals_are_not_obeyed() {
        assert_eq!(plain("a\nb\u{1b}[2Jй\u{202e}"), "a\\nb\\u{1b}[2Jй\\u{202e}");
    }

    #[test]
    fn keys_and_values_read_well() {
        assert_eq!(key(&json!({ "id": "A-1" })), "A-1");
        assert_eq!(key(&json!({ "shop": "main", "number": 15 })), "shop=main number=15");
        assert_eq!(value(&json!(null)), "NULL");
        assert_eq!(value(&json!("")), "''");
        assert_eq!(cut("привет", 4), "при…");
    }
}
