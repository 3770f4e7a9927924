//! Taking over what the other side has as the baseline, and looking whether it still has it.

use super::no_sink;
use crate::commit;
use crate::diff::{Approved, Counts, Diff, Judge};
use crate::hash::Hash;
use crate::plan_file::PlanFile;
use crate::prepare::Needed;
use crate::recipe;
use crate::run::{Engine, RunOptions};
use crate::sql::Sql;
use crate::state::{Decision, ScopeId, State, StateLock};
use crate::target::Target;
use crate::value;
use arrow::datatypes::{Schema, SchemaRef};
use chrono::{DateTime, Utc};
use obmen_sdk::types::column_type;
use obmen_sdk::{Error, ErrorKind, Op, Result};
use obmen_spec::ColumnType;
use obmen_spec::pipeline::{Deletes, Pipeline};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// Extra keys that an adoption lists.
const EXTRA_KEYS: usize = 100;

/// How what the other side has compares with what we would send.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AdoptReport {
    /// Rows the other side shows.
    pub rows: u64,
    /// Equal to ours: nothing will be sent.
    pub equal: u64,
    /// Different: planned as updates.
    pub different: u64,
    /// Not there: planned as creates.
    pub missing: u64,
    /// There, but not among our rows.
    pub extra: u64,
    /// The first of them.
    pub extra_keys: Vec<Value>,
}

