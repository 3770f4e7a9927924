//! A file of rows being read: what is read is checked against the file's seal first.

use super::disk;
use super::seal::{BLOCK, Seal, broken, size};
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// An open file. It stays readable when another takes its name, or nobody names it any more.
#[derive(Debug)]
pub(super) struct SealedFile {
    file: File,
    length: u64,
    seal: Option<Seal>,
}

/// How much is read beyond what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// Nothing: a few rows are wanted.
    Nothing,
    /// Some pages: everything is read in order.
    Pages,
}

/// Bytes read at a time when a file is read in order, per column.
const AHEAD_BYTES: u64 = 16 * BLOCK as u64;

/// Gives Parquet the pages it asks for, checked.
pub(super) struct CheckedPages {
    source: Arc<SealedFile>,
    ahead: Ahead,
    windows: Mutex<Vec<Window>>,
    most_windows: usize,
}

/// Some blocks of the file, checked.
struct Window {
    start: u64,
    bytes: Bytes,
}

impl SealedFile {
    /// Reads the seal of an open file; gives its footer too.
    ///
    /// # Errors
    /// `InvalidData` if the file is not whole; those of the disk.
    pub(super) fn new(file: File) -> io::Result<(Self, Vec<u8>)> {
        let length = file.metadata()?.len();
        let (seal, footer) = Seal::read(&file)?;
        Ok((Self { file, length, seal }, footer))
    }

    /// Its bytes, and its seal if it has one.
    pub(super) fn mark(&self) -> (u64, Option<u64>) {
        (self.length, self.seal.as_ref().map(|seal| seal.value))
    }

    /// The blocks that hold the bytes from `start` to `end`, and where they start.
    fn blocks(&self, start: u64, end: u64) -> io::Result<Window> {
        let block = BLOCK as u64;
        let limit = self.seal.as_ref().map_or(self.length, |seal| seal.covered);
        if end > limit || start > end {
            return Err(broken("it points beyond its end"));
        }
        let first = start / block;
        let (start, end) = (first * block, end.div_ceil(block).saturating_mul(block).min(limit));
        let mut bytes = vec![0; size(end - start)];
        disk::read_at(&self.file, start, &mut bytes)?;
        if let Some(seal) = &self.seal {
            let whole = (size(first)..).zip(bytes.chunks(BLOCK)).all(|(number, bytes)| seal.holds(number, bytes));
            if !whole {
                return Err(broken("its content is not what was written"));
            }
        }
        Ok(Window { start, bytes: bytes.into() })
    }
}

impl CheckedPages {
    /// Reads pages of `columns` columns side by side.
    pub(super) fn new(source: Arc<SealedFile>, ahead: Ahead, columns: usize) -> Self {
        Self { source, ahead, windows: Mutex::new(Vec::new()), most_windows: columns + 1 }
    }

    fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let end = start.checked_add(length as u64).ok_or_else(|| broken("it points beyond its end"))?;
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let found = windows.iter().position(|window| window.start <= start && end <= window.end());
        let window = if let Some(at) = found {
            windows.remove(at)
        } else {
            if windows.len() >= self.most_windows {
                windows.remove(0);
            }
            let limit = self.source.seal.as_ref().map_or(self.source.length, |seal| seal.covered);
            let ahead = if self.ahead == Ahead::Pages { start.saturating_add(AHEAD_BYTES).min(limit) } else { end };
            self.source.blocks(start, end.max(ahead))?
        };
        let from = size(start - window.start);
        let bytes = window.bytes.slice(from..from + length);
        // the one used last is the last to be given up
        windows.push(window);
        Ok(bytes)
    }
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl Length for CheckedPages {
    fn len(&self) -> u64 {
        self.source.length
    }
}

impl ChunkReader for CheckedPages {
    type T = CheckedBytes;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(CheckedBytes { source: Arc::clone(&self.source), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.read(start, length).map_err(ParquetError::from)
    }
}

/// The bytes of a file from some place on, checked.
pub(super) struct CheckedBytes {
    source: Arc<SealedFile>,
    at: u64,
}

impl Read for CheckedBytes {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let limit = self.source.seal.as_ref().map_or(self.source.length, |seal| seal.covered);
        let end = (self.at + out.len() as u64).min((self.at / BLOCK as u64 + 1) * BLOCK as u64).min(limit);
        if end <= self.at {
            return Ok(0);
        }
        let window = self.source.blocks(self.at, end)?;
        let from = size(self.at - window.start);
        let length = size(end - self.at);
        out[..length].copy_from_slice(&window.bytes[from..from + length]);
        self.at = end;
        Ok(length)
    }
}
