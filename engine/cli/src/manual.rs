//! The manual of the connectors: what each is for, and tables of its options, from the JSON Schemas of its settings.

use crate::text::line;
use obmen_sdk::{Connector, Registry};
use schemars::Schema;
use serde_json::{Map, Value};

/// Levels of nested options that are shown.
const DEEPEST: usize = 3;

/// A chapter per connector, in Markdown.
pub(crate) fn tables(registry: &Registry) -> String {
    let chapters: Vec<String> = registry.iter().map(|connector| chapter(connector.as_ref())).collect();
    chapters.join("\n")
}

fn chapter(connector: &dyn Connector) -> String {
    let mut text = format!("### `{}`\n\n{}\n", connector.name(), connector.about());
    let schemas = connector.schemas();
    let parts = [
        ("A connection, in a profile of `obmen.yaml`", schemas.connection, "It has no settings."),
        ("A source, beside the keys every source has", schemas.source, "Nothing can be read through it."),
        ("A sink, beside the keys every sink has", schemas.sink, "Nothing can be sent through it."),
    ];
    for (title, schema, nothing) in parts {
        let rows = schema.as_ref().map(rows).unwrap_or_default();
        let without = if schema.is_some() { "It has no options of its own." } else { nothing };
        if rows.is_empty() {
            line!(text, "\n{title}: {without}");
        } else {
            line!(text, "\n{title}:\n\n{}", table(&rows).trim_end());
        }
    }
    text
}

/// One option.
#[derive(Debug, PartialEq)]
struct Row {
    name: String,
    kind: String,
    default: String,
    meaning: String,
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| option | type | default | meaning |\n|---|---|---|---|\n");
    for Row { name, kind, default, meaning } in rows {
        line!(text, "| `{name}` | {} | {default} | {} |", cell(kind), cell(meaning));
    }
    text
}

/// A text in one cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn rows(schema: &Schema) -> Vec<Row> {
    let root = schema.clone().to_value();
    let mut rows = Vec::new();
    object_rows("", &root, &root, 0, &mut rows);
    rows
}

fn object_rows(prefix: &str, object: &Value, root: &Value, depth: usize, rows: &mut Vec<Row>) {
    // What is flattened in stands beside the object's own properties.
    let parts = ["allOf", "anyOf", "oneOf"].iter().filter_map(|key| object.get(*key)?.as_array());
    let properties = object.get("properties").and_then(Value::as_object);
    let required: Vec<&str> =
        object.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, option) in properties.into_iter().flatten() {
        let option_schema = resolved(option, root);
        let name = format!("{prefix}{name}");
        let is_required = required.contains(&name.trim_start_matches(prefix));
        let about =
            text_of(option, "description").or_else(|| text_of(option_schema, "description")).unwrap_or_default();
        let kind = kind(option, root);
        rows.push(Row { name: name.clone(), kind, default: default(option, is_required), meaning: about });
        if depth < DEEPEST && is_structure(option_schema) {
            object_rows(&format!("{name}."), option_schema, root, depth + 1, rows);
        }
    }
    for part in parts.flatten().map(|part| resolved(part, root)).filter(|part| is_structure(part)) {
        object_rows(prefix, part, root, depth, rows);
    }
}

fn is_structure(schema: &Value) -> bool {
    schema.get("properties").and_then(Value::as_object).is_some_and(|properties| !properties.is_empty())
}

fn text_of(schema: &Value, key: &str) -> Option<String> {
    schema.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// What a schema says itself, without the reference and the `null` around it.
fn resolved<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    if let Some(path) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#')) {
        return root.pointer(path).map_or(schema, |found| resolved(found, root));
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        let Some(list) = schema.get(key).and_then(Value::as_array) else { continue };
        let mut others = list.iter().filter(|one| one.get("type").is_none_or(|kind| kind != "null"));
        if let (Some(only), None) = (others.next(), others.next()) {
            return resolved(only, root);
        }
    }
    schema
}

