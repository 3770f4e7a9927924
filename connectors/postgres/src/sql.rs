//! Names and values as PostgreSQL reads them.
//!
//! `COPY` takes no parameters, so values of conditions stand in its text. Every value is a quoted text with a cast;
//! sessions set `standard_conforming_strings`, so that a backslash is a letter like any other.

use std::fmt;

/// A table or view: exact names, with or without a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The schema; without it the search path of the role finds the table.
    pub(crate) schema: Option<String>,
    /// The table.
    pub(crate) table: String,
}

impl Name {
    /// Reads `table` or `schema.table`. A name with a point in it stands in double quotes: `"a.b".c`.
    ///
    /// # Errors
    /// What is wrong, as a phrase for a diagnostic.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = vec![String::new()];
        let mut letters = text.chars().peekable();
        let mut quoted = false;
        while let Some(letter) = letters.next() {
            let Some(part) = parts.last_mut() else { break };
            match letter {
                '"' if quoted && letters.peek() == Some(&'"') => part.extend(letters.next()),
                '"' => quoted = !quoted,
                '.' if !quoted => parts.push(String::new()),
                _ => part.push(letter),
            }
        }
        if quoted {
            return Err("a double quote is not closed".to_owned());
        }
        if parts.iter().any(|part| part.is_empty() || part.contains('\0')) {
            return Err("a part of it is empty".to_owned());
        }
        let mut parts = parts.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(table), None, None) => Ok(Self { schema: None, table }),
            (Some(schema), Some(table), None) => Ok(Self { schema: Some(schema), table }),
            _ => Err("expected `table` or `schema.table`".to_owned()),
        }
    }
}

/// As an analyst writes it; [`Name::parse`] reads it back.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |part: &str| if part.contains(['.', '"']) { identifier(part) } else { part.to_owned() };
        if let Some(schema) = &self.schema {
            write!(f, "{}.", plain(schema))?;
        }
        f.write_str(&plain(&self.table))
    }
}

impl Name {
    /// As SQL: `"schema"."table"`.
    pub(crate) fn sql(&self) -> String {
        match &self.schema {
            None => identifier(&self.table),
            Some(schema) => format!("{}.{}", identifier(schema), identifier(&self.table)),
        }
    }
}

/// A name in double quotes.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in single quotes. It must not have a NUL in it: PostgreSQL has no such texts.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Texts as one literal of an array, to be cast: `'{"a","b"}'`.
pub(crate) fn array<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut all = String::from("{");
    for text in texts {
        if all.len() > 1 {
            all.push(',');
        }
        all.push('"');
        for letter in text.chars() {
            if matches!(letter, '"' | '\\') {
                all.push('\\');
            }
            all.push(letter);
        }
        all.push('"');
    }
    all.push('}');
    literal(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_back() {
        for (text, sql) in [
            ("goods", "\"goods\""),
            ("billing.Счёт", "\"billing\".\"Счёт\""),
            ("\"a.b\".c", "\"a.b\".\"c\""),
            ("\"a\"\"b\"", "\"a\"\"b\""),
            ("Две части", "\"Две части\""),
        ] {
            let name = Name::parse(text).unwrap();
            assert_eq!((name.to_string(), name.sql()), (text.to_owned(), sql.to_owned()));
        }
        for text in ["", "a.", ".a", "a.b.c", "\"a", "a..b"] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_cannot_end_their_quotes() {
        assert_eq!(literal("it's \\' --"), "'it''s \\'' --'");
        assert_eq!(array(["a\"b", "c\\d", "e'f", ""].into_iter()), "'{\"a\\\"b\",\"c\\\\d\",\"e''f\",\"\"}'");
    }
}
