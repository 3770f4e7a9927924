//! Files that arrive.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod desk;

use arrow::array::AsArray as _;
use arrow::datatypes::{Int32Type, Schema};
use desk::{Desk, node, read, source};
use obmen_sdk::types::arrow_field;
use obmen_sdk::{Cursor, ErrorKind, Source, SourceTarget};
use obmen_spec::ColumnType;
use std::sync::Arc;

fn target(entity: &str, inbox: &str) -> SourceTarget {
    let columns = Some(Arc::new(Schema::new(vec![arrow_field("a", ColumnType::Int)])));
    SourceTarget { columns, inbox: Some(node(inbox)), ..source(entity) }
}

async fn open(desk: &Desk, inbox: &str) -> Arc<dyn Source> {
    desk.connect("{}").source(target("*", inbox)).await.unwrap()
}

/// The numbers that were read, and the last cursor.
async fn take(source: &dyn Source) -> (Vec<i32>, Option<Cursor>) {
    let batches = read(source, 2).await.unwrap();
    let numbers = batches.iter().flat_map(|batch| batch.rows.column(0).as_primitive::<Int32Type>().iter().flatten());
    (numbers.collect(), batches.iter().filter_map(|batch| batch.cursor.clone()).next_back())
}

const NOW: &str = "{ ready_after: 0s }";

#[tokio::test]
async fn a_file_is_read_once_and_moved_when_it_is_confirmed() {
    let desk = Desk::new();
    desk.write("b.csv", "a\n3\n");
    desk.write("a.csv", "a\n1\n2\n");
    let source = open(&desk, NOW).await;
    let (numbers, cursor) = take(&*source).await;
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(desk.names(), ["a.csv", "b.csv"]);
    source.confirm(&cursor.clone().unwrap()).await.unwrap();
    assert_eq!(desk.names(), ["done/a.csv", "done/b.csv"]);
    assert_eq!(take(&*source).await, (vec![], None));
    // The engine confirms again after a crash of its own.
    source.confirm(&cursor.unwrap()).await.unwrap();
    assert_eq!(desk.names(), ["done/a.csv", "done/b.csv"]);
}

#[tokio::test]
async fn what_was_not_confirmed_comes_again() {
    let desk = Desk::new();
    desk.write("a.csv", "a\n1\n");
    let first = take(&*open(&desk, NOW).await).await;
    assert_eq!(take(&*open(&desk, NOW).await).await, first);
}

#[tokio::test]
async fn the_same_content_is_not_read_again() {
    let desk = Desk::new();
    desk.write("a.csv", "a\n1\n");
    desk.write("twin.csv", "a\n1\n");
    let source = open(&desk, NOW).await;
    let (numbers, cursor) = take(&*source).await;
    assert_eq!(numbers, [1]);
    source.confirm(&cursor.unwrap()).await.unwrap();
    assert_eq!(desk.names(), ["done/a.csv", "done/twin.csv", "done/twin.csv.note.txt"]);
    desk.write("again.csv", "a\n1\n");
    assert_eq!(take(&*source).await, (vec![], None));
    assert!(desk.text("done/again.csv.note.txt").contains("content of `a.csv`"));
}

#[tokio::test]
async fn a_crash_between_memory_and_move_loses_and_repeats_nothing() {
    let desk = Desk::new();
    desk.write("a.csv", "a\n1\n");
    let source = open(&desk, NOW).await;
    let (_, cursor) = take(&*source).await;
    let cursor = cursor.unwrap();
    source.confirm(&cursor).await.unwrap();
    // As if the move had not happened.
    std::fs::rename(desk.path("done/a.csv"), desk.path("a.csv")).unwrap();
    source.confirm(&cursor).await.unwrap();
    assert_eq!(desk.names(), ["done/a.csv"]);
    std::fs::rename(desk.path("done/a.csv"), desk.path("a.csv")).unwrap();
    assert_eq!(take(&*source).await, (vec![], None));
    assert_eq!(desk.names(), ["done/a.csv", "done/a.csv.note.txt"]);
}

#[tokio::test]
async fn a_name_may_come_again_with_another_content() {
    let desk = Desk::new();
    let source = open(&desk, NOW).await;
    for number in [1, 2, 3] {
        desk.write("a.csv", format!("a\n{number}\n"));
        let (numbers, cursor) = take(&*source).await;
        assert_eq!(numbers, [number]);
        source.confirm(&cursor.unwrap()).await.unwrap();
    }
    assert_eq!(desk.names(), ["done/a-1.csv", "done/a-2.csv", "done/a.csv"]);
}

