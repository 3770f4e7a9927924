//! A billing database with many charges, read within a fixed memory limit.
//!
//! The suite exports 200 000 charges. The million of the acceptance is asked for by the environment:
//!
//! ```sh
//! OBMEN_CHARGES=1000000 cargo test --release --test it charges
//! ```
#![cfg(target_os = "linux")]

use crate::support::{Scene, count};
use std::process::{Command, Stdio};

/// What the process may hold beside `memory:`: the program itself, a debug build at that.
const PROGRAM: u64 = 160 << 20;
const MEMORY: u64 = 96 << 20;

#[test]
#[expect(clippy::disallowed_methods, reason = "services and sizes are said to tests by the environment")]
fn charges_of_a_billing_are_exported_within_a_fixed_memory_limit() {
    let setting = |name: &str| std::env::var(name).ok();
    let url = setting("OBMEN_TEST_POSTGRES").unwrap_or_else(|| "postgres://root@127.0.0.1:5432/test".to_owned());
    let charges: u64 = setting("OBMEN_CHARGES").map_or(200_000, |rows| rows.parse().unwrap());
    let schema = format!("obmen_charges_{}", std::process::id());
    let sql = |text: String| Command::new("psql").args([&url, "-qc", &text]).stderr(Stdio::null()).status();
    if !sql(format!("CREATE SCHEMA {schema}")).is_ok_and(|status| status.success()) {
        assert!(setting("OBMEN_TEST_SERVICES").is_none_or(|value| value != "required"), "PostgreSQL is required here");
        println!("skipped: no PostgreSQL answers, or there is no psql");
        return;
    }
    let filled = sql(format!(
        "CREATE TABLE {schema}.charges AS SELECT n AS id, md5(n::text) AS account, 'Услуга связи ' || n % 97 AS service, \
         (n % 100000)::numeric(12,2) / 100 AS amount, date '2026-01-01' + (n % 300)::int AS day \
         FROM generate_series(1, {charges}) n"
    ));
    assert!(filled.unwrap().success());

    let scene = Scene::empty();
    let project = format!(
        "project: billing\nprofile: test\nmemory: 96MB\nprofiles:\n  test:\n    billing: {{ type: postgres, url: \"{url}\" }}\n    books: {{ type: files, path: ../books, format: jsonl }}\n"
    );
    let pipeline = format!(
        "pipeline: charges\nsources:\n  charges:\n    connection: billing\n    entity: {schema}.charges\n    \
         columns: {{ id: long, account: string, service: string, amount: \"decimal(12,2)\", day: date }}\n    key: [id]\n\
         sinks:\n  books: {{ connection: books, entity: charges, from: charges, key: [id] }}\n"
    );
    scene.write("pipelines/obmen.yaml", &project);
    scene.write("pipelines/charges.yaml", &pipeline);
    let mut running = scene.command("run charges --output json").stdout(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    while running.try_wait().unwrap().is_none() {
        peak = peak.max(held(running.id()).unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let output = running.wait_with_output().unwrap();
    assert!(sql(format!("DROP SCHEMA {schema} CASCADE")).unwrap().success());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(count(&report, "books", "acked"), charges);
    println!("{charges} charges, peak {} MB", peak >> 20);
    assert!(peak > 0 && peak <= MEMORY + PROGRAM, "{} MB", peak >> 20);
}

/// The most a process ever held.
fn held(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}
