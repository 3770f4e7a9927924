//! Reading OData from end to end: shapes of values, pages, files that change.

use crate::help::{BOLT, Base};
use std::collections::BTreeSet;
use std::fmt::Write as _;

const GOODS: &str = "/Catalog_Номенклатура?$format=json";

#[tokio::test]
async fn values_have_the_wire_form_of_1c() {
    let base = Base::open().await;
    let folder = base.get(&format!("{GOODS}&$filter=IsFolder eq true")).await;
    let text = &folder.body;
    assert!(text.contains("\"Parent_Key\": \"00000000-0000-0000-0000-000000000000\""), "{text}");
    assert!(text.contains("\"Срок\": \"0001-01-01T00:00:00\""), "{text}");
    assert!(text.contains("\"Code\": \"1          \"") && text.contains("\"Упаковка\": \"0\""), "{text}");
    assert!(text.contains("\"IsFolder\": true") && !text.contains("navigationLinkUrl"), "{text}");
    assert!(!text.contains("nextLink"));

    let bolt = base.get(&format!("/Catalog_Номенклатура(guid'{}')?$format=json", BOLT.to_uppercase())).await;
    let json = bolt.json();
    assert!(json["odata.metadata"].as_str().unwrap().ends_with("/$metadata#Catalog_Номенклатура/@Element"));
    assert_eq!((json["Ref_Key"].as_str(), json["Срок"].as_str()), (Some(BOLT), Some("2026-12-31T00:00:00")));
    assert!(json["Parent@navigationLinkUrl"].as_str().unwrap().ends_with("/Parent"));

    let price = base.get("/InformationRegister_ЦеныНоменклатуры/SliceLast?$format=json&$filter=Цена gt 1000").await;
    assert!(price.body.contains("\"Цена\": 12345678901234.50,"), "{}", price.body);
}

#[tokio::test]
async fn without_a_format_the_answer_is_atom() {
    let base = Base::open().await;
    let atom = base.get("/AccumulationRegister_Запасы").await;
    assert!(atom.content_type.starts_with("application/atom+xml") && atom.body.contains("<d:RecordSet m:type="));
    let bare = base.get("/Catalog_Номенклатура?$format=application/json%3Bodata%3Dnometadata").await;
    assert!(!bare.body.contains("odata.metadata") && !bare.body.contains("navigationLinkUrl"));
}

