//! Files as relations.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod desk;

use arrow::array::AsArray as _;
use arrow::datatypes::{Schema, SchemaRef};
use desk::{Desk, node, read, source};
use futures::StreamExt as _;
use obmen_diagnostics::Problems;
use obmen_files::Files;
use obmen_sdk::types::arrow_field;
use obmen_sdk::{Connector as _, ErrorKind, Scan, SourceTarget};
use obmen_spec::ColumnType;
use std::io::Write as _;
use std::sync::Arc;

#[expect(clippy::unnecessary_wraps, reason = "what a target takes")]
fn columns(columns: &[(&str, &str)]) -> Option<SchemaRef> {
    let fields = columns.iter().map(|(name, kind)| arrow_field(name, ColumnType::parse(kind).unwrap()));
    Some(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

#[tokio::test]
async fn without_columns_everything_is_a_string_by_the_header() {
    let desk = Desk::new();
    desk.write("Catalog_Номенклатура.csv", "Ref_Key,Артикул\n1,007\n2,\n");
    let source = desk.connect("{}").source(source("Catalog_Номенклатура")).await.unwrap();
    assert_eq!(Some(source.schema()), columns(&[("Ref_Key", "string"), ("Артикул", "string")]));
    let batches = read(&*source, 10).await.unwrap();
    assert_eq!(batches[0].rows.column(1).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("007"), None]);
}

#[tokio::test]
async fn a_source_overrides_the_format_of_its_connection() {
    let desk = Desk::new();
    desk.write("x.dat", b"\xcf\xf0\xe8|1,5\n");
    let target = SourceTarget {
        columns: columns(&[("имя", "string"), ("число", "decimal(5,1)")]),
        options: node("{ delimiter: '|', header: false }"),
        ..source("x.dat")
    };
    let source = desk.connect("{ format: csv, preset: excel_ru }").source(target).await.unwrap();
    let batches = read(&*source, 10).await.unwrap();
    assert_eq!(batches[0].rows.column(0).as_string::<i32>().value(0), "При");
    assert_eq!(batches[0].bad, []);
}

#[cfg(unix)]
#[tokio::test]
async fn any_name_can_be_read() {
    let desk = Desk::new();
    for name in ["50% #1 {x}~.csv", "a+b&c=d.csv", "«ёлка» №5.csv", "[x]/^`|.csv", "%D0%B9.csv"] {
        desk.write(name, "a\n1\n");
        let source = desk.connect("{}").source(source(name)).await.unwrap();
        assert_eq!(read(&*source, 10).await.unwrap()[0].rows.num_rows(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_pattern_is_one_relation_and_bad_rows_name_their_file() {
    let desk = Desk::new();
    desk.write("day-2.csv", "b,a\n1,x\n");
    desk.write("day-1.csv", "a,b\ny,oops\nz,3\n");
    let target = SourceTarget { columns: columns(&[("a", "string"), ("b", "int")]), ..source("day-*.csv") };
    let source = desk.connect("{}").source(target).await.unwrap();
    let batches = read(&*source, 10).await.unwrap();
    let rows: Vec<&str> =
        batches.iter().flat_map(|batch| batch.rows.column(0).as_string::<i32>().iter().flatten()).collect();
    assert_eq!(rows, ["z", "x"]);
    assert_eq!(batches[0].bad[0].place, "day-1.csv:2:3");
}

#[tokio::test]
async fn a_file_that_is_written_to_meanwhile_is_a_conflict() {
    let desk = Desk::new();
    desk.write("x.csv", format!("a\n{}", "1\n".repeat(100_000)));
    let source = desk.connect("{}").source(source("x")).await.unwrap();
    let mut stream = source.read(Scan { batch_rows: 100, ..Scan::default() }).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    std::fs::OpenOptions::new().append(true).open(desk.path("x.csv")).unwrap().write_all(b"2\n").unwrap();
    let mut last = None;
    while let Some(item) = stream.next().await {
        last = item.err();
    }
    assert_eq!(last.unwrap().kind(), ErrorKind::Conflict);
    // Nobody writes any more.
    assert_eq!(read(&*source, 1_000_000).await.unwrap()[0].rows.num_rows(), 100_001);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_replaced_by_another_is_read_as_it_was() {
    let desk = Desk::new();
    desk.write("x.csv", format!("a\n{}", "1\n".repeat(100_000)));
    let source = desk.connect("{}").source(source("x")).await.unwrap();
    let mut stream = source.read(Scan { batch_rows: 100, ..Scan::default() }).await.unwrap();
    let mut rows = stream.next().await.unwrap().unwrap().rows.num_rows();
    desk.write("new.tmp", "a\n");
    std::fs::rename(desk.path("new.tmp"), desk.path("x.csv")).unwrap();
    while let Some(batch) = stream.next().await {
        rows += batch.unwrap().rows.num_rows();
    }
    assert_eq!(rows, 100_000);
}

#[tokio::test]
async fn a_run_that_stops_ends_the_read() {
    let desk = Desk::new();
    desk.write("x.csv", format!("a\n{}", "1\n".repeat(1_000)));
    let source = desk.connect("{}").source(source("x")).await.unwrap();
    desk.stop().set();
    assert_eq!(read(&*source, 10).await.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_connection_says_what_it_has() {
    let desk = Desk::new();
    desk.write("goods.csv", "a\n");
    desk.write("sub/prices.jsonl", "");
    desk.write("readme.md", "");
    let connection = desk.connect("{}");
    assert_eq!(connection.entities().await.unwrap(), ["goods", "sub/prices"]);
    assert!(connection.check().await.unwrap().starts_with("3 files in "));
    assert!(std::path::Path::new(&connection.identity()).is_absolute());
    std::fs::remove_dir_all(desk.path("")).unwrap();
    let error = connection.source(source("goods")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("the folder does not exist"), "{error}");
}

#[tokio::test]
async fn declared_columns_that_do_not_fit_name_the_column() {
    let desk = Desk::new();
    desk.write("x.csv", "code;prise\n");
    let target = SourceTarget { columns: columns(&[("price", "int")]), ..source("x") };
    let source = desk.connect("{ delimiter: ';' }").source(target).await.unwrap();
    let error = read(&*source, 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(error.to_string().contains("did you mean `prise`?"), "{error}");
}

#[test]
fn the_manual_has_every_setting() {
    let schemas = Files.schemas();
    for (schema, names) in [
        (schemas.connection, vec!["path", "portion_rows", "delimiter", "format"]),
        (schemas.source, vec!["delimiter", "at"]),
        (schemas.sink, vec!["format", "requisites"]),
    ] {
        let schema = schema.unwrap();
        let properties = schema.get("properties").unwrap().as_object().unwrap();
        for name in names {
            assert!(properties[name].get("description").is_some(), "{name}");
        }
    }
}

#[test]
fn settings_that_are_wrong_are_all_reported() {
    let messages = |yaml: &str| {
        let mut problems = Problems::new();
        Files.check(&node(yaml), &mut problems);
        problems.iter().map(|problem| format!("{}: {}", problem.code.name, problem.message)).collect::<Vec<_>>()
    };
    assert_eq!(messages("{ path: x, preset: excel_ru, nulls: ['-'] }"), [] as [&str; 0]);
    assert_eq!(messages("{ path: x, delimeter: ';', encoding: koi7, portion_rows: 0 }").len(), 3);
    assert!(messages("{ path: x, delimiter: ab }")[0].contains("`ab` is not one ASCII character"));
    assert!(messages("{ path: x, decimal: ',', thousands: ',' }")[0].contains("both the decimal mark"));
    assert!(messages("{ format: csv }")[0].contains("path"));
    assert!(messages("{ path: '' }")[0].contains("`path` is empty"));
}

#[test]
fn source_options_are_checked_with_their_entity() {
    let check = |settings: &str, entity: &str, options: &str| {
        let mut problems = Problems::new();
        Files.check_source(&node(settings), entity, &node(options), &mut problems);
        problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    assert!(check("{ path: x }", "goods", "{ header: false }").is_empty());
    assert!(check("{ path: x }", "../goods", "{}")[0].contains("leads out"));
    assert!(check("{ path: x, format: commerceml }", "goodz", "{}")[0].contains("`goodz`"));
    assert!(check("{ path: x, format: commerceml }", "prices", "{}").is_empty());
    assert_eq!(check("{ path: x }", "goods", "{ headr: false }").len(), 1);
}

/// Files real shops and 1C have written, where they are at hand.
#[tokio::test]
async fn real_packages_are_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples/commerceml");
    if !folder.is_dir() {
        println!("skipped: no ../shared/samples beside the checkout");
        return;
    }
    let desk = Desk::new();
    for (from, to) in
        [("ut_2.07_import0_1.xml", "webdata/import0_1.xml"), ("ut_2.07_offers0_1.xml", "webdata/offers0_1.xml")]
    {
        desk.write(to, std::fs::read(folder.join(from)).unwrap());
    }
    let connection = desk.connect("{ format: commerceml }");
    let count = async |entity: &str, columns: Option<SchemaRef>| {
        let opened = connection.source(SourceTarget { columns, ..source(entity) }).await.unwrap();
        read(&*opened, 100).await.unwrap().iter().map(|batch| batch.rows.num_rows()).sum::<usize>()
    };
    assert!(count("goods", None).await > 0);
    assert!(count("prices", columns(&[("offer", "string"), ("price", "decimal(15,2)")])).await > 0);
}
