//! What the author of a connector sees, and nothing more.
//!
//! A [`Connector`] is the kind of system (`odata`); a [`Connection`] is one such system with its
//! settings; a [`Source`] gives the rows of one entity, a [`Sink`] takes changes of one or several.
//! Connectors never see state, schedules, retries of a run, or each other: they report what
//! happened to each row, the engine does the rest.

mod change;
mod connector;
mod error;
mod filter;
pub mod http;
mod outcome;
mod quantity;
mod registry;
mod secret;
mod sink;
mod source;
pub mod types;

pub use change::{Changes, Op, RowId};
pub use connector::{
    Connection, Connector, Context, Found, Schemas, Secrets, SinkCheck, SinkTarget, SourceTarget, Stop,
};
pub use error::{Error, ErrorKind, Result, Retry};
pub use filter::Filter;
pub use outcome::{Outcome, RejectClass};
pub use quantity::{ByteSize, TimeSpan};
pub use registry::Registry;
pub use secret::Secret;
pub use sink::{Load, LoadId, Operations, Repetition, Sink, SinkAbilities, TargetAbilities};
pub use source::{Abilities as SourceAbilities, BadRow, Batch, BatchStream, Cursor, Scan, Snapshot, Source};
