//! SQL by examples: `tests/sql/*.slt` in the format of sqllogictest, run as steps of a session with a few sources.
//!
//! A query is planned as a step and its rows are read; warnings are let through. `STEP name AS SELECT …` in a
//! `statement` adds a step that later queries read. Errors are the diagnostic's code and message, or the message of
//! what failed while running. `SQL_SLT=part` runs the files whose name has the part.

#![expect(clippy::unwrap_used, reason = "a test")]

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::DateTime;
use futures::TryStreamExt;
use obmen_diagnostics::{FileId, Problems, Severity, Span};
use obmen_runtime::sql::{Options, Query, Rows, Sql, VarValue};
use obmen_spec::SqlText;
use sqllogictest::{DBOutput, DefaultColumnType, Runner};
use std::path::PathBuf;
use std::sync::Arc;

/// A session with the sources that the examples read.
struct Steps {
    sql: Sql,
    _spill: tempfile::TempDir,
}

#[derive(Debug)]
struct Failed(String);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl Steps {
    fn new() -> Self {
        let spill = tempfile::tempdir().unwrap();
        let options = Options {
            memory: 64 << 20,
            spill: spill.path().to_owned(),
            now: DateTime::parse_from_rfc3339("2026-11-22T10:00:00.123456Z").unwrap().to_utc(),
            threads: 2,
            batch_rows: 3,
        };
        let mut sql = Sql::new(options).unwrap();
        for (name, key, columns) in sources() {
            let fields: Vec<Field> =
                columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
            let schema = Arc::new(Schema::new(fields));
            let arrays = columns.into_iter().map(|(_, array)| array).collect();
            let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
            let key: Vec<String> = key.iter().map(|key| (*key).to_owned()).collect();
            sql.add_source(name, schema, &key, Rows::Memory(vec![batch])).unwrap();
        }
        sql.var("склады", VarValue::List(vec!["Основной".to_owned(), "Магазин".to_owned()]));
        sql.var("none", VarValue::List(Vec::new()));
        sql.var("min_price", VarValue::Decimal("-12.50".to_owned()));
        sql.var("limit", VarValue::Long(2));
        sql.var("day", VarValue::Date("2026-11-22".parse().unwrap()));
        sql.var("moment", VarValue::Datetime("2026-11-22T10:00:00.5".parse().unwrap()));
        sql.var("quote", VarValue::Text("it's".to_owned()));
        sql.var("yes", VarValue::Bool(true));
        sql.var("nothing", VarValue::Null);
        Self { sql, _spill: spill }
    }

    fn step(&mut self, name: &str, query: &str) -> Result<(), Failed> {
        let text = SqlText { text: query.to_owned(), span: Span::new(FileId(0), 0..query.len()), lines: vec![(0, 0)] };
        let mut problems = Problems::new();
        let planned = self.sql.add_step(name, &text, &mut problems);
        let errors: Vec<String> = problems
            .sorted()
            .into_iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| format!("{}: {}", problem.code.name, problem.message))
            .collect();
        match planned {
            Some(_) => Ok(()),
            None => Err(Failed(errors.join("; "))),
        }
    }

    async fn rows(&mut self, query: &str) -> Result<DBOutput<DefaultColumnType>, Failed> {
        self.step("запрос", query)?;
        let failed = |error: obmen_sdk::Error| Failed(error.to_string());
        let query = Query { relation: "запрос".to_owned(), ..Query::default() };
        let batches: Vec<RecordBatch> =
            self.sql.stream(query).await.map_err(failed)?.try_collect().await.map_err(failed)?;
        let types = vec![DefaultColumnType::Text; self.sql.schema("запрос").unwrap().fields().len()];
        Ok(DBOutput::Rows { types, rows: batches.iter().flat_map(texts).collect() })
    }
}

