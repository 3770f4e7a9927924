//! Evidence moves the baseline: acked rows become a file of it. Also what a crash left behind.

use crate::beside::Beside;
use crate::hash::Hash;
use crate::plan_file::{Origin, PlanFile, PlanRow, Why};
use crate::state::{LoadPart, LoadRecord, LoadState, PlanRecord, PlanSinkRecord, ScopeId, State};
use crate::table::{FileWriter, baseline_fields};
use arrow::array::BooleanArray;
use arrow::datatypes::{Schema, SchemaRef};
use chrono::{DateTime, Utc};
use obmen_sdk::{Error, Op, Result};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// Puts the state in order before a run: loads that a crash cut off become doubts, acked rows that
/// are not in files yet are written, left-overs are removed. Gives how many keys are newly in doubt.
///
/// # Errors
/// Those of the state and the disk.
pub(crate) fn recover(state: &State, now: DateTime<Utc>) -> Result<u64> {
    let mut lost = 0;
    for load in state.open_loads()? {
        let rows = rows_of_load(state, &load)?;
        lost += rows.len() as u64;
        state.lose_load(&load.id, &load.plan, &rows, now)?;
    }
    for (scope, ..) in state.scopes()? {
        flush(state, scope)?;
    }
    state.close_crashed_runs(now)?;
    crate::table::remove_orphans(state)?;
    Ok(lost)
}

/// Writes the acked rows of settled loads of a scope into its baseline.
///
/// # Errors
/// Those of the state and the disk. Nothing is lost then: the loads stay to be flushed.
pub(crate) fn flush(state: &State, scope: ScopeId) -> Result<()> {
    let mut by_plan: BTreeMap<i64, (PlanRecord, Vec<LoadRecord>)> = BTreeMap::new();
    for load in state.unflushed_loads(scope)? {
        let plan = state.plan(&load.plan)?.ok_or_else(|| Error::internal(format!("load {} has no plan", load.id)))?;
        by_plan.entry(plan.seq).or_insert_with(|| (plan, Vec::new())).1.push(load);
    }
    for (plan, loads) in by_plan.into_values() {
        flush_plan(state, scope, &plan, &loads)?;
    }
    Ok(())
}

fn flush_plan(state: &State, scope: ScopeId, plan: &PlanRecord, loads: &[LoadRecord]) -> Result<()> {
    let (sink, file) = plan_file(state, plan, scope)?;
    if took_all(state, scope, sink, loads)? && take_over(state, scope, sink, &file, loads)? {
        return Ok(());
    }
    let mut acked = RowSet::of(sink.rows);
    for load in loads {
        let others = not_acked(state, scope, load)?;
        for part in load.parts.iter().filter(|part| part.scope == scope) {
            let sent = file.part(part, &state.left_out(&load.id, scope)?)?;
            for (at, _) in sent.into_iter().filter(|(at, _)| !others.contains(at)) {
                acked.insert(at);
            }
        }
    }
    let names: Vec<String> = loads.iter().map(|load| load.id.clone()).collect();
    let origin = Origin { recipe: sink.recipe, seq: plan.seq };
    write_rows(state, scope, origin, &file, &acked, &names)
}

/// Rows of a load that were not simply acked.
fn not_acked(state: &State, scope: ScopeId, load: &LoadRecord) -> Result<HashSet<u64>> {
    let others = state.outcomes(&load.id)?.into_iter();
    Ok(others.filter(|row| row.scope == scope && row.outcome != "acked").map(|row| row.row).collect())
}

/// Whether loads together sent every row of a plan's file, each once, and every row was acked.
fn took_all(state: &State, scope: ScopeId, sink: &PlanSinkRecord, loads: &[LoadRecord]) -> Result<bool> {
    for load in loads {
        if !not_acked(state, scope, load)?.is_empty() {
            return Ok(false);
        }
    }
    let parts = loads.iter().flat_map(|load| &load.parts).filter(|part| part.scope == scope);
    Ok(are_all(parts, sink.rows))
}

