//! Reach of relations an analyst would write, as short text.
//!
//! ```text
//! prices: (good) → goods(id) ⇒ (id) ⇐ key 0 (good)
//!         └ changed rows hop to goods, whose id is the key      └ needed: rows whose good is the first key column
//! ```

use super::*;
use crate::sql::place::tests::sql as piece;
use crate::sql::{Options, Rows, functions};
use arrow::datatypes::{DataType, Field, Schema};
use chrono::DateTime;
use obmen_diagnostics::Problems;
use std::sync::Arc;

/// Sources of a shop; all columns are longs but `name` (text), `rate` (double) and `small` (int).
const SOURCES: &[(&str, &str)] = &[
    ("goods", "id name producer flag"),
    ("prices", "good type price"),
    ("stock", "good warehouse quantity"),
    ("warehouses", "id name region small"),
    ("producers", "id name"),
    ("constants", "rate day"),
];

fn session(steps: &[(&str, &str)]) -> Sql {
    let now = DateTime::from_timestamp(1_764_000_000, 0).unwrap();
    let options = Options { memory: 64 << 20, spill: std::env::temp_dir(), now, threads: 1, batch_rows: 1024 };
    let mut sql = Sql::new(options).unwrap();
    for (name, columns) in SOURCES {
        let fields = columns.split(' ').map(|column| {
            let kind = match column {
                "name" => DataType::Utf8,
                "rate" => DataType::Float64,
                "small" => DataType::Int32,
                _ => DataType::Int64,
            };
            Field::new(column, kind, true)
        });
        sql.add_source(name, Arc::new(Schema::new(fields.collect::<Vec<_>>())), &[], Rows::None).unwrap();
    }
    let mut problems = Problems::new();
    for (name, text) in steps {
        sql.add_step(name, &piece(text), &mut problems).unwrap_or_else(|| panic!("{text}: {problems:?}"));
    }
    sql
}

fn reach_of(sql: &Sql, relation: &str, key: &str) -> Result<Reach, NoReach> {
    let key: Vec<String> = key.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    sql.reach(relation, &key)
}

fn shown(reach: &Reach) -> Vec<String> {
    let name = |scan: usize| &reach.scans[scan].relation;
    let line = |scan: &ScanReach| {
        let to_key = match &scan.to_key {
            Ok(way) => {
                let hops = way
                    .hops
                    .iter()
                    .map(|hop| format!("({}) → {}({}) ", hop.columns.join(" "), name(hop.scan), hop.to.join(" ")));
                format!("{}⇒ ({})", hops.collect::<String>(), way.columns.join(" "))
            }
            Err(_) => "⇏".to_owned(),
        };
        let from_key = match &scan.from_key {
            FromKey::Key { positions, columns } => {
                let positions: Vec<String> = positions.iter().map(ToString::to_string).collect();
                format!("key {} ({})", positions.join(" "), columns.join(" "))
            }
            FromKey::Rows { scan, columns, to } => {
                format!("{}({}) = ({})", name(*scan), columns.join(" "), to.join(" "))
            }
            FromKey::Whole => "whole".to_owned(),
        };
        format!("{}: {to_key} ⇐ {from_key}", scan.relation)
    };
    reach.scans.iter().map(line).collect()
}

#[track_caller]
fn reaches(text: &str, key: &str, expected: &[&str]) {
    let reach = reach_of(&session(&[("result", text)]), "result", key).unwrap_or_else(|no| panic!("{no}: {text}"));
    assert_eq!(shown(&reach), expected, "{text}");
}

#[track_caller]
fn refuses(text: &str, key: &str, expected: &str) {
    let found = reach_of(&session(&[("result", text)]), "result", key);
    assert_eq!(found.map(|reach| shown(&reach)), Err(NoReach::new(expected)), "{text}");
}

#[test]
fn a_source_has_its_own_key() {
    let reach = reach_of(&session(&[]), "prices", "good type").unwrap();
    assert_eq!(shown(&reach), ["prices: ⇒ (good type) ⇐ key 0 1 (good type)"]);
    assert_eq!(reach.order, [0]);
    assert_eq!(reach.sources(), BTreeSet::from(["prices".to_owned()]));
}

#[test]
fn renamed_columns_and_filters_keep_the_way() {
    reaches("SELECT name AS title, id AS код FROM goods", "код", &["goods: ⇒ (id) ⇐ key 0 (id)"]);
    reaches(
        "SELECT q.b, q.a FROM (SELECT good AS a, type AS b, price / 2 AS c FROM prices WHERE price > 0) AS q WHERE c < 9 \
         ORDER BY a",
        "b a",
        &["prices: ⇒ (type good) ⇐ key 0 1 (type good)"],
    );
}

