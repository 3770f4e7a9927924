//! What is read, in how many requests, and what it proves.

use crate::one_c::{OneC, body, broken, connect, json, list, list_text, node, refusal, serve};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int64Type, SchemaRef};
use futures::TryStreamExt;
use obmen_sdk::{Batch, Connection, ErrorKind, Result, Scan, Snapshot, SourceTarget, types};
use obmen_spec::ColumnType;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) const GOODS: &str = "Catalog_Товары";

/// Declared columns.
pub(crate) fn columns(declared: &[(&str, &str)]) -> SchemaRef {
    let field = |(name, kind): &(&str, &str)| types::arrow_field(name, ColumnType::parse(kind).unwrap());
    Arc::new(arrow::datatypes::Schema::new(declared.iter().map(field).collect::<Vec<_>>()))
}

/// A source of an entity.
pub(crate) fn target(entity: &str, declared: &[(&str, &str)], key: &[&str]) -> SourceTarget {
    SourceTarget {
        name: "rows".to_owned(),
        entity: entity.to_owned(),
        columns: (!declared.is_empty()).then(|| columns(declared)),
        key: key.iter().map(|column| (*column).to_owned()).collect(),
        inbox: None,
        options: node("{}"),
    }
}

pub(crate) fn goods() -> SourceTarget {
    target(GOODS, &[("Ref_Key", "uuid"), ("Вес", "long")], &["Ref_Key"])
}

pub(crate) async fn read(connection: &Arc<dyn Connection>, target: SourceTarget) -> Result<Vec<Batch>> {
    let source = connection.source(target).await?;
    source.read(Scan { batch_rows: 16, ..Scan::default() }).await?.try_collect().await
}

fn guid(number: usize) -> String {
    format!("00000000-0000-0000-0000-{number:012x}")
}

fn good(number: usize) -> String {
    format!(
        r#"{{"Ref_Key":"{}","DataVersion":"AAA=","Вес":"{number}","Реквизиты":[{{"LineNumber":"1"}}]}}"#,
        guid(number)
    )
}

fn some_goods(count: usize) -> Vec<String> {
    (1..=count).map(good).collect()
}

