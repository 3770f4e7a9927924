//! One load: one transaction.
//!
//! ```text
//! begin ─► send… (staging table, COPY, DELETE, UPDATE, INSERT) ─► finish: remember the load, COMMIT
//!             │ refused, or no answer                                          │ refused      │ no answer
//!             ▼                                                                ▼              ▼
//!     nothing is committed: all rows rejected, untouched                    rejected    another session asks
//! ```
//!
//! The load's id goes into its table before `COMMIT`. Whoever inserts the same id later waits for the first transaction
//! to end, so that the other session learns how it ended, whatever became of the first connection.

use super::loads::Loads;
use super::table::Table;
use crate::copy::Encoder;
use crate::refusal::{class, said};
use crate::server::{Server, Session};
use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use futures::SinkExt as _;
use obmen_sdk::{Changes, Error, ErrorKind, Load, Op, Outcome, RejectClass, Result, RowId, types};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

/// How often another session tries to learn how a `COMMIT` ended, and how long it rests in between.
const LOOKS: u32 = 3;
const REST: Duration = Duration::from_millis(500);

/// A load that is under way.
pub(super) struct Transaction {
    server: Arc<Server>,
    tables: Arc<Vec<Table>>,
    loads: Loads,
    load: String,
    session: Session,
    /// The server's process and when it began.
    backend: (String, String),
    /// Rows that are in the transaction.
    pending: Vec<RowId>,
    /// Staging tables so far.
    stages: usize,
    /// Why the transaction cannot be committed.
    failure: Option<Error>,
}

impl Transaction {
    /// Begins the transaction.
    ///
    /// # Errors
    /// Those of the session; `PermissionDenied` if loads cannot be remembered. Nothing was sent then.
    pub(super) async fn begin(server: Arc<Server>, tables: Arc<Vec<Table>>, loads: Loads, load: &str) -> Result<Self> {
        let session = server.connect().await?;
        loads.ensure(&session).await?;
        let sql = "SELECT pid, backend_start FROM pg_stat_get_activity(pg_backend_pid())";
        let backend = session.ask("beginning a load", sql).await?;
        let mut texts = backend.into_iter().flatten().flatten();
        let backend = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        session.run("beginning a load", "BEGIN").await?;
        let load = load.to_owned();
        Ok(Self { server, tables, loads, load, session, backend, pending: Vec::new(), stages: 0, failure: None })
    }

    /// Puts encoded rows into their table.
    async fn apply(&mut self, target: usize, bytes: Vec<u8>, gone: usize, written: usize) -> Result<()> {
        let table = self.tables.get(target).ok_or_else(|| Error::internal("no such target"))?;
        self.stages += 1;
        let stage = format!("pg_temp.obmen_stage_{}", self.stages);
        let session = &self.session;
        let create = table.create_stage(&format!("obmen_stage_{}", self.stages));
        session.run("a staging table", &create).await?;
        copy(session, &stage, bytes).await?;
        if gone > 0 && table.delete {
            session.count("deleting rows", &table.delete_rows(&stage)).await?;
            let left = session.ask("deleting rows", &table.count_left(&stage)).await?;
            if left.first().and_then(|row| row.first()) != Some(&Some("0".to_owned())) {
                return Err(kept_out("rows were not deleted"));
            }
        } else if let (true, Some(deleted)) = (gone > 0, &table.deleted_column) {
            session.count("marking rows", &table.mark_rows(&stage, deleted)).await?;
        }
        if written > 0 {
            let updated = session.count("writing rows", &table.update_rows(&stage)).await?;
            let inserted = session.count("writing rows", &table.insert_rows(&stage)).await?;
            if usize::try_from(updated + inserted) != Ok(written) {
                return Err(kept_out(&format!("{} of {written} rows were written", updated + inserted)));
            }
        }
        Ok(())
    }

    /// Remembers the load and commits.
    async fn commit(&self) -> Outcome {
        match self.loads.remember(&self.session, &self.load, self.pending.len()).await {
            Err(error) => return refused(&error, self.pending.len()),
            // It was committed before, and the answer was lost. What was done now is left to be rolled back.
            Ok(false) => return Outcome::acked(),
            Ok(true) => {}
        }
        let commit = self.session.client.batch_execute("COMMIT");
        match self.session.patience.to_the_end().wait("committing", commit).await {
            Ok(()) => Outcome::acked(),
            Err(error) if decided(&error) => refused(&error, self.pending.len()),
            Err(error) => self.look(&error).await,
        }
    }

    /// Learns how a `COMMIT` without an answer ended.
    async fn look(&self, lost: &Error) -> Outcome {
        let mut why = lost.to_string();
        for look in 0..LOOKS {
            if look > 0 {
                tokio::time::sleep(REST).await;
            }
            match self.committed().await {
                Ok(true) => return Outcome::acked(),
                Ok(false) => {
                    let reason = format!("the connection was lost before PostgreSQL committed: {lost}");
                    return Outcome::rejected(RejectClass::Temporary, reason);
                }
                Err(error) => why = error.to_string(),
            }
        }
        Outcome::Unknown { reason: format!("nobody knows whether PostgreSQL committed: {why}") }
    }

    async fn committed(&self) -> Result<bool> {
        let session = self.server.connect().await?;
        let (pid, start) = &self.backend;
        // A session whose `COMMIT` never arrived would hold on to its transaction for as long as it likes.
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_get_activity({}) WHERE backend_start = {}",
            crate::sql::literal(pid),
            crate::sql::literal(start)
        );
        if let Err(error) = session.ask("ending the lost session", &end).await {
            tracing::debug!(%error, "the lost session was not ended");
        }
        session.run("looking for the load", "BEGIN").await?;
        let is_new = self.loads.remember(&session, &self.load, 0).await?;
        session.run("looking for the load", "ROLLBACK").await?;
        Ok(!is_new)
    }
}

