//! What PostgreSQL leaves in is exactly what `Filter::holds` keeps.

use crate::base::{Base, rows};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{concat_batches, filter_record_batch, take};
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use obmen_sdk::types::arrow_field;
use obmen_sdk::{Filter, Scan, Source};
use obmen_spec::ColumnType;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;

const DAY: i64 = 86_400_000_000;

/// Columns of every type, as PostgreSQL has them.
const TABLE: &str = "id int4, i2 int2, l int8, small int4, d numeric(15,3), whole numeric(12,0), f float8, r float4, \
    t text, c char(5), v varchar(20), u uuid, day date, at timestamp, tz timestamptz, tm time, b bool, bin bytea, j jsonb, ip inet";

/// Values to look for, those the table has and others; as many of each column.
fn pool() -> RecordBatch {
    let decimal = |values: Vec<Option<i128>>, precision, scale| {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap()) as ArrayRef
    };
    let texts = |values: [Option<&str>; 12]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let long = [
        None,
        Some(0),
        Some(1),
        Some(-1),
        Some(7),
        Some(8),
        Some(i64::MIN),
        Some(i64::MAX),
        Some(2),
        Some(3),
        Some(4),
        Some(5),
    ];
    let int = |most: i32| {
        let values = [
            None,
            Some(0),
            Some(1),
            Some(-1),
            Some(7),
            Some(8),
            Some(-most),
            Some(most),
            Some(2),
            Some(3),
            Some(4),
            Some(5),
        ];
        Arc::new(Int32Array::from(values.to_vec())) as ArrayRef
    };
    let thousandths: Vec<Option<i128>> = [
        None,
        Some(0),
        Some(1),
        Some(-1),
        Some(1_250),
        Some(1_251),
        Some(-999_999_999_999_999),
        Some(999_999_999_999_999),
        Some(2),
        Some(3),
        Some(4),
        Some(5),
    ]
    .into();
    let double = [
        None,
        Some(0.0),
        Some(-0.0),
        Some(0.1),
        Some(-1e300),
        Some(f64::NAN),
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
        Some(5e-324),
        Some(-5e-324),
        Some(0.5),
        Some(-f64::NAN),
    ];
    let real = [
        None,
        Some(0.0),
        Some(-0.0),
        Some(0.5),
        Some(0.1),
        Some(f64::NAN),
        Some(f64::INFINITY),
        Some(1e-40),
        Some(-0.5),
        Some(2.0),
        Some(3.0),
        Some(4.0),
    ];
    let text = [
        None,
        Some(""),
        Some("a"),
        Some("A"),
        Some("a "),
        Some("а"),
        Some("Я'\\\""),
        Some("{a,b}"),
        Some("a\0b"),
        Some("ё"),
        Some("NULL"),
        Some("😀"),
    ];
    let uuid = [
        None,
        Some("7b0e5a1c-0100-4000-8000-000000000001"),
        Some("7b0e5a1c-0100-4000-8000-0000000000ff"),
        Some("00000000-0000-0000-0000-000000000000"),
        Some("ffffffff-ffff-ffff-ffff-ffffffffffff"),
        Some("7B0E5A1C-0100-4000-8000-000000000001"),
        None,
        Some("7b0e5a1c01004000"),
        Some("zzz"),
        Some("1b0e5a1c-0100-4000-8000-000000000001"),
        Some("2b0e5a1c-0100-4000-8000-000000000001"),
        Some(""),
    ];
    let day = [
        None,
        Some(0),
        Some(-1),
        Some(1),
        Some(-719_162),
        Some(2_932_896),
        Some(-719_163),
        Some(2_932_897),
        Some(i32::MIN),
        Some(i32::MAX),
        Some(20_000),
        Some(20_001),
    ];
    let moment = [
        None,
        Some(0),
        Some(-1),
        Some(1),
        Some(-719_162 * DAY),
        Some(2_932_897 * DAY - 1),
        Some(-719_162 * DAY - 1),
        Some(2_932_897 * DAY),
        Some(i64::MIN),
        Some(i64::MAX),
        Some(1_700_000_000_123_456),
        Some(1_700_000_000_123_457),
    ];
    let time = [
        None,
        Some(0),
        Some(1),
        Some(DAY - 1),
        Some(-1),
        Some(DAY),
        Some(5),
        Some(6),
        Some(7),
        Some(8),
        Some(9),
        Some(DAY / 2),
    ];
    let json = [
        None,
        Some("{}"),
        Some("[1, 2]"),
        Some("{\"a\": 1}"),
        Some("\"x\""),
        Some("1"),
        Some("null"),
        Some("true"),
        Some("[]"),
        Some("2"),
        Some("3"),
        Some("0.10"),
    ];
    let address = [
        None,
        Some("10.0.0.1"),
        Some("10.0.0.1/32"),
        Some("::1/128"),
        Some("::1"),
        Some("192.168.0.0/16"),
        Some("zzz"),
        Some("1"),
        Some("10.0.0.2/32"),
        Some("10.0.0.3/32"),
        Some("10.0.0.4/32"),
        Some(""),
    ];
    let moments = || Arc::new(TimestampMicrosecondArray::from(moment.to_vec())) as ArrayRef;
    let bytes: [Option<&[u8]>; 12] = [
        None,
        Some(b""),
        Some(b"\0"),
        Some(b"\xff"),
        Some(b"a"),
        Some(b"ab"),
        Some(b"\\"),
        Some(b"'"),
        Some(b"b"),
        Some(b"c"),
        Some(b"\x00\x01"),
        Some(b"\""),
    ];
    let decimal_type = |precision, scale| ColumnType::Decimal { precision, scale };
    let columns: Vec<(&str, ColumnType, ArrayRef)> = vec![
        ("id", ColumnType::Int, Arc::new((0..12).map(Some).collect::<Int32Array>())),
        ("i2", ColumnType::Int, int(32_767)),
        ("l", ColumnType::Long, Arc::new(Int64Array::from(long.to_vec()))),
        ("small", decimal_type(20, 3), decimal(thousandths.clone(), 20, 3)),
        ("d", decimal_type(15, 3), decimal(thousandths, 15, 3)),
        ("whole", ColumnType::Long, Arc::new(Int64Array::from(long.to_vec()))),
        ("f", ColumnType::Double, Arc::new(Float64Array::from(double.to_vec()))),
        ("r", ColumnType::Double, Arc::new(Float64Array::from(real.to_vec()))),
        ("t", ColumnType::String, texts(text)),
        ("c", ColumnType::String, texts(text)),
        ("v", ColumnType::String, texts(text)),
        ("u", ColumnType::Uuid, texts(uuid)),
        ("day", ColumnType::Date, Arc::new(Date32Array::from(day.to_vec()))),
        ("at", ColumnType::Datetime, moments()),
        ("tz", ColumnType::Datetime, moments()),
        ("tm", ColumnType::Time, Arc::new(Time64MicrosecondArray::from(time.to_vec()))),
        (
            "b",
            ColumnType::Bool,
            Arc::new((0..12).map(|at| (at % 3 > 0).then_some(at % 3 == 1)).collect::<BooleanArray>()),
        ),
        ("bin", ColumnType::Binary, Arc::new(BinaryArray::from(bytes.to_vec()))),
        ("j", ColumnType::Json, texts(json)),
        ("ip", ColumnType::String, texts(address)),
    ];
    let fields: Vec<_> = columns.iter().map(|(name, kind, _)| arrow_field(name, *kind)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, _, values)| values).collect())
        .unwrap()
}

