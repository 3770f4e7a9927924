//! The first quarter of an hour with the product: the demo profile, files in, files out.

use crate::support::{Scene, count, files, sink};
use serde_json::{Value, json};

const BOLT: &str = "a9360a41-5b63-11ec-8a4f-00155d0a3c17";
const PRICES: &str = "fixtures/trade/InformationRegister_ЦеныНоменклатуры/SliceLast.csv";

#[test]
fn a_catalogue_and_its_offers_arrive_in_the_folder_once() {
    let scene = Scene::of_repository();
    let report = scene.run(0, "site_catalogue");
    assert_eq!(count(&report, "goods", "acked"), 301);
    assert_eq!(packages(&scene), ["import0_1.xml"]);
    let report = scene.run(0, "site_offers");
    assert_eq!(count(&report, "shop", "acked"), 301);
    assert_eq!(packages(&scene), ["import0_1.xml", "offers0_1.xml"]);

    for (pipeline, sinks) in [("site_catalogue", &["groups", "properties", "goods"][..]), ("site_offers", &["shop"])] {
        let report = scene.run(0, pipeline);
        for name in sinks {
            assert_eq!(count(&report, name, "sent"), 0, "{report:#}");
            assert_eq!(count(&report, name, "read"), count(&report, name, "unchanged"));
        }
        let plan = scene.obmen(&format!("plan {pipeline} --detailed-exitcode"));
        plan.ends_with(0, "plan of nothing");
    }
    assert_eq!(packages(&scene).len(), 2, "a run without changes writes nothing");
}

#[test]
fn a_changed_price_is_planned_sent_and_journaled_from_old_to_new() {
    let scene = Scene::of_repository();
    scene.run(0, "site_catalogue");
    scene.run(0, "site_offers");
    scene.table(PRICES).set(&[("Номенклатура_Key", BOLT), ("ВидЦены", "Розничная")], "Цена", "2.75");

    let plan = scene.json(4, "plan site_offers --detailed-exitcode");
    let planned = sink(&plan, "shop");
    assert_eq!([&planned["creates"], &planned["updates"], &planned["deletes"]], [0, 1, 0]);
    let changes = planned["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{plan:#}");
    is_the_price_change(&changes[0]);
    assert_eq!(packages(&scene).len(), 2, "a plan sends nothing");

    let report = scene.run(0, &format!("site_offers --plan {}", plan["plan"].as_str().unwrap()));
    for (counter, expected) in [("sent", 1), ("acked", 1), ("updates", 1), ("unchanged", 300)] {
        assert_eq!(count(&report, "shop", counter), expected, "{report:#}");
    }
    assert_eq!(packages(&scene).len(), 3);
    let newest = files(&scene.path(".obmen/shop")).pop().unwrap();
    let package = std::fs::read_to_string(newest).unwrap();
    assert_eq!(package.matches("<Предложение>").count(), 1, "{package}");
    assert!(package.contains(BOLT) && package.contains("<ЦенаЗаЕдиницу>2.75</ЦенаЗаЕдиницу>"), "{package}");

    let journal = scene.json(0, &format!("journal site_offers --key {BOLT} --limit 1"));
    let sent = &journal["changes"][0];
    is_the_price_change(sent);
    assert_eq!([&sent["outcome"], &sent["run"]], [&json!("acked"), &report["run"]]);
}

#[test]
fn a_plan_is_refused_when_the_world_moved_since() {
    let scene = Scene::of_repository();
    scene.run(0, "site_catalogue");
    scene.run(0, "site_offers");
    let price = [("Номенклатура_Key", BOLT), ("ВидЦены", "Розничная")];
    scene.table(PRICES).set(&price, "Цена", "2.75");
    let plan = scene.json(0, "plan site_offers");
    scene.table(PRICES).set(&price, "Цена", "2.80");
    let words = format!("run site_offers --plan {}", plan["plan"].as_str().unwrap());
    let said = scene.obmen(&words).ends_with(5, &words);
    assert!(said.stderr.contains("the world moved"), "{}", said.stderr);
    assert_eq!(packages(&scene).len(), 2, "nothing was sent");
}

/// The retail price of the bolt from 2.70 to 2.75, and nothing else.
fn is_the_price_change(change: &Value) {
    assert_eq!(change["op"], "update");
    assert_eq!(change["key"], json!({ "id": BOLT }));
    let columns = change["columns"].as_object().unwrap();
    assert_eq!(columns.keys().collect::<Vec<_>>(), ["prices"], "{change:#}");
    let retail = |prices: &Value| {
        let of_kind = |kind: &str| {
            let part = prices.as_array().unwrap().iter().find(|part| part["price_type"] == kind).unwrap();
            part["price"].as_str().unwrap().to_owned()
        };
        assert_eq!(of_kind("Оптовая"), "2.24");
        of_kind("Розничная")
    };
    assert_eq!([retail(&columns["prices"][0]), retail(&columns["prices"][1])], ["2.70", "2.75"], "{change:#}");
}

/// Names of the files the shop's folder got, in the order they came.
fn packages(scene: &Scene) -> Vec<String> {
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files(&scene.path(".obmen/shop")).iter().map(name).collect()
}

/// The one-liner of the runtime's page; DuckDB is a Python package that CI installs.
#[test]
#[expect(clippy::disallowed_methods, reason = "whether services are required is said by the environment of the tests")]
fn duckdb_reads_the_rows_of_a_baseline() {
    let duckdb = std::process::Command::new("python3").args(["-c", "import duckdb"]).output();
    if !duckdb.is_ok_and(|output| output.status.success()) {
        let required = std::env::var("OBMEN_TEST_SERVICES").is_ok_and(|value| value == "required");
        assert!(!required, "python3 with the package duckdb is required here");
        println!("skipped: there is no python3 with the package duckdb");
        return;
    }
    let scene = Scene::of_repository();
    scene.run(0, "site_catalogue");
    let script = "import duckdb, json, sys\nrows = duckdb.sql(open(sys.argv[1]).read())\n\
                  [print(json.dumps(dict(zip(rows.columns, row)), ensure_ascii=False)) for row in rows.fetchall()]";
    for (sink, rows) in [("groups", 31), ("properties", 12)] {
        let list = scene.path(&format!(".obmen/demo/baseline/site_catalogue.{sink}.sql"));
        let output = std::process::Command::new("python3").args(["-c", script]).arg(&list).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = |text: &str| {
            let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            lines.sort_by_key(|line| line["id"].to_string());
            lines
        };
        let theirs = lines(&String::from_utf8(output.stdout).unwrap());
        let preview = scene.obmen(&format!("preview site_catalogue {sink} --limit 1000 --output json"));
        assert_eq!(theirs, lines(&preview.stdout));
        assert_eq!(theirs.len(), rows);
    }
}
