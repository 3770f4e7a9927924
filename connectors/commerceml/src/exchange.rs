//! One exchange: `checkauth`, `init`, files, imports, and what became of each file.
//!
//! ```text
//! checkauth → init → file… (pieces, in order, each once) → import (again while `progress`) per file
//!     ↑                │ an answer was lost                       │ an answer was lost
//!     └────────────────┴──────────── whole exchange again ────────┘   (files already imported are left out)
//! ```

use crate::archive;
use crate::reply::{Reply, Wishes};
use crate::session::{Session, Shop};
use crate::settings::{Choice, Settings};
use obmen_formats::commerceml::Package;
use obmen_sdk::http::{Bytes, pause};
use obmen_sdk::{Error, ErrorKind, Outcome, RejectClass, Result, RowId, Stop};
use std::time::{Duration, Instant};

/// The name of the archive. `init` has emptied the folder, so that it is never appended to an older one.
const ARCHIVE: &str = "package.zip";

/// A package on its way into a shop.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    shop: &'a Shop,
    settings: &'a Settings,
    stop: &'a Stop,
    files: Vec<Sending>,
}

#[derive(Debug)]
struct Sending {
    name: &'static str,
    bytes: Bytes,
    rows: Vec<RowId>,
    fate: Fate,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// The shop was not asked to take it in.
    Untouched,
    /// The shop was asked, and has not answered for good.
    Asked,
    /// The shop said `success`.
    Imported,
    /// The shop said something else.
    Refused(RejectClass, String),
}

/// Why an attempt ended early.
enum End {
    /// The whole exchange may be tried again.
    Again(Error),
    /// Trying again at once would not help.
    Over(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Again(error)
    }
}

impl<'a> Exchange<'a> {
    /// A package that is ready to be sent.
    pub(crate) fn new(shop: &'a Shop, settings: &'a Settings, stop: &'a Stop, package: Package) -> Self {
        let files = package
            .files
            .into_iter()
            .map(|file| Sending { name: file.name, bytes: file.bytes.into(), rows: file.rows, fate: Fate::Untouched })
            .collect();
        Self { shop, settings, stop, files }
    }

    /// Sends everything and settles every row. `session`: a door that is open already.
    pub(crate) async fn run(mut self, session: Session) -> Vec<(RowId, Outcome)> {
        let mut backoff = self.shop.backoff();
        let mut session = Some(session);
        let why = loop {
            if self.pending().next().is_none() {
                break None;
            }
            let error = match self.attempt(session.take()).await {
                Ok(()) => break None,
                Err(End::Over(error)) => break Some(error),
                Err(End::Again(error)) => error,
            };
            tracing::warn!(%error, "the exchange broke off");
            if let Err(error) = backoff.wait(error).await {
                break Some(error);
            }
        };
        self.outcomes(why.as_ref())
    }

    fn pending(&self) -> impl Iterator<Item = usize> {
        self.files.iter().enumerate().filter(|(_, file)| file.fate != Fate::Imported).map(|(at, _)| at)
    }

    async fn attempt(&mut self, session: Option<Session>) -> Result<(), End> {
        let (session, wishes) = self.begin(session).await?;
        let pending: Vec<usize> = self.pending().collect();
        if wishes.zip && self.settings.zip == Choice::Auto {
            let files = pending.iter().filter_map(|at| self.files.get(*at)).map(|file| (file.name, &*file.bytes));
            let packed = archive::pack(files)?;
            self.upload(&session, ARCHIVE, packed.into(), wishes.file_limit, true).await?;
        } else {
            for at in &pending {
                let Some(file) = self.files.get(*at) else { continue };
                let (name, bytes, last) = (file.name, file.bytes.clone(), Some(at) == pending.last());
                self.upload(&session, name, bytes, wishes.file_limit, last).await?;
            }
        }
        for at in pending {
            self.import(&session, at).await?;
        }
        Ok(())
    }

