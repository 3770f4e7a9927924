//! The laws every sink obeys: what is not allowed here is not a sink.
//!
//! The author of a connector writes a [`SinkBench`] (a counterpart that can be told how to behave, and
//! some changes that fit) and calls [`obey_all`] from one test. A law that cannot apply is skipped by
//! the bench saying so, never silently.

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use obmen_sdk::types::arrow_field;
use obmen_sdk::{
    Changes, Connection, Error, ErrorKind, LoadId, Op, Outcome, RejectClass, Result, RowId, Sink, SinkTarget, Stop,
};
use obmen_spec::ColumnType;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How the other side behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It takes everything.
    Takes,
    /// It understands everything and refuses it.
    Refuses,
    /// It takes the changes, and its answer never arrives; so each time.
    LosesAnswers,
    /// Nobody is there.
    Dead,
    /// It does not let us in.
    WrongPassword,
}

/// A connection to a counterpart, and the means to stop its run.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The connection.
    pub connection: Arc<dyn Connection>,
    /// What its context was given as `stop`.
    pub stop: Stop,
}

/// A sink and a counterpart of it.
#[async_trait]
pub trait SinkBench: Send + Sync {
    /// A connection to a fresh counterpart that behaves so. `None`: that cannot happen to this sink.
    async fn open(&self, behaviour: Behaviour) -> Option<Opened>;

    /// The targets of one bundle, best not in the order the sink wants.
    fn targets(&self) -> Vec<SinkTarget>;

    /// Changes of a target that the other side would take, a row per operation the target has at
    /// least; their ids count from `first`.
    fn changes(&self, target: usize, first: u64) -> Changes;

    /// A delete whose last known values are missing. `None`: the sink does not need them.
    fn blind_delete(&self) -> Option<Changes>;

    /// A target with one more column of a type, and how it is mapped. `None`: columns are fixed.
    fn target_with(&self, column: &str, kind: ColumnType) -> Option<SinkTarget>;

    /// A create of that target with this value in the column.
    fn change_with(&self, target: &SinkTarget, column: &str, value: ArrayRef) -> Changes;

    /// Texts that must never be shown.
    fn secrets(&self) -> Vec<String>;
}

/// Checks every law.
pub async fn obey_all(bench: &dyn SinkBench) {
    abilities_cover_the_targets(bench).await;
    every_row_is_settled_once(bench).await;
    an_empty_load_settles_nothing(bench).await;
    a_delete_without_values_is_refused_untouched(bench).await;
    a_refusal_is_rejected(bench).await;
    a_lost_answer_is_unknown(bench).await;
    a_dead_host_is_unavailable(bench).await;
    a_wrong_password_is_unauthenticated(bench).await;
    a_stopped_load_settles_every_row(bench).await;
    an_unknown_entity_is_refused_by_name(bench).await;
    what_is_not_an_ability_is_unsupported(bench).await;
    types_are_delivered_or_refused(bench).await;
    secrets_are_never_shown(bench).await;
}

/// One line per target, an order with every target once, room for at least one row.
pub async fn abilities_cover_the_targets(bench: &dyn SinkBench) {
    let Some(sink) = sink(bench, Behaviour::Takes).await else { return };
    let abilities = sink.abilities();
    let count = bench.targets().len();
    assert_eq!(abilities.targets.len(), count, "abilities of every target");
    let mut order = abilities.order.clone();
    order.sort_unstable();
    assert_eq!(order, (0..count).collect::<Vec<_>>(), "the order has every target once");
    assert!(abilities.portion_rows > 0, "a load carries something");
}

/// Every row that was sent is settled, once, and nothing else; what the other side takes is acked.
pub async fn every_row_is_settled_once(bench: &dyn SinkBench) {
    let Some(sink) = sink(bench, Behaviour::Takes).await else { return };
    let delivered = deliver(bench, &*sink, None).await;
    assert!(delivered.is_ok(), "a load the other side takes: {:?}", delivered.err());
    for (id, outcome) in delivered.unwrap_or_default() {
        let good = matches!(outcome, Outcome::Acked { .. } | Outcome::Accepted { .. });
        assert!(good, "row {id:?} that the other side takes became {outcome:?}");
    }
}

