//! Arrow values → text and JSON.

use super::{TextStyle, show_date, show_datetime, show_decimal, show_time};
use arrow::array::{Array, AsArray as _};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float64Type, Int32Type, Int64Type, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::temporal_conversions::{date32_to_datetime, time64us_to_time, timestamp_us_to_datetime};
use base64::Engine as _;
use obmen_sdk::types::TYPE_KEY;
use std::sync::LazyLock;

/// The text of a value in the style of a file; `None` for NULL.
///
/// # Errors
/// A phrase for a rejected row: a type that has no text form, a date outside the calendar.
pub fn show_text(array: &dyn Array, row: usize, style: &TextStyle) -> Result<Option<String>, String> {
    if array.is_null(row) {
        return Ok(None);
    }
    let mark = style.numbers.decimal;
    let no_moment = || "is outside the calendar".to_owned();
    Ok(Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Decimal128(_, scale) => {
            let scale = u8::try_from(*scale).map_err(|_| "has a negative scale".to_owned())?;
            show_decimal(array.as_primitive::<Decimal128Type>().value(row), scale, mark)
        }
        DataType::Float64 => show_double(array.as_primitive::<Float64Type>().value(row), mark),
        DataType::Date32 => {
            let day = date32_to_datetime(array.as_primitive::<Date32Type>().value(row)).ok_or_else(no_moment)?;
            show_date(day.date(), &style.date)
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let micros = array.as_primitive::<Time64MicrosecondType>().value(row);
            show_time(time64us_to_time(micros).ok_or_else(no_moment)?)
        }
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            show_datetime(timestamp_us_to_datetime(micros).ok_or_else(no_moment)?, &style.date)
        }
        DataType::Binary => base64::engine::general_purpose::STANDARD.encode(array.as_binary::<i32>().value(row)),
        other => return Err(format!("of Arrow type {other} has no text form")),
    }))
}

/// Writes a value as JSON: decimals as numbers with exactly their digits, dates and times as ISO text,
/// `json` columns as what they contain, lists and structs nested.
///
/// # Errors
/// A phrase for a rejected row: a number JSON does not know (NaN), a `json` column that is not JSON.
pub fn write_json(out: &mut Vec<u8>, array: &dyn Array, field: &Field, row: usize) -> Result<(), String> {
    if array.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match array.data_type() {
        DataType::List(item) => {
            let items = array.as_list::<i32>().value(row);
            write_list(out, items.as_ref(), item)
        }
        DataType::LargeList(item) => {
            let items = array.as_list::<i64>().value(row);
            write_list(out, items.as_ref(), item)
        }
        DataType::Struct(fields) => {
            let parts = array.as_struct();
            out.push(b'{');
            for (at, (field, part)) in fields.iter().zip(parts.columns()).enumerate() {
                write_name(out, at, field.name());
                write_json(out, part.as_ref(), field, row)?;
            }
            out.push(b'}');
            Ok(())
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            if !value.is_finite() {
                return Err("is a number JSON cannot write (NaN or infinite)".to_owned());
            }
            out.extend_from_slice(show_double(value, '.').as_bytes());
            Ok(())
        }
        DataType::Utf8 if !is_json(field) => {
            write_string(out, array.as_string::<i32>().value(row));
            Ok(())
        }
        _ => {
            static STYLE: LazyLock<TextStyle> = LazyLock::new(TextStyle::default);
            let text = show_text(array, row, &STYLE)?.unwrap_or_default();
            write_scalar(out, array.data_type(), field, &text)
        }
    }
}

/// Writes `,"name":`, without the comma for the first.
pub(crate) fn write_name(out: &mut Vec<u8>, at: usize, name: &str) {
    if at > 0 {
        out.push(b',');
    }
    write_string(out, name);
    out.push(b':');
}

fn write_list(out: &mut Vec<u8>, items: &dyn Array, field: &Field) -> Result<(), String> {
    out.push(b'[');
    for at in 0..items.len() {
        if at > 0 {
            out.push(b',');
        }
        write_json(out, items, field, at)?;
    }
    out.push(b']');
    Ok(())
}

fn write_scalar(out: &mut Vec<u8>, kind: &DataType, field: &Field, text: &str) -> Result<(), String> {
    match kind {
        DataType::Boolean | DataType::Int32 | DataType::Int64 | DataType::Decimal128(..) => {
            out.extend_from_slice(text.as_bytes());
        }
        // Read and written again, so that line breaks inside it cannot break a line of JSON.
        _ if is_json(field) => {
            let value: serde_json::Value = serde_json::from_str(text).map_err(|_| "is not JSON".to_owned())?;
            out.extend_from_slice(value.to_string().as_bytes());
        }
        _ => write_string(out, text),
    }
    Ok(())
}

/// Whether a column's texts are JSON themselves.
fn is_json(field: &Field) -> bool {
    field.metadata().get(TYPE_KEY).is_some_and(|kind| kind == "json")
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    // writing to memory does not fail
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.extend_from_slice(b"\"\"");
    }
}

/// The shortest text that reads back as the same number.
fn show_double(value: f64, mark: char) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let text = format!("{value:?}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if mark == '.' { text.to_owned() } else { text.replace('.', &mark.to_string()) }
}
