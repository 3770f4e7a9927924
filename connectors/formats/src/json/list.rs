//! A list of objects, possibly inside a document, without holding either.

use super::object::{Names, Object, ObjectSeed};
use super::place::{Tracked, Tracker};
use obmen_sdk::{Error, ErrorKind, Result};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::Read;

/// Hands over every element of the list at `path`.
pub(super) fn objects(
    input: impl Read,
    file: &str,
    path: &[String],
    names: &mut Names,
    take: &mut dyn FnMut(&Object<'_>) -> Result<()>,
) -> Result<()> {
    let tracker = Tracker::new();
    let mut failed = None;
    let mut json = serde_json::Deserializer::from_reader(Tracked { input, tracker: &tracker });
    let seek = Seek { path, way: "the document", tracker: &tracker, names, take, failed: &mut failed };
    let result = seek.deserialize(&mut json).and_then(|()| json.end());
    if let Some(error) = failed {
        return Err(if error.context().iter().any(|(key, _)| *key == "file") {
            error
        } else {
            error.with("file", file)
        });
    }
    result.map_err(|error| {
        if error.is_io() {
            return Error::from(std::io::Error::from(error)).with("file", file);
        }
        let place = tracker.last();
        Error::invalid_data(format!("the document is broken: {}", super::lines::phrase(&error)))
            .with("file", format!("{file}:{}:{}", place.line, place.column.max(1)))
    })
}

/// Looks for the list.
struct Seek<'a> {
    /// Keys that are left to follow.
    path: &'a [String],
    /// The key followed last, for messages.
    way: &'a str,
    tracker: &'a Tracker,
    names: &'a mut Names,
    take: &'a mut dyn FnMut(&Object<'_>) -> Result<()>,
    /// Our own error, which the parser's error type has no room for.
    failed: &'a mut Option<Error>,
}

impl Seek<'_> {
    fn fail<E: serde::de::Error>(&mut self, message: String) -> E {
        *self.failed = Some(Error::new(ErrorKind::SchemaMismatch, message));
        E::custom("stopped")
    }

    fn not_a_list<E: serde::de::Error>(&mut self, what: &str) -> E {
        let expected = if self.path.is_empty() { "a list of objects" } else { "an object" };
        let message = format!("`{}` is {what}, expected {expected}", self.way);
        self.fail(message)
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        let mut others = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match self.path.split_first() {
                Some((wanted, path)) if *wanted == key => {
                    if found {
                        return Err(self.fail(format!("the key `{key}` stands twice")));
                    }
                    found = true;
                    let Self { tracker, names, take, failed, .. } = &mut self;
                    map.next_value_seed(Seek { path, way: wanted, tracker, names, take: *take, failed })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    if others.len() < 20 {
                        others.push(format!("`{key}`"));
                    }
                }
            }
        }
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        match self.path.first() {
            _ if found => Ok(()),
            Some(wanted) => {
                let message = format!("there is no key `{wanted}` in {}; its keys are {others}", self.way);
                Err(self.fail(message))
            }
            None => {
                let message = format!(
                    "{} is an object, expected a list; say with `at:` where the list is (keys: {others})",
                    self.way
                );
                Err(self.fail(message))
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        if !self.path.is_empty() {
            return Err(self.not_a_list("a list"));
        }
        loop {
            // The parser has looked at the element's first byte when it asks for a seed.
            let seed = Element { names: self.names, tracker: self.tracker };
            let Some(object) = list.next_element_seed(seed)? else { return Ok(()) };
            if let Err(error) = (self.take)(&object) {
                *self.failed = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
    }

    fn visit_str<E: serde::de::Error>(mut self, _: &str) -> Result<(), E> {
        Err(self.not_a_list("a text"))
    }

    fn visit_bool<E: serde::de::Error>(mut self, _: bool) -> Result<(), E> {
        Err(self.not_a_list("a truth value"))
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        Err(self.not_a_list("null"))
    }
}

/// An element; its place is known when it begins.
struct Element<'a> {
    names: &'a mut Names,
    tracker: &'a Tracker,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Object<'static>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let start = self.tracker.last();
        ObjectSeed { names: self.names, tracker: Some(self.tracker), start }.deserialize(deserializer)
    }
}
