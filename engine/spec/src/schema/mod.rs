//! JSON Schemas of the files an analyst writes, for editors. Descriptions are the doc comments of the types.
//!
//! The types of the model derive their schema; this module assembles the three documents, takes away what YAML files
//! must not have (`null`, unknown keys) and merges in what the connectors add.

pub(crate) mod shapes;

use crate::pipeline::Pipeline;
use crate::project::{Connection, Project};
use crate::test_file::{Counter, TestFile};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// What the connectors add to the schemas: properties of a connection, a source and a sink beside the common keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Schemas of connections, by connector.
    pub connections: &'a [(&'a str, &'a Schema)],
    /// Schemas of what sources may say.
    pub sources: &'a [(&'a str, &'a Schema)],
    /// Schemas of what sinks may say.
    pub sinks: &'a [(&'a str, &'a Schema)],
    /// What `segments` of a profile may say.
    pub segments: Option<&'a Schema>,
}

/// The schema of a pipeline file.
pub fn pipeline(options: Options<'_>) -> Value {
    let mut schema = document::<Pipeline>("A pipeline of Obmen", |_| {});
    merge(&mut schema, "Source", options.sources);
    merge(&mut schema, "Sink", options.sinks);
    schema
}

/// The schema of `obmen.yaml`.
pub fn project(options: Options<'_>) -> Value {
    // A profile holds connections as keys of its own, so nothing in the types leads to their definition.
    let mut schema = document::<Project>("A project of Obmen", |generator| {
        generator.subschema_for::<Connection>();
    });
    merge(&mut schema, "Connection", options.connections);
    if let Some(kind) = schema.pointer_mut("/$defs/Connection/properties/type").and_then(Value::as_object_mut)
        && !options.connections.is_empty()
    {
        let names: Vec<&str> = options.connections.iter().map(|(name, _)| *name).collect();
        kind.insert("enum".to_owned(), json!(names));
    }
    if let Some(profile) = schema.pointer_mut("/$defs/Profile").and_then(Value::as_object_mut) {
        profile.insert("additionalProperties".to_owned(), json!({ "$ref": "#/$defs/Connection" }));
    }
    if let Some(segments) = options.segments {
        describe_segments(&mut schema, segments);
    }
    schema
}

/// Puts the shape of `segments` where only its place is known.
fn describe_segments(schema: &mut Value, shape: &Schema) {
    let mut shape = Schema::clone(shape).to_value();
    tidy(&mut shape);
    let place = "/$defs/Profile/properties/segments";
    if let (Some(Value::Object(place)), Value::Object(shape)) = (schema.pointer_mut(place), &mut shape) {
        for key in ["type", "properties", "required", "additionalProperties"] {
            if let Some(value) = shape.remove(key) {
                place.insert(key.to_owned(), value);
            }
        }
        if let (Some(more), Some(ours)) =
            (shape.remove("$defs"), schema.get_mut("$defs").and_then(Value::as_object_mut))
        {
            for (name, value) in more.as_object().into_iter().flatten() {
                ours.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

/// The schema of a test file `NAME.test.yaml`.
pub fn tests() -> Value {
    let mut schema = document::<TestFile>("Tests of a pipeline of Obmen", |_| {});
    if let Some(then) = schema.pointer_mut("/$defs/Then/properties").and_then(Value::as_object_mut) {
        for counter in Counter::ALL {
            let about = counter.about();
            let number = json!({ "type": "integer", "minimum": 0, "description": format!("How many {about}.") });
            then.insert(counter.name().to_owned(), number);
        }
    }
    schema
}

fn document<T: JsonSchema>(title: &str, also: impl FnOnce(&mut SchemaGenerator)) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    also(&mut generator);
    let schema = generator.into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    tidy(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), json!(title));
    }
    schema
}

/// Takes away what a YAML file must not have: nothing where a value belongs, keys nobody knows.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Object(object) => {
            drop_null(object);
            if object.get("const").is_some_and(|word| word == "false") {
                // YAML reads the word as a truth value.
                object.insert("const".to_owned(), json!(false));
                object.remove("type");
            }
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
            object.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

fn drop_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = object.get_mut("anyOf") {
        any.retain(|schema| schema != &json!({ "type": "null" }));
        if let [Value::Object(only)] = any.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
    if object
        .get("default")
        .is_some_and(|default| default.is_null() || default == &json!([]) || default == &json!(false))
    {
        object.remove("default");
    }
}

/// Adds the properties connectors know to a definition. A key several connectors know keeps the first description.
fn merge(schema: &mut Value, definition: &str, options: &[(&str, &Schema)]) {
    for (_, more) in options {
        let more = Schema::clone(more).to_value();
        if let (Some(Value::Object(definitions)), Some(ours)) =
            (more.get("$defs"), schema.get_mut("$defs").and_then(Value::as_object_mut))
        {
            for (name, value) in definitions {
                ours.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        let Some(ours) = schema.pointer_mut(&format!("/$defs/{definition}/properties")).and_then(Value::as_object_mut)
        else {
            continue;
        };
        for (name, value) in more.get("properties").and_then(Value::as_object).into_iter().flatten() {
            ours.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}
