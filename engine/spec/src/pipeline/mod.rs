//! A pipeline file, typed. Field comments are the manual: they become the JSON Schema and the pages of `obmen docs`.

mod changes;
mod read;
mod read_match;
mod read_sink;
mod read_source;

use crate::decode::Named;
use crate::schema::shapes::{Changing, Columns, OneOrMany, OrOff, Word};
use crate::{Column, Node, SqlText};
use obmen_diagnostics::{Span, Spanned};
use schemars::JsonSchema;

/// One YAML file: sources → steps → rules → sinks.
#[derive(Clone, Debug, JsonSchema)]
pub struct Pipeline {
    /// The pipeline's name; the file is called the same.
    pub pipeline: Spanned<String>,
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// When `obmen serve` runs it.
    pub schedule: Option<Schedule>,
    /// Whether and how it runs: `false`, `shadow`, `manual` (default) or `auto`.
    #[schemars(with = "Option<Enabled>")]
    pub enabled: Spanned<Enabled>,
    /// Values a run can be given; bound in SQL as `$name`.
    #[schemars(default)]
    pub vars: Named<Var>,
    /// Relations read from connections.
    #[schemars(default)]
    pub sources: Named<Source>,
    /// SQL queries by name; later steps, rules and sinks read them by that name.
    #[schemars(default)]
    pub steps: Named<SqlText>,
    /// Ordered attempts to find a counterpart for each row.
    #[schemars(skip)]
    pub matches: Named<Match>,
    /// What rows must satisfy.
    #[schemars(default)]
    pub checks: Vec<Check>,
    /// Where rows go.
    #[schemars(default)]
    pub sinks: Named<Sink>,
}

/// Whether and how a pipeline runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Enabled {
    /// Never; `obmen run` refuses.
    #[schemars(rename = "false")]
    Off,
    /// Plans and reports, sends nothing.
    Shadow,
    /// Only when a person says `obmen run`.
    Manual,
    /// Also by its schedule.
    Auto,
}

/// When a pipeline runs by itself.
#[derive(Clone, Debug, JsonSchema)]
pub struct Schedule {
    /// A cron line of five fields, or
    pub cron: Option<Spanned<String>>,
    /// a time between runs, like `15m`.
    pub every: Option<Spanned<String>>,
    /// The zone the cron line is meant in, like `Europe/Moscow`.
    pub timezone: Option<Spanned<String>>,
    /// What happens when the last run is still going: `skip` (default) or `queue`.
    pub overlap: Option<Spanned<String>>,
}

/// A value a run can be given by `--var`, schedule or default.
#[derive(Clone, Debug, JsonSchema)]
pub struct Var {
    /// `string bool int long decimal(p,s) date datetime month list`.
    #[schemars(rename = "type", with = "String")]
    pub kind: Spanned<VarType>,
    /// The value without `--var`; without a default the var must be given. For `month`: `current`, `previous` or `2026-11`.
    pub default: Option<Node>,
}

/// Types of a var.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarType {
    /// One value of a column's type.
    One(crate::ColumnType),
    /// A month, as text `2026-11`.
    Month,
    /// A list of texts, for `IN ($name)`.
    List,
}

/// A relation read through a connection.
#[derive(Clone, Debug, JsonSchema)]
pub struct Source {
    /// The connection, by its name in the profile.
    pub connection: Spanned<String>,
    /// What to read there: a table, a catalog, a file's name.
    pub entity: Spanned<String>,
    /// Names and types of the columns to read. Without them the types come from `schemas.lock`, or the file itself says them.
    #[schemars(with = "Option<Columns>")]
    pub columns: Option<Vec<Column>>,
    /// The columns that identify a row.
    pub key: Vec<Spanned<String>>,
    /// How changes are found: `full` (default), `inbox`, …
    #[schemars(with = "Option<Changing>")]
    pub changes: Option<Changes>,
    /// What happens to a row that cannot be read: `reject` it and go on without deletes, or `stop` (default) the run.
    pub on_bad_row: Option<Spanned<OnBadRow>>,
    /// A source may legitimately bring nothing: `true` silences the hold.
    #[schemars(default)]
    pub may_be_empty: bool,
    /// Settings of the connector for this source (delimiter, format, …), decoded by the connector.
    #[schemars(skip)]
    pub options: Node,
    /// The whole entry.
    #[schemars(skip)]
    pub span: Span,
}

