//! One column of a batch that grows: a loop of its own for every type.

use super::{DAYS, EPOCH_DAYS, MOMENTS, Wire, numeric};
use arrow::array::{
    Array as _, ArrayRef, ArrowPrimitiveType, AsArray as _, BinaryBuilder, BooleanBuilder, Date32Builder,
    Decimal128Builder, Float64Builder, Int32Builder, Int64Builder, PrimitiveBuilder, StringArray, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field};
use obmen_sdk::{Error, Result};
use std::borrow::Cow;
use std::sync::Arc;

/// Why a value cannot be.
type Reason = Cow<'static, str>;

/// A value that makes its row bad.
#[derive(Debug)]
pub(super) struct Bad {
    /// The row in its batch.
    pub(super) row: usize,
    /// The column.
    pub(super) column: usize,
    pub(super) reason: Reason,
}

/// A place in a block of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    /// [`Span::NULL`] for NULL.
    pub(super) length: u32,
}

impl Span {
    /// The length of a NULL.
    pub(super) const NULL: u32 = u32::MAX;
}

/// Rows whose fields are found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) bytes: &'a [u8],
    /// Row by row.
    pub(super) fields: &'a [Span],
    /// Fields of a row.
    pub(super) width: usize,
}

impl<'a> Block<'a> {
    /// The values of a column.
    fn cells(self, column: usize) -> impl Iterator<Item = Option<&'a [u8]>> {
        let fields = self.fields.get(column..).unwrap_or_default();
        fields.iter().step_by(self.width.max(1)).map(move |field| {
            let (start, length) = (field.start as usize, field.length);
            if length == Span::NULL { None } else { self.bytes.get(start..start + length as usize) }
        })
    }
}

/// A column that grows.
#[derive(Debug)]
pub(super) struct Column {
    at: usize,
    wire: Wire,
    values: Values,
    bad: Vec<Bad>,
    rows: usize,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, u8),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Datetime(TimestampMicrosecondBuilder),
    /// Checked to be text when the batch is cut: all values at once.
    Text(BinaryBuilder),
    Binary(BinaryBuilder),
}

impl Column {
    /// An empty column; `at` is its position.
    ///
    /// # Errors
    /// `Internal` for a type no column can have.
    pub(super) fn new(at: usize, field: &Field, wire: Wire) -> Result<Self> {
        let values = match field.data_type() {
            DataType::Boolean => Values::Bool(BooleanBuilder::new()),
            DataType::Int32 => Values::Int(Int32Builder::new()),
            DataType::Int64 => Values::Long(Int64Builder::new()),
            DataType::Float64 => Values::Double(Float64Builder::new()),
            DataType::Decimal128(precision, scale) => {
                let digits = u8::try_from(*scale).map_err(|_| Error::internal("a decimal of a negative scale"))?;
                let builder = Decimal128Builder::new().with_precision_and_scale(*precision, *scale)?;
                Values::Decimal(builder, *precision, digits)
            }
            DataType::Date32 => Values::Date(Date32Builder::new()),
            DataType::Time64(_) => Values::Time(Time64MicrosecondBuilder::new()),
            DataType::Timestamp(_, _) => Values::Datetime(TimestampMicrosecondBuilder::new()),
            DataType::Utf8 => Values::Text(BinaryBuilder::new()),
            DataType::Binary => Values::Binary(BinaryBuilder::new()),
            other => return Err(Error::internal(format!("no value of PostgreSQL becomes {other}"))),
        };
        Ok(Self { at, wire, values, bad: Vec::new(), rows: 0 })
    }