/// A table of combinations of values, as texts that PostgreSQL takes; what it does not take is NULL there.
async fn table(base: &Base) -> Arc<dyn Source> {
    base.run(&format!("CREATE TABLE many ({TABLE})")).await;
    let pool = pool();
    let names: Vec<String> = pool.schema().fields().iter().map(|field| field.name().clone()).collect();
    for (name, values) in names.iter().zip(pool.columns()) {
        for at in 0..pool.num_rows() {
            let value = crate::base::literal(values, at);
            let sql = format!("INSERT INTO many (\"{name}\") VALUES ({value})");
            // Not every value to look for is one PostgreSQL has.
            drop(base.client.batch_execute(&sql).await);
        }
    }
    // Combinations of the values that it has.
    let mut picked = Vec::new();
    for (step, name) in names.iter().enumerate() {
        let values =
            format!("array_agg(\"{name}\" ORDER BY md5(\"{name}\"::text)) FILTER (WHERE \"{name}\" IS NOT NULL)");
        picked.push(format!(
            "(SELECT {values} FROM many)[CASE WHEN (g * {} + {step}) % 11 = 0 THEN NULL ELSE 1 + (g * {} / 3) % 8 END] AS \"{name}\"",
            step + 1,
            step + 2
        ));
    }
    let sql = format!("CREATE TABLE rows AS SELECT {} FROM generate_series(1, 300) g", picked.join(", "));
    base.run(&sql).await;
    let renamed: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    base.run(&format!("INSERT INTO many ({}) SELECT * FROM rows", renamed.join(", "))).await;
    base.source("many", Some(pool.schema())).await.unwrap()
}

fn chosen(pool: &RecordBatch, columns: &[usize], rows: &[Vec<usize>]) -> RecordBatch {
    let values = columns.iter().enumerate().map(|(place, column)| {
        let at: UInt32Array = rows.iter().map(|row| u32::try_from(row[place]).ok()).collect();
        take(pool.column(*column), &at, None).unwrap()
    });
    let values: Vec<ArrayRef> = values.collect();
    RecordBatch::try_new(Arc::new(pool.schema().project(columns).unwrap()), values).unwrap()
}

