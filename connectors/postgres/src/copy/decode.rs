//! Binary `COPY` → batches.

use super::column::{Bad, Block, Column, Span};
use super::{SIGNATURE, Wire};
use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::util::display::array_value_to_string;
use obmen_sdk::{BadRow, Batch, Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A batch is cut after so many bytes, however few rows they are.
const BATCH_BYTES: usize = 16 << 20;

/// Makes batches of the bytes of a binary `COPY … TO`, in pieces of any size.
///
/// Fields of a piece are found first, row by row; then every column takes its own, in a loop for its type. A value that
/// its column cannot hold makes its row bad; the others come.
#[derive(Debug)]
pub struct Decoder {
    schema: SchemaRef,
    columns: Vec<Column>,
    entity: String,
    key: Vec<usize>,
    most_rows: usize,
    /// Rows of batches that were cut.
    before: u64,
    /// Rows and bytes of the batch that grows.
    rows: usize,
    bytes: usize,
    fields: Vec<Span>,
    /// The beginning of a row whose end has not come.
    rest: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Rows,
    Ended,
}

impl Decoder {
    /// Makes ready for rows of these columns, whose values come so, in batches of at most so many rows. Bad rows are
    /// named by the entity and those columns of the key that are read.
    ///
    /// # Errors
    /// `Internal` for columns and wires that do not go together.
    pub fn new(schema: SchemaRef, wires: &[Wire], entity: &str, key: &[String], most_rows: usize) -> Result<Self> {
        if schema.fields().len() != wires.len() {
            return Err(Error::internal("as many columns as values are needed"));
        }
        let columns = schema.fields().iter().zip(wires).enumerate();
        let columns = columns.map(|(at, (field, wire))| Column::new(at, field, *wire)).collect::<Result<_>>()?;
        Ok(Self {
            columns,
            entity: entity.to_owned(),
            key: key.iter().filter_map(|name| schema.index_of(name).ok()).collect(),
            schema,
            most_rows: most_rows.max(1),
            before: 0,
            rows: 0,
            bytes: 0,
            fields: Vec::new(),
            rest: Vec::new(),
            stage: Stage::Header,
        })
    }

    /// Takes the next bytes and gives out the batches they complete.
    ///
    /// # Errors
    /// `InvalidData` for bytes that are no binary `COPY` of so many columns, and those of `emit`.
    pub fn push(&mut self, piece: &[u8], emit: &mut dyn FnMut(Batch) -> Result<()>) -> Result<()> {
        if self.rest.is_empty() {
            let taken = self.take(piece, emit)?;
            self.rest.extend_from_slice(piece.get(taken..).unwrap_or_default());
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(piece);
        let taken = self.take(&bytes, emit)?;
        bytes.drain(..taken);
        self.rest = bytes;
        Ok(())
    }

    /// Gives out the last batch.
    ///
    /// # Errors
    /// `Unavailable` if the bytes broke off before their end, and those of `emit`.
    pub fn finish(mut self, emit: &mut dyn FnMut(Batch) -> Result<()>) -> Result<()> {
        if self.stage != Stage::Ended {
            return Err(Error::new(ErrorKind::Unavailable, "the rows broke off before their end"));
        }
        if self.rows > 0 { emit(self.cut()?) } else { Ok(()) }
    }

    /// Decodes whole rows; says how many bytes they were.
    fn take(&mut self, bytes: &[u8], emit: &mut dyn FnMut(Batch) -> Result<()>) -> Result<usize> {
        let mut at = 0;
        if self.stage == Stage::Header {
            match header(bytes)? {
                None => return Ok(0),
                Some(length) => at = length,
            }
            self.stage = Stage::Rows;
        }
        while self.stage == Stage::Rows {
            let (next, rows) = self.find(bytes, at)?;
            if rows > 0 {
                let block = Block { bytes, fields: &self.fields, width: self.columns.len() };
                for column in &mut self.columns {
                    column.append(block)?;
                }
                self.rows += rows;
                self.bytes += next - at;
            }
            at = next;
            if self.rows >= self.most_rows || self.bytes >= BATCH_BYTES {
                emit(self.cut()?)?;
            } else {
                break;
            }
        }
        if self.stage == Stage::Ended && at < bytes.len() {
            return Err(broken("something follows the end of the rows"));
        }
        Ok(at)
    }

    /// Finds the fields of as many whole rows as there are and the batch has room for: the place after them, and how
    /// many they are.
    fn find(&mut self, bytes: &[u8], mut at: usize) -> Result<(usize, usize)> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(broken("a row is larger than PostgreSQL allows"));
        }
        self.fields.clear();
        let (width, room) = (self.columns.len(), self.most_rows - self.rows);
        let mut rows = 0;
        while rows < room {
            let Some(count) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { break };
            match usize::try_from(i16::from_be_bytes(*count)) {
                Ok(count) if count == width => {}
                Ok(count) => return Err(broken(&format!("a row has {count} fields instead of {width}"))),
                Err(_) => {
                    self.stage = Stage::Ended;
                    at += 2;
                    break;
                }
            }
            let Some(next) = self.find_row(bytes, at + 2)? else { break };
            at = next;
            rows += 1;
        }
        self.fields.truncate(rows * width);
        Ok((at, rows))
    }

    /// Finds the fields of one row: the place after it; `None` if its end has not come.
    fn find_row(&mut self, bytes: &[u8], mut at: usize) -> Result<Option<usize>> {
        for _ in 0..self.columns.len() {
            let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
            at += 4;
            let start = u32::try_from(at).unwrap_or(u32::MAX);
            let length = match i32::from_be_bytes(*length) {
                -1 => Span::NULL,
                length => u32::try_from(length).map_err(|_| broken("a field has a negative length"))?,
            };
            if length != Span::NULL {
                at += length as usize;
                if at > bytes.len() {
                    return Ok(None);
                }
            }
            self.fields.push(Span { start, length });
        }
        Ok(Some(at))
    }

    /// Ends a batch.
    fn cut(&mut self) -> Result<Batch> {
        let mut bad = BTreeMap::new();
        let mut arrays = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            let (array, wrong) = column.finish();
            arrays.push(array);
            for Bad { row, column, reason } in wrong {
                bad.entry(row).or_insert((column, reason));
            }
        }
        let named = bad.iter().map(|(row, (column, reason))| BadRow {
            place: self.place(&arrays, *row),
            column: self.schema.fields().get(*column).map(|field| field.name().clone()),
            reason: format!("the value {reason}"),
        });
        let named: Vec<BadRow> = named.collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let mut rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|error| Error::internal("rows do not fit their own columns").because(error))?;
        if !bad.is_empty() {
            let good: BooleanArray = (0..self.rows).map(|row| Some(!bad.contains_key(&row))).collect();
            rows = filter_record_batch(&rows, &good)?;
        }
        self.before += u64::try_from(self.rows).unwrap_or(0);
        (self.rows, self.bytes) = (0, 0);
        Ok(Batch { bad: named, ..Batch::of(rows) })
    }

    /// Where a row stands: its key, or its number if the key is not read.
    fn place(&self, arrays: &[ArrayRef], row: usize) -> String {
        let mut named = self.key.iter().filter_map(|at| {
            let (array, field) = (arrays.get(*at)?, self.schema.fields().get(*at)?);
            let value = array_value_to_string(array, row).ok().filter(|_| array.is_valid(row))?;
            Some(format!("{} {value}", field.name()))
        });
        let key: Vec<String> = named.by_ref().collect();
        if key.is_empty() {
            let number = self.before + u64::try_from(row).unwrap_or(0) + 1;
            return format!("{}, row {number} of the read", self.entity);
        }
        format!("{}, {}", self.entity, key.join(", "))
    }
}

