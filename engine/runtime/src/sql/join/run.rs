//! How a join runs: in memory where a side fits, else on disk part by part.

use super::held::Held;
use super::not_in::Seen;
use super::scratch::{Hash, Scratch, Writing};
use super::split::{Keys, keys_of, split};
use super::{LEVELS, Limits, PARTS};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{DataFusionError, Result, resources_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation, UnboundedMemoryPool};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::EmptyRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::SpillMetrics;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Characters of a value in a message.
const LONGEST_KEY: usize = 60;

/// Joined rows.
type Rows = BoxStream<'static, Result<RecordBatch>>;

/// A key that more rows have, on both sides, than memory holds.
#[derive(Clone, Debug)]
pub(in crate::sql) struct OneKey(String);

impl fmt::Display for OneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OneKey {}

/// What one partition joins, and with what.
#[derive(Clone)]
pub(super) struct Task {
    join: Arc<HashJoinExec>,
    environment: Arc<RuntimeEnv>,
    /// For joins in memory: what they hold is reserved before they start.
    reserved: Arc<TaskContext>,
    /// Reservations are made of it.
    consumer: Arc<MemoryReservation>,
    limits: Limits,
    spilled: SpillMetrics,
}

/// One side of a join.
pub(super) struct Input {
    rows: SendableRecordBatchStream,
    /// Bytes of the rows, about; unknown before they were read once.
    bytes: Option<usize>,
    keys: Hash,
}

impl From<SendableRecordBatchStream> for Input {
    fn from(rows: SendableRecordBatchStream) -> Self {
        Self { rows, bytes: None, keys: Hash::Many }
    }
}

impl Input {
    fn part(file: &Arc<Scratch>, part: usize) -> Self {
        let known = file.part(part);
        Self { rows: file.read(part), bytes: Some(known.bytes), keys: known.hash }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    /// The left one and the right one of what is of this side and what is of the other.
    fn in_order<T>(self, this: T, other: T) -> (T, T) {
        match self {
            Self::Left => (this, other),
            Self::Right => (other, this),
        }
    }
}

/// Joins two sides whose rows were split `level` times.
pub(super) fn join(task: Arc<Task>, left: Input, right: Input, level: usize) -> Rows {
    // The smaller one is more likely to fit. Where nothing is known, left comes first, as in any hash join.
    let right_first = matches!((left.bytes, right.bytes), (Some(left), Some(right)) if right < left);
    let start = if right_first {
        start(task, Side::Right, right, left, level)
    } else {
        start(task, Side::Left, left, right, level)
    };
    stream::once(start).try_flatten().boxed()
}

/// Joins `first`, which is of `side`, with the other side.
fn start(
    task: Arc<Task>,
    side: Side,
    mut first: Input,
    mut second: Input,
    level: usize,
) -> BoxFuture<'static, Result<Rows>> {
    async move {
        let mut held = Held::new(task.reservation(), task.limits.free);
        if held.fill(&mut first.rows).await? {
            return task.in_memory(side, held, second.rows);
        }
        if let (Hash::One(_), Hash::One(_)) = (first.keys, second.keys) {
            return Err(task.one_key(side, held.batches()));
        }
        if second.bytes.is_some() {
            // It is known to be larger, and does not fit either.
            first.rows = held.followed_by(first.rows);
            return task.on_disk(side, first, second, level, &Seen::default()).await;
        }
        let parked = held.park(task.scratch(first.rows.schema())?)?.read(0);
        first.rows = chain(parked, first.rows);
        let seen = Seen::default();
        if task.join.null_aware {
            second.rows = seen.watch(task.keys(Side::Right), second.rows);
        }
        let mut held = Held::new(task.reservation(), task.limits.free);
        if held.fill(&mut second.rows).await? {
            let (task, rows) = task.without_nulls(&seen, first.rows)?;
            return task.in_memory(side.other(), held, rows);
        }
        second.rows = held.followed_by(second.rows);
        task.on_disk(side, first, second, level, &seen).await
    }
    .boxed()
}

impl Task {
    /// Joins as `join` says; partitions are named in messages about memory.
    pub(super) fn new(
        join: Arc<HashJoinExec>,
        context: &TaskContext,
        partition: usize,
        limits: Limits,
        spilled: SpillMetrics,
    ) -> Self {
        let consumer = MemoryConsumer::new(format!("SpillingJoin[{partition}]")).with_can_spill(true);
        let environment = context.runtime_env();
        let unlimited =
            RuntimeEnv { memory_pool: Arc::new(UnboundedMemoryPool::default()), ..environment.as_ref().clone() };
        let reserved = TaskContext::default()
            .with_session_config(context.session_config().clone())
            .with_runtime(Arc::new(unlimited));
        Self {
            join,
            environment,
            reserved: Arc::new(reserved),
            consumer: Arc::new(consumer.register(context.memory_pool())),
            limits,
            spilled,
        }
    }

    fn reservation(&self) -> MemoryReservation {
        self.consumer.new_empty()
    }

