//! Deciding: every target compared, guarded and written down before anything is sent.

use crate::affected::Look;
use crate::deliver::Ended;
use crate::diff::{About, Approved, Counts, Diff, Difference, Judge, Parents, guarded};
use crate::hash::{Hash, hash_keys};
use crate::plan_file::{PlanFile, PlanRow, Why};
use crate::progress::{Event, Progress};
use crate::report::{RowProblem, SinkReport};
use crate::sql::{Query, Sql};
use crate::state::{Hold, HoldReason, HoldState, PlanRecord, PlanSinkRecord, PlanState, ScopeId, State};
use crate::table::Baseline;
use crate::target::{ParentLink, Target};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use obmen_sdk::{Op, Result};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Invalid rows that a report shows.
const SAMPLES: usize = 20;

/// What a planner works with.
pub(crate) struct Planner<'a> {
    pub(crate) sql: &'a Sql,
    pub(crate) state: &'a State,
    pub(crate) run: &'a str,
    pub(crate) pipeline: &'a str,
    pub(crate) production: bool,
    pub(crate) now: DateTime<Utc>,
    /// Bytes that may be buffered.
    pub(crate) budget: usize,
    pub(crate) work: &'a Path,
    /// Why nothing may be deleted, if so.
    pub(crate) deletes_suspended: Option<String>,
    /// Only to look: nothing is recorded, the files are the caller's to remove.
    pub(crate) trial: bool,
    /// Sinks of other pipelines that a test takes for having acked everything.
    pub(crate) taken_for_acked: &'a std::collections::BTreeSet<String>,
    /// Sources that bring nothing although they did before.
    pub(crate) empty_sources: Vec<String>,
    pub(crate) progress: &'a dyn Progress,
}

/// A target with what is to be done.
pub(crate) struct PlannedTarget {
    pub(crate) target: Arc<Target>,
    pub(crate) difference: Difference,
    pub(crate) report: SinkReport,
    /// Changes that wait for a person.
    pub(crate) open_holds: usize,
}

/// What a plan is called before it is recorded.
struct PlanId {
    name: String,
    /// Its number among all plans.
    seq: i64,
}

/// A plan that is written down.
pub(crate) struct Planned {
    pub(crate) record: PlanRecord,
    pub(crate) targets: Vec<PlannedTarget>,
    /// How its delivery ended.
    pub(crate) ended: Option<Ended>,
}

