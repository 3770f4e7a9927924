//! Casts that do not lose anything silently.

use super::{Fault, decimal};
use crate::sql::types;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, StringArray, StringBuilder};
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, i256,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Timelike, Utc};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;

/// What a cast makes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::sql) enum Target {
    /// A value of a type.
    Type(DataType),
    /// An identifier: 32 hexadecimal digits in the usual groups, in lower case.
    Uuid,
    /// A JSON value.
    Json,
}

/// What happens to digits that do not fit behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::sql) enum Loss {
    /// `CAST(x AS decimal(15,2))` of a longer decimal or a double rounds, `CAST(x AS date)` forgets the time.
    Rounds,
    /// A declared column takes the value as it is or not at all.
    Refused,
}

/// A cast of one value.
///
/// Text that is not such a value, a number that does not fit, a fraction that a whole number would lose
/// and text with more digits than the type are faults.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::sql) struct Cast {
    target: Target,
    loss: Loss,
    /// `TRY_CAST`: NULL instead of a fault.
    attempt: bool,
    signature: Signature,
}

/// The reason a value cannot be cast, after "which".
type Reason = String;

impl Cast {
    /// A cast to a target.
    pub(in crate::sql) fn new(target: Target, loss: Loss, attempt: bool) -> Self {
        Self { target, loss, attempt, signature: Signature::user_defined(Volatility::Immutable) }
    }

    fn kind(&self) -> DataType {
        match &self.target {
            Target::Type(kind) => kind.clone(),
            Target::Uuid | Target::Json => DataType::Utf8,
        }
    }

    fn target_name(&self) -> String {
        match &self.target {
            Target::Type(kind) => types::name(kind),
            Target::Uuid => "uuid".to_owned(),
            Target::Json => "json".to_owned(),
        }
    }

    /// The values cast.
    ///
    /// # Errors
    /// A [`Fault`] for the first value that cannot be cast.
    pub(in crate::sql) fn apply(&self, values: &ArrayRef) -> Result<ArrayRef> {
        use DataType::{Date32, Decimal128, Float64, Int32, Int64, Timestamp, Utf8};
        let Target::Type(kind) = &self.target else {
            let texts = arrow::compute::cast(values, &Utf8)?;
            return self.texts(texts.as_string::<i32>());
        };
        let micro = Timestamp(TimeUnit::Microsecond, None);
        Ok(match (values.data_type(), kind) {
            (from, Decimal128(precision, scale)) if types::is_text(from) || from.is_floating() => {
                // The shortest text of a double is the number people mean: 1.005 is not 1.00499….
                let texts = arrow::compute::cast(values, &Utf8)?;
                let texts = texts.as_string::<i32>();
                let round = from.is_floating() && self.loss == Loss::Rounds;
                let digits = self.each::<Decimal128Type>(texts, |row| {
                    self.decimal(decimal::read(texts.value(row).trim()), *precision, *scale, round)
                })?;
                Arc::new(digits.with_precision_and_scale(*precision, *scale)?)
            }
            (Decimal128(_, from), Decimal128(precision, scale)) if from > scale && self.loss == Loss::Refused => {
                let numbers = values.as_primitive::<Decimal128Type>();
                let digits = self.each::<Decimal128Type>(numbers, |row| {
                    self.decimal(Some((i256::from_i128(numbers.value(row)), *from)), *precision, *scale, false)
                })?;
                Arc::new(digits.with_precision_and_scale(*precision, *scale)?)
            }
            (Decimal128(_, from), Int32 | Int64) => {
                let numbers = values.as_primitive::<Decimal128Type>();
                let whole = |row| self.decimal(Some((i256::from_i128(numbers.value(row)), *from)), 38, 0, false);
                self.whole(numbers, kind, whole)?
            }
            (Float64, Int32 | Int64) => {
                let numbers = values.as_primitive::<Float64Type>();
                let whole = |row| self.decimal(decimal::read(&format!("{:e}", numbers.value(row))), 38, 0, false);
                self.whole(numbers, kind, whole)?
            }
            (from, Timestamp(TimeUnit::Microsecond, None)) if types::is_text(from) => {
                let texts = arrow::compute::cast(values, &Utf8)?;
                let texts = texts.as_string::<i32>();
                Arc::new(self.each::<TimestampMicrosecondType>(texts, |row| self.datetime(texts.value(row)))?)
            }
            (from, Date32) if types::is_text(from) => {
                let texts = arrow::compute::cast(values, &Utf8)?;
                let texts = texts.as_string::<i32>();
                Arc::new(self.each::<Date32Type>(texts, |row| self.date(texts.value(row)))?)
            }
            (Timestamp(_, None), Date32) if self.loss == Loss::Refused => {
                let times = arrow::compute::cast(values, &micro)?;
                let times = times.as_primitive::<TimestampMicrosecondType>();
                Arc::new(self.each::<Date32Type>(times, |row| {
                    let time = times.value_as_datetime(row).ok_or_else(|| self.does_not_fit())?;
                    midnight(time.and_utc())
                })?)
            }
            _ => {
                let options = CastOptions { safe: self.attempt, format_options: FormatOptions::default() };
                cast_with_options(values, kind, &options)?
            }
        })
    }

