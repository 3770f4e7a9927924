//! What affected keys send is what comparing everything sends: two worlds with the same rows and the same shop,
//! one whose sources bring only changes, one whose sources are read whole.

use crate::world::{Place, Table};
use obmen_runtime::report::{RunReport, SinkReport};
use proptest::prelude::*;

/// Pipelines: steps and sinks over the same sources.
const PIPELINES: &[(&str, &str)] = &[
    (
        "SELECT g.id, max(g.name) AS name, min(p.price) AS price, sum(s.quantity) AS quantity FROM goods g \
         JOIN prices p ON p.good = g.id JOIN stock s ON s.good = g.id WHERE NOT g.gone AND NOT p.gone GROUP BY g.id",
        "",
    ),
    (
        "SELECT g.id, g.name, p.price, k.title FROM goods g LEFT JOIN prices p ON p.good = g.id AND p.kind = 'a' \
         LEFT JOIN kinds k ON k.id = g.kind WHERE NOT g.gone",
        "",
    ),
    ("SELECT good || '' AS never, kind AS id, count(*) AS many FROM prices WHERE NOT gone GROUP BY good, kind", ""),
    (
        "SELECT id, name, kind FROM goods WHERE NOT gone",
        "children: { prices: { from: parts, by: [good], key: [kind] } }, ",
    ),
    (
        "SELECT g.id, sum(p.price) AS price FROM (SELECT good, price FROM prices WHERE NOT gone) p \
         JOIN (SELECT * FROM goods WHERE kind IN (SELECT id FROM kinds)) g ON g.id = p.good GROUP BY g.id",
        "",
    ),
    ("SELECT id, name, row_number() OVER (ORDER BY id) AS place FROM goods WHERE NOT gone", ""),
];

/// Tables with the columns pipelines read, the key first.
const TABLES: &[(&str, &str)] = &[
    ("goods", "id name kind number gone seq"),
    ("prices", "good kind price gone seq"),
    ("stock", "good place quantity gone seq"),
    ("kinds", "id title"),
];

fn place(changes: &str, pipeline: usize) -> Place {
    let (sql, more) = PIPELINES[pipeline];
    let goods = "id: string, name: string, kind: string, number: long, gone: bool, seq: long";
    let prices = "good: string, kind: string, price: long, gone: bool, seq: long";
    let stock = "good: string, place: string, quantity: long, gone: bool, seq: long";
    let place = Place::new(&format!(
        "pipeline: t\nsources:\n  goods: {{ connection: trade, entity: goods, columns: {{ {goods} }}, key: [id], {changes} }}\n  \
         prices: {{ connection: trade, entity: prices, columns: {{ {prices} }}, key: [good, kind], {changes} }}\n  \
         stock: {{ connection: trade, entity: stock, columns: {{ {stock} }}, key: [good, place], {changes} }}\n  \
         kinds: {{ connection: trade, entity: kinds, columns: {{ id: string, title: string }}, key: [id], may_be_empty: true }}\n\
         steps:\n  offers: |\n    {sql}\n  parts: |\n    SELECT good, kind, price FROM prices WHERE NOT gone\n\
         sinks:\n  shop: {{ connection: shop, entity: offers, from: offers, key: [id], deletes: delete, {more}guard: off }}\n"
    ));
    for (name, columns) in TABLES {
        place.table(name, columns, &[]);
    }
    place.inside().portion = 5;
    place
}

/// One thing that happens in both worlds.
#[derive(Clone, Debug)]
enum Turn {
    Set { table: usize, key: u8, second: u8, number: Option<i8>, gone: bool },
    Kind(u8, bool),
    Refuse(u8),
    Run { lose_answers: bool },
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let number = proptest::option::weighted(0.8, 0_i8..4);
    let turn = prop_oneof![
        10 => (0_usize..3, 0_u8..7, 0_u8..3, number, proptest::bool::weighted(0.2))
            .prop_map(|(table, key, second, number, gone)| Turn::Set { table, key, second, number, gone }),
        1 => (0_u8..3, any::<bool>()).prop_map(|(key, there)| Turn::Kind(key, there)),
        1 => (0_u8..9).prop_map(Turn::Refuse),
        5 => proptest::bool::weighted(0.15).prop_map(|lose_answers| Turn::Run { lose_answers }),
    ];
    proptest::collection::vec(turn, 8..40)
}

