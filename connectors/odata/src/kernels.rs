//! What the benches of this crate measure. Only for them: it is no API, and changes without notice.

use crate::cell::Reading;
use crate::columns::{Columns, Table};
use crate::page::{Decoder, Seen};
use arrow::datatypes::SchemaRef;
use obmen_sdk::{Batch, Error, Result, types};
use std::sync::Arc;

/// Decodes an answer with rows that comes in pieces; the columns of `key` identify a row. Only for benchmarks.
///
/// # Errors
/// `Internal` for a column of a type no column can have; what the answer is instead of rows.
pub fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    schema: &SchemaRef,
    key: &[String],
    batch_rows: usize,
) -> Result<Vec<Batch>> {
    let reading = |field: &arrow::datatypes::FieldRef| {
        let kind = types::column_type(field).ok_or_else(|| Error::internal("a column of no type"))?;
        let key = key.contains(field.name());
        Ok(Reading { kind, keep_empty: key, trim: key, exact: false })
    };
    let readings = schema.fields().iter().map(reading).collect::<Result<_>>()?;
    let columns = Arc::new(Columns::new(Arc::clone(schema), readings, key));
    let mut decoder = Decoder::new(Table::new(columns, batch_rows), Arc::from("bench"), 0);
    let mut seen = Seen::default();
    for piece in pieces.into_iter().map(Some).chain([None]) {
        decoder.take(piece, Some(&mut seen), "bench").map_err(|trouble| trouble.error)?;
    }
    decoder.finish()
}
