//! The shop's database: goods as people see them, and a log of who did what.

use obmen_sdk::{Error, ErrorKind, Result};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// All tables, with what each column means.
const TABLES: &str = include_str!("tables.sql");

/// Lines of the request log that are kept.
const LOG_KEPT: i64 = 20_000;

/// The database. One connection writes, one reads for the page.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    _vanishing: Option<tempfile::TempDir>,
}

/// One request in the log.
#[derive(Debug)]
pub(crate) struct LogLine {
    pub(crate) session: Option<i64>,
    pub(crate) at: String,
    pub(crate) kind: String,
    pub(crate) mode: String,
    pub(crate) filename: String,
    pub(crate) bytes: i64,
    pub(crate) answer: String,
}

impl Store {
    /// Opens the file and makes the tables; without a path, in a folder that vanishes.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let vanishing = if path.is_none() { Some(tempfile::tempdir()?) } else { None };
        let path = match (path, &vanishing) {
            (Some(path), _) => path.to_owned(),
            (None, Some(folder)) => folder.path().join("shop.sqlite"),
            (None, None) => return Err(Error::internal("a shop without a database")),
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let writer = Connection::open(&path).map_err(|error| unusable(&path, error))?;
        let synchronous = if vanishing.is_some() { "OFF" } else { "NORMAL" };
        let settle = |connection: &Connection| {
            connection.busy_timeout(Duration::from_secs(30))?;
            connection.set_prepared_statement_cache_capacity(64);
            connection.pragma_update(None, "foreign_keys", true)
        };
        let prepare = || -> rusqlite::Result<Connection> {
            settle(&writer)?;
            writer.pragma_update(None, "journal_mode", "WAL")?;
            writer.pragma_update(None, "synchronous", synchronous)?;
            writer.execute_batch(TABLES)?;
            let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            settle(&reader)?;
            Ok(reader)
        };
        let reader = prepare().map_err(|error| unusable(&path, error))?;
        Ok(Self { path, writer: Mutex::new(writer), reader: Mutex::new(reader), _vanishing: vanishing })
    }

    /// The SQLite file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder for uploads, beside the file.
    pub(crate) fn upload_folder(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".upload");
        self.path.with_file_name(name)
    }

    /// Lets an import write.
    pub(crate) fn import<T>(&self, act: impl FnOnce(&mut Connection) -> T) -> T {
        act(&mut hold(&self.writer))
    }

    /// Lets the page read.
    pub(crate) fn read<T>(&self, act: impl FnOnce(&Connection) -> T) -> T {
        act(&hold(&self.reader))
    }

    /// Writes a session into the log and gives its number.
    pub(crate) fn begin_session(&self, user: &str, kind: &str) -> rusqlite::Result<i64> {
        let connection = hold(&self.writer);
        let at = crate::clock::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        connection
            .execute("INSERT INTO sessions (started, user, type) VALUES (?1, ?2, ?3)", params![at, user, kind])?;
        Ok(connection.last_insert_rowid())
    }

    /// Writes a request into the log.
    pub(crate) fn log(&self, line: &LogLine) -> rusqlite::Result<()> {
        let connection = hold(&self.writer);
        let mut statement = connection.prepare_cached(
            "INSERT INTO requests (session, at, type, mode, filename, bytes, answer) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let number = statement.insert(params![
            line.session,
            line.at,
            line.kind,
            line.mode,
            line.filename,
            line.bytes,
            line.answer
        ])?;
        if number % 1000 == 0 {
            connection.execute("DELETE FROM requests WHERE id <= ?1", params![number - LOG_KEPT])?;
        }
        Ok(())
    }

    /// Whether something was remembered for ever.
    pub(crate) fn flag(&self, name: &str) -> rusqlite::Result<bool> {
        let connection = hold(&self.writer);
        let mut statement = connection.prepare_cached("SELECT 1 FROM flags WHERE name = ?1")?;
        Ok(statement.query_row(params![name], |_| Ok(())).optional()?.is_some())
    }

    /// Remembers something for ever.
    pub(crate) fn set_flag(&self, name: &str) -> rusqlite::Result<()> {
        let connection = hold(&self.writer);
        connection.prepare_cached("INSERT OR IGNORE INTO flags (name) VALUES (?1)")?.execute(params![name])?;
        Ok(())
    }

    /// Switches off all goods of the catalogues imported since a moment that were not touched since then.
    pub(crate) fn deactivate(&self, since: i64) -> rusqlite::Result<()> {
        hold(&self.writer).execute(
            "UPDATE goods SET active = 0 WHERE updated < ?1
             AND catalogue IN (SELECT id FROM catalogues WHERE imported >= ?1)",
            params![since],
        )?;
        Ok(())
    }
}

fn hold(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unusable(path: &Path, error: rusqlite::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the shop's database cannot be used").with("file", path.display()).because(error)
}
