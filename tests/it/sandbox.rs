//! The pipelines of this repository over HTTP, from the simulated 1C into the simulated shop.
//!
//! What the shop should have is computed here from the CSV files of the 1C, without the product.

use crate::support::{NOTHING, Row, Sandbox, Scene, count, sink};
use obmen_sandbox::{Misbehaviour, ShopFault};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const CATALOGUE: &str = "fixtures/trade/Catalog_Номенклатура.csv";
const UNITS: &str = "fixtures/trade/Catalog_УпаковкиЕдиницыИзмерения.csv";
const PROPERTIES: &str = "fixtures/trade/ChartOfCharacteristicTypes_ДополнительныеРеквизитыИСведения.csv";
const VALUES: &str = "fixtures/trade/Catalog_Номенклатура_ДополнительныеРеквизиты.csv";
const PRICES: &str = "fixtures/trade/InformationRegister_ЦеныНоменклатуры/SliceLast.csv";
const STOCK: &str = "fixtures/trade/AccumulationRegister_ТоварыНаСкладах/Balance.csv";
const BOLT: &str = "a9360a41-5b63-11ec-8a4f-00155d0a3c17";
const OTHER_BOLT: &str = "b1d3baa8-c266-11ec-8a4f-00155d0a3c17";
const NEW_BOLT: &str = "99999999-0000-4000-8000-000000000001";
const CATALOGUE_SINKS: [&str; 3] = ["groups", "properties", "goods"];

/// A scene, its sandbox, and the first load done.
fn loaded() -> (Scene, Sandbox) {
    let scene = Scene::of_repository();
    let sandbox = Sandbox::of(&scene);
    run(&scene, 0, "site_catalogue");
    run(&scene, 0, "site_offers");
    (scene, sandbox)
}

fn run(scene: &Scene, code: i32, pipeline: &str) -> Value {
    scene.run(code, &format!("{pipeline} --profile sandbox"))
}

fn price_of(good: &str) -> [(&str, &str); 2] {
    [("Номенклатура_Key", good), ("ВидЦены", "Розничная")]
}

#[test]
fn the_shop_has_what_1c_has_and_nothing_is_sent_twice() {
    let (scene, sandbox) = loaded();
    the_shop_equals_1c(&scene, &sandbox);
    let (requests, reads) = (sandbox.requests("%"), sandbox.trade().state().requests);
    let report = run(&scene, 0, "site_catalogue");
    for name in CATALOGUE_SINKS {
        assert_eq!(count(&report, name, "sent"), 0);
    }
    assert_eq!(count(&run(&scene, 0, "site_offers"), "shop", "sent"), 0);
    assert!(sandbox.trade().state().requests > reads, "1C was asked");
    assert_eq!(sandbox.requests("%"), requests, "an empty difference does not even knock at the shop");
}

#[test]
fn one_changed_stock_and_one_changed_price_send_one_offer_each() {
    let (scene, sandbox) = loaded();
    let (files, bytes) = (sandbox.requests("file"), uploaded(&sandbox));
    let row = [("Номенклатура_Key", BOLT), ("Склад", "Основной")];
    scene.table(STOCK).set(&row, "ВНаличииBalance", "17.000");
    let report = run(&scene, 0, "site_offers");
    assert_eq!([count(&report, "shop", "sent"), count(&report, "shop", "updates")], [1, 1], "{report:#}");
    assert_eq!(offers_of_last_import(&sandbox), "1");
    assert_eq!(sandbox.requests("file"), files + 1);
    assert!(uploaded(&sandbox) - bytes < 3000, "the package holds one offer");
    assert_eq!(
        sandbox.rows(&format!("SELECT quantity FROM stock WHERE offer = '{BOLT}' AND warehouse = 'Основной'")),
        ["17"]
    );

    scene.table(PRICES).set(&price_of(BOLT), "Цена", "2.75");
    let report = run(&scene, 0, "site_offers");
    assert_eq!(count(&report, "shop", "sent"), 1);
    assert_eq!(offers_of_last_import(&sandbox), "1");
    the_shop_equals_1c(&scene, &sandbox);
}