#[test]
fn rows_of_all_joined_sources_have_the_key() {
    reaches(
        "SELECT g.id, max(p.price) AS price, sum(s.quantity) AS quantity FROM goods AS g \
         JOIN prices AS p ON p.good = g.id JOIN stock AS s ON s.good = g.id GROUP BY g.id HAVING sum(s.quantity) > 0",
        "id",
        &["goods: ⇒ (id) ⇐ key 0 (id)", "prices: ⇒ (good) ⇐ key 0 (good)", "stock: ⇒ (good) ⇐ key 0 (good)"],
    );
    reaches(
        "SELECT g.id, p.type FROM goods AS g, prices AS p, stock AS s WHERE p.good = g.id AND s.good = p.good",
        "id type",
        &[
            "goods: (id) → prices(good) ⇒ (good type) ⇐ key 0 (id)",
            "prices: ⇒ (good type) ⇐ key 0 1 (good type)",
            "stock: (good) → prices(good) ⇒ (good type) ⇐ key 0 (good)",
        ],
    );
}

#[test]
fn outer_joins_are_entered_from_the_preserved_side_only() {
    reaches(
        "SELECT g.id, w.region FROM goods AS g LEFT JOIN stock AS s ON s.good = g.id AND s.quantity > 0 \
         LEFT JOIN warehouses AS w ON w.id = s.warehouse",
        "id",
        &[
            "goods: ⇒ (id) ⇐ key 0 (id)",
            "stock: ⇒ (good) ⇐ key 0 (good)",
            "warehouses: (id) → stock(warehouse) ⇒ (good) ⇐ stock(warehouse) = (id)",
        ],
    );
    reaches(
        "SELECT g.id, p.name FROM producers AS p RIGHT JOIN goods AS g ON g.producer = p.id",
        "id",
        &["producers: (id) → goods(producer) ⇒ (id) ⇐ goods(producer) = (id)", "goods: ⇒ (id) ⇐ key 0 (id)"],
    );
    refuses(
        "SELECT s.good AS id FROM goods AS g LEFT JOIN stock AS s ON s.good = g.id",
        "id",
        "key column `id` comes from the side of an outer join that may be missing",
    );
    refuses(
        "SELECT g.id FROM goods AS g FULL JOIN stock AS s ON s.good = g.id",
        "id",
        "step `result` uses `FULL JOIN`",
    );
}

#[test]
fn a_key_that_may_be_missing_is_told_from_one_that_cannot() {
    for (text, expected) in [
        ("SELECT id FROM goods", [true].as_slice()),
        ("SELECT id, name FROM goods WHERE flag > 0 AND id IS NOT NULL", &[false]),
        ("SELECT g.id FROM goods AS g JOIN stock AS s ON s.good = g.id", &[false, false]),
        ("SELECT g.id FROM goods AS g LEFT JOIN stock AS s ON s.good = g.id", &[true, false]),
        ("SELECT g.id FROM goods AS g JOIN producers AS p ON p.id = g.producer", &[true, true]),
        ("SELECT id FROM goods WHERE id IS NOT NULL UNION ALL SELECT id FROM producers", &[false, true]),
    ] {
        let reach = reach_of(&session(&[("result", text)]), "result", "id").unwrap();
        let keyless: Vec<bool> = reach.scans.iter().map(|scan| scan.to_key.as_ref().unwrap().keyless).collect();
        assert_eq!(keyless, expected, "{text}");
    }
}

#[test]
fn a_table_in_the_middle_is_hopped_over() {
    reaches(
        "SELECT g.id, sum(w.region) AS regions FROM goods AS g JOIN stock AS s ON s.good = g.id \
         JOIN warehouses AS w ON w.id = s.warehouse GROUP BY g.id",
        "id",
        &[
            "goods: ⇒ (id) ⇐ key 0 (id)",
            "stock: ⇒ (good) ⇐ key 0 (good)",
            "warehouses: (id) → stock(warehouse) ⇒ (good) ⇐ stock(warehouse) = (id)",
        ],
    );
    reaches(
        "SELECT g.id, p.price FROM prices AS p JOIN stock AS s ON s.good = p.good AND s.warehouse = p.type \
         JOIN goods AS g ON g.producer = s.quantity",
        "id",
        &[
            "prices: (good type) → stock(good warehouse) (quantity) → goods(producer) ⇒ (id) \
             ⇐ stock(good warehouse) = (good type)",
            "stock: (quantity) → goods(producer) ⇒ (id) ⇐ goods(producer) = (quantity)",
            "goods: ⇒ (id) ⇐ key 0 (id)",
        ],
    );
}

