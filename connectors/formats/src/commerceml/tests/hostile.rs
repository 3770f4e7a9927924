//! Anything that can be written is read back as it was.

use super::build::{batch, changes, children, decimals, target, texts};
use super::read_all;
use crate::commerceml::text::clean;
use crate::commerceml::{PackageSettings, package};
use obmen_sdk::Op;
use proptest::prelude::*;

/// Texts that break writers: markup, control characters, line breaks, entities, other alphabets.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("]]>".to_owned()),
        Just("&amp;&#0;".to_owned()),
        Just("<a b=\"c\">".to_owned()),
        Just("\r\n\t\u{0}\u{b}\u{fffe}\u{feff}\u{85}\u{2028}".to_owned()),
        Just("'\"Щ№🦀".to_owned()),
        "[а-яА-Я ]{0,9}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat().chars().take(250).collect())
}

fn optional() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(hostile())
}

fn id() -> impl Strategy<Value = String> {
    "[a-z0-9<&\"]{1,20}(#[а-я]{1,19})?"
}

fn expected(text: Option<&str>) -> Option<String> {
    text.map(|text| clean(text).into_owned()).filter(|text| !text.trim().is_empty())
}

fn settings() -> PackageSettings {
    PackageSettings::new(chrono::NaiveDateTime::default())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn goods_come_back(rows in proptest::collection::vec((id(), hostile(), optional(), optional(), any::<i32>()), 0..6)) {
        let goods = batch(vec![
            ("id", texts(rows.iter().map(|row| Some(row.0.as_str())))),
            ("name", texts(rows.iter().map(|row| Some(row.1.as_str())))),
            ("sku", texts(rows.iter().map(|row| row.2.as_deref()))),
            ("description", texts(rows.iter().map(|row| row.3.as_deref()))),
            ("weight", decimals(3, rows.iter().map(|row| Some(row.4.into())))),
        ]);
        let made = package(&[target("goods", &goods)], &settings(), &[changes(0, Op::Create, 0, goods)]).unwrap();
        let good: Vec<_> = rows.iter().filter(|row| expected(Some(&row.1)).is_some()).collect();
        prop_assert_eq!(made.rejected.len(), rows.len() - good.len());
        let Some(file) = made.files.first() else { prop_assert!(good.is_empty()); return Ok(()) };
        let read = read_all("goods", &file.bytes);
        prop_assert!(read.bad.is_empty());
        let column = |name| read.column("goods", name).into_iter().map(|text| text.map(ToOwned::to_owned)).collect::<Vec<_>>();
        prop_assert_eq!(column("id"), good.iter().map(|row| Some(row.0.clone())).collect::<Vec<_>>());
        prop_assert_eq!(column("name"), good.iter().map(|row| expected(Some(&row.1))).collect::<Vec<_>>());
        prop_assert_eq!(column("sku"), good.iter().map(|row| expected(row.2.as_deref())).collect::<Vec<_>>());
        prop_assert_eq!(column("description"), good.iter().map(|row| expected(row.3.as_deref())).collect::<Vec<_>>());
        let weights = good.iter().map(|row| Some(super::super::number::format(row.4.into(), 3, 0))).collect::<Vec<_>>();
        prop_assert_eq!(column("weight"), weights);
    }

    #[test]
    fn offers_come_back(
        rows in proptest::collection::btree_map(
            id(),
            (0..1_000_000_i64, proptest::collection::btree_map("[а-я]{1,9}", -9_999_999..9_999_999_i64, 0..4)),
            1..6,
        ),
    ) {
        let lengths: Vec<usize> = rows.values().map(|(_, stock)| stock.len()).collect();
        let stock = || rows.values().flat_map(|(_, stock)| stock.iter());
        let offers = batch(vec![
            ("id", texts(rows.keys().map(|id| Some(id.as_str())))),
            ("name", texts(rows.keys().map(|_| Some("x")))),
            ("prices", children(vec![
                ("price_type", texts(rows.keys().map(|_| Some("Цена <1>")))),
                ("price", decimals(2, rows.values().map(|(price, _)| Some((*price).into())))),
            ], &vec![1; rows.len()])),
            ("stock", children(vec![
                ("warehouse", texts(stock().map(|(name, _)| Some(name.as_str())))),
                ("quantity", decimals(3, stock().map(|(_, quantity)| Some((*quantity).into())))),
            ], &lengths)),
        ]);
        let made = package(&[target("offers", &offers)], &settings(), &[changes(0, Op::Create, 0, offers)]).unwrap();
        prop_assert!(made.rejected.is_empty());
        let file = &made.files[0].bytes;
        let number = |value: i64, scale| Some(super::super::number::format(value.into(), scale, 0));
        let column = |relation, name| {
            let read = read_all(relation, file);
            assert!(read.bad.is_empty());
            read.column(relation, name).into_iter().map(|text| text.map(ToOwned::to_owned)).collect::<Vec<_>>()
        };
        prop_assert_eq!(column("prices", "price"), rows.values().map(|(price, _)| number(*price, 2)).collect::<Vec<_>>());
        prop_assert_eq!(column("stock", "quantity"), stock().map(|(_, quantity)| number(*quantity, 3)).collect::<Vec<_>>());
        let totals = rows.values().map(|(_, stock)| number(stock.values().sum(), 3)).collect::<Vec<_>>();
        prop_assert_eq!(column("offers", "quantity"), totals);
        prop_assert_eq!(column("price_types", "name"), [Some("Цена <1>".to_owned())]);
    }
}
