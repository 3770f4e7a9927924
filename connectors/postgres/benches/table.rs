//! Reading a table of five million rows and ten columns, beside `psql` doing the same to nowhere.
//!
//! `OBMEN_TEST_POSTGRES` names the server; the table `obmen_bench` is made when it is not there, and stays. Prints seconds
//! and, where the system tells, the processor time of either client.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people who measure")]

use futures::StreamExt as _;
use obmen_diagnostics::{Files, Problems};
use obmen_postgres::Postgres;
use obmen_sdk::{Connector as _, Context, Result, Scan, Secret, Secrets, SourceTarget, Stop};
use obmen_spec::Node;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS obmen_bench AS SELECT md5(g::text) AS key, 'Болт с шестигранной головкой ' || g AS name, \
    (g / 7.0)::numeric(12,2) AS price, date '2020-01-01' + g % 2000 AS day, timestamp '2020-01-01' + g * interval '1 second' AS at, \
    g % 3 = 0 AS active, g::int4 AS number, g::int8 * 1000003 AS sum, CASE WHEN g % 10 > 0 THEN 'a note of some words, as people write them' END AS note, \
    md5((g + 1)::text)::uuid AS ref FROM generate_series(1, 5000000) g";

#[derive(Debug)]
struct NoSecrets;

impl Secrets for NoSecrets {
    fn resolve(&self, text: &str) -> Result<Secret> {
        Ok(Secret::new(text))
    }
}

fn node(text: &str) -> Node {
    let file = Files::new().add("bench.yaml", text);
    obmen_spec::yaml::parse(file, text, &mut Problems::new()).unwrap()
}

/// Processor time of this process, or of its children that have ended, in seconds: user and system.
fn used(children: bool) -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let first = if children { 13 } else { 11 };
    let ticks: u32 =
        fields.get(first..first + 2).unwrap_or_default().iter().filter_map(|ticks| ticks.parse::<u32>().ok()).sum();
    f64::from(ticks) / 100.0
}

fn psql(url: &str, sql: &str) -> Duration {
    let begun = Instant::now();
    let status = Command::new("psql").args([url, "-qXc", sql]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    begun.elapsed()
}

async fn read(url: &str) -> (usize, usize, Duration) {
    let context = Context {
        project: std::env::temp_dir(),
        scratch: std::env::temp_dir(),
        now: chrono::DateTime::default(),
        secrets: Arc::new(NoSecrets),
        stop: Stop::default(),
    };
    let connection = Postgres.open(&node(&format!("url: {url}\ntls: off")), &context).unwrap();
    let target = SourceTarget {
        name: "bench".to_owned(),
        entity: "obmen_bench".to_owned(),
        columns: None,
        key: Vec::new(),
        inbox: None,
        options: node("{}"),
    };
    let begun = Instant::now();
    let mut stream = connection.source(target).await.unwrap().read(Scan::default()).await.unwrap();
    let (mut rows, mut bytes) = (0, 0);
    while let Some(batch) = stream.next().await {
        let batch = batch.unwrap();
        rows += batch.rows.num_rows();
        bytes += batch.rows.get_array_memory_size();
    }
    (rows, bytes, begun.elapsed())
}

fn main() {
    #[expect(clippy::disallowed_methods, reason = "where the server is is said by the environment")]
    let url = std::env::var("OBMEN_TEST_POSTGRES").unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/test".to_owned());
    psql(&url, TABLE);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for _ in 0..3 {
        let before = used(true);
        let plain = psql(&url, "COPY obmen_bench TO STDOUT (FORMAT binary)");
        println!("psql   {:.2} s, of the processor {:.2} s", plain.as_secs_f64(), used(true) - before);
        let before = used(false);
        let (rows, bytes, taken) = runtime.block_on(read(&url));
        println!(
            "obmen  {:.2} s, of the processor {:.2} s, {rows} rows, {} MB of Arrow, speed {:.2} of psql",
            taken.as_secs_f64(),
            used(false) - before,
            bytes >> 20,
            plain.as_secs_f64() / taken.as_secs_f64(),
        );
    }
}