#[test]
fn what_is_sold_out_arrives_as_zero() {
    let (scene, sandbox) = loaded();
    let row = [("Номенклатура_Key", BOLT), ("Склад", "Основной")];
    // A balance has no row for zero: what was sold out vanishes from the register.
    scene.table(STOCK).remove(&row);
    assert_eq!(count(&run(&scene, 0, "site_offers"), "shop", "updates"), 1);
    let stock = format!("SELECT quantity FROM stock WHERE offer = '{BOLT}' AND warehouse = 'Основной'");
    assert_eq!(sandbox.rows(&stock), ["0"]);
    let other: Vec<String> = rows(&scene, STOCK)
        .iter()
        .filter(|row| row["Номенклатура_Key"] == BOLT && row["Склад"] == "Магазин")
        .map(|row| exact(&row["ВНаличииBalance"]))
        .collect();
    assert_eq!(sandbox.rows(&stock.replace("Основной", "Магазин")), other);
    let total = sandbox.rows(&format!("SELECT quantity FROM offers WHERE id = '{BOLT}'"));
    assert_eq!(total, [other.first().map_or("0", String::as_str)]);
}

#[test]
fn a_good_deleted_in_1c_is_marked_in_the_shop_and_comes_back() {
    let (scene, sandbox) = loaded();
    scene.table(CATALOGUE).set(&[("Ref_Key", BOLT)], "DeletionMark", "true");
    let report = run(&scene, 0, "site_catalogue");
    assert_eq!([count(&report, "goods", "sent"), count(&report, "goods", "deletes")], [1, 1]);
    assert_eq!(count(&run(&scene, 0, "site_offers"), "shop", "deletes"), 1);
    let state = format!("SELECT active, deleted FROM goods WHERE id = '{BOLT}'");
    assert_eq!(sandbox.rows(&state), ["0|1"]);
    the_shop_equals_1c(&scene, &sandbox);
    scene.table(CATALOGUE).set(&[("Ref_Key", BOLT)], "DeletionMark", "false");
    assert_eq!(count(&run(&scene, 0, "site_catalogue"), "goods", "sent"), 1);
    assert_eq!(count(&run(&scene, 0, "site_offers"), "shop", "sent"), 1);
    assert_eq!(sandbox.rows(&state), ["1|0"]);
    the_shop_equals_1c(&scene, &sandbox);
}

#[test]
fn with_deletes_ignore_the_shop_keeps_what_1c_deleted() {
    let (scene, sandbox) = loaded();
    scene.edit("pipelines/site_catalogue.yaml", "deletes: mark", "deletes: ignore");
    scene.table(CATALOGUE).set(&[("Ref_Key", BOLT)], "DeletionMark", "true");
    let report = run(&scene, 0, "site_catalogue");
    assert_eq!(count(&report, "goods", "sent"), 0, "{report:#}");
    assert_eq!(sink(&report, "goods")["held_by"]["ignored"], 1);
    assert_eq!(sandbox.rows(&format!("SELECT active, deleted FROM goods WHERE id = '{BOLT}'")), ["1|0"]);
}