impl Engine<'_> {
    /// Compares what we would send with a relation that shows what the other side has, and takes over
    /// what it shows of our keys as the baseline: equal rows are delivered from now on, different ones
    /// are planned as updates. Rows of the other side that are not ours are listed and left alone.
    /// Nothing is sent. `children`: for each child the relation that shows its parts.
    ///
    /// # Errors
    /// `NotFound` for an unknown sink or relation; those of sources and state.
    pub async fn adopt(
        &self,
        pipeline: &Pipeline,
        options: &RunOptions,
        sink: &str,
        from: &str,
        children: &BTreeMap<String, String>,
        by: &str,
    ) -> Result<AdoptReport> {
        self.replace_baseline(pipeline, options, sink, Shown { from, children }, ("adopt", by)).await
    }

    /// Takes the rows we would send as delivered, on a person's word. Gives how many.
    ///
    /// # Errors
    /// As for [`adopt`](Self::adopt).
    pub async fn assume(&self, pipeline: &Pipeline, options: &RunOptions, sink: &str, by: &str) -> Result<u64> {
        let written = pipeline.sinks.get(sink).ok_or_else(|| no_sink(pipeline, sink))?;
        let shown = Shown { from: &written.from.value, children: &BTreeMap::new() };
        Ok(self.replace_baseline(pipeline, options, sink, shown, ("assume", by)).await?.rows)
    }

    /// Compares what we believe the other side has with a relation that shows it; keys that differ are
    /// put in doubt, so that the next run sends them again.
    ///
    /// # Errors
    /// As for [`adopt`](Self::adopt).
    pub async fn verify(
        &self,
        pipeline: &Pipeline,
        options: &RunOptions,
        sink: &str,
        from: &str,
        children: &BTreeMap<String, String>,
    ) -> Result<AdoptReport> {
        let _lock = StateLock::take(&self.state, &format!("obmen baseline verify {}", pipeline.pipeline))?;
        let state = self.open_state()?;
        let now = (self.clock)();
        commit::recover(&state, now)?;
        let work = state.work_folder()?;
        let mut report = self.empty_report("", pipeline, now);
        let shown = Shown { from, children };
        let needed = shown.relations();
        let needed = Needed::DeliveredAnd(&needed);
        let prepared = self.prepare(&state, pipeline, options, &work, now, &mut report, needed).await?;
        let target = find_target(prepared.targets, pipeline, sink)?;
        let target = Arc::new(shown.target(&prepared.sql, &target, target.scope)?);
        let (file, counts) = self.compare(&prepared.sql, &state, &target, work.path(), now).await?;
        let mut report = AdoptReport {
            rows: counts.read - counts.deletes,
            equal: counts.unchanged,
            different: counts.updates,
            missing: counts.deletes,
            extra: counts.creates,
            extra_keys: Vec::new(),
        };
        let mut doubtful = Vec::new();
        if let Some(name) = file {
            for rows in PlanFile::open(&state, &name)?.scan_values()? {
                let rows = rows?;
                for (at, row) in rows.rows.iter().enumerate() {
                    match row.op {
                        Op::Create if report.extra_keys.len() < EXTRA_KEYS => {
                            report.extra_keys.push(value::key_json(&rows.new, &target.key, at));
                        }
                        Op::Create => {}
                        Op::Update | Op::Delete => doubtful.push(row.key),
                    }
                }
            }
            std::fs::remove_file(state.folder().join(name))?;
        }
        state.put_in_doubt(target.scope, &doubtful, "the other side shows something else", now)?;
        Ok(report)
    }

    async fn replace_baseline(
        &self,
        pipeline: &Pipeline,
        options: &RunOptions,
        sink: &str,
        shown: Shown<'_>,
        (what, by): (&str, &str),
    ) -> Result<AdoptReport> {
        let _lock = StateLock::take(&self.state, &format!("obmen baseline {what} {}", pipeline.pipeline))?;
        let state = self.open_state()?;
        let now = (self.clock)();
        commit::recover(&state, now)?;
        let work = state.work_folder()?;
        let mut report = self.empty_report("", pipeline, now);
        let needed = shown.relations();
        let needed = Needed::DeliveredAnd(&needed);
        let prepared = self.prepare(&state, pipeline, options, &work, now, &mut report, needed).await?;
        let target = find_target(prepared.targets, pipeline, sink)?;
        // what is shown becomes a baseline of its own first, with which our rows are then compared
        let aside = state.scope("", &format!("adopt-{}", target.scope.0), "")?;
        commit::replace(&state, aside, 0, None, &BTreeSet::new())?;
        let seen = Arc::new(shown.target(&prepared.sql, &target, aside)?);
        let recipe = state.recipe(target.scope, &recipe::text(&seen.schema, &seen.key, &seen.compare))?;
        let (file, counts) = self.compare(&prepared.sql, &state, &seen, work.path(), now).await?;
        if counts.invalid > 0 {
            let message = format!(
                "{} rows of `{}` have no key or not a unique one: nothing was changed",
                counts.invalid, seen.from
            );
            return Err(Error::invalid_data(message).with("setting", "--from"));
        }
        commit::replace(&state, aside, seen.recipe, file.as_deref(), &BTreeSet::new())?;
        let ours = Arc::new(Target { scope: aside, ..unguarded(&target, &seen) });
        let (difference, compared) = self.compare(&prepared.sql, &state, &ours, work.path(), now).await?;
        let (extra, extra_keys) = extras(&state, difference.as_deref(), &target)?;
        commit::replace(&state, target.scope, recipe, file.as_deref(), &extra)?;
        commit::replace(&state, aside, 0, None, &BTreeSet::new())?;
        for name in [file, difference].into_iter().flatten() {
            std::fs::remove_file(state.folder().join(name))?;
        }
        state.clear_doubts(target.scope, None)?;
        let report = AdoptReport {
            rows: counts.creates,
            equal: compared.unchanged,
            different: compared.updates,
            missing: compared.creates,
            extra: compared.deletes,
            extra_keys,
        };
        let detail = format!("{}/{sink}: {} rows of `{}`", pipeline.pipeline, report.rows, seen.from);
        state.record_decision(&Decision { at: now, by: by.to_owned(), what: format!("baseline {what}"), detail })?;
        Ok(report)
    }

    /// Compares a target with its scope's baseline, nothing but values: no retries, doubts, parents or guards.
    async fn compare(
        &self,
        sql: &Sql,
        state: &State,
        target: &Arc<Target>,
        work: &Path,
        now: DateTime<Utc>,
    ) -> Result<(Option<String>, Counts)> {
        let mut diff = Diff {
            sql,
            state,
            target,
            judge: Judge {
                state,
                now,
                doubts: HashMap::new(),
                retries: HashMap::new(),
                parents: Vec::new(),
                approved: Approved::default(),
                deletes_suspended: None,
                still_waiting: BTreeSet::new(),
                plan_files: HashMap::new(),
            },
            budget: self.workspace.memory() / 8,
            work,
            about: crate::diff::About::Everything,
            file: format!("plans/shown-{}.parquet", ulid::Ulid::generate()),
            seq: 0,
        };
        let difference = diff.run().await?;
        Ok((difference.file, difference.counts))
    }
}

