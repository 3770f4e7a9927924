//! Rows of binary `COPY` ⇄ Arrow: the part that every value goes through.
//!
//! The format is that of PostgreSQL's manual, chapter `COPY`, "Binary Format": a header, rows of fields with their
//! lengths, and a trailer. Fields are what the types' send and receive functions make of them.

mod column;
mod decode;
mod encode;
mod numeric;

pub use decode::Decoder;
pub use encode::{Encoder, Slot};

/// What the stream begins with, before four bytes of flags and four of the length of an extension.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// The most digits a decimal has.
const DIGITS: u8 = 38;

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_DAYS: i32 = 10_957;

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// 0001-01-01 and 9999-12-31 in days from 1970-01-01: what is outside has no place in the systems this goes to.
pub(crate) const DAYS: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;

/// The first moment of 0001 and the last of 9999 in microseconds from 1970.
pub(crate) const MOMENTS: std::ops::RangeInclusive<i64> = -719_162 * DAY..=2_932_897 * DAY - 1;

/// How values of a column come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// One byte.
    Bool,
    /// A whole number of 16 bits.
    Int2,
    /// A whole number of 32 bits.
    Int4,
    /// A whole number of 64 bits.
    Int8,
    /// A fraction of 32 bits.
    Float4,
    /// A fraction of 64 bits.
    Float8,
    /// Digits to the base of 10 000.
    Numeric,
    /// Text as it is.
    Text,
    /// Text filled up with spaces that mean nothing: they are cut.
    PaddedText,
    /// Text after one byte that says the version of `jsonb`.
    Jsonb,
    /// 16 bytes.
    Uuid,
    /// Days from 2000-01-01.
    Date,
    /// Microseconds from midnight.
    Time,
    /// Microseconds from 2000-01-01 00:00.
    Timestamp,
    /// Bytes as they are.
    Bytea,
}
