//! JSON values → values of declared types, without loss.
//!
//! Field rules follow recorded answers of 1C: whole numbers of 64 bits come as texts, dates have no zone, an empty
//! reference is the zero GUID, an empty date is the first second of year 1.

use crate::number::Exact;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use obmen_spec::ColumnType;
use serde_json::Value;
use std::borrow::Cow;

/// A value on its way into a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Bool(bool),
    Int(i32),
    Long(i64),
    Decimal(i128),
    Double(f64),
    Date(i32),
    Time(i64),
    Datetime(i64),
    Bytes(Vec<u8>),
}

/// How a column's values are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// The declared type.
    pub(crate) kind: ColumnType,
    /// An empty reference or date stays a value: in a key, "no warehouse" is a warehouse like any other.
    pub(crate) keep_empty: bool,
    /// Spaces at the end of a text are padding.
    pub(crate) trim: bool,
    /// A `double` nobody declared: a number that a float cannot hold is refused instead of rounded.
    pub(crate) exact: bool,
}

const ZERO_GUID: &str = "00000000-0000-0000-0000-000000000000";

type Refused = Cow<'static, str>;

impl Reading {
    /// Reads a value.
    ///
    /// # Errors
    /// Why it does not fit, in one line; texts are not repeated (they may be personal).
    pub(crate) fn cell(self, value: Value) -> Result<Cell, Refused> {
        if value.is_null() {
            return Ok(Cell::Null);
        }
        match self.kind {
            ColumnType::Json => Ok(Cell::Text(value.to_string())),
            ColumnType::String => self.text(value),
            ColumnType::Uuid => self.uuid(&text_of(value, "an identifier")?),
            ColumnType::Bool => truth(&value),
            ColumnType::Int => {
                let whole = whole(number(value)?)?;
                i32::try_from(whole)
                    .map(Cell::Int)
                    .map_err(|_| "the number is too large for `int`, declare `long`".into())
            }
            ColumnType::Long => {
                let whole = whole(number(value)?)?;
                i64::try_from(whole)
                    .map(Cell::Long)
                    .map_err(|_| "the number is too large for `long`, declare `decimal(38,0)`".into())
            }
            ColumnType::Decimal { precision, scale } => decimal(number(value)?, precision, scale),
            ColumnType::Double => self.double(value),
            ColumnType::Date => self.date(moment(value)?),
            ColumnType::Time => self.time(moment(value)?),
            ColumnType::Datetime => Ok(self.datetime(moment(value)?)),
            ColumnType::Binary => bytes(&text_of(value, "base64")?),
        }
    }

    fn text(self, value: Value) -> Result<Cell, Refused> {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            _ => return Err("a list or structure where a text belongs, declare `json`".into()),
        };
        let kept = if self.trim { text.trim_end_matches(' ').len() } else { text.len() };
        let mut text = text;
        text.truncate(kept);
        Ok(Cell::Text(text))
    }

    fn uuid(self, text: &str) -> Result<Cell, Refused> {
        // The value of a composite attribute without a type is an empty text.
        if text.is_empty() {
            return Ok(Cell::Null);
        }
        let canonical = text.to_ascii_lowercase();
        let shaped = canonical.len() == 36
            && canonical.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        match shaped {
            false => Err("a text that is not an identifier, declare `string`".into()),
            true if canonical == ZERO_GUID && !self.keep_empty => Ok(Cell::Null),
            true => Ok(Cell::Text(canonical)),
        }
    }

    fn double(self, value: Value) -> Result<Cell, Refused> {
        let (text, exact) = number(value)?;
        let float: f64 = text.parse().map_err(|_| "a text where a number belongs")?;
        if !float.is_finite() {
            return Err("the number is too large for `double`".into());
        }
        if self.exact && !exact.is_some_and(|exact| exact.is_float(float)) {
            return Err("the number has more digits than a `double` holds, declare the column as `decimal(p,s)`".into());
        }
        Ok(Cell::Double(float))
    }

    fn date(self, moment: NaiveDateTime) -> Result<Cell, Refused> {
        if moment == empty_date() && !self.keep_empty {
            return Ok(Cell::Null);
        }
        if moment.time() != NaiveTime::MIN {
            return Err("the date has a time of day, declare `datetime`".into());
        }
        let days = moment.date().signed_duration_since(NaiveDate::default()).num_days();
        i32::try_from(days).map(Cell::Date).map_err(|_| "the date is out of range".into())
    }

    fn time(self, moment: NaiveDateTime) -> Result<Cell, Refused> {
        if moment == empty_date() && !self.keep_empty {
            return Ok(Cell::Null);
        }
        if moment.date() != empty_date().date() {
            return Err("the time has a date, declare `datetime`".into());
        }
        let time = moment.time();
        let micros = i64::from(time.num_seconds_from_midnight()) * 1_000_000 + i64::from(time.nanosecond() / 1000);
        Ok(Cell::Time(micros))
    }

    fn datetime(self, moment: NaiveDateTime) -> Cell {
        if moment == empty_date() && !self.keep_empty {
            return Cell::Null;
        }
        Cell::Datetime(moment.and_utc().timestamp_micros())
    }
}

