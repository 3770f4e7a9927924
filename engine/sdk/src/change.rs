//! Changes on their way to a sink.

use arrow::record_batch::RecordBatch;

/// What happens to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// The other side does not have it.
    Create,
    /// The other side has it with other values.
    Update,
    /// It is gone here.
    Delete,
}

/// A row of a load, unique within its run and sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);

/// A part of a portion: changes of one target (entity), in the order the rows are to be applied.
///
/// All three batches have the columns of the target's relation: the key, then all mapped columns, then
/// one `List<Struct>` column per child, its items sorted by the child's key.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Which of the sink's targets, as an index into what [`Connection::sink`](crate::Connection::sink) was given.
    pub target: usize,
    /// One id per row.
    pub ids: Vec<RowId>,
    /// One operation per row.
    pub ops: Vec<Op>,
    /// The current values; for a delete the last known ones (so that mandatory fields can be filled).
    pub rows: RecordBatch,
    /// The values the other side is known to have; all NULL for a create or where nothing is known.
    pub old: RecordBatch,
    /// For targets with [`TargetAbilities::whole`](crate::TargetAbilities::whole): the rows that did
    /// not change, so that a complete tree or list can be written. `None` otherwise.
    pub unchanged: Option<RecordBatch>,
}

impl Op {
    /// `create`, `update` or `delete`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

impl Changes {
    /// How many rows change.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}
