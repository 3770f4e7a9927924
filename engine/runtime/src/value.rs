//! Values as JSON, for reports, plans and the journal: decimals as their exact text where a program reads a change, numbers in keys.

use crate::hash::part_range;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};

/// The key of a row: `{"id": "…"}`.
pub(crate) fn key_json(batch: &RecordBatch, key: &[String], row: usize) -> Value {
    let mut object = Map::new();
    for name in key {
        let value = batch.column_by_name(name).map_or(Value::Null, |column| json(column, row));
        object.insert(name.clone(), value);
    }
    Value::Object(object)
}

/// A whole row: `{"column": value, …}`.
pub(crate) fn row_json(batch: &RecordBatch, row: usize) -> Value {
    let mut object = Map::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        object.insert(field.name().clone(), json(column, row));
    }
    Value::Object(object)
}

/// A value: whole numbers and truth values as they are, everything exact or dated as text, parts as a list.
pub(crate) fn json(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int32 => Value::from(array.as_primitive::<arrow::datatypes::Int32Type>().value(row)),
        DataType::Int64 => Value::from(array.as_primitive::<arrow::datatypes::Int64Type>().value(row)),
        DataType::Float64 => Value::from(array.as_primitive::<arrow::datatypes::Float64Type>().value(row)),
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(row)),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (start, end) = part_range(list, row);
            let parts = list.values().as_struct();
            let batch = RecordBatch::from(parts.clone());
            Value::Array((start..end).map(|part| row_json(&batch, part)).collect())
        }
        _ => Value::from(text(array, row)),
    }
}

/// A value as a person reads it; NULL is empty.
pub(crate) fn text(array: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::default().with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.f"));
    ArrayFormatter::try_new(array.as_ref(), &options).map(|format| format.value(row).to_string()).unwrap_or_default()
}
