//! One JSON object: the values of the wanted keys, everything else passed over without being kept.

use super::place::{Place, Tracker};
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;

/// The key `serde_json` hands a number over under when it keeps all its digits.
const NUMBER_KEY: &str = "$serde_json::private::Number";

/// The keys that are wanted, each with its index.
#[derive(Debug)]
pub(super) struct Names {
    index: HashMap<String, usize>,
    list: Vec<String>,
    open: bool,
}

impl Names {
    /// Exactly these.
    pub(super) fn fixed<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let list: Vec<String> = names.map(str::to_owned).collect();
        let index = list.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect();
        Self { index, list, open: false }
    }

    /// All that come.
    pub(super) fn open() -> Self {
        Self { index: HashMap::new(), list: Vec::new(), open: true }
    }

    /// The same names, taking no more.
    pub(super) fn same(&self) -> Self {
        Self::fixed(self.list.iter().map(String::as_str))
    }

    pub(super) fn into_list(self) -> Vec<String> {
        self.list
    }

    fn find(&mut self, name: &str) -> Option<usize> {
        let found = self.index.get(name).copied();
        if found.is_some() || !self.open {
            return found;
        }
        self.index.insert(name.to_owned(), self.list.len());
        self.list.push(name.to_owned());
        Some(self.list.len() - 1)
    }
}

/// A value and where it begins, if that was tracked.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What was read of one object.
pub(super) struct Object<'a> {
    /// The value of each wanted key, by its index.
    pub(super) slots: Vec<Option<Slot>>,
    /// What is wrong with it as a whole, and where.
    pub(super) fault: Option<(Place, String)>,
    /// About how many bytes it takes.
    pub(super) bytes: usize,
    /// Finds the place of a slot where it was not tracked.
    pub(super) find_place: Option<&'a dyn Fn(usize) -> Place>,
}

impl Object<'_> {
    /// The place of a slot.
    pub(super) fn place_of(&self, index: usize, tracked: Place) -> Place {
        self.find_place.map_or(tracked, |find| find(index))
    }
}

/// Reads an element of a list, or a line.
pub(super) struct ObjectSeed<'a> {
    pub(super) names: &'a mut Names,
    /// Follows the place; without it all places are the line's first column.
    pub(super) tracker: Option<&'a Tracker>,
    /// The place of the element.
    pub(super) start: Place,
}

impl ObjectSeed<'_> {
    fn fault<'b>(&self, reason: impl Into<String>) -> Object<'b> {
        Object { slots: Vec::new(), fault: Some((self.start, reason.into())), bytes: 0, find_place: None }
    }

    fn not_an_object<'b>(&self, what: &str) -> Object<'b> {
        self.fault(format!("is {what}, expected an object"))
    }
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = Object<'static>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = Object<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let begin = self.tracker.map_or(0, Tracker::bytes);
        let mut slots: Vec<Option<Slot>> = Vec::new();
        slots.resize_with(self.names.list.len(), || None);
        let mut fault = None;
        while let Some(key) = map.next_key_seed(Key(self.names))? {
            let index = match key {
                Found::Wanted(index) => index,
                Found::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Found::Number => {
                    map.next_value::<IgnoredAny>()?;
                    return Ok(self.not_an_object("a number"));
                }
            };
            if slots.len() <= index {
                slots.resize_with(index + 1, || None);
            }
            let slot = map.next_value_seed(SlotSeed { tracker: self.tracker, start: self.start })?;
            let twice = slots.get(index).is_some_and(Option::is_some);
            if twice {
                let name = self.names.list.get(index).map_or("", String::as_str);
                fault = Some((slot.place, format!("has the key `{name}` twice")));
            }
            if let Some(place) = slots.get_mut(index) {
                *place = Some(slot);
            }
        }
        let bytes = self.tracker.map_or(0, Tracker::bytes) - begin;
        Ok(Object { slots, fault, bytes, find_place: None })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.not_an_object("a list"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(self.not_an_object("a text"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(self.not_an_object("a truth value"))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(self.not_an_object("null"))
    }
}

/// Reads a key without keeping it.
struct Key<'a>(&'a mut Names);

enum Found {
    Wanted(usize),
    Other,
    Number,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Found;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Found, E> {
        if key == NUMBER_KEY {
            return Ok(Found::Number);
        }
        Ok(self.0.find(key).map_or(Found::Other, Found::Wanted))
    }
}

/// Reads a value and notes where it begins.
struct SlotSeed<'a> {
    tracker: Option<&'a Tracker>,
    start: Place,
}

impl<'de> DeserializeSeed<'de> for SlotSeed<'_> {
    type Value = Slot;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Slot, D::Error> {
        let Some(tracker) = self.tracker else {
            return Ok(Slot { value: Value::deserialize(deserializer)?, place: self.start });
        };
        tracker.arm();
        let value = Value::deserialize(deserializer)?;
        Ok(Slot { value, place: tracker.caught() })
    }
}
