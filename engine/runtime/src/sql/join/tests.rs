//! Joins on disk give what joins in memory give.

use super::Limits;
use super::exec::SpillingJoinExec;
use super::rule::SpillJoins;
use super::run::OneKey;
use crate::sql::exact::find;
use crate::sql::place::tests::sql;
use crate::sql::planner::Planner;
use crate::sql::{Options, Query, Rows, Sql};
use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::DateTime;
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use futures::{StreamExt, TryStreamExt};
use obmen_diagnostics::Problems;
use obmen_sdk::ErrorKind;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

const TYPES: [JoinType; 10] = [
    JoinType::Inner,
    JoinType::Left,
    JoinType::Right,
    JoinType::Full,
    JoinType::LeftSemi,
    JoinType::RightSemi,
    JoinType::LeftAnti,
    JoinType::RightAnti,
    JoinType::LeftMark,
    JoinType::RightMark,
];

/// A row: two columns of keys, and a number to filter by.
type Row = (Option<u8>, Option<u8>, i32);

/// What is joined and how.
#[derive(Clone, Debug)]
struct Case {
    left: Vec<Row>,
    right: Vec<Row>,
    kind: JoinType,
    /// Of the first key.
    key: DataType,
    /// How many columns the key has.
    keys: usize,
    nulls: NullEquality,
    filtered: bool,
    projected: bool,
    not_in: bool,
}

fn keys(kind: &DataType, keys: impl Iterator<Item = Option<u8>>) -> ArrayRef {
    match kind {
        DataType::Utf8 => Arc::new(keys.map(|key| key.map(|key| format!("ключ {key}"))).collect::<StringArray>()),
        DataType::Decimal128(..) => {
            let keys: Decimal128Array = keys.map(|key| key.map(|key| i128::from(key) * 100 - 5)).collect();
            Arc::new(keys.with_data_type(kind.clone()))
        }
        DataType::Date32 => Arc::new(keys.map(|key| key.map(|key| 20_000 + i32::from(key))).collect::<Date32Array>()),
        _ => Arc::new(keys.map(|key| key.map(i64::from)).collect::<Int64Array>()),
    }
}

/// The rows in batches of a few.
fn table(rows: &[Row], kind: &DataType) -> Arc<dyn ExecutionPlan> {
    let batch = |rows: &[Row]| {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("a", keys(kind, rows.iter().map(|row| row.0))),
            ("b", keys(&DataType::Utf8, rows.iter().map(|row| row.1))),
            ("n", Arc::new(rows.iter().map(|row| Some(row.2)).collect::<Int32Array>())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
    };
    let schema = batch(&[]).schema();
    let batches: Vec<RecordBatch> = rows.chunks(7).map(batch).collect();
    MemorySourceConfig::try_new_exec(&[batches], schema, None).unwrap()
}

fn column(name: &str, at: usize) -> PhysicalExprRef {
    Arc::new(Column::new(name, at))
}

impl Case {
    fn join(&self) -> HashJoinExec {
        let (left, right) = (table(&self.left, &self.key), table(&self.right, &self.key));
        let on = [("a", 0), ("b", 1)].into_iter().take(self.keys);
        let on = on.map(|(name, at)| (column(name, at), column(name, at))).collect();
        let schema =
            Arc::new(Schema::new(vec![Field::new("l", DataType::Int32, true), Field::new("r", DataType::Int32, true)]));
        let less = Arc::new(BinaryExpr::new(column("l", 0), Operator::Lt, column("r", 1)));
        let sides = [JoinSide::Left, JoinSide::Right].map(|side| ColumnIndex { index: 2, side });
        let filter = self.filtered.then(|| JoinFilter::new(less, sides.to_vec(), schema));
        let projection = self.projected.then(|| vec![2, 0]);
        let mode = PartitionMode::CollectLeft;
        let kind = &self.kind;
        HashJoinExec::try_new(left, right, on, filter, kind, projection, mode, self.nulls, self.not_in).unwrap()
    }

    /// Rows of the join in memory.
    async fn in_memory(&self) -> Vec<String> {
        texts(&collect(Arc::new(self.join()), Arc::new(TaskContext::default())).await.unwrap())
    }

    /// Rows of the join that may hold `bytes`, and how many rows it wrote to disk.
    async fn within(&self, bytes: usize) -> Result<(Vec<String>, usize), datafusion::error::DataFusionError> {
        let limits = Limits { free: bytes, gathered: bytes };
        let join = Arc::new(SpillingJoinExec::new(&self.join(), limits).unwrap());
        let pool = Arc::new(GreedyMemoryPool::new(0));
        let environment = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().unwrap();
        let context = TaskContext::default().with_runtime(environment);
        let rows = collect(Arc::clone(&join) as _, Arc::new(context)).await?;
        Ok((texts(&rows), join.metrics().unwrap().spilled_rows().unwrap_or(0)))
    }
}

/// Rows as sorted texts.
fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        rows.extend(
            (0..batch.num_rows())
                .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|")),
        );
    }
    rows.sort();
    rows
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let key = prop_oneof![1 => Just(None), 9 => (0..60_u8).prop_map(Some)];
    let row = (key.clone(), prop_oneof![3 => Just(Some(1)), 1 => key], 0..100);
    prop_oneof![1 => Just(Vec::new()), 3 => prop::collection::vec(row.clone(), 0..20), 6 => prop::collection::vec(row, 60..200)]
}

