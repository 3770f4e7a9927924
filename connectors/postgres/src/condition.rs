//! Conditions on rows as SQL, exactly as [`Filter::holds`] says.
//!
//! Texts compare by their bytes: `COLLATE "C"`, whatever the database's order is; equal texts are looked for by the
//! column's own order too, so that its index can be used. Positions are row comparisons, which use an index on the same
//! columns. A condition is of values that are read (`q.column`), so NULL, zeros and padding are what they are there.

use crate::copy::{DAYS, MOMENTS};
use crate::kind::{Kind, Reading};
use crate::sql::{array, identifier, literal};
use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow::util::display::array_value_to_string;
use obmen_sdk::{Error, Filter, Result};

/// The name of the relation that is read.
pub(crate) const RELATION: &str = "q";

/// A column that conditions are about.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) reading: Reading,
}

/// A value as PostgreSQL would compare it.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    /// Before everything that can be read.
    Lowest,
    /// After everything.
    Highest,
    /// A text to be cast.
    Exactly(String),
    /// Between this value and everything greater: nothing equals it.
    JustAfter(String),
}

/// How a column is compared.
#[derive(Debug)]
struct Operand {
    /// What stands on the left.
    sql: String,
    /// The same for equality, with an index where the other has none.
    indexed: Option<String>,
    /// The type on the right.
    cast: &'static str,
}

/// A condition for `WHERE`. `utf8`: the database keeps texts as UTF-8.
///
/// # Errors
/// `Internal` for columns and types that are not those of the relation.
pub(crate) fn sql(filter: &Filter, columns: &[Column], utf8: bool) -> Result<String> {
    let column = |name: &String| {
        let found = columns.iter().find(|column| column.name == *name);
        found.ok_or_else(|| Error::internal(format!("there is no column `{name}` to filter by")))
    };
    let names = filter.columns();
    let columns = names.iter().map(column).collect::<Result<Vec<&Column>>>()?;
    let values = match filter {
        Filter::From { row, .. } => row,
        Filter::OneOf(rows) => rows,
    };
    let operands = columns.iter().zip(values.columns());
    let operands: Vec<Operand> = operands.map(|(column, values)| operand(column, &**values, utf8)).collect();
    match filter {
        Filter::From { row, inclusive } => from(row, *inclusive, &operands),
        Filter::OneOf(rows) => one_of(rows, &operands),
    }
}

fn operand(column: &Column, values: &dyn Array, utf8: bool) -> Operand {
    let sql = format!("{RELATION}.{}", identifier(&column.name));
    let plain = |cast| Operand { sql: sql.clone(), indexed: None, cast };
    match column.kind {
        Kind::Bool if column.reading.cast.is_none() => plain("bool"),
        Kind::Int2 | Kind::Int4 | Kind::Int8 if column.reading.cast.is_none() => plain("int8"),
        Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Numeric(_) if column.reading.cast != Some("text") => {
            plain("numeric")
        }
        Kind::Oid if column.reading.cast == Some("int8") => {
            Operand { sql: format!("{sql}::int8"), indexed: None, cast: "int8" }
        }
        Kind::Float4 | Kind::Float8 if column.reading.cast.is_none() => plain("float8"),
        Kind::Date if column.reading.cast.is_none() => plain("date"),
        Kind::Date if column.reading.cast == Some("timestamp") => plain("timestamp"),
        Kind::Time if column.reading.cast.is_none() => plain("time"),
        Kind::Timestamp if column.reading.cast.is_none() => plain("timestamp"),
        Kind::Timestamptz if column.reading.cast.is_none() => plain("timestamptz"),
        Kind::Bytea => plain("bytea"),
        Kind::Uuid if all_uuids(values) => plain("uuid"),
        kind => text_operand(&sql, kind, utf8),
    }
}

/// Whether all values are uuids as they are read: their order is that of their texts.
fn all_uuids(values: &dyn Array) -> bool {
    let hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let letter = |(at, byte): (usize, u8)| {
        if hyphen(at) { byte == b'-' } else { byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) }
    };
    let uuid = |text: &str| text.len() == 36 && text.bytes().enumerate().all(letter);
    values.as_string_opt::<i32>().is_some_and(|texts| texts.iter().flatten().all(uuid))
}

/// Texts, and everything that is read as text.
fn text_operand(sql: &str, kind: Kind, utf8: bool) -> Operand {
    let text = if matches!(kind, Kind::Text(_)) { sql.to_owned() } else { format!("{sql}::text") };
    if !utf8 {
        return Operand { sql: format!("convert_to({text}, 'UTF8')"), indexed: None, cast: "bytea" };
    }
    let indexed = matches!(kind, Kind::Text(_)).then(|| sql.to_owned());
    Operand { sql: format!("({text} COLLATE \"C\")"), indexed, cast: "text" }
}

