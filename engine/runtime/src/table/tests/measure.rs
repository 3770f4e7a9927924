//! What look-ups and scans cost: printed, not asserted. Rows: `OBMEN_MEASURE_ROWS` when it is built, or a million.
//!
//! `cargo test --workspace --locked --release --lib measure::costs -- --ignored --nocapture`

use super::*;
use arrow::array::Decimal128Array;
use std::ops::Range;
use std::time::Instant;

const CHUNK: u64 = 8192;

/// Ascending over the whole range, with steps that look random.
fn key(n: u64, rows: u64) -> Hash {
    let step = Hash::MAX / Hash::from(rows + 1);
    Hash::from(n) * step + Hash::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % step
}

fn ten_columns() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let price = |name: &str| Field::new(name, DataType::Decimal128(15, 2), true);
    Arc::new(Schema::new(vec![
        text("id"),
        text("sku"),
        text("name"),
        text("currency"),
        text("warehouse"),
        price("price"),
        price("quantity"),
        Field::new("owner", DataType::Int64, true),
        Field::new("changed", DataType::Int64, true),
        Field::new("flags", DataType::Int64, true),
    ]))
}

fn chunk(numbers: Range<u64>, rows: u64) -> RecordBatch {
    let numbers = || numbers.clone();
    let mixed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let text =
        |of: &dyn Fn(u64) -> String| Arc::new(numbers().map(|n| Some(of(n))).collect::<StringArray>()) as ArrayRef;
    let price = |most: u64| {
        let values = numbers().map(|n| Some(i128::from(mixed(n) % most))).collect::<Decimal128Array>();
        Arc::new(values.with_precision_and_scale(15, 2).unwrap()) as ArrayRef
    };
    let long = |of: &dyn Fn(u64) -> u64| {
        Arc::new(numbers().map(|n| Some(of(n).cast_signed())).collect::<Int64Array>()) as ArrayRef
    };
    let keys: Vec<Hash> = numbers().map(|n| key(n, rows)).collect();
    let hashes: Vec<Hash> = numbers().map(|n| (u128::from(mixed(n)) * 7) << 50).collect();
    let mut fields = baseline_fields();
    fields.extend(ten_columns().fields().iter().map(|field| field.as_ref().clone()));
    let columns = vec![
        hash_array(&keys),
        hash_array(&hashes),
        long(&|_| 1),
        Arc::new(numbers().map(|n| Some(n % 50 == 0)).collect::<BooleanArray>()) as ArrayRef,
        long(&|n| n % 20),
        long(&|n| n % 90),
        text(&|n| format!("{:08x}-{:04x}-4000-8000-{:012x}", mixed(n) >> 32, n % 65536, mixed(n) >> 17)),
        text(&|n| format!("ART-{:07}", mixed(n) % 9_999_999)),
        text(&|n| format!("Товар номер {} красный, {} мм", mixed(n) % 99_999, n % 300)),
        text(&|n| ["RUB", "KZT", "EUR"][usize::try_from(n % 3).unwrap()].to_owned()),
        text(&|n| format!("Склад {}", n % 12)),
        price(1_000_000),
        price(500_000),
        long(&|n| mixed(n) % (1 + n / 20)),
        long(&|n| 1_700_000_000_000_000 + mixed(n) % 10_000_000_000),
        long(&|n| n % 4),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Resident memory now and at most, where the system says so.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    format!("{} {}", of("VmRSS"), of("VmHWM")).replace('\t', " ")
}

/// Time on the processor, where the system says so: other programs do not change it.
fn processor_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = |at: usize| stat.split(' ').nth(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    (ticks(13) + ticks(14)) * 10
}

fn measured<T>(what: &str, rows: u64, body: impl FnOnce() -> T) -> T {
    let (start, processor) = (Instant::now(), processor_ms());
    let result = body();
    let (took, processor) = (start.elapsed(), processor_ms() - processor);
    let each = processor * 1_000_000 / rows;
    eprintln!("{what:40} {:8.1} ms, CPU {processor:6} ms {each:7} ns each, {}", took.as_secs_f64() * 1e3, memory());
    result
}

#[test]
#[ignore = "measures"]
fn costs() {
    let rows: u64 = option_env!("OBMEN_MEASURE_ROWS").and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let (state, scope) = open(folder.path(), Durability::Scratch);
    measured("write", rows, || {
        let mut writer =
            FileWriter::create(folder.path(), "baseline/big.parquet", chunk(0..0, 1).schema(), Durability::Scratch)
                .unwrap();
        let mut at = 0;
        while at < rows {
            let some = CHUNK.min(rows - at);
            writer.write(&chunk(at..at + some, rows)).unwrap();
            at += some;
        }
        let rows = writer.finish().unwrap();
        state.add_segment(scope, "baseline/big.parquet", rows, &[]).unwrap();
    });
    let bytes = std::fs::metadata(folder.path().join("baseline/big.parquet")).unwrap().len();
    eprintln!("{bytes} bytes, {} a row", bytes / rows);
    let baseline = measured("open", 1, || Baseline::open(&state, scope).unwrap());
    let mut keys: Vec<Hash> = (0..1000_u64).map(|n| key(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % rows, rows)).collect();
    keys.sort_unstable();
    keys.dedup();
    let known = measured("find 1000, first", 1000, || baseline.find(&keys).unwrap());
    assert_eq!(known.len(), keys.len());
    measured("find 1000, again", 1000, || baseline.find(&keys).unwrap());
    measured("values of 1000", 1000, || baseline.values(&known, &ten_columns()).unwrap());
    measured("values of 1000, again", 1000, || baseline.values(&known, &ten_columns()).unwrap());
    measured("cursor below, 64 ranges", rows, || {
        let mut cursor = baseline.cursor().unwrap();
        let ranges = (1..64).map(|n: u128| Some(n << 122)).chain([None]);
        ranges.map(|limit| cursor.below(limit).unwrap().len()).sum::<usize>()
    });
    measured("cursor and values, 8192 at a time", rows, || {
        let mut cursor = baseline.cursor().unwrap();
        loop {
            let known = cursor.take(8192).unwrap();
            if known.is_empty() {
                break;
            }
            baseline.values(&known, &ten_columns()).unwrap();
        }
    });
    measured("scan of all columns", rows, || {
        let schema = chunk(0..0, 1).schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        baseline.files[0].1.scan(&names).unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>()
    });
    let work = state.work_folder().unwrap();
    let columns = ["owner".to_owned()];
    let mut wanted: Vec<Hash> = (0..100_i64)
        .map(|n| {
            let array: ArrayRef = Arc::new(Int64Array::from(vec![n * 37]));
            hash_keys(&RecordBatch::try_from_iter([("owner", array)]).unwrap(), &columns).unwrap()[0]
        })
        .collect();
    wanted.sort_unstable();
    for what in ["by one column of 100, makes the index", "by one column of 100"] {
        let found =
            measured(what, rows, || baseline.by_columns(&state, &columns, &wanted, 16 << 20, work.path()).unwrap());
        eprintln!("{} found", found.len());
    }
    let small: BTreeMap<Hash, Row> = (0..rows / 1000).map(|n| (key(n * 1000, rows) + 1, some("x"))).collect();
    commit(&state, scope, 2, &small).unwrap();
    let both = Baseline::open(&state, scope).unwrap();
    measured("cursor of two files", rows, || {
        let mut cursor = both.cursor().unwrap();
        while !cursor.take(100_000).unwrap().is_empty() {}
    });
    measured("find 1000 in two files", 1000, || both.find(&keys).unwrap());
}