/// Puts a row in the place of the one with the same key.
fn set(table: &mut Table, key: usize, row: Vec<Option<String>>) {
    table.rows.retain(|other| other[..key] != row[..key]);
    table.rows.push(row);
}

fn happen(place: &Place, turn: &Turn, seq: i64) {
    let mut inside = place.inside();
    match turn {
        Turn::Set { table, key, second, number, gone } => {
            let name = TABLES[*table].0;
            let (own, second) = (Some(format!("k{key}")), Some(["a", "b", "c"][usize::from(*second)].to_owned()));
            let rest = [number.map(|number| number.to_string()), Some(gone.to_string()), Some(seq.to_string())];
            let title = number.map(|number| format!("name {number}"));
            let table = inside.tables.get_mut(name).unwrap();
            match name {
                "goods" => set(table, 1, [own, title, second].into_iter().chain(rest).collect()),
                _ => set(table, 2, [own, second].into_iter().chain(rest).collect()),
            }
        }
        Turn::Kind(key, there) => {
            let id = Some(["a", "b", "c"][usize::from(*key)].to_owned());
            let kinds = inside.tables.get_mut("kinds").unwrap();
            set(kinds, 1, vec![id, Some(format!("title {seq}"))]);
            if !there {
                kinds.rows.pop();
            }
        }
        Turn::Refuse(key) => {
            inside.refused.clear();
            if *key < 7 {
                inside.refused.insert(format!("k{key}"));
            }
        }
        Turn::Run { lose_answers } => inside.lose_answers = *lose_answers,
    }
}

/// What both worlds must agree on.
pub(crate) fn counters(report: &RunReport) -> Vec<(String, Vec<u64>)> {
    let counted = |sink: &SinkReport| {
        vec![
            sink.read,
            sink.unchanged,
            sink.invalid,
            sink.held,
            sink.due,
            sink.acked,
            sink.rejected,
            sink.unknown,
            sink.creates,
            sink.updates,
            sink.deletes,
        ]
    };
    report.sinks.iter().map(|sink| (sink.sink.clone(), counted(sink))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn affected_keys_send_what_comparing_everything_sends(turns in turns(), pipeline in 0..PIPELINES.len()) {
        let some = place("changes: { cursor: seq }", pipeline);
        let all = place("changes: full, may_be_empty: true", pipeline);
        for (seq, turn) in (1..).zip(turns.iter().chain([&Turn::Run { lose_answers: false }])) {
            happen(&some, turn, seq);
            happen(&all, turn, seq);
            if matches!(turn, Turn::Run { .. }) {
                let (one, other) = (some.run(), all.run());
                prop_assert_eq!(counters(&one), counters(&other), "{:?}", one.sinks);
                prop_assert_eq!(some.sent(), all.sent(), "{:?}", one.sinks);
                prop_assert_eq!(&some.inside().shop, &all.inside().shop);
                some.later(30);
                all.later(30);
            }
        }
    }
}

#[test]
fn a_change_of_one_row_looks_at_one_key() {
    let place = place("changes: { cursor: seq }", 0);
    let set = |table, key, number, seq| {
        let turn = Turn::Set { table, key, second: 0, number: Some(number), gone: false };
        happen(&place, &turn, seq);
    };
    for key in 0..7 {
        for table in 0..3 {
            set(table, key, 1, i64::from(key) + 1);
        }
    }
    let first = place.run();
    assert_eq!(first.sinks[0].acked, 7);
    assert!(first.sinks[0].compared.as_deref().unwrap().starts_with("everything: "));
    set(1, 3, 2, 100);
    let second = place.run();
    assert_eq!((second.sinks[0].read, second.sinks[0].unchanged, second.sinks[0].acked), (7, 6, 1));
    assert_eq!(second.sinks[0].compared.as_deref(), Some("1 affected keys of 7"));
    assert_eq!(place.run().sinks[0].compared.as_deref(), Some("0 affected keys of 7"));
}
