//! What people do to state: adopt, assume, verify, forget, retry, and ask why.

use crate::commit;
use crate::diff::{Approved, Diff, Judge};
use crate::hash::Hash;
use crate::journal::{self, ChangeRecord, Filter, keys_like};
use crate::plan_file::PlanFile;
use crate::recipe;
use crate::prepare::{Needed, Prepared};
use crate::run::{Engine, RunOptions};
use crate::sql::{Query, Sql};
use crate::state::{Decision, Retry, ScopeId, State, StateLock};
use crate::table::Baseline;
use crate::target::Target;
use crate::value;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use obmen_sdk::{Error, ErrorKind, Op, Result};
use obmen_sdk::types::column_type;
use obmen_spec::ColumnType;
use obmen_spec::pipeline::{Deletes, Pipeline};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// Why a row is where it is.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The pipeline.
    pub pipeline: String,
    /// The sink.
    pub sink: String,
    /// The key as asked for.
    pub key: String,
    /// The row of the relation now; none if it brings no such key.
    pub now: Option<Value>,
    /// Its checks: name, and whether it passes.
    pub checks: BTreeMap<String, bool>,
    /// What the other side is known to have; none if it is not known to have the key.
    pub known: Option<Value>,
    /// What the newest plan says about it: `unchanged`, or the change with its reason.
    pub verdict: String,
    /// The change, where there is one.
    pub change: Option<ChangeRecord>,
    /// What was sent before, newest first.
    pub history: Vec<ChangeRecord>,
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}/{} {}", self.pipeline, self.sink, self.key)?;
        match &self.now {
            Some(row) => writeln!(f, "  now        {row}")?,
            None => writeln!(f, "  now        the relation has no row with this key")?,
        }
        for (name, passed) in &self.checks {
            writeln!(f, "  check      {name}: {}", if *passed { "passes" } else { "FAILS" })?;
        }
        match &self.known {
            Some(row) => writeln!(f, "  delivered  {row}")?,
            None => writeln!(f, "  delivered  never, as far as is known")?,
        }
        writeln!(f, "  verdict    {}", self.verdict)?;
        for record in &self.history {
            let reason = record.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            writeln!(f, "  {}  {} {}{reason}", record.at, record.op, record.outcome)?;
            for (column, [old, new]) in &record.columns {
                writeln!(f, "      {column}  {} → {}", plain(old), plain(new))?;
            }
        }
        Ok(())
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "∅".to_owned(),
        other => other.to_string(),
    }
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
        let state = State::open(&self.state, self.durability)?;
        let now = (self.clock)();
        commit::recover(&state, now)?;
        let work = self.work_folder(&state)?;
        let mut report = self.empty_report("", pipeline, now);
        let shown = Shown { from, children };
        let needed = shown.relations();
        let needed = Needed::DeliveredAnd(&needed);
        let prepared = self.prepare(&state, pipeline, options, &work, now, &mut report, needed).await?;
        let target = find_target(prepared.targets, pipeline, sink)?;
        let target = shown.target(&prepared.sql, &target, target.scope)?;
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

    /// The first rows of a source or step, as a run would see them.
    ///
    /// # Errors
    /// `NotFound` for an unknown relation; those of sources and SQL.
    pub async fn preview(&self, pipeline: &Pipeline, options: &RunOptions, relation: &str, limit: usize) -> Result<RecordBatch> {
        let state = State::open(&self.state, self.durability)?;
        let work = self.work_folder(&state)?;
        let now = (self.clock)();
        let mut report = self.empty_report("", pipeline, now);
        let (sql, _) = self.relations_for(&state, pipeline, options, &work, now, &mut report, Needed::Only(relation)).await?;
        let schema = sql.schema(relation).ok_or_else(|| no_relation(pipeline, relation))?;
        let query = Query { relation: relation.to_owned(), ..Query::default() };
        let mut stream = sql.stream(query).await?;
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut rows = 0;
        while rows < limit
            && let Some(batch) = stream.try_next().await?
        {
            let batch = batch.slice(0, batch.num_rows().min(limit - rows));
            rows += batch.num_rows();
            batches.push(batch);
        }
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        Ok(concat_batches(&schema, &batches)?)
    }

    /// Why the row of a key is where it is: values, checks, what is known, what waits, what was sent.
    ///
    /// # Errors
    /// `NotFound` for an unknown sink; those of sources, SQL and state.
    pub async fn explain_row(&self, pipeline: &Pipeline, options: &RunOptions, sink: &str, key: &str) -> Result<Explanation> {
        let written = pipeline.sinks.get(sink).ok_or_else(|| no_sink(pipeline, sink))?;
        let _lock = StateLock::take(&self.state, &format!("obmen explain row {}", pipeline.pipeline))?;
        let state = State::open(&self.state, self.durability)?;
        let work = self.work_folder(&state)?;
        let now = (self.clock)();
        let mut report = self.empty_report("", pipeline, now);
        let prepared = self.prepare(&state, pipeline, options, &work, now, &mut report, Needed::Delivered).await?;
        let Prepared { sql, targets, brake, .. } = prepared;
        let mut planner = self.planner(&state, pipeline, (&sql, work.path()), "", brake, now);
        planner.trial = true;
        let plan = planner.plan(targets).await?.record;
        let keys: Vec<String> = written.key.iter().map(|key| key.value.clone()).collect();
        let checks: Vec<_> = pipeline.checks.iter().filter(|check| check.of.value == written.from.value).collect();
        let flags = checks.iter().map(|check| (format!("obmen_{}", check.name), check.expect.clone())).collect();
        let (row, checks) = find_row(&sql, &written.from, &keys, flags, key).await?;
        let filter = Filter {
            pipeline: Some(pipeline.pipeline.value.clone()),
            sink: Some(sink.to_owned()),
            key: Some(key.to_owned()),
            limit: 20,
            ..Filter::default()
        };
        let change = journal::change_of_key(&state, &plan, &filter)?;
        for file in plan.sinks.iter().filter_map(|sink| sink.file.as_ref()) {
            std::fs::remove_file(state.folder().join(file))?;
        }
        let known = known_row(&state, pipeline, sink, key)?;
        let verdict = verdict(change.as_ref(), row.is_some(), known.is_some());
        Ok(Explanation {
            pipeline: pipeline.pipeline.value.clone(),
            sink: sink.to_owned(),
            key: key.to_owned(),
            now: row,
            checks,
            known,
            verdict,
            change,
            history: journal::journal(&state, &filter)?,
        })
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
        let state = State::open(&self.state, self.durability)?;
        let now = (self.clock)();
        commit::recover(&state, now)?;
        let work = self.work_folder(&state)?;
        let mut report = self.empty_report("", pipeline, now);
        let needed = shown.relations();
        let needed = Needed::DeliveredAnd(&needed);
        let prepared = self.prepare(&state, pipeline, options, &work, now, &mut report, needed).await?;
        let target = find_target(prepared.targets, pipeline, sink)?;
        // what is shown becomes a baseline of its own first, with which our rows are then compared
        let aside = state.scope("", &format!("adopt-{}", target.scope.0), "")?;
        commit::replace(&state, aside, 0, None, &BTreeSet::new())?;
        let seen = shown.target(&prepared.sql, &target, aside)?;
        let recipe = state.recipe(target.scope, &recipe::text(&seen.schema, &seen.key, &seen.compare))?;
        let (file, counts) = self.compare(&prepared.sql, &state, &seen, work.path(), now).await?;
        if counts.invalid > 0 {
            let message =
                format!("{} rows of `{}` have no key or not a unique one: nothing was changed", counts.invalid, seen.from);
            return Err(Error::invalid_data(message).with("setting", "--from"));
        }
        commit::replace(&state, aside, seen.recipe, file.as_deref(), &BTreeSet::new())?;
        let ours = Target { scope: aside, ..unguarded(&target, &seen) };
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
        target: &Target,
        work: &std::path::Path,
        now: DateTime<Utc>,
    ) -> Result<(Option<String>, crate::diff::Counts)> {
        let mut diff = Diff {
            sql,
            state,
            target,
            casts: declared(&target.schema),
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
            file: format!("plans/shown-{}.parquet", ulid::Ulid::generate()),
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
        let shows = |name: &str| {
            relation.field_with_name(name).is_ok() || seen.children.iter().any(|child| child.name == name)
        };
        if let Some(key) = seen.key.iter().find(|key| !shows(key)) {
            let message = format!("`{}` has no column `{key}`, which identifies the sink's rows", self.from);
            return Err(Error::new(ErrorKind::SchemaMismatch, message).with("setting", "--from"));
        }
        let fields: Vec<_> = target.schema.fields().iter().filter(|field| shows(field.name())).map(Arc::clone).collect();
        seen.schema = Arc::new(Schema::new(fields)) as SchemaRef;
        seen.compare.retain(|name| shows(name));
        Ok(seen)
    }
}

