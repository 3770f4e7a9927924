//! Which files of a state stand in its store, and bringing them there and back.
//!
//! What is put is written down before, and what is removed is only what was written down: a store may hold files of
//! others, also of other states, and is never listed.

use super::segments::{columns_of, mark};
use super::store::Fetched;
use super::{FileMark, ScopeId, SegmentStore, State, sql_error};
use crate::table::{RowFile, Spare, damaged, sweep};
use obmen_sdk::{Error, ErrorKind, Result};
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Files that belong into a store, by name. Indexes do not: they are made again where they are missing.
const KEPT: &str = "SELECT file FROM segments UNION SELECT file FROM plan_sinks WHERE file IS NOT NULL
                    UNION SELECT file FROM deltas";

/// A file that stands in a store.
#[derive(Clone, Debug)]
struct Stored {
    store: String,
    mark: Option<FileMark>,
}

impl State {
    /// Opens a file of rows. With a store, one that is missing or damaged here is fetched, also when the damage is found
    /// only while it is read.
    ///
    /// # Errors
    /// Those of the state, which say what to do: the file is missing, damaged, or of a newer version; those of the store.
    pub(crate) fn file(&self, name: &str, mark: Option<FileMark>) -> Result<RowFile> {
        let stored = if self.store.is_some() { self.stored(name)? } else { None };
        let mark = mark.or(stored.as_ref().and_then(|stored| stored.mark));
        let error = match RowFile::open_marked(self.folder(), name, mark) {
            Ok(file) => return Ok(self.with_spare(file, name, stored.is_some())),
            Err(error) if error.kind() == ErrorKind::InvalidData => error,
            Err(error) => return Err(error),
        };
        match (&self.store, stored) {
            (Some(store), Some(stored)) => self.fetch(store, name, mark, &stored)?,
            (Some(_), None) => return Err(error),
            (None, _) => return Err(self.stored(name)?.map_or(error, |stored| self.elsewhere(name, &stored))),
        }
        Ok(self.with_spare(RowFile::open_marked(self.folder(), name, mark)?, name, true))
    }

    /// Puts a synced file into the store, if there is one and it is not there yet, so that it may be named. Gives its mark.
    ///
    /// # Errors
    /// The file's if it cannot be read; those of the store and the database.
    pub(super) fn keep(&self, file: &str) -> Result<Option<FileMark>> {
        let mark = self.file(file, None)?.mark();
        let Some(store) = &self.store else { return Ok(mark) };
        let place = store.identity()?;
        if self.stored(file)?.is_some_and(|stored| stored.store == place) {
            return Ok(mark);
        }
        let (bytes, seal) = columns_of(mark);
        let sql = "INSERT OR REPLACE INTO stored (file, store, bytes, seal, whole) VALUES (?1, ?2, ?3, ?4, 0)";
        self.transaction(|db| db.execute(sql, params![file, place, bytes, seal]).map(drop))?;
        store.put(self.folder(), file)?;
        self.transaction(|db| db.execute("UPDATE stored SET whole = 1 WHERE file = ?1", [file]).map(drop))?;
        Ok(mark)
    }

