//! The laws of sinks.

use super::load::{batch, connect, goods, groups, offers, target, texts, yaml};
use super::shop::{Answer, COOKIE, Instead, Manners, PASSWORD, SESSID, TestShop};
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use obmen_sdk::types::arrow_field;
use obmen_sdk::{Changes, Op, SinkTarget};
use obmen_spec::ColumnType;
use obmen_testkit::sink_laws::{Behaviour, Opened, SinkBench, changes_of, obey_all};
use std::sync::{Arc, Mutex};

/// Shops live as long as the bench.
#[derive(Default)]
struct Bench {
    shops: Mutex<Vec<TestShop>>,
}

fn always(answer: Answer) -> Manners {
    Manners { instead: vec![Instead { mode: "import", file: "", times: 1000, answer }], ..Manners::default() }
}

#[async_trait]
impl SinkBench for Bench {
    async fn open(&self, behaviour: Behaviour) -> Option<Opened> {
        let manners = match behaviour {
            Behaviour::Takes | Behaviour::Dead => Manners::default(),
            Behaviour::Refuses => always(Answer::Says(200, format!("failure\n{PASSWORD}"))),
            Behaviour::LosesAnswers => always(Answer::Silence),
            Behaviour::WrongPassword => Manners { lets_in: false, ..Manners::default() },
        };
        let shop = TestShop::start(manners).await;
        let url = if behaviour == Behaviour::Dead { "http://127.0.0.1:9/".to_owned() } else { shop.url.clone() };
        let (connection, stop) = connect(&url, "retries: 1\ntimeout: 5s");
        self.shops.lock().unwrap().push(shop);
        Some(Opened { connection, stop })
    }

    fn targets(&self) -> Vec<SinkTarget> {
        vec![target("offers", &offers()), target("groups", &groups()), target("goods", &goods())]
    }

    fn changes(&self, target: usize, first: u64) -> Changes {
        let rows = [offers, groups, goods][target]();
        let mut changes = changes_of(target, Op::Create, first, rows).unwrap();
        if target != 1 {
            changes.ops[1] = Op::Delete;
        }
        changes
    }

    fn blind_delete(&self) -> Option<Changes> {
        let unknown = || arrow::array::new_null_array(&DataType::Utf8, 1);
        let rows = batch(vec![("id", texts(["1"])), ("name", unknown()), ("group", unknown())]);
        Some(changes_of(2, Op::Delete, 1, rows).unwrap())
    }

    fn target_with(&self, column: &str, kind: ColumnType) -> Option<SinkTarget> {
        let rows = goods();
        let schema = rows.schema();
        let fields = schema.fields().iter().map(|field| Field::clone(field)).chain([arrow_field(column, kind)]);
        let mut target = target("goods", &rows);
        target.schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        target.options = yaml(&format!("requisites: {{ {column}: Особое }}"));
        Some(target)
    }

    fn change_with(&self, target: &SinkTarget, _column: &str, value: ArrayRef) -> Changes {
        let mut columns: Vec<ArrayRef> = goods().slice(0, 1).columns().to_vec();
        columns.push(value);
        changes_of(0, Op::Create, 1, RecordBatch::try_new(Arc::clone(&target.schema), columns).unwrap()).unwrap()
    }

    fn secrets(&self) -> Vec<String> {
        [PASSWORD, COOKIE, SESSID].map(ToOwned::to_owned).into()
    }
}

#[tokio::test]
async fn a_shop_obeys_the_laws_of_sinks() {
    obey_all(&Bench::default()).await;
}
