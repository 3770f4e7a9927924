//! What was sent, when, old → new, with which outcome; what waits, and why. Read from plans and their loads.

use crate::hash::Hash;
use crate::plan_file::{PlanFile, PlanRow, PlanRows, Why};
use crate::report::RowProblem;
use crate::state::{LoadRecord, LoadState, OutcomeRecord, PlanRecord, PlanState, ScopeId, State};
use crate::target::Target;
use crate::value;
use chrono::{DateTime, SecondsFormat, Utc};
use obmen_sdk::Result;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Refusals that a report shows.
const SAMPLES: usize = 20;
/// Plans that are looked through at most.
const PLANS: usize = 10_000;

/// One change of one key, as planned or sent.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeRecord {
    /// The pipeline.
    pub pipeline: String,
    /// The sink.
    pub sink: String,
    /// `create`, `update`, `delete`.
    pub op: String,
    /// The key.
    pub key: Value,
    /// Changed columns: old and new value. For a create the old ones are NULL, for a delete the new ones.
    pub columns: BTreeMap<String, [Value; 2]>,
    /// `acked`, `accepted`, `rejected`, `altered`, `unknown`, `lost`; in a queue: `due`, `guard`, `waits`, `parked`, …
    pub outcome: String,
    /// Why, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was sent, or planned.
    pub at: String,
    /// When it will be tried again, where that is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// The run.
    pub run: String,
    /// The load; none while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<String>,
    /// The id the other side gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
}

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this pipeline.
    pub pipeline: Option<String>,
    /// Only this sink.
    pub sink: Option<String>,
    /// Only keys with a value that reads like this.
    pub key: Option<String>,
    /// Only this plan.
    pub plan: Option<String>,
    /// Only what was sent since.
    pub since: Option<DateTime<Utc>>,
    /// At most so many.
    pub limit: usize,
}

