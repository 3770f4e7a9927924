//! A plan's file: every change of one sink, ascending by key hash. Before the load it is the queue,
//! after it the journal. It has the columns of a baseline file ([`table`](crate::table)), filled in as if every row
//! were acked, so that a plan of which that came true becomes a file of the baseline as it is. Besides, for any
//! Parquet reader:
//!
//! | column | meaning |
//! |---|---|
//! | `obmen_row` | 16 bytes: hash of the compared columns; zeros for a delete |
//! | `obmen_created` | number of the plan that created the key at the other side: this one's for a create |
//! | `obmen_acked` | this plan's number |
//! | `obmen_op` | `create`, `update`, `delete` |
//! | `obmen_why` | `due`, or why it is not sent: see [`Why`] |
//! | `obmen_doubt` | the key was sent before without evidence of the result |
//! | `obmen_note` | a text for people: the check that failed, whom the row waits for |
//! | the others | the values to be sent; of a delete: the last known |
//! | `obmen_old` | the values known before, all NULL where nothing was; a plan before which nothing at all was known has no such column |
//!
//! Files of format 1 have `new` and `old` records instead of values, and −1 for a plan that creates.

use crate::hash::Hash;
use crate::state::{LoadPart, State};
use crate::table::{ACKED, CREATED, FileWriter, GONE, KEY, OURS, ROW, RowFile, baseline_fields, hash_array, hash_at};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    new_null_array,
};
use arrow::compute::and_not;
use arrow::compute::kernels::cmp::eq;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use obmen_sdk::{Error, Op, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

const OP: &str = "obmen_op";
const WHY: &str = "obmen_why";
const DOUBT: &str = "obmen_doubt";
const NOTE: &str = "obmen_note";
/// The columns of a row without its values.
const BARE: [&str; 8] = [KEY, ROW, OP, WHY, DOUBT, CREATED, ACKED, NOTE];
const OLD: &str = "obmen_old";
/// The values in files of format 1.
const NEW_1: &str = "new";
const OLD_1: &str = "old";

/// What the rows of a plan are evidence of once they are acked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The recipe of their hashes.
    pub(crate) recipe: i64,
    /// The number of the plan.
    pub(crate) seq: i64,
}

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

/// The columns of a plan file for a target with the columns `values`; `old`: something may be known before.
pub(crate) fn plan_schema(values: &SchemaRef, old: bool) -> SchemaRef {
    let mut fields = baseline_fields();
    fields.extend([
        Field::new(OP, DataType::Utf8, false),
        Field::new(WHY, DataType::Utf8, false),
        Field::new(DOUBT, DataType::Boolean, false),
        Field::new(NOTE, DataType::Utf8, true),
    ]);
    fields.extend(values.fields().iter().map(|field| field.as_ref().clone()));
    fields.extend(old.then(|| Field::new(OLD, DataType::Struct(values.fields().clone()), true)));
    Arc::new(Schema::new(fields))
}

impl PlanRows {
    /// The rows as a batch of `schema`, which is that of [`plan_schema`].
    pub(crate) fn batch(&self, origin: Origin, schema: &SchemaRef) -> Result<RecordBatch> {
        let rows = &self.rows;
        let text = |of: fn(&PlanRow) -> &'static str| rows.iter().map(of).map(Some).collect::<StringArray>();
        let mut columns = baseline_columns(rows, origin);
        columns.extend([
            Arc::new(text(|row| row.op.name())) as ArrayRef,
            Arc::new(text(|row| row.why.name())),
            Arc::new(rows.iter().map(|row| Some(row.doubt)).collect::<BooleanArray>()),
            Arc::new(rows.iter().map(|row| row.note.as_deref()).collect::<StringArray>()),
        ]);
        columns.extend(self.new.columns().iter().map(Arc::clone));
        if schema.index_of(OLD).is_ok() {
            columns.push(Arc::new(StructArray::from(self.old.clone())));
        }
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }

    /// The rows as those of a baseline, with its columns `schema`.
    pub(crate) fn baseline_batch(&self, origin: Origin, schema: &SchemaRef) -> Result<RecordBatch> {
        let mut columns = baseline_columns(&self.rows, origin);
        columns.extend(self.new.columns().iter().map(Arc::clone));
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }

