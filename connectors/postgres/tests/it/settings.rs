//! What `validate` says of settings, and what they become.

use crate::base::{context, node};
use obmen_diagnostics::Problems;
use obmen_postgres::Postgres;
use obmen_sdk::{Connection, Connector as _, SinkCheck, Stop};
use std::sync::Arc;

fn said(problems: &Problems) -> Vec<String> {
    let line = |problem: &&obmen_diagnostics::Diagnostic| {
        format!("{}: {} {}", problem.code.name, problem.message, problem.help.join(" "))
    };
    problems.sorted().iter().map(line).collect()
}

fn settings_problems(text: &str) -> Vec<String> {
    let mut problems = Problems::new();
    Postgres.check(&node(text), &mut problems);
    said(&problems)
}

fn open(text: &str) -> Arc<dyn Connection> {
    Postgres.open(&node(text), &context(&Stop::default())).unwrap()
}

#[test]
fn the_identity_is_the_database_without_the_role() {
    for settings in [
        "url: postgres://exchange@Billing.example:5432/billing",
        "url: postgresql://billing.example/billing\nuser: other",
        "host: billing.example\ndatabase: billing\nuser: exchange",
    ] {
        assert_eq!(open(settings).identity(), "billing.example:5432/billing", "{settings}");
    }
}

#[test]
fn settings_that_cannot_be_are_reported() {
    let cases = [
        ("host: h\nuser: u", "`database` or `url` is missing"),
        ("url: http://h/d", "is not an address"),
        ("url: postgres://u@h/d?sslmode=require", "parameters after `?`"),
        ("url: postgres://u:p@h/d", "write it as `password`"),
        ("url: postgres://h/d", "`user` is missing"),
        ("url: postgres://u@h/d\nuser: v", "`user` is said twice"),
        ("url: postgres://u@h/d\nport: 5433", "`port` is said twice"),
        ("url: postgres://u@h/d\ntimeout: 0s", "`timeout` is nothing"),
        ("url: postgres://u@h/d\ntls: off\nca: x.pem", "`ca` verifies nothing"),
        ("url: postgres://u@h/d\nloads_table: a.b.c", "`loads_table` is wrong"),
        ("url: postgres://u@h/d\ntls: verify", "unknown-word"),
    ];
    for (settings, expected) in cases {
        let found = settings_problems(settings);
        assert!(found.len() == 1 && found[0].contains(expected), "{settings}: {found:#?}");
    }
    for fine in
        ["url: ${env:URL}", "host: /var/run/postgresql\ndatabase: d\nuser: u", "url: postgres://u@h/d\ntls: require"]
    {
        assert_eq!(settings_problems(fine), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn sources_and_sinks_are_checked_without_the_world() {
    let source = |entity: &str, options: &str| {
        let mut problems = Problems::new();
        Postgres.check_source(&node("{}"), entity, &node(options), &mut problems);
        said(&problems)
    };
    assert_eq!(source("billing.charge", "{}"), Vec::<String>::new());
    assert_eq!(source("a.b.c is the name of a query", "query: SELECT 1 AS id;"), Vec::<String>::new());
    assert!(source("a.b.c", "{}")[0].contains("expected `table` or `schema.table`"));
    assert!(source("x", "query: ' ; '")[0].contains("`query` is empty"));
    assert!(source("x", "querry: SELECT 1")[0].starts_with("unknown-field: "));
    let (options, mut problems) = (node("deleted_column: gone"), Problems::new());
    let check =
        SinkCheck { entity: "goods", span: options.span, children: &["lines"], columns: None, options: &options };
    Postgres.check_sink(&node("{}"), &check, &mut problems);
    let found = said(&problems);
    assert!(found.len() == 1 && found[0].contains("`lines`") && found[0].contains("sink of its own"), "{found:?}");
}
