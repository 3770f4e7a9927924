//! Text and JSON values → Arrow columns, and back. The one place where a written value becomes a typed one.
//!
//! Everything is exact: what a column's type has no room for is refused with a phrase for a bad row,
//! never rounded, cut or shifted. The phrases do not contain the value itself (it may be personal);
//! the place beside them leads to it.

mod moment;
mod number;
mod short;
mod show;

pub use moment::{DatePattern, parse_date, parse_datetime, parse_time, show_date, show_datetime, show_time};
pub use number::{NumberStyle, Thousands, parse_decimal, parse_double, parse_whole, show_decimal};
pub(crate) use show::write_name;
pub use show::{show_text, write_json};

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder,
    Int64Builder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Date32Type, Field};
use base64::Engine as _;
use chrono::{NaiveTime, Timelike as _};
use obmen_sdk::{Error, ErrorKind, Result, types};
use obmen_spec::ColumnType;
use serde_json::Value;
use std::sync::Arc;

/// How values are written in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// Numbers.
    pub numbers: NumberStyle,
    /// Dates; ISO is understood besides.
    pub date: DatePattern,
    /// Texts that mean NULL.
    pub nulls: Vec<String>,
}

impl Default for TextStyle {
    /// Plain numbers, ISO dates, no words for NULL.
    fn default() -> Self {
        Self { numbers: NumberStyle::plain(), date: DatePattern::iso(), nulls: Vec::new() }
    }
}

impl TextStyle {
    /// Whether a text is one of the words for NULL.
    pub fn is_null(&self, text: &str) -> bool {
        self.nulls.iter().any(|word| word == text)
    }
}

/// Builds one column of a declared type from texts and JSON values.
///
/// A failed `append_*` leaves the column as it was.
#[derive(Debug)]
pub struct ColumnBuilder {
    kind: ColumnType,
    cells: Cells,
}

