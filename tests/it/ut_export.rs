//! A real full export of 1C (UT 11, CommerceML 2.07) through the product into the shop, counted by another reader.

use crate::support::{Sandbox, Scene, count, repository};
use std::collections::{BTreeMap, BTreeSet};

const IMPORT: &str = "ut_2.07_import0_1.xml";
const OFFERS: &str = "ut_2.07_offers0_1.xml";

#[test]
fn the_shop_gets_what_a_real_export_holds() {
    let samples = repository().join("../shared/samples/commerceml");
    if !samples.join(IMPORT).exists() {
        println!("skipped: there are no samples in {}", samples.display());
        return;
    }
    let scene = Scene::of_repository();
    let sandbox = Sandbox::of(&scene);
    std::fs::create_dir(scene.path("export")).unwrap();
    std::fs::copy(samples.join(IMPORT), scene.path("export/import0_1.xml")).unwrap();
    std::fs::copy(samples.join(OFFERS), scene.path("export/offers0_1.xml")).unwrap();
    let export = Export::read(&scene);
    assert_eq!((export.goods.len(), export.deleted.len(), export.offers.len()), (36, 1, 44));
    assert_eq!((export.groups, export.properties, export.price_types, export.warehouses), (1, 12, 1, 3));
    // Eight offers are of goods that this export leaves out, one is of the deleted good: a shop has nowhere to put them.
    let orphans = export.offers.iter().filter(|offer| !export.goods.contains_key(*offer)).count();
    assert_eq!(orphans, 8);
    let sellable: BTreeSet<&String> = export.goods.keys().filter(|good| !export.deleted.contains(*good)).collect();
    let offered = export.offers.iter().filter(|offer| sellable.contains(offer)).count();
    assert_eq!((sellable.len(), offered), (35, 35));

    let dir = scene.path("export");
    let words = format!("ut_export --profile sandbox --var dir={}", dir.display());
    let report = scene.run(0, &words);
    assert_eq!(report["checks"]["offer has its good in the export"], 8, "{report:#}");
    for (name, rows) in
        [("groups", 1), ("properties", 12), ("goods", 35), ("price_types", 1), ("warehouses", 3), ("offers", 35)]
    {
        assert_eq!(count(&report, name, "acked"), rows, "{name} {report:#}");
        let there = sandbox.number(&format!("SELECT count(*) FROM {name}"));
        assert_eq!(there, rows, "{name}");
    }
    let there: Vec<String> = sandbox.rows("SELECT id, name, sku FROM goods WHERE active AND NOT deleted");
    let expected: Vec<String> = sellable.iter().map(|good| format!("{good}|{}", export.goods[*good])).collect();
    assert_eq!(there, expected);
    assert_eq!(sandbox.number("SELECT count(*) FROM prices"), 35);
    assert_eq!(sandbox.number("SELECT count(*) FROM stock"), 35 * 3);

    let report = scene.run(0, &words);
    for sink in report["sinks"].as_array().unwrap() {
        assert_eq!(sink["sent"], 0, "{sink:#}");
    }
}

#[test]
fn a_good_that_the_next_export_marks_as_deleted_is_marked_in_the_shop() {
    let scene = Scene::of_repository();
    let sandbox = Sandbox::of(&scene);
    scene.run(0, "ut_export --profile sandbox");
    let before = sandbox.number("SELECT count(*) FROM goods WHERE NOT deleted");
    assert!(before > 1);
    let text = scene.read("fixtures/ut_export/import0_1.xml");
    let good = sandbox.rows("SELECT id FROM goods WHERE NOT deleted").remove(0);
    let (head, tail) = text.split_once(&format!("<Товар>\n\t\t\t\t<Ид>{good}</Ид>")).unwrap_or_else(|| {
        panic!("the good {good} does not begin as expected:\n{text}");
    });
    let marked = format!("{head}<Товар Статус=\"Удален\">\n\t\t\t\t<Ид>{good}</Ид>{tail}");
    scene.write("fixtures/ut_export/import0_1.xml", &marked);
    let report = scene.run(0, "ut_export --profile sandbox");
    assert_eq!((count(&report, "goods", "sent"), count(&report, "goods", "deletes")), (1, 1), "{report:#}");
    assert_eq!(sandbox.rows("SELECT id FROM goods WHERE deleted"), [good]);
}

/// What an export holds, read by looking for tags.
struct Export {
    groups: usize,
    properties: usize,
    price_types: usize,
    warehouses: usize,
    /// Name and article of each good, as `name|article`.
    goods: BTreeMap<String, String>,
    deleted: BTreeSet<String>,
    offers: Vec<String>,
}

impl Export {
    fn read(scene: &Scene) -> Self {
        let import = scene.read("export/import0_1.xml");
        let offers = scene.read("export/offers0_1.xml");
        let goods: Vec<&str> = elements(&import, "Товар");
        let id = |element: &str| first(element, "Ид").unwrap();
        let deleted =
            goods.iter().filter(|good| good.lines().next().is_some_and(|line| line.contains("Статус=\"Удален\"")));
        let stock: BTreeSet<&str> =
            offers.split("ИдСклада=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        Self {
            groups: elements(&import, "Группа").len(),
            properties: elements(&import, "Свойство").len(),
            price_types: elements(&offers, "ТипЦены").len(),
            warehouses: stock.len(),
            deleted: deleted.map(|good| id(good)).collect(),
            goods: goods.iter().map(|good| (id(good), described(good))).collect(),
            offers: elements(&offers, "Предложение").into_iter().map(id).collect(),
        }
    }
}

fn described(good: &str) -> String {
    let text = |tag: &str| first(good, tag).map(|text| unescaped(&text));
    let or_nothing = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "∅".to_owned());
    format!("{}|{}", text("Наименование").unwrap(), or_nothing(text("Артикул")))
}

/// The texts between `<tag …>` and `</tag>`, with the rest of the opening tag.
fn elements<'t>(text: &'t str, tag: &str) -> Vec<&'t str> {
    let (begin, end) = (format!("<{tag}"), format!("</{tag}>"));
    let parts = text.split(&begin).skip(1).filter(|part| part.starts_with(['>', ' ']));
    parts.filter_map(|part| part.split_once(&end).map(|(inside, _)| inside)).collect()
}

fn first(text: &str, tag: &str) -> Option<String> {
    let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let (_, rest) = text.split_once(&begin)?;
    rest.split_once(&end).map(|(inside, _)| inside.to_owned())
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
