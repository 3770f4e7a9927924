//! What differs, against a comparison of two maps, with any memory: values kept at once, read again for
//! the rows that differ, or for all.

use super::About;
use crate::land::LandedRows;
use crate::mirror::{Mirror, Reading};
use crate::plan_file::PlanFile;
use crate::sql::Options;
use crate::state::{Durability, State};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use chrono::DateTime;
use obmen_sdk::Op;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Values by key.
type Table = BTreeMap<u32, u32>;
/// A change: operation, key, old and new value.
type Change = (Op, String, Option<String>, Option<String>);

fn batches(table: &Table) -> Vec<RecordBatch> {
    let rows: Vec<(String, String)> = table.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let mut batches = vec![batch(&[])];
    batches.extend(rows.chunks(700).map(batch));
    batches
}

fn batch(rows: &[(String, String)]) -> RecordBatch {
    let text = |of: fn(&(String, String)) -> &String| Arc::new(StringArray::from_iter_values(rows.iter().map(of)));
    let columns = [("id", text(|row| &row.0) as ArrayRef, true), ("value", text(|row| &row.1) as ArrayRef, true)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

async fn compare(state: &State, table: &Table, memory: usize) -> (Vec<Change>, u64) {
    let rows = LandedRows::Memory(batches(table));
    let schema: SchemaRef = batch(&[]).schema();
    let (scope, key) = (state.scope("", "goods", "test").unwrap(), ["id".to_owned()]);
    let mirror = Mirror { state, scope, name: "goods", key: &key, schema };
    let reading =
        Reading { rows: &rows, about: About::Everything, condition: None, deletes_suspended: None, position: None };
    let work = state.work_folder().unwrap();
    let spill = work.path().to_owned();
    let options = Options { memory, spill, now: DateTime::default(), threads: 2, batch_rows: 512 };
    let compared = mirror.compare(reading, options).await.unwrap();
    let changes = compared.file.as_ref().map_or_else(Vec::new, |file| changes_in(state, file));
    (changes, mirror.keep(compared).unwrap().changes)
}

fn changes_in(state: &State, file: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    for rows in PlanFile::open(state, file).unwrap().scan_values().unwrap() {
        let rows = rows.unwrap();
        let text = |batch: &RecordBatch, column: usize, at: usize| {
            let texts = batch.column(column).as_string::<i32>();
            texts.is_valid(at).then(|| texts.value(at).to_owned())
        };
        for (at, row) in rows.rows.iter().enumerate() {
            let new = text(&rows.new, 1, at).filter(|_| row.op != Op::Delete);
            // of a key that was gone, the last values are known still
            let old = text(&rows.old, 1, at).filter(|_| row.op != Op::Create);
            changes.push((row.op, text(&rows.new, 0, at).unwrap(), old, new));
        }
    }
    changes.sort_by(|one, other| one.1.cmp(&other.1));
    changes
}

fn expected(before: &Table, after: &Table) -> Vec<Change> {
    let keys: std::collections::BTreeSet<u32> = before.keys().chain(after.keys()).copied().collect();
    let mut changes: Vec<Change> = Vec::new();
    for key in keys {
        let (old, new) = (before.get(&key), after.get(&key));
        let op = match (old, new) {
            (None, _) => Op::Create,
            (_, None) => Op::Delete,
            (old, new) if old != new => Op::Update,
            _ => continue,
        };
        changes.push((op, key.to_string(), old.map(u32::to_string), new.map(u32::to_string)));
    }
    changes.sort_by(|one, other| one.1.cmp(&other.1));
    changes
}

fn walk(folder: &Path, tables: &[Table], memory: usize) {
    let state = State::open(folder, Durability::Scratch).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut before = Table::new();
    for after in tables {
        let (changes, kept) = runtime.block_on(compare(&state, after, memory));
        let expected = expected(&before, after);
        assert_eq!(kept, expected.len() as u64, "memory {memory}");
        assert_eq!(changes, expected, "memory {memory}");
        before.clone_from(after);
    }
}

/// A table, and others made of it by changing some rows.
fn tables() -> impl Strategy<Value = Vec<Table>> {
    let change = (0..3000_u32, prop_oneof![4 => (0..4_u32).prop_map(Some), 1 => Just(None)]);
    let few = proptest::collection::vec(change.clone(), 0..40);
    let many = proptest::collection::vec(change, 0..1500);
    let step = prop_oneof![few, many];
    (0..3000_u32, proptest::collection::vec(step, 1..4)).prop_map(|(rows, steps)| {
        let mut table: Table = (0..rows).map(|key| (key, key % 4)).collect();
        let mut all = vec![table.clone()];
        for step in steps {
            for (key, value) in step {
                match value {
                    Some(value) => table.insert(key, value),
                    None => table.remove(&key),
                };
            }
            all.push(table.clone());
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5))]

    #[test]
    fn whatever_memory_there_is_the_same_changes_are_found(tables in tables()) {
        for memory in [4 << 10, 48 << 10, 1 << 20, 64 << 20] {
            let folder = tempfile::tempdir().unwrap();
            walk(folder.path(), &tables, memory);
        }
    }
}
