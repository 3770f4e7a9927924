//! Keyed tables against a map that holds the same.

mod crash;
mod damage;
mod measure;
mod stored;
mod together;

use super::{Baseline, FileWriter, baseline_fields, hash_array};
use crate::hash::{Hash, hash_keys};
use crate::state::{Durability, ScopeId, State};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use obmen_sdk::Result;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What a row says: nothing, as it is gone, or its value, which may be NULL.
type Row = Option<Option<String>>;

/// Each key with its row and the commit that wrote it.
type Naive = BTreeMap<Hash, (Row, i64)>;

fn value_fields() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("value", DataType::Utf8, true)]))
}

fn value_names() -> Vec<String> {
    vec!["value".to_owned()]
}

#[expect(clippy::unnecessary_wraps, reason = "a row is there or gone")]
fn some(text: &str) -> Row {
    Some(Some(text.to_owned()))
}

fn open(folder: &Path, durability: Durability) -> (State, ScopeId) {
    let state = State::open(folder, durability).unwrap();
    let scope = state.scope("t", "shop", "here").unwrap();
    (state, scope)
}

fn file_batch(seq: i64, rows: &BTreeMap<Hash, Row>) -> RecordBatch {
    let mut fields = baseline_fields();
    fields.extend(value_fields().fields().iter().map(|field| field.as_ref().clone()));
    let keys: Vec<Hash> = rows.keys().copied().collect();
    let longs = |value: i64| Arc::new(Int64Array::from(vec![value; keys.len()])) as ArrayRef;
    let columns: Vec<ArrayRef> = vec![
        hash_array(&keys),
        hash_array(&keys),
        longs(1),
        Arc::new(rows.values().map(|row| Some(row.is_none())).collect::<BooleanArray>()),
        longs(seq),
        longs(seq),
        // a row that is gone still has its last value, which must not be found
        Arc::new(rows.values().map(|row| row.clone().unwrap_or(Some("1".to_owned()))).collect::<StringArray>()),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn commit(state: &State, scope: ScopeId, seq: i64, rows: &BTreeMap<Hash, Row>) -> Result<()> {
    let batch = file_batch(seq, rows);
    let name = format!("baseline/{}-{seq}.parquet", scope.0);
    let mut writer = FileWriter::create(state.folder(), &name, batch.schema(), state.durability())?;
    writer.write(&batch)?;
    let count = writer.finish()?;
    state.add_segment(scope, &name, count, &[])
}

fn rows_of(baseline: &Baseline, known: &[super::Known]) -> Result<Naive> {
    let batch = baseline.values(known, &value_fields())?;
    let texts = batch.column(0).as_string::<i32>();
    let text = |at: usize| texts.is_valid(at).then(|| texts.value(at).to_owned());
    assert!(known.is_sorted_by(|one, next| one.key < next.key), "ascending, each key once");
    Ok(known
        .iter()
        .enumerate()
        .map(|(at, known)| (known.key, ((!known.gone).then(|| text(at)), known.acked)))
        .collect())
}

fn read(baseline: &Baseline, step: usize) -> Result<Naive> {
    let mut cursor = baseline.cursor()?;
    let mut found = Naive::new();
    loop {
        let known = cursor.take(step)?;
        if known.is_empty() {
            return Ok(found);
        }
        assert!(known.len() <= step);
        assert!(found.last_key_value().is_none_or(|(last, _)| *last < known[0].key), "ascending across steps");
        found.extend(rows_of(baseline, &known)?);
    }
}

fn read_ranges(baseline: &Baseline, limits: &[Hash]) -> Result<Naive> {
    let mut cursor = baseline.cursor()?;
    let mut found = Naive::new();
    for limit in limits.iter().copied().map(Some).chain([None]) {
        let known = cursor.below(limit)?;
        assert!(known.iter().all(|known| limit.is_none_or(|limit| known.key < limit)));
        found.extend(rows_of(baseline, &known)?);
    }
    Ok(found)
}

fn hash_of_value(value: &str) -> Hash {
    let array: ArrayRef = Arc::new(StringArray::from(vec![value]));
    hash_keys(&RecordBatch::try_new(value_fields(), vec![array]).unwrap(), &value_names()).unwrap()[0]
}

fn by_value(state: &State, baseline: &Baseline, values: &[&str], budget: usize) -> Result<Naive> {
    let work = state.work_folder()?;
    let mut wanted: Vec<Hash> = values.iter().map(|value| hash_of_value(value)).collect();
    wanted.sort_unstable();
    rows_of(baseline, &baseline.by_columns(state, &value_names(), &wanted, budget, work.path())?)
}
