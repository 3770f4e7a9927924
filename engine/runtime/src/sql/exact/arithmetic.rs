//! `+ - * / %` that never give a wrong number.

use super::{Fault, decimal};
use crate::sql::types;
use arrow::array::{Array, ArrayRef, AsArray, Datum, Decimal128Array, Float64Array, Scalar};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, i256};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;

/// An operator on two numbers of one family, with the result type the planner chose.
///
/// Whole numbers and doubles that leave their type, and division by zero, are faults. Decimals are
/// computed exactly; a quotient is rounded half away from zero to its scale.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Arithmetic {
    operator: Operator,
    result: DataType,
    signature: Signature,
}

impl Arithmetic {
    /// The operator with this result; `None` for operators and types that are not arithmetic on numbers.
    pub(super) fn new(operator: Operator, left: &DataType, right: &DataType, result: &DataType) -> Option<Self> {
        use Operator::{Divide, Minus, Modulo, Multiply, Plus};
        let known = matches!(operator, Plus | Minus | Multiply | Divide | Modulo);
        let decimals = |kind: &DataType| matches!(kind, DataType::Decimal128(..));
        let family = (left == right && (left.is_integer() || *left == DataType::Float64))
            || (decimals(left) && decimals(right) && decimals(result));
        (known && family).then(|| Self {
            operator,
            result: result.clone(),
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }

    fn kernel(&self, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
        match self.operator {
            Operator::Plus => numeric::add(left, right),
            Operator::Minus => numeric::sub(left, right),
            Operator::Multiply => numeric::mul(left, right),
            Operator::Divide => numeric::div(left, right),
            _ => numeric::rem(left, right),
        }
    }

    fn compute(&self, left: &ColumnarValue, right: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
        match &self.result {
            DataType::Decimal128(precision, scale) => self.decimals(left, right, rows, *precision, *scale),
            DataType::Float64 => {
                let result = self.kernel(&*datum(left)?, &*datum(right)?).map_err(|error| self.fault(&error))?;
                self.check_doubles(left, right, result.as_primitive::<Float64Type>(), rows)?;
                Ok(result)
            }
            _ => self.kernel(&*datum(left)?, &*datum(right)?).map_err(|error| self.fault(&error)),
        }
    }

    fn fault(&self, error: &ArrowError) -> DataFusionError {
        match error {
            ArrowError::DivideByZero => Fault::new("divides by zero").into(),
            _ => self.does_not_fit().into(),
        }
    }

    fn does_not_fit(&self) -> Fault {
        Fault::new(format!("does not fit `{}`", types::name(&self.result)))
    }

    /// Arrow computes doubles as IEEE 754 does; numbers that were finite must stay so.
    fn check_doubles(
        &self,
        left: &ColumnarValue,
        right: &ColumnarValue,
        result: &Float64Array,
        rows: usize,
    ) -> Result<()> {
        if result.iter().flatten().all(f64::is_finite) {
            return Ok(());
        }
        let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
        let (left, right) = (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
        for row in (0..result.len()).filter(|row| result.is_valid(*row) && !result.value(*row).is_finite()) {
            if left.value(row).is_finite() && right.value(row).is_finite() {
                let by_zero = matches!(self.operator, Operator::Divide | Operator::Modulo) && right.value(row) == 0.0;
                return Err(if by_zero { Fault::new("divides by zero") } else { self.does_not_fit() }.into());
            }
        }
        Ok(())
    }

    fn decimals(
        &self,
        left: &ColumnarValue,
        right: &ColumnarValue,
        rows: usize,
        precision: u8,
        scale: i8,
    ) -> Result<ArrayRef> {
        // Arrow's kernel is fast but cuts quotients, and keeps numbers longer than the type.
        if self.operator != Operator::Divide
            && let Ok(result) = self.kernel(&*datum(left)?, &*datum(right)?)
            && *result.data_type() == self.result
            && result.as_primitive::<Decimal128Type>().validate_decimal_precision(precision).is_ok()
        {
            return Ok(result);
        }
        let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
        let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
        let pair = |one: Option<i128>, two: Option<i128>| match (one, two) {
            (Some(one), Some(two)) => {
                self.one_decimal((one, left.scale()), (two, right.scale()), precision, scale).map(Some)
            }
            _ => Ok(None),
        };
        let values: Decimal128Array =
            left.iter().zip(right.iter()).map(|(one, two)| pair(one, two)).collect::<Result<_, Fault>>()?;
        Ok(Arc::new(values.with_precision_and_scale(precision, scale)?))
    }

    fn one_decimal(&self, left: (i128, i8), right: (i128, i8), precision: u8, scale: i8) -> Result<i128, Fault> {
        let aligned = |(value, from): (i128, i8), to: i8| {
            decimal::rescale(i256::from_i128(value), from, to).map(|(value, _)| value)
        };
        let common = left.1.max(right.1);
        let is_zero = right.0 == 0;
        let exact = match self.operator {
            Operator::Plus => aligned(left, scale).zip(aligned(right, scale)).and_then(|(l, r)| l.checked_add(r)),
            Operator::Minus => aligned(left, scale).zip(aligned(right, scale)).and_then(|(l, r)| l.checked_sub(r)),
            Operator::Multiply => i256::from_i128(left.0)
                .checked_mul(i256::from_i128(right.0))
                .and_then(|product| decimal::rescale(product, left.1.saturating_add(right.1), scale))
                .map(|(product, _)| product),
            _ if is_zero => return Err(Fault::new("divides by zero")),
            Operator::Divide => {
                let digits = i32::from(scale) - i32::from(left.1) + i32::from(right.1);
                let (one, two) = (i256::from_i128(left.0), i256::from_i128(right.0));
                match u32::try_from(digits) {
                    Ok(digits) => decimal::divide(one, two, digits),
                    Err(_) => decimal::power(digits.unsigned_abs())
                        .and_then(|factor| two.checked_mul(factor))
                        .and_then(|two| decimal::divide(one, two, 0)),
                }
            }
            _ => aligned(left, common)
                .zip(aligned(right, common))
                .and_then(|(l, r)| l.checked_rem(r))
                .and_then(|rest| decimal::rescale(rest, common, scale))
                .map(|(rest, _)| rest),
        };
        exact.and_then(|value| decimal::narrow(value, precision)).ok_or_else(|| self.does_not_fit())
    }
}

fn datum(value: &ColumnarValue) -> Result<Box<dyn Datum>> {
    Ok(match value {
        ColumnarValue::Array(array) => Box::new(Arc::clone(array)),
        ColumnarValue::Scalar(value) => Box::new(Scalar::new(value.to_array()?)),
    })
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &'static str {
        "arithmetic"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return internal_err!("an operator has two sides") };
        let scalars = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let result = self.compute(left, right, if scalars { 1 } else { args.number_rows })?;
        if scalars {
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
    fn run(operator: Operator, left: ScalarValue, right: ScalarValue, result: DataType) -> Result<ScalarValue, String> {
        let (l, r) = (left.data_type(), right.data_type());
        let arithmetic = Arithmetic::new(operator, &l, &r, &result).unwrap();
        let array = arithmetic
            .compute(&ColumnarValue::Scalar(left), &ColumnarValue::Scalar(right), 1)
            .map_err(|error| Fault::of(&error).0)?;
        Ok(ScalarValue::try_from_array(&array, 0).unwrap())
    }

    fn decimal_of(value: i128, precision: u8, scale: i8) -> ScalarValue {
        ScalarValue::Decimal128(Some(value), precision, scale)
    }

    #[test]
    fn the_smallest_whole_number_has_no_opposite() {
        let divided = run(Operator::Divide, ScalarValue::from(i64::MIN), ScalarValue::from(-1i64), DataType::Int64);
        assert_eq!(divided.unwrap_err(), "does not fit `long`");
        let negated = run(Operator::Minus, ScalarValue::from(0i32), ScalarValue::from(i32::MIN), DataType::Int32);
        assert_eq!(negated.unwrap_err(), "does not fit `int`");
    }

    #[test]
    fn thirty_nine_digits_are_refused() {
        let most = decimal_of(10i128.pow(38) - 1, 38, 0);
        let sum = run(Operator::Plus, most.clone(), decimal_of(1, 38, 0), DataType::Decimal128(38, 0));
        assert_eq!(sum.unwrap_err(), "does not fit `decimal(38,0)`");
        let product = run(Operator::Multiply, most, decimal_of(10, 38, 0), DataType::Decimal128(38, 0));
        assert_eq!(product.unwrap_err(), "does not fit `decimal(38,0)`");
    }

    #[test]
    fn large_numbers_that_cancel_out_are_computed() {
        let (left, right) = (decimal_of(10i128.pow(37), 38, 0), decimal_of(10i128.pow(38) - 1, 38, 1));
        let rest = run(Operator::Minus, left, right, DataType::Decimal128(38, 1)).unwrap();
        assert_eq!(rest, decimal_of(1, 38, 1));
    }

    #[test]
    fn doubles_stay_finite() {
        let product = run(Operator::Multiply, ScalarValue::from(1e308), ScalarValue::from(10.0), DataType::Float64);
        assert_eq!(product.unwrap_err(), "does not fit `double`");
        let quotient = run(Operator::Divide, ScalarValue::from(1.0), ScalarValue::from(0.0), DataType::Float64);
        assert_eq!(quotient.unwrap_err(), "divides by zero");
    }

    fn operators() -> impl Strategy<Value = Operator> {
        prop_oneof![
            Just(Operator::Plus),
            Just(Operator::Minus),
            Just(Operator::Multiply),
            Just(Operator::Divide),
            Just(Operator::Modulo),
        ]
    }

    fn longs() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -3i64..4, Just(i64::MIN), Just(i64::MAX), any::<i32>().prop_map(i64::from)]
    }

    proptest! {
        #[test]
        fn longs_agree_with_wider_numbers(operator in operators(), left in longs(), right in longs()) {
            let (l, r) = (i128::from(left), i128::from(right));
            let expected = match operator {
                Operator::Plus => Some(l + r),
                Operator::Minus => Some(l - r),
                Operator::Multiply => Some(l * r),
                Operator::Divide => l.checked_div(r),
                _ => l.checked_rem(r),
            };
            let found = run(operator, ScalarValue::from(left), ScalarValue::from(right), DataType::Int64);
            match expected.and_then(|value| i64::try_from(value).ok()) {
                // Arrow refuses the rest of the smallest number by -1, which is an error and not a wrong answer.
                Some(_) if operator == Operator::Modulo && left == i64::MIN && right == -1 => {}
                Some(value) => prop_assert_eq!(found, Ok(ScalarValue::from(value))),
                None => prop_assert!(found.is_err()),
            }
        }

        #[test]
        fn decimals_agree_with_longer_numbers(
            operator in operators(),
            left in -(10i128.pow(38) - 1)..10i128.pow(38),
            right in prop_oneof![-(10i128.pow(38) - 1)..10i128.pow(38), -100i128..100],
            scales in (0i8..10, 0i8..10),
        ) {
            let scale = match operator {
                Operator::Multiply => scales.0 + scales.1,
                Operator::Divide => scales.0 + 4,
                _ => scales.0.max(scales.1),
            };
            let found = run(
                operator,
                decimal_of(left, 38, scales.0),
                decimal_of(right, 38, scales.1),
                DataType::Decimal128(38, scale),
            );
            let expected = oracle(operator, (left, scales.0), (right, scales.1), scale);
            match expected.filter(|value| decimal::fits(*value, 38)) {
                Some(value) => prop_assert_eq!(found, Ok(decimal_of(value, 38, scale))),
                None => prop_assert!(found.is_err()),
            }
        }
    }

    /// The same by decimal strings of any length: slow, and nothing in common with the code under test.
    fn oracle(operator: Operator, left: (i128, i8), right: (i128, i8), scale: i8) -> Option<i128> {
        use bignum::Big;
        let ten = |digits: i8| Big::power_of_ten(usize::from(digits.unsigned_abs()));
        let (l, r) = (Big::from(left.0), Big::from(right.0));
        let common = left.1.max(right.1);
        let exact = match operator {
            Operator::Multiply => l.times(&r),
            Operator::Divide => {
                // One more digit than asked tells which way to round, together with whether anything is left.
                let digits = scale - left.1 + right.1;
                return l.times(&ten(digits)).divided_half_away(&r)?.to_i128();
            }
            _ => {
                let (l, r) = (l.times(&ten(common - left.1)), r.times(&ten(common - right.1)));
                match operator {
                    Operator::Plus => l.plus(&r),
                    Operator::Minus => l.plus(&r.negated()),
                    _ => l.rest(&r)?,
                }
            }
        };
        exact.to_i128()
    }

    /// Numbers of any length in base ten thousand million, for the oracle alone.
    mod bignum {
        #[derive(Clone, Debug)]
        pub(super) struct Big {
            negative: bool,
            /// Decimal digits, least first, without zeros at the end.
            digits: Vec<u8>,
        }

        impl From<i128> for Big {
            fn from(value: i128) -> Self {
                let text = value.unsigned_abs().to_string();
                Self::of(value < 0, text.bytes().rev().map(|byte| byte - b'0').collect())
            }
        }

        impl Big {
            fn of(negative: bool, mut digits: Vec<u8>) -> Self {
                while digits.last() == Some(&0) {
                    digits.pop();
                }
                Self { negative: negative && !digits.is_empty(), digits }
            }

            pub(super) fn power_of_ten(exponent: usize) -> Self {
                let mut digits = vec![0; exponent];
                digits.push(1);
                Self::of(false, digits)
            }

            pub(super) fn negated(&self) -> Self {
                Self::of(!self.negative, self.digits.clone())
            }

            pub(super) fn to_i128(&self) -> Option<i128> {
                let sign = if self.negative { "-" } else { "" };
                let digits: String = self.digits.iter().rev().map(|digit| char::from(digit + b'0')).collect();
                if digits.is_empty() { Some(0) } else { format!("{sign}{digits}").parse().ok() }
            }

            fn less(one: &[u8], other: &[u8]) -> bool {
                one.len() < other.len() || (one.len() == other.len() && one.iter().rev().lt(other.iter().rev()))
            }

            fn minus(one: &[u8], other: &[u8]) -> Vec<u8> {
                let mut borrow = 0;
                one.iter()
                    .enumerate()
                    .map(|(at, digit)| {
                        let take = other.get(at).copied().unwrap_or(0) + borrow;
                        borrow = u8::from(*digit < take);
                        digit + 10 * borrow - take
                    })
                    .collect()
            }

            pub(super) fn plus(&self, other: &Self) -> Self {
                if self.negative != other.negative {
                    return if Self::less(&self.digits, &other.digits) {
                        Self::of(other.negative, Self::minus(&other.digits, &self.digits))
                    } else {
                        Self::of(self.negative, Self::minus(&self.digits, &other.digits))
                    };
                }
                let mut carry = 0;
                let length = self.digits.len().max(other.digits.len()) + 1;
                let digit = |digits: &[u8], at| digits.get(at).copied().unwrap_or(0);
                let sum = (0..length)
                    .map(|at| {
                        let sum = digit(&self.digits, at) + digit(&other.digits, at) + carry;
                        carry = sum / 10;
                        sum % 10
                    })
                    .collect();
                Self::of(self.negative, sum)
            }

            pub(super) fn times(&self, other: &Self) -> Self {
                let mut sums = vec![0u32; self.digits.len() + other.digits.len() + 1];
                for (at, one) in self.digits.iter().enumerate() {
                    for (by, two) in other.digits.iter().enumerate() {
                        sums[at + by] += u32::from(one * two);
                    }
                }
                let mut carry = 0;
                let digits = sums
                    .into_iter()
                    .map(|sum| {
                        let sum = sum + carry;
                        carry = sum / 10;
                        u8::try_from(sum % 10).unwrap()
                    })
                    .collect();
                Self::of(self.negative != other.negative, digits)
            }

            fn division(&self, other: &Self) -> Option<(Vec<u8>, Vec<u8>)> {
                if other.digits.is_empty() {
                    return None;
                }
                let (mut quotient, mut rest) = (Vec::new(), Vec::new());
                for digit in self.digits.iter().rev() {
                    rest.insert(0, *digit);
                    while rest.last() == Some(&0) {
                        rest.pop();
                    }
                    let mut times = 0;
                    while !Self::less(&rest, &other.digits) {
                        rest = Self::minus(&rest, &other.digits);
                        while rest.last() == Some(&0) {
                            rest.pop();
                        }
                        times += 1;
                    }
                    quotient.insert(0, times);
                }
                Some((quotient, rest))
            }

            pub(super) fn rest(&self, other: &Self) -> Option<Self> {
                self.division(other).map(|(_, rest)| Self::of(self.negative, rest))
            }

            pub(super) fn divided_half_away(&self, other: &Self) -> Option<Self> {
                let (quotient, rest) = self.division(other)?;
                let quotient = Self::of(self.negative != other.negative, quotient);
                let rest = Self::of(false, rest);
                let twice = rest.plus(&rest);
                if Self::less(&twice.digits, &other.digits) {
                    return Some(quotient);
                }
                let one = Self::of(self.negative != other.negative, vec![1]);
                Some(quotient.plus(&one))
            }
        }
    }
}
