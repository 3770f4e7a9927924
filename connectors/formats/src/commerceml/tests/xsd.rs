//! What is written is valid against the official schemas, where they and `xmllint` are at hand.

use super::build::{batch, changes, children, decimals, options, target, texts};
use crate::commerceml::{DeleteStyle, Package, PackageSettings, package};
use obmen_sdk::Op;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package with everything in it: all entities, all columns, creates and deletes.
fn everything() -> Package {
    let groups = batch(vec![
        ("id", texts([Some("g1"), Some("g2")])),
        ("parent", texts([None, Some("g1")])),
        ("name", texts([Some("Крепёж"), Some("Болты")])),
    ]);
    let values = vec![("id", texts([Some("v1")])), ("value", texts([Some("Сталь")]))];
    let properties = batch(vec![
        ("id", texts([Some("p1"), Some("p2")])),
        ("name", texts([Some("Материал"), Some("Длина")])),
        ("kind", texts([None, Some("Число")])),
        ("values", children(values, &[1, 0])),
    ]);
    let price_types = batch(vec![
        ("id", texts([Some("t1")])),
        ("name", texts([Some("Розница")])),
        ("currency", texts([Some("RUB")])),
    ]);
    let warehouses =
        batch(vec![("id", texts([Some("w1"), Some("w2")])), ("name", texts([Some("Основной"), Some("Магазин")]))]);
    let same = |text| texts([Some(text), Some(text)]);
    let own = vec![("property", texts([Some("p1"), Some("p2")])), ("value", texts([Some("v1"), None]))];
    let goods = batch(vec![
        ("ref", texts([Some("1"), Some("2")])),
        ("sku", same("B-M8")),
        ("barcode", same("4600000000017")),
        ("name", same("Болт \u{2}<М8>")),
        ("full_name", same("Болт М8 DIN 933")),
        ("unit_code", same("796")),
        ("unit_name", same("шт")),
        ("group", same("g2")),
        ("description", same("Описание & прочее")),
        ("vat_rate", same("20")),
        ("weight", decimals(3, [Some(21), Some(1_000)])),
        ("country", same("РОССИЯ")),
        ("manufacturer", same("Завод")),
        ("kind", same("Товар")),
        ("colour", same("синий")),
        ("properties", children(own, &[2, 0])),
    ]);
    let prices = vec![
        ("price_type", same("t1")),
        ("price", decimals(2, [Some(1250), Some(99_999)])),
        ("currency", texts([Some("RUB"), None])),
    ];
    let stock = vec![
        ("warehouse", texts([Some("w1"), Some("w2"), Some("w1")])),
        ("quantity", decimals(3, [Some(1), Some(-2_500), Some(0)])),
    ];
    let offers = batch(vec![
        ("id", texts([Some("1"), Some("1#c")])),
        ("name", same("Болт")),
        ("sku", same("B-M8")),
        ("barcode", same("46000000")),
        ("unit_code", texts([Some("166"), None])),
        ("prices", children(prices, &[1, 1])),
        ("stock", children(stock, &[2, 1])),
    ]);
    let mut goods_target = target("goods", &goods);
    goods_target.options = options("requisites: { colour: Цвет }");
    let targets = [
        target("groups", &groups),
        target("properties", &properties),
        target("price_types", &price_types),
        target("warehouses", &warehouses),
        goods_target,
        target("offers", &offers),
    ];
    let mut settings = PackageSettings::new("2026-03-01T10:15:00".parse().unwrap());
    settings.delete_style = DeleteStyle::Attr;
    let mut all: Vec<_> = [groups, properties, price_types, warehouses, goods, offers]
        .into_iter()
        .zip(0..)
        .map(|(rows, at)| changes(at, Op::Create, u64::try_from(at).unwrap() * 10, rows))
        .collect();
    all[4].ops[1] = Op::Delete;
    all[5].ops[1] = Op::Delete;
    let made = package(&targets, &settings, &all).unwrap();
    assert_eq!(made.rejected, []);
    made
}

#[test]
fn everything_is_valid_against_the_official_schemas() {
    let samples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples/commerceml");
    if !samples.exists() || Command::new("xmllint").arg("--version").output().is_err() {
        println!("skipped: no xmllint, or no schemas beside the checkout");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for file in everything().files {
        let path = folder.path().join(file.name);
        std::fs::write(&path, &file.bytes).unwrap();
        for schema in ["commerceml-2.08.xsd", "commerceml-2.09.xsd", "commerceml-2.10.xsd"] {
            validate(&samples.join(schema), &path);
        }
    }
}

fn validate(schema: &Path, file: &Path) {
    let output = Command::new("xmllint").arg("--noout").arg("--schema").arg(schema).arg(file).output().unwrap();
    assert!(output.status.success(), "{}: {}", schema.display(), String::from_utf8_lossy(&output.stderr));
}
