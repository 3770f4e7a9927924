//! The laws every source obeys: what is not allowed here is not a source.
//!
//! The author of a connector writes a [`SourceBench`] (a counterpart that can be filled with rows) and
//! calls [`obey_all`] from one test. Rows are told apart by the column [`ID`], which every table here
//! has, so that a source may give them in any order.

use arrow::array::{
    Array as _, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::StreamExt as _;
use obmen_sdk::types::arrow_field;
use obmen_sdk::{BatchStream, Connection, Cursor, Error, ErrorKind, Filter, Result, Retry, Scan, Source, SourceTarget};
use obmen_spec::ColumnType;
use std::sync::Arc;

/// The column every table of the laws has: `int`, a different number in every row.
pub const ID: &str = "id";

/// A table at the other side, ready to be read.
#[derive(Clone, Debug)]
pub struct Held {
    /// The connection.
    pub connection: Arc<dyn Connection>,
    /// What to read there, with declared columns.
    pub target: SourceTarget,
}

/// A source and a counterpart of it.
#[async_trait]
pub trait SourceBench: Send + Sync {
    /// A fresh counterpart that holds exactly these rows.
    async fn hold(&self, rows: &RecordBatch) -> Held;

    /// The same table, read by an entity that is not there.
    async fn missing(&self, held: Held) -> Held;

    /// Types the other side can hold; all of them by default.
    fn types(&self) -> Vec<ColumnType> {
        all_types()
    }

    /// What comes back of rows that were put there; the same by default. (A CSV file does not tell an
    /// empty text from NULL.)
    fn comes_back(&self, rows: &RecordBatch) -> RecordBatch {
        rows.clone()
    }

    /// A connection to a host where nobody answers. `None`: there is no host.
    async fn dead(&self, _held: &Held) -> Option<Held> {
        None
    }

    /// A connection with a wrong password. `None`: there is no password.
    async fn locked_out(&self, _held: &Held) -> Option<Held> {
        None
    }

    /// Texts that must never be shown.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Checks every law.
pub async fn obey_all(bench: &dyn SourceBench) {
    every_batch_has_the_schema(bench).await;
    all_rows_come_once(bench).await;
    projection_gives_these_columns_in_this_order(bench).await;
    a_filter_keeps_exactly_the_rows_it_holds_for(bench).await;
    batches_are_no_larger_than_asked(bench).await;
    types_come_back_with_nulls_and_extremes(bench).await;
    an_empty_table_is_empty(bench).await;
    a_dropped_read_can_be_repeated(bench).await;
    reads_do_not_disturb_each_other(bench).await;
    reading_goes_on_after_every_cursor(bench).await;
    a_missing_entity_is_not_found(bench).await;
    a_dead_host_is_unavailable(bench).await;
    a_wrong_password_is_unauthenticated(bench).await;
    secrets_are_never_shown(bench).await;
}

/// The schema is the declared one, and every batch has it.
pub async fn every_batch_has_the_schema(bench: &dyn SourceBench) {
    let rows = numbers(100);
    let source = open(bench, &rows).await;
    assert_eq!(source.schema(), rows.schema(), "the schema is the declared one");
    for batch in read(&*source, Scan { batch_rows: 7, ..Scan::default() }).await {
        assert_eq!(batch.schema(), source.schema(), "every batch has the schema");
    }
}

/// Every row comes, once; also when it takes many batches.
pub async fn all_rows_come_once(bench: &dyn SourceBench) {
    let rows = numbers(5_000);
    let source = open(bench, &rows).await;
    for batch_rows in [1_000, 100_000] {
        let batches = read(&*source, Scan { batch_rows, ..Scan::default() }).await;
        assert_same(&together(&source.schema(), &batches), &bench.comes_back(&rows), "all rows come once");
    }
}

/// The columns that were asked for, in the order they were asked for, and no others; none of them is right too.
pub async fn projection_gives_these_columns_in_this_order(bench: &dyn SourceBench) {
    let rows = numbers(20);
    let source = open(bench, &rows).await;
    for columns in [vec![1, 0], vec![0], vec![2, 0, 1]] {
        let schema = Arc::new(projected(&rows.schema(), &columns));
        let batches = read(&*source, Scan { columns: Some(columns.clone()), ..Scan::default() }).await;
        let wanted = bench.comes_back(&rows).project(&columns);
        assert!(wanted.is_ok(), "the bench keeps the columns: {wanted:?}");
        if let Ok(wanted) = wanted {
            assert_same(&together(&schema, &batches), &wanted, "projected rows");
        }
    }
    let batches = read(&*source, Scan { columns: Some(Vec::new()), ..Scan::default() }).await;
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(count, 20, "rows without a column are counted all the same");
}

/// A source that filters gives exactly the rows for which the condition holds; one that does not gives all of them.
pub async fn a_filter_keeps_exactly_the_rows_it_holds_for(bench: &dyn SourceBench) {
    let rows = numbers(500);
    let source = open(bench, &rows).await;
    let (some, few) = (rows.slice(123, 1), rows.slice(40, 3));
    let projected = |batch: &RecordBatch| batch.project(&[0]);
    let (Ok(row), Ok(keys)) = (projected(&some), projected(&few)) else { return };
    let from = |inclusive| Filter::From { row: row.clone(), inclusive };
    for filter in [from(true), from(false), Filter::OneOf(keys)] {
        let batches = read(&*source, Scan { filter: vec![filter.clone()], ..Scan::default() }).await;
        let all = bench.comes_back(&rows);
        let wanted = if source.abilities().filter {
            filter.holds(&all).and_then(|kept| Ok(arrow::compute::filter_record_batch(&all, &kept)?))
        } else {
            Ok(all)
        };
        assert!(wanted.is_ok(), "the condition is about columns of the source: {wanted:?}");
        if let Ok(wanted) = wanted {
            assert_same(&together(&source.schema(), &batches), &wanted, "filtered rows");
        }
    }
}

/// No batch has more rows than asked for.
pub async fn batches_are_no_larger_than_asked(bench: &dyn SourceBench) {
    let rows = numbers(50);
    let source = open(bench, &rows).await;
    for batch_rows in [1, 7, 50, 51] {
        for batch in read(&*source, Scan { batch_rows, ..Scan::default() }).await {
            assert!(batch.num_rows() <= batch_rows, "{} rows in a batch, asked for {batch_rows}", batch.num_rows());
        }
    }
}

/// Every type comes back exactly: ordinary values, NULL, and the first and last value there is.
pub async fn types_come_back_with_nulls_and_extremes(bench: &dyn SourceBench) {
    for kind in bench.types() {
        let Some(values) = samples(kind) else { continue };
        let ids: ArrayRef = Arc::new((0..).take(values.len()).map(Some).collect::<Int32Array>());
        let schema = Arc::new(Schema::new(vec![arrow_field(ID, ColumnType::Int), arrow_field("value", kind)]));
        let rows = RecordBatch::try_new(schema, vec![ids, values]);
        assert!(rows.is_ok(), "samples of {kind}: {rows:?}");
        let Ok(rows) = rows else { continue };
        let source = open(bench, &rows).await;
        let batches = read(&*source, Scan::default()).await;
        assert_same(&together(&source.schema(), &batches), &bench.comes_back(&rows), &kind.to_string());
    }
}

/// A table without rows is read without rows and without an error.
pub async fn an_empty_table_is_empty(bench: &dyn SourceBench) {
    let rows = numbers(0);
    let source = open(bench, &rows).await;
    let count: usize = read(&*source, Scan::default()).await.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(count, 0, "an empty table");
}

/// A read that is dropped in its middle leaves the source as it was.
pub async fn a_dropped_read_can_be_repeated(bench: &dyn SourceBench) {
    let rows = numbers(1_000);
    let source = open(bench, &rows).await;
    for _ in 0..3 {
        let mut stream = start(&*source, Scan { batch_rows: 10, ..Scan::default() }).await;
        let first = stream.next().await;
        assert!(matches!(first, Some(Ok(_))), "the first batch: {first:?}");
    }
    let batches = read(&*source, Scan::default()).await;
    assert_same(&together(&source.schema(), &batches), &bench.comes_back(&rows), "after dropped reads");
}

/// Two reads at the same time both give everything.
pub async fn reads_do_not_disturb_each_other(bench: &dyn SourceBench) {
    let rows = numbers(300);
    let source = open(bench, &rows).await;
    let scan = || Scan { batch_rows: 20, ..Scan::default() };
    let (one, other) = futures::future::join(read(&*source, scan()), read(&*source, scan())).await;
    for batches in [one, other] {
        assert_same(&together(&source.schema(), &batches), &bench.comes_back(&rows), "one of two reads");
    }
}

/// With the ability `resume`: reading after any cursor gives exactly the rest, also from an opened-anew source.
pub async fn reading_goes_on_after_every_cursor(bench: &dyn SourceBench) {
    let rows = numbers(60);
    let held = bench.hold(&rows).await;
    let source = opened(held.connection.source(held.target.clone()).await);
    if !source.abilities().resume {
        return;
    }
    let mut stream = start(&*source, Scan { batch_rows: 7, ..Scan::default() }).await;
    let mut seen: Vec<(Vec<RecordBatch>, Cursor)> = Vec::new();
    let mut before = Vec::new();
    while let Some(batch) = stream.next().await {
        let Ok(batch) = batch else { break };
        before.push(batch.rows);
        if let Some(cursor) = batch.cursor {
            seen.push((before.clone(), cursor));
        }
    }
    for (mut all, cursor) in seen {
        let again = opened(held.connection.source(held.target.clone()).await);
        all.extend(read(&*again, Scan { after: Some(cursor), batch_rows: 7, ..Scan::default() }).await);
        assert_same(&together(&source.schema(), &all), &bench.comes_back(&rows), "before and after a cursor");
    }
}

/// An entity that is not there is `NotFound`, which no repetition mends, and the error names it.
pub async fn a_missing_entity_is_not_found(bench: &dyn SourceBench) {
    let held = bench.hold(&numbers(1)).await;
    let held = bench.missing(held).await;
    let error = failure(&held).await;
    assert!(error.is_some(), "a missing entity is an error");
    if let Some(error) = error {
        assert_eq!((error.kind(), error.retry()), (ErrorKind::NotFound, Retry::Never), "{error:?}");
        assert!(format!("{error:?}").contains(&held.target.entity), "the error names the entity: {error:?}");
    }
}

/// Nobody there is `Unavailable`, to be tried again.
pub async fn a_dead_host_is_unavailable(bench: &dyn SourceBench) {
    let held = bench.hold(&numbers(1)).await;
    let Some(held) = bench.dead(&held).await else { return };
    let error = failure(&held).await;
    let right = error
        .as_ref()
        .is_some_and(|error| error.kind() == ErrorKind::Unavailable && error.retry() == Retry::WithBackoff);
    assert!(right, "a dead host gave {error:?}");
}

/// Not let in is `Unauthenticated`, which no repetition mends.
pub async fn a_wrong_password_is_unauthenticated(bench: &dyn SourceBench) {
    let held = bench.hold(&numbers(1)).await;
    let Some(held) = bench.locked_out(&held).await else { return };
    let error = failure(&held).await;
    let right =
        error.as_ref().is_some_and(|error| error.kind() == ErrorKind::Unauthenticated && error.retry() == Retry::Never);
    assert!(right, "a wrong password gave {error:?}");
}

/// No secret in any text anybody could see.
pub async fn secrets_are_never_shown(bench: &dyn SourceBench) {
    let held = bench.hold(&numbers(1)).await;
    let missing = bench.missing(held.clone()).await;
    let mut all = vec![held.clone(), missing];
    all.extend(bench.dead(&held).await);
    all.extend(bench.locked_out(&held).await);
    let mut seen = String::new();
    for held in all {
        let connection = &held.connection;
        seen.extend([format!("{connection:?} {} {:?}", connection.identity(), connection.check().await)]);
        if let Ok(source) = held.connection.source(held.target.clone()).await {
            seen.extend([format!("{source:?}")]);
        }
        if let Some(error) = failure(&held).await {
            seen.extend([format!("{error} {error:?}")]);
        }
    }
    for secret in bench.secrets() {
        assert!(!seen.contains(&secret), "a secret is shown in: {}", seen.replace(&secret, "<<the secret>>"));
    }
}

/// Every type a column can be declared with.
pub fn all_types() -> Vec<ColumnType> {
    use ColumnType::{Binary, Bool, Date, Datetime, Decimal, Double, Int, Json, Long, String, Time, Uuid};
    let decimals = [(15, 2), (38, 0), (38, 38), (1, 0)].map(|(precision, scale)| Decimal { precision, scale });
    let others = [String, Bool, Int, Long, Double, Date, Time, Datetime, Uuid, Json, Binary];
    others.into_iter().chain(decimals).collect()
}

/// Ordinary values of a type, NULL, and the first and last values there are.
pub fn samples(kind: ColumnType) -> Option<ArrayRef> {
    /// Days of 0001-01-01 and 9999-12-31: 1C knows no others.
    const DAYS: [i32; 2] = [-719_162, 2_932_896];
    const DAY: i64 = 86_400_000_000;
    let [first_day, last_day] = DAYS.map(i64::from);
    Some(match kind {
        ColumnType::String => Arc::new(StringArray::from(vec![
            Some("текст"),
            None,
            Some(""),
            Some(" "),
            Some("a;b,c\t\"d\" 'e'\r\nf"),
            Some("0001"),
            Some("NULL"),
            Some("😀 & <тег>"),
        ])),
        ColumnType::Bool => Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ColumnType::Int => Arc::new(Int32Array::from(vec![Some(0), None, Some(i32::MIN), Some(i32::MAX)])),
        ColumnType::Long => Arc::new(Int64Array::from(vec![Some(0), None, Some(i64::MIN), Some(i64::MAX)])),
        ColumnType::Decimal { precision, scale } => {
            let most = 10_i128.checked_pow(u32::from(precision))? - 1;
            let values = Decimal128Array::from(vec![Some(0), None, Some(1), Some(-1), Some(most), Some(-most)]);
            Arc::new(values.with_precision_and_scale(precision, i8::try_from(scale).ok()?).ok()?)
        }
        ColumnType::Double => Arc::new(Float64Array::from(vec![
            Some(0.1),
            None,
            Some(-2.5e-300),
            Some(f64::MAX),
            Some(f64::MIN),
            Some(f64::MIN_POSITIVE),
        ])),
        ColumnType::Date => Arc::new(Date32Array::from(vec![Some(0), None, Some(DAYS[0]), Some(DAYS[1])])),
        ColumnType::Time => Arc::new(Time64MicrosecondArray::from(vec![Some(0), None, Some(1), Some(DAY - 1)])),
        ColumnType::Datetime => Arc::new(TimestampMicrosecondArray::from(vec![
            Some(0),
            None,
            Some(-1),
            Some(first_day * DAY),
            Some(last_day * DAY + DAY - 1),
        ])),
        ColumnType::Uuid => Arc::new(StringArray::from(vec![
            Some("7b0e5a1c-0100-4000-8000-000000000001"),
            None,
            Some("00000000-0000-0000-0000-000000000000"),
        ])),
        ColumnType::Json => Arc::new(StringArray::from(vec![
            Some("{\"a\":[1,2.50,null,\"я\"]}"),
            None,
            Some("[]"),
            Some("\"text\""),
            Some("0.10"),
        ])),
        ColumnType::Binary => {
            Arc::new(BinaryArray::from(vec![Some(b"\x00\xff\n".as_slice()), None, Some(b"a".as_slice())]))
        }
    })
}

/// A table of so many rows: a number, a text, a price.
fn numbers(count: i32) -> RecordBatch {
    let decimal = ColumnType::Decimal { precision: 15, scale: 2 };
    let fields =
        vec![arrow_field(ID, ColumnType::Int), arrow_field("имя", ColumnType::String), arrow_field("price", decimal)];
    let prices: Decimal128Array = (0..count).map(|id| Some(i128::from(id) * 101)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..count).map(Some).collect::<Int32Array>()),
        Arc::new((0..count).map(|id| Some(format!("товар {id}"))).collect::<StringArray>()),
        prices
            .with_precision_and_scale(15, 2)
            .map_or_else(|_| Arc::new(Int32Array::from(vec![0])) as ArrayRef, |prices| Arc::new(prices)),
    ];
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    assert!(rows.is_ok(), "the table of the laws: {rows:?}");
    rows.unwrap_or_else(|_| RecordBatch::new_empty(Arc::new(Schema::empty())))
}