/// The changes that were sent, newest first.
///
/// # Errors
/// Those of the state.
pub fn journal(state: &State, filter: &Filter) -> Result<Vec<ChangeRecord>> {
    let mut found = Vec::new();
    let sinks = sink_names(state)?;
    for plan in state.plans(filter.pipeline.as_deref(), PLANS)? {
        if filter.plan.as_ref().is_some_and(|id| *id != plan.id) {
            continue;
        }
        let mut loads = state.loads_of(&plan.id)?;
        loads.retain(|load| load.state != LoadState::NotSent && filter.since.is_none_or(|since| load.started >= since));
        for load in loads.iter().rev() {
            sent_of_load(state, &plan, load, &sinks, filter, &mut found)?;
            if found.len() >= filter.limit {
                found.truncate(filter.limit);
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// What waits: the rows of the newest plan of each pipeline that no evidence has settled, with the reason and the time.
///
/// # Errors
/// Those of the state.
pub fn queue(state: &State, filter: &Filter) -> Result<Vec<ChangeRecord>> {
    let mut found = Vec::new();
    let sinks = sink_names(state)?;
    let mut seen = std::collections::BTreeSet::new();
    for plan in state.plans(filter.pipeline.as_deref(), PLANS)? {
        if seen.insert(plan.pipeline.clone()) && plan.state != PlanState::Superseded {
            waiting_of_plan(state, &plan, &sinks, filter, &mut found)?;
        }
    }
    found.truncate(filter.limit);
    Ok(found)
}

/// The changes of a plan, all of them, due or held.
///
/// # Errors
/// Those of the state.
pub fn plan_changes(state: &State, plan: &PlanRecord, limit: usize) -> Result<Vec<ChangeRecord>> {
    let sinks = sink_names(state)?;
    let mut found = Vec::new();
    for sink in &plan.sinks {
        let Some(name) = &sink.file else { continue };
        let label = sinks.get(&sink.scope).cloned().unwrap_or_default();
        for rows in PlanFile::open(state, name)?.scan_values()? {
            let rows = rows?;
            for (at, row) in rows.rows.iter().enumerate() {
                if found.len() >= limit {
                    return Ok(found);
                }
                if row.why != Why::Same {
                    let mut record = change(plan, &label, &rows, at);
                    row.why.name().clone_into(&mut record.outcome);
                    record.reason.clone_from(&row.note);
                    found.push(record);
                }
            }
        }
    }
    Ok(found)
}

/// The change of one key in a plan, due or not.
///
/// # Errors
/// Those of the state.
pub fn change_of_key(state: &State, plan: &PlanRecord, filter: &Filter) -> Result<Option<ChangeRecord>> {
    let changes = plan_changes(state, plan, usize::MAX)?;
    let wanted = |change: &ChangeRecord| {
        filter.sink.as_ref().is_none_or(|sink| *sink == change.sink) && matches_key(&change.key, filter)
    };
    Ok(changes.into_iter().find(wanted))
}

/// The first refusals and losses of a plan, for a report.
pub(crate) fn refusals(state: &State, plan: &str, target: &Target) -> Result<Vec<RowProblem>> {
    let mut last: BTreeMap<u64, OutcomeRecord> = BTreeMap::new();
    for load in state.loads_of(plan)? {
        for part in load.parts.iter().filter(|part| part.scope == target.scope) {
            last.retain(|row, _| *row < part.first || *row > part.last);
        }
        for outcome in state.outcomes(&load.id)?.into_iter().filter(|outcome| outcome.scope == target.scope) {
            last.insert(outcome.row, outcome);
        }
    }
    last.retain(|_, outcome| matches!(outcome.outcome.as_str(), "rejected" | "altered" | "unknown"));
    let Some(record) = state.plan(plan)? else { return Ok(Vec::new()) };
    let file = record.sinks.iter().find(|sink| sink.scope == target.scope).and_then(|sink| sink.file.clone());
    let (Some(file), false) = (file, last.is_empty()) else { return Ok(Vec::new()) };
    let numbers: Vec<u64> = last.keys().copied().take(SAMPLES).collect();
    let rows = PlanFile::open(state, &file)?.rows(&numbers)?;
    let problems = last.into_values().take(SAMPLES).enumerate().map(|(at, outcome)| RowProblem {
        key: value::key_json(&rows.new, &target.key, at),
        outcome: outcome.outcome,
        reason: outcome.reason.unwrap_or_default(),
    });
    Ok(problems.collect())
}

fn sink_names(state: &State) -> Result<BTreeMap<ScopeId, String>> {
    Ok(state.scopes()?.into_iter().map(|(scope, _, sink, _)| (scope, sink)).collect())
}

fn sent_of_load(
    state: &State,
    plan: &PlanRecord,
    load: &LoadRecord,
    sinks: &BTreeMap<ScopeId, String>,
    filter: &Filter,
    found: &mut Vec<ChangeRecord>,
) -> Result<()> {
    let outcomes = state.outcomes(&load.id)?;
    for part in &load.parts {
        let name = sinks.get(&part.scope).cloned().unwrap_or_default();
        let file = plan.sinks.iter().find(|sink| sink.scope == part.scope).and_then(|sink| sink.file.as_ref());
        let (Some(file), true) = (file, filter.sink.as_ref().is_none_or(|sink| *sink == name)) else { continue };
        let file = PlanFile::open(state, file)?;
        let numbers: Vec<u64> =
            file.part(part, &state.left_out(&load.id, part.scope)?)?.into_iter().map(|(at, _)| at).collect();
        for chunk in numbers.chunks(4096) {
            let rows = file.rows(chunk)?;
            for (at, number) in chunk.iter().enumerate() {
                let mut record = change(plan, &name, &rows, at);
                if !matches_key(&record.key, filter) {
                    continue;
                }
                let outcome = outcomes.iter().find(|outcome| outcome.scope == part.scope && outcome.row == *number);
                record.outcome = match (load.state, outcome) {
                    (LoadState::InDoubt | LoadState::Lost, _) => "lost".to_owned(),
                    (_, Some(outcome)) => outcome.outcome.clone(),
                    (_, None) => "acked".to_owned(),
                };
                record.reason = outcome.and_then(|outcome| outcome.reason.clone());
                record.remote_id = outcome.and_then(|outcome| outcome.remote_id.clone());
                record.at = stamp(load.started);
                record.load = Some(load.id.clone());
                found.push(record);
                if found.len() >= filter.limit {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

fn waiting_of_plan(
    state: &State,
    plan: &PlanRecord,
    sinks: &BTreeMap<ScopeId, String>,
    filter: &Filter,
    found: &mut Vec<ChangeRecord>,
) -> Result<()> {
    for sink in &plan.sinks {
        let name = sinks.get(&sink.scope).cloned().unwrap_or_default();
        let Some(file) = &sink.file else { continue };
        if filter.sink.as_ref().is_some_and(|wanted| *wanted != name) {
            continue;
        }
        let settled = acked_rows(state, plan, sink.scope)?;
        let retries = state.retries(sink.scope)?;
        let doubts = state.doubts(sink.scope)?;
        let mut number = 0_u64;
        for rows in PlanFile::open(state, file)?.scan_values()? {
            let rows = rows?;
            for (at, row) in rows.rows.iter().enumerate() {
                number += 1;
                let waits =
                    !matches!(row.why, Why::Same | Why::Invalid | Why::Adopt) && !settled.contains(&(number - 1));
                if !waits || found.len() >= filter.limit {
                    continue;
                }
                let mut record = change(plan, &name, &rows, at);
                if matches_key(&record.key, filter) {
                    describe_waiting(&mut record, row, retries.get(&row.key), doubts.get(&row.key));
                    found.push(record);
                }
            }
        }
    }
    Ok(())
}

fn describe_waiting(
    record: &mut ChangeRecord,
    row: &PlanRow,
    retry: Option<&crate::state::Retry>,
    doubt: Option<&crate::state::Doubt>,
) {
    row.why.name().clone_into(&mut record.outcome);
    record.reason.clone_from(&row.note);
    record.due = Some("next run".to_owned());
    if let Some(retry) = retry {
        let word = if retry.quarantined { "parked" } else { "rejected" };
        word.clone_into(&mut record.outcome);
        record.reason = Some(retry.reason.clone());
        record.due = (!retry.quarantined).then(|| stamp(retry.due));
    } else if let Some(doubt) = doubt {
        "doubt".clone_into(&mut record.outcome);
        record.reason = Some(doubt.reason.clone());
    }
    if matches!(row.why, Why::Guard | Why::Recipe) {
        record.due = None;
        "held".clone_into(&mut record.outcome);
    }
    if row.why == Why::Ignored {
        record.due = None;
    }
}

fn acked_rows(state: &State, plan: &PlanRecord, scope: ScopeId) -> Result<std::collections::BTreeSet<u64>> {
    let mut acked = std::collections::BTreeSet::new();
    let file = plan.sinks.iter().find(|sink| sink.scope == scope).and_then(|sink| sink.file.as_ref());
    let Some(file) = file else { return Ok(acked) };
    let file = PlanFile::open(state, file)?;
    for load in state.loads_of(&plan.id)?.iter().filter(|load| load.state == LoadState::Settled) {
        let outcomes = state.outcomes(&load.id)?;
        for part in load.parts.iter().filter(|part| part.scope == scope) {
            for (number, _) in file.part(part, &state.left_out(&load.id, part.scope)?)? {
                let outcome = outcomes.iter().find(|outcome| outcome.scope == scope && outcome.row == number);
                if outcome.is_none_or(|outcome| outcome.outcome == "acked") {
                    acked.insert(number);
                }
            }
        }
    }
    Ok(acked)
}

/// A row of a plan file as a change: only columns whose value differs.
fn change(plan: &PlanRecord, sink: &str, rows: &PlanRows, at: usize) -> ChangeRecord {
    let row = &rows.rows[at];
    let (new, old) = (value::row_json(&rows.new, at), value::row_json(&rows.old, at));
    let empty = Map::new();
    let (new, old) = (new.as_object().unwrap_or(&empty), old.as_object().unwrap_or(&empty));
    let mut columns = BTreeMap::new();
    for (name, value) in new {
        let before = old.get(name).cloned().unwrap_or(Value::Null);
        let after = if row.op == obmen_sdk::Op::Delete { Value::Null } else { value.clone() };
        if before != after {
            columns.insert(name.clone(), [before, after]);
        }
    }
    ChangeRecord {
        pipeline: plan.pipeline.clone(),
        sink: sink.to_owned(),
        op: row.op.name().to_owned(),
        key: key_of(rows, at),
        columns,
        outcome: String::new(),
        reason: None,
        at: stamp(plan.created),
        due: None,
        run: plan.run.clone(),
        load: None,
        remote_id: None,
    }
}

/// The key columns of a plan's rows: marked so in the file, or the first column.
fn key_of(rows: &PlanRows, at: usize) -> Value {
    let fields = rows.new.schema_ref().fields();
    let marked: Vec<String> = fields
        .iter()
        .filter(|field| field.metadata().contains_key(KEY_MARK))
        .map(|field| field.name().clone())
        .collect();
    let first = || fields.first().map(|field| vec![field.name().clone()]).unwrap_or_default();
    value::key_json(&rows.new, &if marked.is_empty() { first() } else { marked }, at)
}

/// Metadata of the fields of a target that are its key.
pub(crate) const KEY_MARK: &str = "obmen.sink_key";

fn matches_key(key: &Value, filter: &Filter) -> bool {
    let Some(wanted) = &filter.key else { return true };
    let Some(object) = key.as_object() else { return false };
    let is = |value: &Value, wanted: &str| match value {
        Value::String(text) => text == wanted,
        Value::Number(number) => number.as_str() == wanted,
        _ => false,
    };
    // `id=5` asks for one column, `5` for any of them
    let named = wanted.split_once('=').and_then(|(column, text)| Some(is(object.get(column)?, text)));
    named.unwrap_or_else(|| object.values().any(|value| is(value, wanted)))
}

pub(crate) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What the key filter of an operator command selects among hashes of a scope's newest plan.
pub(crate) fn keys_like(state: &State, pipeline: &str, scope: ScopeId, wanted: &str) -> Result<Vec<Hash>> {
    let filter = Filter { key: Some(wanted.to_owned()), ..Filter::default() };
    let mut found = Vec::new();
    for plan in state.plans(Some(pipeline), PLANS)? {
        let file = plan.sinks.iter().find(|sink| sink.scope == scope).and_then(|sink| sink.file.as_ref());
        let Some(file) = file else { continue };
        for rows in PlanFile::open(state, file)?.scan_values()? {
            let rows = rows?;
            for (at, row) in rows.rows.iter().enumerate() {
                if matches_key(&key_of(&rows, at), &filter) {
                    found.push(row.key);
                }
            }
        }
        if !found.is_empty() {
            break;
        }
    }
    Ok(found)
}
