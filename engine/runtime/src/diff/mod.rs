//! What differs between a relation and what the other side is known to have.
//!
//! ```text
//! relation ─┬─ marks: key hash, row hash ─ by range of key hashes ─┐
//! children ─┘                                                      ├─ walk ─ decisions ─┐
//! baseline ─── key hash, row hash, in the same order ──────────────┘                    ├─ plan file
//! relation ─── again, only rows that differ: values ─ by range of key hashes ───────────┘
//! ```
//!
//! Only marks of a few dozen bytes a row are sorted, range by range, and walked beside the baseline,
//! which is sorted by the same hash. Values are kept only of rows that differ: known at once by what the
//! baseline has seen, where that fits in memory, otherwise read again. Where nearly everything differs (a
//! first load) or values are compared (a changed recipe), they are all taken along.
//! What does not fit in the budget goes to scratch files.

mod decide;
mod flaw;
mod marks;
mod read;
mod rows;
mod runs;
mod seen;
mod shuffle;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use decide::{Approved, Counts, Judge, Parents};

use crate::ahead::Ahead;
use crate::beside::Beside;
use crate::hash::Hash;
use crate::plan_file::{Origin, PlanFile, PlanRows, Why, nothing_known, plan_schema};
use crate::sql::Sql;
use crate::state::State;
use crate::table::{Baseline, BaselineCursor, FileWriter, Known};
use crate::target::{Target, TargetCheck};
use arrow::compute::interleave_record_batch;
use arrow::record_batch::RecordBatch;
use decide::{Decision, Values};
use futures::TryStreamExt;
use marks::Marks;
use obmen_sdk::{Error, ErrorKind, Op, Result};
use obmen_spec::pipeline::Otherwise;
use read::{Keep, KeySet, Looked, Side, Wish};
use rows::{PART_WIDTH, Rows, owner_width};
use seen::Seen;
use shuffle::Shuffle;
use std::path::Path;
use std::sync::Arc;
use values::ValuesOfRows;

/// Ranges of key hashes: the top bits of the hash.
const RANGES: usize = 256;
const RANGE_SHIFT: u32 = 128 - RANGES.trailing_zeros();
/// Bytes of marks or rows that are put together in memory at a time.
const TOGETHER: usize = 8 << 20;
/// Decisions written at a time.
const CHUNK: usize = 8192;

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
    pub(crate) target: &'a Arc<Target>,
    /// Decides what happens to a key.
    pub(crate) judge: Judge<'a>,
    /// Bytes that may be buffered.
    pub(crate) budget: usize,
    /// A folder for buffered rows.
    pub(crate) work: &'a Path,
    /// Which keys are looked at.
    pub(crate) about: About,
    /// The file to write, in the state's folder.
    pub(crate) file: String,
    /// The number of the plan it is of.
    pub(crate) seq: i64,
}

/// Which keys a diff is about.
#[derive(Clone, Debug)]
pub(crate) enum About {
    /// All there are on either side.
    Everything,
    /// Those the relation has: it brings only changes, and what it does not bring is as it was.
    Present,
    /// These, and `known` rows in all are known and not gone: whatever is not among them did not change.
    Keys {
        /// The keys, ascending.
        keys: Arc<Vec<Hash>>,
        /// Rows of the baseline that are not gone.
        known: u64,
    },
}

/// What is known, range by range.
enum KnownRows {
    Walk(Box<BaselineCursor>),
    Find,
    /// Found before, ascending; and how many of them were given.
    Found(Vec<Known>, usize),
}

/// The marks of a target's relations.
struct Marked {
    owners: Marks,
    children: Vec<Marks>,
}

/// What a walk over all marks found.
struct Walked {
    /// The decisions, ascending; `None` if they are too many to keep.
    decisions: Option<Vec<Decision>>,
    /// The keys whose values are needed; `None` if they are too many, too.
    keys: Option<KeySet>,
    /// Whether all those values were kept when the relation was read.
    kept: bool,
}

/// The rows of a target's relations.
struct Taken {
    owners: Shuffle,
    children: Vec<Shuffle>,
}

