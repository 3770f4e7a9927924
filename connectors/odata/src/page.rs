//! One answer with rows, taken piece by piece.

use crate::columns::{Columns, Kept, Table};
use crate::elements::Elements;
use crate::link::{Link, Turn};
use crate::refusal::Trouble;
use obmen_sdk::http::Answer;
use obmen_sdk::{Batch, Error, Result};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// Identities of the rows of a read, as 128-bit hashes: 17 bytes each, in a table at most twice as large as needed.
pub(crate) type Seen = HashSet<u128, BuildHasherDefault<Plain>>;

/// The hasher of hashes: takes them as they are.
#[derive(Debug, Default)]
pub(crate) struct Plain(u64);

impl Hasher for Plain {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        let [low, high] = [hash, hash >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
        self.0 = low ^ high;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// One answer with rows that is under way.
#[derive(Debug)]
pub(crate) struct Page {
    answer: Answer,
    decoder: Decoder,
    turn: Option<Turn>,
}

/// The text of one answer on its way into batches.
#[derive(Debug)]
pub(crate) struct Decoder {
    elements: Elements,
    table: Table,
    entity: Arc<str>,
    before: u64,
    rows: u64,
    twice: u64,
    /// Identities that this page added to those seen.
    fresh: Vec<u128>,
}

/// What a page is asked for with.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    /// The way to the publication.
    pub(crate) link: &'a Link,
    /// Path and query.
    pub(crate) path: String,
    /// What is taken from each row.
    pub(crate) columns: &'a Arc<Columns>,
    /// Rows per batch at most.
    pub(crate) batch_rows: usize,
    /// The entity, for places of rows.
    pub(crate) entity: &'a Arc<str>,
    /// Rows of the relation before this page.
    pub(crate) before: u64,
}

impl Page {
    /// Asks, and gives the page as soon as its answer starts.
    pub(crate) async fn open(asking: Asking<'_>) -> Result<Self, Trouble> {
        let turn = asking.link.turn().await.map_err(Trouble::of_us)?;
        let answer = asking.link.ask(asking.path).await?;
        let (table, entity) = (Table::new(Arc::clone(asking.columns), asking.batch_rows), Arc::clone(asking.entity));
        Ok(Self { answer, decoder: Decoder::new(table, entity, asking.before), turn: Some(turn) })
    }

    /// The same page without a limit on its size, for a reader that does not hold it whole.
    pub(crate) fn unlimited(mut self) -> Self {
        self.answer = self.answer.unlimited();
        self
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.decoder.rows
    }

    /// Rows so far that came in an earlier page, too.
    pub(crate) fn twice(&self) -> u64 {
        self.decoder.twice
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.answer.taken()
    }

    /// Lets others ask while the rest of this answer comes.
    pub(crate) fn give_way(&mut self) {
        self.turn = None;
    }

    /// Takes the next piece; `false` if the answer was complete. Rows whose identity was seen before are left out.
    pub(crate) async fn pull(&mut self, seen: Option<&mut Seen>) -> Result<bool, Trouble> {
        let piece = self.answer.chunk().await.map_err(Trouble::of_body)?;
        self.decoder.take(piece.as_deref(), seen, self.answer.url())?;
        Ok(piece.is_some())
    }

    /// Batches that are full.
    pub(crate) fn full(&mut self) -> Vec<Batch> {
        self.decoder.table.full()
    }

    /// All batches of a complete page.
    ///
    /// # Errors
    /// `Internal` if Arrow refuses the rows.
    pub(crate) fn finish(self) -> Result<Vec<Batch>> {
        self.decoder.finish()
    }

    /// Forgets the page: its rows will come again.
    pub(crate) fn forget(self, seen: &mut Seen) {
        for hash in self.decoder.fresh {
            seen.remove(&hash);
        }
    }
}

impl Decoder {
    /// Rows of an entity into a table, when `before` rows of it came in earlier pages.
    pub(crate) fn new(table: Table, entity: Arc<str>, before: u64) -> Self {
        Self { elements: Elements::default(), table, entity, before, rows: 0, twice: 0, fresh: Vec::new() }
    }

    /// Takes the next piece of the answer from `url`; `None` is its end. Rows whose identity was seen before are left out.
    ///
    /// # Errors
    /// What the answer is instead of rows; `Internal` if Arrow refuses them.
    pub(crate) fn take(&mut self, piece: Option<&[u8]>, mut seen: Option<&mut Seen>, url: &str) -> Result<(), Trouble> {
        let mut broken: Option<Error> = None;
        let Self { elements, table, entity, before, rows, twice, fresh } = self;
        let read = match piece {
            None => elements.finish(),
            Some(piece) => elements.feed(piece, |row| {
                *rows += 1;
                let place = format!("{entity} row {}", *before + *rows);
                let first = |hash| {
                    let Some(seen) = seen.as_deref_mut() else { return true };
                    let new = seen.insert(hash);
                    if new {
                        fresh.push(hash);
                    }
                    new
                };
                match table.push(row, &place, first) {
                    Ok(Kept::Yes) => {}
                    Ok(Kept::Twice) => *twice += 1,
                    Err(error) => broken = Some(error),
                }
            }),
        };
        if let Some(error) = broken {
            return Err(Trouble::of_us(error));
        }
        read.map_err(|shape| Trouble::of_shape(shape, self.elements.head(), url))
    }

    /// All batches of a complete answer.
    ///
    /// # Errors
    /// `Internal` if Arrow refuses the rows.
    pub(crate) fn finish(self) -> Result<Vec<Batch>> {
        self.table.finish()
    }
}
