//! Texts and numbers as times, in microseconds: `to_timestamp`, `to_timestamp_seconds`, `to_timestamp_millis`,
//! `to_timestamp_micros`, `from_unixtime`.
//!
//! DataFusion's own give nanoseconds, which end in the years 1677 and 2262.

use crate::sql::exact::Fault;
use crate::sql::types::{self, DATETIME};
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Timelike, Utc};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;

/// All functions of this file.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    [
        ("to_timestamp", 1_000_000),
        ("to_timestamp_seconds", 1_000_000),
        ("to_timestamp_millis", 1_000),
        ("to_timestamp_micros", 1),
        ("from_unixtime", 1_000_000),
    ]
    .into_iter()
    .map(|(name, unit)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::from(ToTimestamp { name, unit, signature }))
    })
    .collect()
}

/// A text (with formats as `strptime` writes them: `'%d.%m.%Y %H:%M:%S'`), or a number of units since
/// 1970, as a time. A text with a zone becomes the time in UTC.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToTimestamp {
    name: &'static str,
    /// Microseconds in a number's unit.
    unit: i64,
    signature: Signature,
}

impl ToTimestamp {
    fn compute(&self, values: &ArrayRef, formats: &[ArrayRef]) -> Result<ArrayRef> {
        let holds = |row: usize, reason: &str| {
            Fault(format!("holds `{}`, which {reason}", crate::sql::exact::show(values, row)))
        };
        let each = |one: &dyn Fn(usize) -> Option<i64>| -> Result<ArrayRef> {
            let times = (0..values.len()).map(|row| {
                if values.is_null(row) {
                    return Ok(None);
                }
                one(row).map(Some).ok_or_else(|| holds(row, "is not a time between the years 1 and 9999"))
            });
            Ok(Arc::new(times.collect::<Result<TimestampMicrosecondArray, Fault>>()?))
        };
        match values.data_type() {
            DataType::Utf8 => {
                let texts = values.as_string::<i32>();
                each(&|row| {
                    if formats.is_empty() {
                        return micros(string_to_datetime(&Utc, texts.value(row).trim()).ok()?);
                    }
                    let mut formats = formats.iter().filter(|format| format.is_valid(row));
                    formats.find_map(|format| read(texts.value(row).trim(), format.as_string::<i32>().value(row)))
                })
            }
            DataType::Int64 => {
                let numbers = values.as_primitive::<Int64Type>();
                each(&|row| within(numbers.value(row).checked_mul(self.unit)?))
            }
            DataType::Decimal128(_, scale) => {
                let numbers = values.as_primitive::<Decimal128Type>();
                let ten = 10i128.checked_pow(u32::try_from(*scale).unwrap_or(0)).unwrap_or(i128::MAX);
                each(&|row| {
                    let product = numbers.value(row).checked_mul(self.unit.into())?;
                    if product % ten != 0 {
                        return None;
                    }
                    within(i64::try_from(product / ten).ok()?)
                })
            }
            DataType::Float64 => {
                let numbers = values.as_primitive::<Float64Type>();
                each(&|row| {
                    let whole = DateTime::<Utc>::from_timestamp_micros(0)?;
                    let seconds = numbers.value(row) * f64_of(self.unit) / 1e6;
                    let span = std::time::Duration::try_from_secs_f64(seconds.abs()).ok()?;
                    let span = chrono::TimeDelta::from_std(span).ok()?;
                    let time =
                        if seconds < 0.0 { whole.checked_sub_signed(span) } else { whole.checked_add_signed(span) };
                    within(time?.timestamp_micros())
                })
            }
            DataType::Timestamp(..) | DataType::Date32 => Ok(arrow::compute::cast(values, &DATETIME)?),
            other => internal_err!("a time of {other}"),
        }
    }
}

/// The units are powers of ten up to a million.
fn f64_of(unit: i64) -> f64 {
    u32::try_from(unit).map_or(1.0, f64::from)
}

fn micros(time: DateTime<Utc>) -> Option<i64> {
    time.nanosecond().is_multiple_of(1000).then(|| time.timestamp_micros()).and_then(within)
}

