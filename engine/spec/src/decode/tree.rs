//! The tree as a serde deserializer.

use super::mistake::{Mistake, What, address};
use super::poison::Poison;
use super::scalar::{is_number, number, scalar, truth, whole};
use crate::name::suggest;
use crate::{Map, Node, ScalarStyle, Value};
use obmen_diagnostics::{Diagnostic, Problems, SPANNED, Spanned};
use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer as _, Visitor};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// What was learnt about a tree in earlier attempts to decode it.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Values that are wrong: as if they were not there.
    dropped: RefCell<BTreeSet<usize>>,
    /// Fields that must be there and are not: a neutral value stands in.
    absent: RefCell<BTreeSet<(usize, &'static str)>>,
    /// What was reported, so that a mistake met again on the way is not.
    reported: RefCell<Vec<Diagnostic>>,
}

impl Session {
    /// Reports a mistake and remembers how to get past it. False: there is no getting past it.
    pub(super) fn learn(&self, mistake: Mistake, problems: &mut Problems) -> bool {
        match mistake.what {
            What::Placed(diagnostic) => {
                let mut reported = self.reported.borrow_mut();
                if !reported.contains(&diagnostic) {
                    problems.push((*diagnostic).clone());
                    reported.push(*diagnostic);
                }
                if mistake.learnt {
                    return true;
                }
            }
            What::Hidden(field) => {
                let Some(owner) = mistake.trail.first() else { return false };
                if self.absent.borrow_mut().insert((*owner, field)) {
                    return true;
                }
            }
            _ => {}
        }
        mistake.trail.into_iter().any(|node| self.dropped.borrow_mut().insert(node))
    }

    fn is_dropped(&self, node: &Node) -> bool {
        self.dropped.borrow().contains(&address(node))
    }
}

/// One node, about to be decoded.
#[derive(Clone, Copy)]
pub(super) struct Tree<'n> {
    node: &'n Node,
    session: &'n Session,
}

type Decoded<T> = Result<T, Mistake>;

impl<'n> Tree<'n> {
    pub(super) fn new(node: &'n Node, session: &'n Session) -> Self {
        Self { node, session }
    }

    fn placed<T>(self, result: Decoded<T>) -> Decoded<T> {
        result.map_err(|mistake| mistake.at(self.node))
    }

    fn visit_map<V: Visitor<'n>>(
        self,
        expected: &str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Decoded<V::Value> {
        let Value::Map(map) = &self.node.value else {
            return Err(Mistake::wrong_type(self.node, expected));
        };
        let owner = address(self.node);
        let absent =
            self.session.absent.borrow().iter().filter(|(at, _)| *at == owner).map(|(_, name)| *name).collect();
        let entries = Entries { rest: map.entries.iter(), value: None, absent, session: self.session, fields };
        visitor.visit_map(entries).map_err(|mistake| match mistake.what {
            What::Missing(field) => self.missing(map, field),
            _ => mistake,
        })
    }

    fn missing(self, map: &Map, field: &'static str) -> Mistake {
        // A field whose value or name was wrong is missing now; that was reported as what it is.
        let dropped = map.entries.iter().filter(|(_, value)| self.session.is_dropped(value)).map(|(key, _)| key);
        if dropped.into_iter().any(|key| key.value == field || suggest(key, [field]).is_some()) {
            return Mistake::hidden(field);
        }
        if self.session.absent.borrow_mut().insert((address(self.node), field)) {
            return Mistake::missing(self.node, field);
        }
        Mistake::silent()
    }

    fn visit_list<V: Visitor<'n>>(self, visitor: V) -> Decoded<V::Value> {
        let Value::List(list) = &self.node.value else {
            let mut mistake = Mistake::wrong_type(self.node, "a list");
            if let (What::Unplaced { help, .. }, Value::Scalar(scalar)) = (&mut mistake.what, &self.node.value) {
                *help = Some(format!("write `[{}]`", super::scalar::short(&scalar.text)));
            }
            return Err(mistake);
        };
        visitor.visit_seq(Elements { rest: list.iter(), session: self.session })
    }
}

