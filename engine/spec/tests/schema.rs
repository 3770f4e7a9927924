//! The JSON Schemas know exactly the keys the reader knows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use obmen_diagnostics::{Files, Problems};
use obmen_spec::pipeline::Pipeline;
use obmen_spec::project::Project;
use obmen_spec::test_file::TestFile;
use obmen_spec::{Node, schema, yaml};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Every key of a pipeline that works today, at least once.
const PIPELINE: &str = r#"
pipeline: site_offers
description: Changed prices and stock from 1C to the web shop, every hour
schedule: { cron: "0 * * * *", timezone: Europe/Moscow, overlap: skip, every: 1h }
enabled: false
vars:
  warehouses: { type: list, default: [Основной, Магазин] }
sources:
  goods:
    connection: trade
    entity: Catalog_Номенклатура
    columns: { Ref_Key: uuid, Артикул: string }
    key: [Ref_Key]
    changes: { inbox: {} }
    on_bad_row: stop
    may_be_empty: true
steps:
  offers: |
    SELECT Ref_Key AS id FROM goods
checks:
  - { of: offers, name: price is positive, expect: "price > 0", otherwise: reject }
sinks:
  shop:
    connection: shop
    entity: offers
    from: offers
    key: [id]
    columns: { id: string }
    children:
      prices: { from: offers, by: [id], key: [price_type] }
    compare: [prices]
    after: { sink: site_catalogue/goods, by: [id] }
    deletes: mark
    scope: "id IN ($warehouses)"
    guard: { deletes: 5%, updates: 100, at_least: 20 }
  other:
    connection: shop
    entity: offers
    from: offers
    key: [id]
    after: [{ sink: shop, by: [id] }]
    guard: off
"#;

const PROJECT: &str = r"
project: trade
profile: demo
memory: 512MB
feeds:
  site: { connection: trade, plan: ExchangePlan_ДляОбмена, node: Сайт }
crosswalks:
  orders: { kind: one_to_one }
profiles:
  demo:
    production: true
    segments: { path: s3://obmen/state }
    trade: { type: files, changes: full }
";

const TESTS: &str = r#"
pipeline: site_offers
clock: "2026-11-22T10:00:00+03:00"
tests:
  - name: a price change is sent once, and again after a refusal
    steps:
      - given:
          sources: { goods: fixtures/goods.csv, prices: [], stock: { table: "| id |" } }
          patch: { prices: [ { id: "…", Цена: 134.90 } ] }
          remove: { prices: [ { id: "…" } ] }
          acked: [ site_catalogue/goods ]
          sinks: { shop: ack_all, other: { reply: [ { key: { id: "…" }, reject: "unknown category", class: data, altered: true } ] } }
          vars: { a: 1 }
          clock: "2026-11-22T10:00:00+03:00"
        then:
          sink: shop
          changes: { exact: [ { op: update, key: { id: "…" }, prices: { Розничная: { price: [129.90, 134.90] } } } ] }
          read: 1
          unchanged: 1
          invalid: 0
          due: 1
          sent: 1
          pending: 0
          acked: 1
          accepted: 0
          rejected: 1
          unknown: 0
          creates: 1
          updates: 1
          deletes: 1
          queue: empty
          held: guard
          checks: { price is positive: 1 }
          relations: { offers: [] }
      - then: [ { acked: 1 } ]
"#;

fn tree(text: &str) -> Node {
    let (mut files, mut problems) = (Files::new(), Problems::new());
    let node = yaml::parse(files.add("a.yaml", text), text, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    node.unwrap()
}

/// Walks a document along a schema and notes which keys of which definition it uses; a key the schema does not know is
/// an error.
struct Walk<'s> {
    root: &'s Value,
    used: BTreeMap<String, BTreeSet<String>>,
}

impl<'s> Walk<'s> {
    /// The alternatives of a schema, with the name of the definition each comes from.
    fn alternatives(&self, name: &str, schema: &'s Value) -> Vec<(String, &'s Value)> {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix("#/$defs/").unwrap();
            return self.alternatives(target, &self.root["$defs"][target]);
        }
        match schema.get("anyOf").and_then(Value::as_array) {
            Some(any) => any.iter().flat_map(|schema| self.alternatives(name, schema)).collect(),
            None => vec![(name.to_owned(), schema)],
        }
    }

    fn go(&mut self, name: &str, schema: &'s Value, value: &serde_yaml::Value) {
        let alternatives = self.alternatives(name, schema);
        match value {
            serde_yaml::Value::Sequence(list) => {
                let items = alternatives.iter().find_map(|(name, schema)| Some((name, schema.get("items")?)));
                if let Some((name, items)) = items {
                    for value in list {
                        self.go(name, items, value);
                    }
                }
            }
            serde_yaml::Value::Mapping(map) => {
                // what is inside `segments` is said by whoever opens it
                let unsaid =
                    |schema: &Value| schema.get("properties").is_none() && schema.get("additionalProperties").is_none();
                let open = alternatives.iter().any(|(_, schema)| {
                    *schema == &json!(true) || schema.get("propertyNames").is_some() || unsaid(schema)
                });
                for (key, value) in map {
                    let key = key.as_str().unwrap();
                    let known = alternatives
                        .iter()
                        .find_map(|(name, schema)| Some((name, schema.get("properties")?.get(key)?)));
                    let more = alternatives
                        .iter()
                        .find_map(|(name, schema)| Some((name, schema.get("additionalProperties")?)));
                    match (known, more) {
                        (Some((name, schema)), _) => {
                            self.used.entry(name.clone()).or_default().insert(key.to_owned());
                            self.go(name, schema, value);
                        }
                        (None, Some((name, schema))) if schema != &json!(false) => self.go(name, schema, value),
                        _ => assert!(open, "`{key}` is not in the schema of {name}"),
                    }
                }
            }
            _ => {}
        }
    }
}

