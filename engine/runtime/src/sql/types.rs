//! Types: what they are called, how SQL writes them, and which ones leave a query.

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::common::datatype::DataTypeExt;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ExactNumberInfo, TimezoneInfo};

/// The type of every date with time.
pub(super) const DATETIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// The most digits a decimal has.
pub(super) const MAX_DIGITS: u8 = 38;

/// What an analyst calls a type: `decimal(15,2)`, `datetime`.
pub(super) fn name(kind: &DataType) -> String {
    match kind {
        DataType::Null => "NULL".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => "int".to_owned(),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "long".to_owned(),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "double".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "binary".to_owned()
        }
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Timestamp(_, None) => "datetime".to_owned(),
        DataType::Timestamp(_, Some(zone)) => format!("datetime in {zone}"),
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        DataType::Dictionary(_, value) => name(value),
        DataType::List(item) | DataType::LargeList(item) => format!("list of {}", name(item.data_type())),
        DataType::Struct(_) => "structure".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

/// The same with its article: `an int`.
pub(super) fn a(kind: &DataType) -> String {
    let name = name(kind);
    if name.starts_with('i') { format!("an {name}") } else { format!("a {name}") }
}

/// The type a column of this type has once it leaves a query; `None` if it cannot leave.
///
/// Text, bytes and whole numbers have one width each, times are microseconds without a zone (the wall
/// clock of the zone they were in), decimals have at most 38 digits.
pub(super) fn leaving(kind: &DataType) -> Option<DataType> {
    Some(match kind {
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Boolean => DataType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            // `1e3` is one digit with three zeros after it; there is no such declared type.
            let zeros = scale.min(&0).unsigned_abs();
            DataType::Decimal128(precision.saturating_add(zeros).min(MAX_DIGITS), *scale.max(&0))
        }
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, _) => DATETIME,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Dictionary(_, value) => return leaving(value),
        _ => return None,
    })
}

/// Whether values of the type are numbers.
pub(super) fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

/// Whether values of the type are texts.
pub(super) fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Types as SQL writes them, in `CAST(x AS …)`: those of `columns:` and their usual SQL names. Whatever
/// would be read and ignored (`varchar(10)`) or would not be exact is refused.
#[derive(Debug)]
pub(super) struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, kind: &SqlType) -> Result<Option<FieldRef>> {
        let kind = match kind {
            SqlType::Boolean | SqlType::Bool => DataType::Boolean,
            SqlType::TinyInt(None)
            | SqlType::SmallInt(None)
            | SqlType::Int(None)
            | SqlType::Integer(None)
            | SqlType::Int4(None) => DataType::Int32,
            SqlType::BigInt(None) | SqlType::Int8(None) => DataType::Int64,
            SqlType::Double(ExactNumberInfo::None)
            | SqlType::DoublePrecision
            | SqlType::Float(ExactNumberInfo::None)
            | SqlType::Float8
            | SqlType::Real => DataType::Float64,
            SqlType::Text | SqlType::Varchar(None) | SqlType::String(None) | SqlType::Uuid => DataType::Utf8,
            SqlType::Date => DataType::Date32,
            SqlType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                DataType::Time64(TimeUnit::Microsecond)
            }
            SqlType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) | SqlType::Datetime(None) => {
                DATETIME
            }
            SqlType::Bytea | SqlType::Binary(None) | SqlType::Varbinary(None) | SqlType::Blob(None) => DataType::Binary,
            SqlType::Decimal(size) | SqlType::Numeric(size) | SqlType::Dec(size) => decimal(size)?,
            SqlType::Custom(name, words) if words.is_empty() => match name.to_string().as_str() {
                "long" | "LONG" => DataType::Int64,
                "binary" => DataType::Binary,
                other => return plan_err!("unknown type `{other}`"),
            },
            SqlType::Interval { .. } => return Ok(None),
            SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Character(_) | SqlType::CharacterVarying(_) => {
                return plan_err!("the type `{kind}` would not cut anything: use `string`, and `left(x, n)` to cut");
            }
            other => return plan_err!("unknown type `{other}`"),
        };
        Ok(Some(kind.into_nullable_field_ref()))
    }
}

fn decimal(size: &ExactNumberInfo) -> Result<DataType> {
    let (precision, scale) = match size {
        ExactNumberInfo::None => return plan_err!("the type `decimal` needs its digits, like `decimal(15,2)`"),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(digits @ 1..=MAX_DIGITS), Ok(after @ 0..)) if u64::from(after.unsigned_abs()) <= precision => {
            Ok(DataType::Decimal128(digits, after))
        }
        _ => {
            plan_err!("the type `decimal({precision},{scale})` needs 1 to 38 digits, 0 to all of them after the point")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn every_number_leaves_with_one_of_the_declared_types() {
        assert_eq!(leaving(&DataType::UInt64), Some(DataType::Int64));
        assert_eq!(leaving(&DataType::Decimal256(60, 4)), Some(DataType::Decimal128(38, 4)));
        assert_eq!(leaving(&DataType::Decimal128(1, -3)), Some(DataType::Decimal128(4, 0)));
        assert_eq!(leaving(&DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))), Some(DATETIME));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
        assert_eq!(leaving(&dictionary), Some(DataType::Utf8));
        let list = DataType::List(Arc::new(arrow::datatypes::Field::new("item", DataType::Utf8, true)));
        assert_eq!(leaving(&list), None);
    }
}
