//! `median` that is exact in the middle.
//!
//! DataFusion's own turns whole numbers into doubles, and cuts the half that the mean of the two middle decimals may
//! have.

use super::aggregate::{digits_of, only};
use super::decimal;
use crate::sql::types::{self, MAX_DIGITS};
use arrow::array::{ArrayRef, AsArray, Decimal128Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, i256};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::functions_aggregate::median::median_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility};
use std::sync::Arc;

/// The middle value, or the mean of the two middle ones: `decimal(20,1)` of whole numbers, `decimal(p+1,s+1)` of
/// decimals, both up to 38 digits, and `double` of doubles.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::sql) struct Median {
    signature: Signature,
}

impl Median {
    /// `median`.
    pub(in crate::sql) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// The type of the values whose median has this type.
fn state_type(result: &DataType) -> DataType {
    match result {
        DataType::Decimal128(_, scale) => DataType::Decimal128(MAX_DIGITS, scale.saturating_sub(1)),
        other => other.clone(),
    }
}

impl AggregateUDFImpl for Median {
    fn name(&self) -> &'static str {
        "median"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [kind] = types else { return plan_err!("`median` takes one argument, not {}", types.len()) };
        Ok(vec![match kind {
            whole if whole.is_integer() && *whole != DataType::UInt64 => DataType::Int64,
            DataType::UInt64 => DataType::Decimal128(20, 0),
            DataType::Decimal128(..) => kind.clone(),
            DataType::Null => DataType::Float64,
            inexact if inexact.is_floating() => DataType::Float64,
            other => return plan_err!("`median` takes numbers, not {}", types::a(other)),
        }])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match types {
            [DataType::Int64] => DataType::Decimal128(20, 1),
            [DataType::Decimal128(precision, scale)] if *scale < 38 => {
                DataType::Decimal128(precision.saturating_add(1).min(MAX_DIGITS), scale.saturating_add(1))
            }
            [DataType::Float64] => DataType::Float64,
            _ => return internal_err!("a median of {types:?}"),
        })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match args.return_type().clone() {
            DataType::Decimal128(precision, scale) => {
                Ok(Box::new(Middle { values: Vec::new(), distinct: args.is_distinct, precision, scale }))
            }
            _ => median_udaf().accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if *args.return_type() == DataType::Float64 {
            return median_udaf().state_fields(args);
        }
        let items = Field::new_list_field(state_type(args.return_type()), true);
        Ok(vec![Arc::new(Field::new_list(format_state_name(args.name, "values"), items, true))])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        *args.return_type() == DataType::Float64 && median_udaf().groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        median_udaf().create_groups_accumulator(args)
    }
}

/// The values of one group. `precision` and `scale` are those of the result.
#[derive(Debug)]
struct Middle {
    values: Vec<i128>,
    distinct: bool,
    precision: u8,
    scale: i8,
}

impl Accumulator for Middle {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        digits_of(only(values)?, |_, value| self.values.push(value))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.values.sort_unstable();
        if self.distinct {
            self.values.dedup();
        }
        let half = self.values.len() / 2;
        let lower = if self.values.len().is_multiple_of(2) { half.wrapping_sub(1) } else { half };
        let (Some(lower), Some(upper)) = (self.values.get(lower), self.values.get(half)) else {
            return Ok(ScalarValue::Decimal128(None, self.precision, self.scale));
        };
        // One more digit holds the half: (a + b) / 2 is (a + b) · 5 / 10.
        let sum = i256::from_i128(*lower).wrapping_add(i256::from_i128(*upper));
        let middle = decimal::narrow(sum.wrapping_mul(i256::from_i128(5)), self.precision);
        let Some(middle) = middle else {
            let kind = types::name(&DataType::Decimal128(self.precision, self.scale));
            return Err(super::Fault(format!("`median` does not fit `{kind}`")).into());
        };
        Ok(ScalarValue::Decimal128(Some(middle), self.precision, self.scale))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<i128>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let kind = state_type(&DataType::Decimal128(self.precision, self.scale));
        let values = Decimal128Array::from(std::mem::take(&mut self.values)).with_data_type(kind.clone());
        let item = Arc::new(Field::new_list_field(kind, true));
        let list = ListArray::try_new(item, OffsetBuffer::from_lengths([values.len()]), Arc::new(values), None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for list in only(states)?.as_list::<i32>().iter().flatten() {
            self.values.extend(list.as_primitive::<Decimal128Type>().iter().flatten());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    fn middle(values: &[i64], distinct: bool) -> Option<i128> {
        let mut middle = Middle { values: Vec::new(), distinct, precision: 20, scale: 1 };
        let array: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        middle.update_batch(&[array]).unwrap();
        let states: Vec<ArrayRef> = middle.state().unwrap().iter().map(|state| state.to_array().unwrap()).collect();
        middle.merge_batch(&states).unwrap();
        let ScalarValue::Decimal128(value, 20, 1) = middle.evaluate().unwrap() else { panic!("a decimal") };
        value
    }

    #[test]
    fn halves_are_kept() {
        assert_eq!(middle(&[], false), None);
        assert_eq!(middle(&[3], false), Some(30));
        assert_eq!(middle(&[4, 1, 2, 3], false), Some(25));
        assert_eq!(middle(&[1, 1, 1, 4], true), Some(25));
        assert_eq!(middle(&[i64::MAX, i64::MAX], false), Some(i128::from(i64::MAX) * 10));
        assert_eq!(middle(&[i64::MIN, i64::MAX], false), Some(-5));
    }
}
