//! Sessions as a run uses them: places of mistakes, conditions, streams, memory.

use super::place::tests::sql;
use super::*;
use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, StringArray, UInt64Array};
use arrow::datatypes::{DataType, TimeUnit};
use obmen_diagnostics::Severity;
use obmen_sdk::ErrorKind;
use std::time::Instant;

fn options(memory: usize) -> Options {
    let now = DateTime::parse_from_rfc3339("2026-11-22T10:00:00Z").unwrap().to_utc();
    Options { memory, spill: std::env::temp_dir(), now, threads: 2, batch_rows: 8192 }
}

fn goods() -> (SchemaRef, RecordBatch) {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("Ref_Key", Arc::new(StringArray::from(vec!["г1", "г2", "г3"]))),
        ("Артикул", Arc::new(StringArray::from(vec![Some("6F9619FF-8B86-D011-B42D-00CF4FC964FF"), None, Some("x")]))),
        ("Цена", Arc::new(Decimal128Array::from(vec![12_990, 5, -1]).with_data_type(DataType::Decimal128(15, 3)))),
        ("Активен", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    (batch.schema(), batch)
}

fn session() -> Sql {
    let mut session = Sql::new(options(64 << 20)).unwrap();
    let (schema, batch) = goods();
    session.add_source("goods", schema, &["Ref_Key".to_owned()], Rows::Memory(vec![batch])).unwrap();
    session
}

/// Mistakes of a step: the marked piece of SQL and the message.
fn mistakes(text: &str) -> Vec<(String, String)> {
    let mut session = session();
    let piece = sql(text);
    let mut problems = Problems::new();
    session.add_step("step", &piece, &mut problems);
    found(&problems, &piece)
}

fn found(problems: &Problems, piece: &SqlText) -> Vec<(String, String)> {
    let start = |place: std::ops::Range<usize>| {
        // The way back from the file: the line the place is on, then the bytes within it.
        let line = piece.lines.iter().rfind(|(_, file)| *file <= place.start).copied().unwrap();
        line.0 + (place.start - line.1)
    };
    let errors = problems.sorted().into_iter().filter(|problem| problem.severity == Severity::Error);
    errors
        .map(|problem| {
            let place = problem.span().unwrap().range();
            let from = start(place.clone());
            let rest = piece.text.get(from..).unwrap();
            let length = rest.find('\n').unwrap_or(rest.len()).min(place.len());
            (rest.get(..length).unwrap().to_owned(), problem.message.clone())
        })
        .collect()
}

#[track_caller]
fn finds(text: &str, expected: &[(&str, &str)]) {
    let found = mistakes(text);
    let found: Vec<(&str, &str)> = found.iter().map(|(place, message)| (place.as_str(), message.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn mistakes_are_found_at_their_places_after_cyrillic_text() {
    finds(
        "SELECT Артикул, Цна,\n       uper(Артикул) AS имя\nFROM goods\nWHERE Активнен AND Цена > $минимум",
        &[
            ("Цна", "there is no column `Цна`"),
            ("uper", "there is no function `uper`"),
            ("Активнен", "there is no column `Активнен`"),
            ("$минимум", "there is no var `минимум`"),
        ],
    );
    finds(
        "SELECT Цена\nFROM товары AS т JOIN goods ON т.x = goods.Ref_Key",
        &[("товары", "there is no relation `товары`")],
    );
    finds("SELECT Цена\n  FROM товары WHERE = 1", &[("=", "expected an expression, found `=`")]);
    finds(
        "SELECT Артикул || 'ё' AS a,\n  upper(Артикул, 2) AS b FROM goods",
        &[("upper(Артикул, 2)", "`upper` does not take 2 arguments")],
    );
    finds("SELECT 'ёлка' AS a, Артикул + 1 AS b FROM goods", &[("Артикул", "`+` does not take string and long")]);
    finds("SELECT 'ёлка' AS a, CAST(Цена AS числo) AS b FROM goods", &[("числo", "unknown type `числo`")]);
}

#[test]
fn mistakes_have_suggestions_and_fixes() {
    let mut session = session();
    let piece = sql("SELECT артикул FROM gods");
    let mut problems = Problems::new();
    assert!(session.add_step("step", &piece, &mut problems).is_none());
    let fixes: Vec<_> = problems.iter().filter_map(|problem| problem.fix.clone()).map(|fix| fix.replacement).collect();
    assert_eq!(fixes, ["goods", "Артикул"]);
}

#[test]
fn what_reads_a_broken_relation_is_silent() {
    let mut session = session();
    let mut problems = Problems::new();
    session.add_broken("source");
    let (first, second) = (sql("SELECT x FROM source"), sql("SELECT y FROM first"));
    assert!(session.add_step("first", &first, &mut problems).is_none());
    assert!(session.add_step("second", &second, &mut problems).is_none());
    assert!(!session.check_condition("second", &sql("y > 0"), &mut problems));
    assert!(problems.is_empty());
    assert!(session.add_step("third", &sql("SELECT x, nofun(y) FROM source"), &mut problems).is_none());
    assert_eq!(problems.iter().count(), 1, "mistakes of its own are reported all the same");
}

#[test]
fn conditions_are_true_or_false() {
    let session = session();
    let wrong = |text: &str| {
        let piece = sql(text);
        let mut problems = Problems::new();
        assert!(!session.check_condition("goods", &piece, &mut problems), "{text}");
        found(&problems, &piece).pop().unwrap()
    };
    let mut problems = Problems::new();
    for right in ["Цена > 0", "goods.Активен", "Артикул IN ('a', 'b') OR Цена IS NULL"] {
        assert!(session.check_condition("goods", &sql(right), &mut problems), "{right}: {problems:?}");
    }
    assert_eq!(
        wrong("Цена + 1"),
        ("Цена + 1".to_owned(), "the condition is a decimal(24,3), expected true or false".to_owned())
    );
    assert_eq!(wrong("Цна > 0").1, "there is no column `Цна`");
    assert_eq!(wrong("sum(Цена) > 0").1, "`sum` computes over many rows; a condition sees one row");
    assert_eq!(
        wrong("row_number() OVER () = 1").1,
        "`row_number … OVER` computes over many rows; a condition sees one row"
    );
    let subquery = wrong("Ref_Key IN (SELECT Ref_Key FROM goods)");
    assert_eq!(
        subquery,
        ("SELECT Ref_Key FROM goods".to_owned(), "a condition sees one row, and no other relation".to_owned())
    );
    assert_eq!(wrong("Цена > 0 Цена").1, "expected EOF, found `Цена`");
    assert_eq!(wrong("Цена > 0; DROP TABLE goods").0, ";");
}

#[tokio::test]
async fn streams_have_flags_and_declared_types() {
    let session = session();
    let flags = vec![("дорого".to_owned(), sql("Цена > 1")), ("активен".to_owned(), sql("Активен"))];
    let query = Query {
        relation: "goods".to_owned(),
        columns: Some(vec!["Цена".to_owned(), "Ref_Key".to_owned()]),
        flags,
        casts: vec![("Цена".to_owned(), ColumnType::Decimal { precision: 20, scale: 4 })],
    };
    let batches: Vec<RecordBatch> = session.stream(query).await.unwrap().try_collect().await.unwrap();
    let batch = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["Цена", "Ref_Key", "дорого", "активен"]);
    assert_eq!(*batch.column(0).data_type(), DataType::Decimal128(20, 4));
    let flags = |at: usize| batch.column(at).as_boolean().iter().map(Option::unwrap).collect::<Vec<bool>>();
    assert_eq!(flags(2), [true, false, false]);
    assert_eq!(flags(3), [true, false, false], "NULL counts as false");
    assert!(batch.schema_ref().fields().iter().all(|field| field.metadata().is_empty()));
}

#[tokio::test]
async fn declared_types_lose_nothing() {
    let session = session();
    let cast = async |column: &str, kind| {
        let query = Query {
            relation: "goods".to_owned(),
            columns: Some(vec![column.to_owned()]),
            casts: vec![(column.to_owned(), kind)],
            ..Query::default()
        };
        session.stream(query).await.unwrap().try_collect::<Vec<_>>().await.map(|_| ()).unwrap_err()
    };
    let error = cast("Цена", ColumnType::Decimal { precision: 15, scale: 2 }).await;
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(
        error.to_string(),
        "`goods`: `Цена` holds `0.005`, which has more than 2 digits after the point in the row Ref_Key=г2"
    );
    let error = cast("Артикул", ColumnType::Uuid).await;
    assert_eq!(
        error.to_string(),
        "`goods`: `Артикул` holds `x`, which is not a value of type `uuid` in the row Ref_Key=г3"
    );
}

#[tokio::test]
async fn conditions_are_evaluated_on_other_rows_in_their_order() {
    let session = session();
    let prices: ArrayRef = Arc::new((0..20_000).map(|n| (n % 7 != 0).then(|| n.to_string())).collect::<StringArray>());
    let rows = RecordBatch::try_from_iter_with_nullable([("Артикул", prices, true)]).unwrap();
    let holds = session.evaluate("goods", &rows, &sql("goods.Артикул LIKE '%3'")).await.unwrap();
    let expected: Vec<bool> = (0..20_000).map(|n| n % 7 != 0 && n % 10 == 3).collect();
    assert_eq!(holds, expected);
    let error = session.evaluate("goods", &rows, &sql("Цена > 0")).await.unwrap_err();
    assert!(error.to_string().contains("there is no column `Цена`"), "{error}");
    let none = session.evaluate("goods", &rows.slice(0, 0), &sql("Артикул = 'x'")).await.unwrap();
    assert_eq!(none, [false; 0]);
}

#[tokio::test]
async fn columns_leave_with_declared_types() {
    let mut session = session();
    let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    let batch = RecordBatch::try_from_iter_with_nullable([("n", numbers, true)]).unwrap();
    session.add_source("wide", batch.schema(), &["n".to_owned()], Rows::Memory(vec![batch])).unwrap();
    let mut problems = Problems::new();
    let schema = session.add_step("narrow", &sql("SELECT n FROM wide"), &mut problems).unwrap();
    assert_eq!(*schema.field(0).data_type(), DataType::Int64);
    let query = || Query { relation: "narrow".to_owned(), ..Query::default() };
    let error = session.stream(query()).await.unwrap().try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`narrow`: `n` holds `18446744073709551615`, which does not fit `long` in the row n=18446744073709551615"
    );
    let text = "SELECT now() AS t, 'x' AS s, NULL AS n, row_number() OVER (ORDER BY n) AS r, md5('x') AS m FROM wide";
    let schema = session.add_step("narrow", &sql(text), &mut problems).unwrap();
    let kinds: Vec<DataType> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
    let micro = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(kinds, [micro, DataType::Utf8, DataType::Utf8, DataType::Int64, DataType::Utf8]);
    let batches: Vec<RecordBatch> = session.stream(query()).await.unwrap().try_collect().await.unwrap();
    assert_eq!(batches[0].schema().fields().len(), 5);
}

/// Rows that are made while they are read.
fn made(rows: i64, columns: SchemaRef) -> Rows {
    Rows::Stream(Arc::new(move |projection| {
        let schema = match &projection {
            Some(columns_read) => Arc::new(columns.project(columns_read)?),
            None => Arc::clone(&columns),
        };
        let batches = (0..rows).step_by(8192).map(move |start| {
            let ids = start..(start + 8192).min(rows);
            let arrays = schema.fields().iter().map(|field| -> ArrayRef {
                match field.data_type() {
                    DataType::Int64 => Arc::new(Int64Array::from_iter_values(ids.clone())),
                    _ => Arc::new(StringArray::from_iter_values(ids.clone().map(|id| format!("текст номер {id}")))),
                }
            });
            Ok(RecordBatch::try_new(Arc::clone(&schema), arrays.collect())?)
        });
        Ok(futures::stream::iter(batches).boxed())
    }))
}

fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("текст", DataType::Utf8, true)]))
}

