//! The way to one publication: whose turn it is to ask, what to do when an answer fails, what the publication has.

use crate::elements::{Elements, Shape};
use crate::metadata::{self, Metadata, Unreadable};
use crate::query::Query;
use crate::refusal::{Cure, Trouble};
use obmen_sdk::http::{Answer, Bytes, Client, Request, pause};
use obmen_sdk::{Error, ErrorKind, Result, Stop};
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, mpsc};

/// The way to one publication, shared by everything that reads from it during a run.
#[derive(Debug)]
pub(crate) struct Link {
    client: Client,
    turns: Arc<Semaphore>,
    rest: Duration,
    asked: AtomicBool,
    stop: Stop,
    metadata: OnceCell<Arc<Metadata>>,
}

/// The right to ask; given back when dropped.
pub(crate) type Turn = OwnedSemaphorePermit;

impl Link {
    /// A way through a client, for so many requests at a time, with a rest between them.
    pub(crate) fn new(client: Client, parallel: usize, rest: Duration, stop: Stop) -> Self {
        let turns = Arc::new(Semaphore::new(parallel.max(1)));
        Self { client, turns, rest, asked: AtomicBool::new(false), stop, metadata: OnceCell::new() }
    }

    /// The client.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A short rest after a page that was too large.
    ///
    /// # Errors
    /// `Cancelled` if the run should stop.
    pub(crate) async fn breathe(&self) -> Result<()> {
        pause(&self.stop, self.client.options().first_pause).await
    }

    /// Waits for a turn to ask.
    ///
    /// # Errors
    /// `Cancelled` if the run should stop.
    pub(crate) async fn turn(&self) -> Result<Turn> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|error| Error::internal("nobody may ask any more").because(error))?;
        if self.asked.swap(true, Ordering::Relaxed) {
            pause(&self.stop, self.rest).await?;
        }
        Ok(turn)
    }

    /// Asks once; an answer with the status of a failure is a trouble. The caller holds a turn.
    pub(crate) async fn ask(&self, path: String) -> Result<Answer, Trouble> {
        let answer = self.client.send(&Request::get(path)).await.map_err(Trouble::of_request)?;
        if answer.is_success() { Ok(answer) } else { Err(Trouble::of_answer(answer).await) }
    }

    /// What the publication has. Asked once per run and kept: it can have 17 MB and take half a minute.
    ///
    /// # Errors
    /// Those of the connection; `NotFound` if nothing is published.
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>> {
        let fetch = || self.patiently(|| self.fetch_metadata());
        self.metadata.get_or_try_init(|| async { fetch().await.map(Arc::new) }).await.cloned()
    }

    /// The names of the published entity sets.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn names(&self) -> Result<Vec<String>> {
        let rows = self.patiently(|| self.fetch_rows(Query::json(""))).await?;
        let name = |row: &Vec<u8>| {
            let row: serde_json::Value = serde_json::from_slice(row).ok()?;
            Some(row.get("name")?.as_str()?.to_owned())
        };
        let wrong =
            || Error::invalid_data("the service document is not a list of entities").with("url", self.client.address());
        rows.iter().map(name).collect::<Option<Vec<String>>>().ok_or_else(wrong)
    }

    /// The rows of a small answer.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn rows(&self, query: &Query) -> Result<Vec<Vec<u8>>> {
        self.patiently(|| self.fetch_rows(query.clone())).await
    }

    /// Tries again while that can help.
    async fn patiently<T, F, Fut>(&self, mut attempt: F) -> Result<T>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<T, Trouble>> + Send,
    {
        let mut backoff = self.client.backoff();
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(Trouble { error, cure: Cure::Again | Cure::SmallerOrAgain }) => backoff.insist(error).await?,
                Err(trouble) => return Err(trouble.error),
            }
        }
    }

    async fn fetch_rows(&self, query: Query) -> Result<Vec<Vec<u8>>, Trouble> {
        let _turn = self.turn().await.map_err(Trouble::of_us)?;
        let mut answer = self.ask(query.into_text()).await?;
        let mut elements = Elements::default();
        let mut rows = Vec::new();
        loop {
            let piece = answer.chunk().await.map_err(Trouble::of_body)?;
            let read = match &piece {
                Some(piece) => elements.feed(piece, |row| rows.push(row.to_vec())),
                None => elements.finish(),
            };
            read.map_err(|shape| Trouble::of_shape(shape, elements.head(), answer.url()))?;
            if piece.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Reads `$metadata` while it comes: the parser runs on a thread of its own and is fed piece by piece.
    async fn fetch_metadata(&self) -> Result<Metadata, Trouble> {
        let _turn = self.turn().await.map_err(Trouble::of_us)?;
        let mut answer = self.ask("$metadata".to_owned()).await?;
        let (sender, receiver) = mpsc::channel(4);
        let parser = tokio::task::spawn_blocking(move || metadata::read(Pieces { receiver, piece: Bytes::new() }));
        let mut head = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(Trouble::of_body)? {
            if head.is_empty() {
                head.extend(piece.iter().take(4096));
            }
            // A parser that gave up needs no more pieces; what it says comes below.
            if sender.send(piece).await.is_err() {
                break;
            }
        }
        drop(sender);
        let parsed = parser.await.map_err(|error| Trouble::of_us(Error::internal("a parser broke").because(error)))?;
        match parsed {
            Ok(metadata) if metadata.set_names().next().is_none() => Err(Trouble::of_us(self.nothing_published())),
            Ok(metadata) => Ok(metadata),
            Err(Unreadable::Truncated) => Err(Trouble::of_shape(Shape::Truncated, &head, answer.url())),
            Err(Unreadable::Wrong(_)) if is_page(&head) => Err(Trouble::of_shape(Shape::Markup, &head, answer.url())),
            Err(Unreadable::Wrong(what)) => {
                let error =
                    Error::invalid_data(format!("`$metadata` cannot be read: {what}")).with("url", answer.url());
                Err(Trouble { error, cure: Cure::Again })
            }
        }
    }

    /// The error of a publication that shows nothing.
    pub(crate) fn nothing_published(&self) -> Error {
        let message = "1C answers, but the base publishes nothing: fill the OData composition of the base (the data processor for the standard OData interface), and check the rights of the user";
        Error::new(ErrorKind::NotFound, message).with("url", self.client.address())
    }
}

/// Whether a text that is not EDMX is a web page or an error in XML.
fn is_page(head: &[u8]) -> bool {
    let start = String::from_utf8_lossy(head).to_ascii_lowercase();
    start.contains("<html") || start.contains("<!doctype html") || start.contains("error")
}

/// Pieces of an answer as a file for a parser that blocks.
struct Pieces {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let length = piece.len().min(target.len());
        if let (Some(from), Some(to)) = (piece.get(..length), target.get_mut(..length)) {
            to.copy_from_slice(from);
        }
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => break,
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, amount: usize) {
        drop(self.piece.split_to(amount.min(self.piece.len())));
    }
}
