//! Sending what is due: portions, outcomes, and what the state learns from them.
//!
//! Before a portion leaves, its keys are committed as in doubt; the answer settles them. A portion
//! refused as a whole is halved until the guilty row stands alone, so that one bad row holds back
//! no others.

use crate::ahead::Ahead;
use crate::hash::Hash;
use crate::plan_file::{PlanFile, PlanRows, Why};
use crate::portions::{DueFile, Part, Portion, Portions};
use crate::progress::{Event, Progress};
use crate::report::SinkReport;
use crate::state::{LoadPart, ScopeId, SettledRow, State};
use crate::target::Target;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use obmen_sdk::{Changes, Error, Load, LoadId, Op, Outcome, RejectClass, Result, RowId, Sink, Stop};
use std::collections::{BTreeSet, HashSet};

/// Extra loads a run may spend on finding the guilty rows of refused portions.
const HALVINGS: u32 = 64;
/// Portions in a row without any answer after which the sink counts as unavailable.
const SILENT_PORTIONS: u32 = 3;
/// Bits of a row id that say which row of its target; the others say which target.
const ROW_BITS: u32 = 40;

/// The due rows of a bundle of targets of one connection.
pub(crate) struct Delivery<'a> {
    pub(crate) state: &'a State,
    pub(crate) plan: &'a str,
    pub(crate) sink: &'a dyn Sink,
    /// The targets, in the order the sink was opened with.
    pub(crate) targets: Vec<DueTarget<'a>>,
    pub(crate) stop: &'a Stop,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) clock: &'a (dyn Fn() -> DateTime<Utc> + Sync),
}

/// A target and its part of the plan.
pub(crate) struct DueTarget<'a> {
    pub(crate) target: &'a Target,
    /// Its file; `None` if nothing changes.
    pub(crate) file: Option<PlanFile>,
    pub(crate) report: SinkReport,
    /// Index among this delivery's targets of the parents that rows may wait for.
    pub(crate) parents: Vec<Option<usize>>,
    /// Whether others wait for its rows.
    is_parent: bool,
    /// Keys acked in this run, for targets that others wait for or that are written whole.
    acked_keys: HashSet<Hash>,
    /// Keys this plan creates, for targets that others wait for.
    created_keys: HashSet<Hash>,
}

impl<'a> DueTarget<'a> {
    /// A target and its part of the plan, nothing sent yet.
    ///
    /// # Errors
    /// Those of reading the plan.
    pub(crate) fn new(
        target: &'a Target,
        file: Option<PlanFile>,
        report: SinkReport,
        parents: Vec<Option<usize>>,
        is_parent: bool,
    ) -> Result<Self> {
        let mut created_keys = HashSet::new();
        if let (Some(file), true) = (&file, is_parent) {
            for rows in file.scan()? {
                let created = rows?.into_iter().filter(|row| row.op == Op::Create && row.why == Why::Due);
                created_keys.extend(created.map(|row| row.key));
            }
        }
        Ok(Self { target, file, report, parents, is_parent, acked_keys: HashSet::new(), created_keys })
    }
}

/// How a delivery ended.
pub(crate) enum Ended {
    /// Everything that was due was attempted.
    Complete,
    /// A person stopped it.
    Stopped,
    /// The sink did not answer.
    Unavailable(Error),
}

