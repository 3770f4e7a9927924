//! Values of Arrow columns as CommerceML writes them.

use super::entity::{Column, Kind};
use super::number::{self, shown};
use super::text::clean;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    UInt32Type,
};
use arrow::temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime};
use std::borrow::Cow;

/// An exact number: a whole number of `10^-scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) value: i128,
    pub(super) scale: i8,
}

impl Number {
    /// Nothing.
    pub(super) const ZERO: Self = Self { value: 0, scale: 0 };

    /// The sum, exactly; `None` if it has too many digits.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let raise = |number: Self| {
            let steps = u32::try_from(i16::from(scale) - i16::from(number.scale)).ok()?;
            number.value.checked_mul(10_i128.checked_pow(steps)?)
        };
        Some(Self { value: raise(self)?.checked_add(raise(other)?)?, scale })
    }

    /// Writes it with so many digits after the point at least, and no zeros at the end beyond.
    pub(super) fn write(self, into: &mut String, least: usize) {
        number::write(into, self.value, self.scale, least);
    }
}

/// A value as it goes into the XML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A number, with so many digits after the point at least.
    Number(Number, usize),
}

impl<'a> Value<'a> {
    /// Nothing, where there was something.
    pub(super) const EMPTIED: Self = Self::Text(Cow::Borrowed(""));

    /// As a text.
    pub(super) fn text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Number(number, least) => Cow::Owned(number::format(number.value, number.scale, least)),
        }
    }
}

/// A value as text, without characters XML cannot hold; `None` for NULL and for nothing but space.
pub(super) fn text(array: &dyn Array, row: usize) -> Option<Cow<'_, str>> {
    if array.is_null(row) {
        return None;
    }
    let text = match array.data_type() {
        DataType::Utf8 => clean(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => clean(array.as_string::<i64>().value(row)),
        DataType::Utf8View => clean(array.as_string_view().value(row)),
        DataType::Boolean => Cow::Borrowed(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Date32 => {
            Cow::Owned(date32_to_datetime(array.as_primitive::<Date32Type>().value(row))?.date().to_string())
        }
        DataType::Timestamp(_, _) => {
            let micros = array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
            Cow::Owned(timestamp_us_to_datetime(micros)?.format("%Y-%m-%dT%H:%M:%S%.f").to_string())
        }
        _ => Value::Number(number(array, row)?, 0).text(),
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

/// A value as an exact number; `None` for NULL.
pub(super) fn number(array: &dyn Array, row: usize) -> Option<Number> {
    if array.is_null(row) {
        return None;
    }
    let whole = |value: i64| Number { value: value.into(), scale: 0 };
    Some(match array.data_type() {
        DataType::Int8 => whole(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => whole(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => whole(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::UInt32 => whole(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::Int64 => whole(array.as_primitive::<Int64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            Number { value: array.as_primitive::<Decimal128Type>().value(row), scale: *scale }
        }
        _ => return None,
    })
}

/// A value of a column as it goes into the XML, within the limits of the column.
///
/// # Errors
/// What is wrong with it, in one phrase.
pub(super) fn checked<'a>(array: &'a dyn Array, row: usize, column: &Column) -> Result<Option<Value<'a>>, String> {
    let value = match column.kind {
        Kind::Text(least, most) => {
            text(array, row).map(|text| fits(column.name, text, least, most).map(Value::Text)).transpose()?
        }
        Kind::Number => number(array, row).map(|number| Value::Number(number, 0)),
        Kind::Money => number(array, row).map(|sum| money(column.name, sum)).transpose()?,
    };
    match value {
        None if column.required => Err(format!("`{}` is empty, CommerceML needs it", column.name)),
        value => Ok(value),
    }
}

/// A text of an allowed length.
pub(super) fn fits<'a>(name: &str, text: Cow<'a, str>, least: usize, most: usize) -> Result<Cow<'a, str>, String> {
    let count = text.chars().count();
    if (least..=most).contains(&count) {
        return Ok(text);
    }
    let expected = if least == most {
        format!("exactly {most}")
    } else if least <= 1 {
        format!("at most {most}")
    } else {
        format!("{least} to {most}")
    };
    Err(format!("`{name}` has {count} characters, CommerceML takes {expected}: {}", shown(&text)))
}

/// A number of fewer digits than this has at most 18, whatever its scale.
const MONEY: u128 = 10_u128.pow(16);

/// `СуммаТип` of the XSD: 18 digits, 2 of them after the point.
fn money(name: &str, sum: Number) -> Result<Value<'static>, String> {
    let text = || number::format(sum.value, sum.scale, 2);
    if number::fraction_digits(sum.value, sum.scale) > 2 {
        return Err(format!("`{name}` is {}, CommerceML takes two digits after the point", text()));
    }
    if sum.value.unsigned_abs() >= MONEY && text().bytes().filter(u8::is_ascii_digit).count() > 18 {
        return Err(format!("`{name}` is {}, CommerceML takes 18 digits", text()));
    }
    Ok(Value::Number(sum, 2))
}