/// The type of an option, in the words of an analyst.
fn kind(option: &Value, root: &Value) -> String {
    let schema = resolved(option, root);
    let words = words(schema);
    if !words.is_empty() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    match schema.get("type") {
        Some(Value::Array(kinds)) => {
            let kinds = kinds.iter().filter(|kind| *kind != "null").filter_map(Value::as_str);
            kinds.map(|kind| of_type(kind, schema, root)).collect::<Vec<_>>().join(" or ")
        }
        Some(Value::String(kind)) => of_type(kind, schema, root),
        _ => alternatives(schema, root),
    }
}

fn of_type(kind: &str, schema: &Value, root: &Value) -> String {
    match kind {
        "string" => {
            let example =
                schema.get("examples").and_then(Value::as_array).and_then(|all| all.first()).and_then(Value::as_str);
            example.map_or_else(|| "text".to_owned(), |example| format!("text like `{example}`"))
        }
        "integer" => "whole number".to_owned(),
        "number" => "number".to_owned(),
        "boolean" => "`true`, `false`".to_owned(),
        "array" => schema
            .get("items")
            .map_or_else(|| "list".to_owned(), |items| format!("list of {}", self::kind(items, root))),
        "object" => match schema.get("additionalProperties") {
            Some(values) if values.is_object() => format!("names with {}", self::kind(values, root)),
            _ => "mapping".to_owned(),
        },
        other => other.to_owned(),
    }
}

fn alternatives(schema: &Value, root: &Value) -> String {
    let list = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array());
    let kinds: Vec<String> = list.into_iter().flatten().map(|one| kind(one, root)).collect();
    if kinds.is_empty() { "anything".to_owned() } else { kinds.join(" or ") }
}

/// The words an option can be, if it is one of some words.
fn words(schema: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return list.iter().filter(|value| !value.is_null()).map(word).collect();
    }
    if let Some(value) = schema.get("const") {
        return vec![word(value)];
    }
    let Some(list) = ["oneOf", "anyOf"].iter().find_map(|key| schema.get(*key)?.as_array()) else { return Vec::new() };
    let all: Option<Vec<Vec<String>>> =
        list.iter().map(|one| Some(words(one)).filter(|words| !words.is_empty())).collect();
    all.unwrap_or_default().into_iter().flatten().collect()
}

fn default(option: &Value, required: bool) -> String {
    match option.get("default") {
        None | Some(Value::Null) if required => "required".to_owned(),
        None | Some(Value::Null) => String::new(),
        Some(Value::Object(map)) => mapping(map),
        Some(Value::Array(list)) if list.is_empty() => String::new(),
        Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Value::String(text)) => format!("`{}`", cell(text)),
        Some(other) => format!("`{other}`"),
    }
}

/// A default that is a mapping is told by its parts.
fn mapping(map: &Map<String, Value>) -> String {
    let parts = map.iter().filter(|(_, value)| !value.is_null() && !value.is_object());
    let told: Vec<String> = parts
        .map(|(name, value)| format!("{name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    if told.is_empty() { String::new() } else { format!("`{{ {} }}`", cell(&told.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_read_in_an_analysts_words() {
        let schema = json!({
            "properties": {
                "url": { "type": "string", "description": "Where\n it is, or | not" },
                "zip": { "$ref": "#/$defs/Choice", "default": "auto", "description": "Pack" },
                "portion": { "type": ["integer", "null"], "default": 1000 },
                "timeout": { "anyOf": [{ "type": "string", "examples": ["30s"] }, { "type": "null" }] },
                "parameters": { "type": "object", "additionalProperties": { "type": "string" }, "default": {} },
                "owner": { "$ref": "#/$defs/Party", "default": { "id": "x" } },
            },
            "required": ["url"],
            "$defs": {
                "Choice": { "oneOf": [{ "const": "auto" }, { "const": "never" }] },
                "Party": { "description": "Who", "type": "object", "properties": { "id": { "type": "string" } }, "required": ["id"] },
            },
        });
        let schema: Schema = schema.try_into().unwrap();
        let expected = "\
| option | type | default | meaning |
|---|---|---|---|
| `url` | text | required | Where it is, or \\| not |
| `zip` | `auto`, `never` | `auto` | Pack |
| `portion` | whole number | `1000` |  |
| `timeout` | text like `30s` |  |  |
| `parameters` | names with text |  |  |
| `owner` | mapping | `{ id: x }` | Who |
| `owner.id` | text | required |  |
";
        assert_eq!(table(&rows(&schema)), expected);
    }
}
