//! What happens to each key: the walk beside the baseline, doubts, retries, parents.

use super::rows::Rows;
use super::values::ValuesOfRows;
use super::{digest_step, guarded};
use crate::hash::{Hash, hash_rows};
use crate::plan_file::{PlanRow, Why};
use crate::state::{Doubt, Retry, State};
use crate::table::{Baseline, Known};
use crate::target::Target;
use arrow::array::UInt64Array;
use arrow::compute::take_record_batch;
use chrono::{DateTime, Utc};
use obmen_sdk::{Op, Result};
use obmen_spec::pipeline::Deletes;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How the note of a row that waits for another sink begins.
const WAITS_FOR: &str = "waits for ";

/// What a diff counted. `read = unchanged + invalid + held + due`, each key once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Keys looked at: rows of the relation in scope, gone and doubtful keys.
    pub(crate) read: u64,
    pub(crate) unchanged: u64,
    pub(crate) invalid: u64,
    /// Changes that are not sent, by reason.
    pub(crate) held: BTreeMap<Why, u64>,
    pub(crate) due: u64,
    pub(crate) creates: u64,
    pub(crate) updates: u64,
    pub(crate) deletes: u64,
    /// Unchanged rows carried for sinks that want complete lists; not part of the balance.
    pub(crate) same: u64,
    /// Keys the other side is known to have.
    pub(crate) known: u64,
    /// Due updates and deletes that count against the guard, and digests of them.
    pub(crate) guarded_updates: u64,
    pub(crate) guarded_deletes: u64,
    pub(crate) updates_digest: Hash,
    pub(crate) deletes_digest: Hash,
    /// Rows that differ only by a new column, and a digest of them.
    pub(crate) recipe: u64,
    pub(crate) recipe_digest: Hash,
    /// Everything that is due.
    pub(crate) due_digest: Hash,
    /// Due rows that nobody approved yet.
    pub(crate) unapproved: u64,
    pub(crate) unapproved_digest: Hash,
    /// Rows without a key, which are invalid.
    pub(crate) keyless: u64,
    /// Rows whose place a later row with the same key took.
    pub(crate) repeated: u64,
    /// Rows that failed each check.
    pub(crate) checks: BTreeMap<String, u64>,
    /// Rows that wait for another sink, by its name.
    pub(crate) waits_for: BTreeMap<String, u64>,
}

/// Rows of approved holds: they go as long as they are what was approved.
#[derive(Clone, Debug, Default)]
pub(crate) struct Approved {
    /// To be sent: key → row hash and operation.
    pub(crate) send: HashMap<Hash, (Hash, Op)>,
    /// To be taken for delivered.
    pub(crate) adopt: HashMap<Hash, (Hash, Op)>,
}

/// The parents of one `after`, by key hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parents {
    /// The other sink's name.
    pub(crate) name: String,
    /// All of them are taken for acked, in a test.
    pub(crate) everything: bool,
    /// Those the other side has: ascending hashes, and the number of the plan that created them there.
    pub(crate) acked: Vec<(Hash, i64)>,
    /// Those created in this very plan: ascending hashes.
    pub(crate) due: Vec<Hash>,
}

/// How a parent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parent {
    /// The other side has it, since the plan of this number.
    Acked(i64),
    /// It is created in this plan.
    Due,
    /// The other side does not have it.
    Missing,
}

/// Decides what happens to a key.
pub(crate) struct Judge<'a> {
    pub(crate) state: &'a State,
    pub(crate) now: DateTime<Utc>,
    pub(crate) doubts: HashMap<Hash, Doubt>,
    pub(crate) retries: HashMap<Hash, Retry>,
    pub(crate) parents: Vec<Parents>,
    pub(crate) approved: Approved,
    /// Why nothing may be deleted in this run.
    pub(crate) deletes_suspended: Option<String>,
    /// Keys with a retry that still differ.
    pub(crate) still_waiting: BTreeSet<Hash>,
    /// Files of plans, for values of lost creates.
    pub(crate) plan_files: HashMap<String, String>,
}

/// One key's fate.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    pub(super) row: PlanRow,
    pub(super) known: Option<Known>,
    pub(super) values: Values,
    approved: bool,
    absent: bool,
}