impl Delivery<'_> {
    /// Sends everything that is due, portion by portion.
    ///
    /// # Errors
    /// Those of the state; then the rows under way stay in doubt.
    pub(crate) async fn run(&mut self) -> Result<Ended> {
        let abilities = self.sink.abilities();
        let mut portions = self.portions(&abilities.order, abilities.portion_rows);
        let mut halves: Vec<Portion> = Vec::new();
        let (mut halvings, mut silent) = (0, 0);
        while let Some(portion) = halves.pop().map_or_else(|| portions.next(), |half| Ok(Some(half)))? {
            if self.stop.is_set() {
                return Ok(Ended::Stopped);
            }
            let portion = self.without_orphans(portion);
            if portion.is_empty() {
                continue;
            }
            let rows: usize = portion.iter().map(|part| part.rows.len()).sum();
            let may_halve = rows > 1 && halvings < HALVINGS;
            match self.load(&portion, may_halve).await? {
                Answer::Settled => silent = 0,
                Answer::NotSent(error) => return Ok(Ended::Unavailable(error)),
                Answer::Refused => {
                    halvings += 1;
                    let (first, second) = halve(portion);
                    halves.push(second);
                    halves.push(first);
                }
                Answer::Silence(error) => {
                    silent += 1;
                    if silent >= SILENT_PORTIONS {
                        return Ok(Ended::Unavailable(error));
                    }
                }
            }
        }
        Ok(if self.stop.is_set() { Ended::Stopped } else { Ended::Complete })
    }

    /// The due rows, in the sink's order of targets, at most `size` together.
    fn portions(&self, order: &[usize], size: usize) -> Portions {
        let files = order.iter().filter_map(|index| {
            let due = self.targets.get(*index)?;
            Some(DueFile {
                target: *index,
                file: due.file.clone()?,
                whole: due.target.whole,
                waits: due.parents.iter().any(Option::is_some),
            })
        });
        Portions::new(files.collect::<Vec<_>>(), size)
    }

    /// Leaves out rows whose parent was to be created in this run and was not acked: they wait.
    fn without_orphans(&mut self, portion: Portion) -> Portion {
        let mut kept = Vec::with_capacity(portion.len());
        for mut part in portion {
            let waiting = self.waiting_rows(&part).unwrap_or_default();
            if !waiting.is_empty() {
                let report = &mut self.targets[part.target].report;
                let waits = waiting.len() as u64;
                report.due -= waits;
                report.held += waits;
                *report.held_by.entry(Why::Waits.name().to_owned()).or_default() += waits;
                for (at, row) in &part.rows {
                    if waiting.contains(at) {
                        uncount(report, row.op);
                    }
                }
                part.leave_out(waiting);
            }
            if !part.rows.is_empty() {
                kept.push(part);
            }
        }
        kept
    }

    fn waiting_rows(&self, part: &Part) -> Result<BTreeSet<u64>> {
        let due = &self.targets[part.target];
        let mut waiting = BTreeSet::new();
        let (Some(file), true) = (&due.file, due.parents.iter().any(Option::is_some)) else { return Ok(waiting) };
        let numbers: Vec<u64> = part.rows.iter().map(|(at, _)| *at).collect();
        let values = file.rows(&numbers)?.new;
        for (link, parent) in due.target.after.iter().zip(&due.parents) {
            let Some(parent) = parent.and_then(|index| self.targets.get(index)) else { continue };
            for (hash, (at, row)) in crate::hash::hash_keys(&values, &link.by)?.into_iter().zip(&part.rows) {
                if row.op != Op::Delete && parent.created_keys.contains(&hash) && !parent.acked_keys.contains(&hash) {
                    waiting.insert(*at);
                }
            }
        }
        Ok(waiting)
    }

    /// Sends one portion and records what became of it.
    async fn load(&mut self, portion: &Portion, may_halve: bool) -> Result<Answer> {
        let load = LoadId(ulid::Ulid::generate().to_string());
        let parts: Vec<LoadPart> = portion.iter().map(|part| self.load_part(part)).collect();
        let left_out: Vec<(ScopeId, u64)> = portion.iter().flat_map(|part| self.left_out(part)).collect();
        self.state.begin_load(&load.0, self.plan, &parts, &left_out, (self.clock)())?;
        for part in portion {
            self.targets[part.target].report.requests += 1;
        }
        let running = match self.sink.begin(&load).await {
            Ok(running) => running,
            Err(error) => {
                self.state.load_not_sent(&load.0, (self.clock)())?;
                return Ok(Answer::NotSent(error));
            }
        };
        let (outcomes, failure) = self.send(running, portion).await?;
        let settled = self.settled(portion, outcomes, failure.as_ref());
        let refused = may_halve && refused_whole(&settled);
        if refused {
            self.state.settle_halved(&load.0, self.plan, &settled, (self.clock)())?;
            return Ok(Answer::Refused);
        }
        self.state.settle_load(&load.0, self.plan, &settled, (self.clock)())?;
        self.report(portion, &settled);
        let answered = settled.iter().any(|row| !matches!(row.outcome, Outcome::Unknown { .. }));
        Ok(match failure {
            Some(error) if !answered => Answer::Silence(error),
            None if !answered => Answer::Silence(Error::new(obmen_sdk::ErrorKind::Timeout, "the answer was lost")),
            _ => Answer::Settled,
        })
    }

    fn load_part(&self, part: &Part) -> LoadPart {
        let (first, last) = part.ends();
        LoadPart { scope: self.targets[part.target].target.scope, first, last, rows: part.rows.len() as u64 }
    }

    fn left_out<'p>(&self, part: &'p Part) -> impl Iterator<Item = (ScopeId, u64)> + use<'p> {
        let scope = self.targets[part.target].target.scope;
        let (first, last) = part.ends();
        part.left_out.range(first..=last).map(move |at| (scope, *at))
    }

    /// Hands all parts over and collects outcomes; an error ends the load but keeps what was settled before.
    async fn send(
        &self,
        mut running: Box<dyn Load>,
        portion: &Portion,
    ) -> Result<(Vec<(RowId, Outcome)>, Option<Error>)> {
        let mut outcomes = Vec::new();
        for part in portion {
            for changes in self.changes(part)? {
                match running.send(&changes?).await {
                    Ok(settled) => outcomes.extend(settled),
                    Err(error) => return Ok((outcomes, Some(error))),
                }
            }
        }
        match running.finish().await {
            Ok(settled) => {
                outcomes.extend(settled);
                Ok((outcomes, None))
            }
            Err(error) => Ok((outcomes, Some(error))),
        }
    }

    /// The changes of a part, read ahead of the sink piece by piece; a list that is written whole is one piece.
    fn changes(&self, part: &Part) -> Result<Ahead<Changes>> {
        let target = part.target;
        let due = &self.targets[target];
        let file = due.file.as_ref().ok_or_else(|| Error::internal("changes without a file"))?;
        let numbers: Vec<u64> = part.rows.iter().map(|(at, _)| *at).collect();
        if due.target.whole {
            let whole = changes(target, &numbers, file.rows(&numbers)?, Some(unchanged(due, file, &numbers)?));
            return Ahead::start(std::iter::once(Ok(whole)));
        }
        let mut left = numbers.into_iter();
        Ahead::start(file.pieces(left.as_slice())?.map(move |rows| {
            let rows = rows?;
            let numbers: Vec<u64> = left.by_ref().take(rows.rows.len()).collect();
            Ok(changes(target, &numbers, rows, None))
        }))
    }

    /// Every row of the portion with its outcome; rows without one are unknown.
    fn settled(&self, portion: &Portion, outcomes: Vec<(RowId, Outcome)>, failure: Option<&Error>) -> Vec<SettledRow> {
        let mut outcomes = Outcomes::of(outcomes);
        let mut settled = Vec::with_capacity(portion.iter().map(|part| part.rows.len()).sum());
        for part in portion {
            let scope = self.targets[part.target].target.scope;
            for (at, row) in &part.rows {
                let outcome = outcomes.take(row_id(part.target, *at)).unwrap_or_else(|| {
                    let reason =
                        failure.map_or_else(|| "the sink said nothing about this row".to_owned(), ToString::to_string);
                    Outcome::Unknown { reason }
                });
                settled.push(SettledRow { scope, row: *at, key: row.key, hash: row.row, outcome });
            }
        }
        settled
    }

    fn report(&mut self, portion: &Portion, settled: &[SettledRow]) {
        let mut next = settled.iter();
        for part in portion {
            let due = &mut self.targets[part.target];
            due.report.loads += 1;
            for row in next.by_ref().take(part.rows.len()) {
                due.report.sent += 1;
                match &row.outcome {
                    Outcome::Acked { .. } => {
                        due.report.acked += 1;
                        if due.is_parent || due.target.whole {
                            due.acked_keys.insert(row.key);
                        }
                    }
                    Outcome::Accepted { .. } => due.report.accepted += 1,
                    Outcome::Rejected { .. } => due.report.rejected += 1,
                    Outcome::Unknown { .. } => due.report.unknown += 1,
                }
            }
            let (done, of) = (due.report.sent, due.report.due);
            self.progress.event(Event::Sending { sink: due.target.name.clone(), done, of });
        }
    }
}