/// The years 1 to 9999.
fn within(micros: i64) -> Option<i64> {
    const FIRST: i64 = -62_135_596_800_000_000;
    const END: i64 = 253_402_300_800_000_000;
    (FIRST..END).contains(&micros).then_some(micros)
}

fn read(text: &str, format: &str) -> Option<i64> {
    let zoned = || DateTime::parse_from_str(text, format).ok().map(|time| time.to_utc());
    let local = || NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc());
    let day = || NaiveDate::parse_from_str(text, format).ok()?.and_hms_opt(0, 0, 0).map(|time| time.and_utc());
    zoned().or_else(local).or_else(day).and_then(micros)
}

impl ScalarUDFImpl for ToTimestamp {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let Some((value, formats)) = arguments.split_first() else {
            return plan_err!("`{}` takes a string or a number, and formats", self.name);
        };
        let value = match value {
            DataType::Null => DataType::Utf8,
            text if types::is_text(text) => DataType::Utf8,
            whole if whole.is_integer() => DataType::Int64,
            DataType::Decimal128(..) | DataType::Float64 | DataType::Timestamp(..) | DataType::Date32 => value.clone(),
            other => return plan_err!("`{}` takes a string or a number, not {}", self.name, types::a(other)),
        };
        if !formats.is_empty() && value != DataType::Utf8 {
            return plan_err!("`{}` takes formats for strings only", self.name);
        }
        if let Some(other) = formats.iter().find(|kind| !types::is_text(kind)) {
            return plan_err!("`{}` takes formats as strings, not {}", self.name, types::a(other));
        }
        Ok(std::iter::once(value).chain(formats.iter().map(|_| DataType::Utf8)).collect())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DATETIME)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some((values, formats)) = arrays.split_first() else { return internal_err!("a time of nothing") };
        let result = self.compute(values, formats)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "the calls read better")]
    fn time(name: &str, value: ScalarValue, formats: &[&str]) -> Result<String, String> {
        let function = all().into_iter().find(|function| function.name() == name).unwrap();
        let function = function.inner().downcast_ref::<ToTimestamp>().unwrap().compute(
            &value.to_array().unwrap(),
            &formats.iter().map(|format| ScalarValue::from(*format).to_array().unwrap()).collect::<Vec<_>>(),
        );
        let array = function.map_err(|error| error.to_string())?;
        Ok(crate::sql::exact::show(&array, 0))
    }

    #[test]
    fn texts_and_numbers_become_times() {
        assert_eq!(time("to_timestamp", "0001-01-01T00:00:00".into(), &[]).unwrap(), "0001-01-01T00:00:00");
        assert_eq!(time("to_timestamp", "9999-12-31T23:59:59".into(), &[]).unwrap(), "9999-12-31T23:59:59");
        assert_eq!(time("to_timestamp", "2026-11-22T10:00:00+03:00".into(), &[]).unwrap(), "2026-11-22T07:00:00");
        let formats = ["%d.%m.%Y", "%d.%m.%Y %H:%M:%S"];
        assert_eq!(time("to_timestamp", "22.11.2026 10:05:00".into(), &formats).unwrap(), "2026-11-22T10:05:00");
        assert_eq!(time("to_timestamp", "22.11.2026".into(), &formats).unwrap(), "2026-11-22T00:00:00");
        assert_eq!(time("to_timestamp", 1_709_647_620i64.into(), &[]).unwrap(), "2024-03-05T14:07:00");
        assert_eq!(time("to_timestamp_millis", 1_500i64.into(), &[]).unwrap(), "1970-01-01T00:00:01.500");
        assert_eq!(time("from_unixtime", (-1.5).into(), &[]).unwrap(), "1969-12-31T23:59:58.500");
        let decimal = ScalarValue::Decimal128(Some(15), 10, 1);
        assert_eq!(time("to_timestamp", decimal, &[]).unwrap(), "1970-01-01T00:00:01.500");
    }

    #[test]
    fn what_is_no_time_is_a_fault() {
        let bad = [ScalarValue::from("22.11.2026"), i64::MAX.into(), f64::NAN.into(), 1e300.into(), "".into()];
        for value in bad {
            let error = time("to_timestamp", value.clone(), &[]).unwrap_err();
            assert!(error.contains("is not a time"), "{value}: {error}");
        }
    }
}