#[test]
fn steps_are_looked_through() {
    let steps = [
        ("active", "SELECT id AS код, name, producer FROM goods WHERE flag > 0"),
        ("quantities", "SELECT good, sum(quantity) AS quantity FROM stock GROUP BY good"),
        (
            "result",
            "SELECT a.код AS offer, q.quantity, p.name FROM active AS a LEFT JOIN quantities AS q ON q.good = a.код \
             JOIN producers AS p ON p.id = a.producer",
        ),
    ];
    let reach = reach_of(&session(&steps), "result", "offer").unwrap();
    let expected = [
        "goods: ⇒ (id) ⇐ key 0 (id)",
        "stock: ⇒ (good) ⇐ key 0 (good)",
        "producers: (id) → goods(producer) ⇒ (id) ⇐ goods(producer) = (id)",
    ];
    assert_eq!(shown(&reach), expected);
    assert_eq!(reach.order, [0, 1, 2]);
}

#[test]
fn groups_are_entered_as_a_whole() {
    reaches(
        "SELECT s.good, q.most FROM stock AS s JOIN (SELECT max(price) AS most, type FROM prices GROUP BY type) AS q \
         ON q.type = s.warehouse",
        "good",
        &["stock: ⇒ (good) ⇐ key 0 (good)", "prices: (type) → stock(warehouse) ⇒ (good) ⇐ stock(warehouse) = (type)"],
    );
    reaches(
        "SELECT s.good, q.most FROM stock AS s JOIN (SELECT max(price) AS most FROM prices) AS q ON q.most = s.quantity",
        "good",
        &["stock: ⇒ (good) ⇐ key 0 (good)", "prices: ⇏ ⇐ whole"],
    );
}

#[test]
fn a_source_read_twice_has_two_ways() {
    reaches(
        "SELECT a.id, b.name FROM goods AS a JOIN goods AS b ON b.id = a.producer",
        "id",
        &["goods: ⇒ (id) ⇐ key 0 (id)", "goods: (id) → goods(producer) ⇒ (id) ⇐ goods(producer) = (id)"],
    );
}

#[test]
fn subqueries_that_are_joins_are_followed() {
    let expected = ["goods: ⇒ (id) ⇐ key 0 (id)", "stock: ⇒ (good) ⇐ key 0 (good)"];
    for text in [
        "SELECT id FROM goods AS g WHERE EXISTS (SELECT 1 FROM stock AS s WHERE s.good = g.id AND s.quantity > 0)",
        "SELECT id FROM goods AS g WHERE NOT EXISTS (SELECT 1 FROM stock AS s WHERE s.good = g.id)",
        "SELECT id FROM goods AS g WHERE flag = 1 OR EXISTS (SELECT 1 FROM stock AS s WHERE s.good = g.id)",
        "SELECT id FROM goods WHERE id IN (SELECT good FROM stock)",
        "SELECT id, (SELECT sum(s.quantity) FROM stock AS s WHERE s.good = g.id) AS quantity FROM goods AS g",
    ] {
        reaches(text, "id", &expected);
    }
    // One NULL in the list and nothing is outside it.
    let whole = ["goods: ⇒ (id) ⇐ key 0 (id)", "stock: ⇏ ⇐ whole"];
    reaches("SELECT id FROM goods WHERE id NOT IN (SELECT good FROM stock)", "id", &whole);
}

#[test]
fn branches_of_a_union_are_entered_one_by_one() {
    reaches(
        "SELECT id, name FROM goods UNION ALL SELECT w.id, p.name FROM warehouses AS w JOIN producers AS p ON p.id = w.region",
        "id",
        &[
            "goods: ⇒ (id) ⇐ key 0 (id)",
            "warehouses: ⇒ (id) ⇐ key 0 (id)",
            "producers: (id) → warehouses(region) ⇒ (id) ⇐ warehouses(region) = (id)",
        ],
    );
    // A row of the union may come from another branch: its rows do not say what `producers` needs.
    reaches(
        "SELECT u.id FROM (SELECT id, producer FROM goods UNION SELECT id, region FROM warehouses) AS u \
         JOIN producers AS p ON p.id = u.producer",
        "id",
        &["goods: ⇒ (id) ⇐ key 0 (id)", "warehouses: ⇒ (id) ⇐ key 0 (id)", "producers: ⇏ ⇐ whole"],
    );
}

