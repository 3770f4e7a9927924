//! Why a row is where it is, and what a relation brings.

use super::known::{scopes_of, show};
use super::no_sink;
use crate::affected::Look;
use crate::journal::{self, ChangeRecord, Filter};
use crate::prepare::{Needed, Prepared};
use crate::run::{Engine, RunOptions};
use crate::sql::{Query, Sql};
use crate::state::{State, StateLock};
use crate::value;
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use obmen_sdk::{Error, ErrorKind, Result};
use obmen_spec::SqlText;
use obmen_spec::pipeline::Pipeline;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

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
    /// The first rows of a source or step, as a run would see them.
    ///
    /// # Errors
    /// `NotFound` for an unknown relation; those of sources and SQL.
    pub async fn preview(
        &self,
        pipeline: &Pipeline,
        options: &RunOptions,
        relation: &str,
        limit: usize,
    ) -> Result<RecordBatch> {
        let state = self.open_state()?;
        let work = state.work_folder()?;
        let now = (self.clock)();
        let mut report = self.empty_report("", pipeline, now);
        let (sql, ..) =
            self.relations_for(&state, pipeline, options, &work, now, &mut report, Needed::Only(relation)).await?;
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
    pub async fn explain_row(
        &self,
        pipeline: &Pipeline,
        options: &RunOptions,
        sink: &str,
        key: &str,
    ) -> Result<Explanation> {
        let written = pipeline.sinks.get(sink).ok_or_else(|| no_sink(pipeline, sink))?;
        let _lock = StateLock::take(&self.state, &format!("obmen explain row {}", pipeline.pipeline))?;
        let state = self.open_state()?;
        let work = state.work_folder()?;
        let now = (self.clock)();
        let mut report = self.empty_report("", pipeline, now);
        let prepared = self.prepare(&state, pipeline, options, &work, now, &mut report, Needed::Delivered).await?;
        let Prepared { sql, targets, read, .. } = prepared;
        let mut planner = self.planner(&state, pipeline, (&sql, work.path()), "", read.brake, now);
        planner.trial = true;
        let everything = |target| (target, Look::Everything("one row is explained".to_owned()));
        let plan = planner.plan(targets.into_iter().map(everything).collect()).await?.record;
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
    flags: Vec<(String, SqlText)>,
    wanted: &str,
) -> Result<(Option<Value>, BTreeMap<String, bool>)> {
    let names: Vec<String> = flags.iter().map(|(name, _)| name.clone()).collect();
    let mut stream = sql.stream(Query { relation: relation.to_owned(), flags, ..Query::default() }).await?;
    while let Some(batch) = stream.try_next().await? {
        for at in 0..batch.num_rows() {
            let like =
                keys.iter().filter_map(|key| batch.column_by_name(key)).any(|column| value::text(column, at) == wanted);
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

fn no_relation(pipeline: &Pipeline, relation: &str) -> Error {
    let known: Vec<&str> = pipeline.sources.names().chain(pipeline.steps.names()).collect();
    let message = format!("pipeline `{}` has no relation `{relation}`, only: {}", pipeline.pipeline, known.join(", "));
    Error::new(ErrorKind::NotFound, message).with("setting", "relation")
}
