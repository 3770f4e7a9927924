//! The files of baselines: which there are, what they must be, what is known beside them.

use super::{ScopeId, State, sql_error};
use crate::table::publish;
use obmen_sdk::Result;
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::BTreeSet;

/// One file of a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Grows with every commit; a higher one wins.
    pub id: i64,
    /// Its name in the state's folder.
    pub file: String,
    /// Its rows.
    pub rows: u64,
    /// What it must be; none for files of the first version.
    pub mark: Option<FileMark>,
}

/// What tells a file from any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMark {
    /// Its length.
    pub bytes: u64,
    /// The checksum of its checksums and its footer.
    pub seal: u64,
}

impl State {
    /// The files of a baseline, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn segments(&self, scope: ScopeId) -> Result<Vec<SegmentRecord>> {
        let sql = "SELECT id, file, rows, bytes, seal FROM segments WHERE scope = ?1 ORDER BY id";
        let mut statement = self.db.prepare_cached(sql).map_err(sql_error)?;
        let rows = statement
            .query_map([scope.0], |row| {
                let rows: i64 = row.get(2)?;
                let mark = mark(row.get(3)?, row.get(4)?);
                Ok(SegmentRecord { id: row.get(0)?, file: row.get(1)?, rows: rows.unsigned_abs(), mark })
            })
            .map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }

    /// Adds a synced file to a baseline and marks the loads it holds as flushed, together.
    ///
    /// # Errors
    /// Those of the database; the file's if it cannot be read.
    pub fn add_segment(&self, scope: ScopeId, file: &str, rows: u64, loads: &[String]) -> Result<()> {
        let mark = self.keep(file)?;
        self.transaction(|db| {
            insert(db, None, scope, file, rows, mark)?;
            flushed(db, scope, loads)?;
            forget_live(db, scope)
        })?;
        publish(self, scope);
        Ok(())
    }

    /// Marks loads as flushed that brought nothing into the baseline.
    ///
    /// # Errors
    /// Those of the database.
    pub fn mark_flushed(&self, scope: ScopeId, loads: &[String]) -> Result<()> {
        self.transaction(|db| flushed(db, scope, loads))
    }

    /// Replaces files of a baseline by one that says the same (compaction), or by none (forgetting).
    /// The new file takes the place of the newest one replaced.
    ///
    /// # Errors
    /// Those of the database; the file's if it cannot be read.
    pub fn replace_segments(&self, scope: ScopeId, old: &[i64], new: Option<(&str, u64)>) -> Result<()> {
        let mark = new.map_or(Ok(None), |(file, _)| self.keep(file))?;
        self.transaction(|db| {
            delete(db, scope, old)?;
            match (new, old.iter().max()) {
                (Some((file, rows)), Some(id)) => insert(db, Some(*id), scope, file, rows, mark),
                _ => forget_live(db, scope),
            }
        })?;
        publish(self, scope);
        Ok(())
    }

    /// Replaces a whole baseline by one file.
    ///
    /// # Errors
    /// Those of the database; the file's if it cannot be read.
    pub fn swap_segments(&self, scope: ScopeId, old: &[i64], file: &str, rows: u64) -> Result<()> {
        let mark = self.keep(file)?;
        self.transaction(|db| {
            delete(db, scope, old)?;
            insert(db, None, scope, file, rows, mark)?;
            forget_live(db, scope)
        })?;
        publish(self, scope);
        Ok(())
    }

    /// How many rows of a baseline are not gone; `None` if nobody counted since it changed.
    ///
    /// # Errors
    /// Those of the database.
    pub fn live(&self, scope: ScopeId) -> Result<Option<u64>> {
        let sql = "SELECT rows FROM live WHERE scope = ?1";
        let found = self.db.query_row(sql, [scope.0], |row| row.get::<_, i64>(0));
        Ok(found.optional().map_err(sql_error)?.map(i64::unsigned_abs))
    }

    /// Remembers how many rows of a baseline, as it is now, are not gone. A commit forgets it, a
    /// compaction does not.
    ///
    /// # Errors
    /// Those of the database.
    pub fn set_live(&self, scope: ScopeId, rows: u64) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO live (scope, rows) VALUES (?1, ?2)";
        self.transaction(|db| db.execute(sql, params![scope.0, rows.cast_signed()]).map(drop))
    }

    /// The index of a file by some columns, if it was made. `None` also when the file is not one of a
    /// baseline any more.
    pub(crate) fn index_file(
        &self,
        segment: &SegmentRecord,
        columns: &[String],
    ) -> Result<Option<(String, Option<FileMark>)>> {
        let sql = "SELECT i.file, i.bytes, i.seal FROM indexes AS i JOIN segments AS s ON s.id = i.segment
                   WHERE s.id = ?1 AND s.file = ?2 AND i.columns = ?3";
        let found = self.db.query_row(sql, params![segment.id, segment.file, list(columns)], |row| {
            Ok((row.get(0)?, mark(row.get(1)?, row.get(2)?)))
        });
        found.optional().map_err(sql_error)
    }

    /// Remembers the index of a file, unless the file is not one of a baseline any more.
    pub(crate) fn set_index_file(
        &self,
        segment: &SegmentRecord,
        columns: &[String],
        file: &str,
        mark: Option<FileMark>,
    ) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO indexes (segment, columns, file, bytes, seal)
                   SELECT id, ?3, ?4, ?5, ?6 FROM segments WHERE id = ?1 AND file = ?2";
        let (bytes, seal) = columns_of(mark);
        self.transaction(|db| {
            db.execute(sql, params![segment.id, segment.file, list(columns), file, bytes, seal]).map(drop)
        })
    }

    /// Every file any baseline or plan names; others in the folder are left-overs of a crash.
    ///
    /// # Errors
    /// Those of the database.
    pub fn named_files(&self) -> Result<BTreeSet<String>> {
        let sql = "SELECT file FROM segments UNION SELECT file FROM indexes
                   UNION SELECT file FROM plan_sinks WHERE file IS NOT NULL UNION SELECT file FROM deltas";
        let mut statement = self.db.prepare(sql).map_err(sql_error)?;
        let rows = statement.query_map([], |row| row.get(0)).map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }
}

