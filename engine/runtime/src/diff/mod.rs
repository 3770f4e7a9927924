//! What differs between a relation and what the other side is known to have.
//!
//! The relation's rows, and those of its children, are grouped by ranges of key hashes within a
//! memory budget; range by range they are sorted, hashed and walked beside the baseline, which is
//! sorted by the same hash. Only hashes are compared; values are read for rows that differ.

mod decide;
mod rows;
mod shuffle;

pub(crate) use decide::{Approved, Counts, Judge, Parents};

use crate::hash::Hash;
use crate::plan_file::{PlanFile, PlanRows, Why, plan_schema};
use crate::sql::{Query, Sql};
use crate::state::State;
use crate::table::{Baseline, FileWriter, Known};
use crate::target::{Target, TargetCheck};
use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{filter_record_batch, interleave_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use decide::{Decision, Values};
use futures::TryStreamExt;
use obmen_sdk::types::column_type;
use obmen_sdk::{Op, Result};
use obmen_spec::{ColumnType, SqlText};
use rows::{Rows, check_column, keyed, keyed_schema};
use shuffle::{BUCKETS, Shuffle, end_of};
use std::path::Path;
use std::sync::Arc;

/// Bytes of a range that are put together in memory at a time.
const RANGE_BYTES: usize = 8 << 20;
const SCOPE_COLUMN: &str = "obmen_scope";

/// The differences of one target, written to a plan file that nobody names yet.
#[derive(Debug)]
pub(crate) struct Difference {
    /// The file, in the state's folder; `None` if there is nothing in it.
    pub(crate) file: Option<String>,
    /// Its rows.
    pub(crate) rows: u64,
    /// What was counted.
    pub(crate) counts: Counts,
}

/// Everything a diff works with.
pub(crate) struct Diff<'a> {
    /// The SQL session with sources and steps.
    pub(crate) sql: &'a Sql,
    /// The state.
    pub(crate) state: &'a State,
    /// The sink.
    pub(crate) target: &'a Target,
    /// Decides what happens to a key.
    pub(crate) judge: Judge<'a>,
    /// Bytes that may be buffered.
    pub(crate) budget: usize,
    /// A folder for buffered rows.
    pub(crate) work: &'a Path,
    /// The file to write, in the state's folder.
    pub(crate) file: String,
}

