//! Sources that bring only what changed: where reading starts, and what it means that a row did not come.

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Int32Array, Int64Array, TimestampMicrosecondArray};
use arrow::compute::take_record_batch;
use arrow::datatypes::{
    DataType, Date32Type, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, RowConverter, SortField};
use chrono::{DateTime, Utc};
use obmen_sdk::{Error, ErrorKind, Filter, Result};
use obmen_spec::SqlText;
use obmen_spec::pipeline::{Back, Changes, ChangesKind, Watermark};
use std::sync::Arc;

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400;

/// How a mirrored source finds its changes.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// Files arrive: the source itself knows what is new.
    Inbox,
    /// Rows from the last position on.
    Cursor(Watermark),
    /// Keys and versions of all rows, then the rows whose version differs.
    Version(Watermark),
    /// The rows of the last time again.
    Window(Watermark),
}

impl Way {
    /// The way of a source; `None` for one that is read whole.
    pub(crate) fn of(changes: Option<&Changes>) -> Option<Self> {
        let changes = changes?;
        let mark = || changes.watermark.clone();
        match changes.kind {
            ChangesKind::Inbox => Some(Self::Inbox),
            ChangesKind::Cursor => mark().map(Self::Cursor),
            ChangesKind::Version => mark().map(Self::Version),
            ChangesKind::Window => mark().map(Self::Window),
            _ => None,
        }
    }

    /// What tells mirrors of one entity apart that are read in different ways. An inbox gives its files once, so all its
    /// readers share one mirror.
    pub(crate) fn identity(&self, schema: &SchemaRef, key: &[String]) -> String {
        let (word, mark) = match self {
            Self::Inbox => return String::new(),
            Self::Cursor(mark) => ("cursor", mark),
            Self::Version(mark) => ("version", mark),
            Self::Window(mark) => ("window", mark),
        };
        let columns: Vec<String> =
            schema.fields().iter().map(|field| format!("{}:{}", field.name(), field.data_type())).collect();
        let columns = format!("{} by {}", columns.join(","), key.join(","));
        let columns = xxhash_rust::xxh3::xxh3_64(columns.as_bytes());
        format!("#{word}:{}#{columns:016x}", mark.column)
    }
}

/// Where the next read of a source starts.
pub(crate) struct Start {
    /// Rows to ask for.
    pub(crate) filter: Vec<Filter>,
    /// Every row of the source comes, so that a missing one is gone: all of them, or those that meet this condition.
    pub(crate) complete: Complete,
}

/// Which rows a read shows all of.
pub(crate) enum Complete {
    /// None: only what changed comes.
    Nothing,
    /// All of the source.
    Everything,
    /// Those that meet a condition.
    Where(SqlText),
}

impl Start {
    /// The whole source.
    pub(crate) fn everything() -> Self {
        Self { filter: Vec::new(), complete: Complete::Everything }
    }

    /// From a position of a cursor on.
    ///
    /// # Errors
    /// `SchemaMismatch` for an overlap that does not fit the column; `InvalidData` for a damaged position.
    pub(crate) fn after(mark: &Watermark, position: &[u8]) -> Result<Self> {
        let row = decode(position)?;
        let row = match &mark.overlap {
            Some(overlap) => back(&row, overlap.value)?,
            None => row,
        };
        let filter = vec![Filter::From { row, inclusive: mark.tie.is_none() }];
        Ok(Self { filter, complete: Complete::Nothing })
    }

    /// The last part of a source, as a window sees it.
    ///
    /// # Errors
    /// `SchemaMismatch` for a column that is no time.
    pub(crate) fn window(mark: &Watermark, schema: &SchemaRef, now: DateTime<Utc>) -> Result<Self> {
        let column = columns(schema, std::slice::from_ref(&mark.column.value))?;
        let now = now.timestamp_micros();
        let value: ArrayRef = match column.field(0).data_type() {
            DataType::Date32 => {
                let day = i32::try_from(now.div_euclid(MICROS * DAY)).unwrap_or(i32::MAX);
                Arc::new(Date32Array::from(vec![day]))
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Arc::new(TimestampMicrosecondArray::from(vec![now]).with_timezone_opt(zone.clone()))
            }
            other => {
                let message = format!("a window needs a column of dates or times, `{}` is {other}", mark.column);
                return Err(Error::new(ErrorKind::SchemaMismatch, message));
            }
        };
        let last = mark.last.as_ref().map_or(Back::Units(0), |last| last.value);
        let row = back(&RecordBatch::try_new(column, vec![value])?, last)?;
        let from = arrow::util::display::array_value_to_string(row.column(0), 0)?;
        let text = format!("\"{}\" >= '{from}'", mark.column.replace('"', "\"\""));
        let condition = SqlText { text, span: mark.column.span, lines: Vec::new() };
        Ok(Self { filter: vec![Filter::From { row, inclusive: true }], complete: Complete::Where(condition) })
    }
}