/// Where the values to be sent stand.
#[derive(Clone, Debug)]
pub(super) enum Values {
    /// The relation.
    New,
    /// The baseline.
    Known,
    /// The plan that sent the key.
    Lost(LostRow),
}

/// A row of an earlier plan.
#[derive(Clone, Debug)]
pub(super) struct LostRow {
    pub(super) file: String,
    pub(super) row: u64,
}

/// How a row compares with what is known of its key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    Equal,
    Different,
    /// Equal but for columns the baseline does not have.
    NewColumns,
}

impl Decision {
    /// The key.
    pub(super) fn key(&self) -> Hash {
        self.row.key
    }

    /// Whether its values are those of a row of the relation.
    pub(super) fn is_new(&self) -> bool {
        matches!(self.values, Values::New)
    }

    /// Whether the key is gone (not just doubtful), and what is known of it.
    pub(super) fn gone(&self) -> Option<Known> {
        if self.absent { self.known } else { None }
    }
}

impl Parents {
    fn find(&self, key: Hash) -> Parent {
        if self.everything {
            return Parent::Acked(0);
        }
        if let Ok(at) = self.acked.binary_search_by_key(&key, |(hash, _)| *hash) {
            return Parent::Acked(self.acked.get(at).map_or(0, |(_, created)| *created));
        }
        if self.due.binary_search(&key).is_ok() { Parent::Due } else { Parent::Missing }
    }
}

