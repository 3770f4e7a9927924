//! Texts people write: `nfc`, `phone_e164`, `ru_decimal`.

use crate::sql::exact::{Cast, Fault, Loss, Target};
use arrow::array::{ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use unicode_normalization::UnicodeNormalization;

/// All functions of this file.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        TextFunction::udf("nfc", Output::Text(|text| Some(text.nfc().collect()))),
        TextFunction::udf("phone_e164", Output::Text(phone_e164)),
        TextFunction::udf("ru_decimal", Output::Decimal(ru_decimal)),
    ]
}

/// What a function of one text gives. NULL gives NULL.
#[derive(Clone, Copy, Debug)]
pub(super) enum Output {
    /// True or false.
    Bool(fn(&str) -> bool),
    /// A text, or NULL.
    Text(fn(&str) -> Option<String>),
    /// The text of a number that becomes [`DECIMAL`]; empty: NULL.
    Decimal(fn(&str) -> Option<String>),
}

/// The type `ru_decimal` gives: 22 digits before the point and 6 after it, enough for money, quantities and rates,
/// and short enough for products to fit.
const DECIMAL: DataType = DataType::Decimal128(28, 6);

/// A function of one text. Its name tells it from others.
#[derive(Debug)]
pub(super) struct TextFunction {
    name: &'static str,
    output: Output,
    signature: Signature,
}

impl PartialEq for TextFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TextFunction {}

impl Hash for TextFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl TextFunction {
    /// The function as DataFusion takes it.
    pub(super) fn udf(name: &'static str, output: Output) -> Arc<ScalarUDF> {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::from(Self { name, output, signature }))
    }

    fn compute(&self, texts: &StringArray) -> Result<ArrayRef> {
        Ok(match self.output {
            Output::Bool(holds) => Arc::new(texts.iter().map(|text| text.map(holds)).collect::<BooleanArray>()),
            Output::Text(convert) => Arc::new(texts.iter().map(|text| text.and_then(convert)).collect::<StringArray>()),
            Output::Decimal(normal) => {
                for (row, text) in texts.iter().enumerate() {
                    if text.is_some_and(|text| text.contains('.') && text.contains(',')) {
                        let text = texts.value(row);
                        return Err(Fault(format!("holds `{text}`, which has both a point and a comma")).into());
                    }
                }
                let normal: StringArray = texts.iter().map(|text| text.and_then(normal)).collect();
                let normal: ArrayRef = Arc::new(normal);
                Cast::new(Target::Type(DECIMAL), Loss::Rounds, false).apply(&normal)?
            }
        })
    }
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [kind] if crate::sql::types::is_text(kind) || *kind == DataType::Null => Ok(vec![DataType::Utf8]),
            [kind] => plan_err!("`{}` takes a string, not {}", self.name, crate::sql::types::a(kind)),
            _ => plan_err!("`{}` takes one argument, not {}", self.name, types.len()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.output {
            Output::Bool(_) => DataType::Boolean,
            Output::Text(_) => DataType::Utf8,
            Output::Decimal(_) => DECIMAL,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(texts)] => Ok(ColumnarValue::Array(self.compute(texts.as_string::<i32>())?)),
            [ColumnarValue::Scalar(text)] => {
                let result = self.compute(text.to_array()?.as_string::<i32>())?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
            }
            _ => internal_err!("a function of one text"),
        }
    }
}

/// A phone number as `+` and digits (ITU-T E.164), NULL for what is none.
///
/// Spaces, hyphens, dots and brackets are left out. A number with `+` is taken as it is (8 to 15 digits); without it,
/// 11 digits that begin with 7 or 8 and 10 digits that begin with 9 are Russian.
fn phone_e164(text: &str) -> Option<String> {
    let text = text.trim();
    let international = text.starts_with('+');
    let rest = text.strip_prefix('+').unwrap_or(text);
    let is_between =
        |letter: &char| matches!(letter, ' ' | '\u{a0}' | '-' | '\u{2010}' | '\u{2011}' | '\u{2013}' | '.' | '(' | ')');
    let digits: String = rest.chars().filter(|letter| !is_between(letter)).collect();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if international {
        return ((8..=15).contains(&digits.len()) && !digits.starts_with('0')).then(|| format!("+{digits}"));
    }
    match (digits.len(), digits.split_at(1)) {
        (11, ("7" | "8", national)) => Some(format!("+7{national}")),
        (10, ("9", _)) => Some(format!("+7{digits}")),
        _ => None,
    }
}

/// The text of a number as Russians write it, in the form a cast understands: spaces of all kinds go, a comma is the
/// point, a typographic minus is a minus. Empty: NULL.
fn ru_decimal(text: &str) -> Option<String> {
    let number: String = text
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .map(|letter| match letter {
            ',' => '.',
            '\u{2212}' => '-',
            other => other,
        })
        .collect();
    (!number.is_empty()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Result<ScalarValue, String> {
        let function = TextFunction {
            name: "ru_decimal",
            output: Output::Decimal(ru_decimal),
            signature: Signature::user_defined(Volatility::Immutable),
        };
        let result = function.compute(&StringArray::from(vec![text]));
        result.map(|array| ScalarValue::try_from_array(&array, 0).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_as_russians_write_them() {
        let is = |digits| Ok(ScalarValue::Decimal128(digits, 28, 6));
        assert_eq!(decimal("1 234,50"), is(Some(1_234_500_000)));
        assert_eq!(decimal("1\u{a0}234\u{202f}567,5"), is(Some(1_234_567_500_000)));
        assert_eq!(decimal("−7"), is(Some(-7_000_000)));
        assert_eq!(decimal("12.5"), is(Some(12_500_000)));
        assert_eq!(decimal("  "), is(None));
        for bad in ["1.234,50", "1,2,3", "12 руб", "0,1234567"] {
            assert!(decimal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn phones() {
        for (text, phone) in [
            ("8 (912) 345-67-89", Some("+79123456789")),
            ("+7 912 345 67 89", Some("+79123456789")),
            ("9123456789", Some("+79123456789")),
            ("8-800-555-35-35", Some("+78005553535")),
            ("+375 29 123-45-67", Some("+375291234567")),
            ("12345", None),
            ("8 912 345-67-89 доб. 12", None),
            ("+0123456789", None),
            ("", None),
        ] {
            assert_eq!(phone_e164(text).as_deref(), phone, "{text}");
        }
    }
}
