//! Words of OData expressions: `$filter`, keys, arguments of virtual tables.

use super::cell;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name, keyword or operator word.
    Word(String),
    /// A literal.
    Literal(Literal),
    /// `( ) , / : =` and `*`.
    Sign(char),
}

/// A literal value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Literal {
    /// `'text'`, apostrophes undoubled.
    Text(String),
    /// Digits as written.
    Number(String),
    /// `true` or `false`.
    Truth(bool),
    /// `guid'…'`, canonical.
    Guid(String),
    /// `datetime'…'`, in full.
    Moment(String),
}

impl Literal {
    /// The canonical text of the value.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Guid(text) | Self::Moment(text) => text,
            Self::Truth(true) => "true",
            Self::Truth(false) => "false",
        }
    }
}

/// Divides an expression into words; `None` if a character or literal is not of the language.
pub(crate) fn words(text: &str) -> Option<Vec<Token>> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == ' ' || first == '\t' {
            rest = rest.get(1..)?;
        } else if first == '\'' {
            let (value, after) = quoted(rest)?;
            words.push(Token::Literal(Literal::Text(value)));
            rest = after;
        } else if first.is_ascii_digit() || first == '-' {
            let end = rest
                .char_indices()
                .skip(1)
                .find(|(_, c)| !(c.is_ascii_digit() || *c == '.'))
                .map_or(rest.len(), |(at, _)| at);
            let number = rest.get(..end)?;
            let after = rest.get(end..)?;
            if !cell::is_number(number) || after.starts_with(is_name) {
                return None;
            }
            words.push(Token::Literal(Literal::Number(number.to_owned())));
            rest = after;
        } else if is_name(first) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (word, after) = (rest.get(..end)?, rest.get(end..)?);
            let (token, after) = word_or_literal(word, after)?;
            words.push(token);
            rest = after;
        } else if "(),/:=*".contains(first) {
            words.push(Token::Sign(first));
            rest = rest.get(1..)?;
        } else {
            return None;
        }
    }
    Some(words)
}

fn word_or_literal<'a>(word: &str, after: &'a str) -> Option<(Token, &'a str)> {
    let literal = match word {
        "true" => Literal::Truth(true),
        "false" => Literal::Truth(false),
        "guid" | "datetime" if after.starts_with('\'') => {
            let (value, after) = quoted(after)?;
            let literal = match word {
                "guid" => Literal::Guid(cell::guid(&value)?),
                _ => Literal::Moment(cell::datetime(&value)?),
            };
            return Some((Token::Literal(literal), after));
        }
        _ => return Some((Token::Word(word.to_owned()), after)),
    };
    Some((Token::Literal(literal), after))
}

/// A quoted text at the beginning, and what follows it. Two apostrophes are one.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text.strip_prefix('\'')?;
    loop {
        let (before, after) = rest.split_once('\'')?;
        value.push_str(before);
        match after.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apostrophes_are_doubled() {
        assert_eq!(words("'Д''Артаньян'"), Some(vec![Token::Literal(Literal::Text("Д'Артаньян".to_owned()))]));
        assert_eq!(words("'нет конца"), None);
    }

    #[test]
    fn literals_are_checked() {
        for bad in ["guid'123'", "datetime'2024-13-01T00:00:00'", "1e3", "a + b", "1.2.3", "12abc"] {
            assert_eq!(words(bad), None, "{bad}");
        }
    }
}
