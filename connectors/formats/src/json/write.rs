//! Rows → one JSON object per line.

use crate::values::write_json;
use arrow::array::RecordBatch;
use obmen_sdk::Result;
use std::io::Write;

/// Writes objects one per line. A row that cannot be written is refused alone.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins; writes nothing yet.
    pub fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }

    /// Writes a row as an object with all its columns.
    ///
    /// # Errors
    /// As for [`line`](Self::line).
    pub fn row(&mut self, rows: &RecordBatch, row: usize) -> Result<Result<(), String>> {
        let all: Vec<usize> = (0..rows.num_columns()).collect();
        self.line(|line| write_object(line, rows, &all, row))
    }

    /// Writes a line that `compose` makes.
    ///
    /// # Errors
    /// The outer one is of the output. The inner one is of `compose`; nothing is written then.
    pub fn line(&mut self, compose: impl FnOnce(&mut Vec<u8>) -> Result<(), String>) -> Result<Result<(), String>> {
        self.line.clear();
        if let Err(reason) = compose(&mut self.line) {
            return Ok(Err(reason));
        }
        self.line.push(b'\n');
        self.out.write_all(&self.line)?;
        Ok(Ok(()))
    }

    /// Writes what is buffered and gives back the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Appends some columns of a row as an object.
///
/// # Errors
/// A phrase that names the column, for a value JSON cannot write.
pub fn write_object(out: &mut Vec<u8>, rows: &RecordBatch, columns: &[usize], row: usize) -> Result<(), String> {
    out.push(b'{');
    for (at, index) in columns.iter().enumerate() {
        let schema = rows.schema_ref();
        let field = schema.field(*index);
        crate::values::write_name(out, at, field.name());
        write_json(out, rows.column(*index).as_ref(), field, row)
            .map_err(|reason| format!("`{}` {reason}", field.name()))?;
    }
    out.push(b'}');
    Ok(())
}
