//! Columns a file has → columns that are declared, without loss.

use crate::reading::{Reading, missing_column};
use crate::values::{ColumnBuilder, TextStyle, write_json};
use arrow::array::{
    Array, ArrayRef, AsArray as _, BooleanArray, FixedSizeBinaryArray, RecordBatch, RecordBatchOptions, StringArray,
    UInt64Array,
};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use obmen_sdk::{BadRow, Batch, Error, ErrorKind, Result, types};
use obmen_spec::ColumnType;
use std::collections::BTreeMap;

/// Turns batches with a file's own columns into batches with the declared ones that are wanted.
///
/// Whether a column can be converted at all is decided before the first row; a single value that
/// would lose something makes its row bad.
#[derive(Debug)]
pub struct Conversion {
    /// For each column of the result: where it is in the file, and how it is converted.
    wanted: Vec<(usize, Way)>,
    in_file: SchemaRef,
    result: SchemaRef,
    file: String,
}

impl Conversion {
    /// Compares what a file has with what is declared, also where it is not wanted now.
    ///
    /// # Errors
    /// `SchemaMismatch` naming the column that is not there, or of a type that never fits.
    pub fn new(in_file: &SchemaRef, reading: &Reading<'_>) -> Result<Self> {
        for field in reading.schema.fields() {
            find(in_file, field, reading.file)?;
        }
        let result = reading.projected()?;
        let wanted = result.fields().iter().map(|field| find(in_file, field, reading.file)).collect::<Result<_>>()?;
        Ok(Self { wanted, in_file: SchemaRef::clone(in_file), result, file: reading.file.to_owned() })
    }

    /// Positions in the file of the columns that are needed, ascending, each once.
    pub fn needed(&self) -> Vec<usize> {
        let mut needed: Vec<usize> = self.wanted.iter().map(|(index, _)| *index).collect();
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// Converts rows that have the columns [`needed`](Self::needed). `place` says where a row stands.
    ///
    /// # Errors
    /// `InvalidData` if Arrow cannot; `Internal` if the rows have other columns.
    pub fn apply(&self, rows: &RecordBatch, place: impl Fn(usize) -> String) -> Result<Batch> {
        let needed = self.needed();
        let count = rows.num_rows();
        let mut bad: BTreeMap<usize, BadRow> = BTreeMap::new();
        let mut columns = Vec::with_capacity(self.wanted.len());
        for ((index, way), to) in self.wanted.iter().zip(self.result.fields()) {
            let at = needed.binary_search(index).map_err(|_| Error::internal("a column was not asked for"))?;
            let converted = convert(rows.column(at), self.in_file.field(*index), to, *way)
                .map_err(|error| error.with("file", &self.file).with("column", to.name()))?;
            for (row, reason) in converted.bad {
                bad.entry(row).or_insert_with(|| BadRow { place: place(row), column: Some(to.name().clone()), reason });
            }
            columns.push(converted.column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let mut rows = RecordBatch::try_new_with_options(SchemaRef::clone(&self.result), columns, &options)?;
        if !bad.is_empty() {
            let good: BooleanArray = (0..count).map(|row| Some(!bad.contains_key(&row))).collect();
            rows = filter_record_batch(&rows, &good)?;
        }
        Ok(Batch { bad: bad.into_values().collect(), ..Batch::of(rows) })
    }
}

/// Where a declared column is in the file, and how it is converted.
fn find(in_file: &Schema, declared: &Field, file: &str) -> Result<(usize, Way)> {
    let names = in_file.fields().iter().map(|field| field.name().as_str());
    let Ok(index) = in_file.index_of(declared.name()) else {
        return Err(missing_column(file, declared.name(), names));
    };
    let way = way(in_file.field(index), declared).map_err(|error| error.with("file", file))?;
    Ok((index, way))
}

/// How a column of the file becomes a declared one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The values are cast, and cast back to see that nothing was lost.
    Cast,
    /// The texts are read.
    Text,
    /// The values are nested and become JSON text.
    Json,
    /// Sixteen bytes become a uuid.
    Uuid,
}

/// A converted column, and for each row why it could not be converted.
struct Converted {
    column: ArrayRef,
    bad: Vec<(usize, String)>,
}

/// The declared type a column of a file has by itself.
pub(crate) fn natural(field: &Field) -> Option<ColumnType> {
    Some(match field.data_type() {
        DataType::Dictionary(_, values) => natural(&Field::new(field.name(), values.as_ref().clone(), true))?,
        DataType::UInt8 | DataType::UInt16 => ColumnType::Int,
        DataType::UInt64 => ColumnType::Decimal { precision: 20, scale: 0 },
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            ColumnType::Decimal { precision: *precision, scale: u8::try_from(*scale).ok()? }
        }
        DataType::Timestamp(_, Some(zone)) if !is_utc(zone) => return None,
        DataType::Date64 => ColumnType::Datetime,
        DataType::Time32(_) => ColumnType::Time,
        DataType::BinaryView | DataType::FixedSizeBinary(_) => ColumnType::Binary,
        DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_) => ColumnType::Json,
        _ => types::column_type(field)?,
    })
}