    fn does_not_fit(&self) -> Reason {
        format!("does not fit `{}`", self.target_name())
    }

    fn is_not(&self) -> Reason {
        format!("is not a value of type `{}`", self.target_name())
    }

    fn decimal(&self, number: Option<(i256, i8)>, precision: u8, scale: i8, round: bool) -> Result<i128, Reason> {
        let (value, digits) = number.ok_or_else(|| self.is_not())?;
        let (value, lost) = decimal::rescale(value, digits, scale).ok_or_else(|| self.does_not_fit())?;
        if lost && !round {
            return Err(match &self.target {
                Target::Type(DataType::Decimal128(..)) => {
                    format!("has more than {scale} digits after the point")
                }
                _ => "is not whole: `round(x)` or `trunc(x)` makes it so".to_owned(),
            });
        }
        decimal::narrow(value, precision).ok_or_else(|| self.does_not_fit())
    }

    fn whole(
        &self,
        values: &dyn Array,
        kind: &DataType,
        digits: impl Fn(usize) -> Result<i128, Reason>,
    ) -> Result<ArrayRef, Fault> {
        let narrow = |_| self.does_not_fit();
        Ok(if *kind == DataType::Int32 {
            Arc::new(self.each::<Int32Type>(values, |row| digits(row).and_then(|v| i32::try_from(v).map_err(narrow)))?)
        } else {
            Arc::new(self.each::<Int64Type>(values, |row| digits(row).and_then(|v| i64::try_from(v).map_err(narrow)))?)
        })
    }

    fn read_datetime(&self, text: &str) -> Result<DateTime<Utc>, Reason> {
        let text = text.trim();
        let zone = text.get(10..).unwrap_or("").trim_start_matches(|letter: char| {
            letter.is_ascii_digit() || matches!(letter, 'T' | 't' | ' ' | ':' | '.')
        });
        if !matches!(zone, "" | "Z" | "z" | "+00:00" | "+00" | "-00:00") {
            return Err("has a time zone, and `datetime` has none: `to_timestamp(x)` gives the time in UTC".to_owned());
        }
        let time = string_to_datetime(&Utc, text).map_err(|_| self.is_not())?;
        if !time.nanosecond().is_multiple_of(1000) {
            return Err("has more than 6 digits of a second".to_owned());
        }
        Ok(time)
    }

    fn datetime(&self, text: &str) -> Result<i64, Reason> {
        self.read_datetime(text).map(|time| time.timestamp_micros())
    }

    fn date(&self, text: &str) -> Result<i32, Reason> {
        let text = text.trim();
        if text.len() <= 10 {
            return Date32Type::parse(text).ok_or_else(|| self.is_not());
        }
        let time = self.read_datetime(text)?;
        if self.loss == Loss::Refused { midnight(time) } else { Ok(Date32Type::from_naive_date(time.date_naive())) }
    }

