//! What a load does to a table, and what it leaves alone.

use crate::base::{Base, changes, deliver, node};
use arrow::array::{ArrayRef, Decimal128Array, Int32Array, StringArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use obmen_sdk::types::arrow_field;
use obmen_sdk::{ErrorKind, Found, Op, Outcome, RejectClass, SinkTarget};
use obmen_spec::ColumnType;
use std::sync::Arc;

fn schema() -> SchemaRef {
    let price = ColumnType::Decimal { precision: 15, scale: 3 };
    let columns = [("id", ColumnType::Int), ("name", ColumnType::String), ("price", price)];
    Arc::new(Schema::new(columns.map(|(name, kind)| arrow_field(name, kind)).to_vec()))
}

/// Goods: id, name, price in thousandths.
fn goods(rows: &[(i32, Option<&str>, i128)]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int32Array>());
    let names: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>());
    let prices = rows.iter().map(|row| Some(row.2)).collect::<Decimal128Array>();
    let prices: ArrayRef = Arc::new(prices.with_precision_and_scale(15, 3).unwrap());
    RecordBatch::try_new(schema(), vec![ids, names, prices]).unwrap()
}

fn class(outcome: &Outcome) -> Option<RejectClass> {
    match outcome {
        Outcome::Rejected { altered: false, class, .. } => Some(*class),
        _ => None,
    }
}

