//! Batches → binary `COPY`.

use super::{EPOCH_DAYS, SIGNATURE, numeric};
use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;

/// What a value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// `bool`.
    Bool,
    /// A whole number of 2, 4 or 8 bytes.
    Int(usize),
    /// `float4`, for numbers it holds exactly.
    Float4,
    /// `float8`.
    Float8,
    /// `numeric`, with the most digits before and after the point that its column takes.
    Numeric(Option<(i32, i32)>),
    /// `text`, with the most letters its column takes.
    Text(Option<i32>),
    /// The same; spaces at the end do not count.
    PaddedText(Option<i32>),
    /// `date`.
    Date,
    /// `time`.
    Time,
    /// `timestamp` or `timestamptz`.
    Timestamp,
    /// `bytea`.
    Bytea,
}

/// Writes rows as binary `COPY … FROM` takes them: whether the row is gone, then its values.
#[derive(Debug)]
pub struct Encoder {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
}

impl Encoder {
    /// Makes ready for rows of such values.
    pub fn new(slots: Vec<Slot>) -> Self {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        Self { slots, bytes }
    }

    /// Adds a row of a batch, unless one of its values cannot be written exactly. Of a row that is `gone` only the
    /// columns of the key are written.
    ///
    /// # Errors
    /// The position of the column whose value cannot be, and why, as a phrase.
    pub fn row(&mut self, batch: &RecordBatch, row: usize, gone: bool, key: &[usize]) -> Result<(), (usize, String)> {
        let before = self.bytes.len();
        let fields =
            i16::try_from(self.slots.len() + 1).map_err(|_| (0, "is in a row with too many columns".into()))?;
        self.bytes.extend(fields.to_be_bytes());
        self.bytes.extend([0, 0, 0, 1, u8::from(gone)]);
        for (at, (slot, column)) in self.slots.iter().zip(batch.columns()).enumerate() {
            let null = column.is_null(row) || (gone && !key.contains(&at));
            let written = if null {
                self.bytes.extend((-1_i32).to_be_bytes());
                Ok(())
            } else {
                value(*slot, column.as_ref(), row, &mut self.bytes)
            };
            if let Err(reason) = written {
                self.bytes.truncate(before);
                return Err((at, reason));
            }
        }
        Ok(())
    }

    /// All rows.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend((-1_i16).to_be_bytes());
        self.bytes
    }
}

/// Appends a value with its length.
fn value(slot: Slot, column: &dyn arrow::array::Array, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
    match (slot, column.data_type()) {
        (Slot::Bool, DataType::Boolean) => field(out, &[u8::from(column.as_boolean().value(row))]),
        (Slot::Int(size), _) => {
            let (value, scale) = number(column, row)?;
            let unit = 10_i128.pow(u32::from(scale));
            if value % unit != 0 {
                return Err("has digits after the point, and the column takes whole numbers".to_owned());
            }
            let bytes = (value / unit).to_be_bytes();
            let (cut, kept) = bytes.split_at(bytes.len() - size);
            let sign = if value < 0 { 0xff } else { 0 };
            if cut.iter().any(|byte| *byte != sign) || kept.first().is_none_or(|byte| (byte ^ sign) & 0x80 != 0) {
                return Err("is too large for the column".to_owned());
            }
            field(out, kept)
        }
        (Slot::Numeric(limits), _) => {
            let (value, scale) = number(column, row)?;
            if let Some((precision, most)) = limits {
                fits(value, scale, precision, most)?;
            }
            numeric::write(value, scale, out);
            Ok(())
        }
        (Slot::Float8, DataType::Float64) => field(out, &column.as_primitive::<Float64Type>().value(row).to_be_bytes()),
        (Slot::Float4, DataType::Float64) => {
            let value = column.as_primitive::<Float64Type>().value(row);
            #[expect(clippy::cast_possible_truncation, reason = "what is lost is looked for in the next line")]
            let shorter = value as f32;
            if f64::from(shorter).to_bits() != value.to_bits() && !value.is_nan() {
                return Err("has more digits than the column, `real`, keeps".to_owned());
            }
            field(out, &shorter.to_be_bytes())
        }
        (Slot::Text(most), DataType::Utf8) => text(column.as_string::<i32>().value(row), most, false, out),
        (Slot::PaddedText(most), DataType::Utf8) => text(column.as_string::<i32>().value(row), most, true, out),
        (Slot::Date, DataType::Date32) => {
            let days = column.as_primitive::<Date32Type>().value(row).checked_sub(EPOCH_DAYS);
            field(out, &days.ok_or("is too early for PostgreSQL")?.to_be_bytes())
        }
        (Slot::Time, DataType::Time64(_)) => {
            field(out, &column.as_primitive::<Time64MicrosecondType>().value(row).to_be_bytes())
        }
        (Slot::Timestamp, DataType::Timestamp(_, _)) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            let since = micros.checked_sub(i64::from(EPOCH_DAYS) * super::DAY);
            field(out, &since.ok_or("is too early for PostgreSQL")?.to_be_bytes())
        }
        (Slot::Bytea, DataType::Binary) => field(out, column.as_binary::<i32>().value(row)),
        (slot, other) => Err(format!("is {other}, which does not become {slot:?}")),
    }
}