/// Whether parts are all rows of a file, one part after the other and nothing left out.
fn are_all<'p>(parts: impl Iterator<Item = &'p LoadPart>, rows: u64) -> bool {
    let mut parts: Vec<_> = parts.collect();
    parts.sort_unstable_by_key(|part| part.first);
    let mut next = 0;
    for part in parts {
        if part.first != next || part.last + 1 - part.first != part.rows {
            return false;
        }
        next = part.last + 1;
    }
    next == rows
}

/// Makes a plan's file one of the baseline, as it is. `false` if it is not of a kind that can be.
fn take_over(
    state: &State,
    scope: ScopeId,
    sink: &PlanSinkRecord,
    file: &PlanFile,
    loads: &[LoadRecord],
) -> Result<bool> {
    let (Some(name), Some((creates, deletes))) = (&sink.file, file.creates_and_deletes()?) else { return Ok(false) };
    let live = live(state, scope)?;
    let loads: Vec<String> = loads.iter().map(|load| load.id.clone()).collect();
    state.add_segment(scope, name, sink.rows, &loads)?;
    if let Some(live) = live {
        state.set_live(scope, (live + creates).saturating_sub(deletes))?;
    }
    state.compact(scope)?;
    Ok(true)
}

/// Takes the rows of a plan that a person said are there (`Why::Adopt`) into the baseline.
///
/// # Errors
/// Those of the state and the disk.
pub(crate) fn adopt_rows(state: &State, scope: ScopeId, plan: &PlanRecord) -> Result<u64> {
    let Some(sink) = plan.sinks.iter().find(|sink| sink.scope == scope) else { return Ok(0) };
    let Some(name) = &sink.file else { return Ok(0) };
    let file = PlanFile::open(state, name)?;
    let mut adopted = RowSet::of(sink.rows);
    let mut at = 0_u64;
    for rows in file.scan()? {
        for row in rows? {
            if row.why == Why::Adopt {
                adopted.insert(at);
            }
            at += 1;
        }
    }
    let origin = Origin { recipe: sink.recipe, seq: plan.seq };
    write_rows(state, scope, origin, &file, &adopted, &[])?;
    Ok(adopted.count)
}

/// Replaces a baseline by the rows of a plan file, those of the keys `without` left out; no file: by nothing.
///
/// # Errors
/// Those of the state and the disk.
pub(crate) fn replace(
    state: &State,
    scope: ScopeId,
    recipe: i64,
    file: Option<&str>,
    without: &BTreeSet<Hash>,
) -> Result<()> {
    state.forget_basis(scope)?;
    let old: Vec<i64> = state.segments(scope)?.iter().map(|segment| segment.id).collect();
    let Some(name) = file else { return state.replace_segments(scope, &old, None) };
    let plan = PlanFile::open(state, name)?;
    let origin = Origin { recipe, seq: 0 };
    let (name, rows) = baseline_file(state, scope, &plan, origin, |_, row| !without.contains(&row.key))?;
    state.swap_segments(scope, &old, &name, rows)
}

/// Writes those rows of a plan that `keep` (given their numbers) as a file for a baseline. Gives its name and rows.
///
/// # Errors
/// Those of the disk.
pub(crate) fn baseline_file(
    state: &State,
    scope: ScopeId,
    plan: &PlanFile,
    origin: Origin,
    mut keep: impl FnMut(u64, &PlanRow) -> bool,
) -> Result<(String, u64)> {
    let name = format!("baseline/{}-{}.parquet", scope.0, ulid::Ulid::generate());
    let schema = baseline_schema(&plan.value_schema()?);
    let writer = FileWriter::create(state.folder(), &name, Arc::clone(&schema), state.durability())?;
    let mut writer = Beside::start(writer)?;
    let mut numbers = 0..;
    for rows in plan.scan_values()? {
        let rows = rows?;
        let kept: BooleanArray = rows.rows.iter().zip(&mut numbers).map(|(row, at)| Some(keep(at, row))).collect();
        if kept.true_count() > 0 {
            let batch = rows.baseline_batch(origin, &schema)?;
            writer.write(arrow::compute::filter_record_batch(&batch, &kept)?)?;
        }
    }
    let rows = writer.finish()?;
    Ok((name, rows))
}

