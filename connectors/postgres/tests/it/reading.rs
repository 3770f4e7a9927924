//! What reading says and does beside values.

use crate::base::{Base, read};
use futures::StreamExt as _;
use obmen_sdk::{ErrorKind, Scan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_not_there_is_named_with_the_one_that_is_meant() {
    let Some(base) = Base::new().await else { return };
    base.run("CREATE TABLE customers (id int4); CREATE VIEW payers AS SELECT * FROM customers").await;
    let error = base.source("custommers", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&format!("did you mean `{}.customers`?", base.schema)), "{error}");
    let entities = base.connect("").entities().await.unwrap();
    for name in ["customers", "payers"] {
        assert!(entities.contains(&format!("{}.{name}", base.schema)), "{entities:?}");
    }
    let said = base.connect("").check().await.unwrap();
    assert!(said.starts_with("PostgreSQL ") && said.ends_with("it can be written"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_role_may_not_read_is_denied() {
    let Some(base) = Base::new().await else { return };
    let role = format!("{}_reader", base.schema);
    base.run(&format!(
        "CREATE TABLE t (id int4, secret int4); CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {} TO {role}",
        base.schema
    ))
    .await;
    let url = base.stranger().replace("nobody_knows", &role);
    let connection = base.connect_to(&url, "", &obmen_sdk::Stop::default());
    let source = connection.source(base.source_target("t", None)).await.unwrap();
    let error = read(&*source, Scan::default()).await.unwrap_err();
    let entities = connection.entities().await.unwrap();
    base.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    assert!(!entities.contains(&format!("{}.t", base.schema)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_too_long_is_a_timeout() {
    let Some(base) = Base::new().await else { return };
    let source = base.query("SELECT 1 AS id FROM pg_sleep(60)", "statement_timeout: 100ms").await.unwrap();
    let error = read(&*source, Scan::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_in_the_middle_ends_the_rows_that_came() {
    let Some(base) = Base::new().await else { return };
    let source = base.query("SELECT 10000 / (100000 - g) AS id FROM generate_series(1, 200000) g", "").await.unwrap();
    let mut stream = source.read(Scan { batch_rows: 1_000, ..Scan::default() }).await.unwrap();
    let mut count = 0;
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(batch) => count += batch.rows.num_rows(),
            Err(error) => break error,
        }
    };
    assert!(count < 100_000 && error.kind() == ErrorKind::InvalidData, "{count} {error:?}");
    assert!(stream.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_table_comes_in_small_batches_of_one_state() {
    let Some(base) = Base::new().await else { return };
    base.run(
        "CREATE TABLE long AS SELECT g AS id, md5(g::text) AS key, 'Болт ' || g AS name, (g / 100.0)::numeric(12,2) AS price, \
         date '2020-01-01' + g % 1000 AS day, timestamp '2020-01-01' + g * interval '1 second' AS at, g % 2 = 0 AS active, \
         CASE WHEN g % 3 > 0 THEN 'note' END AS note, md5(g::text)::uuid AS ref FROM generate_series(1, 300000) g",
    )
    .await;
    let source = base.source("long", None).await.unwrap();
    let mut stream = source.read(Scan { batch_rows: 777, ..Scan::default() }).await.unwrap();
    let (mut count, mut batches) = (0, 0);
    while let Some(batch) = stream.next().await {
        let batch = batch.unwrap();
        assert!(batch.rows.num_rows() <= 777 && batch.bad.is_empty());
        count += batch.rows.num_rows();
        batches += 1;
        if batches == 1 {
            base.run("DELETE FROM long WHERE id > 290000").await;
        }
    }
    assert_eq!((count, batches), (300_000, 300_000_usize.div_ceil(777)));
    let left = read(&*source, Scan { columns: Some(Vec::new()), ..Scan::default() }).await.unwrap();
    assert_eq!(left.iter().map(|batch| batch.rows.num_rows()).sum::<usize>(), 290_000);
}
