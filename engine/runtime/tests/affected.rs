//! What affected keys send is what comparing everything sends: two worlds with the same rows and the same shop,
//! one whose sources bring only changes, one whose sources are read whole.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use obmen_runtime::connections::Connections;
use obmen_runtime::progress::Silent;
use obmen_runtime::report::RunReport;
use obmen_runtime::run::{Engine, RunOptions};
use obmen_runtime::state::Durability;
use obmen_runtime::workspace::Workspace;
use obmen_sdk::{
    Batch, BatchStream, Changes, Connection, Load, LoadId, Operations, Outcome, RejectClass, Repetition, Result, RowId,
    Scan, Sink, SinkAbilities, SinkTarget, Snapshot, Source, SourceAbilities, SourceTarget, Stop, TargetAbilities,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

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

/// A row: key columns, a number, whether it is gone, and the number of its last change.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    key: Vec<Option<String>>,
    number: Option<i64>,
    gone: bool,
    seq: i64,
}

#[derive(Debug, Default)]
struct Inside {
    tables: BTreeMap<&'static str, Vec<Row>>,
    shop: BTreeMap<String, String>,
    refused: BTreeSet<String>,
    lose_answers: bool,
    sent: Vec<String>,
}

#[derive(Clone, Debug)]
struct World(Arc<Mutex<Inside>>);

struct Place {
    world: World,
    folder: tempfile::TempDir,
}

impl World {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Place {
    fn new(changes: &str, pipeline: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sql, more) = PIPELINES[pipeline];
        let project =
            "project: t\nprofile: p\nprofiles:\n  p:\n    trade: { type: memory }\n    shop: { type: memory }\n";
        let goods = "id: string, name: string, kind: string, number: long, gone: bool, seq: long";
        let prices = "good: string, kind: string, price: long, gone: bool, seq: long";
        let stock = "good: string, place: string, quantity: long, gone: bool, seq: long";
        let text = format!(
            "pipeline: t\nsources:\n  goods: {{ connection: trade, entity: goods, columns: {{ {goods} }}, key: [id], {changes} }}\n  \
             prices: {{ connection: trade, entity: prices, columns: {{ {prices} }}, key: [good, kind], {changes} }}\n  \
             stock: {{ connection: trade, entity: stock, columns: {{ {stock} }}, key: [good, place], {changes} }}\n  \
             kinds: {{ connection: trade, entity: kinds, columns: {{ id: string, title: string }}, key: [id], may_be_empty: true }}\n\
             steps:\n  offers: |\n    {sql}\n  parts: |\n    SELECT good, kind, price FROM prices WHERE NOT gone\n\
             sinks:\n  shop: {{ connection: shop, entity: offers, from: offers, key: [id], deletes: delete, {more}guard: off }}\n"
        );
        std::fs::write(folder.path().join("obmen.yaml"), project).unwrap();
        std::fs::write(folder.path().join("t.yaml"), text).unwrap();
        let world = World(Arc::new(Mutex::new(Inside::default())));
        Self { world, folder }
    }

    fn run(&self, now: DateTime<Utc>) -> RunReport {
        self.world.inside().sent.clear();
        let workspace = Workspace::load(self.folder.path()).unwrap();
        let (name, profile) = workspace.profile(None).unwrap();
        let clock = move || now;
        let engine = Engine {
            workspace: &workspace,
            profile: (&name, profile),
            state: self.folder.path().join(".obmen"),
            durability: Durability::Scratch,
            segments: None,
            connections: &self.world,
            clock: &clock,
            stop: Stop::default(),
            progress: &Silent,
            taken_for_acked: &BTreeSet::new(),
        };
        let pipeline = workspace.pipeline("t").unwrap().pipeline.as_ref().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(engine.run(pipeline, &RunOptions::default())).unwrap()
    }
}

impl Connections for World {
    fn open(&self, _name: &str) -> Result<Arc<dyn Connection>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Connection for World {
    fn identity(&self) -> String {
        "memory".to_owned()
    }

    async fn check(&self) -> Result<String> {
        Ok("here".to_owned())
    }

    async fn entities(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn source(&self, target: SourceTarget) -> Result<Arc<dyn Source>> {
        let schema = target.columns.unwrap();
        let rows = self.inside().tables.get(target.entity.as_str()).cloned().unwrap_or_default();
        let texts = |at: usize| -> ArrayRef {
            Arc::new(rows.iter().map(|row| row.key.get(at).cloned().flatten()).collect::<StringArray>())
        };
        let numbers: ArrayRef = Arc::new(rows.iter().map(|row| row.number).collect::<Int64Array>());
        let gone: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.gone)).collect::<BooleanArray>());
        let seq: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.seq)).collect::<Int64Array>());
        let columns = match target.entity.as_str() {
            "goods" => vec![texts(0), texts(1), texts(2), numbers, gone, seq],
            "kinds" => vec![texts(0), texts(1)],
            _ => vec![texts(0), texts(1), numbers, gone, seq],
        };
        Ok(Arc::new(Table(RecordBatch::try_new(schema, columns)?)))
    }

    async fn sink(&self, _targets: Vec<SinkTarget>) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(self.clone()))
    }
}

#[derive(Debug)]
struct Table(RecordBatch);

#[async_trait]
impl Source for Table {
    fn schema(&self) -> arrow::datatypes::SchemaRef {
        self.0.schema()
    }

    fn abilities(&self) -> SourceAbilities {
        SourceAbilities { snapshot: Snapshot::Exact, projection: false, resume: false, filter: false }
    }

