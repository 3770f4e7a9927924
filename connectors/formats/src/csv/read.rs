//! CSV → batches.

use super::CsvStyle;
use super::records::{Next, Record, Records};
use crate::reading::{Emit, Reading, missing_column, schema_of};
use crate::rows::Rows;
use crate::values::ColumnBuilder;
use arrow::datatypes::SchemaRef;
use obmen_sdk::{BadRow, Error, ErrorKind, Result};
use obmen_spec::ColumnType;
use std::io::Read;

/// The columns of a file by its header: all that have a name, as strings.
///
/// # Errors
/// `SchemaMismatch` when there is no header, or a name stands in it twice; `InvalidData` for a header
/// that cannot be read; those of the input.
pub fn schema(input: impl Read + Send + 'static, file: &str, style: &CsvStyle) -> Result<SchemaRef> {
    if !style.header {
        let message = "a file without a header needs declared columns, in the order of the file";
        return Err(Error::new(ErrorKind::SchemaMismatch, message).with("file", file));
    }
    let mut records = open(input, file, style)?;
    let names = header(&mut records, file, style)?;
    let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
    for (at, name) in names.iter().enumerate() {
        if names.iter().take(at).any(|other| other == name) {
            return Err(doubled(file, name));
        }
    }
    Ok(schema_of(names.into_iter().map(|name| (name, ColumnType::String))))
}

/// Reads a file. Bad rows come in their batches; their place is `file:line:column`, columns in characters.
///
/// # Errors
/// `SchemaMismatch` for a declared column the header lacks or has twice; `InvalidData` for a header
/// that cannot be read; those of the input and of `emit`.
pub fn read(
    input: impl Read + Send + 'static,
    reading: Reading<'_>,
    style: &CsvStyle,
    emit: &mut Emit<'_>,
) -> Result<()> {
    let file = reading.file;
    let mut records = open(input, file, style)?;
    let columns = Columns::find(&mut records, reading, style)?;
    let mut rows = Rows::new(reading.projected()?, reading.batch_rows)?;
    let chars = |bytes: &[u8]| style.encoding.count_chars(bytes);
    loop {
        match records.next(chars).map_err(|error| Error::from(error).with("file", file))? {
            Next::End => break,
            Next::Broken { place, reason } => {
                rows.bad(BadRow { place: show_place(file, place), column: None, reason: reason.to_owned() });
            }
            Next::Record(record) => {
                rows.row(record.bytes(), |builders| columns.decode(&record, builders, file, style));
            }
        }
        if rows.is_full() {
            emit(rows.take()?)?;
        }
    }
    if rows.is_empty() { Ok(()) } else { emit(rows.take()?) }
}

/// Which field of a record each wanted column is.
struct Columns {
    /// Name, and position among the fields, in the order of the batches.
    wanted: Vec<(String, usize)>,
    /// Fields a record has at least and at most.
    least: usize,
    most: usize,
}

impl Columns {
    fn find<R: Read>(records: &mut Records<R>, reading: Reading<'_>, style: &CsvStyle) -> Result<Self> {
        let declared: Vec<&str> = reading.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let names: Vec<String> = if style.header {
            header(records, reading.file, style)?
        } else {
            declared.iter().map(|name| (*name).to_owned()).collect()
        };
        let mut places = Vec::with_capacity(declared.len());
        for name in declared {
            let mut found = names.iter().enumerate().filter(|(_, other)| *other == name).map(|(at, _)| at);
            let there = names.iter().map(String::as_str).filter(|name| !name.is_empty());
            let place = found.next().ok_or_else(|| missing_column(reading.file, name, there))?;
            if found.next().is_some() {
                return Err(doubled(reading.file, name));
            }
            places.push((name.to_owned(), place));
        }
        let wanted = match reading.columns {
            None => places,
            Some(columns) => columns.iter().filter_map(|column| places.get(*column).cloned()).collect(),
        };
        let least = names.iter().rposition(|name| !name.is_empty()).map_or(0, |at| at + 1);
        Ok(Self { wanted, least, most: names.len() })
    }

    fn decode(
        &self,
        record: &Record<'_>,
        builders: &mut [ColumnBuilder],
        file: &str,
        style: &CsvStyle,
    ) -> Result<(), BadRow> {
        let place = |index| show_place(file, record.place(index, |bytes| style.encoding.count_chars(bytes)));
        let count = record.len();
        if count < self.least || count > self.most {
            let expected = if style.header { "the header" } else { "the declaration" };
            let reason =
                format!("has {}, {expected} has {}", plural(count), plural(self.least.max(self.most.min(count))));
            return Err(BadRow { place: place(count.min(self.most)), column: None, reason });
        }
        for ((name, index), builder) in self.wanted.iter().zip(builders) {
            append(record, *index, builder, style).map_err(|reason| BadRow {
                place: place(*index),
                column: Some(name.clone()),
                reason,
            })?;
        }
        Ok(())
    }
}

fn append(record: &Record<'_>, index: usize, builder: &mut ColumnBuilder, style: &CsvStyle) -> Result<(), String> {
    let bytes = record.get(index);
    if bytes.is_empty() {
        builder.append_null();
        return Ok(());
    }
    let text = style.encoding.decode(bytes).map_err(|at| {
        let byte = bytes.get(at).copied().unwrap_or_default();
        format!("has the byte 0x{byte:02X}, which means nothing in {}", style.encoding.name())
    })?;
    if record.is_quoted(index) && style.text.is_null(&text) {
        // Quotes say that the word is meant as a text.
        let plain = crate::values::TextStyle { nulls: Vec::new(), ..style.text.clone() };
        return builder.append_text(&text, &plain);
    }
    builder.append_text(&text, &style.text)
}

fn open(input: impl Read + Send + 'static, file: &str, style: &CsvStyle) -> Result<Records<Box<dyn Read + Send>>> {
    let with_file = |error: std::io::Error| Error::from(error).with("file", file);
    let input = style.encoding.transcode(input).map_err(with_file)?;
    let mut records = Records::new(input, style.delimiter, style.quote);
    records.skip_lines(style.skip_lines).map_err(with_file)?;
    Ok(records)
}

/// The names of the header, in its order; those without a name are empty.
fn header<R: Read>(records: &mut Records<R>, file: &str, style: &CsvStyle) -> Result<Vec<String>> {
    let chars = |bytes: &[u8]| style.encoding.count_chars(bytes);
    let record = match records.next(chars).map_err(|error| Error::from(error).with("file", file))? {
        Next::Record(record) => record,
        Next::Broken { place, reason } => {
            return Err(Error::invalid_data(format!("the header cannot be read: {reason}"))
                .with("file", show_place(file, place)));
        }
        Next::End => {
            return Err(Error::new(ErrorKind::SchemaMismatch, "the file is empty: it has no header").with("file", file));
        }
    };
    (0..record.len())
        .map(|index| {
            let name = style.encoding.decode(record.get(index)).map(std::borrow::Cow::into_owned);
            name.map_err(|_| {
                let encoding = style.encoding.name();
                Error::invalid_data(format!("the header is not {encoding}; say which `encoding:` the file has"))
                    .with("file", show_place(file, record.place(index, chars)))
            })
        })
        .collect()
}

fn show_place(file: &str, (line, column): (u64, usize)) -> String {
    format!("{file}:{line}:{column}")
}

fn plural(count: usize) -> String {
    if count == 1 { "1 field".to_owned() } else { format!("{count} fields") }
}

fn doubled(file: &str, name: &str) -> Error {
    Error::new(ErrorKind::SchemaMismatch, format!("the header has the column `{name}` twice"))
        .with("file", file)
        .with("column", name)
}
