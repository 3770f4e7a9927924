//! What is written for changes, and what is refused.

use super::build::{batch, changes, children, decimals, no_options, options, target, texts};
use super::{Everything, read_all};
use crate::commerceml::{DeleteStyle, Package, PackageSettings, abilities, check_target, package};
use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use obmen_diagnostics::{FileId, Problems, Span};
use obmen_sdk::{Changes, Op, Outcome, RejectClass, RowId, SinkCheck, SinkTarget};
use std::sync::Arc;

fn settings() -> PackageSettings {
    PackageSettings::new("2026-03-01T10:15:00".parse().unwrap())
}

fn text_of(package: &Package, name: &str) -> String {
    let file = package.files.iter().find(|file| file.name == name).unwrap_or_else(|| panic!("no {name}"));
    String::from_utf8(file.bytes.clone()).unwrap()
}

fn read_back(package: &Package, file: &str, relation: &str) -> Everything {
    read_all(relation, text_of(package, file).as_bytes())
}

fn one(target: SinkTarget, changes: Changes) -> Package {
    package(&[target], &settings(), &[changes]).unwrap()
}

fn reason(package: &Package) -> (RejectClass, String) {
    match &package.rejected[..] {
        [(_, Outcome::Rejected { altered: false, class, reason })] => (*class, reason.clone()),
        other => panic!("{other:?}"),
    }
}

/// Offers with one price and two warehouses.
fn offers(price: i128, stock: [i128; 2]) -> RecordBatch {
    let prices = vec![
        ("price_type", texts([Some("Розничная")])),
        ("price", decimals(2, [Some(price)])),
        ("currency", texts([Some("RUB")])),
    ];
    let stock =
        vec![("warehouse", texts([Some("Магазин"), Some("Основной")])), ("quantity", decimals(3, stock.map(Some)))];
    batch(vec![
        ("code", texts([Some("g1#c1")])),
        ("name", texts([Some("Болт М8×40")])),
        ("prices", children(prices, &[1])),
        ("stock", children(stock, &[2])),
    ])
}

