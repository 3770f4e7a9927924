//! Writing beside the work that makes the rows: encoding and compressing keep another core busy.

use crate::table::FileWriter;
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, Result};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Batches that may wait to be written.
const WAITING: usize = 2;

/// What rows are written to.
pub(crate) trait Writer: Send + 'static {
    /// Adds rows.
    ///
    /// # Errors
    /// Those of the disk.
    fn write(&mut self, batch: RecordBatch) -> Result<()>;
}

impl Writer for FileWriter {
    fn write(&mut self, batch: RecordBatch) -> Result<()> {
        FileWriter::write(self, &batch)
    }
}

/// A writer on a thread of its own. A file dropped without [`finish`](Self::finish) leaves what
/// [`FileWriter`] leaves then.
pub(crate) struct Beside<W> {
    batches: Option<SyncSender<RecordBatch>>,
    thread: Option<JoinHandle<Result<W>>>,
    rows: u64,
}

impl<W: Writer> Beside<W> {
    /// Goes on writing beside.
    ///
    /// # Errors
    /// `Exhausted` and the like, if there is no thread to be had.
    pub(crate) fn start(mut writer: W) -> Result<Self> {
        let (batches, waiting) = sync_channel::<RecordBatch>(WAITING);
        let write = move || {
            for batch in waiting {
                writer.write(batch)?;
            }
            Ok(writer)
        };
        let thread = std::thread::Builder::new().name("obmen-writer".to_owned()).spawn(write)?;
        Ok(Self { batches: Some(batches), thread: Some(thread), rows: 0 })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// Those of writing these rows or earlier ones.
    pub(crate) fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        let sent = self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok());
        if sent { Ok(()) } else { self.end().and_then(|_| Err(Error::internal("writing ended before the rows did"))) }
    }

    /// Rows added so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The writer, when it has taken all rows.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub(crate) fn end(&mut self) -> Result<W> {
        self.batches = None;
        let thread = self.thread.take().ok_or_else(|| Error::internal("writing was ended twice"))?;
        thread.join().map_err(|_| Error::internal("writing broke off"))?
    }
}

impl Beside<FileWriter> {
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
}