#[derive(Debug)]
enum Cells {
    Text(StringBuilder),
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Decimal(Decimal128Builder),
    Double(Float64Builder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Datetime(TimestampMicrosecondBuilder),
    Binary(BinaryBuilder),
}

/// Runs the same expression on whichever builder there is.
macro_rules! each {
    ($cells:expr, $builder:ident => $action:expr) => {
        match $cells {
            Cells::Text($builder) => $action,
            Cells::Bool($builder) => $action,
            Cells::Int($builder) => $action,
            Cells::Long($builder) => $action,
            Cells::Decimal($builder) => $action,
            Cells::Double($builder) => $action,
            Cells::Date($builder) => $action,
            Cells::Time($builder) => $action,
            Cells::Datetime($builder) => $action,
            Cells::Binary($builder) => $action,
        }
    };
}

impl ColumnBuilder {
    /// A builder for a field of [`types::arrow_field`].
    ///
    /// # Errors
    /// `Unsupported` for a type no column can be declared with.
    pub fn new(field: &Field) -> Result<Self> {
        let kind = types::column_type(field).filter(|kind| types::arrow_type(*kind) == *field.data_type());
        let kind = kind.ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!("a column of Arrow type {} cannot be read from text", field.data_type()),
            )
            .with("column", field.name())
        })?;
        let cells = match kind {
            ColumnType::String | ColumnType::Uuid | ColumnType::Json => Cells::Text(StringBuilder::new()),
            ColumnType::Bool => Cells::Bool(BooleanBuilder::new()),
            ColumnType::Int => Cells::Int(Int32Builder::new()),
            ColumnType::Long => Cells::Long(Int64Builder::new()),
            ColumnType::Decimal { .. } => {
                Cells::Decimal(Decimal128Builder::new().with_data_type(field.data_type().clone()))
            }
            ColumnType::Double => Cells::Double(Float64Builder::new()),
            ColumnType::Date => Cells::Date(Date32Builder::new()),
            ColumnType::Time => Cells::Time(Time64MicrosecondBuilder::new()),
            ColumnType::Datetime => Cells::Datetime(TimestampMicrosecondBuilder::new()),
            ColumnType::Binary => Cells::Binary(BinaryBuilder::new()),
        };
        Ok(Self { kind, cells })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        use arrow::array::ArrayBuilder as _;
        each!(&self.cells, builder => builder.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds NULL.
    pub fn append_null(&mut self) {
        each!(&mut self.cells, builder => builder.append_null());
    }

    /// Adds what a text means in this column. A word for NULL is NULL; an empty text is an empty
    /// string, and a mistake for every other type (formats where it means NULL say so themselves).
    ///
    /// # Errors
    /// A phrase for a bad row.
    pub fn append_text(&mut self, text: &str, style: &TextStyle) -> Result<(), String> {
        if style.is_null(text) {
            self.append_null();
            return Ok(());
        }
        match (&mut self.cells, self.kind) {
            (Cells::Text(cells), ColumnType::Uuid) if is_canonical_uuid(text) => cells.append_value(text),
            (Cells::Text(cells), ColumnType::Uuid) => cells.append_value(parse_uuid(text)?),
            (Cells::Text(cells), ColumnType::Json) => {
                check_json(text)?;
                cells.append_value(text);
            }
            (Cells::Text(cells), _) => cells.append_value(text),
            (Cells::Bool(cells), _) => cells.append_value(parse_bool(text)?),
            (Cells::Int(cells), _) => cells.append_value(parse_whole(text, &style.numbers)?),
            (Cells::Long(cells), _) => cells.append_value(parse_whole(text, &style.numbers)?),
            (Cells::Decimal(cells), ColumnType::Decimal { precision, scale }) => {
                cells.append_value(parse_decimal(text, precision, scale, &style.numbers)?);
            }
            (Cells::Decimal(_), _) => return Err("has no decimal type".to_owned()),
            (Cells::Double(cells), _) => cells.append_value(parse_double(text, &style.numbers)?),
            (Cells::Date(cells), _) => cells.append_value(Date32Type::from_naive_date(parse_date(text, &style.date)?)),
            (Cells::Time(cells), _) => cells.append_value(micros_of_day(parse_time(text)?)),
            (Cells::Datetime(cells), _) => {
                cells.append_value(parse_datetime(text, &style.date)?.and_utc().timestamp_micros());
            }
            (Cells::Binary(cells), _) => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(text.trim());
                cells.append_value(bytes.map_err(|_| "is not base64".to_owned())?);
            }
        }
        Ok(())
    }

    /// Adds what a JSON value means in this column. Texts mean what they mean in
    /// [`append_text`](Self::append_text), so numbers may stand in quotes; lists and objects fit `json` alone.
    ///
    /// # Errors
    /// A phrase for a bad row.
    pub fn append_json(&mut self, value: &Value, style: &TextStyle) -> Result<(), String> {
        if let (Cells::Text(cells), ColumnType::Json) = (&mut self.cells, self.kind) {
            if value.is_null() {
                cells.append_null();
            } else {
                cells.append_value(value.to_string());
            }
            return Ok(());
        }
        match value {
            Value::Null => self.append_null(),
            Value::String(text) => return self.append_text(text, style),
            Value::Number(number) => self.append_number(number, style)?,
            Value::Bool(truth) => match &mut self.cells {
                Cells::Bool(cells) => cells.append_value(*truth),
                Cells::Text(cells) if self.kind == ColumnType::String => {
                    cells.append_value(if *truth { "true" } else { "false" });
                }
                _ => return Err(format!("is {truth}, expected {}", self.kind)),
            },
            Value::Array(_) => return Err("is a list; declare the column json".to_owned()),
            Value::Object(_) => return Err("is an object; declare the column json".to_owned()),
        }
        Ok(())
    }

    /// Takes the values as an array and begins anew.
    pub fn finish(&mut self) -> ArrayRef {
        each!(&mut self.cells, builder => Arc::new(builder.finish()))
    }

    fn append_number(&mut self, number: &serde_json::Number, style: &TextStyle) -> Result<(), String> {
        // JSON has one way to write numbers, whatever the texts beside it look like.
        let plain = TextStyle { numbers: NumberStyle::plain(), nulls: Vec::new(), date: style.date.clone() };
        match self.kind {
            ColumnType::String
            | ColumnType::Int
            | ColumnType::Long
            | ColumnType::Decimal { .. }
            | ColumnType::Double => self.append_text(&number.to_string(), &plain),
            ColumnType::Bool if matches!(number.to_string().as_str(), "0" | "1") => {
                self.append_text(&number.to_string(), &plain)
            }
            _ => Err(format!("is a number, expected {}", self.kind)),
        }
    }
}

/// Reads a truth value: `true false 1 0 да нет истина ложь`, in any case.
///
/// # Errors
/// A phrase for a bad row.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    let truth = |word: &str| match word {
        "true" | "1" | "да" | "истина" => Some(true),
        "false" | "0" | "нет" | "ложь" => Some(false),
        _ => None,
    };
    let text = text.trim();
    match truth(text).or_else(|| truth(&text.to_lowercase())) {
        Some(truth) => Ok(truth),
        None => Err("is not a truth value (true, false, 1, 0, да, нет, истина, ложь)".to_owned()),
    }
}

