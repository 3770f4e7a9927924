//! A connection to the test shop, and something to deliver.

use crate::Commerceml;
use arrow::array::{ArrayRef, Decimal128Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use obmen_diagnostics::{FileId, Problems};
use obmen_sdk::{
    Changes, Connection, Connector, Context, LoadId, Op, Outcome, Result, RowId, Secret, Secrets, SinkTarget, Stop,
};
use obmen_spec::Node;
use obmen_testkit::sink_laws::changes_of;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
struct Known;

impl Secrets for Known {
    fn resolve(&self, text: &str) -> Result<Secret> {
        Ok(Secret::new(text.replace("${env:SHOP_PASSWORD}", super::shop::PASSWORD)))
    }
}

pub(super) fn yaml(text: &str) -> Node {
    let mut problems = Problems::new();
    let node = obmen_spec::yaml::parse(FileId(0), text, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    node.unwrap()
}

/// A connection with short times; `more` overrides or adds settings.
pub(super) fn connect(url: &str, more: &str) -> (Arc<dyn Connection>, Stop) {
    let mut settings: BTreeMap<&str, String> = BTreeMap::from([
        ("url", format!("'{url}'")),
        ("user", "exchange".to_owned()),
        ("password", "'${env:SHOP_PASSWORD}'".to_owned()),
        ("timeout", "300ms".to_owned()),
        ("import_timeout", "300ms".to_owned()),
        ("import_pause", "1ms".to_owned()),
    ]);
    settings.extend(
        more.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim().to_owned())),
    );
    let lines: Vec<String> = settings.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    let node = yaml(&lines.join("\n"));
    let mut problems = Problems::new();
    Commerceml.check(&node, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    let stop = Stop::default();
    let context = Context {
        project: std::env::temp_dir(),
        scratch: std::env::temp_dir(),
        now: "2026-03-01T10:15:00Z".parse().unwrap(),
        secrets: Arc::new(Known),
        stop: stop.clone(),
    };
    (Commerceml.open(&node, &context).unwrap(), stop)
}

pub(super) fn texts<const N: usize>(values: [&str; N]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

pub(super) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Fields =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

fn children(columns: Vec<(&str, ArrayRef)>, lengths: &[usize]) -> ArrayRef {
    let fields: Fields =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let items = StructArray::new(fields.clone(), columns.into_iter().map(|(_, array)| array).collect(), None);
    let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths.iter().copied()), Arc::new(items), None))
}

fn money(values: Vec<i128>) -> ArrayRef {
    Arc::new(Decimal128Array::from(values).with_precision_and_scale(15, 2).unwrap())
}

pub(super) fn goods() -> RecordBatch {
    batch(vec![("id", texts(["1", "2"])), ("name", texts(["Болт", "Гайка"])), ("group", texts(["g", "g"]))])
}

pub(super) fn offers() -> RecordBatch {
    let prices = vec![("price_type", texts(["Розница", "Розница"])), ("price", money(vec![1250, 990]))];
    let stock = vec![("warehouse", texts(["w", "w"])), ("quantity", money(vec![100, 200]))];
    batch(vec![
        ("id", texts(["1", "2"])),
        ("name", texts(["Болт", "Гайка"])),
        ("prices", children(prices, &[1, 1])),
        ("stock", children(stock, &[1, 1])),
    ])
}

pub(super) fn groups() -> RecordBatch {
    batch(vec![("id", texts(["g"])), ("name", texts(["Крепёж"]))])
}

pub(super) fn target(entity: &str, rows: &RecordBatch) -> SinkTarget {
    SinkTarget {
        name: entity.to_owned(),
        entity: entity.to_owned(),
        schema: rows.schema(),
        key: vec!["id".to_owned()],
        delete: false,
        options: yaml("{}"),
    }
}

pub(super) type Settled = BTreeMap<u64, Outcome>;

/// Delivers two goods (rows 1 and 2) and two offers (rows 11 and 12).
pub(super) async fn deliver(connection: &Arc<dyn Connection>) -> Result<Settled> {
    deliver_and(connection, || ()).await
}

/// The same; `before_the_end` is done when everything is given to the load.
pub(super) async fn deliver_and(connection: &Arc<dyn Connection>, before_the_end: impl FnOnce()) -> Result<Settled> {
    let targets = vec![target("offers", &offers()), target("goods", &goods())];
    let sink = connection.sink(targets).await?;
    let mut load = sink.begin(&LoadId("load-1".to_owned())).await?;
    let mut settled = load.send(&made(1, 1, goods())).await?;
    settled.extend(load.send(&made(0, 11, offers())).await?);
    before_the_end();
    settled.extend(load.finish().await?);
    let count = settled.len();
    let settled: Settled = settled.into_iter().map(|(RowId(id), outcome)| (id, outcome)).collect();
    assert_eq!((count, settled.keys().copied().collect::<Vec<_>>()), (4, vec![1, 2, 11, 12]), "each row once");
    Ok(settled)
}

fn made(target: usize, first: u64, rows: RecordBatch) -> Changes {
    changes_of(target, Op::Create, first, rows).unwrap()
}
