//! Where changes go.

use crate::{Changes, Found, Outcome, Result, RowId};
use arrow::record_batch::RecordBatch;

/// All targets (entities) of one connection that a run delivers to, as one ordered bundle.
///
/// The engine opens it once per run and starts loads one after the other; never two at a time on a
/// connection with the ability `exclusive`.
#[async_trait::async_trait]
pub trait Sink: std::fmt::Debug + Send + Sync {
    /// What the sink can do.
    fn abilities(&self) -> SinkAbilities;

    /// Starts one load: the delivery of one portion.
    ///
    /// # Errors
    /// Those of the connection. Nothing was sent then; the portion's rows are not in doubt.
    async fn begin(&self, load: &LoadId) -> Result<Box<dyn Load>>;

    /// What the other side really has of these keys; asked for keys in doubt. Default: `Unsupported`.
    ///
    /// # Errors
    /// `Unsupported` where the other side cannot be asked.
    async fn find(&self, _target: usize, _keys: &RecordBatch) -> Result<Vec<Found>> {
        Err(crate::Error::new(crate::ErrorKind::Unsupported, "this sink cannot be asked what it has"))
    }
}

/// The delivery of one portion. Dropped without `finish` (a crash, a stop): everything sent is in doubt.
#[async_trait::async_trait]
pub trait Load: Send {
    /// Takes changes of one target. Called for the targets in the sink's order; may be called several
    /// times. Gives the rows settled so far, also of earlier calls; the others are settled later.
    ///
    /// # Errors
    /// Ends the load: every row given to `send` and not settled is in doubt, unless the error happened
    /// before anything left (then the implementation gives `Rejected` with `Temporary` instead).
    async fn send(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>>;

    /// Ends the load and settles all rows that are not settled yet.
    ///
    /// # Errors
    /// As for `send`.
    async fn finish(self: Box<Self>) -> Result<Vec<(RowId, Outcome)>>;
}

/// The name of a load; the same for every request of it, never used twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadId(pub String);

/// What a sink can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkAbilities {
    /// Per target, in the order of the targets.
    pub targets: Vec<TargetAbilities>,
    /// The order in which targets must be sent, as indices: groups before goods before offers.
    pub order: Vec<usize>,
    /// Rows one load carries at most, all targets together.
    pub portion_rows: usize,
    /// What happens when the same change arrives twice.
    pub repetition: Repetition,
    /// Only one load at a time may be under way on the connection, whichever pipeline it is of.
    pub exclusive: bool,
    /// Whether `find` works.
    pub find: bool,
}

/// What a target can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetAbilities {
    /// Which operations it takes.
    pub operations: Operations,
    /// It is written as a complete tree or list whenever one of its rows changes: the engine hands
    /// over the unchanged rows too ([`Changes::unchanged`]).
    pub whole: bool,
}

/// Operations of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operations {
    /// Rows can be marked as deleted.
    pub mark: bool,
    /// Rows can be deleted.
    pub delete: bool,
    /// Rows can have children.
    pub children: bool,
}

/// What happens when the same change arrives twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repetition {
    /// Nothing: it is an assignment by key.
    Harmless,
    /// Nothing, if it carries the same token.
    ByToken,
    /// It is done twice. Rows in doubt wait for a person.
    Duplicates,
}