pub(super) fn insert(
    db: &Transaction<'_>,
    id: Option<i64>,
    scope: ScopeId,
    file: &str,
    rows: u64,
    mark: Option<FileMark>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO segments (id, scope, file, rows, bytes, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (bytes, seal) = columns_of(mark);
    db.execute(sql, params![id, scope.0, file, rows.cast_signed(), bytes, seal]).map(drop)
}

fn delete(db: &Transaction<'_>, scope: ScopeId, segments: &[i64]) -> rusqlite::Result<()> {
    for id in segments {
        db.execute("DELETE FROM indexes WHERE segment = ?1", [id])?;
        db.execute("DELETE FROM segments WHERE id = ?1 AND scope = ?2", params![id, scope.0])?;
    }
    Ok(())
}

fn flushed(db: &Transaction<'_>, scope: ScopeId, loads: &[String]) -> rusqlite::Result<()> {
    for load in loads {
        db.execute("UPDATE load_parts SET flushed = 1 WHERE load = ?1 AND scope = ?2", params![load, scope.0])?;
    }
    Ok(())
}

fn forget_live(db: &Transaction<'_>, scope: ScopeId) -> rusqlite::Result<()> {
    db.execute("DELETE FROM live WHERE scope = ?1", [scope.0]).map(drop)
}

pub(super) fn mark(bytes: Option<i64>, seal: Option<i64>) -> Option<FileMark> {
    Some(FileMark { bytes: bytes?.cast_unsigned(), seal: seal?.cast_unsigned() })
}

pub(super) fn columns_of(mark: Option<FileMark>) -> (Option<i64>, Option<i64>) {
    (mark.map(|mark| mark.bytes.cast_signed()), mark.map(|mark| mark.seal.cast_signed()))
}

fn list(columns: &[String]) -> String {
    serde_json::json!(columns).to_string()
}