/// The length of the header, once it has come.
fn header(bytes: &[u8]) -> Result<Option<usize>> {
    let begun = bytes.len().min(SIGNATURE.len());
    if bytes.get(..begun) != SIGNATURE.get(..begun) {
        return Err(broken("they do not begin as they should"));
    }
    let Some(extension) = bytes.get(15..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
    let length = 19 + u32::from_be_bytes(*extension) as usize;
    Ok((bytes.len() >= length).then_some(length))
}

fn broken(why: &str) -> Error {
    Error::invalid_data(format!("the rows PostgreSQL sent cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray as _, Int64Array};
    use arrow::datatypes::{Int64Type, Schema};
    use obmen_sdk::types::arrow_field;
    use obmen_spec::ColumnType;
    use proptest::prelude::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![arrow_field("id", ColumnType::Long), arrow_field("text", ColumnType::String)]))
    }

    fn stream(rows: &[(i64, Option<&[u8]>)]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        for (id, text) in rows {
            bytes.extend([0, 2, 0, 0, 0, 8]);
            bytes.extend(id.to_be_bytes());
            bytes.extend(text.map_or(-1, |text| i32::try_from(text.len()).unwrap()).to_be_bytes());
            bytes.extend(text.unwrap_or_default());
        }
        bytes.extend([0xff, 0xff]);
        bytes
    }

    fn decode(pieces: &[&[u8]], most_rows: usize) -> Result<Vec<Batch>> {
        let mut batches = Vec::new();
        let mut emit = |batch| {
            batches.push(batch);
            Ok(())
        };
        let mut decoder = Decoder::new(schema(), &[Wire::Int8, Wire::Text], "t", &["id".to_owned()], most_rows)?;
        pieces.iter().try_for_each(|piece| decoder.push(piece, &mut emit))?;
        decoder.finish(&mut emit)?;
        Ok(batches)
    }

    fn ids(batches: &[Batch]) -> Vec<i64> {
        batches.iter().flat_map(|batch| batch.rows.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    proptest! {
        #[test]
        fn rows_come_whole_however_the_bytes_are_cut(
            texts in prop::collection::vec(prop::option::of("[а-яa-z]{0,9}"), 0..40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
            most_rows in 1_usize..9,
        ) {
            let rows: Vec<(i64, Option<&[u8]>)> =
                (0..).zip(&texts).map(|(id, text)| (id, text.as_ref().map(String::as_bytes))).collect();
            let bytes = stream(&rows);
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let batches = decode(&pieces, most_rows).unwrap();
            prop_assert!(batches.iter().all(|batch| batch.rows.num_rows() <= most_rows && batch.bad.is_empty()));
            let read: Vec<Option<String>> = batches
                .iter()
                .flat_map(|batch| batch.rows.column(1).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>())
                .collect();
            prop_assert_eq!(read, texts);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200), after in any::<bool>()) {
            let mut all = if after { stream(&[])[..19].to_vec() } else { Vec::new() };
            all.extend(bytes);
            drop(decode(&[&all], 10));
        }
    }

    #[test]
    fn a_row_with_a_bad_value_is_left_out_and_named_by_its_key() {
        let bytes = stream(&[(1, Some(b"a")), (2, Some(b"\xff")), (3, None)]);
        let batches = decode(&[&bytes], 10).unwrap();
        assert_eq!(ids(&batches), [1, 3]);
        let bad = &batches[0].bad[0];
        assert_eq!(
            (bad.place.as_str(), bad.column.as_deref(), bad.reason.as_str()),
            ("t, id 2", Some("text"), "the value is not UTF-8")
        );
    }

    #[test]
    fn rows_that_break_off_are_an_error() {
        let bytes = stream(&[(1, None), (2, None)]);
        for length in 0..bytes.len() {
            assert_eq!(decode(&[&bytes[..length]], 10).unwrap_err().kind(), ErrorKind::Unavailable, "{length}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(decode(&[&longer], 10).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let mut bytes = stream(&[])[..19].to_vec();
        bytes.extend([0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        let mut decoder = Decoder::new(Arc::new(Schema::empty()), &[], "t", &[], 2).unwrap();
        let mut count = 0;
        let mut emit = |batch: Batch| {
            count += batch.rows.num_rows();
            Ok(())
        };
        decoder.push(&bytes, &mut emit).unwrap();
        decoder.finish(&mut emit).unwrap();
        assert_eq!(count, 3);
    }

    #[test]
    fn a_value_of_another_length_is_bad() {
        let mut bytes = stream(&[])[..19].to_vec();
        bytes.extend([0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        let batches = decode(&[&bytes], 2).unwrap();
        assert_eq!(
            batches[0].rows.column(0).as_ref(),
            &Int64Array::from(Vec::<i64>::new()) as &dyn arrow::array::Array
        );
        assert_eq!(batches[0].bad[0].place, "t, row 1 of the read");
    }
}