#[test]
fn an_offer_has_its_prices_and_stock_together() {
    let rows = offers(129_900, [500, 1_000]);
    let package = one(target("offers", &rows), changes(0, Op::Create, 7, rows));
    assert_eq!(package.files.len(), 1);
    assert_eq!(package.files[0].rows, [RowId(7)]);
    let text = text_of(&package, "offers0_1.xml");
    assert!(text.starts_with("\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
    assert!(text.contains("<ПакетПредложений СодержитТолькоИзменения=\"true\">"));
    let line = |relation| read_back(&package, "offers0_1.xml", relation).line(0);
    assert_eq!(line("offers"), "g1#c1 | g1 | c1 | - | Болт М8×40 | - | - | - | 1.5");
    assert_eq!(line("prices"), "g1#c1 | Розничная | 1299 | RUB | - | 1");
    assert_eq!(line("price_types"), "Розничная | Розничная | RUB");
    assert_eq!(read_back(&package, "offers0_1.xml", "warehouses").rows.len(), 2);
    assert!(text.contains("<ЦенаЗаЕдиницу>1299.00</ЦенаЗаЕдиницу>"));
}

#[test]
fn a_warehouse_that_is_gone_is_sent_as_zero() {
    let before = offers(100, [500, 1_000]);
    let stock = vec![("warehouse", texts([Some("Магазин")])), ("quantity", decimals(3, [Some(500)]))];
    let mut columns: Vec<ArrayRef> = before.columns().to_vec();
    columns[3] = children(stock, &[1]);
    let now = RecordBatch::try_new(before.schema(), columns).unwrap();
    let mut update = changes(0, Op::Update, 1, now.clone());
    update.old = before;
    let package = one(target("offers", &now), update);
    let stock = read_back(&package, "offers0_1.xml", "stock");
    assert_eq!([stock.line(0), stock.line(1)], ["g1#c1 | Магазин | 0.5", "g1#c1 | Основной | 0"]);
    assert_eq!(read_back(&package, "offers0_1.xml", "offers").column("offers", "quantity"), [Some("0.5")]);
}

#[test]
fn a_deleted_offer_has_nothing_left() {
    let rows = offers(100, [500, 1_000]);
    let package = one(target("offers", &rows), changes(0, Op::Delete, 1, rows));
    let stock = read_back(&package, "offers0_1.xml", "stock");
    assert_eq!(stock.column("stock", "quantity"), [Some("0"), Some("0")]);
    assert_eq!(read_back(&package, "offers0_1.xml", "offers").column("offers", "quantity"), [Some("0")]);
    assert_eq!(read_back(&package, "offers0_1.xml", "prices").rows.len(), 1);
}

#[test]
fn deletes_are_spelled_as_asked() {
    let rows = batch(vec![("id", texts([Some("1")])), ("name", texts([Some("Болт")])), ("group", texts([Some("g")]))]);
    let goods = target("goods", &rows);
    for (style, attr, element, flag) in [
        (DeleteStyle::Attr, true, false, false),
        (DeleteStyle::Element, false, true, false),
        (DeleteStyle::Flag, false, false, true),
        (DeleteStyle::All, true, true, true),
    ] {
        let settings = PackageSettings { delete_style: style, ..settings() };
        let made =
            package(std::slice::from_ref(&goods), &settings, &[changes(0, Op::Delete, 1, rows.clone())]).unwrap();
        let text = text_of(&made, "import0_1.xml");
        assert_eq!(text.contains("<Товар Статус=\"Удален\">"), attr, "{style:?}");
        assert_eq!(text.contains("<Статус>Удален</Статус>"), element, "{style:?}");
        assert_eq!(text.contains("<ПометкаУдаления>true</ПометкаУдаления>"), flag, "{style:?}");
        assert!(text.contains("<БазоваяЕдиница/>") && text.contains("<Группы>"), "mandatory fields are there");
        assert_eq!(read_back(&made, "import0_1.xml", "goods").column("goods", "deleted"), [Some("true")]);
    }
}

#[test]
fn a_delete_needs_the_last_known_name() {
    let rows = batch(vec![("id", texts([Some("1")])), ("name", texts([None]))]);
    let made = one(target("goods", &rows), changes(0, Op::Delete, 1, rows));
    let (class, reason) = reason(&made);
    assert_eq!(class, RejectClass::Data);
    assert_eq!(reason, "cannot be marked as deleted: the last known `name` is empty, CommerceML needs it");
    assert!(made.files.is_empty(), "nothing is left to send");
}

#[test]
fn values_over_the_limits_are_refused_whole() {
    let long = "я".repeat(256);
    let cases: Vec<(&str, ArrayRef, &str)> = vec![
        ("name", texts([Some(long.as_str())]), "`name` has 256 characters, CommerceML takes at most 255"),
        ("barcode", texts([Some("123")]), "`barcode` has 3 characters, CommerceML takes 8 to 14: 123"),
        ("unit_code", texts([Some("1")]), "`unit_code` has 1 characters, CommerceML takes 3 to 4: 1"),
        ("name", texts([Some(" \u{1} ")]), "`name` is empty, CommerceML needs it"),
    ];
    for (column, value, expected) in cases {
        let mut columns = vec![("id", texts([Some("1")])), (column, value)];
        if column != "name" {
            columns.push(("name", texts([Some("Болт")])));
        }
        let rows = batch(columns);
        let made = one(target("goods", &rows), changes(0, Op::Create, 1, rows));
        let (class, reason) = reason(&made);
        assert!(reason.starts_with(expected), "{reason}");
        assert_eq!((class, made.files.len()), (RejectClass::Data, 0));
    }
    let prices = vec![("price_type", texts([Some("a")])), ("price", decimals(4, [Some(12_345)]))];
    let rows =
        batch(vec![("id", texts([Some("1")])), ("name", texts([Some("Болт")])), ("prices", children(prices, &[1]))]);
    let made = one(target("offers", &rows), changes(0, Op::Create, 1, rows));
    assert_eq!(reason(&made).1, "prices: `price` is 1.2345, CommerceML takes two digits after the point");
}

#[test]
fn groups_are_a_tree_with_parents_first() {
    let rows = |id: &[&str], parent: &[Option<&str>]| {
        let names = id.iter().map(|id| Some(*id));
        batch(vec![
            ("id", texts(id.iter().map(|id| Some(*id)))),
            ("parent", texts(parent.iter().copied())),
            ("name", texts(names)),
        ])
    };
    let changed = rows(
        &["child", "orphan", "circle", "loop", "below"],
        &[Some("root"), Some("nobody"), Some("loop"), Some("circle"), Some("orphan")],
    );
    let groups = target("groups", &changed);
    let mut portion = changes(0, Op::Create, 1, changed);
    portion.unchanged = Some(rows(&["root", "other"], &[None, None]));
    let made = one(groups, portion);
    let written = read_back(&made, "import0_1.xml", "groups");
    let lines: Vec<String> = (0..written.rows.len()).map(|row| written.line(row)).collect();
    assert_eq!(lines, ["other | - | other", "root | - | root", "child | root | child"]);
    assert_eq!(made.files[0].rows, [RowId(1)]);
    let mut refused: Vec<String> = made
        .rejected
        .iter()
        .map(|(id, outcome)| match outcome {
            Outcome::Rejected { altered: false, class, reason } => format!("{} {} {reason}", id.0, class.name()),
            other => panic!("{other:?}"),
        })
        .collect();
    refused.sort();
    assert_eq!(
        refused,
        [
            "2 missing the parent group `nobody` is not there",
            "3 data the parents go in a circle at `loop`",
            "4 data the parents go in a circle at `circle`",
            "5 data a group above it, `nobody`, is not there",
        ]
    );
}

#[test]
fn groups_cannot_be_deleted() {
    let rows = batch(vec![("id", texts([Some("1")])), ("name", texts([Some("a")]))]);
    let made = one(target("groups", &rows), changes(0, Op::Delete, 1, rows));
    assert_eq!(reason(&made), (RejectClass::Forbidden, "CommerceML cannot delete or mark groups".to_owned()));
}

#[test]
fn requisites_carry_what_has_no_element() {
    let rows = batch(vec![
        ("id", texts([Some("1"), Some("2")])),
        ("name", texts([Some("a"), Some("b")])),
        ("colour", texts([Some("синий"), None])),
    ]);
    let mut goods = target("goods", &rows);
    goods.options = options("requisites: { colour: Цвет }");
    let mut update = changes(0, Op::Update, 1, rows.clone());
    update.old = rows.slice(0, 1);
    update.old = batch(vec![
        ("id", texts([Some("1"), Some("2")])),
        ("name", texts([Some("a"), Some("b")])),
        ("colour", texts([Some("красный"), Some("белый")])),
    ]);
    let text = text_of(&one(goods, update), "import0_1.xml");
    assert!(text.contains("<Наименование>Цвет</Наименование>\n\t\t\t\t\t\t<Значение>синий</Значение>"));
    assert!(text.contains("<Наименование>Цвет</Наименование>\n\t\t\t\t\t\t<Значение/>"), "what became empty is said");
}

#[test]
fn wrong_targets_are_refused_with_everything_at_once() {
    let rows = batch(vec![
        ("id", texts([Some("1")])),
        ("nmae", texts([Some("a")])),
        ("quantity", Arc::new(arrow::array::Float64Array::from(vec![1.0]))),
        ("prises", children(vec![("price", decimals(2, [Some(1)]))], &[1])),
        ("stock", children(vec![("warehouse", texts([Some("w")])), ("count", decimals(2, [Some(1)]))], &[1])),
    ]);
    let mut two_keys = target("goods", &rows);
    two_keys.key = vec!["id".to_owned(), "nmae".to_owned()];
    let error = abilities(&[target("offers", &rows), target("ofers", &rows), two_keys]).unwrap_err().to_string();
    for part in [
        "offers of CommerceML have no column `nmae`",
        "write `name`, or send it as a requisite",
        "need a column `name`",
        "`quantity` is double, expected an exact number",
        "have no child `prises`",
        "write `prices`",
        "`stock` of CommerceML have no column `count`",
        "`stock` of CommerceML need a column `quantity`",
        "no entity `ofers`: write `offers`",
        "known by one id, the key has 2 columns",
    ] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn order_and_abilities() {
    let rows = batch(vec![("id", texts([Some("1")])), ("name", texts([Some("a")]))]);
    let targets: Vec<SinkTarget> = ["offers", "goods", "warehouses", "price_types", "properties", "groups"]
        .map(|entity| target(entity, &rows))
        .into();
    let (abilities, order) = abilities(&targets).unwrap();
    assert_eq!(order, [5, 4, 3, 2, 1, 0]);
    assert_eq!(
        abilities.iter().map(|ability| ability.whole).collect::<Vec<_>>(),
        [false, false, true, true, true, true]
    );
    assert!(abilities.iter().all(|ability| ability.operations.mark != ability.whole && !ability.operations.delete));
}

#[test]
fn a_sink_is_checked_without_its_key() {
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let found = |names: &[&str], children: &[&str], options: &str| {
        let (columns, mut problems) = (columns(names), Problems::new());
        let options = if options.is_empty() { no_options() } else { super::build::options(options) };
        let span = Span::new(FileId(0), 0..0);
        let check = SinkCheck { entity: "goods", span, children, columns: Some(&columns), options: &options };
        check_target(&check, &mut problems);
        problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(found(&["ref", "name", "sku"], &["properties"], ""), Vec::<String>::new());
    assert_eq!(found(&["id", "name", "color"], &[], "requisites: { color: Цвет }"), Vec::<String>::new());
    assert_eq!(found(&["id", "name", "color"], &["prices"], "").len(), 2);
    assert_eq!(found(&["id", "name"], &[], "requisite: {}").len(), 1);
}

#[test]
fn known_price_types_are_not_invented() {
    let rows = offers(100, [1, 1]);
    let types = batch(vec![("id", texts([Some("Розничная")])), ("name", texts([Some("Розница")]))]);
    let targets = [target("offers", &rows), target("price_types", &types)];
    let made = package(&targets, &settings(), &[changes(0, Op::Create, 1, rows.clone())]).unwrap();
    assert_eq!(read_back(&made, "offers0_1.xml", "price_types").rows.len(), 0);
    let both = [changes(1, Op::Create, 9, types), changes(0, Op::Create, 1, rows)];
    let made = package(&targets, &settings(), &both).unwrap();
    assert_eq!(read_back(&made, "offers0_1.xml", "price_types").line(0), "Розничная | Розница | -");
    assert_eq!(made.files[0].rows.len(), 2);
}