#[test]
fn an_offer_waits_for_its_refused_product_and_goes_later_by_itself() {
    let (scene, sandbox) = loaded();
    scene.table(CATALOGUE).copy(&[("Ref_Key", BOLT)], &[("Ref_Key", NEW_BOLT), ("Артикул", "NEW-1")]);
    scene.table(PRICES).copy(&price_of(BOLT), &[("Номенклатура_Key", NEW_BOLT), ("Цена", "1.15")]);
    scene.table(CATALOGUE).set(&[("Ref_Key", OTHER_BOLT)], "Description", "Болт «Другой»");
    sandbox.refuse_products(&[NEW_BOLT]);

    let report = run(&scene, 1, "site_catalogue");
    // The file is refused as a whole; the renamed good beside the guilty one arrives all the same.
    assert_eq!([count(&report, "goods", "acked"), count(&report, "goods", "rejected")], [1, 1], "{report:#}");
    let report = run(&scene, 0, "site_offers");
    assert_eq!(sink(&report, "shop")["held_by"]["waits"], 1, "{report:#}");
    assert_eq!(count(&report, "shop", "sent"), 0);
    assert_eq!(sandbox.number(&format!("SELECT count(*) FROM offers WHERE id = '{NEW_BOLT}'")), 0);

    let queue = scene.json(0, &format!("queue list --key {NEW_BOLT} --profile sandbox"));
    let mut waiting: Vec<(&str, &str)> = Vec::new();
    for change in queue["queue"].as_array().unwrap() {
        let reason = change["reason"].as_str().unwrap();
        let expected = if change["sink"] == "goods" { "отвергнут" } else { "waits for site_catalogue/goods" };
        assert!(reason.contains(expected), "{change:#}");
        waiting.push((change["pipeline"].as_str().unwrap(), change["outcome"].as_str().unwrap()));
    }
    waiting.sort_unstable();
    assert_eq!(waiting.len(), 2, "{queue:#}");
    assert_eq!(waiting[1], ("site_offers", "waits"));

    sandbox.refuse_products(&[]);
    let report = run(&scene, 0, "site_catalogue");
    assert_eq!([count(&report, "goods", "sent"), count(&report, "goods", "acked")], [1, 1], "{report:#}");
    assert_eq!(count(&run(&scene, 0, "site_offers"), "shop", "acked"), 1);
    let queue = scene.json(0, "queue list --profile sandbox");
    assert_eq!(queue["queue"].as_array().unwrap().len(), 0, "{queue:#}");
    the_shop_equals_1c(&scene, &sandbox);
}

#[test]
fn what_the_demo_delivered_says_nothing_about_the_shop() {
    let scene = Scene::of_repository();
    let sandbox = Sandbox::of(&scene);
    for pipeline in ["site_catalogue", "site_offers"] {
        scene.run(0, pipeline);
    }
    // The same goods are new to the shop of the other profile, and its offers wait for them there.
    let report = run(&scene, 0, "site_offers");
    assert_eq!(sink(&report, "shop")["held_by"]["waits"], 301, "{report:#}");
    assert_eq!(count(&run(&scene, 0, "site_catalogue"), "goods", "creates"), 301);
    assert_eq!(count(&run(&scene, 0, "site_offers"), "shop", "creates"), 301);
    the_shop_equals_1c(&scene, &sandbox);
    assert_eq!(count(&scene.run(0, "site_offers"), "shop", "sent"), 0);
}

#[test]
fn another_shop_at_another_address_knows_nothing() {
    let (scene, first) = loaded();
    let second = Sandbox::shop_only();
    let old = first.shop_connection("portion: 1000");
    let url = |connection: &str| connection.split('"').nth(1).unwrap().to_owned();
    scene.edit("pipelines/obmen.yaml", &url(&old), &url(&second.shop_connection("portion: 1000")));
    assert_eq!(count(&run(&scene, 0, "site_catalogue"), "goods", "creates"), 301);
    assert_eq!(second.number("SELECT count(*) FROM goods"), 301);
}

#[test]
fn a_pipeline_that_is_switched_off_sends_nothing() {
    let (scene, sandbox) = loaded();
    let requests = sandbox.requests("%");
    scene.table(PRICES).set(&price_of(BOLT), "Цена", "2.75");
    scene.edit("pipelines/site_offers.yaml", "enabled: manual", "enabled: false");
    let said = scene.obmen("run site_offers --profile sandbox");
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("switched off"), "{}", said.stderr);
    assert_eq!(sandbox.requests("%"), requests);

    scene.edit("pipelines/site_offers.yaml", "enabled: false", "enabled: shadow");
    let report = run(&scene, 0, "site_offers");
    assert_eq!(report["status"], "planned");
    assert_eq!([count(&report, "shop", "updates"), count(&report, "shop", "sent")], [1, 0], "{report:#}");
    assert_eq!(sandbox.requests("%"), requests, "a shadow does not touch the shop");

    scene.edit("pipelines/site_offers.yaml", "enabled: shadow", "enabled: manual");
    assert_eq!(count(&run(&scene, 0, "site_offers"), "shop", "sent"), 1);
}

