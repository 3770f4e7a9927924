//! JSON: one object per line (`jsonl`), or a list of objects, possibly inside a document (`json`).
//!
//! * Numbers keep their digits. Texts are understood in every column as CSV understands them, so
//!   decimals and 64-bit numbers may stand in quotes (OData sends them so). An empty text is no NULL
//!   unless `nulls: [""]` says so.
//! * A key that is absent is NULL; a key that stands twice makes the row bad.
//! * Lists and objects fit columns declared `json`. Without declared columns every key of the file is
//!   a column: `json` where a list or object was seen, `string` otherwise. The file is read once to find them.
//! * The encoding is UTF-8, as RFC 8259 says; a byte order mark is passed over.
//! * A broken line of `jsonl` is a bad row. A broken document of `json` is an error: where its next
//!   row begins nobody can say.

mod lines;
mod list;
mod object;
mod place;
mod write;

pub use write::{Writer, write_object};

use crate::reading::{Emit, Reading, schema_of};
use crate::rows::Rows;
use crate::values::TextStyle;
use arrow::datatypes::SchemaRef;
use object::{Names, Object};
use obmen_sdk::{BadRow, Error, ErrorKind, Result};
use obmen_spec::ColumnType;
use std::io::{BufRead, Read};

/// Keys a file has at most before it is taken for a table keyed by data.
const MAX_NAMES: usize = 10_000;

/// Where the objects stand in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One per line.
    Lines,
    /// In a list; the keys that lead to it.
    List(Vec<String>),
}

impl Layout {
    /// The layout of a list at a path like `data.items`; without a path the document is the list.
    pub fn list(at: Option<&str>) -> Self {
        Self::List(at.map(|at| at.split('.').map(str::to_owned).collect()).unwrap_or_default())
    }
}

/// The columns of a file: all keys of all its objects, in the order they first appear.
///
/// # Errors
/// `InvalidData` for a broken document; `SchemaMismatch` where there is no list, or the keys are
/// data; those of the input.
pub fn schema(input: impl BufRead, file: &str, layout: &Layout) -> Result<SchemaRef> {
    let mut names = Names::open();
    let mut nested: Vec<bool> = Vec::new();
    objects(input, file, layout, &mut names, &mut |object| {
        for (at, slot) in object.slots.iter().enumerate() {
            nested.resize(nested.len().max(at + 1), false);
            let is_nested = slot.as_ref().is_some_and(|slot| slot.value.is_array() || slot.value.is_object());
            if let Some(seen) = nested.get_mut(at).filter(|_| is_nested) {
                *seen = true;
            }
        }
        if object.slots.len() > MAX_NAMES {
            let message = format!("the objects have more than {MAX_NAMES} different keys; declare the columns to read");
            return Err(Error::new(ErrorKind::SchemaMismatch, message).with("file", file));
        }
        Ok(())
    })?;
    let kinds = nested.into_iter().map(|nested| if nested { ColumnType::Json } else { ColumnType::String });
    Ok(schema_of(names.into_list().into_iter().zip(kinds)))
}

/// Reads a file. Bad rows come in their batches; their place is `file:line:column`, columns in characters.
///
/// # Errors
/// As for [`schema`], and those of `emit`.
pub fn read(
    input: impl BufRead,
    reading: Reading<'_>,
    layout: &Layout,
    style: &TextStyle,
    emit: &mut Emit<'_>,
) -> Result<()> {
    let file = reading.file;
    let projected = reading.projected()?;
    let mut names = Names::fixed(projected.fields().iter().map(|field| field.name().as_str()));
    let mut rows = Rows::new(SchemaRef::clone(&projected), reading.batch_rows)?;
    objects(input, file, layout, &mut names, &mut |object| {
        let at = |place: place::Place| format!("{file}:{}:{}", place.line, place.column);
        match &object.fault {
            Some((place, reason)) => rows.bad(BadRow { place: at(*place), column: None, reason: reason.clone() }),
            None => rows.row(object.bytes, |builders| {
                for (index, builder) in builders.iter_mut().enumerate() {
                    let Some(slot) = object.slots.get(index).and_then(Option::as_ref) else { continue };
                    builder.append_json(&slot.value, style).map_err(|reason| BadRow {
                        place: at(object.place_of(index, slot.place)),
                        column: Some(projected.field(index).name().clone()),
                        reason,
                    })?;
                }
                Ok(())
            }),
        }
        if rows.is_full() { emit(rows.take()?) } else { Ok(()) }
    })?;
    if rows.is_empty() { Ok(()) } else { emit(rows.take()?) }
}

/// Hands over every object of a file.
fn objects(
    mut input: impl BufRead,
    file: &str,
    layout: &Layout,
    names: &mut Names,
    take: &mut dyn FnMut(&Object<'_>) -> Result<()>,
) -> Result<()> {
    let with_file = |error: std::io::Error| Error::from(error).with("file", file);
    let mut start = Vec::new();
    input.by_ref().take(3).read_to_end(&mut start).map_err(with_file)?;
    let start = start.strip_prefix(b"\xEF\xBB\xBF").map_or(start.clone(), <[u8]>::to_vec);
    let input = std::io::Cursor::new(start).chain(input);
    match layout {
        Layout::Lines => lines::objects(input, file, names, take),
        Layout::List(path) => list::objects(input, file, path, names, take),
    }
}
