//! Shapes of YAML values that are read by hand, for the JSON Schema of the fields that hold them.

use crate::decode::Named;
use crate::{Node, SqlText};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::marker::PhantomData;

/// Any value.
#[derive(Debug)]
pub(crate) struct Anything;

/// Names of columns with their types.
#[derive(Debug)]
pub(crate) struct Columns;

/// How changes are found: a word, or a word with settings.
#[derive(Debug)]
pub(crate) struct Changing;

/// A text or a number.
#[derive(Debug)]
pub(crate) struct Word;

/// One value, or a list of them.
#[derive(Debug)]
pub(crate) struct OneOrMany<T>(PhantomData<T>);

/// A value, or the word `off`.
#[derive(Debug)]
pub(crate) struct OrOff<T>(PhantomData<T>);

/// Implements the schema of a shape in place, without a definition of its own.
macro_rules! shape {
    ($shape:ty, $name:literal $(for $param:ident)? => $schema:expr) => {
        impl$(<$param: JsonSchema>)? JsonSchema for $shape {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let schema: fn(&mut SchemaGenerator) -> Schema = $schema;
                schema(generator)
            }
        }
    };
}

shape!(Anything, "Anything" => |_| json_schema!(true));
shape!(Node, "Node" => |_| json_schema!(true));
shape!(SqlText, "Sql" => |_| json_schema!({ "type": "string" }));
shape!(Word, "Word" => |_| json_schema!({ "type": ["string", "integer"] }));
shape!(Columns, "Columns" => |_| {
    json_schema!({ "type": "object", "minProperties": 1, "additionalProperties": { "type": "string" } })
});
shape!(Changing, "Changes" => |_| {
    let words = ["full", "cursor", "version", "window", "feed", "register", "log", "inbox"];
    json_schema!({ "anyOf": [
        { "type": "string", "enum": words },
        { "type": "object", "minProperties": 1, "maxProperties": 1, "propertyNames": { "enum": words } },
    ] })
});
shape!(Named<T>, "Named" for T => |generator| {
    let entry = generator.subschema_for::<T>();
    json_schema!({ "type": "object", "additionalProperties": entry })
});
shape!(OneOrMany<T>, "OneOrMany" for T => |generator| {
    let one = generator.subschema_for::<T>();
    json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
});
shape!(OrOff<T>, "OrOff" for T => |generator| {
    let value = generator.subschema_for::<T>();
    json_schema!({ "anyOf": [value, { "const": "off" }] })
});