/// Reads an identifier as lower-case text with hyphens; braces around it and missing hyphens are accepted.
///
/// # Errors
/// A phrase for a bad row.
pub fn parse_uuid(text: &str) -> Result<String, String> {
    let wrong = || "is not a uuid".to_owned();
    let text = text.trim();
    let (text, braced) = match text.strip_prefix('{') {
        Some(rest) => (rest.strip_suffix('}').ok_or_else(wrong)?, true),
        None => (text, false),
    };
    let hyphens = [8, 13, 18, 23];
    let digits: Vec<u8> = match text.len() {
        36 if hyphens.iter().all(|at| text.as_bytes().get(*at) == Some(&b'-')) => {
            text.bytes().enumerate().filter(|(at, _)| !hyphens.contains(at)).map(|(_, byte)| byte).collect()
        }
        32 if !braced => text.bytes().collect(),
        _ => return Err(wrong()),
    };
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(wrong());
    }
    let mut canonical = String::with_capacity(36);
    for (at, digit) in digits.iter().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            canonical.push('-');
        }
        canonical.push(char::from(digit.to_ascii_lowercase()));
    }
    Ok(canonical)
}

fn is_canonical_uuid(text: &str) -> bool {
    let is_place = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_place)
}

/// Microseconds since midnight.
pub(crate) fn micros_of_day(time: NaiveTime) -> i64 {
    i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(time.nanosecond() / 1_000)
}

fn check_json(text: &str) -> Result<(), String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(_) => Err("is not JSON".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array as _, AsArray as _};
    use arrow::datatypes::Decimal128Type;
    use serde_json::json;

    fn builder(kind: &str) -> ColumnBuilder {
        ColumnBuilder::new(&types::arrow_field("x", ColumnType::parse(kind).unwrap())).unwrap()
    }

    #[test]
    fn a_refused_value_leaves_the_column_as_it_was() {
        for kind in
            ["bool", "int", "long", "decimal(5,2)", "double", "date", "time", "datetime", "uuid", "json", "binary"]
        {
            let mut column = builder(kind);
            assert!(column.append_text("чепуха", &TextStyle::default()).is_err(), "{kind}");
            assert!(column.append_text("", &TextStyle::default()).is_err() || kind == "binary", "{kind}");
            assert!(column.is_empty() || kind == "binary", "{kind}");
        }
    }

    #[test]
    fn truth_has_eight_words() {
        for (text, truth) in
            [("true", true), ("ДА", true), ("Истина", true), ("1", true), ("нет", false), ("Ложь", false)]
        {
            assert_eq!(parse_bool(text), Ok(truth));
        }
        assert!(parse_bool("yes").is_err());
    }

    #[test]
    fn uuids_become_canonical() {
        let canonical = "b1c89d94-cb6a-11e6-aede-5404a6b4b8ed";
        for text in [
            canonical,
            "{B1C89D94-CB6A-11E6-AEDE-5404A6B4B8ED}",
            "b1c89d94cb6a11e6aede5404a6b4b8ed",
            " b1c89d94-cb6a-11e6-aede-5404a6b4b8ed ",
        ] {
            assert_eq!(parse_uuid(text).as_deref(), Ok(canonical));
        }
        for text in [
            "",
            "{b1c89d94-cb6a-11e6-aede-5404a6b4b8ed",
            "b1c89d94-cb6a-11e6-aede-5404a6b4b8e",
            "b1c89d94-cb6a-11e6-aede-5404a6b4b8eg",
            "b1c89d94-cb6a-11e6-aede5-404a6b4b8ed",
        ] {
            assert!(parse_uuid(text).is_err(), "{text}");
        }
    }

    #[test]
    fn json_numbers_keep_their_digits() {
        let mut column = builder("decimal(38,20)");
        let value: Value = serde_json::from_str("123456789012345678.12345678901234567890").unwrap();
        column.append_json(&value, &TextStyle::default()).unwrap();
        column.append_json(&json!("1.5"), &TextStyle::default()).unwrap();
        column.append_json(&Value::Null, &TextStyle::default()).unwrap();
        let array = column.finish();
        let array = array.as_primitive::<Decimal128Type>();
        assert_eq!(array.value(0), 12_345_678_901_234_567_812_345_678_901_234_567_890);
        assert!(array.is_null(2));
    }

    #[test]
    fn json_values_of_another_kind_are_refused() {
        let style = TextStyle::default();
        for (kind, value) in [
            ("int", json!(true)),
            ("int", json!([1])),
            ("date", json!(20_260_101)),
            ("uuid", json!(5)),
            ("string", json!({"a": 1})),
            ("bool", json!(2)),
            ("long", json!("")),
            ("int", json!(1.5)),
        ] {
            assert!(builder(kind).append_json(&value, &style).is_err(), "{kind} {value}");
        }
        for (kind, value) in [
            ("long", json!("9223372036854775807")),
            ("string", json!(5)),
            ("string", json!(true)),
            ("json", json!([1, {"a": null}])),
            ("bool", json!(1)),
        ] {
            assert!(builder(kind).append_json(&value, &style).is_ok(), "{kind} {value}");
        }
    }
}
