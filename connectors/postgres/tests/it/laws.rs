//! The laws of sources and sinks.

use crate::base::{Base, PASSWORD, node, sql_type};
use crate::proxy::{Proxy, Trouble};
use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use obmen_sdk::types::arrow_field;
use obmen_sdk::{Changes, Op, SinkTarget, SourceTarget, Stop};
use obmen_spec::ColumnType;
use obmen_testkit::sink_laws::{self, Behaviour, Opened, SinkBench, changes_of};
use obmen_testkit::source_laws::{self, Held, SourceBench};
use std::sync::{Arc, Mutex};

/// Quick to give up.
const IMPATIENT: &str = "connect_timeout: 2s\ntimeout: 1s";

struct Sources(Base);

#[async_trait]
impl SourceBench for Sources {
    async fn hold(&self, rows: &RecordBatch) -> Held {
        self.0.fill("Таблица \"1\".x", rows).await;
        let entity = format!("{}.\"Таблица \"\"1\"\".x\"", self.0.schema);
        let target = SourceTarget { entity, ..self.0.source_target("", Some(rows.schema())) };
        Held { connection: self.0.connect(""), target }
    }

    async fn missing(&self, held: Held) -> Held {
        Held { target: self.0.source_target("nowhere", held.target.columns), ..held }
    }

    async fn dead(&self, held: &Held) -> Option<Held> {
        let connection = self.0.connect_to("postgres://root@127.0.0.1:9/test", IMPATIENT, &Stop::default());
        Some(Held { connection, target: held.target.clone() })
    }

    async fn locked_out(&self, held: &Held) -> Option<Held> {
        let connection = self.0.connect_to(&self.0.stranger(), "", &Stop::default());
        Some(Held { connection, target: held.target.clone() })
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_obey_the_laws_of_sources() {
    let Some(base) = Base::new().await else { return };
    source_laws::obey_all(&Sources(base)).await;
}

#[derive(Default)]
struct Sinks {
    bases: Mutex<Vec<Base>>,
    schema: Mutex<String>,
}

fn kinds() -> Vec<ColumnType> {
    source_laws::all_types()
}

fn table_of(kind: ColumnType) -> String {
    format!("of_{}", kind.to_string().replace(['(', ')', ','], "_"))
}

fn schema(more: Option<(&str, ColumnType)>) -> SchemaRef {
    let mut fields = vec![arrow_field("id", ColumnType::Int), arrow_field("name", ColumnType::String)];
    fields.extend(more.map(|(name, kind)| arrow_field(name, kind)));
    Arc::new(Schema::new(fields))
}

impl Sinks {
    fn target(&self, table: &str, schema: SchemaRef) -> SinkTarget {
        SinkTarget {
            name: "sink".to_owned(),
            entity: format!("{}.{table}", self.schema.lock().unwrap()),
            schema,
            key: vec!["id".to_owned()],
            delete: true,
            options: node("{}"),
        }
    }
}

#[async_trait]
impl SinkBench for Sinks {
    async fn open(&self, behaviour: Behaviour) -> Option<Opened> {
        let base = Base::new().await.unwrap();
        let check = if behaviour == Behaviour::Refuses { "CHECK (name IS NULL)" } else { "" };
        for table in ["orders", "goods"] {
            base.run(&format!("CREATE TABLE {table} (id int PRIMARY KEY, name text {check})")).await;
        }
        for kind in kinds() {
            let (table, kind) = (table_of(kind), sql_type(kind));
            base.run(&format!("CREATE TABLE {table} (id int PRIMARY KEY, name text, of_a_type {kind})")).await;
        }
        self.schema.lock().unwrap().clone_from(&base.schema);
        let stop = Stop::default();
        let connection = match behaviour {
            Behaviour::Takes | Behaviour::Refuses => base.connect_to(&base.url, "", &stop),
            Behaviour::LosesAnswers => {
                let proxy = Proxy::start(&base.url, Trouble::SilenceAfterCommit).await;
                base.connect_to(&proxy.url, IMPATIENT, &stop)
            }
            Behaviour::Dead => base.connect_to("postgres://root@127.0.0.1:9/test", IMPATIENT, &stop),
            Behaviour::WrongPassword => base.connect_to(&base.stranger(), "", &stop),
        };
        self.bases.lock().unwrap().push(base);
        Some(Opened { connection, stop })
    }

    fn targets(&self) -> Vec<SinkTarget> {
        vec![self.target("orders", schema(None)), self.target("goods", schema(None))]
    }

    fn changes(&self, target: usize, first: u64) -> Changes {
        let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("имя"), Some("it's"), None]));
        let rows = RecordBatch::try_new(schema(None), vec![ids, names]).unwrap();
        let mut changes = changes_of(target, Op::Create, first, rows).unwrap();
        changes.ops = vec![Op::Create, Op::Update, Op::Delete];
        changes
    }

    fn blind_delete(&self) -> Option<Changes> {
        None
    }

    fn target_with(&self, column: &str, kind: ColumnType) -> Option<SinkTarget> {
        Some(self.target(&table_of(kind), schema(Some((column, kind)))))
    }

    fn change_with(&self, target: &SinkTarget, _column: &str, value: ArrayRef) -> Changes {
        let columns =
            vec![Arc::new(Int32Array::from(vec![1])) as ArrayRef, Arc::new(StringArray::from(vec!["x"])), value];
        changes_of(0, Op::Create, 1, RecordBatch::try_new(Arc::clone(&target.schema), columns).unwrap()).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_obey_the_laws_of_sinks() {
    if Base::new().await.is_none() {
        return;
    }
    sink_laws::obey_all(&Sinks::default()).await;
}
