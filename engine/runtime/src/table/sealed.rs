//! A file of rows being read: what is read is checked against the file's seal first.

use super::disk;
use super::seal::{BLOCK, Seal, broken, size};
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// An open file. It stays readable when another takes its name, or nobody names it any more.
#[derive(Debug)]
pub(super) struct SealedFile {
    file: File,
    length: u64,
    seal: Option<Seal>,
    spare: OnceLock<Spare>,
    /// What took the file's place when damage was found in it.
    anew: OnceLock<File>,
}

/// Brings the same file again, opened and checked, for when the one here is damaged.
pub(crate) struct Spare(pub(crate) Box<dyn Fn() -> io::Result<File> + Send + Sync>);

impl fmt::Debug for Spare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spare")
    }
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
        Ok((Self { file, length, seal, spare: OnceLock::new(), anew: OnceLock::new() }, footer))
    }

    /// Says where the file can be had anew.
    pub(super) fn set_spare(&self, spare: Spare) {
        self.spare.get_or_init(|| spare);
    }

    /// Its bytes, and its seal if it has one.
    pub(super) fn mark(&self) -> (u64, Option<u64>) {
        (self.length, self.seal.as_ref().map(|seal| seal.value))
    }

    /// The blocks that hold the bytes from `start` to `end`, and where they start. Damage is mended once, if the file can
    /// be had anew: it is the same then, byte by byte.
    fn blocks(&self, start: u64, end: u64) -> io::Result<Window> {
        if let Some(anew) = self.anew.get() {
            return self.checked(anew, start, end);
        }
        match (self.checked(&self.file, start, end), self.spare.get()) {
            (Err(error), Some(spare)) if is_damage(&error) => {
                let file = spare.0()?;
                self.checked(self.anew.get_or_init(|| file), start, end)
            }
            (read, _) => read,
        }
    }

    fn checked(&self, file: &File, start: u64, end: u64) -> io::Result<Window> {
        let block = BLOCK as u64;
        let limit = self.seal.as_ref().map_or(self.length, |seal| seal.covered);
        if end > limit || start > end {
            return Err(broken("it points beyond its end"));
        }
        let first = start / block;
        let (start, end) = (first * block, end.div_ceil(block).saturating_mul(block).min(limit));
        let mut bytes = vec![0; size(end - start)];
        disk::read_at(file, start, &mut bytes)?;
        if let Some(seal) = &self.seal {
            let whole = (size(first)..).zip(bytes.chunks(BLOCK)).all(|(number, bytes)| seal.holds(number, bytes));
            if !whole {
                return Err(broken("its content is not what was written"));
            }
        }
        Ok(Window { start, bytes: bytes.into() })
    }
}

/// Reads a whole file and checks every block of it. Gives its bytes, and its seal if it has one.
///
/// # Errors
/// `InvalidData` for damage; those of the disk.
pub(super) fn read_whole(path: &Path) -> io::Result<(u64, Option<u64>)> {
    let (file, _) = SealedFile::new(File::open(path)?)?;
    let covered = file.seal.as_ref().map_or(0, |seal| seal.covered);
    let mut at = 0;
    while at < covered {
        let end = at.saturating_add(AHEAD_BYTES).min(covered);
        file.blocks(at, end)?;
        at = end;
    }
    Ok(file.mark())
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
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