    fn texts(&self, texts: &StringArray) -> Result<ArrayRef> {
        let mut out = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        for (row, text) in texts.iter().enumerate() {
            let value = text.map(|text| match self.target {
                Target::Uuid => uuid(text).ok_or_else(|| self.is_not()),
                _ => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
                    Ok(_) => Ok(text.to_owned()),
                    Err(_) => Err(self.is_not()),
                },
            });
            match value.transpose() {
                Ok(value) => out.append_option(value),
                Err(_) if self.attempt => out.append_null(),
                Err(reason) => return Err(holds(texts, row, &reason).into()),
            }
        }
        Ok(Arc::new(out.finish()))
    }

    /// Casts row by row; the first row that cannot be cast is the fault.
    fn each<T: ArrowPrimitiveType>(
        &self,
        values: &dyn Array,
        one: impl Fn(usize) -> Result<T::Native, Reason>,
    ) -> Result<PrimitiveArray<T>, Fault> {
        (0..values.len())
            .map(|row| {
                if values.is_null(row) {
                    return Ok(None);
                }
                match one(row) {
                    Ok(value) => Ok(Some(value)),
                    Err(_) if self.attempt => Ok(None),
                    Err(reason) => Err(holds(values, row, &reason)),
                }
            })
            .collect()
    }
}

/// The day of a time that has no time of day.
fn midnight(time: DateTime<Utc>) -> Result<i32, Reason> {
    if time.num_seconds_from_midnight() != 0 || time.nanosecond() != 0 {
        return Err("has a time of day".to_owned());
    }
    Ok(Date32Type::from_naive_date(time.date_naive()))
}

/// ``holds `abc`, which is not …``
fn holds(values: &dyn Array, row: usize, reason: &str) -> Fault {
    let value = show(values, row);
    let value = if value.is_empty() { "an empty text".to_owned() } else { format!("`{value}`") };
    Fault::new(format!("holds {value}, which {reason}"))
}

