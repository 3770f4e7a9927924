//! CSV: reading ten columns of declared types.
#![expect(clippy::unwrap_used, reason = "a benchmark ends where a test would fail")]

use arrow::datatypes::{Schema, SchemaRef};
use criterion::{Criterion, Throughput};
use obmen_formats::{Encoding, Format, Reading, csv};
use obmen_sdk::types::arrow_field;
use obmen_spec::ColumnType;
use std::fmt::Write as _;
use std::io::Cursor;
use std::sync::Arc;

const ROWS: usize = 200_000;

const COLUMNS: [(&str, &str); 10] = [
    ("id", "uuid"),
    ("number", "long"),
    ("name", "string"),
    ("comment", "string"),
    ("sum", "decimal(15,2)"),
    ("quantity", "decimal(15,3)"),
    ("rate", "double"),
    ("day", "date"),
    ("moment", "datetime"),
    ("paid", "bool"),
];

fn schema() -> SchemaRef {
    let fields = COLUMNS.map(|(name, kind)| arrow_field(name, ColumnType::parse(kind).unwrap()));
    Arc::new(Schema::new(fields.to_vec()))
}

fn document() -> String {
    let mut text = COLUMNS.map(|(name, _)| name).join(";") + "\n";
    for row in 0..ROWS {
        let (day, hour) = (row % 28 + 1, row % 24);
        writeln!(
            text,
            "26b0dc1e-4d66-11e4-99fe-{row:012x};{row};Покупатель {row};\"счёт; по договору {row}\";\
             {row}.{:02};{}.5;0.{row};2026-11-{day:02};2026-11-{day:02}T{hour:02}:15:30;{}",
            row % 100,
            row % 1000,
            row % 3 == 0
        )
        .unwrap();
    }
    text
}

fn read(bytes: &[u8], schema: &SchemaRef, format: &Format) -> usize {
    let reading = Reading { file: "file.csv", schema, columns: None, batch_rows: 8192 };
    let mut rows = 0;
    csv::read(Cursor::new(bytes.to_vec()), reading, &format.csv("file.csv"), &mut |batch| {
        assert!(batch.bad.is_empty(), "{:?}", batch.bad.first());
        rows += batch.rows.num_rows();
        Ok(())
    })
    .unwrap();
    rows
}

fn main() {
    let (text, schema) = (document(), schema());
    let utf8 = Format { delimiter: Some(obmen_formats::Delimiter(b';')), ..Format::default() };
    let cp1251 = Format { encoding: Some(Encoding::Windows1251), ..utf8.clone() };
    let encoded = Encoding::Windows1251.encode(&text).unwrap();
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("csv");
    group.sample_size(10);
    for (name, bytes, format) in [("utf-8", text.as_bytes(), &utf8), ("windows-1251", &*encoded, &cp1251)] {
        assert_eq!(read(bytes, &schema, format), ROWS);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("read/{name}"), |bench| bench.iter(|| read(bytes, &schema, format)));
    }
    group.finish();
    criterion.final_summary();
}