fn cases() -> impl Strategy<Value = Case> {
    let types = prop::sample::select(TYPES.to_vec());
    let key =
        prop::sample::select(vec![DataType::Int64, DataType::Utf8, DataType::Decimal128(15, 2), DataType::Date32]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (rows(), rows(), types, key, 1..=2_usize, any::<bool>(), flags).prop_map(
        |(left, right, kind, key, keys, equal, (filtered, projected, not_in))| {
            let not_in = not_in && kind == JoinType::LeftAnti && keys == 1;
            let nulls = if equal && !not_in { NullEquality::NullEqualsNull } else { NullEquality::NullEqualsNothing };
            let mark = matches!(kind, JoinType::LeftMark | JoinType::RightMark);
            Case { left, right, kind, key, keys, nulls, filtered, projected: projected && !mark, not_in }
        },
    )
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_join_on_disk_is_the_join_in_memory(case in cases(), bytes in prop::sample::select(vec![6_000, 12_000, 40_000])) {
        let expected = wait(case.in_memory());
        match wait(case.within(bytes)) {
            Ok((rows, _)) => prop_assert_eq!(rows, expected),
            Err(error) => {
                // Rows of one key, that neither side can hold.
                prop_assert!(find::<OneKey>(&error).is_some(), "{}", error);
                prop_assert!(bytes == 6_000, "{}", error);
            }
        }
    }
}

/// A case of `kind` with NULLs, keys on one side only, and keys that several rows have.
fn case(kind: JoinType) -> Case {
    let rows = |start: u8, step: usize| {
        let key = move |n: u8| (!n.is_multiple_of(11)).then_some(start + n % 97);
        (0..240_u8).step_by(step).map(|n| (key(n), Some(1), i32::from(n))).collect::<Vec<Row>>()
    };
    let (left, right) = (rows(0, 1), rows(40, 1));
    let nulls = NullEquality::NullEqualsNothing;
    Case { left, right, kind, key: DataType::Utf8, keys: 2, nulls, filtered: true, projected: false, not_in: false }
}

#[test]
fn every_kind_of_join_goes_to_disk_again_and_again() {
    for kind in TYPES {
        let case = case(kind);
        let (rows, spilled) = wait(case.within(4_000)).unwrap();
        assert_eq!(rows, wait(case.in_memory()), "{kind}");
        assert!(spilled > 240 + 240 + 240, "{kind}: {spilled} rows were written, those of both sides once");
        let (rows, spilled) = wait(case.within(1 << 20)).unwrap();
        assert_eq!((rows, spilled), (wait(case.in_memory()), 0), "{kind} in memory");
    }
}

#[test]
fn not_in_knows_a_null_that_is_in_another_part() {
    let not_in = Case { keys: 1, filtered: false, not_in: true, ..case(JoinType::LeftAnti) };
    let keys = |rows: &[Row]| rows.iter().filter(|row| row.0.is_some()).copied().collect::<Vec<_>>();
    let none = Case { ..not_in.clone() };
    let some = Case { right: keys(&not_in.right), ..not_in.clone() };
    let few = Case { right: keys(&not_in.right)[..3].to_vec(), ..not_in.clone() };
    let all = Case { right: Vec::new(), ..not_in };
    for (case, count) in [(none, 0), (some, 108), (few, 209), (all, 240)] {
        let (rows, spilled) = wait(case.within(4_000)).unwrap();
        assert_eq!(rows, wait(case.in_memory()));
        assert!(spilled > 0);
        assert_eq!(rows.len(), count);
    }
}

#[test]
fn a_small_right_side_is_held_and_the_left_one_passes_by() {
    let left: Vec<Row> = (0..8_000).map(|n| (Some(u8::try_from(n % 200).unwrap()), Some(1), n)).collect();
    for kind in TYPES {
        let case = Case { left: left.clone(), right: case(kind).right[..5].to_vec(), ..case(kind) };
        let (rows, spilled) = wait(case.within(20_000)).unwrap();
        assert_eq!(rows, wait(case.in_memory()), "{kind}");
        assert!((1..300).contains(&spilled), "{kind}: only what was held of the left side is written, {spilled} rows");
    }
}

#[test]
fn one_key_that_neither_side_can_hold_is_named() {
    let rows: Vec<Row> = (0..600).map(|n| (Some(if n % 3 == 0 { 7 } else { 100 }), Some(1), n)).collect();
    let case = Case { left: rows.clone(), right: rows, keys: 1, ..case(JoinType::Inner) };
    let error = wait(case.within(8_000)).unwrap_err();
    let error = crate::sql::failure::of_running(error, "offers");
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    let message = error.message();
    assert!(message.starts_with("`offers` joins more rows with `a` = ключ "), "{message}");
    assert!(message.contains("raise it, or leave these rows out with a WHERE before the join"), "{message}");
}

/// Rows that are made while they are read: `id`, and a text of it.
fn made(rows: i64) -> Rows {
    Rows::Stream(Arc::new(move |projection| {
        let schema = match &projection {
            Some(columns_read) => Arc::new(columns().project(columns_read)?),
            None => columns(),
        };
        let batches = (0..rows).step_by(8192).map(move |start| {
            let ids: Int64Array = (start..(start + 8192).min(rows)).map(Some).collect();
            let arrays = schema.fields().iter().map(|field| cast(&ids, field.data_type()));
            Ok(RecordBatch::try_new(Arc::clone(&schema), arrays.collect::<Result<_, _>>()?)?)
        });
        Ok(futures::stream::iter(batches).boxed())
    }))
}

fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("text", DataType::Utf8, true)]))
}

