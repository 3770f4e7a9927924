//! Every type, written and read back, in every format; and real files.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use obmen_formats::{Format, Reading, csv, json, parquet};
use obmen_sdk::{BadRow, types};
use obmen_spec::ColumnType;
use proptest::prelude::*;
use std::io::Cursor;
use std::sync::Arc;

const TYPES: [(&str, &str); 12] = [
    ("text", "string"),
    ("truth", "bool"),
    ("small", "int"),
    ("large", "long"),
    ("цена", "decimal(38,9)"),
    ("rough", "double"),
    ("day", "date"),
    ("hour", "time"),
    ("moment", "datetime"),
    ("id", "uuid"),
    ("nested", "json"),
    ("bytes", "binary"),
];

fn schema() -> SchemaRef {
    let fields = TYPES.map(|(name, kind)| types::arrow_field(name, ColumnType::parse(kind).unwrap()));
    Arc::new(arrow::datatypes::Schema::new(fields.to_vec()))
}

#[derive(Clone, Debug)]
struct Row {
    text: Option<String>,
    truth: Option<bool>,
    small: Option<i32>,
    large: Option<i64>,
    price: Option<i128>,
    rough: Option<f64>,
    day: Option<i32>,
    hour: Option<i64>,
    moment: Option<i64>,
    id: Option<u128>,
    nested: Option<String>,
    bytes: Option<Vec<u8>>,
}

/// Days and microseconds between the years 1 and 9999.
const DAYS: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = prop_oneof!["[a-zа-я \";,\n\r\t'{}\\\\]{1,12}", Just("NULL".to_owned()), Just(" ".to_owned())];
    let nested =
        prop_oneof![Just("[1,{\"a\":null}]"), Just("\"text\""), Just("12345678901234567890.10"), Just("{\"ключ\":[]}")];
    let first = (
        proptest::option::of(text),
        proptest::option::of(any::<bool>()),
        proptest::option::of(any::<i32>()),
        proptest::option::of(any::<i64>()),
        proptest::option::of(any::<i128>().prop_map(|value| value % 10_i128.pow(38))),
        proptest::option::of(any::<f64>().prop_filter("JSON has no other numbers", |value| value.is_finite())),
    );
    let second = (
        proptest::option::of(DAYS),
        proptest::option::of(0..86_400_000_000_i64),
        proptest::option::of(
            (DAYS, 0..86_400_000_000_i64).prop_map(|(day, micros)| i64::from(day) * 86_400_000_000 + micros),
        ),
        proptest::option::of(any::<u128>()),
        proptest::option::of(nested.prop_map(str::to_owned)),
        proptest::option::of(proptest::collection::vec(any::<u8>(), 1..9)),
    );
    let row = (first, second).prop_map(
        |((text, truth, small, large, price, rough), (day, hour, moment, id, nested, bytes))| Row {
            text,
            truth,
            small,
            large,
            price,
            rough,
            day,
            hour,
            moment,
            id,
            nested,
            bytes,
        },
    );
    proptest::collection::vec(row, 0..20)
}

fn batch(rows: &[Row]) -> RecordBatch {
    let uuid = |id: u128| {
        let part = |from: u32, digits: u32| (id >> (4 * (32 - from - digits))) & ((1 << (4 * digits)) - 1);
        format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", part(0, 8), part(8, 4), part(12, 4), part(16, 4), part(20, 12))
    };
    let prices: Decimal128Array = rows.iter().map(|row| row.price).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.text.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.truth).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.small).collect::<Int32Array>()),
        Arc::new(rows.iter().map(|row| row.large).collect::<Int64Array>()),
        Arc::new(prices.with_precision_and_scale(38, 9).unwrap()),
        Arc::new(rows.iter().map(|row| row.rough).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.day).collect::<Date32Array>()),
        Arc::new(rows.iter().map(|row| row.hour).collect::<Time64MicrosecondArray>()),
        Arc::new(rows.iter().map(|row| row.moment).collect::<TimestampMicrosecondArray>()),
        Arc::new(rows.iter().map(|row| row.id.map(uuid)).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.nested.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.bytes.clone()).collect::<BinaryArray>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn format(json: &str) -> Format {
    serde_json::from_str(json).unwrap()
}

