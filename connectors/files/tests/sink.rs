//! Changes as files.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod desk;

use arrow::array::{
    ArrayRef, AsArray as _, Date32Array, Decimal128Array, Float64Array, Int32Array, ListArray, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::record_batch::RecordBatch;
use desk::{Desk, node, sink};
use obmen_diagnostics::{FileId, Problems, Span};
use obmen_files::Files;
use obmen_sdk::types::arrow_field;
use obmen_sdk::{
    Changes, Connector as _, ErrorKind, LoadId, Op, Outcome, RejectClass, RowId, Sink, SinkCheck, SinkTarget,
};
use obmen_spec::ColumnType;
use std::sync::Arc;

fn target(entity: &str, rows: &RecordBatch) -> SinkTarget {
    SinkTarget { schema: rows.schema(), key: vec!["id".to_owned()], ..sink(entity) }
}

fn rows(columns: Vec<(Field, ArrayRef)>) -> RecordBatch {
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn field(name: &str, kind: &str) -> Field {
    arrow_field(name, ColumnType::parse(kind).unwrap())
}

fn simple(names: &[&str]) -> RecordBatch {
    let ids = (1..).take(names.len()).map(Some).collect::<Int32Array>();
    rows(vec![
        (field("id", "int"), Arc::new(ids)),
        (field("name", "string"), Arc::new(names.iter().copied().map(Some).collect::<StringArray>())),
    ])
}

fn changes(target: usize, rows: &RecordBatch, ops: &[Op]) -> Changes {
    let ids = (0..).take(ops.len()).map(RowId).collect();
    Changes { target, ids, ops: ops.to_vec(), rows: rows.clone(), old: rows.clone(), unchanged: None }
}

async fn deliver(sink: &dyn Sink, load: &str, changes: &Changes) -> Vec<Outcome> {
    let mut load = sink.begin(&LoadId(load.to_owned())).await.unwrap();
    let mut settled = load.send(changes).await.unwrap();
    settled.extend(load.finish().await.unwrap());
    settled.sort_by_key(|(id, _)| *id);
    settled.into_iter().map(|(_, outcome)| outcome).collect()
}

#[tokio::test]
async fn a_line_is_one_change_exactly() {
    let parts: Fields = vec![field("price_type", "string"), field("price", "decimal(15,2)")].into();
    let prices = Decimal128Array::from(vec![13490, 1]).with_precision_and_scale(15, 2).unwrap();
    let parts_of = StructArray::new(
        parts.clone(),
        vec![Arc::new(StringArray::from(vec!["Розничная", "Опт"])), Arc::new(prices)],
        None,
    );
    let item = Arc::new(Field::new("item", DataType::Struct(parts), true));
    let list = ListArray::new(Arc::clone(&item), OffsetBuffer::from_lengths([2, 0]), Arc::new(parts_of), None);
    let rows = rows(vec![
        (field("id", "int"), Arc::new(Int32Array::from(vec![1, 2]))),
        (field("day", "date"), Arc::new(Date32Array::from(vec![Some(20_000), None]))),
        (
            field("вес", "decimal(38,3)"),
            Arc::new(
                Decimal128Array::from(vec![12_345_678_901_234_567_890_123_i128, 0])
                    .with_precision_and_scale(38, 3)
                    .unwrap(),
            ),
        ),
        (field("more", "json"), Arc::new(StringArray::from(vec!["{\"a\": [1.50]}", "null"]))),
        (Field::new("prices", DataType::List(item), true), Arc::new(list)),
    ]);
    let desk = Desk::new();
    let sink = desk.connect("{ format: jsonl }").sink(vec![target("offers", &rows)]).await.unwrap();
    let outcomes = deliver(&*sink, "01J:X", &changes(0, &rows, &[Op::Update, Op::Delete])).await;
    assert_eq!(outcomes, [Outcome::acked(), Outcome::acked()]);
    assert_eq!(desk.names(), ["offers-01J_X.jsonl"]);
    let expected = concat!(
        r#"{"op":"update","key":{"id":1},"values":{"day":"2024-10-04","вес":12345678901234567890.123,"more":{"a":[1.50]},"#,
        r#""prices":[{"price_type":"Розничная","price":134.90},{"price_type":"Опт","price":0.01}]}}"#,
        "\n",
        r#"{"op":"delete","key":{"id":2},"values":{"day":null,"вес":0.000,"more":null,"prices":[]}}"#,
        "\n",
    );
    assert_eq!(desk.text("offers-01J_X.jsonl"), expected);
}

#[tokio::test]
async fn csv_has_the_operation_first() {
    let desk = Desk::new();
    let rows = simple(&["a;b", "ё"]);
    let sink = desk.connect("{ preset: excel_ru }").sink(vec![target("sub/goods.csv", &rows)]).await.unwrap();
    deliver(&*sink, "1", &changes(0, &rows, &[Op::Create, Op::Delete])).await;
    assert_eq!(
        std::fs::read(desk.path("sub/goods-1.csv")).unwrap(),
        b"op;id;name\r\ncreate;1;\"a;b\"\r\ndelete;2;\xb8\r\n"
    );
}

#[tokio::test]
async fn parquet_is_read_back() {
    let desk = Desk::new();
    let rows = simple(&["a", "b"]);
    let connection = desk.connect("{ format: parquet }");
    let sink = connection.sink(vec![target("goods", &rows)]).await.unwrap();
    deliver(&*sink, "1", &changes(0, &rows, &[Op::Create, Op::Delete])).await;
    let source = connection.source(desk::source("goods-1")).await.unwrap();
    let batches = desk::read(&*source, 10).await.unwrap();
    assert_eq!(
        batches[0].rows.column(0).as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("create"), Some("delete")]
    );
    assert_eq!(batches[0].rows.num_columns(), 3);
}

#[tokio::test]
async fn nothing_is_visible_before_the_end_and_nothing_stays_of_what_broke_off() {
    let desk = Desk::new();
    let rows = simple(&["a"]);
    for format in ["jsonl", "csv", "parquet"] {
        let sink = desk.connect(&format!("{{ format: {format} }}")).sink(vec![target("x", &rows)]).await.unwrap();
        let mut load = sink.begin(&LoadId("1".to_owned())).await.unwrap();
        load.send(&changes(0, &rows, &[Op::Create])).await.unwrap();
        assert!(desk.names().iter().all(|name| name.starts_with('.')), "{:?}", desk.names());
        drop(load);
        assert!(desk.names().is_empty());
    }
}

#[tokio::test]
async fn what_an_old_crash_left_is_cleared() {
    let desk = Desk::new();
    desk.write(".x-0.jsonl.tmp", "half a line");
    desk.write(".young.jsonl.tmp", "");
    let old = std::time::SystemTime::UNIX_EPOCH;
    std::fs::File::options().write(true).open(desk.path(".x-0.jsonl.tmp")).unwrap().set_modified(old).unwrap();
    let sink = desk.connect("{ format: jsonl }").sink(vec![target("x", &simple(&["a"]))]).await.unwrap();
    drop(sink.begin(&LoadId("1".to_owned())).await.unwrap());
    assert_eq!(desk.names(), [".young.jsonl.tmp"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_written_is_refused_alone() {
    let desk = Desk::new();
    let snowman = simple(&["мяч", "☃"]);
    let sink = desk.connect("{ format: csv, encoding: windows-1251 }").sink(vec![target("x", &snowman)]).await.unwrap();
    let outcomes = deliver(&*sink, "1", &changes(0, &snowman, &[Op::Create, Op::Create])).await;
    assert_eq!(outcomes[0], Outcome::acked());
    let Outcome::Rejected { altered: false, class: RejectClass::Data, reason } = &outcomes[1] else {
        panic!("{outcomes:?}")
    };
    assert!(reason.contains("`name`") && reason.contains('☃'), "{reason}");
    let numbers = rows(vec![
        (field("id", "int"), Arc::new(Int32Array::from(vec![1]))),
        (field("x", "double"), Arc::new(Float64Array::from(vec![f64::NAN]))),
    ]);
    let sink = desk.connect("{ format: jsonl }").sink(vec![target("nan", &numbers)]).await.unwrap();
    let outcomes = deliver(&*sink, "1", &changes(0, &numbers, &[Op::Create])).await;
    assert!(matches!(outcomes[0], Outcome::Rejected { class: RejectClass::Data, .. }));
    // A file without a row is not written at all.
    assert_eq!(desk.names(), ["x-1.csv"]);
}

#[tokio::test]
async fn a_disk_that_refuses_leaves_the_rows_untouched() {
    let desk = Desk::new();
    let rows = simple(&["a"]);
    let sink = desk.connect("{ format: jsonl }").sink(vec![target("x", &rows)]).await.unwrap();
    // A folder stands where the file is to be.
    std::fs::create_dir_all(desk.path("x-1.jsonl/inside")).unwrap();
    let outcomes = deliver(&*sink, "1", &changes(0, &rows, &[Op::Create])).await;
    assert!(
        matches!(outcomes[0], Outcome::Rejected { altered: false, class: RejectClass::Temporary, .. }),
        "{outcomes:?}"
    );
    assert!(desk.names().is_empty());
    // A file stands where the folder is to be.
    desk.write("sub", "");
    let sink = desk.connect("{ format: jsonl }").sink(vec![target("sub/x", &rows)]).await.unwrap();
    let outcomes = deliver(&*sink, "1", &changes(0, &rows, &[Op::Create])).await;
    assert!(matches!(outcomes[0], Outcome::Rejected { altered: false, .. }), "{outcomes:?}");
    let sink = desk.connect("{ format: jsonl }").sink(vec![]).await.unwrap();
    std::fs::remove_dir_all(desk.path("")).unwrap();
    assert!(sink.begin(&LoadId("2".to_owned())).await.is_ok(), "the folder is created");
}

#[tokio::test]
async fn a_package_is_a_folder_that_can_be_read_again() {
    let desk = Desk::new();
    let rows = simple(&["Мяч", "Куб"]);
    let connection = desk.connect("{ format: commerceml }");
    let sink = connection.sink(vec![target("goods", &rows)]).await.unwrap();
    assert!(sink.abilities().targets[0].operations.mark);
    let outcomes = deliver(&*sink, "load-1", &changes(0, &rows, &[Op::Create, Op::Create])).await;
    assert_eq!(outcomes, [Outcome::acked(), Outcome::acked()]);
    assert_eq!(desk.names(), ["load-1/import0_1.xml"]);
    let source = connection.source(desk::source("goods")).await.unwrap();
    let batches = desk::read(&*source, 10).await.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.rows.num_rows()).sum::<usize>(), 2);
    // It says that it carries only changes, so absence proves nothing.
    assert_eq!(batches.last().unwrap().exact, Some(false));
    let error =
        connection.sink(vec![SinkTarget { entity: "goodz".to_owned(), ..target("goods", &rows) }]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
}

#[tokio::test]
async fn a_package_that_broke_off_or_has_no_row_leaves_nothing() {
    let desk = Desk::new();
    let there =
        || std::fs::read_dir(desk.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let rows = simple(&["Мяч"]);
    let sink = desk.connect("{ format: commerceml }").sink(vec![target("goods", &rows)]).await.unwrap();
    let mut load = sink.begin(&LoadId("load-1".to_owned())).await.unwrap();
    load.send(&changes(0, &rows, &[Op::Create])).await.unwrap();
    assert!(there().iter().all(|name| name.to_string_lossy().starts_with('.')), "{:?}", there());
    drop(load);
    assert!(there().is_empty(), "{:?}", there());
    let nameless = simple(&[""]);
    let outcomes = deliver(&*sink, "load-2", &changes(0, &nameless, &[Op::Create])).await;
    assert!(matches!(outcomes[0], Outcome::Rejected { class: RejectClass::Data, .. }), "{outcomes:?}");
    assert!(there().is_empty(), "{:?}", there());
    // something stands where the package is to be
    std::fs::create_dir_all(desk.path("load-3/inside")).unwrap();
    let outcomes = deliver(&*sink, "load-3", &changes(0, &rows, &[Op::Create])).await;
    assert!(
        matches!(outcomes[0], Outcome::Rejected { altered: false, class: RejectClass::Temporary, .. }),
        "{outcomes:?}"
    );
    assert_eq!(there(), ["load-3"]);
}

#[test]
fn sinks_are_checked_before_anything_runs() {
    let check = |settings: &str, entity: &str, options: &str, children: &[&str], columns: &[&str]| {
        let mut problems = Problems::new();
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        let options = node(options);
        let span = Span::new(FileId(0), 0..1);
        let target = SinkCheck { entity, span, children, columns: Some(&columns), options: &options };
        Files.check_sink(&node(settings), &target, &mut problems);
        problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    assert!(check("{ path: x, format: jsonl }", "orders", "{}", &["lines"], &["id"]).is_empty());
    assert!(check("{ path: x }", "orders", "{ format: json }", &[], &["id"])[0].contains("cannot write `json`"));
    assert!(check("{ path: x, format: csv }", "orders", "{}", &["lines"], &["id"])[0].contains("`lines`"));
    assert!(check("{ path: x, format: csv }", "orders", "{}", &[], &["op"])[0].contains("`op`"));
    assert!(check("{ path: x }", "or:ders", "{}", &[], &["id"])[0].contains("cannot be a file's name"));
    assert_eq!(check("{ path: x }", "orders", "{ requisites: {} }", &[], &["id"]).len(), 1);
    assert!(
        check(
            "{ path: x, format: commerceml }",
            "goods",
            "{ requisites: { colour: Цвет } }",
            &[],
            &["id", "name", "colour"]
        )
        .is_empty()
    );
    assert!(!check("{ path: x, format: commerceml }", "goodz", "{}", &[], &["id"]).is_empty());
}
