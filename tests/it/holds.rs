//! What waits for a person, and what a bad row must not do.

use crate::support::{Sandbox, Scene, count, sink};
use std::fmt::Write as _;

const CATALOGUE: &str = "fixtures/trade/Catalog_Номенклатура.csv";
const PRICES: &str = "fixtures/trade/InformationRegister_ЦеныНоменклатуры/SliceLast.csv";
const BOLT: &str = "a9360a41-5b63-11ec-8a4f-00155d0a3c17";

#[test]
fn a_row_that_fails_a_check_stays_in_the_shop_as_it_was() {
    let scene = Scene::of_repository();
    let sandbox = Sandbox::of(&scene);
    for pipeline in ["site_catalogue", "site_offers"] {
        scene.run(0, &format!("{pipeline} --profile sandbox"));
    }
    let good = format!("SELECT name, active, deleted FROM goods WHERE id = '{BOLT}'");
    let price = format!("SELECT price, active FROM prices JOIN offers ON id = offer WHERE offer = '{BOLT}'");
    let (good_before, price_before, requests) = (sandbox.rows(&good), sandbox.rows(&price), sandbox.requests("%"));
    scene.table(CATALOGUE).set(&[("Ref_Key", BOLT)], "Description", " ");
    scene.table(PRICES).set(&[("Номенклатура_Key", BOLT), ("ВидЦены", "Розничная")], "Цена", "-2.70");

    let report = scene.run(1, "site_catalogue --profile sandbox");
    assert_eq!([count(&report, "goods", "invalid"), count(&report, "goods", "sent")], [1, 0], "{report:#}");
    assert_eq!(sink(&report, "goods")["checks"]["good has a name"], 1);
    let report = scene.run(1, "site_offers --profile sandbox");
    assert_eq!([count(&report, "shop", "invalid"), count(&report, "shop", "sent")], [1, 0], "{report:#}");
    assert_eq!(sink(&report, "shop")["checks"]["price is positive"], 1, "{report:#}");
    assert_eq!((sandbox.rows(&good), sandbox.rows(&price)), (good_before, price_before));
    assert_eq!(sandbox.requests("%"), requests);
}

#[test]
fn a_source_that_broke_off_is_held_and_an_approval_lets_it_go() {
    let scene = Scene::of_repository();
    let sandbox = Sandbox::of(&scene);
    scene.run(0, "site_catalogue --profile sandbox");
    let requests = sandbox.requests("%");
    let whole = scene.read(CATALOGUE);
    scene.write(CATALOGUE, &scene.read("pipelines/fixtures/cut_off_goods.csv"));

    for _ in 0..2 {
        let report = scene.run(5, "site_catalogue --profile sandbox");
        assert_eq!(report["status"], "held");
        assert_eq!(sink(&report, "goods")["held_by"]["guard"], 292, "{report:#}");
    }
    assert_eq!(sandbox.requests("%"), requests, "nothing was sent");
    let holds = scene.json(0, "hold list --profile sandbox")["holds"].clone();
    assert_eq!(holds.as_array().unwrap().len(), 1, "one open hold per sink: {holds:#}");
    assert_eq!((&holds[0]["state"], &holds[0]["rows"]), (&"open".into(), &292.into()));

    // The next read is whole again: there is nothing left to ask.
    scene.write(CATALOGUE, &whole);
    scene.run(0, "site_catalogue --profile sandbox");
    assert_eq!(scene.json(0, "hold list --profile sandbox")["holds"], serde_json::json!([]));

    // This time it is true, and a person says so.
    scene.write(CATALOGUE, &scene.read("pipelines/fixtures/cut_off_goods.csv"));
    scene.run(5, "site_catalogue --profile sandbox");
    let hold = scene.json(0, "hold list --profile sandbox")["holds"][0]["hold"].clone();
    let shown = scene.json(0, &format!("hold show {hold} --profile sandbox"));
    assert_eq!(shown["changes"].as_array().unwrap().len(), 292);
    scene.obmen(&format!("hold approve {hold} --by Петрова --profile sandbox")).ends_with(0, "hold approve");
    let report = scene.run(0, "site_catalogue --profile sandbox");
    assert_eq!([count(&report, "goods", "deletes"), count(&report, "goods", "acked")], [292, 292], "{report:#}");
    assert_eq!(sandbox.number("SELECT count(*) FROM goods WHERE active AND NOT deleted"), 9);
}

