//! A neutral value of any type, in place of one that is missing.
//!
//! It lets decoding go on past a missing field to the mistakes behind it; what it fills in is never handed out.

use super::mistake::Mistake;
use obmen_diagnostics::SPANNED;
use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer as _, Visitor};

/// How deep neutral values nest: deeper ones belong to types that contain themselves.
const MAX_DEPTH: u8 = 16;

type Decoded<T> = Result<T, Mistake>;

/// A neutral value: nothing, zero, an empty text, list or mapping, the first word.
#[derive(Clone, Copy, Default)]
pub(super) struct Poison {
    depth: u8,
}

impl Poison {
    fn inside(self) -> Decoded<Self> {
        if self.depth >= MAX_DEPTH { Err(Mistake::silent()) } else { Ok(Self { depth: self.depth + 1 }) }
    }
}

/// Whatever a visitor says about a neutral value follows from the mistake that made it necessary.
fn silent<T>(result: Decoded<T>) -> Decoded<T> {
    result.map_err(|_| Mistake::silent())
}

macro_rules! neutral {
    ($($method:ident $visit:ident $value:expr;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
            silent(visitor.$visit($value))
        })*
    };
}

impl<'de> de::Deserializer<'de> for Poison {
    type Error = Mistake;

    neutral! {
        deserialize_bool visit_bool false;
        deserialize_i8 visit_i8 0;
        deserialize_i16 visit_i16 0;
        deserialize_i32 visit_i32 0;
        deserialize_i64 visit_i64 0;
        deserialize_u8 visit_u8 0;
        deserialize_u16 visit_u16 0;
        deserialize_u32 visit_u32 0;
        deserialize_u64 visit_u64 0;
        deserialize_f32 visit_f32 0.0;
        deserialize_f64 visit_f64 0.0;
        deserialize_char visit_char ' ';
        deserialize_str visit_borrowed_str "";
        deserialize_string visit_borrowed_str "";
        deserialize_bytes visit_borrowed_bytes b"";
        deserialize_byte_buf visit_borrowed_bytes b"";
        deserialize_identifier visit_borrowed_str "";
        deserialize_seq visit_seq Repeated { left: 0, of: Poison::default() };
        deserialize_map visit_map Fields { rest: [].iter(), of: Poison::default() };
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        silent(visitor.visit_unit())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        silent(visitor.visit_unit())
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        silent(visitor.visit_unit())
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Decoded<V::Value> {
        silent(visitor.visit_unit())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Decoded<V::Value> {
        silent(visitor.visit_none())
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Decoded<V::Value> {
        silent(visitor.visit_newtype_struct(self.inside()?))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Decoded<V::Value> {
        silent(visitor.visit_seq(Repeated { left: length, of: self.inside()? }))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Decoded<V::Value> {
        if name == SPANNED {
            return silent(visitor.visit_seq(Placeless { next: 0, of: self.inside()? }));
        }
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Decoded<V::Value> {
        silent(visitor.visit_map(Fields { rest: fields.iter(), of: self.inside()? }))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Decoded<V::Value> {
        let Some(word) = words.first() else { return Err(Mistake::silent()) };
        silent(visitor.visit_enum(FirstWord { word, of: self.inside()? }))
    }
}

struct Repeated {
    left: usize,
    of: Poison,
}

impl<'de> de::SeqAccess<'de> for Repeated {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Decoded<Option<T::Value>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        silent(seed.deserialize(self.of)).map(Some)
    }
}

/// A neutral value with a place nobody will see.
struct Placeless {
    next: u8,
    of: Poison,
}

impl<'de> de::SeqAccess<'de> for Placeless {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Decoded<Option<T::Value>> {
        self.next = self.next.saturating_add(1);
        match self.next {
            1 => silent(seed.deserialize(self.of)).map(Some),
            2..=4 => {
                let zero: U32Deserializer<Mistake> = 0_u32.into_deserializer();
                silent(seed.deserialize(zero)).map(Some)
            }
            _ => Ok(None),
        }
    }
}

struct Fields<'f> {
    rest: std::slice::Iter<'f, &'static str>,
    of: Poison,
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Decoded<Option<K::Value>> {
        let Some(field) = self.rest.next() else { return Ok(None) };
        let text: StrDeserializer<'_, Mistake> = (*field).into_deserializer();
        silent(seed.deserialize(text)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Decoded<V::Value> {
        silent(seed.deserialize(self.of))
    }
}

struct FirstWord {
    word: &'static str,
    of: Poison,
}

impl<'de> de::EnumAccess<'de> for FirstWord {
    type Error = Mistake;
    type Variant = Poison;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Decoded<(V::Value, Poison)> {
        let word: StrDeserializer<'_, Mistake> = self.word.into_deserializer();
        silent(seed.deserialize(word)).map(|variant| (variant, self.of))
    }
}

impl<'de> de::VariantAccess<'de> for Poison {
    type Error = Mistake;

    fn unit_variant(self) -> Decoded<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Decoded<T::Value> {
        silent(seed.deserialize(self))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Decoded<V::Value> {
        de::Deserializer::deserialize_tuple(self, length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Decoded<V::Value> {
        de::Deserializer::deserialize_struct(self, "", fields, visitor)
    }
}
