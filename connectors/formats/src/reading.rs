//! What every reader is told, and how it hands over what it reads.

use arrow::datatypes::{Schema, SchemaRef};
use obmen_sdk::{Batch, Error, ErrorKind, Result};
use std::sync::Arc;

/// Takes batches as they are read. An error it gives ends the reading and comes back from it.
pub type Emit<'a> = dyn FnMut(Batch) -> Result<()> + 'a;

/// What to read of a file.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The file's name, for places and messages.
    pub file: &'a str,
    /// All columns of the relation.
    pub schema: &'a SchemaRef,
    /// Columns to read, by their position in the schema; `None`: all. The batches have them in this order.
    pub columns: Option<&'a [usize]>,
    /// Rows per batch at most.
    pub batch_rows: usize,
}

impl Reading<'_> {
    /// The schema of the batches.
    ///
    /// # Errors
    /// `Internal` if a position is outside the schema.
    pub fn projected(&self) -> Result<SchemaRef> {
        match self.columns {
            None => Ok(SchemaRef::clone(self.schema)),
            Some(columns) => Ok(Arc::new(self.schema.project(columns).map_err(Error::internal)?)),
        }
    }
}

/// Says that a file lacks a declared column, and which one may have been meant.
pub(crate) fn missing_column<'a>(file: &str, name: &str, there: impl Iterator<Item = &'a str> + Clone) -> Error {
    let hint = if let Some(other) = obmen_spec::name::suggest(name, there.clone()) {
        format!("did you mean `{other}`?")
    } else {
        let names: Vec<String> = there.take(20).map(|name| format!("`{name}`")).collect();
        format!("the file has {}", if names.is_empty() { "no columns".to_owned() } else { names.join(", ") })
    };
    Error::new(ErrorKind::SchemaMismatch, format!("the declared column `{name}` is not in the file; {hint}"))
        .with("file", file)
        .with("column", name)
}

/// A schema of named columns, each of one declared type.
pub(crate) fn schema_of(columns: impl IntoIterator<Item = (String, obmen_spec::ColumnType)>) -> SchemaRef {
    let fields = columns.into_iter().map(|(name, kind)| obmen_sdk::types::arrow_field(&name, kind));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
