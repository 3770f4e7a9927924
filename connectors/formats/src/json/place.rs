//! Where in a text a parser stands.

use std::cell::Cell;
use std::io::Read;

/// A line and a column in characters, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: usize,
}

/// The place of the byte that was read last, and of the first one that is no space after [`arm`](Self::arm).
#[derive(Debug)]
pub(super) struct Tracker {
    last: Cell<Place>,
    next_line: Cell<bool>,
    armed: Cell<bool>,
    caught: Cell<Place>,
    bytes: Cell<usize>,
}

impl Tracker {
    pub(super) fn new() -> Self {
        let start = Place { line: 1, column: 0 };
        Self {
            last: Cell::new(start),
            next_line: Cell::new(false),
            armed: Cell::new(false),
            caught: Cell::new(start),
            bytes: Cell::new(0),
        }
    }

    /// The place of the byte that was read last.
    pub(super) fn last(&self) -> Place {
        self.last.get()
    }

    /// Catches the place of the next byte that is no space.
    pub(super) fn arm(&self) {
        self.armed.set(true);
    }

    /// What was caught.
    pub(super) fn caught(&self) -> Place {
        self.caught.get()
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    fn step(&self, byte: u8) {
        let mut place = self.last.get();
        if self.next_line.replace(byte == b'\n') {
            place = Place { line: place.line + 1, column: 0 };
        }
        // The later bytes of a character are part of its column.
        place.column += usize::from(byte & 0xC0 != 0x80);
        self.last.set(place);
        self.bytes.set(self.bytes.get() + 1);
        if self.armed.get() && !byte.is_ascii_whitespace() {
            self.armed.set(false);
            self.caught.set(place);
        }
    }
}

/// Tells a tracker about every byte that passes. The JSON parser asks for them one by one.
#[derive(Debug)]
pub(super) struct Tracked<'a, R> {
    pub(super) input: R,
    pub(super) tracker: &'a Tracker,
}

impl<R: Read> Read for Tracked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        for byte in buffer.iter().take(count) {
            self.tracker.step(*byte);
        }
        Ok(count)
    }
}