    /// `init` through a door that is open already, or, if the shop has closed it meanwhile, through a new one.
    async fn begin(&self, session: Option<Session>) -> Result<(Session, Wishes)> {
        if let Some(session) = session {
            match self.shop.init(&session).await {
                Ok(wishes) => return Ok((session, wishes)),
                Err(error) if matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::PermissionDenied) => {
                    tracing::debug!(%error, "the shop has closed the door meanwhile");
                }
                Err(error) => return Err(error),
            }
        }
        let session = self.shop.check_in().await?;
        let wishes = self.shop.init(&session).await?;
        Ok((session, wishes))
    }

    /// Sends a file piece by piece. `last`: nothing follows it, so that a lost answer to its last piece leaves the
    /// shop with everything it needs.
    async fn upload(
        &mut self,
        session: &Session,
        name: &str,
        mut rest: Bytes,
        limit: Option<usize>,
        last: bool,
    ) -> Result<(), End> {
        while !rest.is_empty() {
            let piece = rest.split_to(limit.unwrap_or(usize::MAX).min(rest.len()));
            match self.shop.file(session, name, piece).await {
                Ok(Reply::Success(_)) => {}
                Ok(Reply::Progress(said) | Reply::Failure(said) | Reply::Other(said)) => {
                    let message = format!("the shop does not take the file {name}: {}", or_nothing(&said));
                    return Err(End::Over(Error::new(ErrorKind::Unavailable, message)));
                }
                Err(error) => {
                    if last && rest.is_empty() && is_lost(&error) {
                        for file in self.files.iter_mut().filter(|file| file.fate == Fate::Untouched) {
                            file.fate = Fate::Asked;
                        }
                    }
                    return Err(End::Again(error));
                }
            }
        }
        Ok(())
    }

    /// Asks the shop to take a file in until it says a last word.
    async fn import(&mut self, session: &Session, at: usize) -> Result<(), End> {
        let Some(file) = self.files.get_mut(at) else { return Ok(()) };
        let mut patience = Patience::new(self.settings);
        loop {
            if self.stop.is_set() {
                let message = format!("stopped before {} was imported", file.name);
                return Err(End::Over(Error::new(ErrorKind::Cancelled, message)));
            }
            let before = std::mem::replace(&mut file.fate, Fate::Asked);
            match self.shop.import(session, file.name).await {
                Ok(Reply::Success(_)) => {
                    file.fate = Fate::Imported;
                    return Ok(());
                }
                Ok(Reply::Progress(said)) => {
                    patience.wait(file.name, &said, self.stop).await.map_err(End::Over)?;
                }
                Ok(Reply::Failure(said)) => {
                    return Err(refused(file, RejectClass::Data, &or_nothing(&said)));
                }
                Ok(Reply::Other(said)) => {
                    let said = format!("{} instead of `success`", or_nothing(&said));
                    return Err(refused(file, RejectClass::Temporary, &said));
                }
                Err(error) => {
                    // A refusal of the request itself changed nothing.
                    if !is_lost(&error) {
                        file.fate = before;
                    }
                    return Err(End::Again(error));
                }
            }
        }
    }

    /// What became of every row. `why`: what ended the exchange, if it did not reach its end.
    fn outcomes(self, why: Option<&Error>) -> Vec<(RowId, Outcome)> {
        let why_text = why.map_or_else(String::new, ToString::to_string);
        let untouched_class = match why.map(Error::kind) {
            Some(ErrorKind::Unauthenticated | ErrorKind::PermissionDenied) => RejectClass::Forbidden,
            _ => RejectClass::Temporary,
        };
        let settle = |file: Sending| {
            let outcome = match file.fate {
                Fate::Imported => Outcome::acked(),
                Fate::Refused(class, reason) => Outcome::Rejected { altered: true, class, reason },
                Fate::Asked => {
                    Outcome::Unknown { reason: format!("nobody knows whether {} was imported: {why_text}", file.name) }
                }
                Fate::Untouched => {
                    Outcome::rejected(untouched_class, format!("{} was not imported because {why_text}", file.name))
                }
            };
            file.rows.into_iter().map(move |row| (row, outcome.clone()))
        };
        self.files.into_iter().flat_map(settle).collect()
    }
}

/// How long an import is waited for.
struct Patience {
    pause: Duration,
    longest_pause: Duration,
    deadline: Duration,
    stuck_after: Duration,
    begun: Instant,
    changed: Instant,
    said: String,
}

impl Patience {
    fn new(settings: &Settings) -> Self {
        let (pause, now) = (settings.import_pause.duration(), Instant::now());
        Self {
            pause,
            longest_pause: pause.saturating_mul(10),
            deadline: settings.import_deadline.duration(),
            stuck_after: settings.import_stuck.duration(),
            begun: now,
            changed: now,
            said: String::new(),
        }
    }

    /// Waits before the same question is asked again.
    async fn wait(&mut self, file: &str, said: &str, stop: &Stop) -> Result<()> {
        let gave_up = |after: Duration, what: &str| {
            let message = format!("the import of {file} {what} for {} seconds: {}", after.as_secs(), or_nothing(said));
            Error::new(ErrorKind::Timeout, message)
        };
        if self.said != said {
            said.clone_into(&mut self.said);
            self.changed = Instant::now();
        }
        if self.begun.elapsed() >= self.deadline {
            return Err(gave_up(self.deadline, "has been going on"));
        }
        if self.changed.elapsed() >= self.stuck_after {
            return Err(gave_up(self.stuck_after, "has reported the same progress"));
        }
        tracing::debug!(file, said, "the import goes on");
        pause(stop, self.pause).await?;
        self.pause = self.pause.saturating_mul(3) / 2;
        self.pause = self.pause.min(self.longest_pause);
        Ok(())
    }
}

fn refused(file: &mut Sending, class: RejectClass, said: &str) -> End {
    let reason = format!("the shop did not import {}: {said}", file.name);
    file.fate = Fate::Refused(class, reason.clone());
    End::Over(Error::invalid_data(reason))
}

fn or_nothing(said: &str) -> String {
    if said.is_empty() { "it says nothing".to_owned() } else { said.to_owned() }
}

/// Whether the request may have been carried out although no answer came.
fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Exhausted)
}
