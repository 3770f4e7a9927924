//! What one profile remembers between runs: a folder with an SQLite file for manifests and
//! decisions, and Parquet files for rows.
//!
//! ```text
//! .obmen/<profile>/
//!   state.db      runs, plans, loads, doubts, retries, holds (schema.sql, then schema_N.sql)
//!   lock          who is writing
//!   plans/        one file per plan and sink: queue before, journal after
//!   baseline/     what each sink is known to have, indexes of it, and its list of files for other programs
//!   connections/  folders lent to connectors
//!   work/         scratch of the run under way
//! ```
//!
//! With a store ([`SegmentStore`]) the files of `plans/` and `baseline/` are copies of objects, but for indexes and lists,
//! which say nothing the others do not.
//!
//! Readers open the database read-only in WAL mode and never wait for a run. Files are synced, and
//! their folder too, before the transaction that names them.

mod doubts;
mod format;
mod holds;
mod loads;
mod lock;
mod mirrors;
mod plans;
mod scopes;
mod segments;
mod store;
mod stored;

pub use doubts::{Doubt, Retry};
pub use holds::{Decision, Hold, HoldReason, HoldState};
pub use loads::{LoadPart, LoadRecord, LoadState, OutcomeRecord, SettledRow};
pub use lock::StateLock;
pub use mirrors::{MirrorRecord, MirrorWrite};
pub use plans::{PlanRecord, PlanSinkRecord, PlanState, RunRecord};
pub use scopes::ScopeId;
pub use segments::{FileMark, SegmentRecord};
pub use store::SegmentStore;

use crate::hash::Hash;
use crate::table::disk::about_to;
use chrono::{DateTime, Utc};
use obmen_sdk::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How carefully writes reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every commit survives a power cut.
    Synced,
    /// For tests of pipelines: nothing outlives the process anyway.
    Scratch,
}

/// The state of one profile.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    db: Connection,
    durability: Durability,
    store: Option<Arc<SegmentStore>>,
}

impl State {
    /// Opens the state of a profile for writing, making it if there is none. Hold a [`StateLock`] first.
    ///
    /// # Errors
    /// `PermissionDenied`, `Exhausted`, or `Conflict` for a state of a newer version or a damaged one.
    pub fn open(folder: &Path, durability: Durability) -> Result<Self> {
        for part in ["plans", "baseline", "connections", "work"] {
            std::fs::create_dir_all(folder.join(part)).map_err(|error| at(error.into(), folder))?;
        }
        let db = Connection::open(folder.join("state.db")).map_err(|error| at(sql_error(error), folder))?;
        let synchronous = if durability == Durability::Synced { "FULL" } else { "OFF" };
        let journal = if durability == Durability::Synced { "WAL" } else { "MEMORY" };
        let state = Self { folder: folder.to_owned(), db, durability, store: None };
        state.prepare(journal, synchronous).map_err(|error| at(error, folder))?;
        Ok(state)
    }

    /// Opens the state of a profile for reading; `None` if there is none yet. Never waits for a run.
    /// A state of an older version is brought to this one first.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join("state.db");
        if !file.is_file() {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(file, flags).map_err(|error| at(sql_error(error), folder))?;
        db.busy_timeout(std::time::Duration::from_secs(10)).map_err(sql_error)?;
        let state = Self { folder: folder.to_owned(), db, durability: Durability::Synced, store: None };
        if format::version(&state.db).map_err(|error| at(error, folder))? == 0 {
            return Ok(None);
        }
        format::migrate(&state.db).map_err(|error| at(error, folder))?;
        Ok(Some(state))
    }

    /// The same state, its files kept in a store. `None`: in its folder alone.
    #[must_use]
    pub fn kept_in(self, store: Option<Arc<SegmentStore>>) -> Self {
        Self { store, ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder for scratch files of one run; gone when dropped.
    pub(crate) fn work_folder(&self) -> Result<tempfile::TempDir> {
        Ok(tempfile::Builder::new().prefix("run-").tempdir_in(self.folder.join("work"))?)
    }

    /// How carefully files are to be written.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    fn prepare(&self, journal: &str, synchronous: &str) -> Result<()> {
        self.db.busy_timeout(std::time::Duration::from_secs(10)).map_err(sql_error)?;
        self.db.pragma_update(None, "journal_mode", journal).map_err(sql_error)?;
        self.db.pragma_update(None, "synchronous", synchronous).map_err(sql_error)?;
        format::migrate(&self.db)
    }

    /// Runs `body` in one transaction.
    fn transaction<T>(&self, body: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        about_to("commit").map_err(|error| at(error.into(), &self.folder))?;
        let transaction = self.db.unchecked_transaction().map_err(sql_error)?;
        let result = body(&transaction).map_err(sql_error)?;
        transaction.commit().map_err(sql_error)?;
        Ok(result)
    }
}

/// Whether an error means that the state itself cannot be used (exit code 8).
pub fn is_state_error(error: &Error) -> bool {
    error.context().iter().any(|(key, _)| *key == "state")
}

fn at(error: Error, folder: &Path) -> Error {
    if is_state_error(&error) { error } else { error.with("state", folder.display()) }
}

pub(crate) fn sql_error(error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => ErrorKind::Exhausted,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => ErrorKind::PermissionDenied,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Conflict,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    let message = match kind {
        ErrorKind::Exhausted => {
            format!("the disk is full or failing ({error}): nothing was lost; free some space and run again")
        }
        ErrorKind::Conflict => format!("state.db is damaged ({error}): restore the folder from a backup"),
        _ => format!("state.db: {error}"),
    };
    Error::new(kind, message).with("state", "state.db").because(error)
}

pub(crate) fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

pub(crate) fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

pub(crate) fn hash_bytes(hash: Hash) -> [u8; 16] {
    hash.to_be_bytes()
}

/// Reads 16 bytes of a column as a hash.
pub(crate) fn read_hash(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Hash> {
    let bytes: [u8; 16] = row.get(column)?;
    Ok(Hash::from_be_bytes(bytes))
}