    fn of(batch: &RecordBatch) -> Result<Self> {
        let record = |name: &str| {
            let array = column(batch, name)?.as_struct_opt().ok_or_else(|| damaged(name))?;
            // the records of a row are never NULL themselves
            Ok::<_, Error>(RecordBatch::from(array.clone()))
        };
        let (new, old) = if is_format_1(batch.schema_ref()) {
            (record(NEW_1)?, record(OLD_1)?)
        } else {
            let new = batch.project(&values_in(batch.schema_ref()))?;
            let old = batch.column_by_name(OLD).map(|_| record(OLD));
            let old = old.unwrap_or_else(|| nothing_known(new.schema_ref(), new.num_rows()))?;
            (new, old)
        };
        Ok(Self { rows: rows_of(batch)?, new, old })
    }
}

/// The columns of [`baseline_fields`] for rows that are acked.
fn baseline_columns(rows: &[PlanRow], origin: Origin) -> Vec<ArrayRef> {
    let keys: Vec<Hash> = rows.iter().map(|row| row.key).collect();
    let hashes: Vec<Hash> = rows.iter().map(|row| row.row).collect();
    let created = rows.iter().map(|row| if row.created < 0 { origin.seq } else { row.created });
    vec![
        hash_array(&keys),
        hash_array(&hashes),
        Arc::new(Int64Array::from(vec![origin.recipe; rows.len()])),
        Arc::new(rows.iter().map(|row| Some(row.op == Op::Delete)).collect::<BooleanArray>()),
        Arc::new(created.collect::<Int64Array>()),
        Arc::new(Int64Array::from(vec![origin.seq; rows.len()])),
    ]
}

/// Values of rows of which nothing was known.
pub(crate) fn nothing_known(schema: &SchemaRef, rows: usize) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| new_null_array(field.data_type(), rows)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn is_format_1(schema: &Schema) -> bool {
    schema.index_of(GONE).is_err()
}

/// Which columns are values.
fn values_in(schema: &Schema) -> Vec<usize> {
    (0..schema.fields().len()).filter(|at| !schema.field(*at).name().starts_with(OURS)).collect()
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
        let schema = self.file.schema();
        if !is_format_1(schema) {
            return Ok(Arc::new(schema.project(&values_in(schema))?));
        }
        match schema.field_with_name(NEW_1)?.data_type() {
            DataType::Struct(fields) => Ok(Arc::new(Schema::new(fields.clone()))),
            _ => Err(damaged(NEW_1)),
        }
    }

    /// How many rows are creates and how many are deletes of what was there; `None` where the file is not one a
    /// baseline can take over.
    pub(crate) fn creates_and_deletes(&self) -> Result<Option<(u64, u64)>> {
        if is_format_1(self.file.schema()) {
            return Ok(None);
        }
        let (mut creates, mut deletes) = (0, 0);
        for batch in self.file.scan(&[GONE, CREATED, ACKED])? {
            let batch = batch?;
            let gone = column(&batch, GONE)?.as_boolean_opt().ok_or_else(|| damaged(GONE))?;
            let here = eq(longs(&batch, CREATED)?, longs(&batch, ACKED)?)?;
            creates += and_not(&here, gone)?.true_count() as u64;
            deletes += and_not(gone, &here)?.true_count() as u64;
        }
        Ok(Some((creates, deletes)))
    }

    /// All rows without their values, in order.
    pub(crate) fn scan(&self) -> Result<impl Iterator<Item = Result<Vec<PlanRow>>> + use<>> {
        let batches = self.file.scan(&BARE)?;
        Ok(batches.map(|batch| rows_of(&batch?)))
    }

    /// All rows with their values, in order.
    pub(crate) fn scan_values(&self) -> Result<impl Iterator<Item = Result<PlanRows>> + use<>> {
        let schema = self.file.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let batches = self.file.scan(&names)?;
        Ok(batches.map(|batch| PlanRows::of(&batch?)))
    }

    /// The rows at `rows` (ascending), with their values.
    pub(crate) fn rows(&self, rows: &[u64]) -> Result<PlanRows> {
        PlanRows::of(&self.file.rows(rows)?)
    }

    /// The rows at `rows` (ascending), with their values, some thousands at a time.
    pub(crate) fn pieces(&self, rows: &[u64]) -> Result<impl Iterator<Item = Result<PlanRows>> + Send + use<>> {
        Ok(self.file.batches_of(rows)?.map(|batch| PlanRows::of(&batch?)))
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
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mut writer = FileWriter::create(state.folder(), name, Arc::clone(&schema), state.durability())?;
        for batch in self.file.scan(&names)? {
            let batch = batch?;
            let whys: StringArray = rows_of(&batch)?.iter().map(|row| Some(why(row).name())).collect();
            let mut columns = batch.columns().to_vec();
            columns[schema.index_of(WHY)?] = Arc::new(whys);
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
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
    let created = longs(batch, CREATED)?;
    let acked = batch.column_by_name(ACKED).and_then(|array| array.as_primitive_opt::<Int64Type>());
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
                created: match acked {
                    Some(acked) if acked.value(at) == created.value(at) => -1,
                    _ => created.value(at),
                },
                note: notes.is_valid(at).then(|| notes.value(at).to_owned()),
            })
        })
        .collect()
}