    fn scratch(&self, schema: SchemaRef) -> Result<Writing> {
        Writing::create(&self.environment, schema, self.spilled.clone())
    }

    fn keys(&self, side: Side) -> Vec<PhysicalExprRef> {
        let keys = self.join.on().iter();
        keys.map(|(left, right)| Arc::clone(if side == Side::Left { left } else { right })).collect()
    }

    /// Joins rows of `side` that fit in memory with those of the other one.
    fn in_memory(&self, side: Side, held: Held, other: SendableRecordBatchStream) -> Result<Rows> {
        let copy = held.bytes();
        let schema = self.join.children()[usize::from(side == Side::Right)].schema();
        let (batches, reserved) = held.into_parts();
        let reserved = Arc::new(reserved);
        let built = stream::iter(batches).map(Ok);
        let built = RecordBatchStreamAdapter::new(schema, built);
        // The other side is read once the table is there: rows are held once from then on.
        let table_is_there = Arc::clone(&reserved);
        let other = RecordBatchStreamAdapter::new(
            other.schema(),
            stream::once(async move {
                table_is_there.shrink(copy);
                Ok::<_, DataFusionError>(other)
            })
            .try_flatten(),
        );
        let (left, right) = side.in_order(once(Box::pin(built))?, once(Box::pin(other))?);
        let join = self.join.builder().reset_state().with_partition_mode(PartitionMode::CollectLeft);
        let join = join.recompute_properties().with_new_children(vec![left, right])?.build()?;
        let plan = match side {
            Side::Left => Arc::new(join),
            Side::Right => join.swap_inputs(PartitionMode::CollectLeft)?,
        };
        let rows = plan.execute(0, Arc::clone(&self.reserved))?;
        Ok(rows
            .inspect(move |_| {
                let _held = &reserved;
            })
            .boxed())
    }

    /// Joins sides neither of which fits in memory; `first` is of `side`.
    async fn on_disk(&self, side: Side, first: Input, second: Input, level: usize, seen: &Seen) -> Result<Rows> {
        if level == LEVELS {
            return resources_err!("the rows of a join were split {LEVELS} times and do not fit in memory");
        }
        let second = self.split(side.other(), second.rows, level).await?;
        let (task, first) = self.without_nulls(seen, first.rows)?;
        let first = task.split(side, first, level).await?;
        let (left, right) = side.in_order(first, second);
        let task = Arc::new(task);
        let parts = stream::iter(0..PARTS)
            .map(move |part| join(Arc::clone(&task), Input::part(&left, part), Input::part(&right, part), level + 1));
        Ok(parts.flatten().boxed())
    }

    async fn split(&self, side: Side, rows: SendableRecordBatchStream, level: usize) -> Result<Arc<Scratch>> {
        let file = self.scratch(rows.schema())?;
        let keys = Keys { on: self.keys(side), nulls: self.join.null_equality(), level };
        split(rows, keys, self.reservation(), self.limits.gathered, file).await
    }

    /// The join that is left of `NOT IN` once the right side was seen, and the rows of the left side that concern it.
    /// Other joins and their rows stay as they are.
    fn without_nulls(&self, seen: &Seen, left: SendableRecordBatchStream) -> Result<(Self, SendableRecordBatchStream)> {
        if !self.join.null_aware {
            return Ok((self.clone(), left));
        }
        let join = self.join.builder().with_null_aware(false).build()?;
        Ok((Self { join: Arc::new(join), ..self.clone() }, seen.allowed(self.keys(Side::Left), left)))
    }

    fn one_key(&self, side: Side, held: &[RecordBatch]) -> DataFusionError {
        let text = held.first().map_or_else(|| Ok(String::new()), |rows| first_key(&self.keys(side), rows));
        text.map_or_else(|error| error, |text| DataFusionError::External(Box::new(OneKey(text))))
    }
}

/// The key of the first row: `` `id` = 5``.
fn first_key(on: &[PhysicalExprRef], rows: &RecordBatch) -> Result<String> {
    let options = FormatOptions::default().with_null("NULL");
    let values = keys_of(on, &rows.slice(0, 1))?;
    let parts = on.iter().zip(&values).map(|(key, value)| {
        let name = key.downcast_ref::<Column>().map_or_else(|| key.to_string(), |column| column.name().to_owned());
        let value = ArrayFormatter::try_new(value, &options)?.value(0).to_string();
        Ok(format!("`{name}` = {}", value.chars().take(LONGEST_KEY).collect::<String>()))
    });
    Ok(parts.collect::<Result<Vec<_>>>()?.join(", "))
}

fn chain(rows: SendableRecordBatchStream, rest: SendableRecordBatchStream) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(rest.schema(), rows.chain(rest)))
}

/// Rows as a plan that can be executed once.
fn once(rows: SendableRecordBatchStream) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = rows.schema();
    let once = Once { schema: Arc::clone(&schema), rows: Mutex::new(Some(rows)) };
    Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(once)], None, [], false, None)?))
}

struct Once {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        rows.unwrap_or_else(|| Box::pin(EmptyRecordBatchStream::new(Arc::clone(&self.schema))))
    }
}