/// Forgets what a sink is known to have: of one key, or all. Those rows are sent again as new. Gives how many keys.
///
/// # Errors
/// `NotFound` for an unknown sink or key; those of the state.
pub fn forget(state: &State, pipeline: &str, sink: &str, key: Option<&str>, by: &str, now: DateTime<Utc>) -> Result<u64> {
    commit::recover(state, now)?;
    let mut forgotten = 0;
    for scope in scopes_of(state, pipeline, Some(sink))? {
        forgotten += match key {
            None => {
                let known = Baseline::open(state, scope)?.cursor()?.below(None)?.len() as u64;
                let all: Vec<i64> = state.segments(scope)?.iter().map(|segment| segment.id).collect();
                state.replace_segments(scope, &all, None)?;
                known
            }
            Some(key) => {
                let keys = keys_of(state, scope, key)?;
                state.put_in_doubt(scope, &keys, "forgotten by a person", now)?;
                keys.len() as u64
            }
        };
    }
    let detail = format!("{pipeline}/{sink}: {}", key.unwrap_or("everything"));
    state.record_decision(&Decision { at: now, by: by.to_owned(), what: "baseline forget".to_owned(), detail })?;
    Ok(forgotten)
}

/// What a sink is known to have, ascending by key hash.
///
/// # Errors
/// `NotFound` for an unknown sink; those of the state.
pub fn show(state: &State, pipeline: &str, sink: &str, key: Option<&str>, limit: usize) -> Result<RecordBatch> {
    let mut batches = Vec::new();
    for scope in scopes_of(state, pipeline, Some(sink))? {
        let baseline = Baseline::open(state, scope)?;
        let schema = baseline.value_schema();
        let mut cursor = baseline.cursor()?;
        let mut rows = 0;
        while rows < limit {
            let mut known = cursor.take(1024)?;
            if known.is_empty() {
                break;
            }
            known.retain(|known| !known.gone);
            let values = baseline.values(&known, &schema)?;
            let values = match key {
                Some(key) => rows_with_key(&values, key)?,
                None => values.slice(0, values.num_rows().min(limit - rows)),
            };
            rows += values.num_rows();
            batches.push(values);
        }
    }
    let schema = batches.last().map_or_else(|| Arc::new(Schema::empty()) as SchemaRef, RecordBatch::schema);
    batches.retain(|batch| batch.schema() == schema);
    Ok(concat_batches(&schema, &batches)?)
}

