//! Keys that the last plan left open: what did not arrive, or was not to.

use crate::hash::Hash;
use crate::plan_file::{PlanFile, Why};
use crate::state::{LoadState, PlanRecord, ScopeId, State};
use crate::table::Baseline;
use crate::target::Target;
use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Op, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Key columns of all keys of a target that must be looked at again, whatever the sources brought: rows of
/// its last plan that were not acked, keys in doubt, refused ones, and children of parents that were
/// made anew. A `None` among them: there are more than `most`.
///
/// # Errors
/// Those of the state and the disk.
pub(super) fn keys(state: &State, target: &Target, plan: &str, most: usize) -> Result<Vec<Option<RecordBatch>>> {
    let mut batches = Vec::new();
    if let Some(plan) = state.plan(plan)? {
        batches.push(undone(state, target, &plan, most)?);
        batches.push(orphans(state, target, &plan, most)?);
    }
    let doubts = state.doubts(target.scope)?;
    let retries = state.retries(target.scope)?;
    let mut by_plan: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut known: BTreeSet<Hash> = BTreeSet::new();
    let mut sorted: Vec<_> = doubts.iter().map(|(key, doubt)| (*key, doubt.plan.clone(), doubt.row)).collect();
    sorted.extend(retries.iter().map(|(key, retry)| (*key, retry.plan.clone(), retry.row)));
    for (key, plan, row) in sorted {
        if plan.is_empty() {
            known.insert(key);
        } else {
            by_plan.entry(plan).or_default().insert(row);
        }
    }
    if doubts.len() + retries.len() > most {
        batches.push(None);
        return Ok(batches);
    }
    for (plan, rows) in by_plan {
        let rows: Vec<u64> = rows.into_iter().collect();
        if let Some(file) = file(state, &plan, target.scope)? {
            batches.push(Some(key_columns(&file.rows(&rows)?.new, target)?));
        }
    }
    let known: Vec<Hash> = known.into_iter().collect();
    batches.push(Some(by_hash(state, target, &known)?));
    Ok(batches)
}

/// Rows of a plan that were not acked.
fn undone(state: &State, target: &Target, plan: &PlanRecord, most: usize) -> Result<Option<RecordBatch>> {
    let Some(sink) = plan.sinks.iter().find(|sink| sink.scope == target.scope) else { return Ok(none(target)) };
    let Some(name) = &sink.file else { return Ok(none(target)) };
    let (mut covered, mut acked) = (Vec::new(), 0_u64);
    for load in state.loads_of(&plan.id)?.into_iter().filter(|load| load.state == LoadState::Settled) {
        let outcomes = state.outcomes(&load.id)?;
        for part in load.parts.iter().filter(|part| part.scope == target.scope) {
            let others: BTreeSet<u64> = outcomes
                .iter()
                .filter(|outcome| outcome.scope == target.scope && outcome.outcome != "acked")
                .map(|outcome| outcome.row)
                .collect();
            let left_out = state.left_out(&load.id, target.scope)?;
            acked += part.rows - others.difference(&left_out).count() as u64;
            covered.push((part.first, part.last, others));
        }
    }
    let open = sink.rows.saturating_sub(acked);
    if open == 0 {
        return Ok(none(target));
    }
    if open > most as u64 {
        return Ok(None);
    }
    let file = PlanFile::open(state, name)?;
    let mut batches = vec![RecordBatch::new_empty(key_schema(target)?)];
    let mut first = 0_u64;
    for rows in file.scan_values()? {
        let rows = rows?;
        let kept: BooleanArray = rows
            .rows
            .iter()
            .zip(first..)
            .map(|(row, at)| {
                let inside =
                    |(from, to, others): &(u64, u64, BTreeSet<u64>)| *from <= at && at <= *to && !others.contains(&at);
                Some(!(row.why == Why::Due && covered.iter().any(inside)))
            })
            .collect();
        first += rows.rows.len() as u64;
        batches.push(filter_record_batch(&key_columns(&rows.new, target)?, &kept)?);
    }
    let schema = key_schema(target)?;
    Ok(Some(arrow::compute::concat_batches(&schema, &batches)?))
}

/// Rows whose parent was made at the other side after a plan: they may be gone with the old one.
fn orphans(state: &State, target: &Target, since: &PlanRecord, most: usize) -> Result<Option<RecordBatch>> {
    let mut batches = vec![RecordBatch::new_empty(key_schema(target)?)];
    for link in &target.after {
        let Some(scope) = link.scope else { continue };
        let mut made = BTreeSet::new();
        for (file, rows) in state.plan_files_since(scope, since.seq)? {
            if rows > most as u64 * 4 {
                return Ok(None);
            }
            for rows in PlanFile::open(state, &file)?.scan()? {
                made.extend(rows?.into_iter().filter(|row| row.op == Op::Create).map(|row| row.key));
            }
        }
        if made.is_empty() {
            continue;
        }
        let made: Vec<Hash> = made.into_iter().collect();
        let baseline = Baseline::open(state, target.scope)?;
        let work = state.work_folder()?;
        let known = baseline.by_columns(state, &link.by, &made, 32 << 20, work.path())?;
        if known.len() > most {
            return Ok(None);
        }
        batches.push(baseline.values(&known, &key_schema(target)?)?);
    }
    let schema = key_schema(target)?;
    Ok(Some(arrow::compute::concat_batches(&schema, &batches)?))
}

fn by_hash(state: &State, target: &Target, keys: &[Hash]) -> Result<RecordBatch> {
    let baseline = Baseline::open(state, target.scope)?;
    baseline.values(&baseline.find(keys)?, &key_schema(target)?)
}

fn file(state: &State, plan: &str, scope: ScopeId) -> Result<Option<PlanFile>> {
    let plan = state.plan(plan)?;
    let name = plan.and_then(|plan| plan.sinks.into_iter().find(|sink| sink.scope == scope).and_then(|sink| sink.file));
    name.map(|name| PlanFile::open(state, &name)).transpose()
}

fn key_schema(target: &Target) -> Result<Arc<Schema>> {
    let fields = target.key.iter().map(|name| Ok(target.schema.field_with_name(name)?.clone()));
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}

fn key_columns(batch: &RecordBatch, target: &Target) -> Result<RecordBatch> {
    crate::table::align(batch, &key_schema(target)?)
}

fn none(target: &Target) -> Option<RecordBatch> {
    key_schema(target).ok().map(RecordBatch::new_empty)
}
