//! The loop every value goes through: a page of JSON as 1C writes it → Arrow.
#![expect(clippy::unwrap_used, reason = "a benchmark ends where a test would fail")]

use arrow::datatypes::{Schema, SchemaRef};
use criterion::{Criterion, Throughput};
use obmen_odata::kernels::decode;
use obmen_sdk::types::arrow_field;
use obmen_spec::ColumnType;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

const ROWS: u32 = 6_000;
/// What HTTP hands over at a time.
const PIECE: usize = 16 << 10;
const EMPTY: &str = "00000000-0000-0000-0000-000000000000";

/// What is read: the other properties of the answer are skipped.
const COLUMNS: [(&str, ColumnType); 12] = [
    ("Ref_Key", ColumnType::Uuid),
    ("DeletionMark", ColumnType::Bool),
    ("Number", ColumnType::String),
    ("Date", ColumnType::Datetime),
    ("ДатаДоговора", ColumnType::Date),
    ("Контрагент_Key", ColumnType::Uuid),
    ("Склад_Key", ColumnType::Uuid),
    ("СуммаДокумента", ColumnType::Decimal { precision: 15, scale: 2 }),
    ("Количество", ColumnType::Decimal { precision: 15, scale: 3 }),
    ("ВерсияСтроки", ColumnType::Long),
    ("Порядок", ColumnType::Int),
    ("Комментарий", ColumnType::String),
];

fn schema(columns: &[(&str, ColumnType)]) -> SchemaRef {
    let fields: Vec<_> = columns.iter().map(|(name, kind)| arrow_field(name, *kind)).collect();
    Arc::new(Schema::new(fields))
}

fn id(row: u32) -> String {
    format!("{:08x}-cb6a-11e6-aede-5404a6b4b8ed", row.wrapping_mul(0x9e37_79b9))
}

/// An answer as 1C lays it out: a line per property, whole numbers of 64 bits as texts, empty references and dates.
fn page() -> String {
    let mut out = "\u{feff}{\n\"odata.metadata\": \"http://1c/base/odata/standard.odata/$metadata#Document_Заказ\",\n\"value\": [".to_owned();
    for row in 0..ROWS {
        let comma = if row == 0 { "" } else { "," };
        let warehouse = if row.is_multiple_of(5) { EMPTY.to_owned() } else { id(row % 7) };
        let contract = if row.is_multiple_of(4) {
            "0001-01-01".to_owned()
        } else {
            format!("2024-{:02}-{:02}", row % 12 + 1, row % 28 + 1)
        };
        let note = match row % 3 {
            0 => "",
            1 => "Самовывоз, позвонить за час",
            _ => "Доставка до \\\"Терминала №2\\\"\\r\\nпропуск заказан",
        };
        write!(
            out,
            r#"{comma}{{
"Ref_Key": "{}",
"DataVersion": "AAAAAQAAAAA=",
"DeletionMark": {},
"Number": "УТ-{row:08}",
"Date": "2024-03-{:02}T{:02}:{:02}:52",
"Posted": true,
"ВидОперации": "ПродажаТоваровОрганизации",
"ДатаДоговора": "{contract}T00:00:00",
"Контрагент_Key": "{}",
"Контрагент@navigationLinkUrl": "Document_Заказ(guid'{}')/Контрагент",
"Склад_Key": "{warehouse}",
"СуммаДокумента": {}.{:02},
"Количество": {}.{:03},
"ВерсияСтроки": "{}",
"Порядок": {},
"Комментарий": "{note}",
"ДополнительныеРеквизиты": []
}}"#,
            id(row),
            row.is_multiple_of(50),
            row % 28 + 1,
            row % 24,
            row % 60,
            id(row % 997),
            id(row),
            row.wrapping_mul(7_919) % 1_000_000,
            row % 100,
            row % 500,
            row % 1_000,
            u64::from(row) << 34,
            row % 30_000,
        )
        .unwrap();
    }
    out.push_str("]\n}");
    out
}

fn read(page: &str, schema: &SchemaRef, key: &[String]) -> usize {
    let batches = decode(black_box(page).as_bytes().chunks(PIECE), schema, key, 8192).unwrap();
    assert!(batches.iter().all(|batch| batch.bad.is_empty()));
    batches.iter().map(|batch| batch.rows.num_rows()).sum()
}

fn main() {
    let (page, key) = (page(), ["Ref_Key".to_owned()]);
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("odata");
    group.throughput(Throughput::Bytes(page.len() as u64)).sample_size(20);
    for (name, columns) in [("decode/12 columns", &COLUMNS[..]), ("decode/one column", &COLUMNS[..1])] {
        let schema = schema(columns);
        assert_eq!(read(&page, &schema, &key), ROWS as usize, "all rows are decoded");
        group.bench_function(name, |bench| bench.iter(|| read(&page, &schema, &key)));
    }
    group.finish();
    criterion.final_summary();
}