/// A load without rows ends well and settles nothing.
pub async fn an_empty_load_settles_nothing(bench: &dyn SinkBench) {
    let Some(sink) = sink(bench, Behaviour::Takes).await else { return };
    let settled = match sink.begin(&LoadId("empty".to_owned())).await {
        Ok(load) => load.finish().await,
        Err(error) => Err(error),
    };
    assert!(settled.as_ref().is_ok_and(Vec::is_empty), "an empty load gave {settled:?}");
}

/// A delete that cannot be said for want of values is a refusal that touched nothing.
pub async fn a_delete_without_values_is_refused_untouched(bench: &dyn SinkBench) {
    let (Some(changes), Some(sink)) = (bench.blind_delete(), sink(bench, Behaviour::Takes).await) else { return };
    let settled = load(&*sink, &[changes], None).await;
    let settled = settled.unwrap_or_default();
    assert!(!settled.is_empty(), "the row is settled");
    for outcome in settled.values() {
        assert!(matches!(outcome, Outcome::Rejected { altered: false, .. }), "it became {outcome:?}");
    }
}

/// What the other side refuses is rejected: never acked, never unknown.
pub async fn a_refusal_is_rejected(bench: &dyn SinkBench) {
    let Some(sink) = sink(bench, Behaviour::Refuses).await else { return };
    let settled = deliver(bench, &*sink, None).await.unwrap_or_default();
    assert!(!settled.is_empty(), "a refusal settles rows, it is no error of the load");
    for (id, outcome) in settled {
        assert!(matches!(outcome, Outcome::Rejected { .. }), "row {id:?} that was refused became {outcome:?}");
    }
}

/// Without an answer nothing is acked, and what may have arrived is unknown.
pub async fn a_lost_answer_is_unknown(bench: &dyn SinkBench) {
    let Some(sink) = sink(bench, Behaviour::LosesAnswers).await else { return };
    match deliver(bench, &*sink, None).await {
        // An error of the load leaves all its rows in doubt: that is allowed.
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{error:?}"),
        Ok(settled) => {
            let unknown = settled.values().filter(|outcome| matches!(outcome, Outcome::Unknown { .. })).count();
            assert!(unknown > 0, "some rows are unknown: {settled:?}");
            for (id, outcome) in settled {
                let good = matches!(outcome, Outcome::Unknown { .. } | Outcome::Rejected { altered: false, .. });
                assert!(good, "row {id:?} without an answer became {outcome:?}");
            }
        }
    }
}

/// Nobody there: `Unavailable` before anything is in doubt, or a temporary refusal of every row.
pub async fn a_dead_host_is_unavailable(bench: &dyn SinkBench) {
    fails_untouched(bench, Behaviour::Dead, ErrorKind::Unavailable, RejectClass::Temporary).await;
}

/// Not let in: `Unauthenticated` before anything is in doubt, or a refusal of every row as forbidden.
pub async fn a_wrong_password_is_unauthenticated(bench: &dyn SinkBench) {
    fails_untouched(bench, Behaviour::WrongPassword, ErrorKind::Unauthenticated, RejectClass::Forbidden).await;
}

async fn fails_untouched(bench: &dyn SinkBench, behaviour: Behaviour, kind: ErrorKind, class: RejectClass) {
    let Some(opened) = bench.open(behaviour).await else { return };
    let settled = match opened.connection.sink(bench.targets()).await {
        Ok(sink) => deliver(bench, &*sink, None).await,
        Err(error) => Err(error),
    };
    match settled {
        Err(error) => assert_eq!(error.kind(), kind, "{behaviour:?}: {error:?}"),
        Ok(settled) => {
            for (id, outcome) in settled {
                let good = matches!(&outcome, Outcome::Rejected { altered: false, class: is, .. } if *is == class);
                assert!(good, "{behaviour:?}: row {id:?} became {outcome:?}");
            }
        }
    }
}

