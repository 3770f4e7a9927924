//! What a sink is known to have: shown, forgotten; refused rows freed or put aside.

use crate::commit;
use crate::hash::Hash;
use crate::journal::{self, keys_like};
use crate::state::{Decision, Retry, ScopeId, State};
use crate::table::Baseline;
use crate::value;
use arrow::array::BooleanArray;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use obmen_sdk::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// Forgets what a sink is known to have: of one key, or all. Those rows are sent again as new. Gives how many keys.
///
/// # Errors
/// `NotFound` for an unknown sink or key; those of the state.
pub fn forget(
    state: &State,
    pipeline: &str,
    sink: &str,
    key: Option<&str>,
    by: &str,
    now: DateTime<Utc>,
) -> Result<u64> {
    commit::recover(state, now)?;
    let mut forgotten = 0;
    for scope in scopes_of(state, pipeline, Some(sink))? {
        forgotten += match key {
            None => {
                // the files are not opened: what is damaged can be forgotten too
                let segments = state.segments(scope)?;
                let rows = segments.iter().map(|segment| segment.rows).sum();
                let known = state.live(scope)?.unwrap_or(rows);
                let all: Vec<i64> = segments.iter().map(|segment| segment.id).collect();
                state.replace_segments(scope, &all, None)?;
                state.forget_basis(scope)?;
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

pub(super) fn scopes_of(state: &State, pipeline: &str, sink: Option<&str>) -> Result<Vec<ScopeId>> {
    let all = state.scopes()?;
    let found: Vec<ScopeId> = all
        .iter()
        .filter(|(_, owner, name, _)| owner == pipeline && sink.is_none_or(|sink| sink == name))
        .map(|(scope, ..)| *scope)
        .collect();
    if found.is_empty() {
        let what = sink.map_or_else(|| pipeline.to_owned(), |sink| format!("{pipeline}/{sink}"));
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("nothing is known of `{what}`: it never ran with this profile"),
        ));
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
    let kept: BooleanArray = (0..values.num_rows()).map(|at| Some(reads_like(values, at, wanted))).collect();
    Ok(arrow::compute::filter_record_batch(values, &kept)?)
}

/// Whether a key column of a row reads like a text.
fn reads_like(values: &RecordBatch, at: usize, wanted: &str) -> bool {
    let fields = values.schema_ref().fields().iter().zip(values.columns());
    fields
        .filter(|(field, _)| field.metadata().contains_key(journal::KEY_MARK))
        .any(|(_, column)| value::text(column, at) == wanted)
}