fn longs<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Int64Array> {
    column(batch, name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| damaged(name))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| damaged(name))
}

fn damaged(column: &str) -> Error {
    Error::invalid_data(format!("a plan file has no proper column {column}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Durability;

    /// A plan as it was written before files had format 2.
    fn format_1() -> RecordBatch {
        let texts = |texts: [Option<&str>; 2]| Arc::new(texts.into_iter().collect::<StringArray>()) as ArrayRef;
        let record = |value: [Option<&str>; 2]| {
            let batch = RecordBatch::try_from_iter_with_nullable([("value", texts(value), true)]).unwrap();
            Arc::new(StructArray::from(batch)) as ArrayRef
        };
        RecordBatch::try_from_iter_with_nullable([
            (KEY, hash_array(&[1, 2]), false),
            (ROW, hash_array(&[11, 12]), false),
            (OP, texts([Some("create"), Some("update")]), false),
            (WHY, texts([Some("due"), Some("guard")]), false),
            (DOUBT, Arc::new(BooleanArray::from(vec![false, true])), false),
            (CREATED, Arc::new(Int64Array::from(vec![-1, 4])), false),
            (NOTE, texts([None, Some("held")]), true),
            (NEW_1, record([Some("a"), Some("b")]), true),
            (OLD_1, record([None, Some("c")]), true),
        ])
        .unwrap()
    }

    #[test]
    fn a_plan_of_format_1_is_read_and_written_again_and_never_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path(), Durability::Scratch).unwrap();
        let batch = format_1();
        let mut writer =
            FileWriter::create(state.folder(), "plans/old.parquet", batch.schema(), state.durability()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let old = PlanFile::open(&state, "plans/old.parquet").unwrap();
        assert_eq!(old.creates_and_deletes().unwrap(), None, "it has no columns of a baseline");
        old.rewrite(&state, "plans/again.parquet", |row| if row.key == 1 { Why::Guard } else { row.why }).unwrap();
        let again = PlanFile::open(&state, "plans/again.parquet").unwrap();
        for (file, why) in [(&old, Why::Due), (&again, Why::Guard)] {
            assert_eq!(file.value_schema().unwrap().fields().len(), 1);
            let rows = file.rows(&[0, 1]).unwrap();
            assert_eq!((rows.rows[0].why, rows.rows[0].created, rows.rows[1].created), (why, -1, 4));
            assert_eq!((rows.rows[1].why, rows.rows[1].note.as_deref()), (Why::Guard, Some("held")));
            assert_eq!(rows.new.column(0).as_string::<i32>().value(1), "b");
            assert_eq!(rows.old.column(0).as_string::<i32>().value(1), "c");
            assert!(rows.old.column(0).is_null(0));
        }
    }
}
