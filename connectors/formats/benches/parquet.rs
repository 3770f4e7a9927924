//! Parquet: reading columns as declared, and columns that are cast.
#![expect(clippy::unwrap_used, reason = "a benchmark ends where a test would fail")]

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use criterion::{Criterion, Throughput};
use obmen_formats::{Reading, parquet};
use obmen_sdk::types::arrow_field;
use obmen_spec::ColumnType;
use std::sync::Arc;

const ROWS: i32 = 500_000;

fn schema(columns: &[(&str, &str)]) -> SchemaRef {
    let fields = columns.iter().map(|(name, kind)| arrow_field(name, ColumnType::parse(kind).unwrap()));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn document() -> Bytes {
    let sums: Decimal128Array = (0..ROWS).map(|row| Some(i128::from(row) * 37)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..ROWS).map(Some).collect::<Int32Array>()),
        Arc::new((0..ROWS).map(|row| Some(format!("Покупатель {row}"))).collect::<StringArray>()),
        Arc::new(sums.with_precision_and_scale(15, 2).unwrap()),
        Arc::new((0..ROWS).map(|row| Some(row % 20_000)).collect::<Date32Array>()),
    ];
    let schema = schema(&[("id", "int"), ("name", "string"), ("sum", "decimal(15,2)"), ("day", "date")]);
    let mut writer = parquet::Writer::new(Vec::new(), Arc::clone(&schema)).unwrap();
    writer.write(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
    writer.finish().unwrap().into()
}

fn read(file: &Bytes, schema: &SchemaRef, columns: Option<&[usize]>) -> usize {
    let reading = Reading { file: "file.parquet", schema, columns, batch_rows: 8192 };
    let mut rows = 0;
    parquet::read(file.clone(), reading, &mut |batch| {
        rows += batch.rows.num_rows();
        Ok(())
    })
    .unwrap();
    rows
}

fn main() {
    let file = document();
    let same = schema(&[("id", "int"), ("name", "string"), ("sum", "decimal(15,2)"), ("day", "date")]);
    let cast = schema(&[("id", "long"), ("name", "string"), ("sum", "decimal(18,4)"), ("day", "datetime")]);
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("parquet");
    group.throughput(Throughput::Elements(ROWS.unsigned_abs().into())).sample_size(10);
    group.bench_function("read/as_declared", |bench| bench.iter(|| read(&file, &same, None)));
    group.bench_function("read/cast", |bench| bench.iter(|| read(&file, &cast, None)));
    group.bench_function("read/one_column", |bench| bench.iter(|| read(&file, &same, Some(&[2]))));
    group.finish();
    criterion.final_summary();
}