impl Planner<'_> {
    /// Compares all targets, parents before children, and records the plan.
    ///
    /// # Errors
    /// Those of sources, SQL, state and disk.
    pub(crate) async fn plan(&self, targets: Vec<(Target, Look)>) -> Result<Planned> {
        let id = PlanId { name: ulid::Ulid::generate().to_string(), seq: self.state.next_plan()? };
        let mut planned: Vec<Option<PlannedTarget>> = targets.iter().map(|_| None).collect();
        let order = parents_first(&targets.iter().map(|(target, _)| target).collect::<Vec<_>>());
        let mut targets: Vec<Option<(Target, Look)>> = targets.into_iter().map(Some).collect();
        for index in order {
            if let Some((target, look)) = targets.get_mut(index).and_then(Option::take) {
                self.progress.event(Event::Comparing { sink: target.name.clone() });
                let one = self.plan_target(&id, target, &look, &planned).await?;
                planned[index] = Some(one);
            }
        }
        let targets: Vec<PlannedTarget> = planned.into_iter().flatten().collect();
        let record = self.record(id, &targets)?;
        Ok(Planned { record, targets, ended: None })
    }

    fn record(&self, id: PlanId, targets: &[PlannedTarget]) -> Result<PlanRecord> {
        let due: Vec<String> = targets
            .iter()
            .map(|planned| format!("{}:{:032x}", planned.target.name, planned.difference.counts.due_digest))
            .collect();
        let digest = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(due.join(";").as_bytes()));
        let sinks = targets
            .iter()
            .map(|planned| PlanSinkRecord {
                scope: planned.target.scope,
                recipe: planned.target.recipe,
                file: planned.difference.file.clone(),
                rows: planned.difference.rows,
            })
            .collect();
        let record = PlanRecord {
            seq: id.seq,
            id: id.name,
            run: self.run.to_owned(),
            pipeline: self.pipeline.to_owned(),
            state: PlanState::Open,
            digest,
            created: self.now,
            sinks,
        };
        if !self.trial {
            self.state.add_plan(&record)?;
        }
        Ok(record)
    }

    async fn plan_target(
        &self,
        plan: &PlanId,
        target: Target,
        look: &Look,
        planned: &[Option<PlannedTarget>],
    ) -> Result<PlannedTarget> {
        let (sql, about) = match look {
            Look::Everything(_) => (self.sql, About::Everything),
            Look::Keys(affected) => {
                let keys = Arc::clone(&affected.keys);
                (&affected.sql, About::Keys { keys, known: affected.known })
            }
        };
        let target = Arc::new(target);
        let retries = self.state.retries(target.scope)?;
        let waiting: Vec<Hash> = retries.keys().copied().collect();
        let holds = self.state.holds(Some(target.scope))?;
        let approved = self.approved(&holds)?;
        let doubts = self.state.doubts(target.scope)?;
        let plan_files = self.plan_files(&target, doubts.values().map(|doubt| doubt.plan.as_str()))?;
        let mut parents = Vec::with_capacity(target.after.len());
        for link in &target.after {
            let wanted = match look {
                Look::Everything(_) => None,
                Look::Keys(affected) => Some(parent_keys(&affected.sql, &target.from, &link.by).await?),
            };
            parents.push(self.parents(&target, link, wanted.as_deref(), planned)?);
        }
        let whole = matches!(about, About::Everything);
        let mut diff = Diff {
            sql,
            state: self.state,
            target: &target,
            judge: Judge {
                state: self.state,
                now: self.now,
                doubts,
                retries,
                parents,
                approved: approved.clone(),
                deletes_suspended: self.deletes_suspended.clone(),
                still_waiting: std::collections::BTreeSet::new(),
                plan_files,
            },
            budget: self.budget,
            work: self.work,
            about,
            file: format!("plans/{}-{}.parquet", plan.name, target.scope.0),
            seq: plan.seq,
        };
        let mut difference = diff.run().await?;
        let superseded: Vec<Hash> = waiting.into_iter().filter(|key| !diff.judge.still_waiting.contains(key)).collect();
        drop(diff);
        if !self.trial {
            self.state.forget_retries(target.scope, &superseded)?;
            if whole {
                self.state.set_live(target.scope, difference.counts.known)?;
            }
        }
        let first_load = self.production && Baseline::open(self.state, target.scope)?.is_empty();
        let new_holds = self.holds(&plan.name, &target, &difference.counts, first_load, &holds);
        self.hold(&mut difference, &new_holds, &approved)?;
        if !self.trial {
            self.state.set_holds(target.scope, &new_holds)?;
        }
        let open_holds = new_holds.iter().filter(|hold| hold.state == HoldState::Open).count();
        let mut report = self.report(&target, &difference)?;
        report.compared = Some(look.to_string());
        Ok(PlannedTarget { target, difference, report, open_holds })
    }

    /// Rows that a person approved, as they were then.
    fn approved(&self, holds: &[Hold]) -> Result<Approved> {
        let mut approved = Approved::default();
        for hold in holds {
            let into = match hold.state {
                HoldState::Approved => &mut approved.send,
                HoldState::Adopted => &mut approved.adopt,
                _ => continue,
            };
            let Some(file) = self.file_of(&hold.plan, hold.scope)? else { continue };
            for rows in PlanFile::open(self.state, &file)?.scan()? {
                let held = rows?.into_iter().filter(|row| matches!(row.why, Why::Guard | Why::Recipe));
                into.extend(held.filter(|row| of_hold(row, hold.reason)).map(|row| (row.key, (row.row, row.op))));
            }
        }
        Ok(approved)
    }

    fn file_of(&self, plan: &str, scope: ScopeId) -> Result<Option<String>> {
        let plan = self.state.plan(plan)?;
        Ok(plan.and_then(|plan| plan.sinks.into_iter().find(|sink| sink.scope == scope).and_then(|sink| sink.file)))
    }

    fn plan_files<'p>(&self, target: &Target, plans: impl Iterator<Item = &'p str>) -> Result<HashMap<String, String>> {
        let mut files = HashMap::new();
        for plan in plans {
            if !plan.is_empty()
                && !files.contains_key(plan)
                && let Some(file) = self.file_of(plan, target.scope)?
            {
                files.insert(plan.to_owned(), file);
            }
        }
        Ok(files)
    }

    /// The parents that the other side has, or that this plan creates on the same connection.
    /// `wanted`: only these are asked for (ascending).
    fn parents(
        &self,
        target: &Target,
        link: &ParentLink,
        wanted: Option<&[Hash]>,
        planned: &[Option<PlannedTarget>],
    ) -> Result<Parents> {
        let everything = self.taken_for_acked.contains(&link.name);
        let mut parents = Parents { name: link.name.clone(), everything, ..Parents::default() };
        if let Some(scope) = link.scope {
            let baseline = Baseline::open(self.state, scope)?;
            let known = match wanted {
                Some(wanted) => baseline.find(wanted)?,
                None => baseline.cursor()?.below(None)?,
            };
            parents.acked = known.iter().filter(|known| !known.gone).map(|known| (known.key, known.created)).collect();
        }
        let parent = link.target.and_then(|index| planned.get(index)).and_then(Option::as_ref);
        if let Some(parent) = parent.filter(|parent| parent.target.connection == target.connection)
            && let Some(file) = &parent.difference.file
        {
            for rows in PlanFile::open(self.state, file)?.scan()? {
                let created = rows?.into_iter().filter(|row| row.why == Why::Due && row.op == Op::Create);
                parents.due.extend(created.map(|row| row.key));
            }
        }
        Ok(parents)
    }

    /// What the guard and other brakes hold of these changes.
    fn holds(&self, plan: &str, target: &Target, counts: &Counts, first_load: bool, before: &[Hold]) -> Vec<Hold> {
        let mut holds = Vec::new();
        let mut hold = |reason: HoldReason, rows: u64, digest: Hash, detail: String| {
            let digest = format!("{digest:032x}");
            let known = before.iter().find(|hold| hold.reason == reason && hold.digest == digest);
            let rejected = known.filter(|hold| hold.state == HoldState::Rejected);
            holds.push(Hold {
                id: 0,
                scope: target.scope,
                plan: plan.to_owned(),
                reason,
                digest,
                rows,
                detail,
                state: rejected.map_or(HoldState::Open, |hold| hold.state),
                opened: known.map_or(self.now, |hold| hold.opened),
                decided: rejected.and_then(|hold| hold.decided),
                by: rejected.and_then(|hold| hold.by.clone()),
            });
        };
        if !self.empty_sources.is_empty() && counts.unapproved > 0 {
            let detail = format!("source {} brings nothing, although it did before", self.empty_sources.join(", "));
            hold(HoldReason::EmptySource, counts.unapproved, counts.unapproved_digest, detail);
        } else if first_load && counts.unapproved > 0 {
            let detail =
                format!("first load of a production target: {} rows; see `obmen baseline adopt`", counts.unapproved);
            hold(HoldReason::FirstLoad, counts.unapproved, counts.unapproved_digest, detail);
        } else {
            let guard = &target.guard;
            if guard.trips(guard.deletes, counts.guarded_deletes, counts.known) {
                let detail = format!("{} deletes of {} known rows", counts.guarded_deletes, counts.known);
                hold(HoldReason::Deletes, counts.guarded_deletes, counts.deletes_digest, detail);
            }
            if guard.trips(guard.updates, counts.guarded_updates, counts.known) {
                let detail = format!("{} updates of {} known rows", counts.guarded_updates, counts.known);
                hold(HoldReason::Updates, counts.guarded_updates, counts.updates_digest, detail);
            }
        }
        if counts.recipe > 0 {
            let detail = format!("a column was added: {} rows would be sent only for it", counts.recipe);
            hold(HoldReason::Recipe, counts.recipe, counts.recipe_digest, detail);
        }
        holds
    }

    /// Takes held rows out of what is due: in the counts and in the file.
    fn hold(&self, difference: &mut Difference, holds: &[Hold], approved: &Approved) -> Result<()> {
        let reasons: Vec<HoldReason> =
            holds.iter().map(|hold| hold.reason).filter(|reason| *reason != HoldReason::Recipe).collect();
        let (Some(name), false) = (difference.file.clone(), reasons.is_empty()) else { return Ok(()) };
        let everything = reasons.iter().any(|reason| matches!(reason, HoldReason::EmptySource | HoldReason::FirstLoad));
        let is_held = |row: &PlanRow| {
            let free = approved.send.get(&row.key) == Some(&(row.row, row.op));
            let by_guard = guarded(row.op, row.why, row.doubt) && reasons.iter().any(|reason| of_hold(row, *reason));
            row.why == Why::Due && !free && (everything || by_guard)
        };
        let file = PlanFile::open(self.state, &name)?;
        let held_name = name.replace(".parquet", "-held.parquet");
        file.rewrite(self.state, &held_name, |row| if is_held(row) { Why::Guard } else { row.why })?;
        std::fs::remove_file(self.state.folder().join(&name))?;
        difference.file = Some(held_name.clone());
        difference.counts.recount(&PlanFile::open(self.state, &held_name)?)?;
        Ok(())
    }

    fn report(&self, target: &Target, difference: &Difference) -> Result<SinkReport> {
        let counts = &difference.counts;
        let mut report = SinkReport {
            sink: target.name.clone(),
            scope: target
                .condition
                .as_ref()
                .map_or_else(|| "all".to_owned(), |condition| condition.text.trim().to_owned()),
            read: counts.read,
            unchanged: counts.unchanged,
            invalid: counts.invalid,
            held: counts.held_rows(),
            held_by: counts.held.iter().map(|(why, rows)| (why.name().to_owned(), *rows)).collect(),
            due: counts.due,
            pending: counts.due,
            creates: counts.creates,
            updates: counts.updates,
            deletes: counts.deletes,
            waits_for: counts.waits_for.clone(),
            checks: counts
                .checks
                .iter()
                .filter(|(_, failed)| **failed > 0)
                .map(|(name, failed)| (name.clone(), *failed))
                .collect(),
            ..SinkReport::default()
        };
        if let Some(file) = &difference.file
            && counts.invalid > 0
        {
            report.problems = invalid_rows(&PlanFile::open(self.state, file)?, &target.key)?;
        }
        Ok(report)
    }
}

