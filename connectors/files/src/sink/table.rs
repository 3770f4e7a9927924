//! One file of changes on its way to its final name.

use super::{OP, Target};
use crate::folder::{Folder, explain};
use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use obmen_formats::{Kind, csv, json, parquet};
use obmen_sdk::{Changes, Error, Outcome, RejectClass, Result, RowId};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

/// A file being written under a temporary name. Dropped before [`publish`](Table::publish) it is removed.
pub(super) struct Table {
    draft: PathBuf,
    /// Its name in the folder.
    name: String,
    writer: Option<Writer>,
    /// Rows that stand in it.
    pub(super) ids: Vec<RowId>,
    key: Vec<usize>,
    values: Vec<usize>,
}

enum Writer {
    Csv(csv::Writer<BufWriter<File>>),
    Jsonl(json::Writer<BufWriter<File>>),
    Parquet(Box<parquet::Writer<BufWriter<File>>>),
}

impl Table {
    /// Begins a file of a target.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn begin(target: &Target, folder: &Folder, name: &str) -> Result<Self> {
        let draft = folder.draft(name)?;
        let failed = |error| explain(error, "the file cannot be written").with("file", draft.display());
        let file = BufWriter::new(File::create(&draft).map_err(failed)?);
        let schema = &target.of.schema;
        let (key, values) = (0..schema.fields().len()).partition(|at| target.of.key.contains(schema.field(*at).name()));
        let mut table = Self { draft, name: name.to_owned(), writer: None, ids: Vec::new(), key, values };
        table.writer = Some(match target.kind {
            Kind::Csv => Writer::Csv(csv::Writer::new(file, target.csv(), &[OP], schema)?),
            Kind::Parquet => Writer::Parquet(Box::new(parquet::Writer::new(file, with_op(schema))?)),
            _ => Writer::Jsonl(json::Writer::new(file)),
        });
        Ok(table)
    }

    /// Writes changes. A row that cannot be written is given back rejected, the others stand in the file.
    ///
    /// # Errors
    /// Those of the disk; the file is of no use then.
    pub(super) fn write(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        let mut rejected = Vec::new();
        let Some(writer) = &mut self.writer else { return Err(Error::internal("a file is written after its end")) };
        if let Writer::Parquet(writer) = writer {
            let ops: StringArray = changes.ops.iter().map(|op| Some(op.name())).collect();
            let columns = std::iter::once(Arc::new(ops) as ArrayRef).chain(changes.rows.columns().iter().cloned());
            writer.write(&RecordBatch::try_new(with_op(changes.rows.schema_ref()), columns.collect())?)?;
            self.ids.extend(&changes.ids);
            return Ok(rejected);
        }
        for (row, (id, op)) in changes.ids.iter().zip(&changes.ops).enumerate() {
            let written = match writer {
                Writer::Csv(writer) => writer.row(&[op.name()], &changes.rows, row)?,
                Writer::Jsonl(writer) => writer.line(|line| {
                    line.extend_from_slice(format!("{{\"op\":\"{}\",\"key\":", op.name()).as_bytes());
                    json::write_object(line, &changes.rows, &self.key, row)?;
                    line.extend_from_slice(b",\"values\":");
                    json::write_object(line, &changes.rows, &self.values, row)?;
                    line.push(b'}');
                    Ok(())
                })?,
                Writer::Parquet(_) => Ok(()),
            };
            match written {
                Ok(()) => self.ids.push(*id),
                Err(reason) => rejected.push((*id, Outcome::rejected(RejectClass::Data, reason))),
            }
        }
        Ok(rejected)
    }

    /// Gives the file its final name, and says what became of its rows. A file without a row is left out.
    ///
    /// # Errors
    /// Those of the disk: nothing is visible then.
    pub(super) fn publish(&mut self, folder: &Folder) -> Result<Outcome> {
        let writer = self.writer.take().ok_or_else(|| Error::internal("a file is published twice"))?;
        let failed = |error| explain(error, "the file cannot be written").with("file", folder.shown(&self.name));
        let mut file = match writer {
            Writer::Csv(writer) => writer.finish()?,
            Writer::Jsonl(writer) => writer.finish()?,
            Writer::Parquet(writer) => writer.finish()?,
        };
        if self.ids.is_empty() {
            return Ok(Outcome::acked());
        }
        file.flush().map_err(failed)?;
        file.get_ref().sync_all().map_err(failed)?;
        drop(file);
        Ok(folder.publish(&self.draft, &self.name))
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // Closed first: Windows removes no open file. After `publish` there is nothing under this name.
        self.writer = None;
        drop(std::fs::remove_file(&self.draft));
    }
}

fn with_op(schema: &SchemaRef) -> SchemaRef {
    let op = Field::new(OP, DataType::Utf8, false);
    let fields: Vec<Arc<Field>> = std::iter::once(Arc::new(op)).chain(schema.fields().iter().cloned()).collect();
    Arc::new(Schema::new(fields))
}