/// Whole numbers: the limits are the type's.
macro_rules! whole_numbers {
    ($($method:ident $visit:ident $number:ty;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
            let result = whole(self.node, i128::from(<$number>::MIN), i128::from(<$number>::MAX))
                .and_then(|number| <$number>::try_from(number).map_err(de::Error::custom))
                .and_then(|number| visitor.$visit(number));
            self.placed(result)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Tree<'de> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::List(_) => self.visit_list(visitor),
            Value::Map(_) => self.visit_map("a mapping", &[], visitor),
            Value::Scalar(scalar) if scalar.style == ScalarStyle::Plain => {
                let text = scalar.text.as_str();
                if let Ok(truth) = truth(self.node) {
                    visitor.visit_bool(truth)
                } else if let Ok(number) = text.parse::<u64>() {
                    visitor.visit_u64(number)
                } else if let Ok(number) = text.parse::<i64>() {
                    visitor.visit_i64(number)
                } else if is_number(text) {
                    number(self.node).and_then(|number| visitor.visit_f64(number))
                } else {
                    visitor.visit_borrowed_str(text)
                }
            }
            Value::Scalar(scalar) => visitor.visit_borrowed_str(&scalar.text),
        };
        self.placed(result)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        self.placed(truth(self.node).and_then(|truth| visitor.visit_bool(truth)))
    }

    whole_numbers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        self.placed(number(self.node).and_then(|number| visitor.visit_f64(number)))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        let result = scalar(self.node, "one letter").and_then(|scalar| {
            let mut letters = scalar.text.chars();
            match (letters.next(), letters.next()) {
                (Some(letter), None) => visitor.visit_char(letter),
                _ => Err(Mistake::wrong_type(self.node, "one letter")),
            }
        });
        self.placed(result)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        let result = scalar(self.node, "a text").and_then(|scalar| visitor.visit_borrowed_str(&scalar.text));
        self.placed(result)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        let result = match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        };
        self.placed(result)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        let result = match self.node.value {
            Value::Null => visitor.visit_unit(),
            _ => Err(Mistake::wrong_type(self.node, "nothing")),
        };
        self.placed(result)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Decoded<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Decoded<V::Value> {
        self.placed(visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        self.placed(self.visit_list(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Decoded<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, name: &'static str, _: usize, visitor: V) -> Decoded<V::Value> {
        if name == SPANNED {
            return self.placed(visitor.visit_seq(Parts { tree: self, next: 0 }));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        self.placed(self.visit_map("a mapping", &[], visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Decoded<V::Value> {
        let expected = match fields.len() {
            0 => "a mapping".to_owned(),
            1..=4 => format!("a mapping with {}", crate::name::listed(fields)),
            _ => "a mapping with fields".to_owned(),
        };
        self.placed(self.visit_map(&expected, fields, visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Decoded<V::Value> {
        let result = match &self.node.value {
            Value::Scalar(scalar) => visitor.visit_enum(Choice { word: &scalar.text, content: None, tree: self }),
            Value::Map(map) if map.entries.len() == 1 => match map.entries.first() {
                Some((word, content)) => visitor.visit_enum(Choice { word, content: Some(content), tree: self }),
                None => Err(Mistake::silent()),
            },
            _ => Err(Mistake::wrong_type(self.node, &crate::name::listed(words))),
        };
        self.placed(result)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        self.deserialize_str(visitor)
    }

    /// Asked for when a key has no field: nothing is accepted and ignored.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Decoded<V::Value> {
        Err(de::Error::unknown_field("", &[]))
    }
}

/// The entries of a mapping, without those known to be wrong, with stand-ins for those known to be missing.
struct Entries<'n> {
    rest: std::slice::Iter<'n, (Spanned<String>, Node)>,
    value: Option<&'n (Spanned<String>, Node)>,
    absent: Vec<&'static str>,
    session: &'n Session,
    fields: &'static [&'static str],
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Decoded<Option<K::Value>> {
        if let Some(entry) = self.rest.find(|(_, value)| !self.session.is_dropped(value)) {
            self.value = Some(entry);
            let (key, value) = entry;
            let text: StrDeserializer<'de, Mistake> = key.value.as_str().into_deserializer();
            return seed.deserialize(text).map(Some).map_err(|mistake| mistake.at_key(key, key.span, value));
        }
        self.value = None;
        match self.absent.last() {
            Some(field) => {
                let text: StrDeserializer<'de, Mistake> = (*field).into_deserializer();
                seed.deserialize(text).map(Some).map_err(|_| Mistake::silent())
            }
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Decoded<V::Value> {
        let Some((key, value)) = self.value else {
            self.absent.pop();
            return seed.deserialize(Poison::default());
        };
        seed.deserialize(Tree::new(value, self.session)).map_err(|mistake| match mistake.what {
            What::Unknown(name, _) if name.is_empty() => {
                <Mistake as de::Error>::unknown_field(key, self.fields).at_key(key, key.span, value)
            }
            what => Mistake { what, ..mistake }.at(value),
        })
    }
}

/// The elements of a list, without those known to be wrong.
struct Elements<'n> {
    rest: std::slice::Iter<'n, Node>,
    session: &'n Session,
}

impl<'de> de::SeqAccess<'de> for Elements<'de> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Decoded<Option<T::Value>> {
        let Some(node) = self.rest.find(|node| !self.session.is_dropped(node)) else { return Ok(None) };
        seed.deserialize(Tree::new(node, self.session)).map(Some).map_err(|mistake| mistake.at(node))
    }
}

/// A value with its place, as [`Spanned`] asks for it.
struct Parts<'n> {
    tree: Tree<'n>,
    next: u8,
}

impl<'de> de::SeqAccess<'de> for Parts<'de> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Decoded<Option<T::Value>> {
        let span = self.tree.node.span;
        self.next += 1;
        let number = match self.next {
            1 => return seed.deserialize(self.tree).map(Some).map_err(|mistake| mistake.at(self.tree.node)),
            2 => span.file.0,
            3 => span.start,
            4 => span.end,
            _ => return Ok(None),
        };
        let number: U32Deserializer<Mistake> = number.into_deserializer();
        seed.deserialize(number).map(Some)
    }
}

/// A word of an enum, alone or with content.
struct Choice<'n> {
    word: &'n str,
    content: Option<&'n Node>,
    tree: Tree<'n>,
}

impl<'n> Choice<'n> {
    fn content(&self) -> Decoded<Tree<'n>> {
        let Some(node) = self.content else {
            let help = format!("write `{}: …`", self.word);
            let message = format!("`{}` needs a value", self.word);
            return Err(Mistake::new(obmen_diagnostics::code::WRONG_TYPE, message, Some(help)));
        };
        Ok(Tree::new(node, self.tree.session))
    }
}

impl<'de> de::EnumAccess<'de> for Choice<'de> {
    type Error = Mistake;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Decoded<(V::Value, Self)> {
        let word: StrDeserializer<'de, Mistake> = self.word.into_deserializer();
        seed.deserialize(word).map(|variant| (variant, self))
    }
}

impl<'de> de::VariantAccess<'de> for Choice<'de> {
    type Error = Mistake;

    fn unit_variant(self) -> Decoded<()> {
        match self.content {
            None | Some(Node { value: Value::Null, .. }) => Ok(()),
            Some(_) => {
                let help = format!("write `{}` alone", self.word);
                let message = format!("`{}` takes no value", self.word);
                Err(Mistake::new(obmen_diagnostics::code::WRONG_TYPE, message, Some(help)))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Decoded<T::Value> {
        let content = self.content()?;
        seed.deserialize(content).map_err(|mistake| mistake.at(content.node))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Decoded<V::Value> {
        de::Deserializer::deserialize_tuple(self.content()?, length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Decoded<V::Value> {
        de::Deserializer::deserialize_struct(self.content()?, "", fields, visitor)
    }
}