const TABLE: &str = "CREATE TABLE goods (id int PRIMARY KEY, name varchar(5), price numeric(10,2), ours text NOT NULL)";
const SHOWN: &str = "SELECT concat_ws('|', id, name, price, ours) FROM goods ORDER BY id";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_mapped_columns_of_the_rows_meant_are_touched() {
    let Some(base) = Base::new().await else { return };
    base.run(TABLE).await;
    base.run("INSERT INTO goods VALUES (1, 'a', 1, 'x'), (2, 'b', 2, 'y'), (3, 'c', 3, 'z')").await;
    let sink = base.sink(base.sink_target("goods", schema())).await.unwrap();
    let rows = goods(&[(1, Some("A"), 1_500), (2, None, 0)]);
    let outcomes = deliver(&*sink, "1", &changes(&[Op::Update, Op::Delete], &rows)).await;
    assert_eq!(outcomes, [Outcome::acked(), Outcome::acked()]);
    assert_eq!(base.texts(SHOWN).await, ["1|A|1.50|x", "3|c|3.00|z"]);
    // A new row needs a column that is not ours: the whole load is refused, the old row too.
    let rows = goods(&[(1, Some("B"), 0), (4, Some("d"), 4_000)]);
    let outcomes = deliver(&*sink, "2", &changes(&[Op::Update, Op::Create], &rows)).await;
    assert!(outcomes.iter().all(|outcome| class(outcome) == Some(RejectClass::Data)), "{outcomes:?}");
    assert_eq!(base.texts(SHOWN).await, ["1|A|1.50|x", "3|c|3.00|z"]);
    base.run("ALTER TABLE goods ALTER ours SET DEFAULT 'new'").await;
    assert_eq!(
        deliver(&*sink, "3", &changes(&[Op::Update, Op::Create], &rows)).await,
        [Outcome::acked(), Outcome::acked()]
    );
    assert_eq!(base.texts(SHOWN).await, ["1|B|0.00|x", "3|c|3.00|z", "4|d|4.00|new"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_would_be_rounded_or_cut_is_refused_alone() {
    let Some(base) = Base::new().await else { return };
    base.run("CREATE TABLE goods (id int PRIMARY KEY, name varchar(5), price numeric(10,2), ours text)").await;
    let sink = base.sink(base.sink_target("goods", schema())).await.unwrap();
    let rows = goods(&[
        (1, Some("ok"), 10),
        (2, Some("x"), 1_005),
        (3, Some("длинный"), 0),
        (4, Some("x    "), 0),
        (5, Some("a\0"), 0),
        (6, Some("     "), 0),
        (7, Some("123456"), 0),
    ]);
    let outcomes = deliver(&*sink, "1", &changes(&[Op::Create; 7], &rows)).await;
    let classes: Vec<_> = outcomes.iter().map(class).collect();
    let data = Some(RejectClass::Data);
    assert_eq!(classes, [None, data, data, None, data, None, data], "{outcomes:?}");
    let Outcome::Rejected { reason, .. } = &outcomes[1] else { panic!() };
    assert_eq!(reason, "the value of `price` has more digits after the point than the column, `numeric(10,2)`, keeps");
    assert_eq!(base.texts(SHOWN).await, ["1|ok|0.01", "4|x    |0.00", "6|     |0.00"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_gone_are_marked_and_come_back() {
    let Some(base) = Base::new().await else { return };
    base.run("CREATE TABLE goods (id int PRIMARY KEY, name text, price numeric, gone bool)").await;
    let options = node("deleted_column: gone");
    let sink = base.sink(SinkTarget { delete: false, options, ..base.sink_target("goods", schema()) }).await.unwrap();
    assert!(sink.abilities().targets[0].operations.mark);
    let rows = goods(&[(1, Some("a"), 0), (2, Some("b"), 0)]);
    let shown = "SELECT concat_ws('|', id, name, gone) FROM goods ORDER BY id";
    deliver(&*sink, "1", &changes(&[Op::Create, Op::Create], &rows)).await;
    assert_eq!(base.texts(shown).await, ["1|a|f", "2|b|f"]);
    let outcomes = deliver(&*sink, "2", &changes(&[Op::Delete, Op::Delete], &rows)).await;
    assert_eq!(outcomes, [Outcome::acked(), Outcome::acked()]);
    assert_eq!(base.texts(shown).await, ["1|a|t", "2|b|t"]);
    let found = sink.find(0, &rows.project(&[0]).unwrap()).await.unwrap();
    assert!(found.iter().all(|found| matches!(found, Found::Absent)), "{found:?}");
    deliver(&*sink, "3", &changes(&[Op::Create], &rows.slice(1, 1))).await;
    assert_eq!(base.texts(shown).await, ["1|a|t", "2|b|f"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_found_by_key() {
    let Some(base) = Base::new().await else { return };
    base.run("CREATE TABLE goods (id int8 PRIMARY KEY, name text, price numeric); INSERT INTO goods VALUES (1, 'a', 1.5), (3, NULL, 0)").await;
    let sink = base.sink(base.sink_target("goods", schema())).await.unwrap();
    let keys = goods(&[(3, None, 0), (2, None, 0), (1, None, 0)]).project(&[0]).unwrap();
    let found = sink.find(0, &keys).await.unwrap();
    let [Found::Present(third), Found::Absent, Found::Present(first)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((third, first), (&goods(&[(3, None, 0)]), &goods(&[(1, Some("a"), 1_500)])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_table_is_known_before_anything_is_sent() {
    let Some(base) = Base::new().await else { return };
    let cases = [
        ("id int, name text, price numeric", ErrorKind::SchemaMismatch, "ADD UNIQUE (\"id\")"),
        ("id int UNIQUE DEFERRABLE, name text, price numeric", ErrorKind::SchemaMismatch, "ADD UNIQUE (\"id\")"),
        ("id int PRIMARY KEY, nane text, price numeric", ErrorKind::SchemaMismatch, "did you mean `nane`?"),
        ("id int PRIMARY KEY, name text, price money", ErrorKind::SchemaMismatch, "`price` is `decimal(15,3)`"),
        (
            "id int PRIMARY KEY, name text, price numeric GENERATED ALWAYS AS (1) STORED",
            ErrorKind::SchemaMismatch,
            "made by PostgreSQL",
        ),
    ];
    for (columns, kind, part) in cases {
        base.run(&format!("DROP TABLE IF EXISTS goods; CREATE TABLE goods ({columns})")).await;
        let error = base.sink(base.sink_target("goods", schema())).await.unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(part), "{columns}: {error}");
    }
    let error = base.sink(base.sink_target("goodies", schema())).await.unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("did you mean"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_postgresql_touches_nothing_and_says_why() {
    let Some(base) = Base::new().await else { return };
    base.run(
        "CREATE TABLE kinds (name text PRIMARY KEY); CREATE TABLE goods (id int PRIMARY KEY, name text REFERENCES kinds, \
         price numeric CONSTRAINT positive CHECK (price >= 0))",
    )
    .await;
    let sink = base.sink(base.sink_target("goods", schema())).await.unwrap();
    let refused = async |load: &str, rows: &[(i32, Option<&str>, i128)]| {
        let ops = vec![Op::Create; rows.len()];
        let outcomes = deliver(&*sink, load, &changes(&ops, &goods(rows))).await;
        assert_eq!(base.texts(SHOWN.replace(", ours", "").as_str()).await, Vec::<String>::new());
        let Outcome::Rejected { altered: false, class, reason } = &outcomes[0] else { panic!("{outcomes:?}") };
        assert!(outcomes.iter().all(|outcome| outcome == &outcomes[0]));
        (*class, reason.clone())
    };
    let (class, reason) = refused("1", &[(1, None, 0), (2, None, -1)]).await;
    assert!(class == RejectClass::Data && reason.contains("positive") && !reason.contains("Failing row"), "{reason}");
    let (class, _) = refused("2", &[(1, None, 0), (2, Some("nowhere"), 0)]).await;
    assert_eq!(class, RejectClass::Data, "the guilty row is to be found");
    let (class, reason) = refused("3", &[(2, Some("nowhere"), 0)]).await;
    assert!(class == RejectClass::Missing && reason.contains("(name)=(nowhere)"), "{reason}");
    base.run("CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER skip BEFORE INSERT ON goods FOR EACH ROW EXECUTE FUNCTION skip()").await;
    let (class, reason) = refused("4", &[(1, None, 0)]).await;
    assert!(class == RejectClass::Data && reason.contains("trigger"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_waits_for_another_too_long_is_refused_untouched() {
    let Some(base) = Base::new().await else { return };
    base.run("CREATE TABLE goods (id int PRIMARY KEY, name text, price numeric); INSERT INTO goods VALUES (1, 'a', 0)")
        .await;
    let target = base.sink_target("goods", schema());
    let sink = base.connect("statement_timeout: 300ms").sink(vec![target]).await.unwrap();
    base.run("BEGIN; UPDATE goods SET name = 'b'").await;
    let outcomes = deliver(&*sink, "1", &changes(&[Op::Update], &goods(&[(1, Some("c"), 0)]))).await;
    base.run("COMMIT").await;
    assert_eq!(class(&outcomes[0]), Some(RejectClass::Temporary), "{outcomes:?}");
    assert_eq!(base.texts("SELECT name FROM goods").await, ["b"]);
}
