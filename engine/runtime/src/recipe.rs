//! Recipes: which columns are compared, as what types. A row's hash means something only within one.

use arrow::datatypes::{DataType, SchemaRef};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Recipe {
    key: Vec<String>,
    compare: Vec<Column>,
}

#[derive(Serialize, Deserialize)]
struct Column {
    name: String,
    r#type: String,
    /// Columns of a child.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<String>,
}

/// The canonical text of a recipe. The SQL is no part of it, the order of columns neither.
pub(crate) fn text(schema: &SchemaRef, key: &[String], compare: &[String]) -> String {
    let mut columns: Vec<Column> = compare
        .iter()
        .filter_map(|name| schema.field_with_name(name).ok())
        .map(|field| {
            let (kind, parts) = match field.data_type() {
                DataType::List(item) => ("parts".to_owned(), parts(item.data_type())),
                other => (other.to_string(), Vec::new()),
            };
            Column { name: field.name().clone(), r#type: kind, parts }
        })
        .collect();
    columns.sort_by(|one, other| one.name.cmp(&other.name));
    serde_json::to_string(&Recipe { key: key.to_vec(), compare: columns }).unwrap_or_default()
}

/// The compared columns of a recipe.s text.
///
pub(crate) fn names(text: &str) -> Vec<String> {
    let recipe: Option<Recipe> = serde_json::from_str(text).ok();
    recipe.map(|recipe| recipe.compare.into_iter().map(|column| column.name).collect()).unwrap_or_default()
}

fn parts(item: &DataType) -> Vec<String> {
    let DataType::Struct(fields) = item else { return Vec::new() };
    let mut parts: Vec<String> =
        fields.iter().map(|field| format!("{}: {}", field.name(), field.data_type())).collect();
    parts.sort();
    parts
}
