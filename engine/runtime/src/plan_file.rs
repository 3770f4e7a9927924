//! A plan's file: every change of one sink, ascending by key hash. Before the load it is the queue,
//! after it the journal. Its columns, which any Parquet reader opens:
//!
//! | column | meaning |
//! |---|---|
//! | `obmen_key` | 16 bytes: hash of the key; the file is sorted by it |
//! | `obmen_row` | 16 bytes: hash of the compared columns; zeros for a delete |
//! | `obmen_op` | `create`, `update`, `delete` |
//! | `obmen_why` | `due`, or why it is not sent: see [`Why`] |
//! | `obmen_doubt` | the key was sent before without evidence of the result |
//! | `obmen_created` | number of the plan that created the key at the other side; −1 for this one |
//! | `obmen_note` | a text for people: the check that failed, whom the row waits for |
//! | `new`, `old` | the values to be sent (of a delete: the last known), and those known before |

use crate::hash::Hash;
use crate::state::{LoadPart, State};
use crate::table::{CREATED, FileWriter, KEY, ROW, RowFile, hash_array, hash_at, hash_field};
use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use obmen_sdk::{Error, Op, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

const OP: &str = "obmen_op";
const WHY: &str = "obmen_why";
const DOUBT: &str = "obmen_doubt";
const NOTE: &str = "obmen_note";
/// The columns of a row without its values.
const BARE: [&str; 7] = [KEY, ROW, OP, WHY, DOUBT, CREATED, NOTE];
const NEW: &str = "new";
const OLD: &str = "old";

/// Whether a change is sent, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Why {
    /// It is sent.
    Due,
    /// Invalid: a check failed, or the key is missing or not unique.
    Invalid,
    /// A guard holds it for a person.
    Guard,
    /// A gate is closed.
    Gate,
    /// It waits for its parent, for its time, or for deletes to be safe again.
    Waits,
    /// It lies in a closed period.
    Closed,
    /// It was refused too often.
    Parked,
    /// The sink ignores deletes.
    Ignored,
    /// Only a new column makes it a change.
    Recipe,
    /// A person said that the other side has it.
    Adopt,
    /// It does not change; carried for a sink that wants complete lists.
    Same,
}

impl Why {
    /// The word in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Invalid => "invalid",
            Self::Guard => "guard",
            Self::Gate => "gate",
            Self::Waits => "waits",
            Self::Closed => "closed",
            Self::Parked => "parked",
            Self::Ignored => "ignored",
            Self::Recipe => "recipe",
            Self::Adopt => "adopt",
            Self::Same => "same",
        }
    }

    fn of(name: &str) -> Option<Self> {
        const ALL: [Why; 11] = [
            Why::Due,
            Why::Invalid,
            Why::Guard,
            Why::Gate,
            Why::Waits,
            Why::Closed,
            Why::Parked,
            Why::Ignored,
            Why::Recipe,
            Why::Adopt,
            Why::Same,
        ];
        ALL.into_iter().find(|why| why.name() == name)
    }
}

/// One row of a plan file without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlanRow {
    /// Hash of the key.
    pub(crate) key: Hash,
    /// Hash of the compared columns; 0 for a delete.
    pub(crate) row: Hash,
    /// The operation.
    pub(crate) op: Op,
    /// Whether it is sent.
    pub(crate) why: Why,
    /// Whether the key was in doubt.
    pub(crate) doubt: bool,
    /// Number of the plan that created the key; −1 for this one.
    pub(crate) created: i64,
    /// A text for people.
    pub(crate) note: Option<String>,
}

/// Some rows of a plan file.
#[derive(Clone, Debug)]
pub(crate) struct PlanRows {
    /// What is to be done.
    pub(crate) rows: Vec<PlanRow>,
    /// The values to be sent.
    pub(crate) new: RecordBatch,
    /// The values known before; all NULL where nothing was known.
    pub(crate) old: RecordBatch,
}

/// The columns of a plan file for a target with the columns `values`.
pub(crate) fn plan_schema(values: &SchemaRef) -> SchemaRef {
    let record = DataType::Struct(values.fields().clone());
    Arc::new(Schema::new(vec![
        hash_field(KEY),
        hash_field(ROW),
        Field::new(OP, DataType::Utf8, false),
        Field::new(WHY, DataType::Utf8, false),
        Field::new(DOUBT, DataType::Boolean, false),
        Field::new(CREATED, DataType::Int64, false),
        Field::new(NOTE, DataType::Utf8, true),
        Field::new(NEW, record.clone(), true),
        Field::new(OLD, record, true),
    ]))
}

impl PlanRows {
    /// The rows as a batch of [`plan_schema`].
    pub(crate) fn batch(&self) -> Result<RecordBatch> {
        let rows = &self.rows;
        let keys: Vec<Hash> = rows.iter().map(|row| row.key).collect();
        let hashes: Vec<Hash> = rows.iter().map(|row| row.row).collect();
        let text = |of: fn(&PlanRow) -> &'static str| rows.iter().map(of).map(Some).collect::<StringArray>();
        let record = |batch: &RecordBatch| StructArray::from(batch.clone());
        Ok(RecordBatch::try_new(
            plan_schema(self.new.schema_ref()),
            vec![
                hash_array(&keys),
                hash_array(&hashes),
                Arc::new(text(|row| row.op.name())),
                Arc::new(text(|row| row.why.name())),
                Arc::new(rows.iter().map(|row| Some(row.doubt)).collect::<BooleanArray>()),
                Arc::new(rows.iter().map(|row| row.created).collect::<Int64Array>()),
                Arc::new(rows.iter().map(|row| row.note.clone()).collect::<StringArray>()),
                Arc::new(record(&self.new)),
                Arc::new(record(&self.old)),
            ],
        )?)
    }