    async fn read(&self, scan: Scan) -> Result<BatchStream> {
        let batch = match scan.columns {
            Some(columns) => self.0.project(&columns)?,
            None => self.0.clone(),
        };
        Ok(futures::stream::once(async move { Ok(Batch::of(batch)) }).boxed())
    }
}

#[async_trait]
impl Sink for World {
    fn abilities(&self) -> SinkAbilities {
        let operations = Operations { mark: true, delete: true, children: true };
        SinkAbilities {
            targets: vec![TargetAbilities { operations, whole: false }],
            order: vec![0],
            portion_rows: 5,
            repetition: Repetition::Harmless,
            exclusive: true,
            find: false,
        }
    }

    async fn begin(&self, _load: &LoadId) -> Result<Box<dyn Load>> {
        Ok(Box::new(Session(self.clone())))
    }
}

struct Session(World);

#[async_trait]
impl Load for Session {
    async fn send(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        let mut inside = self.0.inside();
        let ids = changes.rows.column_by_name("id").unwrap();
        let mut outcomes = Vec::new();
        for (at, (row, op)) in changes.ids.iter().zip(&changes.ops).enumerate() {
            let id = array_value_to_string(ids, at)?;
            let texts = changes.rows.columns().iter().map(|column| {
                let text = array_value_to_string(column, at)?;
                Ok::<_, obmen_sdk::Error>(if column.is_null(at) { "NULL".to_owned() } else { text })
            });
            let values = texts.collect::<Result<Vec<_>>>()?.join("|");
            inside.sent.push(format!("{} {id} {values}", op.name()));
            if inside.refused.contains(&id) {
                outcomes.push((*row, Outcome::rejected(RejectClass::Temporary, "not now")));
                continue;
            }
            match op {
                obmen_sdk::Op::Delete => drop(inside.shop.remove(&id)),
                _ => drop(inside.shop.insert(id, values)),
            }
            let lost = Outcome::Unknown { reason: "silence".to_owned() };
            outcomes.push((*row, if inside.lose_answers { lost } else { Outcome::acked() }));
        }
        Ok(outcomes)
    }

    async fn finish(self: Box<Self>) -> Result<Vec<(RowId, Outcome)>> {
        Ok(Vec::new())
    }
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

fn happen(world: &World, turn: &Turn, seq: i64) {
    let mut inside = world.inside();
    match turn {
        Turn::Set { table, key, second, number, gone } => {
            let name = ["goods", "prices", "stock"][*table];
            let second = Some(["a", "b", "c"][usize::from(*second)].to_owned());
            let own = Some(format!("k{key}"));
            let row = |key| Row { key, number: number.map(i64::from), gone: *gone, seq };
            let row = if name == "goods" {
                let title = number.map(|number| format!("name {number}"));
                row(vec![own, title, second])
            } else {
                row(vec![own, second])
            };
            let len = if name == "goods" { 1 } else { 2 };
            let rows = inside.tables.entry(name).or_default();
            rows.retain(|other| other.key[..len] != row.key[..len]);
            rows.push(row);
        }
        Turn::Kind(key, there) => {
            let id = Some(["a", "b", "c"][usize::from(*key)].to_owned());
            let rows = inside.tables.entry("kinds").or_default();
            rows.retain(|row| row.key[0] != id);
            if *there {
                rows.push(Row { key: vec![id, Some(format!("title {seq}"))], number: None, gone: false, seq });
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
fn counters(report: &RunReport) -> Vec<(String, Vec<u64>)> {
    let counted = |sink: &obmen_runtime::report::SinkReport| {
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
        let some = Place::new("changes: { cursor: seq }", pipeline);
        let all = Place::new("changes: full, may_be_empty: true", pipeline);
        let mut now: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        for (seq, turn) in (1..).zip(turns.iter().chain([&Turn::Run { lose_answers: false }])) {
            happen(&some.world, turn, seq);
            happen(&all.world, turn, seq);
            if matches!(turn, Turn::Run { .. }) {
                let (one, other) = (some.run(now), all.run(now));
                prop_assert_eq!(counters(&one), counters(&other), "{:?}", one.sinks);
                let sent = |place: &Place| {
                    let mut sent = place.world.inside().sent.clone();
                    sent.sort();
                    sent
                };
                prop_assert_eq!(sent(&some), sent(&all), "{:?}", one.sinks);
                prop_assert_eq!(&some.world.inside().shop, &all.world.inside().shop);
                now += TimeDelta::hours(30);
            }
        }
    }
}

#[test]
fn a_change_of_one_row_looks_at_one_key() {
    let place = Place::new("changes: { cursor: seq }", 0);
    let now: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    let set = |table, key, number, seq| {
        let turn = Turn::Set { table, key, second: 0, number: Some(number), gone: false };
        happen(&place.world, &turn, seq);
    };
    for key in 0..7 {
        for table in 0..3 {
            set(table, key, 1, i64::from(key) + 1);
        }
    }
    let first = place.run(now);
    assert_eq!(first.sinks[0].acked, 7);
    assert!(first.sinks[0].compared.as_deref().unwrap().starts_with("everything: "));
    set(1, 3, 2, 100);
    let second = place.run(now);
    assert_eq!((second.sinks[0].read, second.sinks[0].unchanged, second.sinks[0].acked), (7, 6, 1));
    assert_eq!(second.sinks[0].compared.as_deref(), Some("1 affected keys of 7"));
    assert_eq!(place.run(now).sinks[0].compared.as_deref(), Some("0 affected keys of 7"));
}