    /// Adds the values of a block.
    ///
    /// # Errors
    /// `Internal` for a wire that does not become these values.
    pub(super) fn append(&mut self, block: Block<'_>) -> Result<()> {
        let to = Appending { cells: block.cells(self.at), at: self.at, row: self.rows, bad: &mut self.bad };
        match (&mut self.values, self.wire) {
            (Values::Bool(builder), Wire::Bool) => to.bools(builder),
            (Values::Int(builder), Wire::Int2) => {
                to.each(builder, |cell| Ok(i32::from(i16::from_be_bytes(exact(cell)?))));
            }
            (Values::Int(builder), Wire::Int4) => to.each(builder, |cell| Ok(i32::from_be_bytes(exact(cell)?))),
            (Values::Int(builder), Wire::Int8) => to.each(builder, |cell| narrow(i64::from_be_bytes(exact(cell)?))),
            (Values::Int(builder), Wire::Numeric) => to.each(builder, |cell| narrow(numeric::read(cell, 18, 0)?)),
            (Values::Long(builder), Wire::Int2) => {
                to.each(builder, |cell| Ok(i64::from(i16::from_be_bytes(exact(cell)?))));
            }
            (Values::Long(builder), Wire::Int4) => {
                to.each(builder, |cell| Ok(i64::from(i32::from_be_bytes(exact(cell)?))));
            }
            (Values::Long(builder), Wire::Int8) => to.each(builder, |cell| Ok(i64::from_be_bytes(exact(cell)?))),
            (Values::Long(builder), Wire::Numeric) => to.each(builder, |cell| narrow(numeric::read(cell, 38, 0)?)),
            (Values::Double(builder), Wire::Float4) => {
                to.each(builder, |cell| Ok(plain(f64::from(f32::from_be_bytes(exact(cell)?)))));
            }
            (Values::Double(builder), Wire::Float8) => {
                to.each(builder, |cell| Ok(plain(f64::from_be_bytes(exact(cell)?))));
            }
            (Values::Decimal(builder, precision, scale), Wire::Numeric) => {
                to.each(builder, |cell| numeric::read(cell, *precision, *scale));
            }
            (Values::Date(builder), Wire::Date) => to.each(builder, |cell| date(i32::from_be_bytes(exact(cell)?))),
            (Values::Time(builder), Wire::Time) => to.each(builder, |cell| time(i64::from_be_bytes(exact(cell)?))),
            (Values::Datetime(builder), Wire::Timestamp) => {
                to.each(builder, |cell| moment(i64::from_be_bytes(exact(cell)?)));
            }
            (Values::Text(builder), Wire::Text) | (Values::Binary(builder), Wire::Bytea) => {
                to.bytes(builder, |cell| Ok(cell));
            }
            (Values::Text(builder), Wire::PaddedText) => to.bytes(builder, |cell| Ok(unpadded(cell))),
            (Values::Text(builder), Wire::Jsonb) => to.bytes(builder, jsonb),
            (Values::Text(builder), Wire::Uuid) => to.uuids(builder),
            (values, wire) => return Err(Error::internal(format!("{wire:?} does not become {values:?}"))),
        }
        self.rows += block.fields.len() / block.width.max(1);
        Ok(())
    }

    /// The values so far, and the rows they make bad. The column is empty afterwards.
    pub(super) fn finish(&mut self) -> (ArrayRef, Vec<Bad>) {
        self.rows = 0;
        let array: ArrayRef = match &mut self.values {
            Values::Bool(builder) => Arc::new(builder.finish()),
            Values::Int(builder) => Arc::new(builder.finish()),
            Values::Long(builder) => Arc::new(builder.finish()),
            Values::Double(builder) => Arc::new(builder.finish()),
            Values::Decimal(builder, _, _) => Arc::new(builder.finish()),
            Values::Date(builder) => Arc::new(builder.finish()),
            Values::Time(builder) => Arc::new(builder.finish()),
            Values::Datetime(builder) => Arc::new(builder.finish()),
            Values::Binary(builder) => Arc::new(builder.finish()),
            Values::Text(builder) => texts(&(Arc::new(builder.finish()) as ArrayRef), self.at, &mut self.bad),
        };
        (array, std::mem::take(&mut self.bad))
    }
}

/// The values of a block on their way into a builder.
struct Appending<'a, I> {
    cells: I,
    at: usize,
    row: usize,
    bad: &'a mut Vec<Bad>,
}