/// Whether a hold of this reason is about a row.
fn of_hold(row: &PlanRow, reason: HoldReason) -> bool {
    match reason {
        HoldReason::Deletes => row.op == Op::Delete,
        HoldReason::Updates => row.op == Op::Update && row.why != Why::Recipe,
        HoldReason::Recipe => row.why == Why::Recipe,
        HoldReason::EmptySource | HoldReason::FirstLoad => row.why != Why::Recipe,
    }
}

impl Counts {
    /// Counts what is due and held again, from the file.
    fn recount(&mut self, file: &PlanFile) -> Result<()> {
        self.held.clear();
        (self.due, self.creates, self.updates, self.deletes, self.due_digest) = (0, 0, 0, 0, 0);
        for rows in file.scan()? {
            for row in rows? {
                match row.why {
                    Why::Due => {
                        self.due += 1;
                        self.due_digest = crate::diff::digest_step(self.due_digest, row.key, row.row, row.op);
                        match row.op {
                            Op::Create => self.creates += 1,
                            Op::Update => self.updates += 1,
                            Op::Delete => self.deletes += 1,
                        }
                    }
                    Why::Invalid | Why::Same | Why::Adopt => {}
                    Why::Recipe => *self.held.entry(Why::Guard).or_default() += 1,
                    why => *self.held.entry(why).or_default() += 1,
                }
            }
        }
        Ok(())
    }
}

