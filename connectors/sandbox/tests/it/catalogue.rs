//! Whole catalogue sessions, small and large, and real files where they are at hand.

use crate::help::{Client, goods_xml, offer, offers_xml, product};
use std::path::Path;
use std::time::Instant;

#[tokio::test]
async fn a_full_catalogue_session() {
    let mut client = Client::with(|options| {
        options.steps = 3;
        options.file_limit = 500;
    })
    .await;
    let goods: String = (1..=20).map(|number| product(&format!("p{number:02}"))).collect();
    let offers: String = (1..=20).map(|number| offer(&format!("p{number:02}"), &format!("{number}.90"), "5")).collect();
    client.begin().await;
    for (name, xml) in [("import0_1.xml", goods_xml(false, &goods)), ("offers0_1.xml", offers_xml(false, &offers))] {
        for chunk in xml.as_bytes().chunks(500) {
            assert_eq!(client.upload(name, chunk).await, "success");
        }
    }
    for name in ["import0_1.xml", "offers0_1.xml"] {
        let mut polls = 0;
        while client.import(name).await.starts_with("progress") {
            polls += 1;
        }
        assert_eq!(polls, 3);
    }
    assert_eq!(client.get("complete").await, "success");
    assert_eq!(client.column("SELECT count(*) FROM goods"), ["20"]);
    assert_eq!(client.column("SELECT price FROM prices WHERE offer = 'p07'"), ["7.90"]);
    assert_eq!(client.column("SELECT parent FROM groups ORDER BY id"), ["NULL", "g1"]);
    let log = client.column("SELECT count(*) FROM requests WHERE session = 1 AND mode = 'file'");
    assert!(log[0].parse::<usize>().unwrap() > 2);
    assert_eq!(client.column("SELECT count(*) FROM requests WHERE answer LIKE '%PHPSESSID%'"), ["0"]);
}

#[tokio::test]
async fn many_goods_and_offers_are_imported_in_bounded_time() {
    let mut client = Client::with(|options| options.file_limit = 0).await;
    let goods: String = (0..5_000).map(|number| product(&format!("p{number}"))).collect();
    let offers: String =
        (0..25_000).map(|number| offer(&format!("p{}#{}", number / 5, number % 5), "10.50", "3")).collect();
    let started = Instant::now();
    client.deliver("import0_1.xml", &goods_xml(false, &goods)).await;
    client.deliver("offers0_1.xml", &offers_xml(false, &offers)).await;
    assert_eq!(client.column("SELECT count(*) FROM offers"), ["25000"]);
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

#[tokio::test]
async fn real_files_are_imported() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples/commerceml");
    if !samples.is_dir() {
        println!("skipped: no samples beside the checkout");
        return;
    }
    let mut client = Client::with(|options| options.file_limit = 0).await;
    for (name, rows, table) in [
        ("ut_2.07_import0_1.xml", "36", "goods"),
        ("ut10_2.03_import.xml", "97", "goods"),
        ("ut_2.07_offers0_1.xml", "3", "warehouses"),
        ("bxmodule_2.09_prices.xml", "0", "prices"),
    ] {
        let mut fresh = Client::with(|options| options.file_limit = 0).await;
        let xml = std::fs::read_to_string(samples.join(name)).unwrap();
        let said = fresh.deliver(name, &xml).await;
        assert!(said.starts_with("success\n"), "{name}: {said}");
        assert_eq!(fresh.column(&format!("SELECT count(*) FROM {table}")), [rows], "{name}");
    }
    for name in ["ut_2.07_import0_1.xml", "ut_2.07_offers0_1.xml"] {
        let xml = std::fs::read_to_string(samples.join(name)).unwrap();
        assert!(client.deliver(name, &xml).await.starts_with("success\n"));
    }
    assert_eq!(client.column("SELECT count(*) > 0 FROM prices"), ["1"]);
}