impl<'a, I: Iterator<Item = Option<&'a [u8]>>> Appending<'_, I> {
    fn each<T: ArrowPrimitiveType>(
        self,
        builder: &mut PrimitiveBuilder<T>,
        read: impl Fn(&[u8]) -> Result<T::Native, Reason>,
    ) {
        for (row, cell) in (self.row..).zip(self.cells) {
            match cell.map(&read) {
                None => builder.append_null(),
                Some(Ok(value)) => builder.append_value(value),
                Some(Err(reason)) => {
                    builder.append_null();
                    self.bad.push(Bad { row, column: self.at, reason });
                }
            }
        }
    }

    fn bytes(self, builder: &mut BinaryBuilder, read: impl Fn(&[u8]) -> Result<&[u8], Reason>) {
        for (row, cell) in (self.row..).zip(self.cells) {
            match cell.map(&read) {
                None => builder.append_null(),
                Some(Ok(value)) => builder.append_value(value),
                Some(Err(reason)) => {
                    builder.append_null();
                    self.bad.push(Bad { row, column: self.at, reason });
                }
            }
        }
    }

    fn bools(self, builder: &mut BooleanBuilder) {
        for cell in self.cells {
            builder.append_option(cell.map(|cell| cell != [0]));
        }
    }

    fn uuids(self, builder: &mut BinaryBuilder) {
        for (row, cell) in (self.row..).zip(self.cells) {
            match cell.map(exact::<16>) {
                None => builder.append_null(),
                Some(Ok(value)) => builder.append_value(hyphenated(value)),
                Some(Err(reason)) => {
                    builder.append_null();
                    self.bad.push(Bad { row, column: self.at, reason });
                }
            }
        }
    }
}

fn exact<const N: usize>(cell: &[u8]) -> Result<[u8; N], Reason> {
    cell.try_into().map_err(|_| Cow::Borrowed("is not of the length its type has"))
}

fn narrow<T: TryFrom<U>, U>(value: U) -> Result<T, Reason> {
    T::try_from(value).map_err(|_| Cow::Borrowed("is too large for its declared type"))
}

/// Numbers that are equal have equal bytes: there is one zero and one NaN.
fn plain(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value + 0.0 }
}

fn date(days: i32) -> Result<i32, Reason> {
    match days.checked_add(EPOCH_DAYS) {
        _ if matches!(days, i32::MIN | i32::MAX) => Err("is infinite, which is no date".into()),
        Some(days) if DAYS.contains(&days) => Ok(days),
        _ => Err("is not in the years 1 to 9999".into()),
    }
}

fn time(micros: i64) -> Result<i64, Reason> {
    if (0..super::DAY).contains(&micros) { Ok(micros) } else { Err("is 24:00, which is no time of a day".into()) }
}

fn moment(micros: i64) -> Result<i64, Reason> {
    match micros.checked_add(i64::from(EPOCH_DAYS) * super::DAY) {
        _ if matches!(micros, i64::MIN | i64::MAX) => Err("is infinite, which is no date".into()),
        Some(micros) if MOMENTS.contains(&micros) => Ok(micros),
        _ => Err("is not in the years 1 to 9999".into()),
    }
}

fn unpadded(mut cell: &[u8]) -> &[u8] {
    while let Some(shorter) = cell.strip_suffix(b" ") {
        cell = shorter;
    }
    cell
}

fn jsonb(cell: &[u8]) -> Result<&[u8], Reason> {
    cell.strip_prefix(&[1]).ok_or(Cow::Borrowed("is a `jsonb` of an unknown version"))
}

/// A uuid as lower-case text with hyphens.
fn hyphenated(value: [u8; 16]) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (byte, value) in value.into_iter().enumerate() {
        if matches!(byte, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(value >> 4)];
        text[at + 1] = HEX[usize::from(value & 15)];
        at += 2;
    }
    text
}

/// Bytes as texts: checked all at once, and one by one only if something is wrong.
fn texts(bytes: &ArrayRef, column: usize, bad: &mut Vec<Bad>) -> ArrayRef {
    let bytes = bytes.as_binary::<i32>();
    if let Ok(texts) = StringArray::try_from_binary(bytes.clone()) {
        return Arc::new(texts);
    }
    let mut texts = StringBuilder::new();
    for row in 0..bytes.len() {
        match bytes.is_valid(row).then(|| std::str::from_utf8(bytes.value(row))) {
            None => texts.append_null(),
            Some(Ok(text)) => texts.append_value(text),
            Some(Err(_)) => {
                texts.append_null();
                bad.push(Bad { row, column, reason: "is not UTF-8".into() });
            }
        }
    }
    Arc::new(texts.finish())
}