fn session(memory: usize, threads: usize, spill: &Path) -> Sql {
    let now = DateTime::parse_from_rfc3339("2026-11-22T10:00:00Z").unwrap().to_utc();
    Sql::new(Options { memory, spill: spill.to_owned(), now, threads, batch_rows: 8192 }).unwrap()
}

fn step(session: &mut Sql, name: &str, text: &str) {
    let mut problems = Problems::new();
    assert!(session.add_step(name, &sql(text), &mut problems).is_some(), "{text}: {problems:?}");
}

async fn count(session: &Sql, relation: &str) -> obmen_sdk::Result<usize> {
    let query = Query { relation: relation.to_owned(), ..Query::default() };
    let batches = session.stream(query).await?;
    batches.try_fold(0, |rows, batch| std::future::ready(Ok(rows + batch.num_rows()))).await
}

/// Files below a folder.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sides_larger_than_memory_are_joined() {
    let spill = tempfile::tempdir().unwrap();
    let mut session = session(4 << 20, 2, spill.path());
    session.add_source("one", columns(), &["id".to_owned()], made(300_000)).unwrap();
    session.add_source("two", columns(), &["id".to_owned()], made(250_000)).unwrap();
    step(&mut session, "joined", "SELECT one.id, two.text FROM one FULL JOIN two ON one.text = two.text");
    assert_eq!(count(&session, "joined").await.unwrap(), 300_000);
    step(&mut session, "grouped", "SELECT text, count(*) AS c FROM joined GROUP BY text");
    assert_eq!(count(&session, "grouped").await.unwrap(), 250_001);
    assert_eq!(files(spill.path()), 0, "nothing is left behind");
}