/// A run that stops settles every row all the same, and acks nothing it has not seen an answer for.
pub async fn a_stopped_load_settles_every_row(bench: &dyn SinkBench) {
    let Some(opened) = bench.open(Behaviour::Takes).await else { return };
    let Ok(sink) = opened.connection.sink(bench.targets()).await else { return };
    match deliver(bench, &*sink, Some(&opened.stop)).await {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{error:?}"),
        Ok(settled) => assert!(!settled.is_empty(), "rows of a stopped load are settled"),
    }
}

/// A bundle with an entity that does not exist is refused, and the error names it.
pub async fn an_unknown_entity_is_refused_by_name(bench: &dyn SinkBench) {
    let Some(opened) = bench.open(Behaviour::Takes).await else { return };
    let mut targets = bench.targets();
    let Some(first) = targets.first_mut() else { return };
    "no such entity".clone_into(&mut first.entity);
    let error = opened.connection.sink(targets).await.err();
    let named = error.as_ref().is_some_and(|error| format!("{error}").contains("no such entity"));
    assert!(named, "an unknown entity gave {error:?}");
}

/// What the abilities deny is denied by the sink too.
pub async fn what_is_not_an_ability_is_unsupported(bench: &dyn SinkBench) {
    let Some(sink) = sink(bench, Behaviour::Takes).await else { return };
    if sink.abilities().find {
        return;
    }
    let keys = bench.changes(0, 0).rows;
    let answer = sink.find(0, &keys).await;
    assert!(answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unsupported), "`find` gave {answer:?}");
}

/// A column of any type either arrives or is refused before anything runs, naming the column.
pub async fn types_are_delivered_or_refused(bench: &dyn SinkBench) {
    const COLUMN: &str = "of_a_type";
    for (kind, value) in samples() {
        let Some(opened) = bench.open(Behaviour::Takes).await else { return };
        let Some(target) = bench.target_with(COLUMN, kind) else { return };
        let field = target.schema.field_with_name(COLUMN);
        let declared = field.is_ok_and(|field| *field.data_type() == *arrow_field(COLUMN, kind).data_type());
        assert!(declared, "the bench declares {COLUMN} as {kind}");
        match opened.connection.sink(vec![target.clone()]).await {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "{kind}: {error:?}");
                assert!(error.to_string().contains(COLUMN), "{kind}: the refusal names the column: {error}");
            }
            Ok(sink) => {
                let changes = bench.change_with(&target, COLUMN, value);
                let settled = load(&*sink, &[changes], None).await;
                let acked =
                    |settled: &Settled| settled.values().all(|outcome| matches!(outcome, Outcome::Acked { .. }));
                assert!(settled.as_ref().is_ok_and(acked), "{kind}: {settled:?}");
            }
        }
    }
}

/// No secret in any text anybody could see, whatever the other side does.
pub async fn secrets_are_never_shown(bench: &dyn SinkBench) {
    use Behaviour::{Dead, LosesAnswers, Refuses, Takes, WrongPassword};
    let mut all = Vec::new();
    for behaviour in [Takes, Refuses, LosesAnswers, Dead, WrongPassword] {
        let Some(opened) = bench.open(behaviour).await else { continue };
        all.push(format!("{:?} {}", opened.connection, opened.connection.identity()));
        all.push(match opened.connection.check().await {
            Ok(text) => text,
            Err(error) => format!("{error} {error:?}"),
        });
        let settled = match opened.connection.sink(bench.targets()).await {
            Ok(sink) => {
                all.push(format!("{sink:?}"));
                deliver(bench, &*sink, None).await
            }
            Err(error) => Err(error),
        };
        all.push(match settled {
            Ok(settled) => format!("{settled:?}"),
            Err(error) => format!("{error} {error:?}"),
        });
    }
    let seen = all.join("\n");
    for secret in bench.secrets() {
        assert!(!seen.contains(&secret), "a secret is shown in: {}", seen.replace(&secret, "<<the secret>>"));
    }
}

