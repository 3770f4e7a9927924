//! The laws of sources and sinks, in every format.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod desk;

use arrow::array::{ArrayRef, AsArray as _, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use desk::Desk;
use obmen_formats::{Format, csv, json, parquet};
use obmen_sdk::types::arrow_field;
use obmen_sdk::{Changes, Connection, Op, RowId, SinkTarget, SourceTarget};
use obmen_spec::ColumnType;
use obmen_testkit::sink_laws::{self, Behaviour, Opened, SinkBench};
use obmen_testkit::source_laws::{self, Held, SourceBench};
use obmen_testkit::store::{self, Fault, Method, Store};
use std::sync::Arc;

struct Bench {
    extension: &'static str,
    settings: &'static str,
    /// In an object store instead of a folder.
    in_store: bool,
    /// The desks live as long as the bench.
    desks: std::sync::Mutex<Vec<Desk>>,
}

impl Bench {
    fn new(extension: &'static str, settings: &'static str) -> Self {
        Self { extension, settings, in_store: false, desks: std::sync::Mutex::default() }
    }

    fn in_store(extension: &'static str, settings: &'static str) -> Self {
        Self { in_store: true, ..Self::new(extension, settings) }
    }

    /// A connection of a desk to a store, with the settings of the bench.
    fn connect(&self, desk: &Desk, address: &str, user: &str) -> Arc<dyn Connection> {
        self.connect_within("30s", desk, address, user)
    }

    fn connect_within(&self, timeout: &str, desk: &Desk, address: &str, user: &str) -> Arc<dyn Connection> {
        let more = self.settings.trim_matches(['{', '}', ' ']);
        let more = if more.is_empty() { String::new() } else { format!(", {more}") };
        let limits = format!("timeout: {timeout}, retries: 0");
        desk.open(&store::settings(address, user, &more).replace("timeout: 30s, retries: 2", &limits)).unwrap()
    }

    fn write(&self, rows: &RecordBatch) -> Vec<u8> {
        let format: Format = desk::settings(self.settings);
        let lines = || {
            let mut writer = json::Writer::new(Vec::new());
            for row in 0..rows.num_rows() {
                writer.row(rows, row).unwrap().unwrap();
            }
            writer.finish().unwrap()
        };
        match self.extension {
            "csv" => {
                let mut writer = csv::Writer::new(Vec::new(), format.csv("x.csv"), &[], &rows.schema()).unwrap();
                for row in 0..rows.num_rows() {
                    writer.row(&[], rows, row).unwrap().unwrap();
                }
                writer.finish().unwrap()
            }
            "jsonl" => lines(),
            "json" => format!("[{}]", String::from_utf8(lines()).unwrap().trim_end().replace('\n', ",")).into_bytes(),
            _ => {
                let mut writer = parquet::Writer::new(Vec::new(), rows.schema()).unwrap();
                writer.write(rows).unwrap();
                writer.finish().unwrap()
            }
        }
    }
}

#[async_trait]
impl SourceBench for Bench {
    async fn hold(&self, rows: &RecordBatch) -> Held {
        let desk = Desk::new();
        let name = format!("таблица [1].{}", self.extension);
        let target = SourceTarget { columns: Some(rows.schema()), ..desk::source("таблица [1]") };
        let connection = if self.in_store {
            let store = Store::start().await;
            store.write(&format!("trade/{name}"), self.write(rows)).await;
            self.connect(&desk, &store.address, "good")
        } else {
            desk.write(&name, self.write(rows));
            desk.connect(self.settings)
        };
        let held = Held { connection, target };
        self.desks.lock().unwrap().push(desk);
        held
    }

    async fn missing(&self, held: Held) -> Held {
        Held { target: SourceTarget { entity: "nowhere".to_owned(), ..held.target }, ..held }
    }

    async fn dead(&self, held: &Held) -> Option<Held> {
        let connection = self.in_store.then(|| self.connect(&Desk::new(), store::NOWHERE, "good"))?;
        Some(Held { connection, ..held.clone() })
    }

    async fn locked_out(&self, held: &Held) -> Option<Held> {
        if !self.in_store {
            return None;
        }
        let store = Store::start().await;
        Some(Held { connection: self.connect(&Desk::new(), &store.address, "wrong-key"), ..held.clone() })
    }

    fn secrets(&self) -> Vec<String> {
        secrets()
    }

    fn comes_back(&self, rows: &RecordBatch) -> RecordBatch {
        if self.extension != "csv" {
            return rows.clone();
        }
        let null_if_empty = |column: &ArrayRef| match column.data_type() {
            DataType::Utf8 => Arc::new(
                column
                    .as_string::<i32>()
                    .iter()
                    .map(|text| text.filter(|text| !text.is_empty()))
                    .collect::<StringArray>(),
            ),
            _ => Arc::clone(column),
        };
        RecordBatch::try_new(rows.schema(), rows.columns().iter().map(null_if_empty).collect()).unwrap()
    }
}

#[tokio::test]
async fn csv_obeys_the_laws_of_sources() {
    source_laws::obey_all(&Bench::new("csv", "{}")).await;
    source_laws::obey_all(&Bench::new(
        "csv",
        "{ delimiter: ';', decimal: ',', date: dd.mm.yyyy, encoding: utf-8-bom }",
    ))
    .await;
}

#[tokio::test]
async fn json_lines_obey_the_laws_of_sources() {
    source_laws::obey_all(&Bench::new("jsonl", "{}")).await;
}

#[tokio::test]
async fn json_lists_obey_the_laws_of_sources() {
    source_laws::obey_all(&Bench::new("json", "{}")).await;
}

#[tokio::test]
async fn parquet_obeys_the_laws_of_sources() {
    source_laws::obey_all(&Bench::new("parquet", "{}")).await;
}

/// What the connections to stores log in with.
fn secrets() -> Vec<String> {
    vec!["WORD".to_owned(), "wrong-key".to_owned()]
}

#[tokio::test]
async fn objects_in_a_store_obey_the_laws_of_sources() {
    for extension in ["csv", "jsonl", "json", "parquet"] {
        source_laws::obey_all(&Bench::in_store(extension, "{}")).await;
    }
}

fn sink_schema(more: Option<Field>) -> SchemaRef {
    let fields = [arrow_field("id", ColumnType::Int), arrow_field("name", ColumnType::String)];
    Arc::new(Schema::new(fields.into_iter().chain(more).collect::<Vec<_>>()))
}

fn sink_target(entity: &str, schema: SchemaRef) -> SinkTarget {
    SinkTarget { key: vec!["id".to_owned()], schema, ..desk::sink(entity) }
}

fn sink_changes(target: usize, first: u64, schema: SchemaRef, more: Option<ArrayRef>) -> Changes {
    let ops: Vec<Op> = if more.is_some() { vec![Op::Create] } else { vec![Op::Create, Op::Update, Op::Delete] };
    let numbers = 0..i32::try_from(ops.len()).unwrap();
    let ids: ArrayRef = Arc::new(numbers.clone().map(Some).collect::<Int32Array>());
    let names: ArrayRef = Arc::new(numbers.map(|id| Some(format!("имя; \"{id}\""))).collect::<StringArray>());
    let rows = RecordBatch::try_new(schema, [ids, names].into_iter().chain(more).collect()).unwrap();
    let row_ids = (first..).take(ops.len()).map(RowId).collect();
    Changes { target, ids: row_ids, ops, old: rows.clone(), rows, unchanged: None }
}

#[async_trait]
impl SinkBench for Bench {
    async fn open(&self, behaviour: Behaviour) -> Option<Opened> {
        let desk = Desk::new();
        let connection = match behaviour {
            Behaviour::Takes if !self.in_store => desk.connect(self.settings),
            // A folder takes everything; it has no answers to lose and no password.
            _ if !self.in_store => return None,
            Behaviour::Dead => self.connect(&desk, store::NOWHERE, "good"),
            _ => {
                let store = Store::start().await;
                match behaviour {
                    Behaviour::Refuses => store.fail(Method::PUT, Fault::Status(403, None), usize::MAX),
                    Behaviour::LosesAnswers => {
                        // With an answer to a look it would be known what stands there.
                        store.fail(Method::PUT, Fault::LostAnswer, usize::MAX);
                        store.fail(Method::HEAD, Fault::Silent, usize::MAX);
                    }
                    _ => {}
                }
                let user = if behaviour == Behaviour::WrongPassword { "wrong-key" } else { "good" };
                // Each silence costs its whole time, so it is short.
                let timeout = if behaviour == Behaviour::LosesAnswers { "500ms" } else { "30s" };
                self.connect_within(timeout, &desk, &store.address, user)
            }
        };
        let opened = Opened { connection, stop: desk.stop() };
        self.desks.lock().unwrap().push(desk);
        Some(opened)
    }

    fn targets(&self) -> Vec<SinkTarget> {
        vec![sink_target("товары", sink_schema(None)), sink_target("sub/orders", sink_schema(None))]
    }

    fn changes(&self, target: usize, first: u64) -> Changes {
        sink_changes(target, first, sink_schema(None), None)
    }

    fn blind_delete(&self) -> Option<Changes> {
        None
    }

    fn target_with(&self, column: &str, kind: ColumnType) -> Option<SinkTarget> {
        Some(sink_target("x", sink_schema(Some(arrow_field(column, kind)))))
    }

    fn change_with(&self, target: &SinkTarget, _column: &str, value: ArrayRef) -> Changes {
        sink_changes(0, 1, Arc::clone(&target.schema), Some(value))
    }

    fn secrets(&self) -> Vec<String> {
        secrets()
    }
}

#[tokio::test]
async fn files_of_changes_obey_the_laws_of_sinks() {
    let folder = ["{ format: jsonl }", "{ format: csv }", "{ format: parquet }", "{ format: csv, preset: excel_ru }"]
        .map(|settings| Bench::new("", settings));
    let store = ["{ format: jsonl }", "{ format: parquet }"].map(|settings| Bench::in_store("", settings));
    for bench in folder.into_iter().chain(store) {
        sink_laws::abilities_cover_the_targets(&bench).await;
        sink_laws::every_row_is_settled_once(&bench).await;
        sink_laws::an_empty_load_settles_nothing(&bench).await;
        sink_laws::a_refusal_is_rejected(&bench).await;
        sink_laws::a_lost_answer_is_unknown(&bench).await;
        sink_laws::a_dead_host_is_unavailable(&bench).await;
        sink_laws::a_wrong_password_is_unauthenticated(&bench).await;
        sink_laws::secrets_are_never_shown(&bench).await;
        sink_laws::a_stopped_load_settles_every_row(&bench).await;
        sink_laws::what_is_not_an_ability_is_unsupported(&bench).await;
        sink_laws::types_are_delivered_or_refused(&bench).await;
        // Excused: `an_unknown_entity_is_refused_by_name`. Every name is a name of a file here.
    }
}
