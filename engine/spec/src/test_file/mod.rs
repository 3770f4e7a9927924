//! A test file `NAME.test.yaml`, typed. Field comments are the manual.
//!
//! A test is a list of steps with state carried over, each a run of the pipeline with the world as `given` says and
//! what must come of it as `then` says. No test ever touches the network: sources are rows, sinks are scripts.

mod read;
mod read_given;
mod read_then;
mod table;

use crate::Node;
use crate::decode::Named;
use crate::schema::shapes::{Anything, OneOrMany};
use obmen_diagnostics::{Span, Spanned};
use schemars::JsonSchema;

/// Tests of one pipeline.
#[derive(Clone, Debug, JsonSchema)]
pub struct TestFile {
    /// The pipeline, by name.
    pub pipeline: Spanned<String>,
    /// The time the tests run at, like `2026-11-22T10:00:00+03:00`; a step may set it forward.
    pub clock: Option<Spanned<String>>,
    /// The tests; each begins with empty state.
    pub tests: Vec<Test>,
}

/// One test: runs of the pipeline in order, state carried over from each to the next.
#[derive(Clone, Debug, JsonSchema)]
pub struct Test {
    /// What it shows, as a sentence.
    pub name: Spanned<String>,
    /// The runs.
    pub steps: Vec<Step>,
    /// The whole entry.
    #[schemars(skip)]
    pub span: Span,
}

/// One run: how the world is, and what must come of it. Without `given` the world stays as the step before left it.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "TestStep")]
pub struct Step {
    /// What changes in the world before the run.
    pub given: Option<Given>,
    /// What must come of the run; several sinks: a list, one entry each.
    #[schemars(default, with = "OneOrMany<Then>")]
    pub then: Vec<Then>,
    /// The whole entry.
    #[schemars(skip)]
    pub span: Span,
}

/// What changes in the world before a run. What is not mentioned stays as it was.
#[derive(Clone, Debug, JsonSchema)]
pub struct Given {
    /// Rows of sources, all of them: a file's path, a list of rows, or `{ table: "a pipe table" }`.
    #[schemars(default, with = "Named<Anything>")]
    pub sources: Named<Rows>,
    /// Rows of sources to change or add, found by the source's key; columns that are not mentioned keep their value.
    #[schemars(default, with = "Named<Anything>")]
    pub patch: Named<Vec<Row>>,
    /// Rows of sources to take away, by key.
    #[schemars(default, with = "Named<Anything>")]
    pub remove: Named<Vec<Row>>,
    /// Sinks of other pipelines, as `pipeline/sink`, that have acked every row others wait for.
    #[schemars(default)]
    pub acked: Vec<Spanned<String>>,
    /// What sinks answer: `ack_all`, or `{ reply: [ … ] }` with the rows they do not ack.
    #[schemars(default, with = "Named<Anything>")]
    pub sinks: Named<Replies>,
    /// Values of vars.
    #[schemars(default, with = "Named<Anything>")]
    pub vars: Named<Node>,
    /// The time of this run.
    pub clock: Option<Spanned<String>>,
    /// The whole entry.
    #[schemars(skip)]
    pub span: Span,
}

/// Rows of a source.
#[derive(Clone, Debug)]
pub enum Rows {
    /// A file, relative to the test file.
    File(Spanned<String>),
    /// Rows written in the test.
    Inline(Vec<Row>),
}

/// A row, or a key: columns with their values.
#[derive(Clone, Debug)]
pub struct Row {
    /// Columns and values. A value is a scalar or `Null`; the relation's types say what it is.
    pub columns: Vec<(Spanned<String>, Node)>,
    /// The whole row.
    pub span: Span,
}

/// What a sink answers: it acks every row but these.
#[derive(Clone, Debug)]
pub struct Replies {
    /// The rows that are not acked. Empty for `ack_all`.
    pub rows: Vec<Reply>,
    /// The whole entry.
    pub span: Span,
}

/// What a sink answers for one key.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The key.
    pub key: Row,
    /// The answer.
    pub answer: Answer,
    /// The whole entry.
    pub span: Span,
}

/// An answer other than an ack.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The row is refused.
    Reject {
        /// Why, in the other side's words.
        reason: Spanned<String>,
        /// `data` (default), `missing`, `conflict`, `temporary` or `forbidden`.
        class: Option<Spanned<String>>,
        /// The other side's row may have been changed all the same.
        altered: bool,
    },
    /// The answer is lost: nobody knows what became of the row.
    Lost,
}

