//! Real files of 1C, where they are at hand.

use super::{Everything, read_all};
use std::path::PathBuf;

fn sample(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples/commerceml").join(name);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        println!("skipped: no sample {name} beside the checkout");
    }
    bytes
}

fn clean(relation: &str, bytes: &[u8]) -> Everything {
    let all = read_all(relation, bytes);
    assert_eq!(all.bad, [], "{relation}");
    all
}

/// The sum of a column of decimals with three digits after the point, in thousandths.
fn sum(relation: &str, all: &Everything, column: &str) -> i128 {
    all.column(relation, column)
        .into_iter()
        .flatten()
        .map(|text| super::super::number::parse(text, 38, 3).unwrap())
        .sum()
}

#[test]
fn trade_management_catalogue() {
    let Some(bytes) = sample("ut_2.07_import0_1.xml") else { return };
    let count = |relation| clean(relation, &bytes).rows.len();
    assert_eq!([count("groups"), count("properties"), count("property_values")], [1, 12, 12]);
    assert_eq!([count("goods_properties"), count("offers"), count("prices")], [415, 0, 0]);
    let goods = clean("goods", &bytes);
    assert_eq!((goods.rows.len(), goods.exact), (36, None));
    let count = |column, value| goods.column("goods", column).into_iter().filter(|is| *is == value).count();
    assert_eq!(count("deleted", Some("true")), 1);
    assert_eq!(count("unit_code", Some("796")), 36);
    assert_eq!(count("unit_name", Some("Штука")), 36);
    assert_eq!(count("barcode", None), 14);
    assert_eq!(count("manufacturer", None), 0);
}

#[test]
fn trade_management_offers() {
    let Some(bytes) = sample("ut_2.07_offers0_1.xml") else { return };
    let count = |relation| clean(relation, &bytes).rows.len();
    assert_eq!([count("offers"), count("prices"), count("stock")], [44, 44, 132]);
    assert_eq!([count("price_types"), count("warehouses"), count("goods")], [1, 3, 0]);
    assert_eq!(clean("price_types", &bytes).line(0), "279b6812-740b-11e8-80c8-0cc47ab29cd1 | BASE | RUB");
    let (offers, stock) = (clean("offers", &bytes), clean("stock", &bytes));
    assert_eq!(sum("offers", &offers, "quantity"), sum("stock", &stock, "quantity"));
}

#[test]
fn offers_with_characteristics() {
    let Some(bytes) = sample("ut_2.07_offers_characteristics.xml") else { return };
    let offers = clean("offers", &bytes);
    assert_eq!(offers.rows.len(), 5);
    for row in &offers.rows {
        let [Some(id), Some(good), characteristic, ..] = &row[..] else { panic!("{row:?}") };
        let expected =
            characteristic.as_ref().map_or(good.clone(), |characteristic| format!("{good}#{characteristic}"));
        assert_eq!(*id, expected);
    }
    assert!(offers.column("offers", "characteristic").iter().any(Option::is_some));
}

#[test]
fn module_for_bitrix() {
    let (Some(prices), Some(rests)) = (sample("bxmodule_2.09_prices.xml"), sample("bxmodule_2.09_rests.xml")) else {
        return;
    };
    let prices = clean("prices", &prices);
    assert_eq!((prices.rows.len(), prices.exact, prices.batches), (978, Some(false), 10));
    assert_eq!(
        prices.line(0),
        "26b0dc1e-4d66-11e4-99fe-003048c64779 | 4d968229-47ba-11e4-a628-003048c64779 | 181 | RUB | - | -"
    );
    let stock = clean("stock", &rests);
    assert_eq!((stock.rows.len(), stock.exact), (978, Some(false)));
    assert_eq!(stock.line(0), "26b0dc1e-4d66-11e4-99fe-003048c64779 | 5d1caeb1-44b2-11e4-a628-003048c64779 | 1");
}

#[test]
fn version_2_03_without_a_namespace() {
    let Some(bytes) = sample("ut10_2.03_import.xml") else { return };
    let goods = clean("goods", &bytes);
    assert_eq!((goods.rows.len(), goods.exact), (97, None));
    assert_eq!(goods.column("goods", "barcode").into_iter().flatten().count(), 20);
    assert_eq!(goods.column("goods", "group").into_iter().flatten().count(), 81);
    let groups = clean("groups", &bytes);
    assert_eq!(groups.rows.len(), 19);
    assert_eq!(groups.column("groups", "parent").into_iter().flatten().count(), 16);
}

#[test]
fn lines_of_orders_are_not_goods() {
    for name in ["bitrix_2.05_sale_query_cp1251.xml", "unf_2.08_orders_to_site.xml"] {
        let Some(bytes) = sample(name) else { return };
        for relation in super::super::relations() {
            assert_eq!(clean(relation, &bytes).rows.len(), 0, "{name}: {relation}");
        }
    }
}