#[async_trait::async_trait]
impl sqllogictest::AsyncDB for Steps {
    type Error = Failed;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, query: &str) -> Result<DBOutput<DefaultColumnType>, Failed> {
        let named = query.strip_prefix("STEP ").and_then(|rest| rest.split_once(" AS "));
        match named {
            Some((name, query)) => self.step(name.trim(), query).map(|()| DBOutput::StatementComplete(0)),
            None => self.rows(query).await,
        }
    }

    async fn shutdown(&mut self) {}
}

fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<ArrayFormatter<'_>> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let cell = |column: &ArrayFormatter<'_>, row| {
        let text = column.value(row).to_string();
        if text.is_empty() { "(empty)".to_owned() } else { text }
    };
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect()).collect()
}

type Source = (&'static str, &'static [&'static str], Vec<(&'static str, ArrayRef)>);

fn sources() -> Vec<Source> {
    let decimal = |values: Vec<Option<i128>>, precision, scale| -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_data_type(DataType::Decimal128(precision, scale)))
    };
    let text = |values: Vec<Option<&str>>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    vec![
        (
            "goods",
            &["Ref_Key"],
            vec![
                ("Ref_Key", text(vec![Some("г1"), Some("г2"), Some("г3"), Some("г4")])),
                ("Артикул", text(vec![Some("001"), Some("A-2"), None, Some("")])),
                ("Description", text(vec![Some("Ёлка"), Some("Ящик"), Some("Яблоко"), Some("Ежевика")])),
                ("IsFolder", Arc::new(BooleanArray::from(vec![Some(false), Some(false), Some(true), None]))),
            ],
        ),
        (
            "prices",
            &["Номенклатура_Key", "ВидЦены"],
            vec![
                ("Номенклатура_Key", text(vec![Some("г1"), Some("г1"), Some("г2"), Some("г4")])),
                ("ВидЦены", text(vec![Some("Розничная"), Some("Оптовая"), Some("Розничная"), Some("Розничная")])),
                ("Цена", decimal(vec![Some(12_990), Some(10_050), Some(-5), None], 15, 2)),
                ("Количество", decimal(vec![Some(1_500), Some(1), Some(0), Some(2_000)], 15, 3)),
            ],
        ),
        (
            "extremes",
            &["id"],
            vec![
                ("id", Arc::new(Int32Array::from(vec![1, 2, 3]))),
                ("small", Arc::new(Int32Array::from(vec![Some(i32::MAX), Some(i32::MIN), Some(0)]))),
                ("big", Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(i64::MIN), None]))),
                ("huge", decimal(vec![Some(10i128.pow(38) - 1), Some(1 - 10i128.pow(38)), Some(0)], 38, 0)),
                ("fine", decimal(vec![Some(10i128.pow(38) - 1), Some(1), Some(0)], 38, 2)),
                ("double", Arc::new(Float64Array::from(vec![Some(1e308), Some(0.1), Some(0.0)]))),
            ],
        ),
        (
            "days",
            &["id"],
            vec![
                ("id", Arc::new(Int32Array::from(vec![1, 2, 3]))),
                ("day", Arc::new(Date32Array::from(vec![Some(-719_162), Some(2_932_896), Some(20_779)]))),
                (
                    "time",
                    Arc::new(TimestampMicrosecondArray::from(vec![
                        Some(-62_135_596_800_000_000),
                        Some(253_402_300_799_999_999),
                        None,
                    ])),
                ),
                ("text", text(vec![Some("0001-01-01"), Some("22.11.2026"), Some("9999-12-31T23:59:59")])),
            ],
        ),
        ("numbers", &["n"], vec![("n", Arc::new(Int64Array::from((1..=10).collect::<Vec<i64>>())) as ArrayRef)]),
    ]
}

#[test]
fn examples() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/sql");
    let part = option_env!("SQL_SLT").unwrap_or("");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "slt") && file.to_string_lossy().contains(part));
    files.sort();
    assert!(!files.is_empty(), "there are examples");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut failures = Vec::new();
    for file in files {
        let mut runner = Runner::new(|| async { Ok(Steps::new()) });
        if let Err(error) = runtime.block_on(runner.run_file_async(&file)) {
            failures.push(error.to_string());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
