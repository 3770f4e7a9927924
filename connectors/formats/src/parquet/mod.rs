//! Parquet: read by row groups and wanted columns, written with zstd.
//!
//! A declared column takes what converts without loss: whether it can at all is said before the
//! first row (`SchemaMismatch`, naming the column); a single value that would lose something makes
//! its row bad. Texts are read as CSV reads them, in ISO style. Times that are marked as UTC are
//! taken as their UTC wall clock; other zones are refused. Nested columns are read as `json`.

mod read;
mod write;

pub use read::{read, schema};
pub use write::Writer;