/// What must come of a run, at one sink. Everything mentioned must hold; at least one thing must be mentioned.
#[derive(Clone, Debug, JsonSchema)]
pub struct Then {
    /// The sink; may be left out when the pipeline has one.
    pub sink: Option<Spanned<String>>,
    /// What is sent: `exact` lists all of it, `contains` a part, in any order.
    #[schemars(with = "Option<std::collections::BTreeMap<String, Vec<Anything>>>")]
    pub changes: Option<ExpectedChanges>,
    /// Counters of the run, by name.
    #[schemars(skip)]
    pub counters: Vec<(Counter, Spanned<u64>)>,
    /// Keys that wait for another attempt: `empty`, or how many.
    #[schemars(with = "Option<crate::schema::shapes::Word>")]
    pub queue: Option<Spanned<u64>>,
    /// Changes held for a person: `true`, how many, or why: `guard`, `gate`, `waits`, `closed`, `parked`, `ignored`.
    #[schemars(with = "Option<Anything>")]
    pub held: Option<Spanned<Held>>,
    /// How many rows fail a check, by the check's name.
    #[schemars(default)]
    pub checks: Named<Spanned<u64>>,
    /// The rows of steps, all of them, in any order; columns that are not mentioned are not compared.
    #[schemars(default, with = "Named<Anything>")]
    pub relations: Named<Rows>,
    /// The whole entry.
    #[schemars(skip)]
    pub span: Span,
}

/// What must be sent.
#[derive(Clone, Debug)]
pub struct ExpectedChanges {
    /// Nothing else may be sent.
    pub exact: bool,
    /// The changes, in any order.
    pub changes: Vec<ExpectedChange>,
    /// The whole entry.
    pub span: Span,
}

/// One change that must be sent.
#[derive(Clone, Debug)]
pub struct ExpectedChange {
    /// What happens to the key.
    pub op: Spanned<ExpectedOp>,
    /// The key.
    pub key: Row,
    /// Columns and children with what is expected of them; those that are not mentioned must not have changed.
    pub columns: ExpectedColumns,
    /// The whole entry.
    pub span: Span,
}

/// What happens to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedOp {
    /// The other side does not have it.
    Create,
    /// The other side has it with other values.
    Update,
    /// It is gone here.
    Delete,
}

/// What is expected of a column or child.
#[derive(Clone, Debug)]
pub enum Expected {
    /// This value is sent.
    Value(Node),
    /// The value changes: `[old, new]`.
    Change {
        /// What the other side has.
        old: Node,
        /// What it is to have.
        new: Node,
    },
    /// Parts of a child: the part's key (several columns joined by `/`) and what is expected of its columns.
    Parts(Vec<(Spanned<String>, ExpectedColumns)>),
}

/// Columns with what is expected of them.
pub type ExpectedColumns = Vec<(Spanned<String>, Expected)>;

/// Why changes are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// For whatever reason.
    Any,
    /// Nothing is held.
    Nothing,
    /// So many rows.
    Rows(u64),
    /// For this reason: `guard`, `gate`, `waits`, `closed`, `parked` or `ignored`.
    Reason(String),
}

/// Counters of a run at one sink, as in its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// Keys looked at.
    Read,
    /// Keys the other side has as they are.
    Unchanged,
    /// Rows that failed a check or have no proper key.
    Invalid,
    /// Changes to be sent.
    Due,
    /// Changes sent.
    Sent,
    /// Changes that wait for the next run.
    Pending,
    /// Changes the other side has.
    Acked,
    /// Changes the other side will decide on later.
    Accepted,
    /// Changes the other side refused.
    Rejected,
    /// Changes whose fate nobody knows.
    Unknown,
    /// Keys created.
    Creates,
    /// Keys updated.
    Updates,
    /// Keys deleted or marked.
    Deletes,
}

impl Counter {
    /// All counters, in the order of a run's report.
    pub const ALL: &'static [Self] = &[
        Self::Read,
        Self::Unchanged,
        Self::Invalid,
        Self::Due,
        Self::Sent,
        Self::Pending,
        Self::Acked,
        Self::Accepted,
        Self::Rejected,
        Self::Unknown,
        Self::Creates,
        Self::Updates,
        Self::Deletes,
    ];

    /// The word in YAML and in a run's report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Unchanged => "unchanged",
            Self::Invalid => "invalid",
            Self::Due => "due",
            Self::Sent => "sent",
            Self::Pending => "pending",
            Self::Acked => "acked",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
            Self::Creates => "creates",
            Self::Updates => "updates",
            Self::Deletes => "deletes",
        }
    }

    /// What it counts, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Read => "keys looked at",
            Self::Unchanged => "keys the other side has as they are",
            Self::Invalid => "rows that failed a check or have no proper key",
            Self::Due => "changes to be sent",
            Self::Sent => "changes sent",
            Self::Pending => "changes that wait for the next run",
            Self::Acked => "changes the other side has",
            Self::Accepted => "changes the other side will decide on later",
            Self::Rejected => "changes the other side refused",
            Self::Unknown => "changes whose fate nobody knows",
            Self::Creates => "keys created",
            Self::Updates => "keys updated",
            Self::Deletes => "keys deleted or marked",
        }
    }
}