#[tokio::test]
async fn a_join_that_is_given_up_leaves_no_files() {
    let spill = tempfile::tempdir().unwrap();
    let mut session = session(1 << 20, 1, spill.path());
    session.add_source("one", columns(), &["id".to_owned()], made(60_000)).unwrap();
    step(&mut session, "joined", "SELECT a.id, b.text FROM one a JOIN one b ON a.text = b.text");
    let query = Query { relation: "joined".to_owned(), ..Query::default() };
    let mut rows = session.stream(query).await.unwrap();
    assert!(rows.next().await.unwrap().unwrap().num_rows() > 0);
    assert!(files(spill.path()) > 0, "the join is on disk");
    drop(rows);
    assert_eq!(files(spill.path()), 0);
}

/// The plan of a relation, as text.
async fn plan(session: &Sql, relation: &str) -> String {
    let planner = Planner::new(session);
    let plan = planner.scan(relation).unwrap().build().unwrap();
    let plan = planner.physical(plan).await.unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

#[tokio::test]
async fn joins_that_may_be_large_are_replaced() {
    let spill = tempfile::tempdir().unwrap();
    for threads in [1, 2, 8] {
        let mut session = session(64 << 20, threads, spill.path());
        session.add_source("big", columns(), &[], made(10)).unwrap();
        let little = RecordBatch::new_empty(columns());
        session.add_source("little", columns(), &[], Rows::Memory(vec![little])).unwrap();
        step(&mut session, "big_big", "SELECT a.id, b.text FROM big a JOIN big b ON a.id = b.id AND a.text < b.text");
        step(&mut session, "little_big", "SELECT a.id, b.text FROM little a LEFT JOIN big b ON a.id = b.id");
        step(&mut session, "not_in", "SELECT id FROM big WHERE id NOT IN (SELECT id FROM big WHERE text > 'x')");
        let text = "SELECT a.id FROM (SELECT id FROM big UNION ALL SELECT id FROM little) a JOIN big b ON a.id = b.id";
        step(&mut session, "of_union", text);
        let big_big = plan(&session, "big_big").await;
        assert!(big_big.contains("SpillingJoinExec") && !big_big.contains(": HashJoinExec"), "{big_big}");
        assert!(big_big.contains("projection=[id@0, text@3]"), "the join leaves out columns: {big_big}");
        assert!(plan(&session, "not_in").await.contains("null_aware"));
        assert!(plan(&session, "of_union").await.contains("SpillingJoinExec"));
        assert!(!plan(&session, "little_big").await.contains("SpillingJoinExec"), "a small side is held in memory");
        for (relation, rows) in [("big_big", 0), ("little_big", 0), ("not_in", 10), ("of_union", 10)] {
            assert_eq!(count(&session, relation).await.unwrap(), rows, "{relation} in {threads} threads");
        }
    }
}

#[tokio::test]
async fn rows_are_sorted_after_a_join_even_if_they_were_before() {
    let spill = tempfile::tempdir().unwrap();
    let mut session = session(4 << 20, 2, spill.path());
    session.add_source("big", columns(), &[], made(60_000)).unwrap();
    let text = "SELECT b.id FROM big a JOIN (SELECT id, text FROM big ORDER BY id LIMIT 5000) b ON a.text = b.text \
                ORDER BY b.id LIMIT 3";
    step(&mut session, "first", text);
    let query = Query { relation: "first".to_owned(), ..Query::default() };
    let batches: Vec<RecordBatch> = session.stream(query).await.unwrap().try_collect().await.unwrap();
    assert_eq!(texts(&batches), ["0", "1", "2"]);
}

#[test]
fn the_rule_comes_after_the_choice_of_sides() {
    let rules = SpillJoins::among_rules();
    let names: Vec<&str> = rules.iter().map(|rule| rule.name()).collect();
    let at = names.iter().position(|name| *name == "spill_joins").unwrap();
    assert_eq!(names[at - 1], "join_selection");
}
