//! Rows → CSV.

use super::CsvStyle;
use crate::values::show_text;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use obmen_sdk::{Error, ErrorKind, Result};
use std::io::Write;

/// Writes rows one by one, so that a row that cannot be written is refused alone.
///
/// Fields are quoted where they have to be, and where an empty string would look like NULL.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    style: CsvStyle,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a file: byte order mark, and header where the style has one. `before` names columns that
    /// stand before those of the rows.
    ///
    /// # Errors
    /// `Unsupported` for UTF-16, lists and structs; `InvalidData` for a name the encoding cannot write;
    /// those of the output.
    pub fn new(mut out: W, style: CsvStyle, before: &[&str], schema: &SchemaRef) -> Result<Self> {
        if style.encoding == crate::Encoding::Utf16 {
            return Err(Error::new(ErrorKind::Unsupported, "UTF-16 is only read; write utf-8-bom for spreadsheets"));
        }
        for field in schema.fields() {
            if matches!(field.data_type(), DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_)) {
                let message = "CSV has no nested parts; write jsonl or parquet, or a sink of its own for the parts";
                return Err(Error::new(ErrorKind::Unsupported, message).with("column", field.name()));
            }
        }
        out.write_all(style.encoding.prologue())?;
        let mut writer = Self { out, style, line: Vec::new() };
        if writer.style.header {
            let names = before.iter().copied().chain(schema.fields().iter().map(|field| field.name().as_str()));
            for name in names {
                writer.field(Some(name)).map_err(Error::invalid_data)?;
            }
            writer.end_line()?;
        }
        Ok(writer)
    }

    /// Writes a row after the texts `before`.
    ///
    /// # Errors
    /// The outer one is of the output. The inner one is the row's fault, as a phrase that names the
    /// column; nothing of the row is written then.
    pub fn row(&mut self, before: &[&str], rows: &RecordBatch, row: usize) -> Result<Result<(), String>> {
        self.line.clear();
        for text in before {
            if let Err(reason) = self.field(Some(text)) {
                return Ok(Err(reason));
            }
        }
        for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            let text = show_text(column.as_ref(), row, &self.style.text);
            if let Err(reason) = text.and_then(|text| self.field(text.as_deref())) {
                return Ok(Err(format!("`{}` {reason}", field.name())));
            }
        }
        // A line without a character is an empty line, not a row of one NULL.
        if self.line.as_slice() == [self.style.delimiter] {
            self.line.splice(0..0, *b"\"\"");
        }
        self.end_line().map(Ok)
    }

    /// Writes what is buffered and gives back the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    /// Adds a field and a delimiter to the line.
    fn field(&mut self, text: Option<&str>) -> Result<(), String> {
        let style = &self.style;
        let Some(text) = text else {
            self.line.push(style.delimiter);
            return Ok(());
        };
        let bytes = style.encoding.encode(text).map_err(|mark| {
            format!("has the character `{}`, which {} cannot write", mark.escape_debug(), style.encoding.name())
        })?;
        let special =
            |byte: &u8| *byte == style.delimiter || Some(*byte) == style.quote || matches!(byte, b'\r' | b'\n');
        let must = bytes.iter().any(special) || bytes.is_empty() || style.text.is_null(text);
        match style.quote {
            _ if !must => self.line.extend_from_slice(&bytes),
            None if bytes.is_empty() => {}
            None => return Err("needs quotes, which `quote: none` does not have".to_owned()),
            Some(quote) => {
                self.line.push(quote);
                for byte in bytes.iter() {
                    if *byte == quote {
                        self.line.push(quote);
                    }
                    self.line.push(*byte);
                }
                self.line.push(quote);
            }
        }
        self.line.push(style.delimiter);
        Ok(())
    }

    fn end_line(&mut self) -> Result<()> {
        self.line.pop();
        self.line.extend_from_slice(if self.style.windows_lines { b"\r\n" } else { b"\n" });
        self.out.write_all(&self.line)?;
        self.line.clear();
        Ok(())
    }
}
