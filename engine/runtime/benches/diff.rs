//! What differs between a relation and what is kept of it, and look-ups by key.
#![expect(clippy::unwrap_used, reason = "a benchmark ends where a test would fail")]

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int32Array, StringArray, TimestampMicrosecondArray,
};
use arrow::record_batch::RecordBatch;
use criterion::{Criterion, Throughput};
use obmen_runtime::hash::{Hash, hash_keys};
use obmen_runtime::kernels::Kept;
use std::hint::black_box;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Rows of the relation, before and after: as many are new as are gone.
const ROWS: u32 = 200_000;
/// Of so many rows in a row, these many are updated and one is gone.
const BLOCK: u32 = 1_000;
const UPDATED: u32 = 15;
const BATCH: usize = 8192;
const KEYS: usize = 1_000;

/// Numbers that look random, another row of them for each `salt`.
fn mixed(row: u32, salt: u32) -> u32 {
    let mixed = (row ^ salt.rotate_left(16)).wrapping_mul(0x9e37_79b1);
    (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca77)
}

fn texts(rows: &[u32], text: impl Fn(u32) -> Option<String>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| text(*row)).collect::<StringArray>())
}

fn decimals(rows: &[u32], scale: i8, value: impl Fn(u32) -> u32) -> ArrayRef {
    let values: Decimal128Array = rows.iter().map(|row| Some(i128::from(value(*row)))).collect();
    Arc::new(values.with_precision_and_scale(15, scale).unwrap())
}

/// Goods of these numbers; of one that is updated the price differs.
fn goods(rows: &[u32], updated: impl Fn(u32) -> bool) -> RecordBatch {
    let small = |row: u32, salt: u32, most: i32| mixed(row, salt).cast_signed().rem_euclid(most);
    let changed = |row: u32| 1_600_000_000_000_000 + i64::from(mixed(row, 4)) * 10_000;
    let note = |row: u32| row.is_multiple_of(10).then(|| "Хранить в сухом месте, не бросать".to_owned());
    let columns: [(&str, ArrayRef); 10] = [
        ("id", texts(rows, |row| Some(format!("{:08x}-4d66-11e4-99fe-{row:012x}", mixed(row, 1))))),
        ("sku", texts(rows, |row| Some(format!("A-{row}")))),
        ("name", texts(rows, |row| Some(format!("Болт с шестигранной головкой М{} ГОСТ 7798, {row}", row % 48)))),
        ("price", decimals(rows, 2, |row| mixed(row, 2) % 10_000_000 + u32::from(updated(row)))),
        ("quantity", decimals(rows, 3, |row| mixed(row, 3) % 500_000)),
        ("arrived", Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| 16_000 + small(*row, 5, 3650))))),
        ("changed", Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| changed(*row))))),
        ("active", Arc::new(rows.iter().map(|row| Some(row % 10 > 0)).collect::<BooleanArray>())),
        ("pieces", Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| small(*row, 6, 1000))))),
        ("note", texts(rows, note)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

fn relation(rows: &[u32], updated: impl Fn(u32) -> bool + Copy) -> Vec<RecordBatch> {
    rows.chunks(BATCH).map(|rows| goods(rows, updated)).collect()
}

/// The hashes of some keys, ascending: hashes of neighbours lie anywhere in the table.
fn hashes(rows: &RecordBatch, key: &[String]) -> Vec<Hash> {
    let mut hashes = hash_keys(&rows.slice(0, KEYS), key).unwrap();
    hashes.sort_unstable();
    hashes
}

fn main() {
    let runtime = Runtime::new().unwrap();
    let (folder, key) = (tempfile::tempdir().unwrap(), ["id".to_owned()]);
    let before: Vec<u32> = (0..ROWS).collect();
    let before = relation(&before, |_| false);
    let after: Vec<u32> = (0..ROWS + ROWS / BLOCK).filter(|row| *row >= ROWS || row % BLOCK != UPDATED).collect();
    let after = relation(&after, |row| row < ROWS && row % BLOCK < UPDATED);
    let schema = before.first().unwrap().schema();
    let kept = runtime.block_on(Kept::new(folder.path(), &schema, &key, before.clone())).unwrap();

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("diff");
    group.throughput(Throughput::Elements(ROWS.into())).sample_size(20);
    let changes = ROWS / BLOCK * (UPDATED + 2);
    for (name, rows, changes) in [("nothing changed", &before, 0), ("1.7 % changed", &after, changes)] {
        let compare = || runtime.block_on(kept.compare(rows.clone())).unwrap();
        assert_eq!(compare(), u64::from(changes));
        group.bench_function(name, |bench| bench.iter(compare));
    }
    group.finish();

    let keys = hashes(before.first().unwrap(), &key);
    assert_eq!(kept.find(&keys).unwrap(), KEYS);
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(KEYS as u64));
    group.bench_function("find 1000 keys", |bench| bench.iter(|| kept.find(black_box(&keys)).unwrap()));
    group.finish();
    criterion.final_summary();
}