/// Frees refused rows to be offered in the next run. Gives how many.
///
/// # Errors
/// `NotFound` for an unknown sink; those of the state.
pub fn retry(state: &State, pipeline: &str, sink: Option<&str>, key: Option<&str>) -> Result<u64> {
    each_retry(state, pipeline, sink, key, |scope, key| state.retry_now(scope, key))
}

/// Takes refused rows out of the queue until their values change. Gives how many.
///
/// # Errors
/// `NotFound` for an unknown sink; those of the state.
pub fn drop(state: &State, pipeline: &str, sink: Option<&str>, key: Option<&str>) -> Result<u64> {
    each_retry(state, pipeline, sink, key, |scope, key| state.drop_retries(scope, key))
}

fn each_retry(
    state: &State,
    pipeline: &str,
    sink: Option<&str>,
    key: Option<&str>,
    act: impl Fn(ScopeId, Option<Hash>) -> Result<usize>,
) -> Result<u64> {
    let mut changed = 0;
    for scope in scopes_of(state, pipeline, sink)? {
        match key {
            None => changed += act(scope, None)? as u64,
            Some(key) => {
                let waiting: HashMap<Hash, Retry> = state.retries(scope)?;
                for hash in keys_like(state, pipeline, scope, key)? {
                    if waiting.contains_key(&hash) {
                        changed += act(scope, Some(hash))? as u64;
                    }
                }
            }
        }
    }
    Ok(changed)
}

fn scopes_of(state: &State, pipeline: &str, sink: Option<&str>) -> Result<Vec<ScopeId>> {
    let all = state.scopes()?;
    let found: Vec<ScopeId> = all
        .iter()
        .filter(|(_, owner, name, _)| owner == pipeline && sink.is_none_or(|sink| sink == name))
        .map(|(scope, ..)| *scope)
        .collect();
    if found.is_empty() {
        let what = sink.map_or_else(|| pipeline.to_owned(), |sink| format!("{pipeline}/{sink}"));
        return Err(Error::new(ErrorKind::NotFound, format!("nothing is known of `{what}`: it never ran with this profile")));
    }
    Ok(found)
}

