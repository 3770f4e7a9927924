//! What `validate` says of settings, and what they become.

use crate::one_c::{connect, context, node};
use obmen_diagnostics::Problems;
use obmen_odata::Odata;
use obmen_sdk::{Connector, ErrorKind, SinkCheck, Stop};

fn settings_problems(text: &str) -> Vec<String> {
    let mut problems = Problems::new();
    Odata.check(&node(text), &mut problems);
    said(&problems)
}

fn source_problems(entity: &str, options: &str) -> Vec<String> {
    let mut problems = Problems::new();
    Odata.check_source(&node("{}"), entity, &node(options), &mut problems);
    said(&problems)
}

fn said(problems: &Problems) -> Vec<String> {
    let line = |problem: &&obmen_diagnostics::Diagnostic| {
        format!("{}: {} {}", problem.code.name, problem.message, problem.help.join(" "))
    };
    problems.sorted().iter().map(line).collect()
}

/// Every option of a schema is in the reference.
fn covers(text: &str, schema: &schemars::Schema) {
    let reference = node(text);
    let map = reference.as_map().unwrap();
    let properties = schema.get("properties").and_then(serde_json::Value::as_object).unwrap();
    for (name, property) in properties {
        assert!(map.get(name).is_some(), "`{name}` is not in the reference");
        assert!(property.get("description").is_some(), "`{name}` is not described");
    }
}

#[test]
fn the_reference_is_complete_and_right() {
    let text = include_str!("../../reference.yaml");
    let reference = node(text);
    let part = |name: &str| reference.as_map().unwrap().get(name).unwrap().clone();
    let schemas = Odata.schemas();
    let mut problems = Problems::new();
    Odata.check(&part("connection"), &mut problems);
    Odata.check_source(&part("connection"), "AccountingRegister_Хозрасчетный/Balance", &part("source"), &mut problems);
    assert!(problems.is_empty(), "{:?}", said(&problems));
    let lines = |name: &str| {
        let (_, rest) = text.split_once(&format!("\n{name}:\n")).unwrap();
        rest.lines().take_while(|line| line.is_empty() || line.starts_with(' ')).collect::<Vec<_>>().join("\n")
    };
    covers(&lines("connection"), &schemas.connection.unwrap());
    covers(&lines("source"), &schemas.source.unwrap());
    assert!(schemas.sink.is_none());
}

#[test]
fn settings_that_cannot_be_are_reported_all_at_once() {
    let found = settings_problems(
        "url: http://u:p@host/trade\nuser: x\npassword: ''\ntimeout: 0s\nparallel: 99\npage_rows: 0\npage_bytes: 64MB\npage_bytes_max: 32MB\n",
    );
    assert_eq!(found.len(), 5, "{found:#?}");
    assert!(found.iter().all(|line| line.starts_with("invalid-setting: ")));
    assert!(found[0].contains("holds a user or password"), "{found:#?}");
    let found = settings_problems("url: ${env:URL}\nuser: x\npassword: ${env:WORD}\ntimeout: 30\nretry: 3\n");
    assert!(found.iter().any(|line| line.contains("write `30s`")), "{found:#?}");
    assert!(found.iter().any(|line| line.contains("retry") && line.contains("retries")), "{found:#?}");
}

#[test]
fn entities_and_parameters_are_checked_without_the_world() {
    for fine in
        ["Catalog_X", "Document_Заказ_Товары", "InformationRegister_X/SliceLast", "InformationRegister_X/SliceLast()"]
    {
        assert_eq!(source_problems(fine, "{}"), Vec::<String>::new(), "{fine}");
    }
    let cases = [
        ("Катало", "{}", "unknown-entity: `Катало` is not a name"),
        ("Catolog_X", "{}", "did you mean `Catalog_…`?"),
        ("Enum_X", "{}", "enumerations cannot be read"),
        ("InformationRegister_X/Slice_Last", "{}", "did you mean `SliceLast`?"),
        ("InformationRegister_X/SliceLast(Period=1)", "{}", "under `parameters`"),
        ("Document_X/Товары", "{}", "a tabular section is an entity of its own"),
        ("AccumulationRegister_X/Turnovers", "parameters: { StartDate: 2024-01-31 }", "did you mean `StartPeriod`?"),
        (
            "AccumulationRegister_X/Balance",
            "parameters: { Period: 31.01.2024 }",
            "invalid-setting: `31.01.2024` is not a date",
        ),
        ("Catalog_X", "parameters: { Period: 2024-01-31 }", "belongs to a virtual table"),
    ];
    for (entity, options, expected) in cases {
        let found = source_problems(entity, options);
        assert!(found.len() == 1 && found[0].contains(expected), "{entity}: {found:#?}");
    }
}

#[test]
fn the_identity_is_the_publication_without_the_login() {
    for url in [
        "http://HOST:80/trade",
        "http://host/trade/",
        "http://host/trade/odata/standard.odata",
        "http://host/trade/odata/standard.odata/",
    ] {
        assert_eq!(connect(url, "").identity(), "http://host/trade");
    }
}

#[tokio::test]
async fn writing_is_not_available_and_says_so() {
    let error = connect("http://host/trade", "").sink(Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("not available yet"));
    let (empty, mut problems) = (node("{}"), Problems::new());
    let check = SinkCheck { entity: "Catalog_X", span: empty.span, children: &[], columns: None, options: &empty };
    Odata.check_sink(&empty, &check, &mut problems);
    assert!(said(&problems)[0].starts_with("not-available-yet: "));
}

#[test]
fn a_secret_that_is_not_set_is_not_found() {
    let settings = node("url: http://host\nuser: x\npassword: ${env:MISSING}\n");
    assert_eq!(Odata.open(&settings, &context(&Stop::default())).unwrap_err().kind(), ErrorKind::NotFound);
}
