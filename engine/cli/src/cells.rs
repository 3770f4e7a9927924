//! Rows of the engine as tables and JSON. Whole numbers and truth values are as they are in JSON; what is exact or dated is
//! text, parts are lists.

use crate::table::Table;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};

/// Rows as a table; columns of numbers are aligned to the right.
pub(crate) fn table(rows: &RecordBatch) -> Table {
    let mut table = Table::new();
    for field in rows.schema_ref().fields() {
        table.column(field.name(), field.data_type().is_numeric());
    }
    for row in 0..rows.num_rows() {
        table.cells(rows.columns().iter().map(|column| text(column, row)).collect());
    }
    table
}

/// One row: `{"column": value, …}`.
pub(crate) fn object(rows: &RecordBatch, row: usize) -> Value {
    let mut object = Map::new();
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        object.insert(field.name().clone(), json(column, row));
    }
    Value::Object(object)
}

/// All rows as objects.
pub(crate) fn objects(rows: &RecordBatch) -> Vec<Value> {
    (0..rows.num_rows()).map(|row| object(rows, row)).collect()
}

fn text(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    Some(match json(column, row) {
        Value::String(text) => text,
        Value::Array(parts) => parts.iter().map(part).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    })
}

/// A part of a list in a cell: its values, separated by spaces.
fn part(value: &Value) -> String {
    match value {
        Value::Object(columns) => columns.values().map(crate::words::value).collect::<Vec<_>>().join(" "),
        other => crate::words::value(other),
    }
}

fn json(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
        DataType::Int8 => Value::from(column.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => Value::from(column.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => Value::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => Value::from(column.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => Value::from(column.as_primitive::<Float64Type>().value(row)),
        DataType::List(_) => {
            let parts = column.as_list::<i32>().value(row);
            match parts.as_struct_opt() {
                Some(parts) => Value::Array(objects(&RecordBatch::from(parts))),
                None => Value::Array((0..parts.len()).map(|part| json(&parts, part)).collect()),
            }
        }
        _ => Value::from(formatted(column, row)),
    }
}

fn formatted(column: &ArrayRef, row: usize) -> String {
    let options = FormatOptions::default().with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.f"));
    ArrayFormatter::try_new(column.as_ref(), &options).map(|format| format.value(row).to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};
    use std::sync::Arc;

    fn rows() -> RecordBatch {
        let price = Decimal128Array::from(vec![Some(12_990), Some(470), None]).with_precision_and_scale(15, 2).unwrap();
        let schema = Schema::new(vec![
            Field::new("Наименование", DataType::Utf8, true),
            Field::new("Цена", DataType::Decimal128(15, 2), true),
            Field::new("id", DataType::Int64, true),
        ]);
        let names = StringArray::from(vec![Some("Болт"), None, Some("")]);
        let ids = Int64Array::from(vec![Some(9_007_199_254_740_993), Some(2), None]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(names), Arc::new(price), Arc::new(ids)]).unwrap()
    }

    #[test]
    fn decimals_line_up_at_the_point() {
        let text = anstream::adapter::strip_str(&table(&rows()).text(0)).to_string();
        let expected = "Наименование    Цена                id\nБолт          129.90  9007199254740993\nNULL            4.70                 2\n                NULL              NULL\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn values_are_exact_in_json() {
        let lines: Vec<String> = objects(&rows()).iter().map(ToString::to_string).collect();
        assert_eq!(lines[0], r#"{"Наименование":"Болт","Цена":"129.90","id":9007199254740993}"#);
        assert_eq!(lines[2], r#"{"Наименование":"","Цена":null,"id":null}"#);
    }
}