/// The weights of all rows.
fn weights(batches: &[Batch]) -> Vec<i64> {
    assert!(batches.iter().all(|batch| batch.bad.is_empty()), "{batches:?}");
    batches.iter().flat_map(|batch| batch.rows.column(1).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn numbers(count: i64) -> Vec<i64> {
    (1..=count).collect()
}

fn exact(batches: &[Batch]) -> Option<bool> {
    let (last, others) = batches.split_last()?;
    assert!(others.iter().all(|batch| batch.exact.is_none()));
    last.exact
}

const SMALL_PAGES: &str = "first_page_rows: 10\npage_rows: 40\n";

#[tokio::test]
async fn pages_follow_each_other_in_a_total_order() {
    let base = OneC::plain(GOODS, some_goods(100));
    let connection = connect(&serve(&base).await, SMALL_PAGES);
    let source = connection.source(goods()).await.unwrap();
    assert_eq!(source.abilities().snapshot, Snapshot::Approximate);
    let batches = read(&connection, goods()).await.unwrap();
    assert_eq!(weights(&batches), numbers(100));
    assert!(batches.iter().all(|batch| batch.rows.num_rows() <= 16));
    assert_eq!(exact(&batches), None, "rows of several pages prove nothing");
    let asked = base.asked();
    let pages: Vec<_> = asked.iter().map(|ask| (ask.number("$top"), ask.number("$skip"))).collect();
    assert_eq!(pages, [(Some(10), None), (Some(40), None), (Some(40), Some(40)), (Some(40), Some(80))]);
    for ask in &asked {
        assert_eq!(ask.options["$orderby"], "Ref_Key");
        assert_eq!(ask.options["$select"], "Ref_Key,Вес");
    }
}

#[tokio::test]
async fn what_fits_one_page_is_one_state_of_the_base() {
    for (count, requests) in [(0, 1), (9, 1), (10, 2), (39, 2)] {
        let base = OneC::plain(GOODS, some_goods(count));
        let connection = connect(&serve(&base).await, SMALL_PAGES);
        let batches = read(&connection, goods()).await.unwrap();
        assert_eq!(weights(&batches).len(), count);
        assert_eq!(exact(&batches), Some(true), "{count} rows");
        assert_eq!(base.asked().len(), requests, "{count} rows");
    }
}

#[tokio::test]
async fn a_section_is_ordered_by_its_whole_key() {
    let rows = vec![format!(r#"{{"Ref_Key":"{}","LineNumber":"1","Количество":1.5}}"#, guid(1))];
    let base = OneC::plain("Document_Заказ_Товары", rows);
    let connection = connect(&serve(&base).await, "");
    let target = target("Document_Заказ_Товары", &[("Количество", "decimal(15,3)")], &[]);
    let batches = read(&connection, target).await.unwrap();
    assert_eq!(batches[0].rows.column(0).as_primitive::<Decimal128Type>().value(0), 1500);
    assert_eq!(base.asked()[0].options["$orderby"], "Ref_Key,LineNumber");
    assert_eq!(base.asked()[0].options["$select"], "Количество,Ref_Key,LineNumber");
}

#[tokio::test]
async fn rows_that_move_to_the_next_page_come_once() {
    let base = OneC::new(GOODS, some_goods(100), |base, ask| {
        // Somebody adds rows before those that were read.
        if ask.number("$skip").is_some() {
            base.rows.lock().unwrap().get_mut(GOODS).unwrap().insert(0, good(900 + ask.turn));
        }
        None
    });
    let connection = connect(&serve(&base).await, SMALL_PAGES);
    let batches = read(&connection, goods()).await.unwrap();
    assert_eq!(weights(&batches), numbers(100));
    assert_eq!(exact(&batches), None);
}

#[tokio::test]
async fn pages_that_are_too_large_for_the_server_shrink_for_good() {
    let base = OneC::new(GOODS, some_goods(100), |_, ask| {
        let large = ask.number("$top").is_some_and(|top| top > 16);
        large.then(|| refusal(500, "-1", "Недостаточно памяти для получения результата запроса к базе данных"))
    });
    let connection = connect(&serve(&base).await, SMALL_PAGES);
    assert_eq!(weights(&read(&connection, goods()).await.unwrap()), numbers(100));
    let tops: Vec<usize> = base.asked().iter().map(|ask| ask.number("$top").unwrap()).collect();
    assert_eq!(tops[..4], [10, 40, 20, 10]);
    for (at, top) in tops.iter().enumerate() {
        let failed = tops[..at].iter().filter(|size| **size > 16).min();
        assert!(failed.is_none_or(|failed| top < failed), "{tops:?}");
    }
}

#[tokio::test]
async fn answers_over_the_limit_are_broken_off_and_asked_for_in_smaller_pages() {
    let rows = (1..=40).map(|at| {
        format!(
            r#"{{"Ref_Key":"{}","Вес":"{at}","Description":"{}"}}"#,
            guid(at),
            "x".repeat(if at > 10 { 2000 } else { 1 })
        )
    });
    let base = OneC::plain(GOODS, rows.collect());
    let connection = connect(&serve(&base).await, "first_page_rows: 10\npage_bytes: 8KB\npage_bytes_max: 16KB\n");
    let mut target = goods();
    target.columns = Some(columns(&[("Ref_Key", "uuid"), ("Вес", "long"), ("Description", "string")]));
    assert_eq!(weights(&read(&connection, target).await.unwrap()), numbers(40));
}

#[tokio::test]
async fn a_page_that_breaks_in_the_middle_comes_once_again() {
    let faults: [fn(&[String]) -> axum::response::Response; 4] = [
        |rows| json(list_text(rows).split_at(900).0),
        |rows| broken(&list_text(rows), 900),
        |_| body(200, "text/html", "<html><head><title>Идёт обслуживание</title></head></html>"),
        |_| json("{\"Ref_Key\":\"1\"}"),
    ];
    for (at, fault) in faults.into_iter().enumerate() {
        let broke = AtomicUsize::new(0);
        let base = OneC::new(GOODS, some_goods(100), move |_, ask| {
            let now = ask.number("$skip") == Some(40) && broke.fetch_add(1, Ordering::SeqCst) == 0;
            now.then(|| fault(&some_goods(80)[40..]))
        });
        let connection = connect(&serve(&base).await, SMALL_PAGES);
        let batches = read(&connection, goods()).await.unwrap_or_else(|error| panic!("{at}: {error:?}"));
        assert_eq!(weights(&batches), numbers(100), "{at}");
    }
}

#[tokio::test]
async fn a_server_that_ignores_skip_or_top_is_noticed() {
    let base = OneC::new(GOODS, Vec::new(), |_, ask| Some(list(&some_goods(ask.number("$top")?))));
    let error = read(&connect(&serve(&base).await, SMALL_PAGES), goods()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("ignores `$skip`"), "{error}");
    let base = OneC::new(GOODS, Vec::new(), |_, ask| ask.number("$top").map(|_| list(&some_goods(50))));
    let error = read(&connect(&serve(&base).await, SMALL_PAGES), goods()).await.unwrap_err();
    assert!(error.to_string().contains("ignores `$top`"), "{error}");
}

#[tokio::test]
async fn values_are_those_of_1c() {
    let row = r#"{"Ref_Key":"9D5C4222-8C4C-11DB-A9B0-00055D49B45E","Code":"00001   ","Description":"Гвозди  ","Родитель_Key":"00000000-0000-0000-0000-000000000000",
            "Цена":12345678901234567890123456.789012345678,"Вес":"9007199254740993","Порядок":7,"Создан":"0001-01-01T00:00:00","Основание":"","Основание_Type":"StandardODATA.Undefined",
            "DeletionMark":false,"DataVersion":"AAAAAQAAAAA=","ValueType":{"Types":["String"]},"Реквизиты":[{"LineNumber":"1","Сумма":1.10}],"Картинка_Base64Data":"AQID","Родитель@navigationLinkUrl":"x"}"#;
    let base = OneC::plain(GOODS, vec![row.to_owned()]);
    let connection = connect(&serve(&base).await, "");
    let declared = [
        ("Ref_Key", "uuid"),
        ("Code", "string"),
        ("Description", "string"),
        ("Родитель_Key", "uuid"),
        ("Цена", "decimal(38,12)"),
        ("Вес", "long"),
        ("Порядок", "int"),
        ("Создан", "datetime"),
        ("Основание", "uuid"),
        ("Основание_Type", "string"),
        ("DeletionMark", "bool"),
        ("Реквизиты", "json"),
        ("ValueType", "json"),
        ("Картинка_Base64Data", "binary"),
    ];
    let batches = read(&connection, target(GOODS, &declared, &["Ref_Key", "Code"])).await.unwrap();
    assert!(batches[0].bad.is_empty(), "{:?}", batches[0].bad);
    let rows: &RecordBatch = &batches[0].rows;
    let text = |name: &str| rows.column_by_name(name).unwrap().as_string::<i32>().value(0).to_owned();
    assert_eq!(text("Ref_Key"), "9d5c4222-8c4c-11db-a9b0-00055d49b45e");
    assert_eq!((text("Code"), text("Description")), ("00001".to_owned(), "Гвозди  ".to_owned()));
    let price = rows.column_by_name("Цена").unwrap().as_primitive::<Decimal128Type>().value(0);
    assert_eq!(price, 12_345_678_901_234_567_890_123_456_789_012_345_678);
    assert_eq!(rows.column_by_name("Вес").unwrap().as_primitive::<Int64Type>().value(0), 9_007_199_254_740_993);
    assert_eq!(text("Реквизиты"), r#"[{"LineNumber":"1","Сумма":1.10}]"#);
    for empty in ["Родитель_Key", "Создан", "Основание"] {
        assert!(rows.column_by_name(empty).unwrap().is_null(0), "{empty}");
    }
}

#[tokio::test]
async fn without_declared_columns_all_cheap_properties_are_read() {
    let connection = connect(&serve(&OneC::plain(GOODS, Vec::new())).await, "");
    let source = connection.source(target(GOODS, &[], &["Ref_Key"])).await.unwrap();
    let names: Vec<String> = source.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names.len(), 13, "{names:?}");
    for skipped in ["Картинка", "Картинка_Base64Data", "Реквизиты"] {
        assert!(!names.iter().any(|name| name == skipped));
    }
}

#[tokio::test]
async fn a_row_that_does_not_fit_is_bad_and_the_others_come() {
    let mut rows = some_goods(20);
    rows[6] = format!(r#"{{"Ref_Key":"{}","Вес":7.5}}"#, guid(7));
    let connection = connect(&serve(&OneC::plain(GOODS, rows)).await, "");
    let batches = read(&connection, goods()).await.unwrap();
    let bad: Vec<_> = batches.iter().flat_map(|batch| &batch.bad).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].place, format!("Catalog_Товары row 7 (Ref_Key={})", guid(7)));
    assert_eq!(bad[0].column.as_deref(), Some("Вес"));
    assert_eq!(batches.iter().map(|batch| batch.rows.num_rows()).sum::<usize>(), 19);
}

#[tokio::test]
async fn only_the_wanted_columns_are_asked_for() {
    let base = OneC::plain(GOODS, some_goods(3));
    let connection = connect(&serve(&base).await, "");
    let source = connection.source(goods()).await.unwrap();
    let scan = Scan { columns: Some(vec![1]), ..Scan::default() };
    let batches: Vec<Batch> = source.read(scan).await.unwrap().try_collect().await.unwrap();
    assert_eq!(batches[0].rows.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
    assert_eq!(base.asked()[0].options["$select"], "Вес,Ref_Key");
}

#[tokio::test]
async fn a_virtual_table_comes_in_one_request_and_is_one_state_of_the_base() {
    let name = "AccumulationRegister_Запасы/Balance()";
    let row =
        |at: usize| format!(r#"{{"Товар_Key":"{}","Склад_Key":"{}","КоличествоBalance":{at}.5}}"#, guid(at), guid(0));
    let base = OneC::plain(name, (1..=200).map(row).collect());
    let declared = [("Товар_Key", "uuid"), ("Склад_Key", "uuid"), ("КоличествоBalance", "decimal(15,3)")];
    let mut target = target("AccumulationRegister_Запасы/Balance", &declared, &["Товар_Key", "Склад_Key"]);
    target.options = node("parameters: { Period: 2024-01-31, Condition: \"Товар_Key ne guid'0'\" }");
    // Held whole, and flowing.
    for more in ["", "page_bytes: 1KB\n"] {
        base.log.lock().unwrap().clear();
        let connection = connect(&serve(&base).await, more);
        assert_eq!(connection.source(target.clone()).await.unwrap().abilities().snapshot, Snapshot::Exact);
        let batches = read(&connection, target.clone()).await.unwrap();
        assert_eq!(batches.iter().map(|batch| batch.rows.num_rows()).sum::<usize>(), 200);
        assert_eq!(exact(&batches), Some(true));
        let store = batches[0].rows.column(1).as_string::<i32>();
        assert_eq!(store.value(0), guid(0), "an empty part of a key is a value");
        let [ask] = &base.asked()[..] else { panic!("{:?}", base.asked()) };
        assert_eq!(ask.options["Period"], "datetime'2024-01-31T00:00:00'");
        assert_eq!(ask.options["Condition"], "'Товар_Key ne guid''0'''");
        for absent in ["$top", "$skip", "$orderby"] {
            assert!(!ask.options.contains_key(absent));
        }
    }
}

#[tokio::test]
async fn a_virtual_table_is_asked_of_the_set_that_has_it() {
    let base = OneC::plain("AccumulationRegister_Запасы_RecordType/SliceLast()", Vec::new());
    let connection = connect(&serve(&base).await, "");
    let target = target("AccumulationRegister_Запасы/SliceLast", &[("Количество", "double")], &[]);
    assert_eq!(exact(&read(&connection, target).await.unwrap()), Some(true));
}

#[tokio::test]
async fn record_sets_are_read_without_an_order() {
    let row = r#"{"Recorder":"a","Recorder_Type":"StandardODATA.Document_Заказ","RecordSet":[{"LineNumber":"1"}]}"#;
    let base = OneC::plain("AccumulationRegister_Запасы", vec![row.to_owned()]);
    let connection = connect(&serve(&base).await, "");
    let target = target("AccumulationRegister_Запасы", &[("Recorder", "string"), ("RecordSet", "json")], &["Recorder"]);
    let batches = read(&connection, target).await.unwrap();
    assert_eq!(batches[0].rows.column(1).as_string::<i32>().value(0), r#"[{"LineNumber":"1"}]"#);
    assert!(!base.asked()[0].options.contains_key("$orderby"));
}

#[tokio::test]
async fn two_reads_at_a_time_take_turns_without_blocking_each_other() {
    let base = OneC::plain(GOODS, some_goods(100));
    let connection = connect(&serve(&base).await, SMALL_PAGES);
    let source = connection.source(goods()).await.unwrap();
    let mut one = source.read(Scan::default()).await.unwrap();
    let mut other = source.read(Scan::default()).await.unwrap();
    // The reader of one waits with a batch in hand while the other is read to its end.
    assert!(one.try_next().await.unwrap().is_some());
    let rest: Vec<Batch> = (&mut other).try_collect().await.unwrap();
    assert_eq!(weights(&rest), numbers(100));
    let metadata = base.log.lock().unwrap().iter().filter(|ask| ask.path == "$metadata").count();
    assert_eq!(metadata, 1, "asked once per connection");
}