impl Diff<'_> {
    /// Compares, decides and writes the plan file.
    ///
    /// # Errors
    /// Those of sources and SQL, and of the disk.
    pub(crate) async fn run(&mut self) -> Result<Difference> {
        let mut counts = Counts::default();
        let mut owners = self.shuffle_owners(&mut counts).await?;
        let mut children = Vec::with_capacity(self.target.children.len());
        for index in 0..self.target.children.len() {
            children.push(self.shuffle_child(index, &mut counts).await?);
        }
        let baseline = Baseline::open(self.state, self.target.scope)?;
        let mut cursor = baseline.cursor()?;
        let schema = plan_schema(&self.target.schema);
        let mut writer = FileWriter::create(self.state.folder(), &self.file, schema, self.state.durability())?;
        let (mut from, mut start): (usize, Hash) = (0, 0);
        while from < BUCKETS {
            let to = range_end(from, &owners, &children);
            let parts = children.iter_mut().map(|child| child.take(from, to)).collect::<Result<Vec<_>>>()?;
            let end = end_of(to - 1);
            let rows = Rows::build(self.target, &owners.take(from, to)?, &parts, (start, end))?;
            let known = cursor.below(end)?;
            self.compare(&rows, &known, &baseline, &mut counts, &mut writer).await?;
            from = to;
            start = end.unwrap_or(start);
        }
        self.finish(writer, counts)
    }

    fn finish(&self, writer: FileWriter, counts: Counts) -> Result<Difference> {
        let only_same = writer.rows() == counts.same;
        if only_same {
            writer.discard()?;
            return Ok(Difference { file: None, rows: 0, counts });
        }
        let rows = writer.finish()?;
        Ok(Difference { file: Some(self.file.clone()), rows, counts })
    }

    async fn compare(
        &mut self,
        rows: &Rows,
        known: &[Known],
        baseline: &Baseline,
        counts: &mut Counts,
        writer: &mut FileWriter,
    ) -> Result<()> {
        let mut decisions = self.judge.walk(self.target, rows, known, baseline, counts)?;
        self.drop_out_of_scope(&mut decisions, baseline).await?;
        counts.add(&decisions);
        for chunk in decisions.chunks(8192) {
            writer.write(&self.plan_rows(chunk, rows, baseline)?.batch()?)?;
        }
        Ok(())
    }

    /// Gone keys outside the scope are none of this run's business.
    async fn drop_out_of_scope(&self, decisions: &mut Vec<Decision>, baseline: &Baseline) -> Result<()> {
        let Some(condition) = &self.target.condition else { return Ok(()) };
        let gone: Vec<Known> = decisions.iter().filter_map(Decision::gone).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let values = baseline.values(&gone, &self.target.schema)?;
        let inside = self.sql.evaluate(&self.target.from, &values, condition).await?;
        let mut inside = inside.into_iter();
        decisions.retain(|decision| decision.gone().is_none() || inside.next().unwrap_or(false));
        Ok(())
    }

    /// The rows of a plan file for some decisions.
    fn plan_rows(&self, decisions: &[Decision], rows: &Rows, baseline: &Baseline) -> Result<PlanRows> {
        let known: Vec<Known> = decisions.iter().filter_map(|decision| decision.known).collect();
        let old = baseline.values(&known, &self.target.schema)?;
        let lost = self.lost_values(decisions)?;
        let nothing = null_row(&self.target.schema)?;
        let sources = [&rows.values, &old, &lost, &nothing];
        let (mut new_order, mut old_order) = (Vec::new(), Vec::new());
        let (mut next_old, mut next_lost) = (0, 0);
        for decision in decisions {
            let known = decision.known.map(|_| {
                next_old += 1;
                (1, next_old - 1)
            });
            let values = match decision.values {
                Values::New(row) => (0, row),
                Values::Known => known.unwrap_or((3, 0)),
                Values::Lost(_) => {
                    next_lost += 1;
                    (2, next_lost - 1)
                }
            };
            new_order.push(values);
            old_order.push(known.unwrap_or((3, 0)));
        }
        Ok(PlanRows {
            rows: decisions.iter().map(|decision| decision.row.clone()).collect(),
            new: interleave_record_batch(&sources, &new_order)?,
            old: interleave_record_batch(&sources, &old_order)?,
        })
    }

    /// The values of keys that were sent, whose answer was lost, and that are gone since: they stand in the plan that sent them.
    fn lost_values(&self, decisions: &[Decision]) -> Result<RecordBatch> {
        let mut batches = vec![RecordBatch::new_empty(Arc::clone(&self.target.schema))];
        for decision in decisions {
            if let Values::Lost(row) = &decision.values {
                let values = PlanFile::open(self.state, &row.file)?.rows(&[row.row])?.new;
                batches.push(crate::table::align(&values, &self.target.schema)?);
            }
        }
        Ok(arrow::compute::concat_batches(&self.target.schema, &batches)?)
    }

    async fn shuffle_owners(&self, counts: &mut Counts) -> Result<Shuffle> {
        let target = self.target;
        let columns: Vec<String> = target.key.iter().cloned().chain(target.values().map(str::to_owned)).collect();
        let mut flags = check_flags(&target.checks);
        if let Some(condition) = &target.condition {
            flags.push((SCOPE_COLUMN.to_owned(), condition.clone()));
        }
        let query = Query { relation: target.from.clone(), columns: Some(columns), flags, casts: target.casts.clone() };
        let mut stream = self.sql.stream(query).await?;
        let mut shuffle: Option<Shuffle> = None;
        while let Some(batch) = stream.try_next().await? {
            let batch = in_scope(batch)?;
            count_checks(&target.checks, &target.from, &batch, counts)?;
            let schema = keyed_schema(batch.schema_ref());
            let (batch, missing) = keyed(&batch, &target.key, &schema)?;
            counts.without_key(missing);
            let name = format!("{}-rows", target.scope.0);
            shuffle.get_or_insert_with(|| Shuffle::new(schema, self.budget / 2, self.work, &name)).push(&batch)?;
        }
        Ok(shuffle.unwrap_or_else(|| Shuffle::new(self.empty_owners(), self.budget / 2, self.work, "none")))
    }

    async fn shuffle_child(&self, index: usize, counts: &mut Counts) -> Result<Shuffle> {
        let child = &self.target.children[index];
        let columns: Vec<String> = child.by.iter().chain(&child.columns).cloned().collect();
        let flags = check_flags(&child.checks);
        let casts = self.part_types(&child.name);
        let query = Query { relation: child.from.clone(), columns: Some(columns), flags, casts };
        let mut stream = self.sql.stream(query).await?;
        let share = self.budget / 2 / self.target.children.len().max(1);
        let mut shuffle: Option<Shuffle> = None;
        while let Some(batch) = stream.try_next().await? {
            count_checks(&child.checks, &child.from, &batch, counts)?;
            let schema = keyed_schema(batch.schema_ref());
            let (batch, _) = keyed(&batch, &child.by, &schema)?;
            let name = format!("{}-{}", self.target.scope.0, index);
            shuffle.get_or_insert_with(|| Shuffle::new(schema, share, self.work, &name)).push(&batch)?;
        }
        Ok(shuffle.unwrap_or_else(|| Shuffle::new(self.empty_child(index), share, self.work, "none")))
    }

    /// The types that the parts of a child have in the target.
    fn part_types(&self, child: &str) -> Vec<(String, ColumnType)> {
        let Ok(DataType::List(item)) = self.target.schema.field_with_name(child).map(Field::data_type) else {
            return Vec::new();
        };
        let DataType::Struct(fields) = item.data_type() else { return Vec::new() };
        fields.iter().filter_map(|field| Some((field.name().clone(), column_type(field)?))).collect()
    }

    fn empty_owners(&self) -> SchemaRef {
        let mut fields: Vec<Field> = self
            .target
            .schema
            .fields()
            .iter()
            .filter(|field| !self.target.children.iter().any(|child| child.name == *field.name()))
            .map(|field| field.as_ref().clone())
            .collect();
        fields.extend(flag_fields(&self.target.checks));
        keyed_schema(&Arc::new(Schema::new(fields)))
    }

    fn empty_child(&self, index: usize) -> SchemaRef {
        let child = &self.target.children[index];
        let all = self.sql.schema(&child.from).unwrap_or_else(|| Arc::new(Schema::empty()));
        let wanted = child.by.iter().chain(&child.columns);
        let mut fields: Vec<Field> = wanted.filter_map(|name| all.field_with_name(name).ok().cloned()).collect();
        fields.extend(flag_fields(&child.checks));
        keyed_schema(&Arc::new(Schema::new(fields)))
    }
}

