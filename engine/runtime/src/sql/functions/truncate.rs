//! `date_trunc` for all years: the beginning of the year, month, day… a time lies in.
//!
//! DataFusion's own goes through nanoseconds, which end in the years 1677 and 2262, and makes times of days.

use crate::sql::exact::Fault;
use crate::sql::types::{self, DATETIME};
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Date32Type, Field, FieldRef, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// All functions of this file.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let signature = Signature::user_defined(Volatility::Immutable);
    vec![Arc::new(ScalarUDF::from(DateTrunc { aliases: vec!["datetrunc".to_owned()], signature }))]
}

/// `date_trunc('month', x)`: a day for days, a time for times. Weeks begin on Monday.
#[derive(Debug, PartialEq, Eq, Hash)]
struct DateTrunc {
    aliases: Vec<String>,
    signature: Signature,
}

/// What a time is cut to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    /// A part of a day, in microseconds.
    Micros(i64),
}

impl Part {
    fn read(word: &str) -> Option<Self> {
        Some(match word.to_lowercase().as_str() {
            "year" => Self::Year,
            "quarter" => Self::Quarter,
            "month" => Self::Month,
            "week" => Self::Week,
            "day" => Self::Day,
            "hour" => Self::Micros(3_600_000_000),
            "minute" => Self::Micros(60_000_000),
            "second" => Self::Micros(1_000_000),
            "millisecond" => Self::Micros(1_000),
            "microsecond" => Self::Micros(1),
            _ => return None,
        })
    }

    fn day(self, day: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Year => day.with_day(1)?.with_month(1),
            Self::Quarter => day.with_day(1)?.with_month(day.month0() / 3 * 3 + 1),
            Self::Month => day.with_day(1),
            Self::Week => day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())),
            Self::Day | Self::Micros(_) => Some(day),
        }
    }

    fn micros(self, micros: i64) -> Option<i64> {
        if let Self::Micros(unit) = self {
            return Some(micros - micros.rem_euclid(unit));
        }
        let day = self.day(DateTime::from_timestamp_micros(micros)?.date_naive())?;
        Some(NaiveDateTime::new(day, NaiveTime::MIN).and_utc().timestamp_micros())
    }
}

fn part(word: Option<&ScalarValue>) -> Result<Part> {
    let Some(Some(Some(word))) = word.map(ScalarValue::try_as_str) else {
        return plan_err!("`date_trunc` takes the part as a constant, like 'month'");
    };
    let Some(part) = Part::read(word) else {
        return plan_err!(
            "`date_trunc` takes year, quarter, month, week, day, hour, minute, second or millisecond, not '{word}'"
        );
    };
    Ok(part)
}

fn truncate(part: Part, values: &ArrayRef) -> Result<ArrayRef, Fault> {
    let far = |found: bool| if found { Ok(()) } else { Err(Fault("is too far from our time".to_owned())) };
    if *values.data_type() == DataType::Date32 {
        let one = |days| Some(Date32Type::from_naive_date(part.day(Date32Type::to_naive_date_opt(days)?)?));
        let days = values.as_primitive::<Date32Type>();
        let cut: Date32Array = days.iter().map(|days| days.and_then(one)).collect();
        far(cut.null_count() == days.null_count())?;
        return Ok(Arc::new(cut));
    }
    let times = values.as_primitive::<TimestampMicrosecondType>();
    let cut: TimestampMicrosecondArray = times.iter().map(|time| time.and_then(|time| part.micros(time))).collect();
    far(cut.null_count() == times.null_count())?;
    Ok(Arc::new(cut))
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &'static str {
        "date_trunc"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [part, value] = types else {
            return plan_err!("`date_trunc` takes a part and a time, not {} arguments", types.len());
        };
        if !types::is_text(part) {
            return plan_err!("`date_trunc` takes the part as a string, not {}", types::a(part));
        }
        let value = match value {
            DataType::Date32 => DataType::Date32,
            DataType::Timestamp(..) | DataType::Null => DATETIME,
            other => return plan_err!("`date_trunc` takes a date or datetime, not {}", types::a(other)),
        };
        Ok(vec![DataType::Utf8, value])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.get(1).cloned().unwrap_or(DATETIME))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        part(args.scalar_arguments.first().copied().flatten())?;
        let kind = args.arg_fields.get(1).map_or(DATETIME, |field| field.data_type().clone());
        Ok(Arc::new(Field::new(self.name(), kind, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(word), value] = args.args.as_slice() else {
            return part(None).and(internal_err!("no value"));
        };
        let part = part(Some(word))?;
        match value {
            ColumnarValue::Array(values) => Ok(ColumnarValue::Array(truncate(part, values)?)),
            ColumnarValue::Scalar(value) => {
                let result = truncate(part, &value.to_array()?)?;
                if result.len() != 1 {
                    return internal_err!("a constant is one value");
                }
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_to_the_beginning_of_a_part() {
        let micros = |text: &str| text.parse::<NaiveDateTime>().unwrap().and_utc().timestamp_micros();
        for (part, time, beginning) in [
            ("year", "2026-11-22T10:11:12.5", "2026-01-01T00:00:00"),
            ("Quarter", "2026-11-22T10:11:12.5", "2026-10-01T00:00:00"),
            ("month", "2026-11-22T10:11:12.5", "2026-11-01T00:00:00"),
            ("week", "2026-11-22T10:11:12.5", "2026-11-16T00:00:00"),
            ("day", "2026-11-22T10:11:12.5", "2026-11-22T00:00:00"),
            ("hour", "2026-11-22T10:11:12.5", "2026-11-22T10:00:00"),
            ("second", "1969-12-31T23:59:59.5", "1969-12-31T23:59:59"),
            ("month", "0001-01-31T23:59:59", "0001-01-01T00:00:00"),
            ("month", "9999-12-31T23:59:59", "9999-12-01T00:00:00"),
        ] {
            let part = Part::read(part).unwrap();
            assert_eq!(part.micros(micros(time)), Some(micros(beginning)), "{part:?} {time}");
        }
        assert_eq!(Part::read("moon"), None);
    }
}
