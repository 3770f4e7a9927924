//! Writing a file so that it is either whole and on disk, or not there.

use super::seal::SealedWriter;
use super::{INDEX, KEY, RECIPE, ROW, disk};
use crate::state::{Durability, State};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::path::{Path, PathBuf};

/// Rows of a page: few, so that looking up a row reads little; with fewer still, reading everything gets slower.
const PAGE_ROWS: usize = 1024;
/// Rows of a row group.
const GROUP_ROWS: usize = 250_000;
/// Bytes of a row group that are collected in memory before it is written.
const GROUP_BYTES: usize = 16 << 20;
/// Bytes of a dictionary: it is read whenever a row of its row group is.
const DICTIONARY_BYTES: usize = 16 << 10;
/// The name of the version in a file's metadata.
pub(super) const FORMAT_NAME: &str = "obmen.format";
/// The version of the files: since 2, plans have their values as a baseline has.
pub(super) const FORMAT: u32 = 2;

/// A file being written. Dropped without [`finish`](Self::finish), it leaves nothing behind but a
/// temporary file that the next run removes.
pub(crate) struct FileWriter {
    writer: ArrowWriter<SealedWriter>,
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
            std::fs::create_dir_all(parent).map_err(|error| unwritten(error, parent))?;
        }
        let file = disk::create(&part).map_err(|error| unwritten(error, &part))?;
        let writer = ArrowWriter::try_new(SealedWriter::new(file), schema, Some(properties()))
            .map_err(|error| parquet_unwritten(error, &part))?;
        Ok(Self { writer, part, whole, rows: 0, durability })
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(|error| parquet_unwritten(error, &self.part))?;
        // what is buffered for a row group is memory: end it before it grows
        if self.writer.in_progress_size() > GROUP_BYTES {
            self.writer.flush().map_err(|error| parquet_unwritten(error, &self.part))?;
        }
        Ok(())
    }
    /// Makes the file whole and durable: content, name and folder. Gives its rows.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.writer.flush().map_err(|error| parquet_unwritten(error, &self.part))?;
        self.writer.inner_mut().hold();
        let sealed = self.writer.into_inner().map_err(|error| parquet_unwritten(error, &self.part))?;
        let file = sealed.seal().map_err(|error| unwritten(error, &self.part))?;
        if self.durability == Durability::Synced {
            disk::sync(&file).map_err(|error| unwritten(error, &self.part))?;
        }
        drop(file);
        disk::rename(&self.part, &self.whole).map_err(|error| unwritten(error, &self.whole))?;
        if self.durability == Durability::Synced {
            disk::sync_folder(self.whole.parent()).map_err(|error| unwritten(error, &self.whole))?;
        }
        Ok(self.rows)
    }

    /// Gives the file up.
    pub(crate) fn discard(self) -> Result<()> {
        drop(self.writer);
        disk::remove(&self.part).map_err(|error| unwritten(error, &self.part))
    }
}

/// Removes files of `plans/` and `baseline/` that the state does not name (left-overs of a crash, and
/// of compaction), and publishes the lists of files that are missing. A file that somebody has open
/// and the system does not let go stays until the next time. The store of a state is put in order likewise.
pub(crate) fn remove_orphans(state: &State) -> Result<usize> {
    let mut named = state.named_files()?;
    named.extend(super::published::refresh(state)?);
    let mut removed = 0;
    for part in ["plans", "baseline"] {
        let folder = state.folder().join(part);
        for entry in std::fs::read_dir(&folder).map_err(|error| unwritten(error, &folder))? {
            let entry = entry.map_err(|error| unwritten(error, &folder))?;
            let name = format!("{part}/{}", entry.file_name().to_string_lossy());
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && !named.contains(&name) {
                match disk::remove(&entry.path()) {
                    Ok(()) => removed += 1,
                    Err(error) => tracing::warn!("{name} is not needed, but cannot be removed yet: {error}"),
                }
            }
        }
    }
    state.tidy_store(&named)?;
    Ok(removed)
}

fn properties() -> WriterProperties {
    // LZ4 takes half as much again on disk as ZSTD, and half the time to read
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(vec![KeyValue::new(FORMAT_NAME.to_owned(), FORMAT.to_string())]));
    for hash in [KEY, ROW, INDEX] {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(hash), false)
            .set_column_compression(ColumnPath::from(hash), Compression::UNCOMPRESSED);
    }
    for sorted in [KEY, INDEX] {
        properties = properties.set_column_statistics_enabled(ColumnPath::from(sorted), EnabledStatistics::Page);
    }
    properties.set_column_statistics_enabled(ColumnPath::from(RECIPE), EnabledStatistics::Chunk).build()
}

/// An error of the disk while a file of the state is written.
pub(super) fn unwritten(error: std::io::Error, path: &Path) -> Error {
    Error::from(error).with("state", path.display())
}

fn parquet_unwritten(error: ParquetError, path: &Path) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(io) => unwritten(*io, path),
            Err(source) => Error::internal(source).with("state", path.display()),
        },
        other => Error::internal(format!("a file of the state cannot be written: {other}")),
    }
}
