//! A schema of its own in the test database, and what tests need to fill it, read it and write to it.

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use arrow::util::display::array_value_to_string;
use futures::TryStreamExt as _;
use obmen_diagnostics::{Files, Problems};
use obmen_postgres::Postgres;
use obmen_sdk::types::column_type;
use obmen_sdk::{
    Batch, Changes, Connection, Connector as _, Context, LoadId, Op, Outcome, Result, RowId, Scan, Secret, Secrets,
    Sink, SinkTarget, Source, SourceTarget, Stop,
};
use obmen_spec::{ColumnType, Node};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_postgres::{Client, NoTls};

/// A password nobody may ever see.
pub(crate) const PASSWORD: &str = "word-of-honour";

/// A schema that is dropped with this.
pub(crate) struct Base {
    pub(crate) url: String,
    pub(crate) schema: String,
    pub(crate) client: Client,
}

/// The address of the server tests may use.
#[expect(clippy::disallowed_methods, reason = "where services are is said to tests by the environment")]
fn address() -> String {
    std::env::var("OBMEN_TEST_POSTGRES").unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/test".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "whether services are required is said to tests by the environment")]
fn required() -> bool {
    std::env::var("OBMEN_TEST_SERVICES").is_ok_and(|value| value == "required")
}

impl Base {
    /// A fresh schema; `None`, and a line that says so, where no server answers.
    pub(crate) async fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let url = address();
        let (client, connection) = match tokio_postgres::connect(&url, NoTls).await {
            Ok(connected) => connected,
            Err(error) if required() => panic!("no PostgreSQL at {url}: {error:?}"),
            Err(error) => {
                eprintln!("skipped: no PostgreSQL at {url}: {error}");
                return None;
            }
        };
        tokio::spawn(connection);
        let schema = format!("it_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let base = Self { url, schema, client };
        base.run(&format!("DROP SCHEMA IF EXISTS {0} CASCADE; CREATE SCHEMA {0}; SET search_path = {0}", base.schema))
            .await;
        Some(base)
    }

    /// The address with a role the server does not know.
    pub(crate) fn stranger(&self) -> String {
        let (_, server) = self.url.split_once('@').expect("an address with a role");
        format!("postgres://nobody_knows@{server}")
    }

    /// Carries out statements; the schema is on the path.
    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The first column of the rows, as texts; NULL is `-`.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let messages = self.client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let text = |message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("-").to_owned()),
            _ => None,
        };
        messages.into_iter().filter_map(text).collect()
    }

    /// A connection, with more settings.
    pub(crate) fn connect(&self, more: &str) -> Arc<dyn Connection> {
        self.connect_to(&self.url, more, &Stop::default())
    }

    pub(crate) fn connect_to(&self, url: &str, more: &str, stop: &Stop) -> Arc<dyn Connection> {
        let settings =
            format!("url: {url}\npassword: ${{env:WORD}}\ntls: off\nloads_table: {}.obmen_loads\n{more}", self.schema);
        let settings = node(&settings);
        let mut problems = Problems::new();
        Postgres.check(&settings, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        Postgres.open(&settings, &context(stop)).unwrap()
    }

    pub(crate) fn source_target(&self, table: &str, columns: Option<SchemaRef>) -> SourceTarget {
        SourceTarget {
            name: "source".to_owned(),
            entity: format!("{}.{table}", self.schema),
            columns,
            key: Vec::new(),
            inbox: None,
            options: node("{}"),
        }
    }

    pub(crate) fn sink_target(&self, table: &str, schema: SchemaRef) -> SinkTarget {
        SinkTarget {
            name: "sink".to_owned(),
            entity: format!("{}.{table}", self.schema),
            schema,
            key: vec!["id".to_owned()],
            delete: true,
            options: node("{}"),
        }
    }

    /// A table of the schema as a source.
    pub(crate) async fn source(&self, table: &str, columns: Option<SchemaRef>) -> Result<Arc<dyn Source>> {
        self.connect("").source(self.source_target(table, columns)).await
    }

    /// A query as a source.
    pub(crate) async fn query(&self, query: &str, more: &str) -> Result<Arc<dyn Source>> {
        let options = node(&format!("query: |\n  {}\n", query.replace('\n', "\n  ")));
        let target = SourceTarget { entity: "a query".to_owned(), options, ..self.source_target("x", None) };
        self.connect(more).source(target).await
    }

    /// One table as a sink.
    pub(crate) async fn sink(&self, target: SinkTarget) -> Result<Arc<dyn Sink>> {
        self.connect("").sink(vec![target]).await
    }

    /// A table with these columns and rows.
    pub(crate) async fn fill(&self, table: &str, rows: &RecordBatch) {
        let schema = rows.schema();
        let columns = schema
            .fields()
            .iter()
            .map(|field| format!("\"{}\" {}", field.name(), sql_type(column_type(field).unwrap())));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let table = table.replace('"', "\"\"");
        self.run(&format!("DROP TABLE IF EXISTS \"{table}\"; CREATE TABLE \"{table}\" ({columns})")).await;
        self.insert(&table, rows).await;
    }

    pub(crate) async fn insert(&self, table: &str, rows: &RecordBatch) {
        for first in (0..rows.num_rows()).step_by(1_000) {
            let last = rows.num_rows().min(first + 1_000);
            let row = |row| {
                let cells: Vec<String> = rows.columns().iter().map(|column| literal(column, row)).collect();
                format!("({})", cells.join(", "))
            };
            let values: Vec<String> = (first..last).map(row).collect();
            self.run(&format!("INSERT INTO \"{table}\" VALUES {}", values.join(", "))).await;
        }
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let (url, schema) = (self.url.clone(), self.schema.clone());
        // A thread of its own: nothing can be waited for here.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
                tokio::spawn(connection);
                let sql = format!("SET lock_timeout = '5s'; DROP SCHEMA IF EXISTS {schema} CASCADE");
                drop(client.batch_execute(&sql).await);
            });
        });
        drop(dropping.join());
    }
}