#[tokio::test]
async fn a_file_that_changed_after_it_was_read_stays_for_the_next_run() {
    let desk = Desk::new();
    desk.write("a.csv", "a\n1\n");
    let source = open(&desk, NOW).await;
    let (_, cursor) = take(&*source).await;
    desk.write("a.csv", "a\n2\n");
    source.confirm(&cursor.unwrap()).await.unwrap();
    assert_eq!(take(&*source).await.0, [2]);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_put_away_with_a_reason() {
    let desk = Desk::new();
    desk.write("broken.json", "[{\"a\":1},{\"a\":2},{\"a\":3},{\"a\"");
    desk.write("empty.csv", "");
    desk.write("fine.csv", "a\n7\n");
    desk.write("fine.jsonl", "{\"a\":8}\n");
    desk.write("other.csv", "b\n1\n");
    desk.write("x.parquet", "PAR1");
    let source = open(&desk, NOW).await;
    let (numbers, cursor) = take(&*source).await;
    assert_eq!(numbers, [7, 8]);
    source.confirm(&cursor.unwrap()).await.unwrap();
    let expected = [
        "bad/broken.json",
        "bad/broken.json.error.txt",
        "bad/empty.csv",
        "bad/empty.csv.error.txt",
        "bad/other.csv",
        "bad/other.csv.error.txt",
        "bad/x.parquet",
        "bad/x.parquet.error.txt",
        "done/fine.csv",
        "done/fine.jsonl",
    ];
    assert_eq!(desk.names(), expected);
    assert!(desk.text("bad/other.csv.error.txt").contains("the declared column `a` is not in the file"));
}

#[tokio::test]
async fn a_marker_says_that_a_file_is_complete() {
    let desk = Desk::new();
    let inbox = "{ path: in, marker: '{stem}.ok', done: taken }";
    desk.write("in/a.csv", "a\n1\n");
    desk.write("in/b.csv", "a\n2\n");
    desk.write("in/b.ok", "");
    let source = desk.connect("{}").source(target("*.csv", inbox)).await.unwrap();
    let (numbers, cursor) = take(&*source).await;
    assert_eq!(numbers, [2]);
    source.confirm(&cursor.unwrap()).await.unwrap();
    assert_eq!(desk.names(), ["in/a.csv", "in/taken/b.csv"]);
}

#[tokio::test]
async fn a_file_that_is_too_young_waits() {
    let desk = Desk::new();
    desk.write("a.csv", "a\n1\n");
    assert_eq!(take(&*open(&desk, "{ ready_after: 1h }").await).await, (vec![], None));
    assert_eq!(take(&*open(&desk, "{ ready_after: 200ms }").await).await.0, [1]);
}

#[tokio::test]
async fn old_files_are_cleared() {
    let desk = Desk::new();
    let inbox = "{ ready_after: 0s, keep: 30d }";
    desk.write("a.csv", "a\n1\n");
    let source = open(&desk, inbox).await;
    source.confirm(&take(&*source).await.1.unwrap()).await.unwrap();
    let desk = desk.later(31);
    desk.write("b.csv", "a\n2\n");
    let source = open(&desk, inbox).await;
    source.confirm(&take(&*source).await.1.unwrap()).await.unwrap();
    assert_eq!(desk.names(), ["done/b.csv"]);
    // What is cleared is still known.
    desk.write("a.csv", "a\n1\n");
    assert_eq!(take(&*source).await.0, [] as [i32; 0]);
}

#[tokio::test]
async fn an_inbox_that_cannot_work_is_refused() {
    let desk = Desk::new();
    let connection = desk.connect("{}");
    let kind = async |target| connection.source(target).await.unwrap_err().kind();
    assert_eq!(kind(SourceTarget { columns: None, ..target("*", NOW) }).await, ErrorKind::SchemaMismatch);
    assert_eq!(kind(target("*", "{ marker: ok }")).await, ErrorKind::InvalidData);
    assert_eq!(kind(target("*", "{ redy_after: 5s }")).await, ErrorKind::InvalidData);
    assert_eq!(kind(target("*", "{ done: . }")).await, ErrorKind::InvalidData);
    let options = node("{ format: commerceml }");
    assert_eq!(kind(SourceTarget { options, ..target("goods", NOW) }).await, ErrorKind::Unsupported);
    let source = connection.source(target("payments", "{ path: nowhere }")).await.unwrap();
    assert_eq!(read(&*source, 1).await.unwrap_err().kind(), ErrorKind::NotFound);
}