/// The types of a target's columns: what is shown may have others.
fn declared(schema: &SchemaRef) -> Vec<(String, ColumnType)> {
    let fields = schema.fields().iter();
    fields.filter_map(|field| Some((field.name().clone(), column_type(field)?))).collect()
}

/// Our target compared only by what the other side shows, with everything else put aside.
fn unguarded(target: &Target, seen: &Target) -> Target {
    Target {
        deletes: Deletes::Delete,
        compare: seen.compare.clone(),
        recipe: seen.recipe,
        after: Vec::new(),
        whole: false,
        ..target.clone()
    }
}

/// Keys the other side has and we do not: all hashes, and the first of them for people.
fn extras(state: &State, file: Option<&str>, target: &Target) -> Result<(BTreeSet<Hash>, Vec<Value>)> {
    let (mut hashes, mut keys) = (BTreeSet::new(), Vec::new());
    let Some(name) = file else { return Ok((hashes, keys)) };
    for rows in PlanFile::open(state, name)?.scan_values()? {
        let rows = rows?;
        for (at, row) in rows.rows.iter().enumerate().filter(|(_, row)| row.op == Op::Delete) {
            hashes.insert(row.key);
            if keys.len() < EXTRA_KEYS {
                keys.push(value::key_json(&rows.new, &target.key, at));
            }
        }
    }
    Ok((hashes, keys))
}

/// Relations that show what the other side has.
struct Shown<'a> {
    from: &'a str,
    children: &'a BTreeMap<String, String>,
}

impl Shown<'_> {
    fn relations(&self) -> Vec<&str> {
        std::iter::once(self.from).chain(self.children.values().map(String::as_str)).collect()
    }

    /// The target as the relation shows it: only columns it has, nothing to check or to wait for.
    fn target(&self, sql: &Sql, target: &Target, scope: ScopeId) -> Result<Target> {
        let relation = sql.schema(self.from).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no relation `{}`", self.from)).with("setting", "--from")
        })?;
        let mut seen = target.clone();
        seen.scope = scope;
        self.from.clone_into(&mut seen.from);
        seen.deletes = Deletes::Delete;
        seen.checks.clear();
        seen.after.clear();
        seen.condition = None;
        seen.whole = false;
        for child in &mut seen.children {
            child.checks.clear();
            if let Some(from) = self.children.get(&child.name) {
                child.from.clone_from(from);
            }
        }
        let same = self.from == target.from;
        seen.children.retain(|child| same || self.children.contains_key(&child.name));
        let shows =
            |name: &str| relation.field_with_name(name).is_ok() || seen.children.iter().any(|child| child.name == name);
        if let Some(key) = seen.key.iter().find(|key| !shows(key)) {
            let message = format!("`{}` has no column `{key}`, which identifies the sink's rows", self.from);
            return Err(Error::new(ErrorKind::SchemaMismatch, message).with("setting", "--from"));
        }
        let fields: Vec<_> =
            target.schema.fields().iter().filter(|field| shows(field.name())).map(Arc::clone).collect();
        seen.schema = Arc::new(Schema::new(fields)) as SchemaRef;
        seen.casts = declared(&seen.schema);
        seen.compare.retain(|name| shows(name));
        Ok(seen)
    }
}

fn find_target(targets: Vec<Target>, pipeline: &Pipeline, sink: &str) -> Result<Target> {
    targets.into_iter().find(|target| target.name == sink).ok_or_else(|| no_sink(pipeline, sink))
}