impl Judge<'_> {
    /// Forgets what a walk that is done again found.
    pub(super) fn forget(&mut self) {
        self.still_waiting.clear();
    }

    /// Walks the rows of a range beside what is known of it; counts what does not become a decision. The rows' values
    /// are needed where the baseline has rows of another recipe.
    pub(super) fn walk(
        &mut self,
        target: &Target,
        rows: &Rows,
        known: &[Known],
        values: Option<&ValuesOfRows>,
        baseline: &Baseline,
        counts: &mut Counts,
    ) -> Result<Vec<Decision>> {
        let renewed = match values {
            Some(values) => self.compare_recipes(target, rows, known, values, baseline)?,
            None => HashMap::new(),
        };
        counts.repeated += rows.repeated;
        let mut decisions = Vec::new();
        let mut old = known.iter().copied().peekable();
        for (at, key) in rows.keys.iter().copied().enumerate() {
            while let Some(gone) = old.next_if(|known| known.key < key) {
                decisions.extend(self.absent(target, gone.key, Some(gone), counts));
            }
            let known = old.next_if(|known| known.key == key);
            counts.known += u64::from(known.is_some_and(|known| !known.gone));
            decisions.extend(self.present(target, rows, at, known, renewed.get(&key).copied(), counts));
        }
        for gone in old {
            decisions.extend(self.absent(target, gone.key, Some(gone), counts));
        }
        self.doubts_without_rows(target, rows, known, counts, &mut decisions);
        decisions.sort_by_key(|decision| decision.row.key);
        Ok(decisions)
    }

    fn present(
        &mut self,
        target: &Target,
        rows: &Rows,
        at: usize,
        known: Option<Known>,
        renewed: Option<Likeness>,
        counts: &mut Counts,
    ) -> Option<Decision> {
        let (key, hash) = (rows.keys[at], rows.hashes[at]);
        let there = known.filter(|known| !known.gone);
        let op = if there.is_some() { Op::Update } else { Op::Create };
        let mut row = PlanRow {
            key,
            row: hash,
            op,
            why: Why::Due,
            doubt: self.doubts.contains_key(&key),
            created: there.map_or(-1, |known| known.created),
            note: None,
        };
        let decision = |row: PlanRow, approved| Decision { row, known, values: Values::New, approved, absent: false };
        if let Some(flaw) = rows.flaws[at] {
            row.why = Why::Invalid;
            row.note = Some(flaw.text(target));
            return Some(decision(row, false));
        }
        let likeness = there.map_or(Likeness::Different, |known| {
            let same = if known.row == hash { Likeness::Equal } else { Likeness::Different };
            renewed.filter(|_| known.recipe != target.recipe).unwrap_or(same)
        });
        let waits = self.parents_of(rows, at, there, &mut row);
        if likeness == Likeness::Equal && !row.doubt {
            counts.read += 1;
            counts.unchanged += 1;
            if !target.whole {
                return None;
            }
            row.why = Why::Same;
            counts.same += 1;
            return Some(decision(row, false));
        }
        if likeness == Likeness::NewColumns && !row.doubt {
            row.why = Why::Recipe;
        }
        let approved = self.approve(&mut row);
        self.postpone(&mut row, waits);
        Some(decision(row, approved))
    }

    /// Whom the row waits for. A parent created anew after the row was acked puts the row in doubt.
    fn parents_of(&self, rows: &Rows, at: usize, there: Option<Known>, row: &mut PlanRow) -> Option<String> {
        let mut waits = None;
        for (parents, hashes) in self.parents.iter().zip(&rows.parents) {
            match hashes.get(at).map_or(Parent::Missing, |hash| parents.find(*hash)) {
                Parent::Acked(created) if there.is_some_and(|known| created > known.acked) => row.doubt = true,
                Parent::Acked(_) | Parent::Due => {}
                Parent::Missing => waits = Some(format!("{WAITS_FOR}{}", parents.name)),
            }
        }
        waits
    }

    fn approve(&self, row: &mut PlanRow) -> bool {
        if self.approved.adopt.get(&row.key) == Some(&(row.row, row.op)) {
            row.why = Why::Adopt;
            return true;
        }
        if self.approved.send.get(&row.key) == Some(&(row.row, row.op)) {
            row.why = Why::Due;
            return true;
        }
        false
    }

    /// A row that was refused rests; one whose parent is missing waits.
    fn postpone(&mut self, row: &mut PlanRow, waits: Option<String>) {
        if let Some(retry) = self.retries.get(&row.key) {
            self.still_waiting.insert(row.key);
            if row.why == Why::Due && retry.hash == row.row {
                if retry.quarantined {
                    row.why = Why::Parked;
                    row.note = Some(format!("refused {} times: {}", retry.attempts, retry.reason));
                } else if retry.due > self.now {
                    row.why = Why::Waits;
                    row.note = Some(format!("again at {}: {}", retry.due.format("%Y-%m-%d %H:%M:%S"), retry.reason));
                }
            }
        }
        if let (Why::Due, Some(waits)) = (row.why, waits) {
            row.why = Why::Waits;
            row.note = Some(waits);
        }
    }

    fn absent(&mut self, target: &Target, key: Hash, known: Option<Known>, counts: &mut Counts) -> Option<Decision> {
        let doubt = self.doubts.get(&key).cloned();
        let there = known.filter(|known| !known.gone);
        counts.known += u64::from(there.is_some());
        if there.is_none() && doubt.is_none() {
            return None;
        }
        let values = match (known, &doubt) {
            (Some(_), _) => Values::Known,
            (None, Some(doubt)) => {
                Values::Lost(LostRow { file: self.plan_files.get(&doubt.plan)?.clone(), row: doubt.row })
            }
            (None, None) => return None,
        };
        let mut row = PlanRow {
            key,
            row: 0,
            op: Op::Delete,
            why: Why::Due,
            doubt: doubt.is_some(),
            created: there.map_or(-1, |known| known.created),
            note: None,
        };
        let approved = self.approve(&mut row);
        if target.deletes == Deletes::Ignore {
            row.why = Why::Ignored;
            row.note = Some("gone; this sink ignores deletes".to_owned());
        } else if let Some(reason) = &self.deletes_suspended {
            row.why = Why::Waits;
            row.note = Some(format!("gone; not deleted because {reason}"));
        }
        self.postpone(&mut row, None);
        Some(Decision { row, known, values, approved, absent: true })
    }

    /// Keys that were sent, whose answer was lost, that are not in the baseline and gone from the relation.
    fn doubts_without_rows(
        &mut self,
        target: &Target,
        rows: &Rows,
        known: &[Known],
        counts: &mut Counts,
        decisions: &mut Vec<Decision>,
    ) {
        let (start, end) = rows.range;
        let mut keys: Vec<Hash> =
            self.doubts.keys().copied().filter(|key| *key >= start && end.is_none_or(|end| *key < end)).collect();
        keys.sort_unstable();
        for key in keys {
            let seen =
                rows.keys.binary_search(&key).is_ok() || known.binary_search_by_key(&key, |known| known.key).is_ok();
            if !seen {
                decisions.extend(self.absent(target, key, None, counts));
            }
        }
    }

    /// Rows known under another recipe are compared by value, on the columns both recipes have.
    fn compare_recipes(
        &self,
        target: &Target,
        rows: &Rows,
        known: &[Known],
        values: &ValuesOfRows,
        baseline: &Baseline,
    ) -> Result<HashMap<Hash, Likeness>> {
        let mut by_recipe: BTreeMap<i64, Vec<(usize, Known)>> = BTreeMap::new();
        for known in known.iter().filter(|known| !known.gone && known.recipe != target.recipe) {
            if rows.keys.binary_search(&known.key).is_ok() {
                by_recipe.entry(known.recipe).or_default().push((values.row(known.key)?, *known));
            }
        }
        let mut likeness = HashMap::new();
        for (recipe, pairs) in by_recipe {
            let before = self.state.recipe_columns(recipe)?.map(|text| crate::recipe::names(&text)).unwrap_or_default();
            let common: Vec<String> = target.compare.iter().filter(|name| before.contains(*name)).cloned().collect();
            let added = common.len() < target.compare.len();
            let at: UInt64Array = pairs.iter().map(|(at, _)| *at as u64).collect();
            let old: Vec<Known> = pairs.iter().map(|(_, known)| *known).collect();
            let new_hashes = hash_rows(&take_record_batch(&values.batch, &at)?, &common)?;
            let old_hashes = baseline.hashes(&old, &target.schema, &common)?;
            for ((new, old), (_, known)) in new_hashes.into_iter().zip(old_hashes).zip(&pairs) {
                let like = match (new == old, added) {
                    (true, false) => Likeness::Equal,
                    (true, true) => Likeness::NewColumns,
                    (false, _) => Likeness::Different,
                };
                likeness.insert(known.key, like);
            }
        }
        Ok(likeness)
    }
}

