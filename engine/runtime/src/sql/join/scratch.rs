//! Rows on disk, in parts.
//!
//! All parts are in one file, in pieces: a file descriptor for each side is little, one for each part would not be.
//! A piece is a stream of Arrow IPC of its own.

use super::PARTS;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::spill_file::{SpillFile, SpillWriter};
use datafusion::physical_plan::metrics::SpillMetrics;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use std::io::{Cursor, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// A file that rows are written to.
pub(super) struct Writing {
    file: Arc<dyn SpillFile>,
    writer: Box<dyn SpillWriter>,
    schema: SchemaRef,
    at: u64,
    parts: Vec<Part>,
    spilled: SpillMetrics,
}

/// A file that rows are read from. It is deleted with the last reader.
pub(super) struct Scratch {
    file: Arc<dyn SpillFile>,
    schema: SchemaRef,
    parts: Vec<Part>,
}

/// Some of the rows of a file.
#[derive(Clone, Default)]
pub(super) struct Part {
    /// Where each piece starts and how many bytes it has.
    pieces: Vec<(u64, usize)>,
    /// Bytes of all pieces, about as many as they take in memory.
    pub(super) bytes: usize,
    /// The hash that all keys have; none if there are no keys or they have different ones.
    pub(super) hash: Hash,
}

/// Whether keys have one hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hash {
    /// There are no keys.
    #[default]
    None,
    /// All have this one.
    One(u64),
    /// They have different ones, so splitting by another hash tells them apart.
    Many,
}

impl Hash {
    /// This with one key more.
    pub(super) fn with(self, hash: u64) -> Self {
        match self {
            Self::None => Self::One(hash),
            Self::One(known) if known == hash => self,
            Self::One(_) | Self::Many => Self::Many,
        }
    }
}

impl Writing {
    /// An empty file for rows with the columns of `schema`.
    pub(super) fn create(environment: &RuntimeEnv, schema: SchemaRef, spilled: SpillMetrics) -> Result<Self> {
        let file = environment.disk_manager.create_tmp_file("a join")?;
        let writer = file.open_writer()?;
        spilled.spill_file_count.add(1);
        Ok(Self { file, writer, schema, at: 0, parts: vec![Part::default(); PARTS], spilled })
    }

    /// Appends rows to a part.
    pub(super) fn write(&mut self, part: usize, rows: &RecordBatch) -> Result<()> {
        let mut piece = Vec::new();
        let mut writer = StreamWriter::try_new(&mut piece, &self.schema)?;
        writer.write(rows)?;
        writer.finish()?;
        drop(writer);
        self.writer.write_all(&piece)?;
        self.spilled.spilled_bytes.add(piece.len());
        self.spilled.spilled_rows.add(rows.num_rows());
        let part = &mut self.parts[part];
        part.pieces.push((self.at, piece.len()));
        part.bytes += piece.len();
        self.at += piece.len() as u64;
        Ok(())
    }

    /// Takes notice of a key in a part.
    pub(super) fn saw(&mut self, part: usize, hash: u64) {
        let known = &mut self.parts[part].hash;
        *known = known.with(hash);
    }

    /// The file, to read.
    pub(super) fn finish(mut self) -> Result<Arc<Scratch>> {
        self.writer.flush()?;
        self.writer.finish()?;
        Ok(Arc::new(Scratch { file: self.file, schema: self.schema, parts: self.parts }))
    }
}

impl Scratch {
    /// What is known of a part.
    pub(super) fn part(&self, part: usize) -> &Part {
        &self.parts[part]
    }

    /// The rows of a part, as they were written.
    pub(super) fn read(self: &Arc<Self>, part: usize) -> SendableRecordBatchStream {
        let pieces = self.parts[part].pieces.clone().into_iter();
        let start = Reading { scratch: Arc::clone(self), file: None, pieces };
        let rows =
            stream::try_unfold(
                start,
                |mut reading| async move { Ok(reading.next().await?.map(|rows| (rows, reading))) },
            );
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }

    fn path(&self) -> Result<&Path> {
        self.file.path().ok_or_else(|| DataFusionError::Internal("a scratch file has no path".to_owned()))
    }
}

struct Reading {
    scratch: Arc<Scratch>,
    file: Option<File>,
    pieces: std::vec::IntoIter<(u64, usize)>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some((at, length)) = self.pieces.next() else { return Ok(None) };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(self.scratch.path()?).await?),
        };
        let mut piece = vec![0; length];
        file.seek(SeekFrom::Start(at)).await?;
        file.read_exact(&mut piece).await?;
        StreamReader::try_new(Cursor::new(piece), None)?.next().transpose().map_err(DataFusionError::from)
    }
}
