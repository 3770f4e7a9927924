//! Every type, its NULL and its extremes; what cannot be read exactly is said, and never rounded.

use crate::base::{Base, read, rows};
use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{DataType, Decimal128Type, Int32Type, Int64Type, Schema};
use arrow::util::display::array_value_to_string;
use obmen_sdk::types::{arrow_field, column_type};
use obmen_sdk::{ErrorKind, Scan, SourceTarget};
use obmen_spec::ColumnType;
use std::sync::Arc;

/// A type, a value as a literal, the declared type it gets by itself, and what it becomes.
const VALUES: &[(&str, &str, &str, &str)] = &[
    ("bool", "true", "bool", "true"),
    ("int2", "-32768", "int", "-32768"),
    ("int4", "2147483647", "int", "2147483647"),
    ("int8", "-9223372036854775808", "long", "-9223372036854775808"),
    ("oid", "4294967295", "long", "4294967295"),
    ("float4", "0.5", "double", "0.5"),
    ("float8", "1.7976931348623157e308", "double", "1.7976931348623157e308"),
    ("float8", "NaN", "double", "NaN"),
    ("float8", "-0", "double", "0.0"),
    ("numeric(12,2)", "-9999999999.99", "decimal(12,2)", "-9999999999.99"),
    (
        "numeric(38,38)",
        "0.00000000000000000000000000000000000001",
        "decimal(38,38)",
        "0.00000000000000000000000000000000000001",
    ),
    (
        "numeric(38,0)",
        "99999999999999999999999999999999999999",
        "decimal(38,0)",
        "99999999999999999999999999999999999999",
    ),
    ("numeric(5,-2)", "1234500", "decimal(7,0)", "1234500"),
    ("numeric", "1234567890123456789012345678.0123456789", "decimal(38,10)", "1234567890123456789012345678.0123456789"),
    ("numeric", "0.10", "decimal(38,10)", "0.1000000000"),
    ("text", "«ёлка» 'x'\\", "string", "«ёлка» 'x'\\"),
    ("text", "", "string", ""),
    ("varchar(3)", "абв", "string", "абв"),
    ("char(5)", "аб", "string", "аб"),
    ("name", "имя", "string", "имя"),
    ("mood", "так себе", "string", "так себе"),
    ("uuid", "7B0E5A1C-0100-4000-8000-000000000001", "uuid", "7b0e5a1c-0100-4000-8000-000000000001"),
    ("json", "{\"a\":  [1.50]}", "json", "{\"a\":  [1.50]}"),
    ("jsonb", "{\"b\":1,\"a\":1.50}", "json", "{\"a\": 1.50, \"b\": 1}"),
    ("date", "0001-01-01", "date", "0001-01-01"),
    ("date", "9999-12-31", "date", "9999-12-31"),
    ("time", "23:59:59.999999", "time", "23:59:59.999999"),
    ("timestamp", "9999-12-31 23:59:59.999999", "datetime", "9999-12-31T23:59:59.999999"),
    ("timestamp", "2024-03-31 02:30:00", "datetime", "2024-03-31T02:30:00"),
    ("timestamptz", "2024-03-31 02:30:00+03", "datetime", "2024-03-30T23:30:00"),
    ("bytea", "\\x00ff", "binary", "00ff"),
    ("positive", "7", "int", "7"),
    ("price", "12.30", "decimal(12,2)", "12.30"),
    ("int4[]", "{1,NULL,3}", "string", "{1,NULL,3}"),
    ("text[]", "{\"a b\",c}", "string", "{\"a b\",c}"),
    ("inet", "10.0.0.1/8", "string", "10.0.0.1/8"),
    ("interval", "1 day 02:00", "string", "1 day 02:00:00"),
    ("timetz", "10:00:00+03", "string", "10:00:00+03"),
    ("tstzrange", "[2024-01-01 00:00+03,)", "string", "[\"2023-12-31 21:00:00+00\",)"),
    ("bit(3)", "101", "string", "101"),
    ("xml", "<a/>", "string", "<a/>"),
    ("point", "(1,2)", "string", "(1,2)"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_comes_exactly() {
    let Some(base) = Base::new().await else { return };
    base.run(
        "CREATE TYPE mood AS ENUM ('хорошо', 'так себе'); CREATE DOMAIN positive AS int4 CHECK (VALUE > 0); \
         CREATE DOMAIN price AS numeric(12,2) NOT NULL",
    )
    .await;
    for (at, (kind, text, declared, becomes)) in VALUES.iter().enumerate() {
        let (nullable, value) = (*kind != "price", text.replace('\'', "''"));
        base.run(&format!("CREATE TABLE t{at} (v {kind}); INSERT INTO t{at} VALUES ('{value}')")).await;
        if nullable {
            base.run(&format!("INSERT INTO t{at} VALUES (NULL)")).await;
        }
        let source = base.source(&format!("t{at}"), None).await.unwrap();
        let schema = source.schema();
        assert_eq!(column_type(schema.field(0)).unwrap().to_string(), *declared, "{kind}");
        let rows = rows(&*source, Scan::default()).await;
        let column = rows.column(0);
        let shown = match column.data_type() {
            DataType::Float64 => format!("{:?}", column.as_primitive::<arrow::datatypes::Float64Type>().value(0)),
            _ => array_value_to_string(column, 0).unwrap(),
        };
        assert_eq!(shown, becomes.replace("1.7976931348623157e308", &format!("{:?}", f64::MAX)), "{kind}");
        assert_eq!((rows.num_rows(), column.null_count()), if nullable { (2, 1) } else { (1, 0) }, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_without_a_place_makes_its_row_bad_and_no_other() {
    let Some(base) = Base::new().await else { return };
    let decimal = ColumnType::Decimal { precision: 6, scale: 2 };
    for (kind, column, value, reason) in [
        ("numeric", decimal, "0.001", "more than 2 digits after the point"),
        ("numeric", decimal, "10000", "more than 4 digits before the point"),
        ("numeric", decimal, "NaN", "NaN"),
        ("numeric", decimal, "-Infinity", "infinite"),
        ("date", ColumnType::Date, "infinity", "infinite"),
        ("date", ColumnType::Date, "0044-03-15 BC", "years 1 to 9999"),
        ("timestamptz", ColumnType::Datetime, "-infinity", "infinite"),
        ("timestamp", ColumnType::Datetime, "10000-01-01", "years 1 to 9999"),
        ("time", ColumnType::Time, "24:00", "24:00"),
    ] {
        base.run(&format!("DROP TABLE IF EXISTS t; CREATE TABLE t (id int4, v {kind}); INSERT INTO t VALUES (1, NULL), (2, '{value}'), (3, NULL)")).await;
        let schema = Arc::new(Schema::new(vec![arrow_field("id", ColumnType::Int), arrow_field("v", column)]));
        let target = SourceTarget { key: vec!["id".to_owned()], ..base.source_target("t", Some(schema)) };
        let source = base.connect("").source(target).await.unwrap();
        let batches = read(&*source, Scan::default()).await.unwrap();
        let [batch] = &batches[..] else { panic!("{batches:?}") };
        assert_eq!(batch.rows.column(0).as_primitive::<Int32Type>().values().to_vec(), [1, 3], "{kind} {value}");
        assert_eq!(
            (batch.bad[0].place.clone(), batch.bad[0].column.as_deref()),
            (format!("{}.t, id 2", base.schema), Some("v"))
        );
        assert!(batch.bad[0].reason.contains(reason), "{:?}", batch.bad);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declared_types_are_checked_before_a_row_is_read() {
    let Some(base) = Base::new().await else { return };
    base.run("CREATE TABLE t (id int8, sum numeric(12,4), name text, fee money, small int2)").await;
    let source = async |columns: &[(&str, ColumnType)]| {
        let fields: Vec<_> = columns.iter().map(|(name, kind)| arrow_field(name, *kind)).collect();
        base.source("t", Some(Arc::new(Schema::new(fields)))).await
    };
    let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
    let wrong =
        [("id", ColumnType::Int), ("sum", decimal(12, 2)), ("nane", ColumnType::String), ("fee", ColumnType::String)];
    let error = source(&wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    for part in
        ["`id` does not fit", "declare `long`", "declare `decimal(12,4)`", "did you mean `name`?", "amount::numeric"]
    {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    assert!(base.source("t", None).await.unwrap_err().to_string().contains("`fee`: `money` depends"));
    base.run("INSERT INTO t VALUES (5, 1.5, 'x', '1', 3)").await;
    let wider = source(&[("id", decimal(20, 1)), ("sum", decimal(20, 6)), ("small", ColumnType::Long)]).await.unwrap();
    let rows = rows(&*wider, Scan::default()).await;
    assert_eq!(rows.column(0).as_primitive::<Decimal128Type>().value(0), 50);
    assert_eq!(rows.column(1).as_primitive::<Decimal128Type>().value(0), 1_500_000);
    assert_eq!(rows.column(2).as_primitive::<Int64Type>().value(0), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_read_in_a_transaction_that_cannot_write() {
    let Some(base) = Base::new().await else { return };
    base.run("CREATE TABLE t (id int4); INSERT INTO t VALUES (1); CREATE FUNCTION w() RETURNS int4 LANGUAGE sql SET search_path FROM CURRENT AS 'INSERT INTO t VALUES (2) RETURNING id'").await;
    let query = format!("SELECT id, count(*) AS n FROM {}.t GROUP BY 1; -- a comment", base.schema);
    let query = query.replace("; --", " --");
    let source = base.query(&query, "").await.unwrap();
    assert_eq!(rows(&*source, Scan::default()).await.num_rows(), 1);
    let writing = base.query(&format!("SELECT {0}.w() AS id FROM {0}.t", base.schema), "").await.unwrap();
    let error = read(&*writing, Scan::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    let wrong = base.query("SELEKT 1", "").await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::InvalidData, "{wrong:?}");
    let twice = base.query("SELECT 1 AS id, 2 AS id", "").await.unwrap_err();
    assert!(twice.to_string().contains("two columns `id`"), "{twice}");
}
