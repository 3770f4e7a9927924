//! A file under construction: its items wait until the lists that stand before them are complete.

use super::package::PackageFile;
use super::write::Xml;
use obmen_sdk::RowId;
use std::io::{self, Cursor, Read, Seek, Write};

/// Bytes of items that are put together before they are handed on.
const BUFFER: usize = 64 << 10;

/// The items of one file, written one after another.
#[derive(Debug)]
pub(super) struct Items<S> {
    store: S,
    bytes: u64,
    buffer: Xml,
    /// The rows that stand in the file.
    pub(super) rows: Vec<RowId>,
}

/// A complete file that is not put together yet.
#[derive(Debug)]
pub(super) struct Document<S> {
    pub(super) name: &'static str,
    pub(super) head: String,
    pub(super) items: Items<S>,
    pub(super) tail: String,
}

impl<S> Items<S> {
    /// No items yet.
    pub(super) fn new(store: S) -> Self {
        Self { store, bytes: 0, buffer: Xml::at(3), rows: Vec::new() }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0 && self.buffer.text().is_empty()
    }
}

impl<S: Write> Items<S> {
    /// Adds an item; one that fails half-way leaves nothing behind.
    pub(super) fn add<T>(
        &mut self,
        row: RowId,
        write: impl FnOnce(&mut Xml) -> Result<T, String>,
    ) -> io::Result<Result<T, String>> {
        let mark = self.buffer.mark();
        let written = write(&mut self.buffer);
        if written.is_err() {
            self.buffer.back_to(mark);
            return Ok(written);
        }
        self.rows.push(row);
        if self.buffer.text().len() >= BUFFER {
            self.hand_on()?;
        }
        Ok(written)
    }

    /// Hands on what is in the buffer.
    pub(super) fn hand_on(&mut self) -> io::Result<()> {
        self.store.write_all(self.buffer.text().as_bytes())?;
        self.bytes += self.buffer.text().len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Document<Cursor<Vec<u8>>> {
    /// The file in memory.
    pub(super) fn into_file(self) -> PackageFile {
        let mut bytes = self.items.store.into_inner();
        drop(bytes.splice(..0, self.head.into_bytes()));
        bytes.extend_from_slice(self.tail.as_bytes());
        PackageFile { name: self.name, bytes, rows: self.items.rows }
    }
}

impl<S: Read + Seek> Document<S> {
    /// Writes the file, piece by piece.
    pub(super) fn write_to<W: Write>(self, mut out: W) -> io::Result<PackageFile<W>> {
        let Items { mut store, bytes, rows, .. } = self.items;
        out.write_all(self.head.as_bytes())?;
        store.seek_relative(-i64::try_from(bytes).map_err(io::Error::other)?)?;
        let copied = io::copy(&mut store.take(bytes), &mut out)?;
        if copied != bytes {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the items that were put aside are not there"));
        }
        out.write_all(self.tail.as_bytes())?;
        out.flush()?;
        Ok(PackageFile { name: self.name, bytes: out, rows })
    }
}