impl Diff<'_> {
    /// Compares, decides and writes the plan file.
    ///
    /// # Errors
    /// Those of sources and SQL, and of the disk.
    pub(crate) async fn run(&mut self) -> Result<Difference> {
        let baseline = Baseline::open(self.state, self.target.scope)?;
        let at_once = !matches!(self.about, About::Everything)
            || self.target.whole
            || baseline.is_empty()
            || baseline.has_other_recipes(self.target.recipe)?;
        // a part changes its owner's hash, which is not known before all parts are
        let seen = if at_once || !self.target.children.is_empty() {
            None
        } else {
            Seen::of(&baseline, self.budget)?.map(Arc::new)
        };
        let values = match (at_once, &seen) {
            (true, _) => Keep::Everything,
            (false, Some(seen)) => Keep::Unless(Arc::clone(seen)),
            (false, None) => Keep::Nothing,
        };
        let mut counts = Counts::default();
        let wish = Wish { marks: true, values, only: self.about.keys() };
        let (marked, mut taken) = self.read(wish, &mut counts).await?;
        let marked = Arc::new(marked);
        let mut writer = self.writer(!baseline.is_empty())?;
        if !at_once {
            let mut counted = counts.clone();
            let walked = self.walk(&baseline, &marked, seen.as_deref(), &mut counted).await?;
            if !walked.kept {
                drop(taken);
                taken = self.values_of(walked.keys).await?;
            }
            if let Some(decisions) = walked.decisions {
                self.write(&decisions, &baseline, taken, &mut writer)?;
                return self.finish(writer, counted);
            }
            self.judge.forget();
        }
        self.walk_and_write(&baseline, marked, taken, &mut counts, &mut writer).await?;
        self.finish(writer, counts)
    }

    /// Reads the relations again, for the values of some rows or of all.
    async fn values_of(&self, only: Option<KeySet>) -> Result<Taken> {
        let wish = Wish { marks: false, values: Keep::Everything, only: only.map(Arc::new) };
        Ok(self.read(wish, &mut Counts::default()).await?.1)
    }

    fn writer(&self, old: bool) -> Result<Beside<FileWriter>> {
        let schema = plan_schema(&self.target.schema, old);
        Beside::start(FileWriter::create(self.state.folder(), &self.file, schema, self.state.durability())?)
    }

    fn finish(&self, writer: Beside<FileWriter>, counts: Counts) -> Result<Difference> {
        let only_same = writer.rows() == counts.same;
        if only_same {
            writer.discard()?;
            return Ok(Difference { file: None, rows: 0, counts });
        }
        let rows = writer.finish()?;
        Ok(Difference { file: Some(self.file.clone()), rows, counts })
    }

    /// Reads all relations of the target.
    async fn read(&self, wish: Wish, counts: &mut Counts) -> Result<(Marked, Taken)> {
        let mut marked = Vec::with_capacity(1 + self.target.children.len());
        let mut taken = Vec::with_capacity(1 + self.target.children.len());
        let sides = std::iter::once(Side::Owners).chain((0..self.target.children.len()).map(Side::Child));
        for side in sides {
            let (marks, rows) = self.read_side(side, wish.clone(), counts).await?;
            marked.push(marks);
            taken.push(rows);
        }
        Ok((Marked { owners: marked.remove(0), children: marked }, Taken { owners: taken.remove(0), children: taken }))
    }

    async fn read_side(&self, side: Side, wish: Wish, counts: &mut Counts) -> Result<(Marks, Shuffle)> {
        let (name, width, parts) = match side {
            Side::Owners => (format!("{}-rows", self.target.scope.0), owner_width(self.target), 1),
            Side::Child(index) => (format!("{}-{index}", self.target.scope.0), PART_WIDTH, self.target.children.len()),
        };
        let share = self.budget / 4 / parts;
        let mut marks = Marks::new(width, share, self.work, &name);
        let fresh = |schema| Beside::start(Shuffle::new(schema, 2 * share, self.work, &name));
        let mut shuffle: Option<Beside<Shuffle>> = None;
        let mut looked = read::read(self.sql, self.target, side, wish).await?;
        while let Some(Looked { marks: more, values, keyless, failed }) = looked.try_next().await? {
            counts.checks(side.relation(self.target), side.checks(self.target), &failed)?;
            if side == Side::Owners {
                counts.without_key(keyless);
            }
            marks.push(&more)?;
            if let Some(batch) = values {
                match &mut shuffle {
                    Some(shuffle) => shuffle.write(batch)?,
                    empty => empty.insert(fresh(batch.schema())?).write(batch)?,
                }
            }
        }
        let shuffle = match shuffle {
            Some(mut shuffle) => shuffle.end()?,
            None => Shuffle::new(side.schema(self.sql, self.target), share, self.work, &name),
        };
        Ok((marks, shuffle))
    }

    /// Walks all marks beside the baseline.
    async fn walk(
        &mut self,
        baseline: &Baseline,
        marked: &Arc<Marked>,
        seen: Option<&Seen>,
        counts: &mut Counts,
    ) -> Result<Walked> {
        let mut before = self.about.known(baseline)?;
        let mut walked = Walked { decisions: Some(Vec::new()), keys: Some(KeySet::default()), kept: true };
        let (target, marks) = (Arc::clone(self.target), Arc::clone(marked));
        for rows in pieces(|range| marked.bytes(range), move |from, to| marks.rows(&target, from, to))? {
            let rows = rows?;
            let known = before.of(&rows, baseline)?;
            let decisions = self.decide(&rows, &known, None, baseline, counts).await?;
            walked.add(decisions, seen, self.budget / 2);
        }
        Ok(walked)
    }

    async fn walk_and_write(
        &mut self,
        baseline: &Baseline,
        marked: Arc<Marked>,
        taken: Taken,
        counts: &mut Counts,
        writer: &mut Beside<FileWriter>,
    ) -> Result<()> {
        let mut before = self.about.known(baseline)?;
        let (target, taken) = (Arc::clone(self.target), Arc::new(taken));
        let bytes = |range| marked.bytes(range) + taken.bytes(range);
        let (marks, values) = (Arc::clone(&marked), Arc::clone(&taken));
        for piece in
            pieces(bytes, move |from, to| Ok((marks.rows(&target, from, to)?, values.values(&target, from, to)?)))?
        {
            let (rows, values) = piece?;
            let known = before.of(&rows, baseline)?;
            let decisions = self.decide(&rows, &known, Some(&values), baseline, counts).await?;
            self.write_with(&decisions, &values, baseline, writer)?;
        }
        if let About::Keys { known, .. } = &self.about {
            counts.others_are_unchanged(*known);
        }
        Ok(())
    }

    /// Writes decisions (ascending) whose values were read after them.
    fn write(
        &self,
        decisions: &[Decision],
        baseline: &Baseline,
        taken: Taken,
        writer: &mut Beside<FileWriter>,
    ) -> Result<()> {
        let mut left = decisions;
        let (target, taken) = (Arc::clone(self.target), Arc::new(taken));
        let values = Arc::clone(&taken);
        for piece in
            pieces(|range| taken.bytes(range), move |from, to| Ok((end_of(to - 1), values.values(&target, from, to)?)))?
        {
            let (end, values) = piece?;
            let inside = end.map_or(left.len(), |end| left.partition_point(|decision| decision.key() < end));
            let (now, later) = left.split_at(inside);
            if !now.is_empty() {
                self.write_with(now, &values, baseline, writer)?;
            }
            left = later;
        }
        Ok(())
    }

    fn write_with(
        &self,
        decisions: &[Decision],
        values: &ValuesOfRows,
        baseline: &Baseline,
        writer: &mut Beside<FileWriter>,
    ) -> Result<()> {
        let origin = Origin { recipe: self.target.recipe, seq: self.seq };
        let schema = plan_schema(&self.target.schema, !baseline.is_empty());
        for chunk in decisions.chunks(CHUNK) {
            writer.write(self.plan_rows(chunk, values, baseline)?.batch(origin, &schema)?)?;
        }
        Ok(())
    }

    async fn decide(
        &mut self,
        rows: &Rows,
        known: &[Known],
        values: Option<&ValuesOfRows>,
        baseline: &Baseline,
        counts: &mut Counts,
    ) -> Result<Vec<Decision>> {
        let mut decisions = self.judge.walk(self.target, rows, known, values, baseline, counts)?;
        self.drop_out_of_scope(&mut decisions, baseline).await?;
        counts.add(&decisions);
        Ok(decisions)
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
    fn plan_rows(&self, decisions: &[Decision], values: &ValuesOfRows, baseline: &Baseline) -> Result<PlanRows> {
        let known: Vec<Known> = decisions.iter().filter_map(|decision| decision.known).collect();
        let old = baseline.values(&known, &self.target.schema)?;
        self.refuse_unsaid_keys(decisions, &old)?;
        let lost = self.lost_values(decisions)?;
        let nothing = nothing_known(&self.target.schema, 1)?;
        let sources = [&values.batch, &old, &lost, &nothing];
        let (mut new_order, mut old_order) = (Vec::new(), Vec::new());
        let (mut next_old, mut next_lost) = (0, 0);
        for decision in decisions {
            let known = decision.known.map(|_| {
                next_old += 1;
                (1, next_old - 1)
            });
            let place = match decision.values {
                Values::New => (0, values.row(decision.key())?),
                Values::Known => known.unwrap_or((3, 0)),
                Values::Lost(_) => {
                    next_lost += 1;
                    (2, next_lost - 1)
                }
            };
            new_order.push(place);
            old_order.push(known.unwrap_or((3, 0)));
        }
        Ok(PlanRows {
            rows: decisions.iter().map(|decision| decision.row.clone()).collect(),
            new: match run_of_first(&new_order) {
                Some(start) => values.batch.slice(start, decisions.len()),
                None => interleave_record_batch(&sources, &new_order)?,
            },
            old: if known.is_empty() {
                nothing_known(&self.target.schema, decisions.len())?
            } else {
                interleave_record_batch(&sources, &old_order)?
            },
        })
    }

    /// A row that is gone is deleted by its key, which the key's type of now may not be able to say.
    fn refuse_unsaid_keys(&self, decisions: &[Decision], old: &RecordBatch) -> Result<()> {
        let known = decisions.iter().filter(|decision| decision.known.is_some());
        let gone: Vec<usize> = known
            .enumerate()
            .filter(|(_, decision)| decision.row.op == Op::Delete && decision.row.why != Why::Ignored)
            .map(|(at, _)| at)
            .collect();
        for name in &self.target.key {
            let column = old.column_by_name(name);
            if column.is_some_and(|column| gone.iter().any(|at| column.is_null(*at))) {
                let message = format!(
                    "rows are gone whose key column `{name}` was of another type, and does not fit the type it has now: \
                     declare it as it was, or give up what is known with `obmen baseline forget`"
                );
                return Err(Error::new(ErrorKind::SchemaMismatch, message).with("sink", &self.target.name));
            }
        }
        Ok(())
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
}

impl About {
    fn keys(&self) -> Option<Arc<KeySet>> {
        match self {
            Self::Keys { keys, .. } => Some(Arc::new(keys.iter().copied().collect())),
            _ => None,
        }
    }

    fn known(&self, baseline: &Baseline) -> Result<KnownRows> {
        Ok(match self {
            Self::Everything => KnownRows::Walk(Box::new(baseline.cursor()?)),
            Self::Present => KnownRows::Find,
            Self::Keys { keys, .. } => KnownRows::Found(baseline.find(keys)?, 0),
        })
    }
}

impl KnownRows {
    /// What is known in the range of some rows; ranges are asked for in ascending order.
    fn of(&mut self, rows: &Rows, baseline: &Baseline) -> Result<Vec<Known>> {
        match self {
            Self::Walk(cursor) => cursor.below(rows.range.1),
            Self::Find => baseline.find(&rows.keys),
            Self::Found(found, given) => {
                let rest = found.get(*given..).unwrap_or_default();
                let inside = rows.range.1.map_or(rest.len(), |end| rest.partition_point(|known| known.key < end));
                *given += inside;
                Ok(rest.get(..inside).unwrap_or_default().to_vec())
            }
        }
    }
}

impl Walked {
    /// Adds decisions; what then takes more than `budget` bytes is given up.
    fn add(&mut self, mut more: Vec<Decision>, seen: Option<&Seen>, budget: usize) {
        let new = || more.iter().filter(|decision| decision.is_new());
        self.kept &= new().all(|decision| seen.is_some_and(|seen| !seen.has(decision.key(), decision.row.row)));
        if let Some(keys) = &mut self.keys {
            keys.extend(new().map(Decision::key));
        }
        if let Some(decisions) = &mut self.decisions {
            decisions.append(&mut more);
        }
        self.decisions.take_if(|decisions| decisions.len() > budget / size_of::<Decision>());
        // a set is at most half full
        self.keys.take_if(|keys| keys.len() > budget / (2 * size_of::<Hash>()));
    }
}

impl Marked {
    fn bytes(&self, range: usize) -> usize {
        self.owners.bytes(range) + self.children.iter().map(|child| child.bytes(range)).sum::<usize>()
    }

    fn rows(&self, target: &Target, from: usize, to: usize) -> Result<Rows> {
        let owners = self.owners.read(from, to)?;
        let children = self.children.iter().map(|child| child.read(from, to)).collect::<Result<Vec<_>>>()?;
        Ok(Rows::of_marks(target, &owners, &children, (start_of(from), end_of(to - 1))))
    }
}

impl Taken {
    fn bytes(&self, range: usize) -> usize {
        self.owners.bytes(range) + self.children.iter().map(|child| child.bytes(range)).sum::<usize>()
    }

    fn values(&self, target: &Target, from: usize, to: usize) -> Result<ValuesOfRows> {
        let owners = self.owners.read(from, to)?;
        let children = self.children.iter().map(|child| child.read(from, to)).collect::<Result<Vec<_>>>()?;
        ValuesOfRows::build(target, &owners, &children)
    }
}

/// Puts neighbouring ranges that fit in memory together, ahead of the work on those before.
fn pieces<T: Send + 'static>(
    bytes: impl Fn(usize) -> usize,
    mut make: impl FnMut(usize, usize) -> Result<T> + Send + 'static,
) -> Result<Ahead<T>> {
    Ahead::start(ranges(bytes).into_iter().map(move |(from, to)| make(from, to)))
}

