//! The run's clock: `now()` and its relatives give one moment during a whole run.

use arrow::datatypes::DataType;
use chrono::{DateTime, Utc};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A function without arguments that always gives the same value.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Moment {
    name: &'static str,
    value: ScalarValue,
    signature: Signature,
}

/// `now`, `current_timestamp`, `current_date`, `today`, `current_time`: the clock in UTC, to the microsecond.
pub(super) fn all(now: DateTime<Utc>) -> BTreeMap<String, Arc<ScalarUDF>> {
    let micros = now.timestamp_micros();
    let (days, time) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let moment = ScalarValue::TimestampMicrosecond(Some(micros), None);
    let date = ScalarValue::Date32(i32::try_from(days).ok());
    let time = ScalarValue::Time64Microsecond(Some(time));
    [
        ("now", moment.clone()),
        ("current_timestamp", moment),
        ("current_date", date.clone()),
        ("today", date),
        ("current_time", time),
    ]
    .into_iter()
    .map(|(name, value)| {
        let moment = Moment { name, value, signature: Signature::nullary(Volatility::Immutable) };
        (name.to_owned(), Arc::new(ScalarUDF::from(moment)))
    })
    .collect()
}

impl ScalarUDFImpl for Moment {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_before_1970_has_a_day_and_a_time() {
        let now = DateTime::parse_from_rfc3339("1969-12-31T23:00:00Z").unwrap().to_utc();
        let all = all(now);
        let value = |name: &str| all[name].inner().downcast_ref::<Moment>().unwrap().value.clone();
        assert_eq!(value("current_date"), ScalarValue::Date32(Some(-1)));
        assert_eq!(value("current_time"), ScalarValue::Time64Microsecond(Some(23 * 3_600_000_000)));
    }
}
