//! Checksums over a whole file of rows, inside the file, where other Parquet readers do not look.
//!
//! Between the page index and the footer stand, numbers little-endian:
//!
//! ```text
//! XXH3-64 of each 8 KiB before here, lower 32 bits      4 bytes each
//! how many bytes those are                              8 bytes
//! XXH3-64 of the above, the footer and what ends it     8 bytes: the file's seal
//! "OBMSEAL1"                                            8 bytes
//! ```
//!
//! Opening a file checks its seal, reading checks the blocks that are read: no byte is believed that
//! is not covered.

use super::disk;
use std::fs::File;
use std::io::{self, Write};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a block.
pub(super) const BLOCK: usize = 8 << 10;
/// Bytes written at a time; whole blocks.
const CHUNK: usize = 32 * BLOCK;
const MAGIC: &[u8; 8] = b"OBMSEAL1";
/// Bytes after the sums of the blocks.
const SEAL_BYTES: usize = 24;
/// What ends a Parquet file: the length of the footer and `PAR1`.
const END_BYTES: usize = 8;

/// The checksums of a file.
#[derive(Debug)]
pub(super) struct Seal {
    /// Bytes that the blocks cover.
    pub(super) covered: u64,
    /// The seal itself: different for files that differ.
    pub(super) value: u64,
    blocks: Vec<u32>,
}

/// A file being written that gets a seal in the end.
pub(super) struct SealedWriter {
    file: File,
    buffer: Vec<u8>,
    blocks: Vec<u32>,
    written: u64,
    holding: bool,
}

impl Seal {
    /// Whether the block of this number is what was written.
    pub(super) fn holds(&self, block: usize, bytes: &[u8]) -> bool {
        self.blocks.get(block) == Some(&block_sum(bytes))
    }

    /// Reads a file's seal, and its footer; no seal if there is none, as in files of older versions.
    ///
    /// # Errors
    /// `InvalidData` if the file is not whole; those of the disk.
    pub(super) fn read(file: &File) -> io::Result<(Option<Self>, Vec<u8>)> {
        let length = file.metadata()?.len();
        let ending = read(file, before(length, END_BYTES)?, END_BYTES as u64)?;
        if !ending.ends_with(b"PAR1") {
            return Err(broken("its end is missing"));
        }
        let footer_at = before(length, size(number(&ending[..4])).saturating_add(END_BYTES))?;
        let mut footer = read(file, footer_at, length - footer_at)?;
        let seal = Self::before_footer(file, footer_at, &footer)?;
        footer.truncate(footer.len() - END_BYTES);
        Ok((seal, footer))
    }

    fn before_footer(file: &File, footer_at: u64, footer: &[u8]) -> io::Result<Option<Self>> {
        let Ok(seal_at) = before(footer_at, SEAL_BYTES) else { return Ok(None) };
        let bytes = read(file, seal_at, SEAL_BYTES as u64)?;
        if !bytes.ends_with(MAGIC) {
            return Ok(None);
        }
        let (covered, value) = (number(&bytes[..8]), number(&bytes[8..16]));
        let blocks = covered.div_ceil(BLOCK as u64);
        if blocks.checked_mul(4).and_then(|bytes| bytes.checked_add(covered)) != Some(seal_at) {
            return Err(broken("its seal is broken"));
        }
        let mut head = read(file, covered, seal_at + 8 - covered)?;
        if seal_of(&head, footer) != value {
            return Err(broken("its seal is broken"));
        }
        head.truncate(size(blocks * 4));
        let blocks = head.chunks_exact(4).map(|sum| u32::try_from(number(sum)).unwrap_or(0)).collect();
        Ok(Some(Self { covered, value, blocks }))
    }
}

impl SealedWriter {
    /// Writes to an empty file.
    pub(super) fn new(file: File) -> Self {
        Self { file, buffer: Vec::new(), blocks: Vec::new(), written: 0, holding: false }
    }

    /// From now on everything is kept back: the footer is about to be written.
    pub(super) fn hold(&mut self) {
        self.holding = true;
    }

    /// Puts the seal before the footer and writes the rest. Gives the file.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn seal(mut self) -> io::Result<File> {
        let buffer = std::mem::take(&mut self.buffer);
        let ending = buffer.len().saturating_sub(END_BYTES);
        let footer_bytes = size(number(buffer.get(ending..ending + 4).unwrap_or_default()));
        let (body, footer) = buffer.split_at(ending.saturating_sub(footer_bytes));
        self.emit(body)?;
        let mut head: Vec<u8> = self.blocks.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        head.extend(self.written.to_le_bytes());
        let seal = seal_of(&head, footer);
        head.extend(seal.to_le_bytes());
        head.extend(MAGIC);
        head.extend(footer);
        disk::write(&mut self.file, &head)?;
        Ok(self.file)
    }

    fn emit(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.blocks.extend(bytes.chunks(BLOCK).map(block_sum));
        self.written += bytes.len() as u64;
        if bytes.is_empty() { Ok(()) } else { disk::write(&mut self.file, bytes) }
    }
}

impl Write for SealedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        let whole = self.buffer.len() / CHUNK * CHUNK;
        if whole > 0 && !self.holding {
            let rest = self.buffer.split_off(whole);
            let chunk = std::mem::replace(&mut self.buffer, rest);
            self.emit(&chunk)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn block_sum(bytes: &[u8]) -> u32 {
    u32::try_from(xxh3_64(bytes) & u64::from(u32::MAX)).unwrap_or(0)
}

fn seal_of(head: &[u8], footer: &[u8]) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(head);
    hasher.update(footer);
    hasher.digest()
}

fn read(file: &File, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; size(bytes)];
    disk::read_at(file, at, &mut buffer)?;
    Ok(buffer)
}

fn before(end: u64, bytes: usize) -> io::Result<u64> {
    end.checked_sub(bytes as u64).ok_or_else(|| broken("it is too short"))
}

/// At most eight bytes as a number.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A number of bytes that is about to be in memory.
pub(super) fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

pub(super) fn broken(how: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, how)
}