    fn of(batch: &RecordBatch) -> Result<Self> {
        let record = |name: &str| {
            let array = column(batch, name)?.as_struct_opt().ok_or_else(|| damaged(name))?;
            // the records of a row are never NULL themselves
            Ok::<_, Error>(RecordBatch::from(array.clone()))
        };
        Ok(Self { rows: rows_of(batch)?, new: record(NEW)?, old: record(OLD)? })
    }
}

/// A plan file that can be read.
#[derive(Clone, Debug)]
pub(crate) struct PlanFile {
    file: RowFile,
}

impl PlanFile {
    /// Opens the file `name` of a state's folder.
    pub(crate) fn open(state: &State, name: &str) -> Result<Self> {
        Ok(Self { file: state.file(name, None)? })
    }

    /// The columns of the values.
    pub(crate) fn value_schema(&self) -> Result<SchemaRef> {
        match self.file.schema().field_with_name(NEW)?.data_type() {
            DataType::Struct(fields) => Ok(Arc::new(Schema::new(fields.clone()))),
            _ => Err(damaged(NEW)),
        }
    }

    /// All rows without their values, in order.
    pub(crate) fn scan(&self) -> Result<impl Iterator<Item = Result<Vec<PlanRow>>> + use<>> {
        let batches = self.file.scan(&BARE)?;
        Ok(batches.map(|batch| rows_of(&batch?)))
    }

    /// All rows with their values, in order.
    pub(crate) fn scan_values(&self) -> Result<impl Iterator<Item = Result<PlanRows>> + use<>> {
        let batches = self.file.scan(&[KEY, ROW, OP, WHY, DOUBT, CREATED, NOTE, NEW, OLD])?;
        Ok(batches.map(|batch| PlanRows::of(&batch?)))
    }

    /// The rows at `rows` (ascending), with their values.
    pub(crate) fn rows(&self, rows: &[u64]) -> Result<PlanRows> {
        PlanRows::of(&self.file.rows(rows)?)
    }

    /// The numbers and rows of a load's part: the due rows from its first to its last, those left out excepted.
    pub(crate) fn part(&self, part: &LoadPart, left_out: &BTreeSet<u64>) -> Result<Vec<(u64, PlanRow)>> {
        let mut found = Vec::new();
        let mut at = part.first;
        for batch in self.file.range(&BARE, part.first, part.last)? {
            for row in rows_of(&batch?)? {
                if row.why == Why::Due && !left_out.contains(&at) {
                    found.push((at, row));
                }
                at += 1;
            }
        }
        Ok(found)
    }

    /// Writes the file again as `name` with other reasons; the values stay.
    pub(crate) fn rewrite(&self, state: &State, name: &str, why: impl Fn(&PlanRow) -> Why) -> Result<u64> {
        let schema = Arc::clone(self.file.schema());
        let mut writer = FileWriter::create(state.folder(), name, schema, state.durability())?;
        for batch in self.scan_values()? {
            let mut batch = batch?;
            for row in &mut batch.rows {
                row.why = why(row);
            }
            writer.write(&batch.batch()?)?;
        }
        writer.finish()
    }
}

fn rows_of(batch: &RecordBatch) -> Result<Vec<PlanRow>> {
    let hashes = |name: &str| column(batch, name)?.as_fixed_size_binary_opt().ok_or_else(|| damaged(name));
    let (keys, rows) = (hashes(KEY)?, hashes(ROW)?);
    let texts = |name: &str| column(batch, name)?.as_string_opt::<i32>().ok_or_else(|| damaged(name));
    let (ops, whys, notes) = (texts(OP)?, texts(WHY)?, texts(NOTE)?);
    let doubts = column(batch, DOUBT)?.as_boolean_opt().ok_or_else(|| damaged(DOUBT))?;
    let created = column(batch, CREATED)?.as_primitive_opt::<Int64Type>().ok_or_else(|| damaged(CREATED))?;
    (0..batch.num_rows())
        .map(|at| {
            let op = match ops.value(at) {
                "create" => Op::Create,
                "update" => Op::Update,
                "delete" => Op::Delete,
                _ => return Err(damaged(OP)),
            };
            Ok(PlanRow {
                key: hash_at(keys, at),
                row: hash_at(rows, at),
                op,
                why: Why::of(whys.value(at)).ok_or_else(|| damaged(WHY))?,
                doubt: doubts.value(at),
                created: created.value(at),
                note: notes.is_valid(at).then(|| notes.value(at).to_owned()),
            })
        })
        .collect()
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a arrow::array::ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| damaged(name))
}

fn damaged(column: &str) -> Error {
    Error::invalid_data(format!("a plan file has no proper column {column}"))
}