/// `0001-01-01T00:00:00`, which 1C stores where no date is.
fn empty_date() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN)
}

fn text_of(value: Value, what: &'static str) -> Result<String, Refused> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("{} where {what} belongs", kind_of(&other)).into()),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a structure",
    }
}

fn truth(value: &Value) -> Result<Cell, Refused> {
    match value {
        Value::Bool(truth) => Ok(Cell::Bool(*truth)),
        Value::String(text) if text == "true" => Ok(Cell::Bool(true)),
        Value::String(text) if text == "false" => Ok(Cell::Bool(false)),
        other => Err(format!("{} where a truth value belongs", kind_of(other)).into()),
    }
}

/// The digits of a number, which 1C writes bare or, for 64 bits, as a text.
fn number(value: Value) -> Result<(String, Option<Exact>), Refused> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text,
        other => return Err(format!("{} where a number belongs", kind_of(&other)).into()),
    };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if !digits {
        return Err("a text where a number belongs".into());
    }
    let exact = Exact::parse(&text);
    Ok((text, exact))
}

fn whole((_, exact): (String, Option<Exact>)) -> Result<i128, Refused> {
    let exact = exact.ok_or("the number has more than 38 digits")?;
    if exact.fraction_digits() > 0 {
        return Err("the number has a fraction, declare `decimal(p,s)`".into());
    }
    exact.at_scale(0).ok_or_else(|| "the number has more than 38 digits".into())
}

fn decimal((_, exact): (String, Option<Exact>), precision: u8, scale: u8) -> Result<Cell, Refused> {
    let exact = exact.ok_or("the number has more than 38 digits")?;
    if exact.fraction_digits() > u32::from(scale) {
        let digits = exact.fraction_digits();
        return Err(format!(
            "the number has {digits} digits after the point, `decimal({precision},{scale})` keeps {scale}"
        )
        .into());
    }
    let fits = |value: &i128| value.unsigned_abs() < 10u128.pow(u32::from(precision.min(38)));
    let value = exact.at_scale(scale).filter(fits);
    value.map(Cell::Decimal).ok_or_else(|| format!("the number is too large for `decimal({precision},{scale})`").into())
}

/// A date and time without a zone. A zone is refused: 1C sends none, and guessing one would shift days.
fn moment(value: Value) -> Result<NaiveDateTime, Refused> {
    let text = text_of(value, "a date")?;
    let parsed = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f");
    let moment = parsed.map_err(|_| "a text that is not a date like `2024-01-31T23:59:59`")?;
    if moment.nanosecond() % 1000 != 0 || moment.nanosecond() >= 1_000_000_000 {
        return Err("the time is finer than a microsecond".into());
    }
    Ok(moment)
}