/// A number as units of a power of ten.
fn number(column: &dyn arrow::array::Array, row: usize) -> Result<(i128, u8), String> {
    match column.data_type() {
        DataType::Int32 => Ok((column.as_primitive::<Int32Type>().value(row).into(), 0)),
        DataType::Int64 => Ok((column.as_primitive::<Int64Type>().value(row).into(), 0)),
        DataType::Decimal128(_, scale) => {
            let scale = u8::try_from(*scale).map_err(|_| "has a negative scale".to_owned())?;
            Ok((column.as_primitive::<Decimal128Type>().value(row), scale))
        }
        other => Err(format!("is {other}, no exact number")),
    }
}

/// Whether `numeric(precision, most)` keeps the value as it is: PostgreSQL would round it without a word.
fn fits(value: i128, scale: u8, precision: i32, most: i32) -> Result<(), String> {
    let surplus = (i32::from(scale) - most).max(0);
    let unit = u32::try_from(surplus).ok().and_then(|power| 10_i128.checked_pow(power));
    if unit.map_or(value != 0, |unit| value % unit != 0) {
        return Err(format!("has more digits after the point than the column, `numeric({precision},{most})`, keeps"));
    }
    let room = u32::try_from(precision - most + i32::from(scale)).ok().and_then(|power| 10_u128.checked_pow(power));
    if room.is_some_and(|room| value.unsigned_abs() >= room) {
        return Err(format!("is too large for the column, `numeric({precision},{most})`"));
    }
    Ok(())
}

fn text(text: &str, most: Option<i32>, padded: bool, out: &mut Vec<u8>) -> Result<(), String> {
    if text.contains('\0') {
        return Err("has a NUL character in it, which PostgreSQL does not keep".to_owned());
    }
    if let Some(most) = most.and_then(|most| usize::try_from(most).ok()) {
        let counted = if padded { text.trim_end_matches(' ') } else { text };
        if counted.len() > most && counted.chars().count() > most {
            return Err(format!("has more letters than the column takes, {most}"));
        }
    }
    field(out, text.as_bytes())
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
    let length = i32::try_from(bytes.len()).map_err(|_| "is larger than PostgreSQL takes".to_owned())?;
    out.extend(length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    fn written(slot: Slot, column: &ArrayRef) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        value(slot, &**column, 0, &mut out)?;
        Ok(out)
    }

    fn decimal(value: i128, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(38, scale).unwrap())
    }

    #[test]
    fn whole_numbers_must_fit_their_column() {
        let long = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
        assert_eq!(written(Slot::Int(2), &long(-2)).unwrap(), [0, 0, 0, 2, 0xff, 0xfe]);
        for (value, fits) in [(32_767, true), (32_768, false), (-32_768, true), (-32_769, false)] {
            assert_eq!(written(Slot::Int(2), &long(value)).is_ok(), fits, "{value}");
        }
        assert_eq!(written(Slot::Int(8), &long(i64::MIN)).unwrap()[4..], i64::MIN.to_be_bytes());
        assert!(written(Slot::Int(4), &decimal(500, 2)).is_ok() && written(Slot::Int(4), &decimal(501, 2)).is_err());
    }

    #[test]
    fn a_decimal_that_would_be_rounded_is_refused() {
        let to = |limits, value, scale| written(Slot::Numeric(Some(limits)), &decimal(value, scale)).is_ok();
        assert!(to((12, 2), 1250, 2) && to((12, 2), 12_500, 3) && !to((12, 2), 12_505, 3));
        assert!(to((4, 2), 9999, 2) && !to((4, 2), 10_000, 2) && to((4, 2), -9999, 2));
        assert!(to((3, -2), 99_900, 0) && !to((3, -2), 99_950, 0) && !to((3, -2), 100_000, 0));
        assert!(to((1000, 500), i128::MAX / 10, 0) && to((2, 5), 12, 5) && !to((2, 5), 123, 5));
    }

    #[test]
    fn texts_and_fractions_that_would_be_cut_are_refused() {
        let text = |slot, text: &str| written(slot, &(Arc::new(StringArray::from(vec![text])) as ArrayRef)).is_ok();
        assert!(text(Slot::Text(Some(3)), "где") && !text(Slot::Text(Some(3)), "где "));
        assert!(text(Slot::PaddedText(Some(3)), "где ") && !text(Slot::Text(None), "a\0b"));
        let real = |value| written(Slot::Float4, &(Arc::new(Float64Array::from(vec![value])) as ArrayRef)).is_ok();
        assert!(real(0.5) && real(f64::NAN) && !real(0.1) && !real(f64::MAX));
    }
}