#[test]
fn a_source_that_brings_nothing_is_held_however_small_the_shop_is() {
    let scene = Scene::empty();
    scene.write("pipelines/obmen.yaml", &adoption_project("false"));
    scene.write("pipelines/goods.yaml", ADOPTION);
    scene.write("data/theirs.csv", "id,name,price\n");
    scene.write("data/ours.csv", "id,name,price\n1,Болт,1.00\n2,Гайка,2.00\n");
    scene.run(0, "goods");
    scene.write("data/ours.csv", "id,name,price\n");
    let report = scene.run(5, "goods");
    assert_eq!([count(&report, "shop", "sent"), count(&report, "shop", "held")], [0, 2], "{report:#}");
}

const ADOPTION: &str = "\
pipeline: goods
sources:
  ours:
    connection: trade
    entity: ours
    columns: { id: long, name: string, price: \"decimal(15,2)\" }
    key: [id]
  theirs:
    connection: trade
    entity: theirs
    columns: { id: long, name: string, price: \"decimal(15,2)\" }
    key: [id]
    may_be_empty: true
sinks:
  shop: { connection: shop, entity: goods, from: ours, key: [id], deletes: mark }
";

fn adoption_project(production: &str) -> String {
    format!(
        "project: adoption\nprofiles:\n  live:\n    production: {production}\n    trade: {{ type: files, path: ../data, format: csv }}\n    shop: {{ type: files, path: ../out, format: jsonl }}\n"
    )
}

#[test]
fn adopting_a_shop_of_ten_thousand_goods_sends_the_three_that_differ() {
    let scene = Scene::empty();
    scene.write("pipelines/obmen.yaml", &adoption_project("true"));
    scene.write("pipelines/goods.yaml", ADOPTION);
    let (mut ours, mut theirs) = ("id,name,price\n".to_owned(), "id,name,price\n".to_owned());
    for id in 1..=10_000 {
        writeln!(ours, "{id},Товар {id},{}.50", id % 900).unwrap();
        let (name, price) = match id {
            17 => ("Товар старый".to_owned(), format!("{}.50", id % 900)),
            5_000 => (format!("Товар {id}"), "0.01".to_owned()),
            // The same sum, written otherwise.
            _ => (format!("Товар {id}"), format!("{}.5", id % 900)),
        };
        // One is not in the shop yet, one is in the shop and not ours.
        writeln!(theirs, "{},{name},{price}", if id == 9_999 { 20_000 } else { id }).unwrap();
    }
    scene.write("data/ours.csv", &ours);
    scene.write("data/theirs.csv", &theirs);

    let report = scene.run(5, "goods");
    assert_eq!([count(&report, "shop", "held"), count(&report, "shop", "sent")], [10_000, 0], "a first load is held");
    let adopted = scene.json(0, "baseline adopt goods shop --from theirs --by Петрова");
    for (what, rows) in [("equal", 9_997), ("different", 2), ("missing", 1), ("extra", 1)] {
        assert_eq!(adopted[what], rows, "{adopted:#}");
    }
    assert!(!scene.path("out").exists(), "adopting sends nothing");
    let report = scene.run(0, "goods");
    for (counter, rows) in [("read", 10_000), ("unchanged", 9_997), ("sent", 3), ("acked", 3), ("deletes", 0)] {
        assert_eq!(count(&report, "shop", counter), rows, "{report:#}");
    }
    let sent: Vec<String> = crate::support::files(&scene.path("out"))
        .iter()
        .flat_map(|file| std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(sent.len(), 3, "{sent:#?}");
    assert_eq!(count(&scene.run(0, "goods"), "shop", "sent"), 0);
}