#[test]
fn what_no_equality_leads_to_is_read_whole() {
    let whole = |other: &str| vec!["goods: ⇒ (id) ⇐ key 0 (id)".to_owned(), format!("{other}: ⇏ ⇐ whole")];
    for (other, text) in [
        ("constants", "SELECT g.id, c.rate FROM goods AS g CROSS JOIN constants AS c"),
        ("stock", "SELECT g.id FROM goods AS g JOIN stock AS s ON s.good > g.id"),
        ("stock", "SELECT g.id FROM goods AS g LEFT JOIN stock AS s ON s.good = g.id + 1"),
        ("warehouses", "SELECT g.id FROM goods AS g JOIN warehouses AS w ON w.small = g.id"),
        ("stock", "SELECT g.id FROM goods AS g JOIN stock AS s ON s.good = g.id OR s.quantity = 0"),
        ("stock", "SELECT g.id FROM goods AS g JOIN stock AS s ON s.good IS NOT DISTINCT FROM g.id"),
        ("stock", "SELECT g.id FROM goods AS g LEFT JOIN stock AS s ON true WHERE s.good = g.id"),
    ] {
        let reach = reach_of(&session(&[("result", text)]), "result", "id").unwrap();
        assert_eq!(shown(&reach), whole(other), "{text}");
        let reason = format!("`{other}` is joined by something other than equality of columns");
        assert_eq!(reach.scans[1].to_key, Err(NoReach::new(reason)));
    }
    let expected = ["stock: ⇏ ⇐ whole", "goods: ⇒ (id) ⇐ key 0 (id)"];
    reaches("SELECT id FROM goods WHERE flag < (SELECT max(quantity) FROM stock)", "id", &expected);
}

#[test]
fn every_refusal_has_its_reason() {
    for (text, key, reason) in [
        ("SELECT id + 1 AS id FROM goods", "id", "key column `id` is computed"),
        ("SELECT 'a' AS id FROM goods", "id", "key column `id` is computed"),
        ("SELECT id FROM goods", "", "no source has all columns of the key ``"),
        ("SELECT id FROM goods", "code", "`result` has no column `code`"),
        ("SELECT rate FROM constants", "rate", "key column `rate` has values that are equal only more or less"),
        (
            "SELECT g.id, s.good FROM goods AS g, stock AS s",
            "id good",
            "no source has all columns of the key `id, good`",
        ),
        ("SELECT id, row_number() OVER (ORDER BY id) AS n FROM goods", "id", "step `result` uses a window function"),
        ("SELECT id FROM goods ORDER BY id LIMIT 3", "id", "step `result` uses `LIMIT`"),
        (
            "SELECT id FROM goods WHERE flag = (SELECT max(x.good) FROM stock AS x LIMIT 1)",
            "id",
            "step `result` uses `LIMIT`",
        ),
        ("SELECT DISTINCT ON (id) id, name FROM goods ORDER BY id, name", "id", "step `result` uses `DISTINCT ON`"),
        ("SELECT id FROM goods GROUP BY ROLLUP (id)", "id", "step `result` uses `ROLLUP`, `CUBE` or `GROUPING SETS`"),
        ("SELECT id, now() AS n FROM goods", "id", "step `result` uses the clock (`now`)"),
        (
            "SELECT id FROM goods WHERE CURRENT_DATE > date '2026-01-01'",
            "id",
            "step `result` uses the clock (`current_date`)",
        ),
        ("SELECT id FROM goods UNION ALL SELECT 1", "id", "step `result` makes rows of its own"),
        ("SELECT id FROM (VALUES (1)) AS v (id)", "id", "step `result` makes rows of its own"),
        (
            "WITH RECURSIVE t AS (SELECT id FROM goods UNION ALL SELECT id + 1 FROM t WHERE id < 3) SELECT id FROM t",
            "id",
            "step `result` uses `WITH RECURSIVE`",
        ),
    ] {
        refuses(text, key, reason);
    }
    let sql = session(&[("inner", "SELECT id FROM goods LIMIT 1"), ("outer", "SELECT id FROM inner")]);
    assert_eq!(reach_of(&sql, "outer", "id"), Err(NoReach::new("step `inner` uses `LIMIT`")));
    assert_eq!(reach_of(&sql, "nothing", "id"), Err(NoReach::new("there is no relation `nothing`")));
}

#[test]
fn all_functions_without_arguments_are_the_clock_but_pi() {
    let mut clock = Vec::new();
    for (name, _) in functions() {
        let mut sql = session(&[]);
        let text = piece(&format!("SELECT id, {name}() AS value FROM goods"));
        if sql.add_step("result", &text, &mut Problems::new()).is_some()
            && let Err(no) = reach_of(&sql, "result", "id")
        {
            assert_eq!(no.reason, format!("step `result` uses the clock (`{name}`)"));
            clock.push(name);
        }
    }
    assert_eq!(clock, ["current_date", "current_time", "current_timestamp", "now", "today"]);
}