/// How a source finds changes. Those that are not [available](ChangesKind::is_available) are understood and refused.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The way.
    pub kind: ChangesKind,
    /// Its settings as written: of an inbox, a feed.
    pub settings: Node,
    /// The column that says what is new, for `cursor`, `version` and `window`.
    pub watermark: Option<Watermark>,
    /// Where it is written.
    pub span: Span,
}

/// A column that says what is new: `{ cursor: updated_at }`, or with settings
/// `{ cursor: { column: updated_at, overlap: 10m } }`, `{ window: { column: date, last: 7d } }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The column. It must grow with every change of a row (`cursor`), differ after it (`version`), or say when
    /// the row happened (`window`).
    pub column: Spanned<String>,
    /// `cursor`: rows this far before the last position are read again, for those that were written late: a time
    /// (`10m`) where the column is one, else a whole number. Nothing by default.
    pub overlap: Option<Spanned<Back>>,
    /// `cursor`: a second column that tells rows of one position apart, the key mostly. Without it all rows of the
    /// last position are read again.
    pub tie: Option<Spanned<String>>,
    /// `window`: rows of this time back from now are read again; what is missing among them, and not there by its key, is
    /// gone.
    pub last: Option<Spanned<Back>>,
}

/// So far back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// A number of units of the column.
    Units(u64),
    /// A time.
    Seconds(u64),
}

/// The ways changes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangesKind {
    /// Everything is read every time.
    Full,
    /// A watermark column with overlap.
    Cursor,
    /// A scan of keys and versions.
    Version,
    /// The last N days again.
    Window,
    /// A change feed of the other side.
    Feed,
    /// A table of changes, cleared after delivery.
    Register,
    /// Logical decoding.
    Log,
    /// A folder where files arrive.
    Inbox,
}

/// What happens to a row that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum OnBadRow {
    /// It goes to the rejects, the run goes on and deletes nothing.
    Reject,
    /// The run stops before anything is sent.
    Stop,
}

/// What rows must satisfy.
#[derive(Clone, Debug, JsonSchema)]
pub struct Check {
    /// The relation.
    pub of: Spanned<String>,
    /// The check's name, shown with every row that fails it.
    pub name: Spanned<String>,
    /// A SQL condition over the relation's columns; NULL counts as failed.
    pub expect: SqlText,
    /// `reject` (default) keeps the row back, `warn` only says so, `stop` stops the run.
    #[schemars(with = "Option<Otherwise>")]
    pub otherwise: Spanned<Otherwise>,
    /// The whole entry.
    #[schemars(skip)]
    pub span: Span,
}

/// What a failed check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Otherwise {
    /// The row is invalid: it is not sent, and what the other side has stays.
    Reject,
    /// Only reported.
    Warn,
    /// The run stops before anything is sent.
    Stop,
}

/// Ordered attempts to find a counterpart for each row.
#[derive(Clone, Debug)]
pub struct Match {
    /// The relation whose rows look for a counterpart.
    pub for_: Spanned<String>,
    /// The relation counterparts are looked for in.
    pub from: Spanned<String>,
    /// New column → column of `from`.
    pub take: Vec<(Spanned<String>, Spanned<String>)>,
    /// The attempts, first success wins.
    pub rules: Vec<MatchRule>,
    /// What happens to a row without a counterpart: `reject`, `park` or `keep`.
    pub unmatched: Option<Spanned<String>>,
    /// What happens to a row with several: `reject` or `first`.
    pub ambiguous: Option<Spanned<String>>,
    /// The whole entry.
    pub span: Span,
}