async fn count(session: &Sql, relation: &str) -> Result<usize> {
    let query = Query { relation: relation.to_owned(), ..Query::default() };
    let mut stream = session.stream(query).await?;
    let mut rows = 0;
    while let Some(batch) = stream.try_next().await? {
        rows += batch.num_rows();
    }
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sorts_and_groups_spill() {
    let spill = tempfile::tempdir().unwrap();
    let mut session = Sql::new(Options { spill: spill.path().to_owned(), ..options(24 << 20) }).unwrap();
    session.add_source("big", columns(), &["id".to_owned()], made(400_000, columns())).unwrap();
    let mut problems = Problems::new();
    session.add_step("grouped", &sql("SELECT текст, count(*) AS c FROM big GROUP BY текст"), &mut problems).unwrap();
    session.add_step("sorted", &sql("SELECT id, текст FROM big ORDER BY текст DESC"), &mut problems).unwrap();
    assert_eq!(count(&session, "grouped").await.unwrap(), 400_000);
    assert_eq!(count(&session, "sorted").await.unwrap(), 400_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exhausted_memory_says_what_to_do() {
    let mut session = Sql::new(options(2 << 20)).unwrap();
    session.add_source("one", columns(), &["id".to_owned()], made(300_000, columns())).unwrap();
    session.add_source("two", columns(), &["id".to_owned()], made(300_000, columns())).unwrap();
    let mut problems = Problems::new();
    let text = "SELECT one.id, two.текст FROM one CROSS JOIN two";
    session.add_step("joined", &sql(text), &mut problems).unwrap();
    let error = count(&session, "joined").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(error.message().starts_with("`joined` needs more memory than `memory:` of obmen.yaml allows"), "{error}");
    assert!(error.message().contains("a cross join"), "{error}");
    assert!(!error.message().contains('\n'), "{error}");
}

#[tokio::test]
async fn a_sources_error_passes_through() {
    let mut session = session();
    let rows = Rows::Stream(Arc::new(|_| {
        let rows = vec![Err(Error::new(ErrorKind::Unavailable, "nobody answers").with("url", "http://x"))];
        Ok(futures::stream::iter(rows).boxed())
    }));
    session.add_source("far", columns(), &[], rows).unwrap();
    let mut problems = Problems::new();
    let text = "SELECT a.id FROM far a JOIN far b ON a.id = b.id JOIN goods ON a.текст = goods.Ref_Key";
    session.add_step("near", &sql(text), &mut problems).unwrap();
    let error = count(&session, "near").await.unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Unavailable, "nobody answers (url http://x)".to_owned()));
}

#[tokio::test]
async fn rows_can_be_counted_without_columns() {
    let mut session = session();
    session.add_source("big", columns(), &["id".to_owned()], made(10_000, columns())).unwrap();
    let mut problems = Problems::new();
    session.add_step("counted", &sql("SELECT count(*) AS c FROM big"), &mut problems).unwrap();
    let query = Query { relation: "counted".to_owned(), ..Query::default() };
    let batches: Vec<RecordBatch> = session.stream(query).await.unwrap().try_collect().await.unwrap();
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 10_000);
}

