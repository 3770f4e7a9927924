//! One file → batches, whatever its format.

use crate::folder::Opened;
use arrow::datatypes::SchemaRef;
use obmen_formats::{Conversion, Emit, Format, Kind, Reading, commerceml, csv, json, parquet};
use obmen_sdk::{Error, ErrorKind, Result};
use std::io::BufReader;

/// Bytes read from a disk at a time.
const CHUNK: usize = 256 << 10;

/// The columns of a file. `entity` is the relation of a CommerceML file.
///
/// # Errors
/// Those of the format.
pub(crate) fn schema(kind: Kind, file: Opened, name: &str, entity: &str, format: &Format) -> Result<SchemaRef> {
    match kind {
        Kind::Csv => csv::schema(buffered(file), name, &format.csv(name)),
        Kind::Jsonl => json::schema(buffered(file), name, &json::Layout::Lines),
        Kind::Json => json::schema(buffered(file), name, &json::Layout::list(format.at.as_deref())),
        Kind::Parquet => match file {
            Opened::File(file) => parquet::schema(file, name),
            Opened::Object(object) => parquet::schema(object.blocks(), name),
        },
        Kind::Commerceml => relation(entity),
    }
}

/// Reads a file.
///
/// # Errors
/// Those of the format and of `emit`.
pub(crate) fn read(
    kind: Kind,
    file: Opened,
    entity: &str,
    format: &Format,
    reading: Reading<'_>,
    emit: &mut Emit<'_>,
) -> Result<()> {
    match kind {
        Kind::Csv => csv::read(buffered(file), reading, &format.csv(reading.file), emit),
        Kind::Jsonl => json::read(buffered(file), reading, &json::Layout::Lines, &format.json(), emit),
        Kind::Json => {
            let layout = json::Layout::list(format.at.as_deref());
            json::read(buffered(file), reading, &layout, &format.json(), emit)
        }
        Kind::Parquet => match file {
            Opened::File(file) => parquet::read(file, reading, emit),
            Opened::Object(object) => parquet::read(object.blocks(), reading, emit),
        },
        Kind::Commerceml => {
            let conversion = Conversion::new(&relation(entity)?, &reading)?;
            let needed = conversion.needed();
            commerceml::read(entity, reading.file, buffered(file), reading.batch_rows, &mut |batch| {
                let rows = batch.rows.project(&needed)?;
                let mut converted = conversion.apply(&rows, |_| reading.file.to_owned())?;
                converted.bad.splice(0..0, batch.bad);
                converted.exact = batch.exact;
                emit(converted)
            })
        }
    }
}

/// The columns of a relation of CommerceML.
fn relation(entity: &str) -> Result<SchemaRef> {
    commerceml::schema(entity).ok_or_else(|| {
        let known = commerceml::relations().join(", ");
        Error::new(ErrorKind::NotFound, format!("CommerceML has no relation `{entity}`; it has {known}"))
            .with("entity", entity)
    })
}

fn buffered(file: Opened) -> BufReader<Opened> {
    BufReader::with_capacity(CHUNK, file)
}
