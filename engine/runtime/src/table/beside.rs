//! Writing a file beside the work that makes its rows: encoding and compressing keep another core busy.

use super::FileWriter;
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, Result};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Batches that may wait to be written.
const WAITING: usize = 2;

/// A file being written on a thread of its own. Dropped without [`finish`](Self::finish), it leaves a
/// temporary file behind, like [`FileWriter`].
pub(crate) struct Beside {
    batches: Option<SyncSender<RecordBatch>>,
    thread: Option<JoinHandle<Result<FileWriter>>>,
    rows: u64,
}

impl Beside {
    /// Goes on writing a file beside.
    ///
    /// # Errors
    /// `Exhausted` and the like, if there is no thread to be had.
    pub(crate) fn start(mut writer: FileWriter) -> Result<Self> {
        let (batches, waiting) = sync_channel::<RecordBatch>(WAITING);
        let rows = writer.rows();
        let write = move || {
            for batch in waiting {
                writer.write(&batch)?;
            }
            Ok(writer)
        };
        let thread = std::thread::Builder::new().name("obmen-writer".to_owned()).spawn(write)?;
        Ok(Self { batches: Some(batches), thread: Some(thread), rows })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// Those of writing these rows or earlier ones.
    pub(crate) fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        let sent = self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok());
        if sent { Ok(()) } else { self.end().and_then(|_| Err(Error::internal("a file ended before its rows"))) }
    }

    /// Rows written so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Makes the file whole and durable. Gives its rows.
    ///
    /// # Errors
    /// As for [`write`](Self::write) and [`FileWriter::finish`].
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.end()?.finish()
    }

    /// Gives the file up.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn discard(mut self) -> Result<()> {
        self.end()?.discard()
    }

    fn end(&mut self) -> Result<FileWriter> {
        self.batches = None;
        let thread = self.thread.take().ok_or_else(|| Error::internal("a file was ended twice"))?;
        thread.join().map_err(|_| Error::internal("writing a file broke off"))?
    }
}
