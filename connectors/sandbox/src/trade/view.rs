//! Filtered and ordered entries of a table, kept until the file changes, so that pages answer fast.

use super::condition::Test;
use super::schema::{Entity, Shape};
use super::table::Table;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Views kept at a time.
const KEPT: usize = 16;

/// What a view is of: the entity, the version of its table, how its rows are given, filter and order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ViewKey {
    pub(crate) entity: String,
    pub(crate) version: u64,
    pub(crate) shape: Shape,
    pub(crate) filter: String,
    pub(crate) order: String,
}

/// Entries in their order.
#[derive(Debug, Default)]
pub(crate) struct View {
    entries: Vec<u32>,
    /// Runs of entries the order does not tell apart: first and the one after the last.
    ties: Vec<(usize, usize)>,
}

/// A column of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct By {
    pub(crate) column: usize,
    pub(crate) descending: bool,
}

/// The views made last.
#[derive(Debug, Default)]
pub(crate) struct Views {
    kept: Mutex<VecDeque<(ViewKey, Arc<View>)>>,
}

impl Views {
    /// The view of a key, made if it is not kept.
    pub(crate) fn get(&self, key: ViewKey, make: impl FnOnce() -> View) -> Arc<View> {
        if let Some(view) = self.lock().iter().find(|(known, _)| *known == key).map(|(_, view)| Arc::clone(view)) {
            return view;
        }
        let view = Arc::new(make());
        let mut kept = self.lock();
        kept.retain(|(known, _)| *known != key && (known.entity != key.entity || known.version == key.version));
        kept.push_front((key, Arc::clone(&view)));
        kept.truncate(KEPT);
        view
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(ViewKey, Arc<View>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// Filters, then orders.
    pub(crate) fn make(entity: &Entity, table: &Table, shape: Shape, test: &Test, order: &[By]) -> Self {
        let entries: Vec<u32> = match shape {
            Shape::Rows => table.rows().filter(|row| test.holds(entity, table, &[*row])).collect(),
            Shape::RecordSets => {
                let sets = table.sets(&entity.recorder().unwrap_or_default());
                (0_u32..).zip(sets).filter(|(_, rows)| test.holds(entity, table, rows)).map(|(at, _)| at).collect()
            }
        };
        if order.is_empty() {
            return Self { entries, ties: Vec::new() };
        }
        let mut keyed: Vec<(Vec<u8>, u32)> =
            entries.into_iter().map(|row| (sort_key(entity, table, row, order), row)).collect();
        keyed.sort_unstable();
        let mut ties = Vec::new();
        let mut first = 0;
        for run in keyed.chunk_by(|a, b| a.0 == b.0) {
            if run.len() > 1 {
                ties.push((first, first + run.len()));
            }
            first += run.len();
        }
        Self { entries: keyed.into_iter().map(|(_, row)| row).collect(), ties }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A page. Entries the order does not tell apart come in another order at each `turn`, as a
    /// database may give them: pages by an order that is not total lose rows.
    pub(crate) fn page(&self, skip: usize, top: usize, turn: usize) -> Vec<u32> {
        let end = skip.saturating_add(top).min(self.entries.len());
        (skip..end)
            .filter_map(|at| {
                let run = self.ties.partition_point(|(_, end)| *end <= at);
                let at = match self.ties.get(run) {
                    Some((first, end)) if *first <= at => first + (at - first + turn) % (end - first),
                    _ => at,
                };
                self.entries.get(at).copied()
            })
            .collect()
    }
}

fn sort_key(entity: &Entity, table: &Table, row: u32, order: &[By]) -> Vec<u8> {
    let mut key = Vec::new();
    for by in order {
        let start = key.len();
        write_key(entity, table, row, by.column, &mut key);
        if by.descending {
            key.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
        }
    }
    key
}

/// A reference is ordered by what it shows: `$orderby=Ref_Key` is not the order of GUIDs (`1c-odata.md` §2.6).
fn write_key(entity: &Entity, table: &Table, row: u32, column: usize, key: &mut Vec<u8>) {
    let Some(field) = entity.columns.get(column) else { return };
    if field.name == "Ref_Key" {
        for shown in ["Date", "Number", "Description", "Code"].iter().filter_map(|name| entity.position(name)) {
            if let Some(other) = entity.columns.get(shown) {
                other.edm.write_order(table.cell(row, shown), key);
            }
        }
    }
    field.edm.write_order(table.cell(row, column), key);
}