async fn open(bench: &dyn SourceBench, rows: &RecordBatch) -> Arc<dyn Source> {
    let held = bench.hold(rows).await;
    opened(held.connection.source(held.target).await)
}

/// The source, or the end of the test.
#[expect(clippy::panic, reason = "a law that cannot be checked is a failed test")]
fn opened(source: Result<Arc<dyn Source>>) -> Arc<dyn Source> {
    source.unwrap_or_else(|error| panic!("the source opens: {error:?}"))
}

#[expect(clippy::panic, reason = "a law that cannot be checked is a failed test")]
async fn start(source: &dyn Source, scan: Scan) -> BatchStream {
    source.read(scan).await.unwrap_or_else(|error| panic!("reading starts: {error:?}"))
}

/// All batches of a read that must succeed, without bad rows.
async fn read(source: &dyn Source, scan: Scan) -> Vec<RecordBatch> {
    let mut stream = start(source, scan).await;
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        assert!(batch.is_ok(), "a batch: {batch:?}");
        if let Ok(batch) = batch {
            assert!(batch.bad.is_empty(), "every row can be read: {:?}", batch.bad);
            batches.push(batch.rows);
        }
    }
    batches
}

/// The error of opening or of reading to the end.
async fn failure(held: &Held) -> Option<Error> {
    let source = match held.connection.source(held.target.clone()).await {
        Ok(source) => source,
        Err(error) => return Some(error),
    };
    let mut stream = match source.read(Scan::default()).await {
        Ok(stream) => stream,
        Err(error) => return Some(error),
    };
    while let Some(batch) = stream.next().await {
        if let Err(error) = batch {
            let after = stream.next().await;
            assert!(after.is_none(), "the stream ends after its error: {after:?}");
            return Some(error);
        }
    }
    None
}

fn projected(schema: &SchemaRef, columns: &[usize]) -> Schema {
    Schema::new(columns.iter().map(|column| schema.field(*column).clone()).collect::<Vec<_>>())
}

fn together(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    let all = concat_batches(schema, batches);
    assert!(all.is_ok(), "batches of one schema: {all:?}");
    all.unwrap_or_else(|_| RecordBatch::new_empty(SchemaRef::clone(schema)))
}

/// The same rows, in any order.
fn assert_same(read: &RecordBatch, wanted: &RecordBatch, what: &str) {
    let sorted = |rows: &RecordBatch| {
        let ids = rows.column_by_name(ID)?;
        take_record_batch(rows, &sort_to_indices(ids, None, None).ok()?).ok()
    };
    match (sorted(read), sorted(wanted)) {
        (Some(read), Some(wanted)) => assert_eq!(read, wanted, "{what}"),
        _ => assert_eq!(read, wanted, "{what}"),
    }
}