#[test]
fn a_lost_answer_is_unknown_until_the_row_is_sent_again() {
    let (scene, sandbox) = loaded();
    scene.edit("pipelines/obmen.yaml", "import_pause: 5ms", "import_pause: 5ms, retries: 0");
    scene.table(PRICES).set(&price_of(BOLT), "Цена", "2.75");
    // The first answer to `import` is `progress`; the second one would say that it is done.
    sandbox.misbehave(vec![ShopFault::new(Misbehaviour::LoseAnswer).on("import").nth(2)]);
    let report = run(&scene, 1, "site_offers");
    assert_eq!([count(&report, "shop", "sent"), count(&report, "shop", "unknown")], [1, 1], "{report:#}");
    let queue = scene.json(0, "queue list site_offers --profile sandbox");
    assert_eq!(queue["queue"][0]["outcome"], "doubt", "{queue:#}");
    assert!(queue["queue"][0]["reason"].as_str().unwrap().contains("nobody knows"), "{queue:#}");
    sandbox.misbehave(Vec::new());
    let report = run(&scene, 0, "site_offers");
    assert_eq!([count(&report, "shop", "sent"), count(&report, "shop", "acked")], [1, 1], "{report:#}");
    the_shop_equals_1c(&scene, &sandbox);
}

/// Bytes the shop was sent.
fn uploaded(sandbox: &Sandbox) -> u64 {
    sandbox.number("SELECT coalesce(sum(bytes), 0) FROM requests")
}

/// How many offers the last file of the request log had, in the shop's words.
fn offers_of_last_import(sandbox: &Sandbox) -> String {
    let answers = sandbox
        .rows("SELECT answer FROM requests WHERE mode = 'import' AND answer LIKE 'success%' ORDER BY id DESC LIMIT 1");
    let (_, rest) = answers[0].split_once("предложений: ").unwrap();
    rest.split(',').next().unwrap().to_owned()
}

fn rows(scene: &Scene, file: &str) -> Vec<Row> {
    scene.table(file).rows().collect()
}

/// Compares everything: the tree, properties, goods, offers, prices, stock.
fn the_shop_equals_1c(scene: &Scene, sandbox: &Sandbox) {
    let items = rows(scene, CATALOGUE);
    let is = |row: &Row, column: &str| row[column] == "true";
    let goods: Vec<&Row> =
        items.iter().filter(|row| !is(row, "IsFolder") && !is(row, "DeletionMark") && is(row, "Публиковать")).collect();
    let sold: BTreeSet<&str> = goods.iter().map(|row| row["Ref_Key"].as_str()).collect();
    the_tree_equals(sandbox, &items);
    the_goods_equal(scene, sandbox, &goods);
    the_properties_equal(scene, sandbox, &sold);
    the_offers_equal(scene, sandbox, &sold);
}

fn the_tree_equals(sandbox: &Sandbox, items: &[Row]) {
    let groups = items.iter().filter(|row| row["IsFolder"] == "true" && row["DeletionMark"] == "false");
    let group = |row: &Row| {
        let parent = &row["Parent_Key"];
        let top = parent == "00000000-0000-0000-0000-000000000000";
        format!("{}|{}|{}", row["Ref_Key"], if top { NOTHING } else { parent }, row["Description"])
    };
    assert_eq!(sandbox.rows("SELECT id, parent, name FROM groups"), sorted(groups.map(group)));
}

fn the_goods_equal(scene: &Scene, sandbox: &Sandbox, goods: &[&Row]) {
    let units: BTreeMap<String, Row> =
        rows(scene, UNITS).into_iter().map(|row| (row["Ref_Key"].clone(), row)).collect();
    let vat = |written: &str| match written {
        "БезНДС" => "Без НДС".to_owned(),
        rate => rate.trim_start_matches("НДС").to_owned(),
    };
    let good = |row: &&Row| {
        let unit = &units[&row["ЕдиницаИзмерения_Key"]];
        let cells = [
            &row["Ref_Key"],
            &row["Description"],
            &row["Артикул"],
            unit["Description"].trim(),
            unit["Code"].trim(),
            &vat(&row["СтавкаНДС"]),
            &row["Описание"],
            &row["Parent_Key"],
        ];
        cells.map(or_nothing).join("|")
    };
    let there = sandbox.rows(
        "SELECT goods.id, name, sku, unit, unit_code, vat, description, group_id
         FROM goods LEFT JOIN goods_groups ON product = goods.id WHERE active AND NOT deleted",
    );
    assert_eq!(there, sorted(goods.iter().map(good)));
    let requisites = sandbox.rows(
        "SELECT product, value FROM goods_requisites JOIN goods ON goods.id = product
         WHERE active AND goods_requisites.name = 'Полное наименование'",
    );
    let full_names = goods.iter().map(|row| format!("{}|{}", row["Ref_Key"], row["НаименованиеПолное"]));
    assert_eq!(requisites, sorted(full_names));
}