fn write_rows(
    state: &State,
    scope: ScopeId,
    origin: Origin,
    file: &PlanFile,
    rows: &RowSet,
    loads: &[String],
) -> Result<()> {
    if rows.count == 0 {
        return if loads.is_empty() { Ok(()) } else { state.mark_flushed(scope, loads) };
    }
    let live = live(state, scope)?;
    let (mut created, mut deleted) = (0, 0);
    let (name, count) = baseline_file(state, scope, file, origin, |at, row| {
        let kept = rows.contains(at);
        created += u64::from(kept && row.op == Op::Create);
        deleted += u64::from(kept && row.op == Op::Delete && row.created >= 0);
        kept
    })?;
    state.add_segment(scope, &name, count, loads)?;
    if let Some(live) = live {
        state.set_live(scope, (live + created).saturating_sub(deleted))?;
    }
    state.compact(scope)
}

/// Rows of a baseline that are not gone, if that is known.
fn live(state: &State, scope: ScopeId) -> Result<Option<u64>> {
    Ok(if state.segments(scope)?.is_empty() { Some(0) } else { state.live(scope)? })
}

/// Some rows of a file, by their numbers: one byte each.
struct RowSet {
    bits: Vec<bool>,
    count: u64,
}

impl RowSet {
    /// None of so many rows.
    fn of(rows: u64) -> Self {
        Self { bits: vec![false; usize::try_from(rows).unwrap_or(usize::MAX)], count: 0 }
    }

    fn insert(&mut self, row: u64) {
        if let Some(bit) = usize::try_from(row).ok().and_then(|row| self.bits.get_mut(row)) {
            self.count += u64::from(!*bit);
            *bit = true;
        }
    }

    fn contains(&self, row: u64) -> bool {
        usize::try_from(row).ok().and_then(|row| self.bits.get(row).copied()).unwrap_or(false)
    }
}

/// The columns of a baseline file for rows with the columns `values`.
fn baseline_schema(values: &SchemaRef) -> SchemaRef {
    let mut fields = baseline_fields();
    fields.extend(values.fields().iter().map(|field| field.as_ref().clone()));
    Arc::new(Schema::new(fields))
}

fn rows_of_load(state: &State, load: &LoadRecord) -> Result<Vec<(ScopeId, u64, Hash)>> {
    let plan = state.plan(&load.plan)?.ok_or_else(|| Error::internal(format!("load {} has no plan", load.id)))?;
    debug_assert_eq!(load.state, LoadState::InDoubt);
    let mut rows = Vec::new();
    for part in &load.parts {
        let (_, file) = plan_file(state, &plan, part.scope)?;
        let sent = file.part(part, &state.left_out(&load.id, part.scope)?)?;
        rows.extend(sent.into_iter().map(|(at, row)| (part.scope, at, row.key)));
    }
    Ok(rows)
}

fn plan_file<'a>(state: &State, plan: &'a PlanRecord, scope: ScopeId) -> Result<(&'a PlanSinkRecord, PlanFile)> {
    let sink = plan
        .sinks
        .iter()
        .find(|sink| sink.scope == scope)
        .ok_or_else(|| Error::internal(format!("plan {} has nothing for scope {}", plan.id, scope.0)))?;
    let name = sink.file.as_ref().ok_or_else(|| Error::internal(format!("plan {} has no file", plan.id)))?;
    Ok((sink, PlanFile::open(state, name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_rows_only_if_each_row_is_in_exactly_one() {
        let part = |(first, last, rows)| LoadPart { scope: ScopeId(1), first, last, rows };
        for (parts, expected) in [
            (vec![(0, 9, 10)], true),
            (vec![(5, 9, 5), (0, 4, 5)], true),
            (vec![(0, 4, 5)], false),
            (vec![(0, 4, 5), (0, 4, 5)], false),
            (vec![(0, 4, 5), (4, 9, 6)], false),
            (vec![(0, 9, 9)], false),
            (vec![(1, 9, 9)], false),
            (vec![], false),
        ] {
            let parts: Vec<LoadPart> = parts.into_iter().map(part).collect();
            assert_eq!(are_all(parts.iter(), 10), expected, "{parts:?}");
        }
    }
}