/// The type of PostgreSQL that holds a declared type.
pub(crate) fn sql_type(kind: ColumnType) -> String {
    match kind {
        ColumnType::String => "text".to_owned(),
        ColumnType::Bool => "bool".to_owned(),
        ColumnType::Int => "int4".to_owned(),
        ColumnType::Long => "int8".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        ColumnType::Double => "float8".to_owned(),
        ColumnType::Date => "date".to_owned(),
        ColumnType::Time => "time".to_owned(),
        ColumnType::Datetime => "timestamp".to_owned(),
        ColumnType::Uuid => "uuid".to_owned(),
        ColumnType::Json => "json".to_owned(),
        ColumnType::Binary => "bytea".to_owned(),
    }
}

/// A value as a literal; what PostgreSQL cannot hold is NULL.
pub(crate) fn literal(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "NULL".to_owned();
    }
    let text = match column.data_type() {
        DataType::Binary => {
            column.as_binary::<i32>().value(row).iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
        }
        DataType::Float64 => format!("{:e}", column.as_primitive::<Float64Type>().value(row)),
        _ => match array_value_to_string(column, row) {
            Ok(text) if !text.contains('\0') => text,
            _ => return "NULL".to_owned(),
        },
    };
    format!("'{}'", text.replace('\'', "''"))
}

/// A node of a YAML text.
pub(crate) fn node(text: &str) -> Node {
    let mut files = Files::new();
    let mut problems = Problems::new();
    let file = files.add("test.yaml", text);
    obmen_spec::yaml::parse(file, text, &mut problems).unwrap_or_else(|| panic!("{problems:?}"))
}

/// Secrets that are spelled out.
#[derive(Debug)]
struct Plain;

impl Secrets for Plain {
    fn resolve(&self, text: &str) -> Result<Secret> {
        Ok(Secret::new(if text == "${env:WORD}" { PASSWORD } else { text }))
    }
}

/// What the engine lends.
pub(crate) fn context(stop: &Stop) -> Context {
    Context {
        project: std::env::temp_dir(),
        scratch: std::env::temp_dir(),
        now: chrono::DateTime::default(),
        secrets: Arc::new(Plain),
        stop: stop.clone(),
    }
}

/// All batches of a read.
pub(crate) async fn read(source: &dyn Source, scan: Scan) -> Result<Vec<Batch>> {
    source.read(scan).await?.try_collect().await
}

/// All rows of a source as one batch; none of them is bad.
pub(crate) async fn rows(source: &dyn Source, scan: Scan) -> RecordBatch {
    let batches = read(source, scan).await.unwrap();
    assert!(batches.iter().all(|batch| batch.bad.is_empty()), "{batches:?}");
    arrow::compute::concat_batches(&source.schema(), batches.iter().map(|batch| &batch.rows)).unwrap()
}

/// Changes of rows of the first target.
pub(crate) fn changes(ops: &[Op], rows: &RecordBatch) -> Changes {
    let ids = (1..).take(ops.len()).map(RowId).collect();
    Changes { target: 0, ids, ops: ops.to_vec(), old: rows.clone(), rows: rows.clone(), unchanged: None }
}

/// Delivers changes as one load; outcomes in the order of the rows.
pub(crate) async fn deliver(sink: &dyn Sink, load: &str, changes: &Changes) -> Vec<Outcome> {
    let mut running = sink.begin(&LoadId(load.to_owned())).await.unwrap();
    let mut settled = running.send(changes).await.unwrap();
    settled.extend(running.finish().await.unwrap());
    settled.sort_by_key(|(id, _)| *id);
    settled.into_iter().map(|(_, outcome)| outcome).collect()
}
