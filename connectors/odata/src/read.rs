//! Reading an entity: pages by `$top` and `$skip`, or one answer for what cannot be paged.
//!
//! ```text
//! probe ──short──────────────────────────────► done, one state of the base
//!   │full
//!   └─► the same again, as one page as large as allowed ──short──► done, one state of the base
//!                     │full
//!                     └─► further pages, rows seen before left out ──short──► done, approximate
//! a page fails: half of it, never that size again; one row fails: the same again with pauses, then the error
//! ```
//!
//! Keyset paging is not possible: 1C cannot compare references, and orders by `Ref_Key` as people would, by code or
//! description. That order can be repeated, so `$skip` over it is sound while nobody changes the data.

use crate::columns::Columns;
use crate::link::Link;
use crate::page::{Asking, Page, Seen};
use crate::pages::Pages;
use crate::refusal::{Cure, Trouble};
use crate::relation::Relation;
use obmen_sdk::http::Backoff;
use obmen_sdk::{Batch, BatchStream, Error, Result, Scan};
use std::collections::VecDeque;
use std::sync::Arc;

/// So many rows in a row that were all seen before mean that the server ignores `$skip`.
const REPEATED_ROWS: u64 = 1000;

/// Sizes of pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Rows of the probe.
    pub(crate) first_rows: usize,
    /// Rows of a page at most.
    pub(crate) most_rows: usize,
    /// The aim for a page.
    pub(crate) bytes: u64,
}

/// A read that is under way.
#[derive(Debug)]
struct Read {
    link: Arc<Link>,
    relation: Arc<Relation>,
    columns: Arc<Columns>,
    entity: Arc<str>,
    batch_rows: usize,
    hold_bytes: u64,
    pages: Pages,
    skip: u64,
    seen: Seen,
    twice: u64,
    repeated: u64,
    ready: VecDeque<Batch>,
    backoff: Backoff,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The first page, which may turn out too small to be worth keeping.
    Probe,
    /// Further pages.
    Pages,
    /// Everything in one answer; nothing of it was given out yet.
    Whole,
    /// Everything in one answer that is given out while it comes.
    Flow(Box<Page>),
    Done,
}

/// Starts a read.
///
/// # Errors
/// `Internal` for columns that are not in the schema.
pub(crate) fn read(link: Arc<Link>, relation: Arc<Relation>, sizes: Sizes, scan: &Scan) -> Result<BatchStream> {
    let columns = Arc::new(relation.columns(scan.columns.as_deref())?);
    let read = Read {
        backoff: link.client().backoff(),
        entity: relation.entity.as_str().into(),
        columns,
        batch_rows: scan.batch_rows,
        hold_bytes: sizes.bytes,
        pages: Pages::new(sizes.first_rows, sizes.most_rows, sizes.bytes),
        skip: 0,
        seen: Seen::default(),
        twice: 0,
        repeated: 0,
        ready: VecDeque::new(),
        stage: if relation.whole { Stage::Whole } else { Stage::Probe },
        link,
        relation,
    };
    let next = async |mut read: Read| Ok(read.next().await?.map(|batch| (batch, read)));
    Ok(Box::pin(futures::stream::try_unfold(read, next)))
}