fn bytes(text: &str) -> Result<Cell, Refused> {
    let mut packed = text.as_bytes().to_vec();
    packed.retain(|byte| !byte.is_ascii_whitespace());
    STANDARD.decode(packed).map(Cell::Bytes).map_err(|_| "a text that is not base64".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reading(kind: &str) -> Reading {
        Reading { kind: ColumnType::parse(kind).unwrap(), keep_empty: false, trim: false, exact: false }
    }

    fn read(kind: &str, value: Value) -> Result<Cell, String> {
        reading(kind).cell(value).map_err(Cow::into_owned)
    }

    /// A number exactly as written.
    fn raw(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn values_come_as_1c_writes_them() {
        assert_eq!(read("long", json!("9007199254740993")), Ok(Cell::Long(9_007_199_254_740_993)));
        assert_eq!(read("int", json!(7)), Ok(Cell::Int(7)));
        assert_eq!(read("long", raw("5.00")), Ok(Cell::Long(5)));
        assert_eq!(read("decimal(15,2)", raw("129.9")), Ok(Cell::Decimal(12_990)));
        let wide = "12345678901234567890123456789012345678";
        assert_eq!(read("decimal(38,0)", raw(wide)), Ok(Cell::Decimal(wide.parse().unwrap())));
        assert_eq!(read("double", raw("0.1")), Ok(Cell::Double(0.1)));
        assert_eq!(read("bool", json!(true)), Ok(Cell::Bool(true)));
        assert_eq!(read("string", raw("1.50")), Ok(Cell::Text("1.50".into())));
        assert_eq!(read("json", json!({"Types": ["String"]})), Ok(Cell::Text(r#"{"Types":["String"]}"#.into())));
        assert_eq!(read("json", raw("[1.10]")), Ok(Cell::Text("[1.10]".into())));
        assert_eq!(read("binary", json!("AAAA\r\nAQID")), Ok(Cell::Bytes(vec![0, 0, 0, 1, 2, 3])));
        for kind in ["string", "bool", "int", "decimal(5,2)", "uuid", "datetime", "json", "binary"] {
            assert_eq!(read(kind, Value::Null), Ok(Cell::Null));
        }
    }

    #[test]
    fn empty_references_and_dates_are_null_except_in_keys() {
        let cases = [
            ("uuid", ZERO_GUID),
            ("datetime", "0001-01-01T00:00:00"),
            ("date", "0001-01-01T00:00:00"),
            ("time", "0001-01-01T00:00:00"),
        ];
        for (kind, empty) in cases {
            assert_eq!(read(kind, json!(empty)), Ok(Cell::Null), "{kind}");
            let key = Reading { keep_empty: true, ..reading(kind) };
            assert_ne!(key.cell(json!(empty)), Ok(Cell::Null), "{kind}");
        }
        assert_eq!(read("uuid", json!("")), Ok(Cell::Null));
        assert_eq!(read("string", json!("")), Ok(Cell::Text(String::new())));
    }

    #[test]
    fn dates_are_not_shifted() {
        assert_eq!(read("datetime", json!("1970-01-02T00:00:01")), Ok(Cell::Datetime(86_401_000_000)));
        assert_eq!(read("datetime", json!("3999-12-31T23:59:59")), Ok(Cell::Datetime(64_060_588_799_000_000)));
        assert_eq!(read("datetime", json!("0001-01-01T12:30:00")), Ok(Cell::Datetime(-62_135_551_800_000_000)));
        assert_eq!(read("date", json!("1969-12-31T00:00:00")), Ok(Cell::Date(-1)));
        assert_eq!(read("time", json!("0001-01-01T12:30:01")), Ok(Cell::Time(45_001_000_000)));
    }

    #[test]
    fn padding_is_cut_only_where_asked() {
        let padded = json!("1          ");
        assert_eq!(read("string", padded.clone()), Ok(Cell::Text("1          ".into())));
        let trimmed = Reading { trim: true, ..reading("string") };
        assert_eq!(trimmed.cell(padded), Ok(Cell::Text("1".into())));
        assert_eq!(trimmed.cell(json!(" a\t ")), Ok(Cell::Text(" a\t".into())));
    }

    #[test]
    fn identifiers_are_canonical() {
        let text = "9D5C4222-8C4C-11DB-A9B0-00055D49B45E";
        assert_eq!(read("uuid", json!(text)), Ok(Cell::Text(text.to_ascii_lowercase())));
        for wrong in
            ["9d5c4222", "9d5c4222-8c4c-11db-a9b0-00055d49b45g", "9d5c42228-c4c-11db-a9b0-00055d49b45e", "Розничная"]
        {
            assert!(read("uuid", json!(wrong)).unwrap_err().contains("not an identifier"));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_to_do() {
        let cases = [
            ("int", json!("2147483648"), "declare `long`"),
            ("long", json!("9223372036854775808"), "declare `decimal(38,0)`"),
            ("long", raw("1.5"), "has a fraction"),
            ("long", json!("Иванов"), "a text where a number belongs"),
            ("long", json!(""), "a text where a number belongs"),
            ("decimal(15,2)", raw("1.005"), "3 digits after the point"),
            ("decimal(3,2)", raw("10"), "too large for `decimal(3,2)`"),
            ("bool", json!("да"), "a text where a truth value belongs"),
            ("date", json!("2024-01-31T10:00:00"), "declare `datetime`"),
            ("time", json!("2024-01-31T10:00:00"), "declare `datetime`"),
            ("datetime", json!("2024-01-31T10:00:00Z"), "not a date"),
            ("datetime", json!("2024-02-30T10:00:00"), "not a date"),
            ("datetime", json!("31.01.2024"), "not a date"),
            ("datetime", json!("2024-01-31T10:00:00.0000001"), "finer than a microsecond"),
            ("datetime", json!("2024-01-31T23:59:60"), "finer than a microsecond"),
            ("string", json!([1]), "declare `json`"),
            ("uuid", json!(1), "a number where an identifier belongs"),
            ("binary", json!("***"), "not base64"),
            ("double", raw("1e999"), "too large"),
        ];
        for (kind, value, reason) in cases {
            let refused = read(kind, value.clone()).unwrap_err();
            assert!(refused.contains(reason), "{kind} {value}: {refused}");
            assert!(!refused.contains("Иванов"));
        }
    }

    #[test]
    fn an_undeclared_number_is_never_rounded() {
        let undeclared = Reading { exact: true, ..reading("double") };
        assert_eq!(undeclared.cell(raw("129.90")), Ok(Cell::Double(129.9)));
        assert!(undeclared.cell(raw("9007199254740993")).is_err());
        assert!(undeclared.cell(raw("1234567890123456789.12")).is_err());
    }
}