/// How a file's column becomes a declared one.
///
/// # Errors
/// `SchemaMismatch` naming the column, where no value could.
fn way(from: &Field, to: &Field) -> Result<Way> {
    use ColumnType as C;
    let declared = types::column_type(to);
    let mismatch = || {
        let (has, wants) =
            (natural(from), declared.map_or_else(|| to.data_type().to_string(), |kind| kind.to_string()));
        let has = has.map_or_else(|| format!("of Arrow type {}", from.data_type()), |kind| kind.to_string());
        Error::new(
            ErrorKind::SchemaMismatch,
            format!("the column `{}` is {has} in the file, but declared {wants}", to.name()),
        )
        .with("column", to.name())
    };
    let (Some(declared), Some(natural)) = (declared, natural(from)) else { return Err(mismatch()) };
    let is_number = |kind: C| matches!(kind, C::Int | C::Long | C::Decimal { .. });
    Ok(match (natural, declared) {
        (C::Json, C::Json) if is_nested(from.data_type()) => Way::Json,
        (_, C::Uuid) if *from.data_type() == DataType::FixedSizeBinary(16) => Way::Uuid,
        (C::String | C::Json | C::Uuid, C::String) if !is_nested(from.data_type()) => Way::Cast,
        // What is called a uuid or JSON by the file is still read as one: a file may be mistaken.
        (C::String | C::Json | C::Uuid, C::Binary) => return Err(mismatch()),
        (C::String | C::Json | C::Uuid, _) if !is_nested(from.data_type()) => Way::Text,
        (from, to) if is_number(from) && is_number(to) => Way::Cast,
        (C::Bool, C::Bool)
        | (C::Int | C::Double, C::Double)
        | (C::Date | C::Datetime, C::Date | C::Datetime)
        | (C::Time, C::Time)
        | (C::Binary, C::Binary) => Way::Cast,
        _ => return Err(mismatch()),
    })
}

/// Converts a column.
///
/// # Errors
/// `InvalidData` if Arrow cannot; `Internal` if the way does not fit the column.
fn convert(column: &ArrayRef, from: &Field, to: &Field, way: Way) -> Result<Converted> {
    match way {
        Way::Cast => cast(column, to.data_type()),
        Way::Text => {
            let texts = plain_cast(column, &DataType::Utf8)?;
            let texts: &StringArray = texts.as_string();
            let style = TextStyle::default();
            build(
                to,
                texts.len(),
                |row, builder| builder.append_text(texts.value(row), &style),
                |row| texts.is_null(row),
            )
        }
        Way::Json => {
            let style = TextStyle::default();
            let append = |row: usize, builder: &mut ColumnBuilder| {
                let mut json = Vec::new();
                write_json(&mut json, column.as_ref(), from, row)?;
                builder.append_text(&String::from_utf8(json).map_err(|_| "is not UTF-8".to_owned())?, &style)
            };
            build(to, column.len(), append, |row| column.is_null(row))
        }
        Way::Uuid => {
            let wrong = || Error::internal("a uuid column is not of 16 bytes");
            let bytes = column.as_any().downcast_ref::<FixedSizeBinaryArray>().ok_or_else(wrong)?;
            let style = TextStyle::default();
            let append = |row: usize, builder: &mut ColumnBuilder| {
                let sixteen = <[u8; 16]>::try_from(bytes.value(row)).map_err(|_| "is not of 16 bytes".to_owned())?;
                builder.append_text(&format!("{:032x}", u128::from_be_bytes(sixteen)), &style)
            };
            build(to, bytes.len(), append, |row| bytes.is_null(row))
        }
    }
}

fn build(
    to: &Field,
    length: usize,
    mut append: impl FnMut(usize, &mut ColumnBuilder) -> Result<(), String>,
    is_null: impl Fn(usize) -> bool,
) -> Result<Converted> {
    let mut builder = ColumnBuilder::new(to)?;
    let mut bad = Vec::new();
    for row in 0..length {
        if is_null(row) {
            builder.append_null();
        } else if let Err(reason) = append(row, &mut builder) {
            builder.append_null();
            bad.push((row, reason));
        }
    }
    Ok(Converted { column: builder.finish(), bad })
}

