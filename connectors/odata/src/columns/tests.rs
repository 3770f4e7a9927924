//! Rows as 1C writes them become the values they were.

use super::*;
use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Int64Type, Schema};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, TimeDelta};
use obmen_sdk::types::arrow_field;
use proptest::prelude::*;

fn columns(declared: &[(&str, &str)], identity: &[&str]) -> Arc<Columns> {
    let kinds: Vec<ColumnType> = declared.iter().map(|(_, kind)| ColumnType::parse(kind).unwrap()).collect();
    let fields: Vec<_> = declared.iter().zip(&kinds).map(|((name, _), kind)| arrow_field(name, *kind)).collect();
    let readings =
        kinds.iter().map(|kind| Reading { kind: *kind, keep_empty: false, trim: false, exact: false }).collect();
    let identity: Vec<String> = identity.iter().map(|name| (*name).to_owned()).collect();
    Arc::new(Columns::new(Arc::new(Schema::new(fields)), readings, &identity))
}

fn table(columns: &Arc<Columns>, rows: &[&str], batch_rows: usize) -> Vec<Batch> {
    let mut table = Table::new(Arc::clone(columns), batch_rows);
    let mut seen = std::collections::HashSet::new();
    for (at, row) in rows.iter().enumerate() {
        table.push(row.as_bytes(), &format!("X row {}", at + 1), |hash| seen.insert(hash)).unwrap();
    }
    table.finish().unwrap()
}

#[test]
fn a_bad_row_leaves_nothing_behind_and_names_itself() {
    let columns = columns(&[("Ref_Key", "string"), ("Вес", "long"), ("Имя", "string")], &["Ref_Key", "Номер"]);
    let rows = [
        r#"{"Ref_Key":"a","Номер":"1","Вес":"5","Имя":"x","Лишнее":{"Вес":[1]}}"#,
        r#"{"Ref_Key":"a","Номер":"2","Вес":"пять","Имя":"y"}"#,
        r#"{"Ref_Key":"b","Вес":"7","Имя":"z"}"#,
        r#"{"Ref_Key":"b","Номер":3,"Вес":"7"}"#,
        "{\"Ref_Key\":\"\u{1}\"}",
        r#"{"Ref_Key":"c","Номер":1,"Номер":2}"#,
        r#"["a"]"#,
        r#"{"Имя":null,"Вес":"8","Номер":"9","Ref_Key":"d"}"#,
    ];
    let batches = table(&columns, &rows, 100);
    let [batch] = &batches[..] else { panic!("{batches:?}") };
    assert_eq!(batch.rows.column(1).as_primitive::<Int64Type>().values(), &[5, 8]);
    let bad: Vec<(&str, Option<&str>, &str)> =
        batch.bad.iter().map(|bad| (bad.place.as_str(), bad.column.as_deref(), bad.reason.as_str())).collect();
    assert_eq!(bad[0], ("X row 2 (Ref_Key=a, Номер=2)", Some("Вес"), "a text where a number belongs"));
    assert_eq!(bad[1], ("X row 3 (Ref_Key=b, Номер missing)", Some("Номер"), NO_VALUE));
    assert_eq!(bad[2], ("X row 4 (Ref_Key=b, Номер=3)", Some("Имя"), NO_VALUE));
    assert_eq!((bad[3].0, bad[4].0, bad[5].0), ("X row 5", "X row 6", "X row 7"));
    assert!(bad[3].2.starts_with("the row is not a JSON object"), "{}", bad[3].2);
}