#[tokio::test]
async fn metadata_and_service_document_name_the_sets() {
    let base = Base::open().await;
    let edmx = base.get("/$metadata").await.body;
    for part in [
        "<EntityType Name=\"Catalog_Номенклатура\">",
        "<Property Name=\"Упаковка\" Type=\"Edm.Int64\" Nullable=\"true\"/>",
        "<EntitySet Name=\"AccumulationRegister_Запасы_RecordType\"",
        "<FunctionImport Name=\"SliceLast\" IsBindable=\"true\"",
        "<ComplexType Name=\"AccumulationRegister_ТоварыНаСкладах_Balance\">",
        "Type=\"StandardODATA.InformationRegister_ЦеныНоменклатуры\"",
    ] {
        assert!(edmx.contains(part), "{part}\n{edmx}");
    }
    let names = base.get("?$format=json").await.field("name");
    assert!(names.contains(&"Catalog_Номенклатура".to_owned()) && !names.iter().any(|name| name.contains('/')));
    for name in names {
        assert_eq!(base.get(&format!("/{name}?$format=json")).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn filters_are_evaluated() {
    let base = Base::open().await;
    let ask = async |filter: &str| {
        base.get(&format!("{GOODS}&$select=Code&$filter={filter}"))
            .await
            .field("Code")
            .join("")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(",")
    };
    for (filter, expected) in [
        ("Артикул eq 'D''A'", "3"),
        ("not (IsFolder eq true) and DeletionMark eq false", "2"),
        ("Code eq '1' or Code eq '3'", "1,3"),
        ("Code ne '2'", "1,3"),
        ("Упаковка ge 100", "2"),
        ("100 le Упаковка", "2"),
        ("Срок gt datetime'2026-12-30T23:59:59'", "2"),
        ("Срок eq datetime'0001-01-01T00:00:00'", "1,3"),
        ("startswith(Description,'Бол')", "2"),
        ("substringof('ртань',Description) eq true", "3"),
        ("Parent_Key ne guid'00000000-0000-0000-0000-000000000000'", "2,3"),
        ("Description eq datetime'2026-12-30T23:59:59'", ""),
        ("true", "1,2,3"),
    ] {
        assert_eq!(ask(filter).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn counts_are_strings_and_ignore_pages() {
    let base = Base::open().await;
    let page = base.get(&format!("{GOODS}&$inlinecount=allpages&$top=1&$orderby=Code desc")).await;
    assert_eq!((page.json()["odata.count"].as_str(), page.field("Code")), (Some("3"), vec!["3          ".to_owned()]));
    assert_eq!(base.get("/Catalog_Номенклатура/$count?$filter=IsFolder eq false").await.body, "\u{feff}2");
}

#[tokio::test]
async fn virtual_tables_are_called_in_all_forms() {
    let base = Base::open().await;
    let retail = "ВидЦены eq ''Розничная''";
    for path in [
        format!(
            "/InformationRegister_ЦеныНоменклатуры/SliceLast(Period=datetime'2024-01-01T00:00:00',Condition='{retail}')?$format=json"
        ),
        format!("/InformationRegister_ЦеныНоменклатуры/SliceLast()?Condition='{retail}'&$format=json"),
        format!("/InformationRegister_ЦеныНоменклатуры/SliceLast?Condition='{retail}'&$format=json"),
    ] {
        assert_eq!(base.get(&path).await.field("Цена"), ["129.90", "12345678901234.50"], "{path}");
    }
    let by_store = base.get("/AccumulationRegister_ТоварыНаСкладах/Balance(Dimensions='Склад')?$format=json").await;
    assert_eq!(
        (by_store.field("Склад"), by_store.field("ВНаличииBalance")),
        (vec!["Магазин".to_owned(), "Основной".to_owned()], vec!["30".to_owned(), "119.500".to_owned()])
    );
}

#[tokio::test]
async fn composite_keys_find_one_row() {
    let base = Base::open().await;
    let path =
        format!("/InformationRegister_ЦеныНоменклатуры(Номенклатура_Key=guid'{BOLT}', ВидЦены='Оптовая')?$format=json");
    assert!(base.get(&path).await.body.contains("\"Цена\": 100.00"));
    let set = "/AccumulationRegister_Запасы(Recorder='aaaaaaaa-0000-0000-0000-000000000001',Recorder_Type='StandardODATA.Document_Заказ')?$format=json";
    assert_eq!(base.get(set).await.json()["RecordSet"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_edit_is_seen_by_the_next_request_and_a_mistake_is_told() {
    let base = Base::open().await;
    let path = base.folder.path().join("Catalog_Номенклатура.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(base.get(GOODS).await.field("Code").len(), 3);
    std::fs::write(&path, format!("{text}11111111-0000-0000-0000-000000000004,,false,false,4,,Новый,,\n")).unwrap();
    assert_eq!(base.get(GOODS).await.field("Code").len(), 4);
    std::fs::write(&path, format!("{text}не-guid,,false,false,4,,Новый,,\n")).unwrap();
    let refused = base.get(GOODS).await.error();
    assert!(refused.0 == 500 && refused.2.contains("row 5") && refused.2.contains("column Ref_Key"), "{refused:?}");
    std::fs::write(&path, text).unwrap();
    assert_eq!(base.get(GOODS).await.field("Code").len(), 3);
}

#[tokio::test]
async fn pages_by_the_whole_key_give_every_row_once() {
    let base = large(5_000).await;
    let path = "/InformationRegister_Цены/SliceLast?$format=json&$orderby=Товар_Key,Вид";
    let (keys, pages) = read(&base, path, 1_000).await;
    assert_eq!((keys.len(), keys.iter().collect::<BTreeSet<_>>().len(), pages), (5_000, 5_000, 6));
}

#[tokio::test]
async fn pages_by_a_part_of_the_key_lose_rows() {
    let base = large(500).await;
    let (keys, _) = read(&base, "/InformationRegister_Цены/SliceLast?$format=json&$orderby=Товар_Key", 7).await;
    assert!(keys.iter().collect::<BTreeSet<_>>().len() < 500);
}

#[tokio::test]
async fn pages_shift_when_the_file_changes_between_them() {
    let base = large(100).await;
    let path = "/InformationRegister_Цены/SliceLast?$format=json&$orderby=Цена,Товар_Key,Вид&$top=50";
    let first = base.get(path).await.field("Цена");
    let file = base.folder.path().join("InformationRegister_Цены/SliceLast.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    let without_first: Vec<&str> = text.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, line)| line).collect();
    std::fs::write(&file, without_first.join("\n")).unwrap();
    let second = base.get(&format!("{path}&$skip=50")).await.field("Цена");
    assert_eq!(first.len() + second.len(), 99, "one row is never seen");
}

#[tokio::test]
async fn a_large_register_answers_pages_in_bounded_time() {
    let base = large(100_000).await;
    let path = "/InformationRegister_Цены/SliceLast?$format=json&$orderby=Товар_Key,Вид&$top=1000";
    base.get(path).await;
    let started = std::time::Instant::now();
    for page in 0..10 {
        let answer = base.get(&format!("{path}&$skip={}", 90_000 + page * 1000)).await;
        assert_eq!(answer.field("Вид").len(), 1000);
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

/// A base with one register of this many rows, five for each product.
async fn large(rows: usize) -> Base {
    let folder = tempfile::tempdir().unwrap();
    let schema = "entities:\n  InformationRegister_Цены/SliceLast:\n    columns: { Товар_Key: uuid, Вид: string, Цена: \"decimal(15,2)\" }\n    key: [Товар_Key, Вид]\n";
    std::fs::write(folder.path().join("schema.yaml"), schema).unwrap();
    let mut text = "Товар_Key,Вид,Цена\n".to_owned();
    for row in 0..rows {
        writeln!(text, "{:08x}-0000-4000-8000-{:012x},Вид {},{row}.50", row / 5 * 7919, row / 5, row % 5).unwrap();
    }
    std::fs::create_dir(folder.path().join("InformationRegister_Цены")).unwrap();
    std::fs::write(folder.path().join("InformationRegister_Цены/SliceLast.csv"), text).unwrap();
    Base::serve(folder, |_| {}).await
}

/// Reads to the first empty page; the keys in order and the number of requests.
async fn read(base: &Base, path: &str, top: usize) -> (Vec<(String, String)>, usize) {
    let mut keys = Vec::new();
    for page in 0.. {
        let answer = base.get(&format!("{path}&$top={top}&$skip={}", page * top)).await;
        let (goods, kinds) = (answer.field("Товар_Key"), answer.field("Вид"));
        if goods.is_empty() {
            return (keys, page + 1);
        }
        keys.extend(goods.into_iter().zip(kinds));
    }
    unreachable!("pages end")
}

#[tokio::test]
async fn the_fixtures_of_the_repository_are_served() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/trade");
    if !fixtures.join("schema.yaml").is_file() {
        println!("skipped: no fixtures/trade");
        return;
    }
    let base = Base::with(|options| options.folder = fixtures).await;
    for name in base.get("?$format=json").await.field("name") {
        assert_eq!(base.get(&format!("/{name}?$format=json&$top=5")).await.status, 200, "{name}");
    }
}
