//! Parquet → batches.

use crate::convert::{Conversion, natural};
use crate::reading::{Emit, Reading, schema_of};
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::ChunkReader;
use arrow::datatypes::SchemaRef;
use obmen_sdk::{Error, ErrorKind, Result};

/// The columns of a file by its footer.
///
/// # Errors
/// `SchemaMismatch` for a column no column can be declared as; `InvalidData` for a file that is not
/// Parquet; those of the input.
pub fn schema(input: impl ChunkReader + 'static, file: &str) -> Result<SchemaRef> {
    let builder = open(input, file)?;
    let kinds = builder.schema().fields().iter().map(|field| {
        let kind = natural(field).ok_or_else(|| {
            let message =
                format!("the column `{}` has the type {}, which no column can have", field.name(), field.data_type());
            Error::new(ErrorKind::SchemaMismatch, format!("{message}; declare the columns to read without it"))
                .with("file", file)
                .with("column", field.name())
        })?;
        Ok((field.name().clone(), kind))
    });
    Ok(schema_of(kinds.collect::<Result<Vec<_>>>()?))
}

/// Reads a file. The place of a bad row is `file: row N`, from 1.
///
/// # Errors
/// `SchemaMismatch` for a declared column that is not there or of a type that never fits;
/// `InvalidData` for a file that is damaged; those of the input and of `emit`.
pub fn read(input: impl ChunkReader + 'static, reading: Reading<'_>, emit: &mut Emit<'_>) -> Result<()> {
    let file = reading.file;
    let builder = open(input, file)?;
    let conversion = Conversion::new(builder.schema(), &reading)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), conversion.needed());
    let reader = builder.with_projection(mask).with_batch_size(reading.batch_rows.max(1)).build();
    let mut first = 1;
    for batch in reader.map_err(|error| damaged(error, file))? {
        let batch =
            batch.map_err(|error| Error::invalid_data(format!("the file is damaged: {error}")).with("file", file))?;
        emit(conversion.apply(&batch, |row| format!("{file}: row {}", first + row))?)?;
        first += batch.num_rows();
    }
    Ok(())
}

fn open<T: ChunkReader + 'static>(input: T, file: &str) -> Result<ParquetRecordBatchReaderBuilder<T>> {
    ParquetRecordBatchReaderBuilder::try_new(input).map_err(|error| damaged(error, file))
}

fn damaged(error: ParquetError, file: &str) -> Error {
    match error {
        ParquetError::External(cause) if cause.is::<std::io::Error>() => match cause.downcast::<std::io::Error>() {
            Ok(io) => Error::from(*io).with("file", file),
            Err(other) => Error::invalid_data("the file is not Parquet, or damaged").because(other).with("file", file),
        },
        other => Error::invalid_data(format!("the file is not Parquet, or damaged: {other}")).with("file", file),
    }
}