/// All good rows together, and the bad ones.
fn collect(
    schema: &SchemaRef,
    read: impl FnOnce(Reading<'_>, &mut obmen_formats::Emit<'_>) -> obmen_sdk::Result<()>,
) -> (RecordBatch, Vec<BadRow>) {
    let (mut batches, mut bad) = (Vec::new(), Vec::new());
    let reading = Reading { file: "x", schema, columns: None, batch_rows: 3 };
    read(reading, &mut |batch| {
        assert!(batch.rows.num_rows() <= 3);
        batches.push(batch.rows);
        bad.extend(batch.bad);
        Ok(())
    })
    .unwrap();
    (concat_batches(schema, &batches).unwrap(), bad)
}

fn through_csv(batch: &RecordBatch, format: &Format) -> RecordBatch {
    let style = format.csv("x.csv");
    let mut writer = csv::Writer::new(Vec::new(), style.clone(), &[], &batch.schema()).unwrap();
    for row in 0..batch.num_rows() {
        writer.row(&[], batch, row).unwrap().unwrap();
    }
    let bytes = writer.finish().unwrap();
    let (rows, bad) = collect(&batch.schema(), |reading, emit| csv::read(Cursor::new(bytes), reading, &style, emit));
    assert_eq!(bad, []);
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn csv_gives_back_what_was_written(rows in rows()) {
        let batch = batch(&rows);
        for settings in [
            "{}",
            r#"{"preset":"excel_ru"}"#,
            r#"{"delimiter":"tab","encoding":"utf-8-bom","nulls":["NULL"," "]}"#,
            r#"{"quote":"'","decimal":",","delimiter":"|","date":"d/m/yyyy"}"#,
        ] {
            prop_assert_eq!(&through_csv(&batch, &format(settings)), &batch);
        }
    }

    #[test]
    fn json_lines_and_lists_give_back_what_was_written(rows in rows()) {
        let batch = batch(&rows);
        let mut writer = json::Writer::new(Vec::new());
        for row in 0..batch.num_rows() {
            writer.row(&batch, row).unwrap().unwrap();
        }
        let lines = writer.finish().unwrap();
        let style = Format::default().json();
        let (read, bad) = collect(&batch.schema(), |reading, emit| json::read(lines.as_slice(), reading, &json::Layout::Lines, &style, emit));
        prop_assert_eq!(bad, []);
        prop_assert_eq!(&read, &batch);
        let list = String::from_utf8(lines).unwrap().lines().collect::<Vec<_>>().join(",\n");
        let list = format!("{{\"n\": 1, \"data\": {{\"items\": [{list}]}}}}");
        let layout = json::Layout::list(Some("data.items"));
        let (read, _) = collect(&batch.schema(), |reading, emit| json::read(list.as_bytes(), reading, &layout, &style, emit));
        prop_assert_eq!(&read, &batch);
    }

    #[test]
    fn parquet_gives_back_what_was_written(rows in rows()) {
        let batch = batch(&rows);
        let mut writer = parquet::Writer::new(Vec::new(), batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        let bytes = bytes::Bytes::from(writer.finish().unwrap());
        prop_assert_eq!(parquet::schema(bytes.clone(), "x").unwrap(), batch.schema());
        let (read, _) = collect(&batch.schema(), |reading, emit| parquet::read(bytes, reading, emit));
        prop_assert_eq!(&read, &batch);
    }

    #[test]
    fn nothing_makes_a_reader_panic(bytes: Vec<u8>) {
        let schema = schema();
        let reading = Reading { file: "x", schema: &schema, columns: Some(&[0, 4]), batch_rows: 2 };
        for settings in ["{}", r#"{"preset":"excel_ru"}"#, r#"{"encoding":"utf-16","quote":"none"}"#] {
            let style = format(settings).csv("x.csv");
            drop(csv::read(Cursor::new(bytes.clone()), reading, &style, &mut |_| Ok(())));
            drop(csv::schema(Cursor::new(bytes.clone()), "x", &style));
        }
        let style = Format::default().json();
        for layout in [json::Layout::Lines, json::Layout::list(None), json::Layout::list(Some("a"))] {
            drop(json::read(bytes.as_slice(), reading, &layout, &style, &mut |_| Ok(())));
            drop(json::schema(bytes.as_slice(), "x", &layout));
        }
        prop_assert!(parquet::schema(bytes::Bytes::from(bytes), "x").is_err());
    }
}
