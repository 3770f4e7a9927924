//! Recorded answers of real bases, where they lie beside the checkout.

use crate::one_c::{OneC, body, connect, json, serve};
use crate::reading::{read, target};
use arrow::array::{Array, AsArray};

/// A recorded answer; `None` where there are no samples.
fn sample(name: &str) -> Option<String> {
    let path = format!("{}/../../../shared/samples/1c-odata/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        println!("skipped: no samples beside the checkout");
    }
    text
}

const ORDER: &str = "Document_ПриходныйОрдер";

/// `$metadata` of the document in the recorded page.
fn metadata() -> String {
    let properties = [
        ("Ref_Key", "Edm.Guid"),
        ("Number", "Edm.String"),
        ("Date", "Edm.DateTime"),
        ("Posted", "Edm.Boolean"),
        ("НомерКонтракта", "Edm.String"),
        ("ДатаКонтракта", "Edm.DateTime"),
        ("ДокументОснование_Key", "Edm.Guid"),
        ("Товары", "Collection(StandardODATA.X)"),
    ];
    let properties: String = properties
        .iter()
        .map(|(name, kind)| format!(r#"<Property Name="{name}" Type="{kind}"/>"#))
        .collect::<Vec<_>>()
        .concat();
    format!(
        r#"<Edmx><Schema><EntityType Name="{ORDER}"><Key><PropertyRef Name="Ref_Key"/></Key>{properties}</EntityType>
        <EntityContainer><EntitySet Name="{ORDER}" EntityType="StandardODATA.{ORDER}"/></EntityContainer></Schema></Edmx>"#
    )
}

#[tokio::test]
async fn a_recorded_page_of_documents_is_read() {
    let Some(page) = sample("collection_document_page.json") else { return };
    let base = OneC::new(ORDER, Vec::new(), move |_, ask| match ask.path.as_str() {
        "$metadata" => Some(body(200, "application/xml", &metadata())),
        ORDER => Some(json(&page)),
        _ => None,
    });
    let connection = connect(&serve(&base).await, "");
    let declared = [
        ("Number", "string"),
        ("Date", "datetime"),
        ("Posted", "bool"),
        ("НомерКонтракта", "string"),
        ("ДатаКонтракта", "date"),
        ("ДокументОснование_Key", "uuid"),
        ("Товары", "json"),
    ];
    let batches = read(&connection, target(ORDER, &declared, &["Number"])).await.unwrap();
    let [batch] = &batches[..] else { panic!("{batches:?}") };
    assert!(batch.bad.is_empty(), "{:?}", batch.bad);
    assert_eq!((batch.rows.num_rows(), batch.exact), (4, Some(true)));
    assert_eq!(batch.rows.column(0).as_string::<i32>().value(0), "000000001");
    assert_eq!(batch.rows.column(3).as_string::<i32>().value(0), "           ");
    assert!(batch.rows.column(4).is_null(0) && batch.rows.column(5).is_null(0));
    assert!(batch.rows.column(6).as_string::<i32>().value(0).starts_with(r#"[{"Ref_Key":"b1c89d94-"#));
}

#[tokio::test]
async fn a_recorded_service_document_lists_entities() {
    let Some(document) = sample("service_document.json") else { return };
    let base = OneC::new("", Vec::new(), move |_, ask| ask.path.is_empty().then(|| json(&document)));
    let entities = connect(&serve(&base).await, "").entities().await.unwrap();
    assert_eq!(entities.len(), 70);
    assert_eq!(entities[0], "AccumulationRegister_ТоварыВЭлементахХранения");
}