type Settled = BTreeMap<RowId, Outcome>;

async fn sink(bench: &dyn SinkBench, behaviour: Behaviour) -> Option<Arc<dyn Sink>> {
    let opened = bench.open(behaviour).await?;
    let sink = opened.connection.sink(bench.targets()).await;
    assert!(sink.is_ok(), "the sink opens: {:?}", sink.err());
    sink.ok()
}

/// Delivers changes of all targets in the sink's order, as one load.
async fn deliver(bench: &dyn SinkBench, sink: &dyn Sink, stop: Option<&Stop>) -> Result<Settled> {
    let mut all = Vec::new();
    let mut first = 1;
    for target in sink.abilities().order {
        let changes = bench.changes(target, first);
        assert_eq!(changes.target, target, "the bench gives changes of the target it was asked for");
        first += u64::try_from(changes.len()).unwrap_or(0);
        all.push(changes);
    }
    load(sink, &all, stop).await
}

/// Delivers changes as one load; checks that every row is settled exactly once. `stop` is set before the end.
async fn load(sink: &dyn Sink, all: &[Changes], stop: Option<&Stop>) -> Result<Settled> {
    let mut load = sink.begin(&LoadId("load".to_owned())).await?;
    let mut settled = Vec::new();
    for changes in all {
        settled.extend(load.send(changes).await?);
    }
    if let Some(stop) = stop {
        stop.set();
    }
    settled.extend(load.finish().await?);
    let mut ids: Vec<RowId> = settled.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    let mut sent: Vec<RowId> = all.iter().flat_map(|changes| changes.ids.iter().copied()).collect();
    sent.sort_unstable();
    assert_eq!(ids, sent, "every row is settled exactly once");
    Ok(settled.into_iter().collect())
}

/// One value of every type a column can be declared with.
fn samples() -> Vec<(ColumnType, ArrayRef)> {
    let decimal = Decimal128Array::from(vec![1250]).with_precision_and_scale(15, 2);
    let mut samples: Vec<(ColumnType, ArrayRef)> = vec![
        (ColumnType::String, Arc::new(StringArray::from(vec!["<тег> & \"кавычки\""]))),
        (ColumnType::Bool, Arc::new(BooleanArray::from(vec![true]))),
        (ColumnType::Int, Arc::new(Int32Array::from(vec![-7]))),
        (ColumnType::Long, Arc::new(Int64Array::from(vec![i64::MAX]))),
        (ColumnType::Double, Arc::new(Float64Array::from(vec![0.1]))),
        (ColumnType::Date, Arc::new(Date32Array::from(vec![20_000]))),
        (ColumnType::Time, Arc::new(Time64MicrosecondArray::from(vec![1_000_000]))),
        (ColumnType::Datetime, Arc::new(TimestampMicrosecondArray::from(vec![1_700_000_000_000_000]))),
        (ColumnType::Uuid, Arc::new(StringArray::from(vec!["7b0e5a1c-0100-4000-8000-000000000001"]))),
        (ColumnType::Json, Arc::new(StringArray::from(vec!["{\"a\":1}"]))),
        (ColumnType::Binary, Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))),
    ];
    if let Ok(decimal) = decimal {
        samples.push((ColumnType::Decimal { precision: 15, scale: 2 }, Arc::new(decimal)));
    }
    samples
}

/// Changes of one operation for all rows of a batch, with nothing known of what the other side has.
///
/// # Errors
/// Those of arrow, if there is no batch of NULLs with these columns.
pub fn changes_of(target: usize, op: Op, first: u64, rows: RecordBatch) -> Result<Changes, Error> {
    let count = rows.num_rows();
    let nulls = rows.columns().iter().map(|column| arrow::array::new_null_array(column.data_type(), count)).collect();
    let old = RecordBatch::try_new(rows.schema(), nulls)?;
    let ids = (first..).take(count).map(RowId).collect();
    Ok(Changes { target, ids, ops: vec![op; count], rows, old, unchanged: None })
}