/// The furthest position among rows that come in any order.
pub(crate) struct Furthest {
    columns: Vec<String>,
    converter: RowConverter,
    found: Option<(OwnedRow, RecordBatch)>,
    /// Rows without one: their changes cannot be seen.
    pub(crate) without: u64,
}

impl Furthest {
    /// Begins at the last position, if there is one.
    ///
    /// # Errors
    /// `SchemaMismatch` for columns the source does not have.
    pub(crate) fn new(mark: &Watermark, schema: &SchemaRef, position: Option<&[u8]>) -> Result<Self> {
        let names: Vec<String> =
            std::iter::once(&mark.column).chain(&mark.tie).map(|column| column.value.clone()).collect();
        let fields = columns(schema, &names)?;
        let sort = fields.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let mut furthest = Self { columns: names, converter: RowConverter::new(sort)?, found: None, without: 0 };
        if let Some(position) = position {
            furthest.add(&decode(position)?)?;
        }
        Ok(furthest)
    }

    /// Looks at rows.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let indices =
            self.columns.iter().map(|name| Ok(batch.schema_ref().index_of(name)?)).collect::<Result<Vec<usize>>>()?;
        let batch = batch.project(&indices)?;
        let rows = self.converter.convert_columns(batch.columns())?;
        let whole = |row: usize| batch.columns().iter().all(|column| column.is_valid(row));
        let best = (0..batch.num_rows()).filter(|row| whole(*row)).max_by_key(|row| rows.row(*row));
        self.without += (0..batch.num_rows()).filter(|row| !whole(*row)).count() as u64;
        if let Some(row) = best
            && self.found.as_ref().is_none_or(|(found, _)| rows.row(row) > found.row())
        {
            let at = arrow::array::UInt64Array::from(vec![row as u64]);
            self.found = Some((rows.row(row).owned(), take_record_batch(&batch, &at)?));
        }
        Ok(())
    }

    /// The position.
    pub(crate) fn position(&self) -> Result<Option<Vec<u8>>> {
        self.found.as_ref().map(|(_, row)| encode(row)).transpose()
    }
}

/// One row as bytes.
pub(crate) fn encode(row: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), row.schema_ref())?;
    writer.write(row)?;
    writer.finish()?;
    Ok(writer.into_inner()?)
}

fn decode(position: &[u8]) -> Result<RecordBatch> {
    let damaged = || Error::invalid_data("the position of a mirror is damaged").with("state", "mirrors");
    let mut reader = StreamReader::try_new(position, None).map_err(|_| damaged())?;
    reader.next().ok_or_else(damaged)?.map_err(|_| damaged())
}