/// Rows from a position on.
fn from(row: &RecordBatch, inclusive: bool, operands: &[Operand]) -> Result<String> {
    let mut sql: Vec<String> = operands.iter().map(|operand| format!("{} IS NOT NULL", operand.sql)).collect();
    let (mut left, mut right, mut sign) = (Vec::new(), Vec::new(), if inclusive { ">=" } else { ">" });
    for (operand, column) in operands.iter().zip(row.columns()) {
        let (text, last) = match value(column, 0, operand.cast)? {
            Value::Exactly(text) => (Some(text), None),
            // What comes after an impossible value does not matter: the columns before it decide.
            Value::Lowest => (None, Some(">=")),
            Value::Highest => (None, Some(">")),
            Value::JustAfter(text) => (Some(text), Some(">")),
        };
        if let Some(text) = text {
            left.push(operand.sql.as_str());
            right.push(format!("{}::{}", literal(&text), operand.cast));
        }
        if let Some(last) = last {
            sign = last;
            break;
        }
    }
    match left.len() {
        0 if sign == ">" => sql.push("false".to_owned()),
        0 => {}
        1 => sql.push(format!("{} {sign} {}", left.join(""), right.join(""))),
        _ => sql.push(format!("({}) {sign} ({})", left.join(", "), right.join(", "))),
    }
    Ok(sql.join(" AND "))
}

/// Rows that equal one of those given, as a join with their values.
fn one_of(rows: &RecordBatch, operands: &[Operand]) -> Result<String> {
    let mut texts: Vec<Vec<String>> = vec![Vec::new(); operands.len()];
    for row in 0..rows.num_rows() {
        let values = operands.iter().zip(rows.columns()).map(|(operand, column)| value(column, row, operand.cast));
        let values = values.collect::<Result<Vec<Value>>>()?;
        let exact: Option<Vec<String>> =
            values.into_iter().map(|value| if let Value::Exactly(text) = value { Some(text) } else { None }).collect();
        // A value that cannot be there equals nothing.
        for (texts, text) in texts.iter_mut().zip(exact.into_iter().flatten()) {
            texts.push(text);
        }
    }
    if operands.is_empty() {
        return Ok(if rows.num_rows() > 0 { "true" } else { "false" }.to_owned());
    }
    let (mut arrays, mut names, mut equal) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (operand, texts)) in operands.iter().zip(&texts).enumerate() {
        arrays.push(format!("{}::{}[]", array(texts.iter().map(String::as_str)), operand.cast));
        names.push(format!("c{at}"));
        equal.push(format!("{} = k.c{at}", operand.sql));
        if let Some(indexed) = &operand.indexed {
            equal.push(format!("{indexed} = k.c{at}"));
        }
    }
    let (arrays, names, equal) = (arrays.join(", "), names.join(", "), equal.join(" AND "));
    Ok(format!("EXISTS (SELECT 1 FROM unnest({arrays}) AS k({names}) WHERE {equal})"))
}

/// A value as a text that PostgreSQL reads exactly.
fn value(column: &dyn Array, row: usize, cast: &str) -> Result<Value> {
    if column.is_null(row) {
        return Ok(Value::Lowest);
    }
    Ok(match column.data_type() {
        DataType::Boolean => Value::Exactly(column.as_boolean().value(row).to_string()),
        DataType::Int32 => Value::Exactly(column.as_primitive::<Int32Type>().value(row).to_string()),
        DataType::Int64 => Value::Exactly(column.as_primitive::<Int64Type>().value(row).to_string()),
        DataType::Decimal128(_, scale) => {
            let value = column.as_primitive::<Decimal128Type>().value(row);
            Value::Exactly(format!("{value}e{}", -i32::from(*scale)))
        }
        DataType::Float64 => double(column.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().value(row);
            within(&DAYS, days, || array_value_to_string(column, row))?
        }
        DataType::Timestamp(_, _) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            let zone = if cast == "timestamptz" { "+00" } else { "" };
            within(&MOMENTS, micros, || Ok(format!("{}{zone}", array_value_to_string(column, row)?)))?
        }
        DataType::Time64(_) => {
            let micros = column.as_primitive::<Time64MicrosecondType>().value(row);
            within(&(0..=crate::copy::DAY - 1), micros, || array_value_to_string(column, row))?
        }
        DataType::Binary => Value::Exactly(hex(column.as_binary::<i32>().value(row))),
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(row);
            let written = |text: &str| if cast == "bytea" { hex(text.as_bytes()) } else { text.to_owned() };
            match text.split_once('\0') {
                // PostgreSQL has no texts with NUL: every one after the part before it is greater, that part is not.
                Some((before, _)) => Value::JustAfter(written(before)),
                None => Value::Exactly(written(text)),
            }
        }
        other => return Err(Error::internal(format!("no condition is about {other}"))),
    })
}

/// A number; its zero is not negative, and there is one NaN, which is the greatest.
fn double(value: f64) -> Value {
    if value.is_nan() {
        return if value.is_sign_negative() { Value::Lowest } else { Value::Exactly("NaN".to_owned()) };
    }
    if value == 0.0 && value.is_sign_negative() {
        // Less than zero, and greater than every number below it.
        return Value::JustAfter("-5e-324".to_owned());
    }
    Value::Exactly(format!("{value:e}").replace("inf", "Infinity"))
}

fn within<T: PartialOrd + Copy>(
    range: &std::ops::RangeInclusive<T>,
    value: T,
    text: impl FnOnce() -> Result<String, arrow::error::ArrowError>,
) -> Result<Value> {
    Ok(if value < *range.start() {
        Value::Lowest
    } else if value > *range.end() {
        Value::Highest
    } else {
        Value::Exactly(text()?)
    })
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or('0');
    let pairs = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    ['\\', 'x'].into_iter().chain(pairs).collect()
}

/// A column as it is selected: cast where its reading says so.
pub(crate) fn selected(column: &Column) -> String {
    let name = identifier(&column.name);
    match column.reading.cast {
        Some(cast) => format!("{RELATION}.{name}::{cast} AS {name}"),
        None => format!("{RELATION}.{name}"),
    }
}