/// Neighbouring ranges that fit in memory together.
fn ranges(bytes: impl Fn(usize) -> usize) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let (mut from, mut sum) = (0, 0);
    for range in 0..RANGES {
        let more = bytes(range);
        if range > from && sum + more > TOGETHER {
            all.push((from, range));
            (from, sum) = (range, 0);
        }
        sum += more;
    }
    all.push((from, RANGES));
    all
}

/// Where places begin, if they are neighbouring rows of the first batch.
fn run_of_first(places: &[(usize, usize)]) -> Option<usize> {
    let (_, start) = *places.first()?;
    places.iter().zip(start..).all(|(place, at)| *place == (0, at)).then_some(start)
}

/// The range a hash is in.
fn range_of(hash: Hash) -> usize {
    usize::try_from(hash >> RANGE_SHIFT).unwrap_or(0)
}

/// The first hash of a range.
fn start_of(range: usize) -> Hash {
    (range as Hash) << RANGE_SHIFT
}

/// The first hash above a range; `None` above the last.
fn end_of(range: usize) -> Option<Hash> {
    (range + 1 < RANGES).then(|| start_of(range + 1))
}

/// Counts the rows of a relation that fail its checks, without comparing them with anything: for
/// relations that go to no sink.
///
/// # Errors
/// `InvalidData` when a check says `stop`; those of SQL.
pub(crate) async fn count_failures(sql: &Sql, relation: &str, checks: &[TargetCheck]) -> Result<Counts> {
    let mut counts = Counts::default();
    let failed = read::failures(sql, relation, checks).await?;
    counts.checks(relation, checks, &failed)?;
    Ok(counts)
}

impl Counts {
    /// Adds rows that failed checks.
    ///
    /// # Errors
    /// `InvalidData` when one of them says `stop`.
    fn checks(&mut self, relation: &str, checks: &[TargetCheck], failed: &[u64]) -> Result<()> {
        for (check, failed) in checks.iter().zip(failed) {
            self.check(&check.name, *failed);
            if *failed > 0 && check.otherwise == Otherwise::Stop {
                let message =
                    format!("check `{}` failed for {failed} rows of `{relation}`: nothing was sent", check.name);
                return Err(Error::invalid_data(message));
            }
        }
        Ok(())
    }
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