/// What a sink said of rows, to be asked row by row: the last word of each.
struct Outcomes {
    /// Ascending; of one row in the order they came.
    said: Vec<(RowId, Option<Outcome>)>,
    /// Where the next row probably stands: rows are asked for in order.
    next: usize,
}

impl Outcomes {
    fn of(said: Vec<(RowId, Outcome)>) -> Self {
        let mut said: Vec<_> = said.into_iter().map(|(id, outcome)| (id, Some(outcome))).collect();
        said.sort_by_key(|(id, _)| *id);
        Self { said, next: 0 }
    }

    fn take(&mut self, row: RowId) -> Option<Outcome> {
        if self.said.get(self.next).is_none_or(|(id, _)| *id != row) {
            self.next = self.said.partition_point(|(id, _)| *id < row);
        }
        let mut last = None;
        while let Some((_, outcome)) = self.said.get_mut(self.next).filter(|(id, _)| *id == row) {
            last = outcome.take();
            self.next += 1;
        }
        last
    }
}

/// What became of a portion.
enum Answer {
    /// Every row has an outcome.
    Settled,
    /// All rows were refused together: the guilty one is to be found.
    Refused,
    /// Nothing left this machine.
    NotSent(Error),
    /// Sent, and no word about any row.
    Silence(Error),
}

