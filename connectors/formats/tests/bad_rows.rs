//! What is wrong in a file is found by its place, and the rest is read.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use arrow::array::AsArray as _;
use arrow::datatypes::{Decimal128Type, SchemaRef};
use obmen_formats::{Format, Reading, csv, json};
use obmen_sdk::{BadRow, ErrorKind, types};
use obmen_spec::ColumnType;
use std::io::Cursor;
use std::sync::Arc;

fn schema(columns: &[(&str, &str)]) -> SchemaRef {
    let fields = columns.iter().map(|(name, kind)| types::arrow_field(name, ColumnType::parse(kind).unwrap()));
    Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()))
}

fn format(json: &str) -> Format {
    serde_json::from_str(json).unwrap()
}

type Read = obmen_sdk::Result<(usize, Vec<(String, Option<String>)>)>;

fn read_csv(bytes: &[u8], settings: &str, columns: &[(&str, &str)]) -> Read {
    let schema = schema(columns);
    let (mut count, mut bad) = (0, Vec::new());
    let reading = Reading { file: "x.csv", schema: &schema, columns: None, batch_rows: 100 };
    csv::read(Cursor::new(bytes.to_vec()), reading, &format(settings).csv("x.csv"), &mut |batch| {
        count += batch.rows.num_rows();
        bad.extend(batch.bad.into_iter().map(|BadRow { place, column, .. }| (place, column)));
        Ok(())
    })?;
    Ok((count, bad))
}

fn read_json(text: &str, layout: &json::Layout, columns: &[(&str, &str)]) -> Read {
    let schema = schema(columns);
    let (mut count, mut bad) = (0, Vec::new());
    let reading = Reading { file: "x.json", schema: &schema, columns: None, batch_rows: 100 };
    json::read(text.as_bytes(), reading, layout, &Format::default().json(), &mut |batch| {
        count += batch.rows.num_rows();
        bad.extend(batch.bad.into_iter().map(|BadRow { place, column, .. }| (place, column)));
        Ok(())
    })?;
    Ok((count, bad))
}

fn at(place: &str, column: &str) -> (String, Option<String>) {
    (place.to_owned(), (!column.is_empty()).then(|| column.to_owned()))
}

#[test]
fn csv_places_count_lines_and_characters() {
    let text = "имя,цена\n\"две\nстроки\",1.50\nя,1.505\nбез цены\nх,1,2\n\nю,\"0x1\"\n,5\n";
    let (count, bad) = read_csv(text.as_bytes(), "{}", &[("имя", "string"), ("цена", "decimal(10,2)")]).unwrap();
    assert_eq!(count, 2);
    assert_eq!(bad, [at("x.csv:4:3", "цена"), at("x.csv:5:9", ""), at("x.csv:6:5", ""), at("x.csv:8:3", "цена")]);
}

