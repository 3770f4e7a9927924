//! The columns of one read: where their values are found in a row, and how they become Arrow arrays.

use crate::cell::{Cell, Reading};
use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder,
    Int32Builder, Int64Builder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use obmen_sdk::{BadRow, Batch, Error, Result};
use obmen_spec::ColumnType;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// A batch is cut after so many bytes of JSON, however few rows they are.
const BATCH_BYTES: usize = 16 << 20;

/// Why a row without a wanted property is bad: a column that silently reads as empty would be worse.
const NO_VALUE: &str = "1C sent no value for it";

/// What is taken from each row.
#[derive(Debug)]
pub(crate) struct Columns {
    /// What batches look like.
    pub(crate) schema: SchemaRef,
    /// How each column is read, in the schema's order.
    readings: Vec<Reading>,
    /// Places of properties in a taken row: the columns first, then parts of the identity that are no columns.
    slots: HashMap<String, usize>,
    /// The properties that identify a row, and their places.
    identity: Vec<(String, usize)>,
}

/// The values of a row, by slot; `None` where the row has no such property.
type Taken = Vec<Option<Value>>;

impl Columns {
    /// Columns of a schema, read in these ways, of rows identified by these properties.
    pub(crate) fn new(schema: SchemaRef, readings: Vec<Reading>, identity: &[String]) -> Self {
        let mut slots: HashMap<String, usize> =
            schema.fields().iter().enumerate().map(|(at, field)| (field.name().clone(), at)).collect();
        let mut place = |name: &String| {
            let next = slots.len();
            (name.clone(), *slots.entry(name.clone()).or_insert(next))
        };
        let identity = identity.iter().map(&mut place).collect();
        Self { schema, readings, slots, identity }
    }

    /// Takes the wanted properties out of a row.
    fn take(&self, row: &[u8]) -> Result<Taken, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_slice(row);
        let taken = json.deserialize_map(Take(self))?;
        json.end()?;
        Ok(taken)
    }

    /// A 128-bit hash of the row's identity, if such rows have one.
    ///
    /// # Errors
    /// The property that is missing.
    fn hash(&self, taken: &Taken) -> Result<Option<u128>, String> {
        let mut hash = Xxh3::new();
        for (name, slot) in &self.identity {
            let part = taken.get(*slot).and_then(Option::as_ref).ok_or_else(|| name.clone())?;
            let text = part.to_string();
            hash.update(&text.len().to_le_bytes());
            hash.update(text.as_bytes());
        }
        Ok((!self.identity.is_empty()).then(|| hash.digest128()))
    }

    /// The row's identity as people look for it: `Ref_Key=9d5c…, LineNumber=1`.
    fn name(&self, taken: &Taken) -> String {
        let part = |(name, slot): &(String, usize)| match taken.get(*slot) {
            Some(Some(Value::String(text))) => format!("{name}={}", short(text)),
            Some(Some(value)) => format!("{name}={}", short(&value.to_string())),
            _ => format!("{name} missing"),
        };
        self.identity.iter().map(part).collect::<Vec<_>>().join(", ")
    }
}

/// A text that fits into a message.
fn short(text: &str) -> String {
    let mut short: String = text.chars().take(64).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Reads the wanted properties of a JSON object and skips the others without keeping them.
struct Take<'a>(&'a Columns);

impl<'de> Visitor<'de> for Take<'_> {
    type Value = Taken;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Taken, A::Error> {
        let mut taken: Taken = vec![None; self.0.slots.len()];
        while let Some(name) = map.next_key::<String>()? {
            match self.0.slots.get(&name).and_then(|slot| taken.get_mut(*slot)) {
                Some(Some(_)) => return Err(A::Error::custom("a property comes twice")),
                Some(place) => *place = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(taken)
    }
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is in the table, or among its bad rows.
    Yes,
    /// A row of the same identity came before.
    Twice,
}

/// Rows that are being read, divided into batches.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Arc<Columns>,
    builders: Vec<Box<dyn Append>>,
    rows: usize,
    bytes: usize,
    most_rows: usize,
    bad: Vec<BadRow>,
    batches: Vec<Batch>,
}

impl Table {
    /// An empty table whose batches have so many rows at most.
    pub(crate) fn new(columns: Arc<Columns>, batch_rows: usize) -> Self {
        let builders = columns.readings.iter().map(|reading| builder(reading.kind)).collect();
        Self {
            columns,
            builders,
            rows: 0,
            bytes: 0,
            most_rows: batch_rows.max(1),
            bad: Vec::new(),
            batches: Vec::new(),
        }
    }

    /// Adds a row. `place` names it for people; `first` says of an identity's hash whether it is new.
    ///
    /// # Errors
    /// `Internal` if Arrow refuses the rows.
    pub(crate) fn push(&mut self, row: &[u8], place: &str, first: impl FnOnce(u128) -> bool) -> Result<Kept> {
        let taken = match self.columns.take(row) {
            Ok(taken) => taken,
            Err(error) => {
                let reason = format!("the row is not a JSON object: {:?} at byte {}", error.classify(), error.column());
                self.bad.push(BadRow { place: place.to_owned(), column: None, reason });
                return Ok(Kept::Yes);
            }
        };
        let identified = self.columns.hash(&taken);
        if matches!(identified, Ok(Some(hash)) if !first(hash)) {
            return Ok(Kept::Twice);
        }
        match identified.map_err(|missing| (missing, NO_VALUE.to_owned())).and_then(|_| self.cells(&taken)) {
            Ok(cells) => self.append(cells, row.len())?,
            Err((column, reason)) => {
                let place = match self.columns.name(&taken) {
                    name if name.is_empty() => place.to_owned(),
                    name => format!("{place} ({name})"),
                };
                self.bad.push(BadRow { place, column: Some(column), reason });
            }
        }
        Ok(Kept::Yes)
    }