    /// Puts synced files of plans into the store, if there is one.
    ///
    /// # Errors
    /// As for [`keep`](Self::keep).
    pub(super) fn keep_plans<'f>(&self, files: impl IntoIterator<Item = &'f str>) -> Result<()> {
        if self.store.is_none() {
            return Ok(());
        }
        files.into_iter().try_for_each(|file| self.keep(file).map(drop))
    }

    /// Puts the store in order: what is named and not there yet is put (of a state that had no store, or another one),
    /// what was put and is not `named` any more is removed. What cannot be removed stays until the next time.
    ///
    /// # Errors
    /// Those of the database; those of the store where something is to be put.
    pub(crate) fn tidy_store(&self, named: &BTreeSet<String>) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        sweep(self.folder());
        let place = store.identity()?;
        let sql = format!(
            "SELECT file FROM ({KEPT}) WHERE file NOT IN (SELECT file FROM stored WHERE store = ?1 AND whole = 1)"
        );
        for file in self.names(&sql, &place)? {
            self.move_in(&file)?;
        }
        for file in self.names("SELECT file FROM stored WHERE store = ?1", &place)? {
            if named.contains(&file) {
                continue;
            }
            if let Err(error) = store.remove(&file) {
                tracing::warn!("{file} is not needed, but cannot be removed from the store yet: {error}");
                break;
            }
            self.transaction(|db| db.execute("DELETE FROM stored WHERE file = ?1", [&file]).map(drop))?;
        }
        Ok(())
    }

    /// Whether all files of a baseline are in the folder.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn is_here(&self, scope: ScopeId) -> Result<bool> {
        let here = |file: &str| self.folder().join(file).is_file();
        Ok(self.store.is_none() || self.segments(scope)?.iter().all(|segment| here(&segment.file)))
    }

    /// Puts a file that was named before there was this store. One that is not here, or damaged, hinders nobody who does
    /// not ask for it.
    fn move_in(&self, file: &str) -> Result<()> {
        match RowFile::open(self.folder(), file) {
            Ok(_) => {
                tracing::debug!("{file} moves into the store");
                self.keep(file).map(drop)
            }
            Err(error) => {
                tracing::warn!("{file} is not put into the store: {error}");
                Ok(())
            }
        }
    }

    fn fetch(&self, store: &SegmentStore, name: &str, mark: Option<FileMark>, stored: &Stored) -> Result<()> {
        let place = &stored.store;
        let how = match store.fetch(self.folder(), name, mark, self.durability())? {
            Fetched::Here => return Ok(()),
            Fetched::Missing if store.identity()? == *place => {
                format!("it is not here as it was written, and the store {place} does not have it any more")
            }
            Fetched::Missing => format!("it is not here as it was written, and was put into another store, {place}"),
            Fetched::Another => {
                format!("it is not here as it was written, and what the store {place} has is not what was put there")
            }
        };
        Err(damaged(&how, &self.folder().join(name)))
    }

    /// A file that is missing here and stands in a store that is not said any more.
    fn elsewhere(&self, name: &str, stored: &Stored) -> Error {
        let message = format!(
            "a file of the state is not here as it was written; it was put into the store {}: say `segments` again in \
             obmen.yaml",
            stored.store
        );
        Error::invalid_data(message).with("state", self.folder().join(name).display())
    }

    fn with_spare(&self, file: RowFile, name: &str, stored: bool) -> RowFile {
        let (Some(store), Some(mark), true) = (&self.store, file.mark(), stored) else { return file };
        let (store, folder, durability) = (Arc::clone(store), self.folder().to_owned(), self.durability());
        let name = name.to_owned();
        file.with_spare(Spare(Box::new(move || {
            tracing::warn!("{name} is damaged and is fetched anew");
            match store.fetch(&folder, &name, Some(mark), durability) {
                Ok(Fetched::Here) => File::open(folder.join(&name)),
                Ok(_) => Err(unmended("the store does not have it as it was written")),
                Err(error) => Err(unmended(&error.to_string())),
            }
        })))
    }

    fn stored(&self, file: &str) -> Result<Option<Stored>> {
        let sql = "SELECT store, bytes, seal FROM stored WHERE file = ?1 AND whole = 1";
        let mut statement = self.db.prepare_cached(sql).map_err(sql_error)?;
        let read = |row: &rusqlite::Row<'_>| Ok(Stored { store: row.get(0)?, mark: mark(row.get(1)?, row.get(2)?) });
        statement.query_row([file], read).optional().map_err(sql_error)
    }

    fn names(&self, sql: &str, place: &str) -> Result<Vec<String>> {
        let mut statement = self.db.prepare(sql).map_err(sql_error)?;
        let rows = statement.query_map([place], |row| row.get(0)).map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }
}

fn unmended(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("its content is not what was written, and {why}"))
}