impl Read {
    async fn next(&mut self) -> Result<Option<Batch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            match self.stage {
                Stage::Probe | Stage::Pages => Box::pin(self.page()).await?,
                Stage::Whole => Box::pin(self.whole()).await?,
                Stage::Flow(_) => self.flow().await?,
                Stage::Done => return Ok(None),
            }
        }
    }

    /// Reads one page, or does what a failure of it asks for.
    async fn page(&mut self) -> Result<()> {
        let asked = self.pages.rows();
        match self.fetch_page(asked).await {
            Ok(page) => {
                self.backoff.reset();
                self.take_page(asked, page)
            }
            Err(trouble) => self.recover(trouble).await,
        }
    }

    async fn fetch_page(&mut self, asked: usize) -> Result<Page, Trouble> {
        let path = self.relation.query(&self.columns).page(asked, self.skip).into_text();
        let mut page = Page::open(self.asking(path)).await?;
        loop {
            match page.pull(Some(&mut self.seen)).await {
                Ok(true) => {}
                Ok(false) => return Ok(page),
                Err(trouble) => {
                    page.forget(&mut self.seen);
                    return Err(trouble);
                }
            }
        }
    }

    /// Decides what a complete page means.
    fn take_page(&mut self, asked: usize, page: Page) -> Result<()> {
        let (rows, limit) = (page.rows(), u64::try_from(asked).unwrap_or(u64::MAX));
        if rows > limit {
            let message = format!("1C sent {rows} rows to a request for {asked}: something on the way ignores `$top`");
            return Err(self.place(Error::invalid_data(message)));
        }
        self.pages.came(usize::try_from(rows).unwrap_or(asked), page.bytes());
        let last = rows < limit;
        let probe = matches!(std::mem::replace(&mut self.stage, Stage::Pages), Stage::Probe);
        if probe && !last && self.pages.rows() > asked {
            // One larger page may hold everything, and then it shows one state of the base.
            page.forget(&mut self.seen);
            return Ok(());
        }
        self.count_twice(rows, page.twice())?;
        let exact = last && self.skip == 0;
        self.skip += rows;
        self.ready.extend(page.finish()?);
        if exact {
            self.mark_exact();
        } else {
            self.ready.retain(|batch| batch.rows.num_rows() > 0 || !batch.bad.is_empty());
        }
        if last {
            self.stage = Stage::Done;
            if self.twice > 0 {
                tracing::warn!(entity = %self.entity, rows = self.twice, "rows came twice: the data changed during the read");
            }
        }
        Ok(())
    }

    /// Notices a server that gives the same rows for ever.
    fn count_twice(&mut self, rows: u64, twice: u64) -> Result<()> {
        self.twice += twice;
        self.repeated = if rows > 0 && twice == rows { self.repeated + rows } else { 0 };
        if self.repeated < REPEATED_ROWS {
            return Ok(());
        }
        let message =
            format!("the last {} rows had all come before: something on the way ignores `$skip`", self.repeated);
        Err(self.place(Error::invalid_data(message)))
    }

    async fn recover(&mut self, trouble: Trouble) -> Result<()> {
        let Trouble { error, cure } = trouble;
        let smaller = matches!(cure, Cure::Smaller | Cure::SmallerOrAgain) && self.pages.failed();
        if smaller {
            tracing::info!(entity = %self.entity, %error, rows = self.pages.rows(), "a page failed, asking for fewer rows");
            return self.link.breathe().await;
        }
        let error = self.place(error);
        match cure {
            Cure::Again | Cure::SmallerOrAgain => self.backoff.insist(error).await,
            Cure::Smaller if self.relation.record_set => Err(error_of_record_set(&error)),
            Cure::Smaller | Cure::Nothing => Err(error),
        }
    }

    /// Starts to read everything in one answer. A small one is complete before anything of it is given out, so that it
    /// can be asked for again when it breaks; of a large one the rows flow.
    async fn whole(&mut self) -> Result<()> {
        match self.fetch_whole().await {
            Ok((mut page, true)) => {
                page.give_way();
                self.ready.extend(page.full());
                self.stage = Stage::Flow(Box::new(page));
                Ok(())
            }
            Ok((page, false)) => {
                self.stage = Stage::Done;
                self.ready.extend(page.finish()?);
                self.mark_exact();
                Ok(())
            }
            Err(Trouble { error, cure: Cure::Again | Cure::SmallerOrAgain }) => {
                let error = self.place(error);
                self.backoff.insist(error).await
            }
            Err(trouble) => Err(self.place(trouble.error)),
        }
    }

    /// The answer, and whether more of it comes.
    async fn fetch_whole(&mut self) -> Result<(Page, bool), Trouble> {
        let path = self.relation.query(&self.columns).into_text();
        let mut page = Page::open(self.asking(path)).await?.unlimited();
        while page.bytes() <= self.hold_bytes {
            if !page.pull(None).await? {
                return Ok((page, false));
            }
        }
        Ok((page, true))
    }

    async fn flow(&mut self) -> Result<()> {
        let Stage::Flow(page) = &mut self.stage else { return Ok(()) };
        let more = page.pull(None).await;
        let full = page.full();
        self.ready.extend(full);
        match more {
            Ok(true) => Ok(()),
            Ok(false) => {
                if let Stage::Flow(page) = std::mem::replace(&mut self.stage, Stage::Done) {
                    self.ready.extend(page.finish()?);
                    self.mark_exact();
                }
                Ok(())
            }
            Err(trouble) => Err(self.place(trouble.error)),
        }
    }

    fn asking(&self, path: String) -> Asking<'_> {
        let (batch_rows, before) = (self.batch_rows, self.skip);
        Asking { link: &self.link, path, columns: &self.columns, batch_rows, entity: &self.entity, before }
    }

    /// Says in the last batch that all rows belong to one moment.
    fn mark_exact(&mut self) {
        if let Some(last) = self.ready.back_mut() {
            last.exact = Some(true);
        }
    }

    fn place(&self, error: Error) -> Error {
        error.with("entity", &self.entity)
    }
}

/// A register that belongs to documents cannot be read in small pages: 1C loads it whole for each.
fn error_of_record_set(error: &Error) -> Error {
    let message = format!(
        "{}; 1C loads the whole register for each page of its record sets, read the entity with `_RecordType` after its name",
        error.message()
    );
    let mut told = Error::new(error.kind(), message);
    for (key, value) in error.context() {
        told = told.with(key, value);
    }
    told
}