#[tokio::test]
async fn rows_that_are_not_as_declared_are_a_mistake_of_ours() {
    let mut session = session();
    let (_, batch) = goods();
    session.add_source("liar", columns(), &[], Rows::Memory(vec![batch])).unwrap();
    let error = count(&session, "liar").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().starts_with("`liar` gives other columns than it declared"), "{error}");
}

#[test]
fn a_computed_step_can_be_replaced_by_its_rows() {
    let mut session = session();
    let mut problems = Problems::new();
    session.add_step("one", &sql("SELECT Ref_Key FROM goods"), &mut problems).unwrap();
    session.add_step("two", &sql("SELECT Ref_Key FROM one"), &mut problems).unwrap();
    let schema = session.schema("one").unwrap();
    let rows: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![rows]).unwrap();
    session.add_source("one", schema, &[], Rows::Memory(vec![batch])).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(count(&session, "two")).unwrap(), 1);
}

#[tokio::test]
async fn steps_that_multiply_are_refused_before_they_are_planned() {
    let mut session = session();
    let mut problems = Problems::new();
    session.add_step("s0", &sql("SELECT Ref_Key FROM goods"), &mut problems).unwrap();
    for at in 1..30 {
        let text = format!("SELECT a.Ref_Key FROM s{} a JOIN s{} b ON a.Ref_Key = b.Ref_Key", at - 1, at - 1);
        session.add_step(&format!("s{at}"), &sql(&text), &mut problems).unwrap();
    }
    assert_eq!(count(&session, "s4").await.unwrap(), 3);
    let error = count(&session, "s29").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(error.message().contains("read more than 1000 times"), "{error}");
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let mut session = session();
    let mut warnings = |text: &str| {
        let mut problems = Problems::new();
        assert!(session.add_step("step", &sql(text), &mut problems).is_some(), "{text}: {problems:?}");
        let messages = problems.sorted().into_iter().map(|problem| problem.message.clone());
        messages.collect::<Vec<_>>()
    };
    assert_eq!(warnings("SELECT Цена FROM goods WHERE Артикул = 5"), ["a string is compared with a long"]);
    assert_eq!(
        warnings("SELECT Цена FROM goods WHERE Цена IN ('5', '6')"),
        ["a decimal(15,3) is compared with a string"]
    );
    assert_eq!(
        warnings("SELECT Цена FROM goods UNION ALL SELECT Ref_Key FROM goods"),
        ["`Цена` is a decimal(15,3) in one part of UNION and a string in another"]
    );
    assert_eq!(
        warnings("SELECT Цена FROM goods LIMIT 5"),
        ["`LIMIT` without `ORDER BY` may keep other rows every time"]
    );
    assert_eq!(warnings("SELECT Цена * 2 FROM goods"), ["the column has no name that other steps could use"]);
    assert_eq!(warnings("SELECT Цена * 2 AS x FROM goods WHERE Цена > 5 ORDER BY x LIMIT 5"), [""; 0]);
}

#[test]
fn sessions_are_cheap() {
    drop(session());
    let start = Instant::now();
    for _ in 0..100 {
        drop(session());
    }
    let each = start.elapsed() / 100;
    assert!(each.as_millis() < 50, "{each:?} for a session");
    println!("{each:?} for a session");
}