/// The properties of every definition, the whole document among them.
fn properties(schema: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let keys =
        |schema: &Value| schema["properties"].as_object().map(|map| map.keys().cloned().collect::<BTreeSet<_>>());
    let mut all = BTreeMap::from([(String::new(), keys(schema).unwrap())]);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        all.extend(keys(definition).map(|keys| (name.clone(), keys)));
    }
    all
}

fn used(schema: &Value, text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut walk = Walk { root: schema, used: BTreeMap::new() };
    walk.go("", schema, &serde_yaml::from_str(text).unwrap());
    walk.used
}

#[test]
fn every_key_of_the_schema_is_read_and_every_example_fits() {
    let documents = [
        (schema::pipeline(schema::Options::default()), PIPELINE),
        (schema::project(schema::Options::default()), PROJECT),
        (schema::tests(), TESTS),
    ];
    for (schema, text) in documents {
        assert_eq!(used(&schema, text), properties(&schema), "the example above uses every key");
    }
    let mut problems = Problems::new();
    let pipeline = Pipeline::read(&tree(PIPELINE), &mut problems);
    let project = Project::read(&tree(PROJECT), &mut problems);
    TestFile::read(&tree(TESTS), &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    let (pipeline, project) = (pipeline.unwrap(), project.unwrap());
    // A common key that the reader did not know would be left to the connector.
    let options = pipeline.sources.iter().map(|(_, source)| &source.options);
    let options = options.chain(pipeline.sinks.iter().map(|(_, sink)| &sink.options));
    let profiles = project.profiles.iter().flat_map(|(_, profile)| profile.connections.iter());
    for node in options.chain(profiles.map(|(_, connection)| &connection.settings)) {
        assert!(node.as_map().unwrap().entries.is_empty(), "{node:?}");
    }
}

/// Keys the reader understands only to refuse them; an editor must not offer them.
const LATER: &[&str] = &["engine", "gate", "match", "reconcile", "route"];

#[test]
fn every_key_the_reader_knows_is_in_the_schema() {
    let known = |problems: &Problems| -> BTreeSet<String> {
        let found = problems.iter().find(|found| found.message.contains("`0`")).unwrap();
        found.help[0]
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .filter(|key| !LATER.contains(&key.as_str()))
            .collect()
    };
    let pipelines = [
        ("", "pipeline: a\n0: 1"),
        ("Schedule", "schedule: { 0: 1 }"),
        ("Var", "vars: { a: { 0: 1 } }"),
        ("Check", "checks: [ { 0: 1 } ]"),
        ("Child", "sinks: { a: { children: { a: { 0: 1 } } } }"),
        ("After", "sinks: { a: { after: { 0: 1 } } }"),
        ("Guard", "sinks: { a: { guard: { 0: 1 } } }"),
    ];
    let all = properties(&schema::pipeline(schema::Options::default()));
    for (name, text) in pipelines {
        let mut problems = Problems::new();
        Pipeline::read(&tree(text), &mut problems);
        assert_eq!(known(&problems), all[name], "{name}");
    }
    let tests = [
        ("", "0: 1"),
        ("Test", "tests: [ { 0: 1 } ]"),
        ("TestStep", "tests: [ { steps: [ { 0: 1 } ] } ]"),
        ("Given", "tests: [ { steps: [ { given: { 0: 1 } } ] } ]"),
        ("Then", "tests: [ { steps: [ { then: { 0: 1 } } ] } ]"),
    ];
    let all = properties(&schema::tests());
    for (name, text) in tests {
        let mut problems = Problems::new();
        TestFile::read(&tree(text), &mut problems);
        assert_eq!(known(&problems), all[name], "{name}");
    }
}

#[test]
fn every_property_is_described_and_nothing_is_null() {
    for schema in
        [schema::pipeline(schema::Options::default()), schema::project(schema::Options::default()), schema::tests()]
    {
        let text = schema.to_string();
        assert!(!text.contains("\"null\""), "{text}");
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let definitions = schema["$defs"].as_object().unwrap().values().chain([&schema]);
        for (key, property) in definitions.filter_map(|definition| definition["properties"].as_object()).flatten() {
            assert!(property["description"].is_string(), "{key} has no description");
        }
    }
}

#[test]
fn connectors_add_their_options() {
    #[derive(schemars::JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Options {
        /// What stands between two cells.
        delimiter: Option<String>,
    }
    let more = schemars::schema_for!(Options);
    let options = [("files", &more)];
    let given = schema::Options { connections: &options, sources: &options, sinks: &options, segments: Some(&more) };
    let pipeline = schema::pipeline(given);
    for definition in ["Source", "Sink"] {
        let added = &pipeline["$defs"][definition]["properties"]["delimiter"];
        assert_eq!(added["description"], "What stands between two cells.");
    }
    let project = schema::project(given);
    assert_eq!(project["$defs"]["Connection"]["properties"]["type"]["enum"], json!(["files"]));
    assert!(project["$defs"]["Connection"]["properties"]["delimiter"].is_object());
    let segments = &project["$defs"]["Profile"]["properties"]["segments"];
    assert_eq!(segments["properties"]["delimiter"]["description"], "What stands between two cells.");
    assert!(segments["description"].as_str().unwrap().starts_with("An object store"), "{segments}");
}