fn invalid_rows(file: &PlanFile, key: &[String]) -> Result<Vec<RowProblem>> {
    let mut problems = Vec::new();
    for rows in file.scan_values()? {
        let rows = rows?;
        for (at, row) in rows.rows.iter().enumerate() {
            if row.why == Why::Invalid && problems.len() < SAMPLES {
                problems.push(RowProblem {
                    key: crate::value::key_json(&rows.new, key, at),
                    outcome: "invalid".to_owned(),
                    reason: row.note.clone().unwrap_or_default(),
                });
            }
        }
    }
    Ok(problems)
}

/// An order in which every target comes after those of this run it waits for.
fn parents_first(targets: &[&Target]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    let ready = |index: usize, order: &[usize]| {
        let mut parents = targets[index].after.iter().filter_map(|link| link.target);
        parents.all(|parent| parent == index || order.contains(&parent))
    };
    while let Some(next) = (0..targets.len()).find(|index| !order.contains(index) && ready(*index, &order)) {
        order.push(next);
    }
    // a cycle is refused by `validate`; should one get here, its targets still take part
    order.extend((0..targets.len()).filter(|index| !order.contains(index)).collect::<Vec<_>>());
    order
}

/// The distinct keys of parents that rows of a relation have, ascending.
async fn parent_keys(sql: &Sql, relation: &str, by: &[String]) -> Result<Vec<Hash>> {
    let query = Query { relation: relation.to_owned(), columns: Some(by.to_vec()), ..Query::default() };
    let mut rows = sql.stream(query).await?;
    let mut keys = Vec::new();
    while let Some(batch) = rows.try_next().await? {
        keys.extend(hash_keys(&batch, by)?);
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}
