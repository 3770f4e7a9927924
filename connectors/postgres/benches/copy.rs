//! The loop every value goes through: binary `COPY` → Arrow.

use arrow::datatypes::{Schema, SchemaRef};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use obmen_postgres::copy::{Decoder, Wire};
use obmen_sdk::types::arrow_field;
use obmen_spec::ColumnType;
use std::hint::black_box;
use std::sync::Arc;

const ROWS: u32 = 10_000;

const COLUMNS: [(&str, ColumnType, Wire); 10] = [
    ("key", ColumnType::String, Wire::Text),
    ("name", ColumnType::String, Wire::Text),
    ("price", ColumnType::Decimal { precision: 12, scale: 2 }, Wire::Numeric),
    ("day", ColumnType::Date, Wire::Date),
    ("at", ColumnType::Datetime, Wire::Timestamp),
    ("active", ColumnType::Bool, Wire::Bool),
    ("number", ColumnType::Int, Wire::Int4),
    ("sum", ColumnType::Long, Wire::Int8),
    ("note", ColumnType::String, Wire::Text),
    ("ref", ColumnType::Uuid, Wire::Uuid),
];

fn schema() -> SchemaRef {
    let fields: Vec<_> = COLUMNS.iter().map(|(name, kind, _)| arrow_field(name, *kind)).collect();
    Arc::new(Schema::new(fields))
}

/// Rows as the server sends them.
fn rows() -> Vec<u8> {
    let mut out = b"PGCOPY\n\xff\r\n\0".to_vec();
    out.extend([0; 8]);
    let field = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend(u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
        out.extend(bytes);
    };
    for row in 0..ROWS {
        out.extend([0, 10]);
        field(&mut out, format!("{:032x}", u128::from(row) * 0x9e37_79b9_7f4a_7c15).as_bytes());
        field(&mut out, format!("Болт с шестигранной головкой {row}").as_bytes());
        let [high, low] = [row / 100, row % 100 * 100].map(|digits| u16::try_from(digits).unwrap_or(0).to_be_bytes());
        field(&mut out, &[&[0, 2, 0, 0, 0, 0, 0, 2], &high[..], &low[..]].concat());
        field(&mut out, &(row % 9_000).to_be_bytes());
        field(&mut out, &(u64::from(row) * 86_400_000_123).to_be_bytes());
        field(&mut out, &[u8::from(row % 3 == 0)]);
        field(&mut out, &row.to_be_bytes());
        field(&mut out, &(u64::from(row) << 30).to_be_bytes());
        if row % 10 == 0 {
            out.extend((-1_i32).to_be_bytes());
        } else {
            field(&mut out, b"a note of some words, as people write them");
        }
        field(&mut out, &(u128::from(row) << 90).to_be_bytes());
    }
    out.extend([0xff, 0xff]);
    out
}

fn decode(criterion: &mut Criterion) {
    let (schema, bytes) = (schema(), rows());
    let wires = COLUMNS.map(|(_, _, wire)| wire);
    let mut group = criterion.benchmark_group("copy");
    group.throughput(Throughput::Elements(u64::from(ROWS)));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let mut count = 0;
            let mut emit = |batch: obmen_sdk::Batch| {
                count += batch.rows.num_rows();
                black_box(batch);
                Ok(())
            };
            let decoder = Decoder::new(Arc::clone(&schema), &wires, "bench", &[], 8192);
            let decoded = decoder.and_then(|mut decoder| {
                bytes.chunks(256 << 10).try_for_each(|piece| decoder.push(piece, &mut emit))?;
                decoder.finish(&mut emit)
            });
            assert!(decoded.is_ok() && count == ROWS as usize, "all rows are decoded: {decoded:?}");
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
