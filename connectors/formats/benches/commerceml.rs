//! CommerceML documents: writing changes, reading the files back.
#![expect(clippy::unwrap_used, reason = "a benchmark ends where a test would fail")]

use arrow::array::{ArrayRef, Decimal128Array, ListArray, StringArray, StructArray, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::record_batch::RecordBatch;
use criterion::{BenchmarkId, Criterion, Throughput};
use obmen_diagnostics::{FileId, Span};
use obmen_formats::commerceml::{PackageSettings, package, read};
use obmen_sdk::{Changes, Op, RowId, SinkTarget};
use obmen_spec::{Node, Value};
use std::hint::black_box;
use std::sync::Arc;

const OFFERS: usize = 50_000;
const GOODS: usize = 20_000;

fn texts(count: usize, text: impl Fn(usize) -> String) -> ArrayRef {
    Arc::new((0..count).map(|at| Some(text(at))).collect::<StringArray>())
}

fn decimals(count: usize, scale: i8, value: impl Fn(i128) -> i128) -> ArrayRef {
    let values: Decimal128Array = (0_i128..).take(count).map(|at| Some(value(at))).collect();
    Arc::new(values.with_precision_and_scale(18, scale).unwrap())
}

fn fields(columns: &[(&str, ArrayRef)]) -> Fields {
    columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect()
}

/// A child of a fixed number of rows per owner.
fn child(owners: usize, columns: &[(&str, ArrayRef)]) -> ArrayRef {
    let rows = StructArray::new(fields(columns), columns.iter().map(|(_, array)| Arc::clone(array)).collect(), None);
    let each = columns.first().map_or(0, |(_, array)| array.len()) / owners;
    let item = Arc::new(Field::new("item", DataType::Struct(fields(columns)), true));
    Arc::new(ListArray::new(item, OffsetBuffer::from_repeated_length(each, owners), Arc::new(rows), None))
}

fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let arrays = columns.iter().map(|(_, array)| Arc::clone(array)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields(columns))), arrays).unwrap()
}

fn id(at: usize) -> String {
    format!("26b0dc1e-4d66-11e4-99fe-{at:012x}")
}

/// Offers with two prices and three warehouses each.
fn offers() -> RecordBatch {
    let (prices, stock) = (OFFERS * 2, OFFERS * 3);
    batch(&[
        ("id", texts(OFFERS, id)),
        ("name", texts(OFFERS, |at| format!("Болт мебельный М8×{at} с гайкой"))),
        ("sku", texts(OFFERS, |at| format!("БМ-{at:06}"))),
        ("unit_code", texts(OFFERS, |_| "796".to_owned())),
        (
            "prices",
            child(
                OFFERS,
                &[
                    ("price_type", texts(prices, |at| ["Оптовая", "Розничная"][at % 2].to_owned())),
                    ("price", decimals(prices, 2, |at| at * 37 % 1_000_000)),
                    ("currency", texts(prices, |_| "RUB".to_owned())),
                ],
            ),
        ),
        (
            "stock",
            child(
                OFFERS,
                &[
                    ("warehouse", texts(stock, |at| ["Магазин", "Основной", "Юг"][at % 3].to_owned())),
                    ("quantity", decimals(stock, 3, |at| at * 211 % 1_000_000)),
                ],
            ),
        ),
    ])
}

/// Goods with five properties each.
fn goods() -> RecordBatch {
    let properties = GOODS * 5;
    batch(&[
        ("id", texts(GOODS, id)),
        ("name", texts(GOODS, |at| format!("Болт мебельный М8×{at}"))),
        ("full_name", texts(GOODS, |at| format!("Болт мебельный М8×{at} оцинкованный, с гайкой & шайбой"))),
        ("sku", texts(GOODS, |at| format!("БМ-{at:06}"))),
        ("barcode", texts(GOODS, |at| format!("{:013}", 4_600_000_000_000 + at))),
        ("unit_code", texts(GOODS, |_| "796".to_owned())),
        ("group", texts(GOODS, |at| id(at % 50))),
        ("description", texts(GOODS, |at| format!("Крепёж для мебели, партия {at}. {}", "Сталь, цинк. ".repeat(12)))),
        ("vat_rate", texts(GOODS, |_| "20".to_owned())),
        ("weight", decimals(GOODS, 3, |at| at % 5_000)),
        ("country", texts(GOODS, |_| "Россия".to_owned())),
        ("manufacturer", texts(GOODS, |_| "Метизный завод".to_owned())),
        (
            "properties",
            child(
                GOODS,
                &[
                    ("property", texts(properties, |at| id(at % 5))),
                    ("value", texts(properties, |at| format!("значение {}", at % 97))),
                ],
            ),
        ),
    ])
}

fn target(entity: &str, rows: &RecordBatch) -> SinkTarget {
    SinkTarget {
        name: entity.to_owned(),
        entity: entity.to_owned(),
        schema: rows.schema(),
        key: vec!["id".to_owned()],
        delete: false,
        options: Node { span: Span::new(FileId(0), 0..0), value: Value::Null },
    }
}

/// The rows as new ones, in portions as a run sends them.
fn portions(rows: &RecordBatch) -> Vec<Changes> {
    let old = rows.columns().iter().map(|column| new_null_array(column.data_type(), rows.num_rows())).collect();
    let old = RecordBatch::try_new(rows.schema(), old).unwrap();
    (0..rows.num_rows())
        .step_by(8192)
        .map(|from| {
            let count = 8192.min(rows.num_rows() - from);
            Changes {
                target: 0,
                ids: (0_u64..).take(count).map(RowId).collect(),
                ops: vec![Op::Create; count],
                rows: rows.slice(from, count),
                old: old.slice(from, count),
                unchanged: None,
            }
        })
        .collect()
}

fn documents(criterion: &mut Criterion, entity: &str, rows: &RecordBatch, relations: &[&str]) {
    let (targets, portions) = ([target(entity, rows)], portions(rows));
    let settings = PackageSettings::new(chrono::NaiveDateTime::default());
    let made = package(&targets, &settings, &portions).unwrap();
    assert!(made.rejected.is_empty());
    let document = &made.files.first().unwrap().bytes;
    let mut group = criterion.benchmark_group(format!("commerceml_{entity}"));
    group.throughput(Throughput::Bytes(document.len() as u64)).sample_size(10);
    group.bench_function("write", |bench| bench.iter(|| package(&targets, &settings, black_box(&portions)).unwrap()));
    for relation in relations {
        group.bench_function(BenchmarkId::new("read", relation), |bench| {
            bench.iter(|| {
                let mut rows = 0;
                read(relation, "file.xml", black_box(document.as_slice()), 8192, &mut |batch| {
                    assert!(batch.bad.is_empty());
                    rows += batch.rows.num_rows();
                    Ok(())
                })
                .unwrap();
                rows
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    documents(&mut criterion, "offers", &offers(), &["offers", "prices", "stock"]);
    documents(&mut criterion, "goods", &goods(), &["goods", "goods_properties"]);
    criterion.final_summary();
}
