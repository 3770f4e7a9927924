//! Writing a file so that it is either whole and on disk, or not there.

use super::KEY;
use crate::state::{Durability, State};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Rows of a page: small, so that looking up a few rows reads little.
const PAGE_ROWS: usize = 1_000;
/// Rows of a row group.
const GROUP_ROWS: usize = 250_000;

/// A file being written. Dropped without [`finish`](Self::finish), it leaves nothing behind but a
/// temporary file that the next run removes.
pub(crate) struct FileWriter {
    writer: ArrowWriter<File>,
    part: PathBuf,
    whole: PathBuf,
    rows: u64,
    durability: Durability,
}

impl FileWriter {
    /// Starts the file `name` (relative, with `/`) of a state's folder.
    pub(crate) fn create(folder: &Path, name: &str, schema: SchemaRef, durability: Durability) -> Result<Self> {
        let whole = folder.join(name);
        let part = whole.with_extension("part");
        if let Some(parent) = whole.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let file = File::create(&part).map_err(|error| Error::from(error).with("state", part.display()))?;
        let writer = ArrowWriter::try_new(file, schema, Some(properties())).map_err(parquet_error)?;
        Ok(Self { writer, part, whole, rows: 0, durability })
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(parquet_error)?;
        // what is buffered for a row group is memory: end it before it grows past a few megabytes
        if self.writer.in_progress_size() > 16 << 20 {
            self.writer.flush().map_err(parquet_error)?;
        }
        Ok(())
    }

    /// Rows written so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Makes the file whole and durable: content, name and folder. Gives its rows.
    pub(crate) fn finish(self) -> Result<u64> {
        let file = self.writer.into_inner().map_err(parquet_error)?;
        if self.durability == Durability::Synced {
            file.sync_all().map_err(|error| Error::from(error).with("state", self.part.display()))?;
        }
        drop(file);
        std::fs::rename(&self.part, &self.whole)
            .map_err(|error| Error::from(error).with("state", self.whole.display()))?;
        if self.durability == Durability::Synced {
            sync_folder(self.whole.parent())?;
        }
        Ok(self.rows)
    }

    /// Gives the file up.
    pub(crate) fn discard(self) -> Result<()> {
        drop(self.writer);
        std::fs::remove_file(&self.part)?;
        Ok(())
    }
}

/// Removes files of `plans/` and `baseline/` that the state does not name: left-overs of a crash.
pub(crate) fn remove_orphans(state: &State) -> Result<usize> {
    let named = state.named_files()?;
    let mut removed = 0;
    for part in ["plans", "baseline"] {
        let folder = state.folder().join(part);
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = format!("{part}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_file() && !named.contains(&name) {
                std::fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn properties() -> WriterProperties {
    let plain = |name: &str| ColumnPath::from(name);
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(plain(KEY), EnabledStatistics::Page)
        .set_column_statistics_enabled(plain(super::RECIPE), EnabledStatistics::Chunk)
        .set_column_dictionary_enabled(plain(KEY), false)
        .set_column_compression(plain(KEY), Compression::UNCOMPRESSED)
        .set_column_dictionary_enabled(plain(super::ROW), false)
        .set_column_compression(plain(super::ROW), Compression::UNCOMPRESSED)
        .build()
}

/// A new name is durable only when its folder is.
#[cfg(unix)]
fn sync_folder(folder: Option<&Path>) -> Result<()> {
    if let Some(folder) = folder {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Windows makes a renamed file's entry durable with the file.
#[cfg(not(unix))]
fn sync_folder(_folder: Option<&Path>) -> Result<()> {
    Ok(())
}

pub(super) fn parquet_error(error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(io) => Error::from(*io).with("state", "a file of rows"),
            Err(source) => Error::internal(source),
        },
        other => Error::invalid_data(format!("a file of the state cannot be read or written: {other}")),
    }
}