/// The end of a range of buckets that fits in memory together.
fn range_end(from: usize, owners: &Shuffle, children: &[Shuffle]) -> usize {
    let mut bytes = 0;
    let mut to = from;
    while to < BUCKETS {
        bytes += owners.bytes(to) + children.iter().map(|child| child.bytes(to)).sum::<usize>();
        if to > from && bytes > RANGE_BYTES {
            break;
        }
        to += 1;
    }
    to
}

fn in_scope(batch: RecordBatch) -> Result<RecordBatch> {
    match batch.column_by_name(SCOPE_COLUMN) {
        Some(flags) => {
            let inside: BooleanArray = flags.as_boolean().iter().map(|inside| Some(inside.unwrap_or(false))).collect();
            Ok(filter_record_batch(&batch, &inside)?)
        }
        None => Ok(batch),
    }
}

fn check_flags(checks: &[TargetCheck]) -> Vec<(String, SqlText)> {
    checks.iter().enumerate().map(|(index, check)| (check_column(index), check.expect.clone())).collect()
}

fn flag_fields(checks: &[TargetCheck]) -> impl Iterator<Item = Field> {
    (0..checks.len()).map(|index| Field::new(check_column(index), DataType::Boolean, true))
}

/// Counts the rows of a relation that fail its checks, without comparing them with anything: for
/// relations that go to no sink.
///
/// # Errors
/// `InvalidData` when a check says `stop`; those of SQL.
pub(crate) async fn count_failures(sql: &Sql, relation: &str, checks: &[TargetCheck]) -> Result<Counts> {
    let mut counts = Counts::default();
    let query = Query {
        relation: relation.to_owned(),
        columns: Some(Vec::new()),
        flags: check_flags(checks),
        casts: Vec::new(),
    };
    let mut stream = sql.stream(query).await?;
    while let Some(batch) = stream.try_next().await? {
        count_checks(checks, relation, &batch, &mut counts)?;
    }
    Ok(counts)
}

fn count_checks(checks: &[TargetCheck], relation: &str, batch: &RecordBatch, counts: &mut Counts) -> Result<()> {
    for (index, check) in checks.iter().enumerate() {
        let Some(flags) = batch.column_by_name(&check_column(index)) else { continue };
        let flags = flags.as_boolean();
        let failed = (0..flags.len()).filter(|row| flags.is_null(*row) || !flags.value(*row)).count() as u64;
        counts.check(&check.name, failed);
        if failed > 0 && check.otherwise == obmen_spec::pipeline::Otherwise::Stop {
            let message = format!("check `{}` failed for {failed} rows of `{relation}`: nothing was sent", check.name);
            return Err(obmen_sdk::Error::invalid_data(message));
        }
    }
    Ok(())
}

fn null_row(schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| arrow::array::new_null_array(field.data_type(), 1)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Whether an operation counts against a guard, and which.
pub(crate) fn guarded(op: Op, why: Why, doubt: bool) -> bool {
    why == Why::Due && !doubt && op != Op::Create
}

/// A hash over hashes, for digests that say "the same changes".
pub(crate) fn digest_step(digest: Hash, key: Hash, row: Hash, op: Op) -> Hash {
    let mut bytes = Vec::with_capacity(49);
    bytes.extend(digest.to_be_bytes());
    bytes.extend(key.to_be_bytes());
    bytes.extend(row.to_be_bytes());
    bytes.push(match op {
        Op::Create => 0,
        Op::Update => 1,
        Op::Delete => 2,
    });
    xxhash_rust::xxh3::xxh3_128(&bytes)
}