#[test]
fn csv_takes_no_byte_for_another() {
    let (count, bad) = read_csv(b"a,b\n1,\xFF\n2,x\n", "{}", &[("a", "int"), ("b", "string")]).unwrap();
    assert_eq!((count, bad), (1, vec![at("x.csv:2:3", "b")]));
    let (count, bad) = read_csv(b"a;b\n1;\x98\n2;\xFF\n", r#"{"preset":"excel_ru"}"#, &[("b", "string")]).unwrap();
    assert_eq!((count, bad), (1, vec![at("x.csv:2:3", "b")]));
    // Columns nobody asked for are not looked at.
    assert_eq!(read_csv(b"a,b\n1,\xFF\n", "{}", &[("a", "int")]).unwrap(), (1, vec![]));
}

#[test]
fn csv_headers_are_exact() {
    let error = read_csv(b"code,prise\n", "{}", &[("code", "string"), ("price", "string")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert!(error.to_string().contains("did you mean `prise`?"), "{error}");
    let error = read_csv(b"code,code\n", "{}", &[("code", "string")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    assert_eq!(read_csv(b"", "{}", &[("a", "int")]).unwrap_err().kind(), ErrorKind::SchemaMismatch);
    assert_eq!(read_csv(b"", r#"{"header":false}"#, &[("a", "int")]).unwrap(), (0, vec![]));
    assert_eq!(read_csv(b"1,2\n", r#"{"header":false}"#, &[("a", "int"), ("b", "int")]).unwrap(), (1, vec![]));
}

#[test]
fn json_lines_that_are_broken_cost_one_row() {
    let text = "{\"a\":1}\n{\"я\":\"ю\",\"a\":}\n[1]\n7\n{\"a\": \"x\"}\n\n{\"a\":1,\"a\":2}\n{\"a\":2} {}\n{\"b\":1}";
    let (count, bad) = read_json(text, &json::Layout::Lines, &[("a", "int")]).unwrap();
    assert_eq!(count, 2);
    let expected = [
        at("x.json:2:14", ""),
        at("x.json:3:1", ""),
        at("x.json:4:1", ""),
        at("x.json:5:7", "a"),
        at("x.json:7:1", ""),
        at("x.json:8:9", ""),
    ];
    assert_eq!(bad, expected);
}

#[test]
fn json_lists_name_line_and_column() {
    let text = "{\"x\": [1, {}],\n \"data\": [\n  {\"a\": 1},\n  {\"я\": 1, \"a\": \"?\"}, null, {}\n]}";
    let (count, bad) = read_json(text, &json::Layout::list(Some("data")), &[("a", "int")]).unwrap();
    assert_eq!((count, bad), (2, vec![at("x.json:4:17", "a"), at("x.json:4:23", "")]));
}

#[test]
fn json_documents_without_the_list_say_what_they_have() {
    let columns = &[("a", "int")];
    for (text, at, words) in [
        ("{\"items\":[]}", None, "keys: `items`"),
        ("{\"items\":[]}", Some("data"), "its keys are `items`"),
        ("{\"data\":null}", Some("data"), "is null"),
        ("{\"data\":[]}", Some("data.items"), "is a list"),
    ] {
        let error = read_json(text, &json::Layout::list(at), columns).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = read_json("[{\"a\":1},\n{\"a\":", &json::Layout::list(None), columns).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("x.json:2"), "{error}");
}

#[test]
fn json_without_columns_takes_every_key() {
    let text = "{\"b\":1.50,\"a\":\"x\"}\n{\"c\":[1],\"a\":null}\n";
    let found = json::schema(text.as_bytes(), "x", &json::Layout::Lines).unwrap();
    let expected = schema(&[("b", "string"), ("a", "string"), ("c", "json")]);
    assert_eq!(found, expected);
    let reading = Reading { file: "x", schema: &found, columns: Some(&[2, 0]), batch_rows: 10 };
    json::read(text.as_bytes(), reading, &json::Layout::Lines, &Format::default().json(), &mut |batch| {
        assert_eq!(batch.rows.column(1).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("1.50"), None]);
        assert_eq!(batch.rows.column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [None, Some("[1]")]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_reader_stops_when_its_listener_does() {
    let text = "a\n1\n2\n3\n";
    let schema = schema(&[("a", "int")]);
    let reading = Reading { file: "x", schema: &schema, columns: None, batch_rows: 1 };
    let mut seen = 0;
    let result = csv::read(Cursor::new(text), reading, &Format::default().csv(""), &mut |_| {
        seen += 1;
        Err(obmen_sdk::Error::new(ErrorKind::Cancelled, "enough"))
    });
    assert_eq!((result.unwrap_err().kind(), seen), (ErrorKind::Cancelled, 1));
}

/// Files of real banks and payment systems, where they are at hand.
#[test]
fn real_files_are_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/samples/payments");
    if !folder.is_dir() {
        println!("skipped: no ../shared/samples beside the checkout");
        return;
    }
    let read = |name: &str, settings: &str, columns: &[(&str, &str)]| {
        let schema = schema(columns);
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let reading = Reading { file: name, schema: &schema, columns: None, batch_rows: 8192 };
        let (mut rows, mut sum, mut bad) = (0, 0_i128, Vec::new());
        csv::read(Cursor::new(bytes), reading, &format(settings).csv(name), &mut |batch| {
            rows += batch.rows.num_rows();
            sum += batch.rows.column(0).as_primitive::<Decimal128Type>().iter().flatten().sum::<i128>();
            bad.extend(batch.bad);
            Ok(())
        })
        .unwrap();
        (rows, sum, bad)
    };
    let registry = r#"{"encoding":"windows-1251","delimiter":";","skip_lines":2,"date":"dd.mm.yyyy"}"#;
    let (rows, _, bad) = read(
        "raiffeisen_acquiring_registry_ECOMSBP.cp1251.csv",
        registry,
        &[("Сумма", "decimal(15,2)"), ("Дата операции МСК", "datetime")],
    );
    assert!(rows >= 6, "{rows} rows, bad: {bad:?}");
    let (rows, sum, bad) = read(
        "paypal_statement_es.csv",
        r#"{"decimal":",","thousands":".","date":"d/m/yyyy"}"#,
        &[("Bruto", "decimal(15,2)"), ("Saldo", "decimal(15,2)"), ("Fecha", "date")],
    );
    assert_eq!((rows > 3, sum > 0, bad), (true, true, vec![]));
    let (rows, _, bad) = read(
        "paypal_activity_en.csv",
        r#"{"date":"dd/mm/yyyy","thousands":","}"#,
        &[("Net", "decimal(15,2)"), ("Date", "date"), ("Time", "time")],
    );
    assert_eq!((rows > 50, bad), (true, vec![]));
}