/// Whether a portion was refused as one, by the fault of its data.
fn refused_whole(settled: &[SettledRow]) -> bool {
    let mut data = false;
    settled.iter().all(|row| match &row.outcome {
        Outcome::Rejected { class, .. } => {
            data |= *class == RejectClass::Data;
            true
        }
        _ => false,
    }) && data
}

/// Two halves of a portion, parents before children.
fn halve(portion: Portion) -> (Portion, Portion) {
    let rows: usize = portion.iter().map(|part| part.rows.len()).sum();
    let mut left = rows / 2;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for part in portion {
        let (now, later) = part.split(left);
        left -= now.rows.len();
        if !now.rows.is_empty() {
            first.push(now);
        }
        if !later.rows.is_empty() {
            second.push(later);
        }
    }
    (first, second)
}

/// What the other side has, or is about to have, of the rows of a whole target that this load does not change.
fn unchanged(due: &DueTarget<'_>, file: &PlanFile, changing: &[u64]) -> Result<RecordBatch> {
    let changing: HashSet<u64> = changing.iter().copied().collect();
    let (mut current, mut before) = (Vec::new(), Vec::new());
    let mut at = 0_u64;
    for rows in file.scan()? {
        for row in rows? {
            let settled = row.why == Why::Same || (due.acked_keys.contains(&row.key) && row.op != Op::Delete);
            if !changing.contains(&at) {
                if settled {
                    current.push(at);
                } else if row.created >= 0 && !due.acked_keys.contains(&row.key) {
                    before.push(at);
                }
            }
            at += 1;
        }
    }
    let schema = file.value_schema()?;
    let mut batches = Vec::new();
    if !current.is_empty() {
        batches.push(file.rows(&current)?.new);
    }
    if !before.is_empty() {
        batches.push(file.rows(&before)?.old);
    }
    Ok(arrow::compute::concat_batches(&schema, &batches)?)
}

fn uncount(report: &mut SinkReport, op: Op) {
    match op {
        Op::Create => report.creates -= 1,
        Op::Update => report.updates -= 1,
        Op::Delete => report.deletes -= 1,
    }
}

/// Rows of a plan as a sink gets them.
fn changes(target: usize, numbers: &[u64], rows: PlanRows, unchanged: Option<RecordBatch>) -> Changes {
    Changes {
        target,
        ids: numbers.iter().map(|at| row_id(target, *at)).collect(),
        ops: rows.rows.iter().map(|row| row.op).collect(),
        rows: rows.new,
        old: rows.old,
        unchanged,
    }
}

fn row_id(target: usize, row: u64) -> RowId {
    RowId(((target as u64) << ROW_BITS) | row)
}
