//! The hashes of rows and keys: `cargo bench --workspace --bench hash`.
#![expect(clippy::unwrap_used, reason = "a benchmark ends where a test would fail")]

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use criterion::{Criterion, Throughput};
use obmen_runtime::hash::{hash_keys, hash_rows};
use std::hint::black_box;
use std::sync::Arc;

const ROWS: i64 = 8192;

fn goods() -> RecordBatch {
    let price: Decimal128Array = (0..ROWS).map(|row| Some(i128::from(row) * 101)).collect();
    let text =
        |of: fn(i64) -> String| Arc::new((0..ROWS).map(|row| Some(of(row))).collect::<StringArray>()) as ArrayRef;
    let columns: [(&str, ArrayRef); 6] = [
        ("id", text(|row| format!("{row:032x}"))),
        ("name", text(|row| format!("Болт с шестигранной головкой М{} ГОСТ 7798", row % 48))),
        ("price", Arc::new(price)),
        ("pieces", Arc::new((0..ROWS).collect::<Int64Array>())),
        ("arrived", Arc::new(Date32Array::from_iter_values(0..8192))),
        ("active", Arc::new((0..ROWS).map(|row| Some(row % 10 > 0)).collect::<BooleanArray>())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn hashes(criterion: &mut Criterion) {
    let batch = goods();
    let columns: Vec<String> = batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
    let mut group = criterion.benchmark_group("hash");
    group.throughput(Throughput::Elements(ROWS.unsigned_abs()));
    group.bench_function("rows of 6 columns", |bench| bench.iter(|| hash_rows(black_box(&batch), &columns)));
    group.bench_function("keys", |bench| bench.iter(|| hash_keys(black_box(&batch), &columns[..1])));
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    hashes(&mut criterion);
    criterion.final_summary();
}