#[async_trait]
impl Load for Transaction {
    async fn send(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        let table = self.tables.get(changes.target).ok_or_else(|| Error::internal("no such target"))?;
        let encoded = encode(table, changes)?;
        let rows = encoded.accepted.len();
        self.pending.extend(encoded.accepted);
        if rows > 0 && self.failure.is_none() {
            let written = rows - encoded.gone;
            if let Err(error) = self.apply(changes.target, encoded.bytes, encoded.gone, written).await {
                self.failure = Some(error);
            }
        }
        Ok(encoded.refused)
    }

    async fn finish(self: Box<Self>) -> Result<Vec<(RowId, Outcome)>> {
        let outcome = match &self.failure {
            _ if self.pending.is_empty() => return Ok(Vec::new()),
            Some(error) => refused(error, self.pending.len()),
            None if self.server.stopping() => {
                Outcome::rejected(RejectClass::Temporary, "stopped before PostgreSQL was told to commit")
            }
            None => self.commit().await,
        };
        Ok(self.pending.iter().map(|row| (*row, outcome.clone())).collect())
    }
}

/// Rows ready to be sent, and those that cannot be.
struct Encoded {
    bytes: Vec<u8>,
    accepted: Vec<RowId>,
    gone: usize,
    refused: Vec<(RowId, Outcome)>,
}

fn encode(table: &Table, changes: &Changes) -> Result<Encoded> {
    let rows = plain(&changes.rows)?;
    let mut encoder = Encoder::new(table.columns.iter().map(|column| column.slot).collect());
    let mut encoded = Encoded { bytes: Vec::new(), accepted: Vec::new(), gone: 0, refused: Vec::new() };
    for (row, (id, op)) in changes.ids.iter().zip(&changes.ops).enumerate() {
        let gone = *op == Op::Delete;
        let null = table.key.iter().find(|at| rows.columns().get(**at).is_none_or(|column| column.is_null(row)));
        let tried = match null {
            Some(at) => Err((*at, "is NULL, and it belongs to the key".to_owned())),
            None if gone && !table.delete && table.deleted_column.is_none() => {
                Err((0, "is of a row that is gone, and there is no `deleted_column`".to_owned()))
            }
            None => encoder.row(&rows, row, gone, &table.key),
        };
        match tried {
            Ok(()) => {
                encoded.accepted.push(*id);
                encoded.gone += usize::from(gone);
            }
            Err((at, reason)) => {
                let column = table.schema.fields().get(at).map_or("", |field| field.name());
                let reason = format!("the value of `{column}` {reason}");
                encoded.refused.push((*id, Outcome::rejected(RejectClass::Data, reason)));
            }
        }
    }
    encoded.bytes = encoder.finish();
    Ok(encoded)
}

/// The same rows in the types columns are declared with.
fn plain(rows: &RecordBatch) -> Result<RecordBatch> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let column = |(field, column): (&Arc<Field>, &ArrayRef)| -> Result<(Field, ArrayRef)> {
        let kind = types::column_type(field)
            .ok_or_else(|| Error::internal(format!("`{}` has a type no column can have", field.name())))?;
        let plain = types::arrow_field(field.name(), kind);
        let array = cast_with_options(column, plain.data_type(), &options)?;
        Ok((plain, array))
    };
    let columns = rows.schema_ref().fields().iter().zip(rows.columns()).map(column).collect::<Result<Vec<_>>>()?;
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

async fn copy(session: &Session, stage: &str, bytes: Vec<u8>) -> Result<()> {
    let sql = format!("COPY {stage} FROM STDIN (FORMAT binary)");
    let sending = async {
        let mut rows = Box::pin(session.client.copy_in::<_, Bytes>(&sql).await?);
        rows.send(Bytes::from(bytes)).await?;
        rows.as_mut().finish().await
    };
    session.patience.wait("taking rows", Box::pin(sending)).await?;
    Ok(())
}

/// A trigger or rule of the table did not let rows through, and PostgreSQL found nothing wrong with it.
fn kept_out(what: &str) -> Error {
    Error::invalid_data(format!("{what}: a trigger or rule of the table leaves some out"))
}

/// Whether an error of `COMMIT` is PostgreSQL's decision, and not the end of the connection.
fn decided(error: &Error) -> bool {
    let lost = |state: &str| ["08", "57", "58", "XX"].iter().any(|class| state.starts_with(class));
    refusal(error).is_some_and(|refusal| !lost(refusal.code().code()))
}

fn refusal(error: &Error) -> Option<&tokio_postgres::error::DbError> {
    error.source()?.downcast_ref::<tokio_postgres::Error>()?.as_db_error()
}

/// What becomes of rows whose transaction is not committed.
fn refused(error: &Error, rows: usize) -> Outcome {
    if let Some(refusal) = refusal(error) {
        return Outcome::rejected(class(refusal.code(), rows == 1), format!("PostgreSQL: {}", said(refusal)));
    }
    let class = match error.kind() {
        ErrorKind::InvalidData | ErrorKind::SchemaMismatch => RejectClass::Data,
        _ => RejectClass::Temporary,
    };
    Outcome::rejected(class, format!("nothing was committed: {error}"))
}
