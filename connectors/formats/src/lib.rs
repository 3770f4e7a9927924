//! Formats of files: bytes ⇄ Arrow, streaming, without I/O of their own.
//!
//! A reader takes [`std::io::Read`] (Parquet: something with random access) and hands over batches
//! one by one to an [`Emit`]; a writer takes rows and an [`std::io::Write`]. A row that cannot be
//! read becomes a [`BadRow`](obmen_sdk::BadRow) with file, line and column, and the rest goes on.
//!
//! [`values`] is the one place where text and JSON become typed values; [`Format`] is what an analyst
//! says about a file.

pub mod commerceml;
mod convert;
pub mod csv;
mod encoding;
mod format;
pub mod json;
pub mod parquet;
mod reading;
mod rows;
pub mod values;

pub use convert::Conversion;
pub use encoding::Encoding;
pub use format::{DecimalMark, Delimiter, Format, Kind, Preset, Quote};
pub use reading::{Emit, Reading};
pub use rows::{BATCH_BYTES, Rows};
