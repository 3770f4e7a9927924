//! Scalars as the values people mean by them, and how to speak of what was found.

use super::mistake::Mistake;
use crate::{Node, Scalar, ScalarStyle, Value};
use obmen_diagnostics::code;

/// What stands at a node, in words: `nothing`, `a list`, `` `many` ``.
pub fn found(node: &Node) -> String {
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
        Value::Scalar(Scalar { text, style: ScalarStyle::Plain, .. }) => format!("`{}`", short(text)),
        Value::Scalar(Scalar { text, .. }) => format!("the text `{}`", short(text)),
    }
}

/// A diagnostic's phrase for a value of the wrong kind: `expected a list, found nothing`.
pub fn expected(what: &str, node: &Node) -> String {
    format!("expected {what}, found {}", found(node))
}

/// The beginning of a text, on one line, for a message.
pub(super) fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    let mut short: String = line.chars().take(40).collect();
    if short.len() < text.trim_end().len() {
        short.push('…');
    }
    short
}

/// The scalar of a node, or a mistake that says what was expected.
pub(super) fn scalar<'n>(node: &'n Node, expected: &str) -> Result<&'n Scalar, Mistake> {
    match &node.value {
        Value::Scalar(scalar) => Ok(scalar),
        _ => Err(Mistake::wrong_type(node, expected)),
    }
}

/// A truth value: `true` or `false`, nothing else.
pub(super) fn truth(node: &Node) -> Result<bool, Mistake> {
    const EXPECTED: &str = "`true` or `false`";
    let scalar = scalar(node, EXPECTED)?;
    match (scalar.style, scalar.text.as_str()) {
        (ScalarStyle::Plain, "true" | "True" | "TRUE") => Ok(true),
        (ScalarStyle::Plain, "false" | "False" | "FALSE") => Ok(false),
        (_, text) => {
            let meant = match text.to_lowercase().as_str() {
                "yes" | "on" | "y" | "1" | "да" | "true" => Some("write `true`"),
                "no" | "off" | "n" | "0" | "нет" | "false" => Some("write `false`"),
                _ => None,
            };
            let message = format!("expected {EXPECTED}, found {}", found(node));
            Err(Mistake::new(code::WRONG_TYPE, message, meant.map(str::to_owned)))
        }
    }
}

/// A whole number between two limits.
pub(super) fn whole(node: &Node, least: i128, most: i128) -> Result<i128, Mistake> {
    const EXPECTED: &str = "a whole number";
    let scalar = scalar(node, EXPECTED)?;
    match (scalar.style, scalar.text.parse::<i128>()) {
        (ScalarStyle::Plain, Ok(number)) if (least..=most).contains(&number) => Ok(number),
        (ScalarStyle::Plain, Ok(number)) => {
            let message = if least == 0 && number < 0 {
                format!("`{number}` is negative, expected 0 or more")
            } else {
                format!("`{number}` does not fit, expected {least} to {most}")
            };
            Err(Mistake::new(code::INVALID_VALUE, message, None))
        }
        (_, number) => Err(not_a_number(node, EXPECTED, number.is_ok())),
    }
}

/// A number with or without a fraction.
pub(super) fn number(node: &Node) -> Result<f64, Mistake> {
    const EXPECTED: &str = "a number";
    let scalar = scalar(node, EXPECTED)?;
    match (scalar.style, scalar.text.parse::<f64>()) {
        (ScalarStyle::Plain, Ok(number)) if is_number(&scalar.text) && number.is_finite() => Ok(number),
        (_, number) => Err(not_a_number(node, EXPECTED, number.is_ok() && is_number(&scalar.text))),
    }
}

fn not_a_number(node: &Node, expected: &str, would_be: bool) -> Mistake {
    let help = would_be.then(|| "remove the quotes".to_owned());
    Mistake::new(code::WRONG_TYPE, format!("expected {expected}, found {}", found(node)), help)
}

/// Whether a plain text is written as a decimal number: sign, digits, point, exponent.
pub(super) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
        && text.parse::<f64>().is_ok()
}