fn columns(schema: &SchemaRef, names: &[String]) -> Result<SchemaRef> {
    let fields = names.iter().map(|name| {
        let missing = |_| Error::new(ErrorKind::SchemaMismatch, format!("the source has no column `{name}`"));
        schema.field_with_name(name).cloned().map_err(missing)
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}

/// A position moved back, by its first column.
fn back(row: &RecordBatch, distance: Back) -> Result<RecordBatch> {
    let column = row.column(0);
    let moved: ArrayRef = match (column.data_type(), distance) {
        (_, Back::Units(0)) => Arc::clone(column),
        (DataType::Int32, Back::Units(units)) => {
            let value = column.as_primitive::<Int32Type>().value(0);
            Arc::new(Int32Array::from(vec![value.saturating_sub(i32::try_from(units).unwrap_or(i32::MAX))]))
        }
        (DataType::Int64, Back::Units(units)) => {
            let value = column.as_primitive::<Int64Type>().value(0);
            Arc::new(Int64Array::from(vec![value.saturating_sub(i64::try_from(units).unwrap_or(i64::MAX))]))
        }
        (DataType::Date32, Back::Seconds(seconds)) => {
            let days = i32::try_from(seconds.div_ceil(DAY.unsigned_abs())).unwrap_or(i32::MAX);
            let value = column.as_primitive::<Date32Type>().value(0);
            Arc::new(Date32Array::from(vec![value.saturating_sub(days)]))
        }
        (DataType::Timestamp(TimeUnit::Microsecond, zone), Back::Seconds(seconds)) => {
            let value = column.as_primitive::<TimestampMicrosecondType>().value(0);
            let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(MICROS);
            let moved = TimestampMicrosecondArray::from(vec![value.saturating_sub(micros)]);
            Arc::new(moved.with_timezone_opt(zone.clone()))
        }
        (other, _) => {
            let message = format!(
                "column `{}` of type {other} cannot be moved back so far: write a time (`10m`) for times, \
                 a whole number for numbers",
                row.schema().field(0).name()
            );
            return Err(Error::new(ErrorKind::SchemaMismatch, message));
        }
    };
    Ok(RecordBatch::try_new(row.schema(), vec![moved])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use arrow::datatypes::Field;
    use obmen_diagnostics::{FileId, Span, Spanned};

    fn mark(overlap: Option<Back>, tie: Option<&str>) -> Watermark {
        let spanned = |text: &str| Spanned::new(text.to_owned(), Span::new(FileId(0), 0..0));
        Watermark {
            column: spanned("at"),
            overlap: overlap.map(|overlap| Spanned::new(overlap, Span::new(FileId(0), 0..0))),
            tie: tie.map(spanned),
            last: Some(Spanned::new(Back::Seconds(7 * 86_400), Span::new(FileId(0), 0..0))),
        }
    }

    fn rows(at: Vec<Option<i64>>, id: Vec<&str>) -> RecordBatch {
        let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(at));
        let id: ArrayRef = Arc::new(StringArray::from(id));
        let schema =
            Schema::new(vec![Field::new("at", at.data_type().clone(), true), Field::new("id", DataType::Utf8, true)]);
        RecordBatch::try_new(Arc::new(schema), vec![at, id]).unwrap()
    }

    #[test]
    fn another_key_or_other_columns_are_another_mirror_but_an_inbox_has_one() {
        let (way, schema) = (Way::Cursor(mark(None, None)), rows(Vec::new(), Vec::new()).schema());
        let by = |key: &str| way.identity(&schema, &[key.to_owned()]);
        assert_ne!(by("id"), by("at"), "rows are kept by the key");
        let fewer = Arc::new(schema.project(&[0]).unwrap());
        assert_ne!(by("id"), way.identity(&fewer, &["id".to_owned()]));
        assert_eq!(Way::Inbox.identity(&schema, &["id".to_owned()]), "");
    }

    #[test]
    fn the_furthest_position_is_found_in_any_order_and_rows_without_one_are_counted() {
        let batch = rows(vec![Some(5), None, Some(9), Some(9), Some(1)], vec!["a", "b", "c", "d", "e"]);
        let mut furthest = Furthest::new(&mark(None, Some("id")), &batch.schema(), None).unwrap();
        furthest.add(&batch.slice(0, 2)).unwrap();
        furthest.add(&batch.slice(2, 3)).unwrap();
        assert_eq!(furthest.without, 1);
        let position = furthest.position().unwrap().unwrap();
        assert_eq!(decode(&position).unwrap(), rows(vec![Some(9)], vec!["d"]));
        let again = Furthest::new(&mark(None, Some("id")), &batch.schema(), Some(&position)).unwrap();
        assert_eq!(again.position().unwrap().unwrap(), position, "nothing new: it stays where it is");
    }

    #[test]
    fn reading_goes_on_after_the_position_or_an_overlap_before_it() {
        let batch = rows(vec![Some(5 * MICROS), Some(8 * MICROS), Some(9 * MICROS)], vec!["a", "b", "c"]);
        let position = |tie| {
            let mut furthest = Furthest::new(&mark(None, tie), &batch.schema(), None).unwrap();
            furthest.add(&batch.slice(0, 2)).unwrap();
            furthest.position().unwrap().unwrap()
        };
        let kept = |mark: &Watermark, position: &[u8]| {
            let start = Start::after(mark, position).unwrap();
            start.filter[0].holds(&batch).unwrap().iter().map(Option::unwrap).collect::<Vec<_>>()
        };
        assert_eq!(kept(&mark(None, None), &position(None)), [false, true, true], "rows of the position come again");
        assert_eq!(kept(&mark(None, Some("id")), &position(Some("id"))), [false, false, true]);
        assert_eq!(kept(&mark(Some(Back::Seconds(3)), None), &position(None)), [true, true, true]);
        let wrong = Start::after(&mark(Some(Back::Units(3)), None), &position(None)).map(drop).unwrap_err();
        assert!(wrong.to_string().contains("`at`"), "{wrong}");
    }
}