/// A value as people read it, cut where it is long.
pub(in crate::sql) fn show(values: &dyn Array, row: usize) -> String {
    const LONGEST: usize = 60;
    let options = FormatOptions::default().with_null("NULL");
    let text = ArrayFormatter::try_new(values, &options)
        .and_then(|formatter| formatter.value(row).try_to_string())
        .unwrap_or_else(|_| "?".to_owned());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The canonical form of an identifier.
fn uuid(text: &str) -> Option<String> {
    let text = text.trim();
    let grouped = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    grouped.then(|| text.to_ascii_lowercase())
}

impl ScalarUDFImpl for Cast {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.kind())
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else { return internal_err!("a cast has one value") };
        let values = match value {
            ColumnarValue::Array(array) => Arc::clone(array),
            ColumnarValue::Scalar(value) => value.to_array()?,
        };
        let result = self.apply(&values).map_err(|error| match super::fault::find::<Fault>(&error) {
            None if values.len() == 1 => {
                let reason = if types::is_text(values.data_type()) { self.is_not() } else { self.does_not_fit() };
                holds(&values, 0, &reason).into()
            }
            _ => error,
        })?;
        if matches!(value, ColumnarValue::Scalar(_)) {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::needless_pass_by_value, reason = "the calls read better")]
    fn cast(value: ScalarValue, target: DataType, loss: Loss) -> Result<ScalarValue, String> {
        let values = value.to_array().unwrap();
        let result = Cast::new(Target::Type(target), loss, false).apply(&values);
        result.map(|array| ScalarValue::try_from_array(&array, 0).unwrap()).map_err(|error| Fault::of(&error).0)
    }

    fn money(value: i128) -> ScalarValue {
        ScalarValue::Decimal128(Some(value), 15, 2)
    }

    const MONEY: DataType = DataType::Decimal128(15, 2);

    #[test]
    fn text_with_too_many_digits_is_refused() {
        assert_eq!(cast("1.50".into(), MONEY, Loss::Rounds), Ok(money(150)));
        assert_eq!(cast(" 1.500 ".into(), MONEY, Loss::Rounds), Ok(money(150)));
        let error = cast("1.239".into(), MONEY, Loss::Rounds).unwrap_err();
        assert_eq!(error, "holds `1.239`, which has more than 2 digits after the point");
        let error = cast("1 234,50".into(), MONEY, Loss::Rounds).unwrap_err();
        assert_eq!(error, "holds `1 234,50`, which is not a value of type `decimal(15,2)`");
        let error = cast("99999999999999".into(), MONEY, Loss::Rounds).unwrap_err();
        assert_eq!(error, "holds `99999999999999`, which does not fit `decimal(15,2)`");
    }

    #[test]
    fn fractions_do_not_vanish() {
        assert_eq!(cast(money(1200), DataType::Int32, Loss::Rounds), Ok(12i32.into()));
        assert!(cast(money(1270), DataType::Int32, Loss::Rounds).unwrap_err().contains("is not whole"));
        assert_eq!(cast(1e15.into(), DataType::Int64, Loss::Rounds), Ok(1_000_000_000_000_000i64.into()));
        assert!(cast(12.5.into(), DataType::Int64, Loss::Rounds).is_err());
        assert!(cast(f64::NAN.into(), DataType::Int64, Loss::Rounds).is_err());
        assert!(cast(1e19.into(), DataType::Int64, Loss::Rounds).unwrap_err().contains("does not fit `long`"));
    }

    #[test]
    fn doubles_round_by_their_shortest_text() {
        assert_eq!(cast(1.005.into(), MONEY, Loss::Rounds), Ok(money(101)));
        assert_eq!(cast(0.1.into(), MONEY, Loss::Refused), Ok(money(10)));
        assert!(cast(1.005.into(), MONEY, Loss::Refused).is_err());
        assert!(cast(f64::INFINITY.into(), MONEY, Loss::Rounds).is_err());
    }

    #[test]
    fn declared_columns_do_not_round() {
        let long = ScalarValue::Decimal128(Some(12_345), 15, 3);
        assert_eq!(cast(long.clone(), MONEY, Loss::Rounds), Ok(money(1235)));
        assert!(cast(long, MONEY, Loss::Refused).is_err());
    }

    #[test]
    fn dates_from_year_1_to_9999_are_read() {
        for text in ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999", "2026-11-22 10:00:00Z"] {
            assert!(cast(text.into(), types::DATETIME, Loss::Rounds).is_ok(), "{text}");
        }
        let zoned = cast("2026-11-22T10:00:00+03:00".into(), types::DATETIME, Loss::Rounds).unwrap_err();
        assert!(zoned.contains("has a time zone"), "{zoned}");
        assert!(cast("2026-02-30T00:00:00".into(), types::DATETIME, Loss::Rounds).is_err());
        assert!(cast("2026-02-28T00:00:00.1234567".into(), types::DATETIME, Loss::Rounds).is_err());
    }

    #[test]
    fn a_time_of_day_is_dropped_only_when_sql_says_so() {
        let text = || "2026-11-22T10:00:00".into();
        assert!(cast(text(), DataType::Date32, Loss::Rounds).is_ok());
        assert!(cast(text(), DataType::Date32, Loss::Refused).unwrap_err().contains("has a time of day"));
        let time = ScalarValue::TimestampMicrosecond(Some(1), None);
        assert!(cast(time.clone(), DataType::Date32, Loss::Rounds).is_ok());
        assert!(cast(time, DataType::Date32, Loss::Refused).is_err());
    }

    #[test]
    fn identifiers_are_lower_case() {
        assert_eq!(
            uuid("6F9619FF-8B86-D011-B42D-00CF4FC964FF").as_deref(),
            Some("6f9619ff-8b86-d011-b42d-00cf4fc964ff")
        );
        assert_eq!(uuid("{6F9619FF-8B86-D011-B42D-00CF4FC964FF}"), None);
        assert_eq!(uuid("6F9619FF8B86D011B42D00CF4FC964FF"), None);
    }

    #[test]
    fn an_attempt_gives_null() {
        let values = ScalarValue::from("abc").to_array().unwrap();
        for kind in [DataType::Int64, MONEY, types::DATETIME] {
            let result = Cast::new(Target::Type(kind), Loss::Rounds, true).apply(&values).unwrap();
            assert!(result.is_null(0));
        }
    }

    proptest! {
        #[test]
        fn numbers_survive_the_way_through_text(value in -(10i128.pow(15) - 1)..10i128.pow(15)) {
            let text = cast(money(value), DataType::Utf8, Loss::Rounds).unwrap();
            prop_assert_eq!(cast(text, MONEY, Loss::Refused).unwrap(), money(value));
        }

        #[test]
        fn longs_survive_the_way_through_decimals(value in any::<i64>()) {
            let decimal = cast(value.into(), DataType::Decimal128(20, 0), Loss::Rounds).unwrap();
            prop_assert_eq!(cast(decimal, DataType::Int64, Loss::Rounds).unwrap(), value.into());
        }
    }
}