fn the_properties_equal(scene: &Scene, sandbox: &Sandbox, sold: &BTreeSet<&str>) {
    let types: Vec<Row> = rows(scene, PROPERTIES).into_iter().filter(|row| row["DeletionMark"] == "false").collect();
    let property = |row: &Row| format!("{}|{}|{}", row["Ref_Key"], row["Description"], row["ТипЗначения"]);
    assert_eq!(sandbox.rows("SELECT id, name, kind FROM properties"), sorted(types.iter().map(property)));
    let known: BTreeSet<&str> = types.iter().map(|row| row["Ref_Key"].as_str()).collect();
    let values = rows(scene, VALUES).into_iter().filter(|row| {
        sold.contains(row["Ref_Key"].as_str())
            && known.contains(row["Свойство_Key"].as_str())
            && !row["Значение"].is_empty()
    });
    let value = |row: Row| format!("{}|{}|{}", row["Ref_Key"], row["Свойство_Key"], row["Значение"]);
    let there = sandbox
        .rows("SELECT product, property, value FROM goods_properties JOIN goods ON goods.id = product WHERE active");
    assert_eq!(there, sorted(values.map(value)));
}

fn the_offers_equal(scene: &Scene, sandbox: &Sandbox, sold: &BTreeSet<&str>) {
    let there = sandbox.rows("SELECT id FROM offers WHERE active");
    assert_eq!(there, sold.iter().map(|&good| good.to_owned()).collect::<Vec<_>>());
    let prices = rows(scene, PRICES).into_iter().filter(|row| sold.contains(row["Номенклатура_Key"].as_str()));
    let price =
        |row: Row| format!("{}|{}|{}|{}", row["Номенклатура_Key"], row["ВидЦены"], exact(&row["Цена"]), row["Валюта"]);
    let there = sandbox
        .rows("SELECT offer, price_type, price, prices.currency FROM prices JOIN offers ON id = offer WHERE active")
        .into_iter()
        .map(|row| {
            let cells: Vec<&str> = row.split('|').collect();
            format!("{}|{}|{}|{}", cells[0], cells[1], exact(cells[2]), cells[3])
        });
    assert_eq!(sorted(there), sorted(prices.map(price)));

    let shown = |row: &Row| ["Основной", "Магазин"].contains(&row["Склад"].as_str());
    let stock =
        rows(scene, STOCK).into_iter().filter(|row| sold.contains(row["Номенклатура_Key"].as_str()) && shown(row));
    // Below zero means none; a warehouse that is zero and one that is not there are the same to a buyer.
    let quantity = |row: &Row| {
        if row["ВНаличииBalance"].starts_with('-') {
            "0".to_owned()
        } else {
            exact(&row["ВНаличииBalance"])
        }
    };
    let stock = stock.map(|row| format!("{}|{}|{}", row["Номенклатура_Key"], row["Склад"], quantity(&row)));
    let there =
        sandbox.rows("SELECT offer, warehouse, stock.quantity FROM stock JOIN offers ON id = offer WHERE active");
    let some = |rows: Vec<String>| rows.into_iter().filter(|row| !row.ends_with("|0")).collect::<Vec<_>>();
    assert_eq!(some(there), some(sorted(stock)));
}

/// A decimal without zeros at its end.
fn exact(number: &str) -> String {
    match number.split_once('.') {
        Some((whole, part)) if part.trim_end_matches('0').is_empty() => whole.to_owned(),
        Some((whole, part)) => format!("{whole}.{}", part.trim_end_matches('0')),
        None => number.to_owned(),
    }
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { NOTHING } else { text }
}

fn sorted(rows: impl Iterator<Item = String>) -> Vec<String> {
    let mut rows: Vec<String> = rows.collect();
    rows.sort();
    rows
}
