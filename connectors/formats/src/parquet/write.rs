//! Batches → Parquet.

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use obmen_sdk::{Error, Result};
use std::io::Write;

/// Rows of a row group at most.
const GROUP_ROWS: usize = 128 << 10;

/// Bytes of a row group that are held in memory at most, about.
const GROUP_BYTES: usize = 32 << 20;

/// Writes batches, compressed with zstd. What the types `uuid` and `json` are called is kept with the schema.
pub struct Writer<W: Write + Send> {
    inner: ArrowWriter<W>,
}

impl<W: Write + Send> std::fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl<W: Write + Send> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// `InvalidData` for a type Parquet does not have; those of the output.
    pub fn new(out: W, schema: SchemaRef) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        Ok(Self { inner: ArrowWriter::try_new(out, schema, Some(properties)).map_err(unwritten)? })
    }

    /// Writes rows.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.inner.write(rows).map_err(unwritten)?;
        if self.inner.in_progress_size() >= GROUP_BYTES {
            self.inner.flush().map_err(unwritten)?;
        }
        Ok(())
    }

    /// Writes the footer and gives back the output. Without it the file is not Parquet.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(self) -> Result<W> {
        self.inner.into_inner().map_err(unwritten)
    }
}

/// The error of the output itself where there is one: a full disk is not a mistake of the rows.
fn unwritten(error: ParquetError) -> Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<std::io::Error>() {
            Ok(io) => Error::from(*io),
            Err(other) => Error::invalid_data("the rows cannot be written as Parquet").because(other),
        },
        other => Error::invalid_data(format!("the rows cannot be written as Parquet: {other}")),
    }
}
