//! Where rows come from.

use crate::{Filter, Result};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;

/// The rows of one entity of a connection.
///
/// Opened once per run by [`Connection::source`](crate::Connection::source); `read` is called once or
/// several times, possibly at the same time. Dropping the stream stops reading and frees what it held.
#[async_trait::async_trait]
pub trait Source: std::fmt::Debug + Send + Sync {
    /// All columns, in the order of the declaration. Never changes while the source is open.
    fn schema(&self) -> SchemaRef;

    /// What the source does itself; the engine does the rest.
    fn abilities(&self) -> Abilities;

    /// Starts reading.
    ///
    /// # Errors
    /// `Unauthenticated`, `NotFound`, `SchemaMismatch`, `Unavailable`, …; also as items of the stream,
    /// after which it ends.
    async fn read(&self, scan: Scan) -> Result<BatchStream>;

    /// What was read up to `cursor` is durable with us: the other side may forget it. Called after
    /// the rows are landed, once per run, and again after a crash. Default: nothing to do.
    ///
    /// # Errors
    /// Those of the connection. The engine confirms again in the next run.
    async fn confirm(&self, _cursor: &Cursor) -> Result<()> {
        Ok(())
    }
}

/// A running read.
pub type BatchStream = BoxStream<'static, Result<Batch>>;

/// What a source does itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// Whether one read shows one state of the other side.
    pub snapshot: Snapshot,
    /// Whether `Scan::columns` saves reading.
    pub projection: bool,
    /// Whether `Scan::after` is understood.
    pub resume: bool,
    /// Whether `Scan::filter` is applied, exactly as [`Filter::holds`] says; otherwise it is ignored and the engine
    /// filters what it gets.
    pub filter: bool,
}

/// Whether the rows of one read belong to one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// They do: a key that is absent is absent at the other side.
    Exact,
    /// They may not (pages by `$skip`): absence proves nothing, the run deletes nothing.
    /// A batch may still report `exact: Some(true)` for the whole read at its end.
    Approximate,
}

/// What to read.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Columns by their position in the schema; `None`: all. The batches have these columns in this order.
    pub columns: Option<Vec<usize>>,
    /// Only rows that meet all of these are wanted. A source with the ability `filter` gives no others.
    pub filter: Vec<Filter>,
    /// Where to go on after; only with the ability `resume`.
    pub after: Option<Cursor>,
    /// Rows per batch at most.
    pub batch_rows: usize,
}

/// Some rows.
#[derive(Debug)]
pub struct Batch {
    /// The rows that could be read. May be empty.
    pub rows: RecordBatch,
    /// The rows that could not.
    pub bad: Vec<BadRow>,
    /// The position after these rows, to be confirmed once they are landed.
    pub cursor: Option<Cursor>,
    /// `Some(true)` in the last batch of a read that turned out to be a snapshot although the source
    /// is `Approximate` (one page was enough); `Some(false)` when a read of an `Exact` source was not.
    pub exact: Option<bool>,
}

/// A row that cannot be read: where it stands and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Where, as people look for it: `goods.csv:14:3` (file, line, column) or a URL and row number.
    pub place: String,
    /// The column, if it is one column's fault.
    pub column: Option<String>,
    /// Why, in one line.
    pub reason: String,
}

/// A position in a source. Opaque to the engine: compared and stored, never read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Vec<u8>);

impl Default for Scan {
    fn default() -> Self {
        Self { columns: None, filter: Vec::new(), after: None, batch_rows: 8192 }
    }
}

impl Batch {
    /// Rows alone.
    pub fn of(rows: RecordBatch) -> Self {
        Self { rows, bad: Vec::new(), cursor: None, exact: None }
    }
}