/// One attempt of a match.
#[derive(Clone, Debug)]
pub struct MatchRule {
    /// The rule's name.
    pub name: Spanned<String>,
    /// Which rows try it; all, if absent.
    pub when: Option<SqlText>,
    /// The condition between both rows.
    pub where_: SqlText,
    /// Which counterpart wins when several fit.
    pub order_by: Option<SqlText>,
    /// Marks what it finds as a fallback.
    pub fallback: bool,
}

/// Where rows of a relation go.
#[derive(Clone, Debug, JsonSchema)]
pub struct Sink {
    /// The connection, by its name in the profile.
    pub connection: Spanned<String>,
    /// What the rows become there.
    pub entity: Spanned<String>,
    /// The relation whose rows go.
    pub from: Spanned<String>,
    /// The columns that identify a row at the other side.
    pub key: Vec<Spanned<String>>,
    /// Types of columns where the relation's own do not do.
    #[schemars(with = "Option<Columns>")]
    pub columns: Option<Vec<Column>>,
    /// Nested parts, in the diff with their owner.
    #[schemars(default)]
    pub children: Named<Child>,
    /// What counts as a change; everything mapped, if absent.
    pub compare: Option<Vec<Spanned<String>>>,
    /// Another sink (of this pipeline, or `pipeline/sink`) that must have acked the row of this key first.
    #[schemars(default, with = "OneOrMany<After>")]
    pub after: Vec<After>,
    /// What happens to keys that are gone: `ignore` (default), `mark` or `delete`.
    #[schemars(with = "Option<Deletes>")]
    pub deletes: Spanned<Deletes>,
    /// The rows this run is about; only keys in scope can be unchanged or gone.
    pub scope: Option<SqlText>,
    /// Stops a dangerous change; `off` stops none.
    #[schemars(with = "Option<OrOff<Guard>>")]
    pub guard: Option<Guard>,
    /// Settings of the connector for this sink, decoded by the connector.
    #[schemars(skip)]
    pub options: Node,
    /// The whole entry.
    #[schemars(skip)]
    pub span: Span,
}

/// A nested part of a sink's rows.
#[derive(Clone, Debug, JsonSchema)]
pub struct Child {
    /// The relation with the parts.
    pub from: Spanned<String>,
    /// Columns that equal the owner's key, in the owner's order.
    pub by: Vec<Spanned<String>>,
    /// The columns that identify a part within its owner.
    pub key: Vec<Spanned<String>>,
    /// The whole entry.
    #[schemars(skip)]
    pub span: Span,
}

/// A sink whose ack a row waits for.
#[derive(Clone, Debug, JsonSchema)]
pub struct After {
    /// `sink`, or `pipeline/sink`.
    pub sink: Spanned<String>,
    /// Columns of our row that equal the other sink's key, in its order.
    pub by: Vec<Spanned<String>>,
    /// The whole entry.
    #[schemars(skip)]
    pub span: Span,
}

/// What happens to keys that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Deletes {
    /// Nothing; the other side keeps them.
    Ignore,
    /// They are marked as deleted at the other side.
    Mark,
    /// They are deleted at the other side.
    Delete,
}

/// Limits above which a change is held for a person. Shares are of the baseline; below `at_least` rows nothing is held.
#[derive(Clone, Debug, JsonSchema)]
pub struct Guard {
    /// Deletes: a share like `5%`, a number of rows, or `off`. Default 10 %.
    #[schemars(with = "Option<Word>")]
    pub deletes: Option<Spanned<Limit>>,
    /// Updates: the same. Default 50 %.
    #[schemars(with = "Option<Word>")]
    pub updates: Option<Spanned<Limit>>,
    /// Changes that are always let through, as a number of rows. Default 20.
    pub at_least: Option<Spanned<u64>>,
}

/// A limit of a guard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Per cent of the baseline.
    Percent(f64),
    /// Rows.
    Rows(u64),
    /// No limit.
    Off,
}