/// Hashes of the keys of a baseline that read like a text.
fn keys_of(state: &State, scope: ScopeId, wanted: &str) -> Result<Vec<Hash>> {
    let baseline = Baseline::open(state, scope)?;
    let schema = baseline.value_schema();
    let mut cursor = baseline.cursor()?;
    let mut found = Vec::new();
    loop {
        let known = cursor.take(8192)?;
        if known.is_empty() {
            return Ok(found);
        }
        let values = baseline.values(&known, &schema)?;
        for (at, known) in known.iter().enumerate() {
            if reads_like(&values, at, wanted) {
                found.push(known.key);
            }
        }
    }
}

fn rows_with_key(values: &RecordBatch, wanted: &str) -> Result<RecordBatch> {
    let kept: arrow::array::BooleanArray = (0..values.num_rows()).map(|at| Some(reads_like(values, at, wanted))).collect();
    Ok(arrow::compute::filter_record_batch(values, &kept)?)
}

/// Whether a key column of a row reads like a text.
fn reads_like(values: &RecordBatch, at: usize, wanted: &str) -> bool {
    let fields = values.schema_ref().fields().iter().zip(values.columns());
    fields.filter(|(field, _)| field.metadata().contains_key(journal::KEY_MARK)).any(|(_, column)| value::text(column, at) == wanted)
}

fn known_row(state: &State, pipeline: &Pipeline, sink: &str, key: &str) -> Result<Option<Value>> {
    if scopes_of(state, &pipeline.pipeline, Some(sink)).is_err() {
        return Ok(None);
    }
    let rows = show(state, &pipeline.pipeline, sink, Some(key), usize::MAX)?;
    Ok((rows.num_rows() > 0).then(|| value::row_json(&rows, 0)))
}

async fn find_row(
    sql: &Sql,
    relation: &str,
    keys: &[String],
    flags: Vec<(String, obmen_spec::SqlText)>,
    wanted: &str,
) -> Result<(Option<Value>, BTreeMap<String, bool>)> {
    let names: Vec<String> = flags.iter().map(|(name, _)| name.clone()).collect();
    let mut stream = sql.stream(Query { relation: relation.to_owned(), flags, ..Query::default() }).await?;
    while let Some(batch) = stream.try_next().await? {
        for at in 0..batch.num_rows() {
            let like = keys.iter().filter_map(|key| batch.column_by_name(key)).any(|column| value::text(column, at) == wanted);
            if like {
                let mut row = value::row_json(&batch, at);
                let mut checks = BTreeMap::new();
                for name in &names {
                    let passed = row.as_object_mut().and_then(|row| row.remove(name));
                    checks.insert(name.trim_start_matches("obmen_").to_owned(), passed == Some(Value::Bool(true)));
                }
                return Ok((Some(row), checks));
            }
        }
    }
    Ok((None, BTreeMap::new()))
}

fn verdict(change: Option<&ChangeRecord>, here: bool, known: bool) -> String {
    match change {
        Some(change) => {
            let reason = change.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            match change.outcome.as_str() {
                "due" => format!("{} will be sent in the next run{reason}", change.op),
                other => format!("{} is not sent, {other}{reason}", change.op),
            }
        }
        None if here && known => "unchanged: the other side has it as it is".to_owned(),
        None if here => "in the relation, but not in the plan: it is out of scope".to_owned(),
        None if known => "gone from the relation; out of scope, so nothing happens".to_owned(),
        None => "no such key here or there".to_owned(),
    }
}

fn find_target<T>(targets: Vec<(Target, T)>, pipeline: &Pipeline, sink: &str) -> Result<Target> {
    targets.into_iter().map(|(target, _)| target).find(|target| target.name == sink).ok_or_else(|| no_sink(pipeline, sink))
}

fn no_sink(pipeline: &Pipeline, sink: &str) -> Error {
    let known: Vec<&str> = pipeline.sinks.names().collect();
    let message = format!("pipeline `{}` has no sink `{sink}`, only: {}", pipeline.pipeline, known.join(", "));
    Error::new(ErrorKind::NotFound, message).with("setting", "sink")
}

fn no_relation(pipeline: &Pipeline, relation: &str) -> Error {
    let known: Vec<&str> = pipeline.sources.names().chain(pipeline.steps.names()).collect();
    let message = format!("pipeline `{}` has no relation `{relation}`, only: {}", pipeline.pipeline, known.join(", "));
    Error::new(ErrorKind::NotFound, message).with("setting", "relation")
}