#[test]
fn rows_of_one_identity_are_kept_once() {
    let columns = columns(&[("a", "string")], &["a", "b"]);
    let rows = [
        r#"{"a":"1","b":"2"}"#,
        r#"{"a":"12","b":""}"#,
        r#"{"a":"1","b":"2"}"#,
        r#"{"b":"2","a":"1"}"#,
        r#"{"a":"","b":"12"}"#,
    ];
    let batches = table(&columns, &rows, 2);
    assert_eq!(batches.iter().map(|batch| batch.rows.num_rows()).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn there_is_always_a_last_batch() {
    let columns = columns(&[("a", "string")], &[]);
    assert_eq!(table(&columns, &[], 10).len(), 1);
    assert_eq!(table(&columns, &[r#"{"a":"1"}"#, r#"{"a":"2"}"#], 1).len(), 2);
}

/// A row with a column of every type.
#[derive(Clone, Debug)]
struct Typed {
    text: Option<String>,
    truth: Option<bool>,
    int: Option<i32>,
    long: Option<i64>,
    decimal: Option<i128>,
    double: Option<f64>,
    day: Option<i32>,
    time: Option<i64>,
    moment: Option<i64>,
    uuid: Option<u128>,
    bytes: Option<Vec<u8>>,
}

/// Digits after the point of the generated decimals.
const SCALE: usize = 7;
/// The first second of year 1, in seconds since 1970.
const YEAR_ONE: i64 = -62_135_596_800;
/// The last second of year 3999, the last one of 1C.
const LAST: i64 = 64_060_588_799;

fn typed() -> impl Strategy<Value = Typed> {
    let wide = 10i128.pow(38) - 1;
    let first = (
        any::<Option<String>>(),
        any::<Option<bool>>(),
        any::<Option<i32>>(),
        any::<Option<i64>>(),
        prop::option::of(-wide..=wide),
        prop::option::of(prop::num::f64::NORMAL | prop::num::f64::ZERO),
    );
    let second = (
        prop::option::of(-719_161i32..=741_441),
        prop::option::of(1i64..86_400),
        prop::option::of(YEAR_ONE + 1..=LAST),
        prop::option::of(1..=u128::MAX),
        any::<Option<Vec<u8>>>(),
    );
    (first, second).prop_map(|((text, truth, int, long, decimal, double), (day, time, moment, uuid, bytes))| Typed {
        text,
        truth,
        int,
        long,
        decimal,
        double,
        day,
        time: time.map(|seconds| seconds * 1_000_000),
        moment: moment.map(|seconds| seconds * 1_000_000),
        uuid,
        bytes,
    })
}

fn uuid(value: u128) -> String {
    let part = |from: u32, bits: u32| (value >> from) & ((1 << bits) - 1);
    let (first, second, third, fourth, fifth) = (part(96, 32), part(80, 16), part(64, 16), part(48, 16), part(0, 48));
    format!("{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{fifth:012x}")
}

fn stamp(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap().naive_utc().format("%Y-%m-%dT%H:%M:%S").to_string()
}

fn or_null(value: Option<String>) -> String {
    value.unwrap_or_else(|| "null".to_owned())
}

impl Typed {
    /// The row as 1C would write it.
    fn json(&self) -> String {
        let quoted = |text: String| serde_json::to_string(&text).unwrap();
        let decimal = self.decimal.map(|value| {
            let digits = format!("{:0width$}", value.unsigned_abs(), width = SCALE + 1);
            let (whole, fraction) = digits.split_at(digits.len() - SCALE);
            format!("{}{whole}.{fraction}", if value < 0 { "-" } else { "" })
        });
        let day = self.day.map(|days| {
            let day = NaiveDate::default() + TimeDelta::days(i64::from(days));
            quoted(day.format("%Y-%m-%dT00:00:00").to_string())
        });
        let fields = [
            ("text", self.text.clone().map(quoted)),
            ("truth", self.truth.map(|truth| truth.to_string())),
            ("int", self.int.map(|int| int.to_string())),
            ("long", self.long.map(|long| quoted(long.to_string()))),
            ("decimal", decimal),
            ("double", self.double.map(|double| format!("{double}"))),
            ("day", day),
            ("time", self.time.map(|micros| quoted(stamp(YEAR_ONE + micros / 1_000_000)))),
            ("moment", self.moment.map(|micros| quoted(stamp(micros / 1_000_000)))),
            ("uuid", self.uuid.map(|value| quoted(uuid(value).to_ascii_uppercase()))),
            ("bytes", self.bytes.as_ref().map(|bytes| quoted(STANDARD.encode(bytes)))),
        ];
        let parts: Vec<String> =
            fields.into_iter().map(|(name, value)| format!("\"{name}\":{}", or_null(value))).collect();
        format!("{{{}}}", parts.join(","))
    }
}

const DECLARED: [(&str, &str); 11] = [
    ("text", "string"),
    ("truth", "bool"),
    ("int", "int"),
    ("long", "long"),
    ("decimal", "decimal(38,7)"),
    ("double", "double"),
    ("day", "date"),
    ("time", "time"),
    ("moment", "datetime"),
    ("uuid", "uuid"),
    ("bytes", "binary"),
];

proptest! {
    #[test]
    fn typed_rows_come_back_exactly(rows in prop::collection::vec(typed(), 1..20)) {
        let columns = columns(&DECLARED, &[]);
        let texts: Vec<String> = rows.iter().map(Typed::json).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let batches = table(&columns, &texts, 1000);
        prop_assert_eq!(batches.len(), 1);
        let batch = &batches[0];
        prop_assert!(batch.bad.is_empty(), "{:?}", batch.bad);
        let decimals = rows.iter().map(|row| row.decimal).collect::<Decimal128Array>();
        let expected: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| row.text.as_deref()).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.truth).collect::<BooleanArray>()),
            Arc::new(rows.iter().map(|row| row.int).collect::<Int32Array>()),
            Arc::new(rows.iter().map(|row| row.long).collect::<Int64Array>()),
            Arc::new(decimals.with_precision_and_scale(38, 7).unwrap()),
            Arc::new(rows.iter().map(|row| row.double).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|row| row.day).collect::<Date32Array>()),
            Arc::new(rows.iter().map(|row| row.time).collect::<Time64MicrosecondArray>()),
            Arc::new(rows.iter().map(|row| row.moment).collect::<TimestampMicrosecondArray>()),
            Arc::new(rows.iter().map(|row| row.uuid.map(uuid)).collect::<StringArray>()),
            Arc::new(rows.iter().map(|row| row.bytes.as_deref()).collect::<BinaryArray>()),
        ];
        for (found, expected) in batch.rows.columns().iter().zip(&expected) {
            prop_assert_eq!(found.to_data(), expected.to_data());
        }
    }
}
