//! Files in object stores and on web servers.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod desk;

use arrow::array::{ArrayRef, AsArray as _, Int32Array, StringArray};
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use desk::{Desk, node, read, source};
use obmen_diagnostics::Problems;
use obmen_files::Files;
use obmen_formats::parquet;
use obmen_sdk::types::arrow_field;
use obmen_sdk::{
    Changes, Connection, Connector as _, Cursor, ErrorKind, LoadId, Op, Outcome, RejectClass, RowId, SinkTarget,
    Source, SourceTarget,
};
use obmen_spec::ColumnType;
use obmen_testkit::moto;
use obmen_testkit::store::{self, Fault, Method, Store};
use std::sync::Arc;

const CSV: &str = "id,name\n1,a\n2,b\n";

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![arrow_field("id", ColumnType::Int), arrow_field("name", ColumnType::String)]))
}

fn rows(count: i32, name: &str) -> RecordBatch {
    let ids: ArrayRef = Arc::new((1..=count).map(Some).collect::<Int32Array>());
    let names: ArrayRef = Arc::new((1..=count).map(|_| Some(name)).collect::<StringArray>());
    RecordBatch::try_new(schema(), vec![ids, names]).unwrap()
}

/// The names that were read.
async fn names(source: &dyn Source) -> obmen_sdk::Result<Vec<String>> {
    let batches = read(source, 2).await?;
    let column = |batch: &obmen_sdk::Batch| {
        let at = batch.rows.schema().index_of("name").unwrap();
        batch.rows.column(at).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    Ok(batches.iter().flat_map(column).collect())
}

fn opened(store: &Store) -> (Desk, Arc<dyn Connection>) {
    let desk = Desk::new();
    let connection = desk.open(&store.settings("good", "")).unwrap();
    (desk, connection)
}

async fn deliver(connection: &dyn Connection, load: &str, rows: &RecordBatch) -> Outcome {
    let target = SinkTarget { key: vec!["id".to_owned()], schema: rows.schema(), ..desk::sink("goods") };
    let sink = connection.sink(vec![target]).await.unwrap();
    let mut load = sink.begin(&LoadId(load.to_owned())).await.unwrap();
    let ids = (0..).take(rows.num_rows()).map(RowId).collect();
    let ops = vec![Op::Create; rows.num_rows()];
    let changes = Changes { target: 0, ids, ops, rows: rows.clone(), old: rows.clone(), unchanged: None };
    let mut settled = load.send(&changes).await.unwrap();
    settled.extend(load.finish().await.unwrap());
    assert_eq!(settled.len(), rows.num_rows());
    settled.pop().unwrap().1
}

#[tokio::test]
async fn entities_are_found_as_in_a_folder() {
    let store = Store::start().await;
    for name in ["trade/goods.csv", "trade/day-1.csv", "trade/day-2.csv", "trade/sub/цены [1].csv", "other/x.csv"] {
        store.write(name, CSV).await;
    }
    let (_desk, connection) = opened(&store);
    for (entity, count) in [("goods", 2), ("day-*.csv", 4), ("sub/цены [1]", 2)] {
        assert_eq!(names(&*connection.source(source(entity)).await.unwrap()).await.unwrap().len(), count, "{entity}");
    }
    let entities = connection.entities().await.unwrap();
    assert_eq!(entities, ["day-1", "day-2", "goods", "sub/цены [1]"]);
    let error = connection.source(source("good")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("did you mean `goods`?"), "{error}");
    assert!(connection.check().await.unwrap().contains("3 files in s3://127.0.0.1"));
    let identity = connection.identity();
    assert_eq!(identity, format!("s3://{}/bucket/trade", store.address.trim_start_matches("http://")));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again_from_there() {
    let store = Store::start().await;
    let text: String =
        std::iter::once("id,name\n".to_owned()).chain((0..9000).map(|n| format!("{n},n{n}\n"))).collect();
    store.write("trade/goods.csv", &text).await;
    let (_desk, connection) = opened(&store);
    let source = connection.source(SourceTarget { columns: Some(schema()), ..source("goods") }).await.unwrap();
    // These two are for the list, the others for the object.
    store.fail(Method::GET, Fault::Status(500, None), 1);
    store.fail(Method::GET, Fault::Passes, 1);
    store.fail(Method::GET, Fault::Cut(10_000), 2);
    store.fail(Method::GET, Fault::Status(503, Some(0)), 1);
    let read = names(&*source).await.unwrap();
    assert_eq!(read, (0..9000).map(|n| format!("n{n}")).collect::<Vec<_>>());
    assert!(store.log().iter().any(|line| line.starts_with("GET trade/goods.csv bytes=")), "{:?}", store.log());
}

#[tokio::test]
async fn a_store_that_falls_silent_is_a_timeout() {
    let store = Store::start().await;
    store.write("trade/goods.csv", CSV).await;
    let desk = Desk::new();
    let settings = store.settings("good", "").replace("timeout: 30s, retries: 2", "timeout: 1s, retries: 0");
    let connection = desk.open(&settings).unwrap();
    let source = connection.source(SourceTarget { columns: Some(schema()), ..source("goods") }).await.unwrap();
    store.fail(Method::HEAD, Fault::Silent, 1);
    assert_eq!(names(&*source).await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn an_object_that_changes_while_it_is_read_is_a_conflict_and_no_mixture() {
    let store = Store::start().await;
    let big: String = std::iter::once("id,name\n".to_owned()).chain((0..9000).map(|n| format!("{n},n{n}\n"))).collect();
    store.write("trade/goods.csv", &big).await;
    let (_desk, connection) = opened(&store);
    let source = connection.source(SourceTarget { columns: Some(schema()), ..source("goods") }).await.unwrap();
    // The list passes, the first answer is cut after rows were handed over, and then it is another object.
    store.fail(Method::GET, Fault::Passes, 1);
    store.fail(Method::GET, Fault::Cut(60_000), 1);
    store.fail(Method::GET, Fault::ChangedBefore, 1);
    let error = names(&*source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    // It is read as it is now by the next run.
    assert_eq!(names(&*source).await.unwrap(), ["other"]);
}

#[tokio::test]
async fn parquet_is_read_by_ranges_and_a_change_between_them_is_seen() {
    let store = Store::start().await;
    let mut writer = parquet::Writer::new(Vec::new(), schema()).unwrap();
    let texts: Vec<String> = (0..300_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let ids: ArrayRef = Arc::new((0..300_000).map(Some).collect::<Int32Array>());
    let column: ArrayRef = Arc::new(texts.iter().map(Some).collect::<StringArray>());
    writer.write(&RecordBatch::try_new(schema(), vec![ids, column]).unwrap()).unwrap();
    let bytes = writer.finish().unwrap();
    store.write("trade/goods.parquet", &bytes).await;
    let (_desk, connection) = opened(&store);
    let target = || SourceTarget { columns: Some(schema()), ..source("goods") };
    let source = connection.source(target()).await.unwrap();
    let mut read = Vec::new();
    for batch in desk::read(&*source, 4096).await.unwrap() {
        read.extend(batch.rows.column(1).as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    assert_eq!(read, texts);
    let whole = store.log().iter().any(|line| *line == "GET trade/goods.parquet");
    assert!(!whole, "only ranges are asked for");
    // The list, the footer and the first rows pass.
    store.fail(Method::GET, Fault::Passes, 3);
    store.fail(Method::GET, Fault::ChangedBefore, 1);
    let error = desk::read(&*source, 4096).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
}

#[tokio::test]
async fn refusals_have_the_kinds_of_all_connectors_and_repeat_no_login() {
    let store = Store::start().await;
    store.write("trade/goods.csv", CSV).await;
    let (desk, connection) = opened(&store);
    let source = connection.source(SourceTarget { columns: Some(schema()), ..source("goods") }).await.unwrap();
    let wait = std::time::Duration::from_hours(1);
    for (status, after, kind) in [
        (401, None, ErrorKind::Unauthenticated),
        (403, None, ErrorKind::PermissionDenied),
        (404, None, ErrorKind::NotFound),
        (429, Some(3600), ErrorKind::RateLimited { after: wait }),
        (500, None, ErrorKind::Unavailable),
    ] {
        store.fail(Method::HEAD, Fault::Status(status, after), if status == 500 { 3 } else { 1 });
        let error = names(&*source).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains("bucket/trade/goods.csv"), "{error}");
    }
    let wrong = desk.open(&store.settings("wrong-key", "")).unwrap();
    let error = wrong.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    let seen = format!("{error} {error:?} {wrong:?} {}", wrong.identity());
    assert!(!seen.contains("wrong-key") && !seen.contains("WORD"), "{seen}");
    let dead = desk.open(&store::settings(store::NOWHERE, "good", "")).unwrap();
    assert_eq!(dead.check().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_run_that_stops_asks_for_nothing_more() {
    let store = Store::start().await;
    store.write("trade/goods.csv", CSV).await;
    let (desk, connection) = opened(&store);
    let source = connection.source(SourceTarget { columns: Some(schema()), ..source("goods") }).await.unwrap();
    desk.stop().set();
    let before = store.log().len();
    assert_eq!(names(&*source).await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(store.log().len(), before);
}

#[tokio::test]
async fn a_load_is_one_object_and_the_same_load_again_is_the_same_object() {
    let store = Store::start().await;
    let (_desk, connection) = opened(&store);
    for _ in 0..2 {
        assert_eq!(deliver(&*connection, "1", &rows(2, "мяч")).await, Outcome::acked());
    }
    assert_eq!(store.names().await, ["trade/goods-1.jsonl"]);
    let line = "{\"op\":\"create\",\"key\":{\"id\":1},\"values\":{\"name\":\"мяч\"}}\n";
    assert!(store.text("trade/goods-1.jsonl").await.starts_with(line));
}

#[tokio::test]
async fn a_lost_answer_is_acked_when_our_object_stands_and_unknown_when_not() {
    let store = Store::start().await;
    let desk = Desk::new();
    let settings = store.settings("good", "").replace("timeout: 30s, retries: 2", "timeout: 1s, retries: 0");
    let connection = desk.open(&settings).unwrap();
    store.fail(Method::PUT, Fault::LostAnswer, 1);
    assert_eq!(deliver(&*connection, "1", &rows(1, "a")).await, Outcome::acked());
    store.fail(Method::PUT, Fault::Silent, 1);
    assert!(matches!(deliver(&*connection, "2", &rows(1, "a")).await, Outcome::Unknown { .. }));
    // Another content of the same length under our name is not ours.
    store.write("trade/goods-3.jsonl", "{\"op\":\"create\",\"key\":{\"id\":1},\"values\":{\"name\":\"b\"}}\n").await;
    store.fail(Method::PUT, Fault::Silent, 1);
    assert!(matches!(deliver(&*connection, "3", &rows(1, "a")).await, Outcome::Unknown { .. }));
}

#[tokio::test]
async fn what_is_refused_is_rejected_untouched() {
    let store = Store::start().await;
    let (_desk, connection) = opened(&store);
    store.fail(Method::PUT, Fault::Status(403, None), 1);
    let outcome = deliver(&*connection, "1", &rows(1, "a")).await;
    let forbidden = matches!(outcome, Outcome::Rejected { altered: false, class: RejectClass::Forbidden, .. });
    assert!(forbidden, "{outcome:?}");
    assert!(store.names().await.is_empty());
}

#[tokio::test]
async fn large_objects_go_in_parts_and_what_breaks_off_is_cleared_away() {
    let store = Store::start().await;
    let (_desk, connection) = opened(&store);
    let large = rows(10, &"x".repeat(1 << 20));
    assert_eq!(deliver(&*connection, "1", &large).await, Outcome::acked());
    assert!(store.text("trade/goods-1.jsonl").await.len() > 10 << 20);
    store.fail(Method::PUT, Fault::Status(403, None), 1);
    let outcome = deliver(&*connection, "2", &large).await;
    assert!(matches!(outcome, Outcome::Rejected { altered: false, .. }), "{outcome:?}");
    assert_eq!((store.names().await, store.open_uploads()), (vec!["trade/goods-1.jsonl".to_owned()], 0));
}

fn inbox() -> SourceTarget {
    SourceTarget { columns: Some(schema()), inbox: Some(node("{}")), ..source("*") }
}

async fn take(source: &dyn Source) -> (usize, Option<Cursor>) {
    let batches = read(source, 100).await.unwrap();
    let count = batches.iter().map(|batch| batch.rows.num_rows()).sum();
    (count, batches.into_iter().filter_map(|batch| batch.cursor).next_back())
}

#[tokio::test]
async fn an_inbox_takes_each_object_once_and_survives_a_crash_inside_a_move() {
    let store = Store::start().await;
    store.write("trade/a.csv", CSV).await;
    let (_desk, connection) = opened(&store);
    let source = connection.source(inbox()).await.unwrap();
    let (count, cursor) = take(&*source).await;
    assert_eq!(count, 2);
    source.confirm(&cursor.clone().unwrap()).await.unwrap();
    assert_eq!(store.names().await, ["trade/done/a.csv"]);
    assert_eq!(take(&*source).await, (0, None));
    // As if the run had ended between the copy and the removal.
    store.write("trade/a.csv", CSV).await;
    source.confirm(&cursor.unwrap()).await.unwrap();
    assert_eq!(store.names().await, ["trade/done/a.csv"]);
    store.write("trade/a.csv", CSV).await;
    assert_eq!(take(&*source).await, (0, None));
    assert_eq!(store.names().await, ["trade/done/a.csv"]);
    // Under another name it is a duplicate, and noted.
    store.write("trade/b.csv", CSV).await;
    assert_eq!(take(&*source).await, (0, None));
    assert_eq!(store.names().await, ["trade/done/a.csv", "trade/done/b.csv", "trade/done/b.csv.note.txt"]);
}

#[tokio::test]
async fn a_web_server_is_read_by_name_and_never_written() {
    let store = Store::start().await;
    store.write("files/goods.csv", CSV).await;
    let desk = Desk::new();
    let connection = desk.open(&format!("{{ path: '{}/files', timeout: 2s, retries: 1 }}", store.address)).unwrap();
    for entity in ["goods", "goods.csv"] {
        assert_eq!(names(&*connection.source(source(entity)).await.unwrap()).await.unwrap(), ["a", "b"]);
    }
    assert_eq!(connection.source(source("nowhere")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(connection.source(source("*.csv")).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(connection.source(inbox()).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(connection.sink(vec![]).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(connection.check().await.unwrap().contains("answers"));
}

#[test]
fn settings_that_cannot_be_are_refused_at_once() {
    let mistakes = |settings: &str| {
        let mut problems = Problems::new();
        Files.check(&node(settings), &mut problems);
        problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    assert!(mistakes("{ path: 's3://b/x', user: k, password: '${env:WORD}', region: ru-1 }").is_empty());
    assert!(mistakes("{ path: '${env:WHERE}', region: ru-1 }").is_empty());
    for (settings, expected) in [
        ("{ path: x, region: ru-1 }", "no meaning for a folder"),
        ("{ path: 'ftp://x' }", "`ftp://` is no store"),
        ("{ path: 's3://b', user: k, password: word }", "written out"),
        ("{ path: 's3://b', user: k }", "together"),
        ("{ path: 's3://b', endpoint: 'http://h' }", "allow_http"),
        ("{ path: 'az://b' }", "storage account"),
        ("{ path: 'https://h', region: x }", "web server"),
        ("{ path: 's3://b', timeout: 0s }", "`timeout` is nothing"),
    ] {
        let found = mistakes(settings);
        assert!(found.len() == 1 && found[0].contains(expected), "{settings}: {found:?}");
    }
}

#[tokio::test]
async fn a_real_server_takes_what_is_written_and_gives_it_back() {
    let Some(server) = moto::Server::start().await else {
        println!("skipped: moto_server does not answer");
        return;
    };
    let desk = Desk::new();
    let settings = |more: &str| store::settings(&server.address, "good", more);
    for format in ["jsonl", "csv", "parquet"] {
        let connection = desk.open(&settings(&format!(", format: {format}"))).unwrap();
        assert_eq!(deliver(&*connection, "1", &rows(3, "мяч [1]")).await, Outcome::acked());
        if format != "jsonl" {
            let target = SourceTarget { columns: Some(schema()), ..source("goods-1") };
            assert_eq!(names(&*connection.source(target).await.unwrap()).await.unwrap(), ["мяч [1]"; 3]);
        }
    }
    let connection = desk.open(&settings("")).unwrap();
    assert_eq!(deliver(&*connection, "large", &rows(10, &"x".repeat(1 << 20))).await, Outcome::acked());
    // An inbox: taken, copied away, removed.
    let inbox = SourceTarget { columns: Some(schema()), inbox: Some(node("{}")), ..source("*.csv") };
    let source = connection.source(inbox).await.unwrap();
    let (count, cursor) = take(&*source).await;
    assert_eq!(count, 3);
    source.confirm(&cursor.unwrap()).await.unwrap();
    let mut entities = connection.entities().await.unwrap();
    entities.sort();
    assert_eq!(entities, ["done/goods-1", "goods-1.jsonl", "goods-1.parquet", "goods-large"]);
}