/// Casts there and back: what does not come back the same has lost something.
fn cast(column: &ArrayRef, to: &DataType) -> Result<Converted> {
    if column.data_type() == to {
        return Ok(Converted { column: ArrayRef::clone(column), bad: Vec::new() });
    }
    let from = match column.data_type() {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, None),
        other => other.clone(),
    };
    let plain = plain_cast(column, &from)?;
    // Arrow rounds decimals where digits are dropped, so a value that comes back the same lost none.
    let there = plain_cast(&plain, to)?;
    let back = plain_cast(&there, &from)?;
    let kept: BooleanArray = not_distinct(&plain, &back)?;
    let lost = kept.iter().enumerate().filter(|(_, kept)| *kept != Some(true));
    let bad = lost.map(|(row, _)| (row, format!("does not fit {}", show_type(to)))).collect();
    Ok(Converted { column: there, bad })
}

fn plain_cast(column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    // A whole number of 64 bits without a sign has more values than Arrow casts to decimals.
    if let (Some(unsigned), DataType::Decimal128(..)) = (column.as_any().downcast_ref::<UInt64Array>(), to) {
        let texts: StringArray = unsigned.iter().map(|value| value.map(|value| value.to_string())).collect();
        return Ok(cast_with_options(&texts, to, &CastOptions { safe: true, ..CastOptions::default() })?);
    }
    Ok(cast_with_options(column, to, &CastOptions { safe: true, ..CastOptions::default() })?)
}

fn show_type(to: &DataType) -> String {
    types::column_type(&Field::new("", to.clone(), true)).map_or_else(|| to.to_string(), |kind| kind.to_string())
}

fn is_nested(kind: &DataType) -> bool {
    matches!(kind, DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_))
}

fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "utc" | "Z" | "+00:00" | "Etc/UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        Decimal128Array, Float64Array, Int64Array, TimestampMicrosecondArray, TimestampNanosecondArray,
    };
    use arrow::datatypes::TimeUnit;
    use std::sync::Arc;

    fn to(kind: &str) -> Field {
        types::arrow_field("x", ColumnType::parse(kind).unwrap())
    }

    fn run(column: impl Array + 'static, kind: &str) -> (ArrayRef, Vec<usize>) {
        let column: ArrayRef = Arc::new(column);
        let from = Field::new("x", column.data_type().clone(), true);
        let to = to(kind);
        let converted = convert(&column, &from, &to, way(&from, &to).unwrap()).unwrap();
        assert_eq!(converted.column.data_type(), to.data_type());
        (converted.column, converted.bad.into_iter().map(|(row, _)| row).collect())
    }

    #[test]
    fn a_value_that_would_lose_something_is_bad_alone() {
        let prices =
            Decimal128Array::from(vec![Some(12_9900), Some(12_9901), None]).with_precision_and_scale(18, 4).unwrap();
        assert_eq!(run(prices, "decimal(15,2)").1, [1]);
        assert_eq!(run(Int64Array::from(vec![1, i64::MAX]), "int").1, [1]);
        assert_eq!(run(TimestampNanosecondArray::from(vec![1_000, 1_001]), "datetime").1, [1]);
        assert_eq!(run(TimestampMicrosecondArray::from(vec![0, 1]), "date").1, [1]);
        assert_eq!(run(UInt64Array::from(vec![u64::MAX]), "decimal(20,0)").1, [0; 0]);
        assert_eq!(run(UInt64Array::from(vec![u64::MAX, 5]), "long").1, [0]);
        assert_eq!(run(StringArray::from(vec!["1.5", "x"]), "decimal(5,1)").1, [1]);
    }

    #[test]
    fn utc_is_a_wall_clock_and_other_zones_are_refused() {
        let utc = TimestampMicrosecondArray::from(vec![5]).with_timezone("UTC");
        let (column, bad) = run(utc, "datetime");
        assert_eq!((column.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0), bad.len()), (5, 0));
        let moscow = Field::new("x", DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Moscow".into())), true);
        assert_eq!(way(&moscow, &to("datetime")).unwrap_err().kind(), ErrorKind::SchemaMismatch);
    }

    #[test]
    fn what_never_fits_is_said_at_once() {
        for (from, declared) in [
            (DataType::Float64, "decimal(15,2)"),
            (DataType::Boolean, "int"),
            (DataType::Int64, "double"),
            (DataType::Binary, "string"),
        ] {
            let error = way(&Field::new("x", from, true), &to(declared)).unwrap_err();
            assert!(error.to_string().contains("`x`"), "{error}");
        }
        assert_eq!(run(Float64Array::from(vec![f64::NAN, -0.0]), "double").1, [0; 0]);
    }
}