    /// Batches that are full.
    pub(crate) fn full(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.batches)
    }

    /// All batches; at least one, so that there is always a last one.
    ///
    /// # Errors
    /// `Internal` if Arrow refuses the rows.
    pub(crate) fn finish(mut self) -> Result<Vec<Batch>> {
        if self.rows > 0 || !self.bad.is_empty() || self.batches.is_empty() {
            self.cut()?;
        }
        Ok(self.batches)
    }

    /// Reads all cells of a row, so that a row with a bad one leaves nothing behind.
    fn cells(&self, taken: &Taken) -> Result<Vec<Cell>, (String, String)> {
        let fields = self.columns.schema.fields();
        let cell = |((reading, value), field): ((&Reading, &Option<Value>), &arrow::datatypes::FieldRef)| {
            let read = match value {
                Some(value) => reading.cell(value.clone()),
                None => Err(NO_VALUE.into()),
            };
            read.map_err(|reason| (field.name().clone(), reason.into_owned()))
        };
        self.columns.readings.iter().zip(taken).zip(fields).map(cell).collect()
    }

    fn append(&mut self, cells: Vec<Cell>, bytes: usize) -> Result<()> {
        for (builder, cell) in self.builders.iter_mut().zip(cells) {
            if !builder.append(cell) {
                return Err(Error::internal("a value went into a column of another type"));
            }
        }
        self.rows += 1;
        self.bytes += bytes;
        if self.rows >= self.most_rows || self.bytes >= BATCH_BYTES { self.cut() } else { Ok(()) }
    }

    /// Ends a batch.
    fn cut(&mut self) -> Result<()> {
        let kinds = self.columns.readings.iter().map(|reading| reading.kind);
        let arrays = self.builders.iter_mut().zip(kinds).map(|(builder, kind)| typed(builder.finish(), kind));
        let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.columns.schema), arrays, &options)
            .map_err(|error| Error::internal("rows do not fit their own columns").because(error))?;
        (self.rows, self.bytes) = (0, 0);
        self.batches.push(Batch { bad: std::mem::take(&mut self.bad), ..Batch::of(rows) });
        Ok(())
    }
}

/// Gives decimals their precision and scale.
fn typed(array: ArrayRef, kind: ColumnType) -> Result<ArrayRef> {
    let ColumnType::Decimal { precision, scale } = kind else { return Ok(array) };
    let wrong = || Error::internal("a decimal column is not one");
    let decimals = array.as_any().downcast_ref::<arrow::array::Decimal128Array>().ok_or_else(wrong)?.clone();
    let scale = i8::try_from(scale).map_err(|error| wrong().because(error))?;
    Ok(Arc::new(decimals.with_precision_and_scale(precision, scale)?))
}

/// A column that grows.
trait Append: fmt::Debug + Send {
    /// Adds a value; `false` if it is of another type.
    fn append(&mut self, cell: Cell) -> bool;
    /// The values so far; the column is empty afterwards.
    fn finish(&mut self) -> ArrayRef;
}

/// Implements [`Append`] for a builder that takes one kind of cell.
macro_rules! append {
    ($($builder:ty: $cell:ident;)*) => {$(
        impl Append for $builder {
            fn append(&mut self, cell: Cell) -> bool {
                match cell {
                    Cell::Null => self.append_null(),
                    Cell::$cell(value) => self.append_value(value),
                    _ => return false,
                }
                true
            }

            fn finish(&mut self) -> ArrayRef {
                ArrayBuilder::finish(self)
            }
        }
    )*};
}

append! {
    StringBuilder: Text;
    BooleanBuilder: Bool;
    Int32Builder: Int;
    Int64Builder: Long;
    Decimal128Builder: Decimal;
    Float64Builder: Double;
    Date32Builder: Date;
    Time64MicrosecondBuilder: Time;
    TimestampMicrosecondBuilder: Datetime;
    BinaryBuilder: Bytes;
}

fn builder(kind: ColumnType) -> Box<dyn Append> {
    match kind {
        ColumnType::String | ColumnType::Uuid | ColumnType::Json => Box::new(StringBuilder::new()),
        ColumnType::Bool => Box::new(BooleanBuilder::new()),
        ColumnType::Int => Box::new(Int32Builder::new()),
        ColumnType::Long => Box::new(Int64Builder::new()),
        ColumnType::Decimal { .. } => Box::new(Decimal128Builder::new()),
        ColumnType::Double => Box::new(Float64Builder::new()),
        ColumnType::Date => Box::new(Date32Builder::new()),
        ColumnType::Time => Box::new(Time64MicrosecondBuilder::new()),
        ColumnType::Datetime => Box::new(TimestampMicrosecondBuilder::new()),
        ColumnType::Binary => Box::new(BinaryBuilder::new()),
    }
}

#[cfg(test)]
mod tests;
