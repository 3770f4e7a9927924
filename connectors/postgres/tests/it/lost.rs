//! A `COMMIT` whose answer is lost, at every moment it can be.

use crate::base::{Base, changes, deliver, read};
use crate::proxy::{Proxy, Trouble};
use arrow::array::{ArrayRef, Int32Array};
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use futures::StreamExt as _;
use obmen_sdk::types::arrow_field;
use obmen_sdk::{ErrorKind, Op, Outcome, RejectClass, Scan, Stop};
use obmen_spec::ColumnType;
use std::sync::Arc;
use std::time::Duration;

fn one(id: i32) -> RecordBatch {
    let schema = Arc::new(Schema::new(vec![arrow_field("id", ColumnType::Int)]));
    RecordBatch::try_new(schema, vec![Arc::new(Int32Array::from(vec![id])) as ArrayRef]).unwrap()
}

async fn delivered(base: &Base, trouble: Trouble) -> (Vec<Outcome>, Vec<String>) {
    base.run("DROP TABLE IF EXISTS goods; CREATE TABLE goods (id int PRIMARY KEY)").await;
    let proxy = Proxy::start(&base.url, trouble).await;
    let connection = base.connect_to(&proxy.url, "connect_timeout: 2s\ntimeout: 1s", &Stop::default());
    let sink = connection.sink(vec![base.sink_target("goods", one(1).schema())]).await.unwrap();
    let outcomes = deliver(&*sink, &format!("{trouble:?}"), &changes(&[Op::Create], &one(1))).await;
    (outcomes, base.texts("SELECT id FROM goods").await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_a_commit_is_learned_from_another_session() {
    let Some(base) = Base::new().await else { return };
    let (outcomes, rows) = delivered(&base, Trouble::AfterCommit).await;
    assert_eq!((outcomes, rows), (vec![Outcome::acked()], vec!["1".to_owned()]));
    let (outcomes, rows) = delivered(&base, Trouble::BeforeCommit).await;
    assert!(
        matches!(&outcomes[..], [Outcome::Rejected { altered: false, class: RejectClass::Temporary, .. }]),
        "{outcomes:?}"
    );
    assert_eq!(rows, Vec::<String>::new());
    let (outcomes, rows) = delivered(&base, Trouble::SilenceAfterCommit).await;
    assert!(matches!(&outcomes[..], [Outcome::Unknown { .. }]), "{outcomes:?}");
    assert_eq!(rows, ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_is_sent_again_is_recognised() {
    let Some(base) = Base::new().await else { return };
    base.run("CREATE TABLE goods (id int PRIMARY KEY)").await;
    let sink = base.sink(base.sink_target("goods", one(1).schema())).await.unwrap();
    for _ in 0..2 {
        assert_eq!(deliver(&*sink, "load", &changes(&[Op::Create], &one(1))).await, [Outcome::acked()]);
        base.run("DELETE FROM goods WHERE (SELECT count(*) FROM obmen_loads) > 1").await;
    }
    assert_eq!(base.texts("SELECT load || rows FROM obmen_loads").await, ["load1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_is_a_timeout() {
    let Some(base) = Base::new().await else { return };
    let proxy = Proxy::start(&base.url, Trouble::SilenceAfter(300_000)).await;
    base.run("CREATE TABLE goods AS SELECT g AS id FROM generate_series(1, 100000) g").await;
    let connection = base.connect_to(&proxy.url, "timeout: 1s", &Stop::default());
    let source = connection.source(base.source_target("goods", None)).await.unwrap();
    let error = read(&*source, Scan::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_nobody_waits_for_is_cancelled() {
    let Some(base) = Base::new().await else { return };
    // A series among the columns comes row by row; after `FROM` it would be made whole first.
    let endless = format!("SELECT generate_series(1, 2000000000) AS id, '{}' AS name", base.schema);
    let slow = format!("SELECT 1 AS id, '{}' AS name FROM pg_sleep(600)", base.schema);
    let source = base.query(&endless, "").await.unwrap();
    let mut stream = source.read(Scan { batch_rows: 10, ..Scan::default() }).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().rows.num_rows(), 10);
    let waiting = base.query(&slow, "").await.unwrap().read(Scan::default()).await.unwrap();
    let running = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND application_name = 'obmen' AND query LIKE '%{}%'",
        base.schema
    );
    become_so(&base, &running, "2").await;
    drop((stream, waiting));
    become_so(&base, &running, "0").await;
}

/// Waits until a count is what it should be.
async fn become_so(base: &Base, count: &str, wanted: &str) {
    let mut now = base.texts(count).await;
    for _ in 0..100 {
        if now == [wanted] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        now = base.texts(count).await;
    }
    assert_eq!(now, [wanted]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_stops_does_not_wait_for_the_server() {
    let Some(base) = Base::new().await else { return };
    let stop = Stop::default();
    let connection = base.connect_to(&base.url, "", &stop);
    let options = crate::base::node("query: SELECT 1 AS id FROM pg_sleep(600)");
    let target = obmen_sdk::SourceTarget { options, ..base.source_target("x", None) };
    let source = connection.source(target).await.unwrap();
    let mut stream = source.read(Scan::default()).await.unwrap();
    stop.set();
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}");
}
