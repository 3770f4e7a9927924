//! Declared column types and Arrow: one mapping for everybody.
//!
//! | declared | Arrow | note |
//! |---|---|---|
//! | `string` | `Utf8` | |
//! | `bool` | `Boolean` | |
//! | `int` / `long` | `Int32` / `Int64` | |
//! | `decimal(p,s)` | `Decimal128(p,s)` | |
//! | `double` | `Float64` | |
//! | `date` | `Date32` | |
//! | `time` | `Time64(µs)` | |
//! | `datetime` | `Timestamp(µs)` without a zone | |
//! | `uuid` | `Utf8`, lower-case with hyphens | field metadata `obmen.type` = `uuid` |
//! | `json` | `Utf8` | field metadata `obmen.type` = `json` |
//! | `binary` | `Binary` | |

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use obmen_spec::{Column, ColumnType};
use std::collections::HashMap;
use std::sync::Arc;

/// The metadata key that tells `uuid` and `json` from `string`.
pub const TYPE_KEY: &str = "obmen.type";

/// The Arrow type of a declared type.
pub fn arrow_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::String | ColumnType::Uuid | ColumnType::Json => DataType::Utf8,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int => DataType::Int32,
        ColumnType::Long => DataType::Int64,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, i8::try_from(scale).unwrap_or(0)),
        ColumnType::Double => DataType::Float64,
        ColumnType::Date => DataType::Date32,
        ColumnType::Time => DataType::Time64(TimeUnit::Microsecond),
        ColumnType::Datetime => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::Binary => DataType::Binary,
    }
}

/// The Arrow field of a declared column. All columns are nullable.
pub fn arrow_field(name: &str, kind: ColumnType) -> Field {
    let field = Field::new(name, arrow_type(kind), true);
    match kind {
        ColumnType::Uuid | ColumnType::Json => {
            field.with_metadata(HashMap::from([(TYPE_KEY.to_owned(), kind.to_string())]))
        }
        _ => field,
    }
}

/// The Arrow schema of declared columns.
pub fn arrow_schema(columns: &[Column]) -> SchemaRef {
    let fields: Vec<Field> = columns.iter().map(|column| arrow_field(&column.name, column.kind.value)).collect();
    Arc::new(Schema::new(fields))
}

/// The declared type of an Arrow field; `None` for types no column can be declared with.
pub fn column_type(field: &Field) -> Option<ColumnType> {
    Some(match (field.data_type(), field.metadata().get(TYPE_KEY).map(String::as_str)) {
        (DataType::Utf8, Some("uuid")) => ColumnType::Uuid,
        (DataType::Utf8, Some("json")) => ColumnType::Json,
        (DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8, _) => ColumnType::String,
        (DataType::Boolean, _) => ColumnType::Bool,
        (DataType::Int8 | DataType::Int16 | DataType::Int32, _) => ColumnType::Int,
        (DataType::Int64 | DataType::UInt32, _) => ColumnType::Long,
        (DataType::Decimal128(precision, scale), _) => {
            ColumnType::Decimal { precision: *precision, scale: u8::try_from(*scale).ok()? }
        }
        (DataType::Float32 | DataType::Float64, _) => ColumnType::Double,
        (DataType::Date32, _) => ColumnType::Date,
        (DataType::Time64(_), _) => ColumnType::Time,
        (DataType::Timestamp(_, _), _) => ColumnType::Datetime,
        (DataType::Binary | DataType::LargeBinary, _) => ColumnType::Binary,
        _ => return None,
    })
}
