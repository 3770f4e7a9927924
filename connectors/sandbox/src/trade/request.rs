//! A URL of OData, taken apart.

use super::lexer::{Literal, Token, words};
use super::refusal::{Answered, Refusal};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use percent_encoding::percent_decode_str;

/// The longest path segment IIS lets through, in characters (`1c-odata.md` §1.3).
const SEGMENT_LIMIT: usize = 260;

/// The notation of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Atom, the default of 1C.
    Atom,
    /// JSON with annotations.
    Json,
    /// JSON without annotations.
    BareJson,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// The list of sets.
    Service,
    /// EDMX.
    Metadata,
    /// Something at or below a set.
    Set {
        /// The set.
        name: String,
        /// What is in the parentheses after it.
        key: Option<Vec<Argument>>,
        /// What follows after the slash.
        tail: Option<Tail>,
    },
}

/// What follows a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// `$count`, `SliceLast`, a navigation.
    pub(crate) name: String,
    /// What is in the parentheses after it.
    pub(crate) arguments: Vec<Argument>,
}

/// `Period=datetime'…'`, or a value alone.
pub(crate) type Argument = (Option<String>, Literal);

/// The options of a query, decoded; `+` is not a space here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pairs: Vec<(String, String)>,
}

impl Format {
    /// Whether bodies are JSON.
    pub(crate) fn is_json(self) -> bool {
        self != Self::Atom
    }

    /// The notation asked for by `$format`, else by `Accept`.
    pub(crate) fn of(options: &Options, headers: &HeaderMap) -> Self {
        let accept = || headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
        let asked = options.get("$format").map_or_else(accept, ToOwned::to_owned).to_ascii_lowercase().replace(' ', "");
        if asked != "json" && !asked.contains("application/json") {
            return Self::Atom;
        }
        if asked.contains("odata=nometadata") { Self::BareJson } else { Self::Json }
    }
}

impl Options {
    /// Reads a query string.
    ///
    /// # Errors
    /// A `+` in `$filter` (it is not decoded and breaks the expression), bytes that are not UTF-8.
    pub(crate) fn parse(query: &str) -> Answered<Self> {
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            if name == "$filter" && value.contains('+') {
                return Err(Refusal::unreadable("$filter"));
            }
            pairs.push((name, decode(value)?));
        }
        Ok(Self { pairs })
    }

    /// The value of an option.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The names of all options.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }

    /// A number of entries, like `$top`.
    pub(crate) fn number(&self, name: &'static str) -> Answered<Option<usize>> {
        self.get(name).map(|text| text.trim().parse().map_err(|_| Refusal::unreadable(name))).transpose()
    }
}

impl Resource {
    /// Reads the path after `/odata/standard.odata`, still percent-encoded. Raw UTF-8 is taken as
    /// well: Apache and http.sys pass it through.
    ///
    /// # Errors
    /// What the web server refuses (a long segment, broken escapes) and what 1C cannot read.
    pub(crate) fn parse(path: &str) -> Answered<Self> {
        let path = decode(path)?;
        let segments = segments(path.trim_matches('/'));
        if segments.iter().any(|segment| segment.chars().count() > SEGMENT_LIMIT) {
            return Err(Refusal::bad_url());
        }
        match segments.as_slice() {
            [] | [""] => Ok(Self::Service),
            ["$metadata"] => Ok(Self::Metadata),
            [set] => {
                let (name, key) = call(set)?;
                Ok(Self::Set { name, key, tail: None })
            }
            [set, tail] => {
                let (name, key) = call(set)?;
                let (function, arguments) = call(tail)?;
                let tail = Tail { name: function, arguments: arguments.unwrap_or_default() };
                Ok(Self::Set { name, key, tail: Some(tail) })
            }
            [_, _, deeper, ..] => Err(Refusal::unknown_path(deeper)),
        }
    }
}

fn decode(text: &str) -> Answered<String> {
    percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| Refusal::bad_url())
}

/// Divides at slashes outside of apostrophes.
fn segments(path: &str) -> Vec<&str> {
    let mut quoted = false;
    let divides = |character: char| {
        quoted ^= character == '\'';
        character == '/' && !quoted
    };
    path.split(divides).collect()
}

/// `Name` or `Name(arguments)`.
fn call(segment: &str) -> Answered<(String, Option<Vec<Argument>>)> {
    let Some((name, rest)) = segment.split_once('(') else { return Ok((segment.to_owned(), None)) };
    let inside = rest.strip_suffix(')').ok_or_else(|| Refusal::unknown_path(segment))?;
    let arguments = arguments(inside).ok_or_else(|| Refusal::unknown_path(segment))?;
    Ok((name.to_owned(), Some(arguments)))
}

fn arguments(text: &str) -> Option<Vec<Argument>> {
    let words = words(text)?;
    if words.is_empty() {
        return Some(Vec::new());
    }
    words
        .split(|word| *word == Token::Sign(','))
        .map(|argument| match argument {
            [Token::Literal(value)] => Some((None, value.clone())),
            [Token::Word(name), Token::Sign('='), Token::Literal(value)] => Some((Some(name.clone()), value.clone())),
            _ => None,
        })
        .collect()
}

/// The literal of an option of a virtual table: `datetime'…'` or `'…'`.
pub(crate) fn literal(text: &str) -> Option<Literal> {
    match words(text)?.as_slice() {
        [Token::Literal(value)] => Some(value.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_arguments_are_read() {
        let path =
            "/InformationRegister_X/SliceLast(Period=datetime'2024-01-01T00:00:00',Condition='A%20eq%20''b/c''')";
        let Ok(Resource::Set { name, key: None, tail: Some(tail) }) = Resource::parse(path) else { panic!() };
        assert_eq!((name.as_str(), tail.name.as_str()), ("InformationRegister_X", "SliceLast"));
        assert_eq!(tail.arguments[1], (Some("Condition".to_owned()), Literal::Text("A eq 'b/c'".to_owned())));
    }

    #[test]
    fn a_long_segment_is_refused_by_the_web_server() {
        assert_eq!(Resource::parse(&format!("/Catalog_{}", "Я".repeat(300))), Err(Refusal::bad_url()));
        assert!(Resource::parse(&format!("/Catalog_{}", "Я".repeat(250))).is_ok());
    }

    #[test]
    fn a_plus_in_a_filter_is_refused_and_an_escaped_one_is_not() {
        assert!(Options::parse("$filter=A+eq+1").is_err());
        assert_eq!(Options::parse("$filter=A%20eq%20'%2B'").unwrap().get("$filter"), Some("A eq '+'"));
    }

    #[test]
    fn the_notation_is_atom_unless_json_is_asked_for() {
        let of = |query: &str| Format::of(&Options::parse(query).unwrap(), &HeaderMap::new());
        assert_eq!(of(""), Format::Atom);
        assert_eq!(of("$format=json"), Format::Json);
        assert_eq!(of("$format=application/json%3Bodata%3Dnometadata"), Format::BareJson);
    }
}