impl Counts {
    /// Rows without a key are invalid.
    pub(super) fn without_key(&mut self, rows: u64) {
        self.read += rows;
        self.invalid += rows;
        self.keyless += rows;
    }

    /// Of `known` rows that are not gone, those that were not looked at did not change.
    pub(super) fn others_are_unchanged(&mut self, known: u64) {
        let others = known.saturating_sub(self.known);
        self.read += others;
        self.unchanged += others;
        self.known = known;
    }

    /// Counts decisions, after those out of scope were dropped.
    pub(super) fn add(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            let row = &decision.row;
            if row.why == Why::Same {
                continue;
            }
            self.read += 1;
            if let (Why::Waits, Some(parent)) =
                (row.why, row.note.as_deref().and_then(|note| note.strip_prefix(WAITS_FOR)))
            {
                *self.waits_for.entry(parent.to_owned()).or_default() += 1;
            }
            match row.why {
                Why::Due => self.due(decision),
                Why::Invalid => self.invalid += 1,
                Why::Adopt => self.unchanged += 1,
                Why::Recipe => {
                    self.recipe += 1;
                    self.recipe_digest = digest_step(self.recipe_digest, row.key, row.row, row.op);
                    *self.held.entry(Why::Guard).or_default() += 1;
                }
                why => *self.held.entry(why).or_default() += 1,
            }
        }
    }

    /// Rows that failed a check.
    pub(super) fn check(&mut self, name: &str, failed: u64) {
        *self.checks.entry(name.to_owned()).or_default() += failed;
    }

    /// Changes that are not sent.
    pub(crate) fn held_rows(&self) -> u64 {
        self.held.values().sum()
    }

    fn due(&mut self, decision: &Decision) {
        let row = &decision.row;
        self.due += 1;
        self.due_digest = digest_step(self.due_digest, row.key, row.row, row.op);
        match row.op {
            Op::Create => self.creates += 1,
            Op::Update => self.updates += 1,
            Op::Delete => self.deletes += 1,
        }
        if decision.approved {
            return;
        }
        self.unapproved += 1;
        self.unapproved_digest = digest_step(self.unapproved_digest, row.key, row.row, row.op);
        if guarded(row.op, row.why, row.doubt) {
            let (count, digest) = match row.op {
                Op::Delete => (&mut self.guarded_deletes, &mut self.deletes_digest),
                _ => (&mut self.guarded_updates, &mut self.updates_digest),
            };
            *count += 1;
            *digest = digest_step(*digest, row.key, row.row, row.op);
        }
    }
}