fn sorted(rows: &RecordBatch) -> Vec<String> {
    let text = |row| {
        let cells = rows.columns().iter().map(|column| {
            use arrow::array::Array as _;
            if column.is_null(row) { "NULL".to_owned() } else { crate::base::literal(column, row) }
        });
        cells.collect::<Vec<_>>().join("|")
    };
    let mut texts: Vec<String> = (0..rows.num_rows()).map(text).collect();
    texts.sort();
    texts
}

fn agree(base_name: &str, source: &Arc<dyn Source>, all: &RecordBatch, runtime: &tokio::runtime::Handle, cases: u32) {
    let pool = pool();
    let width = pool.num_columns();
    let columns = prop::sample::subsequence((0..width).collect::<Vec<_>>(), 1..4).prop_shuffle();
    let strategy = columns.prop_flat_map(|columns| {
        let row = prop::collection::vec(0_usize..12, columns.len());
        (Just(columns), prop::collection::vec(row, 1..6), any::<bool>(), any::<bool>())
    });
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&strategy, |(columns, rows, one_of, inclusive)| {
        let filter = if one_of {
            Filter::OneOf(chosen(&pool, &columns, &rows))
        } else {
            Filter::From { row: chosen(&pool, &columns, &rows[..1]), inclusive }
        };
        let wanted = filter_record_batch(all, &filter.holds(all).unwrap()).unwrap();
        let scan = Scan { filter: vec![filter], ..Scan::default() };
        let found = runtime.block_on(crate::base::read(&**source, scan)).unwrap();
        let found = concat_batches(&all.schema(), found.iter().map(|batch| &batch.rows)).unwrap();
        prop_assert_eq!(sorted(&found), sorted(&wanted), "{}", base_name);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_keeps_the_rows_the_engine_would_keep() {
    let Some(base) = Base::new().await else { return };
    let source = table(&base).await;
    let all = rows(&*source, Scan::default()).await;
    assert!(all.num_rows() > 400, "{}", all.num_rows());
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || agree("all types", &source, &all, &runtime, 300)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_compare_by_their_bytes_whatever_the_order_of_the_database() {
    let Some(base) = Base::new().await else { return };
    base.run("CREATE COLLATION loose (provider = icu, locale = 'ru-u-ks-level1', deterministic = false)").await;
    base.run("CREATE TABLE words (id int4, t text COLLATE loose); INSERT INTO words VALUES (1, 'a'), (2, 'A'), (3, 'ё'), (4, 'е'), (5, 'Я')").await;
    let source = base.source("words", None).await.unwrap();
    let all = rows(&*source, Scan::default()).await;
    for at in 0..all.num_rows() {
        let row = all.slice(at, 1).project(&[1]).unwrap();
        let filters = [
            Filter::OneOf(row.clone()),
            Filter::From { row: row.clone(), inclusive: true },
            Filter::From { row, inclusive: false },
        ];
        for filter in filters {
            let wanted = filter_record_batch(&all, &filter.holds(&all).unwrap()).unwrap();
            let found = rows(&*source, Scan { filter: vec![filter], ..Scan::default() }).await;
            assert_eq!(sorted(&found), sorted(&wanted));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_and_a_key_are_found_by_their_index() {
    let Some(base) = Base::new().await else { return };
    base.run(
        "CREATE TABLE sales AS SELECT g::int8 AS id, timestamptz '2024-01-01' + g * interval '1 second' AS at, 'n' || g AS number \
         FROM generate_series(1, 50000) g; CREATE INDEX ON sales (at, id); CREATE INDEX ON sales (number); ANALYZE sales; \
         CREATE TABLE log (query text)",
    )
    .await;
    let source = base.source("sales", None).await.unwrap();
    let all = rows(&*source, Scan::default()).await;
    let last = all.slice(49_990, 1);
    let position = Filter::From { row: last.project(&[1, 0]).unwrap(), inclusive: false };
    let keys = Filter::OneOf(all.slice(100, 5).project(&[2]).unwrap());
    for (filter, count) in [(position, 9), (keys, 5)] {
        let scanned =
            "SELECT seq_scan || '' FROM pg_stat_user_tables WHERE relname = 'sales' AND schemaname = current_schema()";
        let flushed = async || {
            // Statistics arrive when sessions end.
            tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
            base.run("SELECT pg_stat_clear_snapshot()").await;
            base.texts(scanned).await
        };
        let before = flushed().await;
        let found = rows(&*source, Scan { filter: vec![filter], ..Scan::default() }).await;
        assert_eq!(found.num_rows(), count);
        assert_eq!(flushed().await, before, "the table was read through");
    }
}
