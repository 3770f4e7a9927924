//! Reading: one session, one transaction, one `COPY`, three that work side by side.
//!
//! ```text
//! driver ── messages ──► collector ── pieces of 256 KB, two at most ──► decoder (a thread) ── batches, two at most ──► reader
//!                            └── cancels the query when the reader has gone
//! ```
//!
//! Held at a time: a few pieces, the batch that grows, and two that are ready.

use crate::copy::Decoder;
use crate::relation::Relation;
use crate::server::{Server, Session};
use bytes::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use obmen_sdk::{Batch, BatchStream, Error, ErrorKind, Result, Scan};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::Statement;

/// How much is collected before it is decoded.
const PIECE: usize = 256 << 10;

/// How many pieces and batches may wait.
const WAITING: usize = 2;

/// Starts a read. `conditions`: of the caller's own, beside those of the scan.
///
/// # Errors
/// Those of the session; `PermissionDenied`, `SchemaMismatch` if the table has changed.
pub(crate) async fn read(
    server: &Server,
    relation: &Arc<Relation>,
    scan: &Scan,
    conditions: &[String],
) -> Result<BatchStream> {
    let place = |error: Error| error.with("entity", &relation.entity);
    let session = server.connect().await?;
    let (rows, mut decoder) = start(&session, relation, scan, conditions).await.map_err(place)?;
    let (send_piece, mut pieces) = mpsc::channel::<Result<Vec<u8>>>(WAITING);
    let (send_batch, batches) = mpsc::channel(WAITING);
    let (alive, gone) = oneshot::channel::<()>();
    tokio::spawn(collect(session, rows, send_piece, gone));
    let entity = relation.entity.clone();
    let thread = tokio::task::spawn_blocking(move || {
        let left = || Error::new(ErrorKind::Cancelled, "nobody waits for the rows any more");
        let mut emit = |batch: Batch| send_batch.blocking_send(Ok(batch)).map_err(|_| left());
        let mut decode = || {
            while let Some(piece) = pieces.blocking_recv() {
                decoder.push(&piece?, &mut emit)?;
            }
            Ok(())
        };
        let result: Result<()> = decode().and_then(|()| decoder.finish(&mut emit));
        if let Err(error) = result {
            // Nobody listens any more when this fails.
            drop(send_batch.blocking_send(Err(error.with("entity", &entity))));
        }
    });
    // A thread that broke off must not look like a table that came to its end.
    let ended = futures::stream::once(async move {
        thread.await.err().map(|error| Err(Error::internal("the thread that reads rows broke off").because(error)))
    });
    let batches = futures::stream::unfold((batches, alive), async |(mut batches, alive)| {
        batches.recv().await.map(|item| (item, (batches, alive)))
    });
    Ok(batches.chain(ended.filter_map(futures::future::ready)).boxed())
}

/// Reads everything of a small answer.
///
/// # Errors
/// Those of the read; `InvalidData` for a row that cannot be read.
pub(crate) async fn read_all(stream: BatchStream) -> Result<Vec<Batch>> {
    let batches: Vec<Batch> = stream.try_collect().await?;
    match batches.iter().find_map(|batch| batch.bad.first()) {
        None => Ok(batches),
        Some(bad) => Err(Error::invalid_data(format!("{}: {}", bad.place, bad.reason))),
    }
}

async fn start(
    session: &Session,
    relation: &Relation,
    scan: &Scan,
    conditions: &[String],
) -> Result<(Statement, Decoder)> {
    let selection = relation.selection(scan.columns.as_deref())?;
    let decoder = selection.decoder(scan)?;
    let mut all = relation.conditions(&scan.filter, session.utf8)?;
    all.extend_from_slice(conditions);
    let sql = selection.sql(&all);
    session.run("beginning to read", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    selection.check(session, &sql).await?;
    let copy = format!("COPY ({sql}\n) TO STDOUT (FORMAT binary)");
    let statement = session.patience.wait("reading", Box::pin(session.client.prepare(&copy))).await?;
    Ok((statement, decoder))
}

/// Gathers messages into pieces until all have come or nobody wants them any more.
async fn collect(
    session: Session,
    statement: Statement,
    pieces: mpsc::Sender<Result<Vec<u8>>>,
    gone: oneshot::Receiver<()>,
) {
    let gathered = async {
        // PostgreSQL keeps even its first word to itself until there is a row.
        let begun = Box::pin(session.client.copy_out(&statement));
        let mut rows = Box::pin(session.patience.wait("reading", begun).await?);
        let mut piece = Vec::with_capacity(PIECE);
        while let Some(message) = next(&session, &mut rows).await? {
            piece.extend_from_slice(&message);
            if piece.len() >= PIECE {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
                if pieces.send(Ok(full)).await.is_err() {
                    return Ok(false);
                }
            }
        }
        drop(pieces.send(Ok(piece)).await);
        Ok(true)
    };
    let result: Result<bool> = tokio::select! {
        result = gathered => result,
        _ = gone => Ok(false),
    };
    match result {
        Ok(true) => {}
        Ok(false) => session.cancel().await,
        Err(error) => {
            drop(pieces.send(Err(error)).await);
            session.cancel().await;
        }
    }
}

/// The next message; the clock runs only while there is none.
async fn next<S>(session: &Session, rows: &mut S) -> Result<Option<Bytes>>
where
    S: Stream<Item = Result<Bytes, tokio_postgres::Error>> + Unpin,
{
    if let Some(ready) = rows.try_next().now_or_never() {
        return ready.map_err(|error| crate::refusal::failed(error, "reading"));
    }
    session.patience.wait("reading", rows.try_next()).await
}
