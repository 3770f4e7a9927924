//! What one profile remembers between runs: a folder with an SQLite file for manifests and
//! decisions, and Parquet files for rows.
//!
//! ```text
//! .obmen/<profile>/
//!   state.db      runs, plans, loads, doubts, retries, holds (schema.sql)
//!   lock          who is writing
//!   plans/        one file per plan and sink: queue before, journal after
//!   baseline/     what each sink is known to have
//!   connections/  folders lent to connectors
//!   work/         scratch of the run under way
//! ```
//!
//! Readers open the database read-only in WAL mode and never wait for a run. Files are synced, and
//! their folder too, before the transaction that names them.

mod doubts;
mod holds;
mod loads;
mod lock;
mod plans;
mod scopes;

pub use doubts::{Doubt, Retry};
pub use holds::{Decision, Hold, HoldReason, HoldState};
pub use loads::{LoadPart, LoadRecord, LoadState, OutcomeRecord, SettledRow};
pub use lock::StateLock;
pub use plans::{PlanRecord, PlanSinkRecord, PlanState, RunRecord};
pub use scopes::{ScopeId, SegmentRecord};

use crate::hash::Hash;
use chrono::{DateTime, Utc};
use obmen_sdk::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::{Path, PathBuf};

/// The version of the folder's layout; a newer one is refused.
const FORMAT: &str = "1";

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
        let state = Self { folder: folder.to_owned(), db, durability };
        state.prepare(journal, synchronous).map_err(|error| at(error, folder))?;
        Ok(state)
    }

    /// Opens the state of a profile for reading; `None` if there is none yet. Never waits for a run.
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
        let state = Self { folder: folder.to_owned(), db, durability: Durability::Synced };
        state.check_format().map_err(|error| at(error, folder))?;
        Ok(Some(state))
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
        self.db.execute_batch(include_str!("schema.sql")).map_err(sql_error)?;
        self.db
            .execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('format', ?1)", [FORMAT])
            .map_err(sql_error)?;
        self.check_format()
    }

    fn check_format(&self) -> Result<()> {
        let found: Option<String> = self
            .db
            .query_row("SELECT value FROM meta WHERE name = 'format'", [], |row| row.get(0))
            .optional()
            .map_err(sql_error)?;
        match found.as_deref() {
            Some(FORMAT) => Ok(()),
            other => Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "the state has format {}, this obmen reads {FORMAT}: use the obmen that wrote it, or a new --state",
                    other.unwrap_or("unknown")
                ),
            )),
        }
    }

    /// Runs `body` in one transaction.
    fn transaction<T>(&self, body: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
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
