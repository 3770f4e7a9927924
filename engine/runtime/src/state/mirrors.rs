//! Mirrors of sources that bring only changes: what was written, and what each write changed.

use super::{ScopeId, State, segments, sql_error};
use crate::table::publish;
use obmen_sdk::Result;
use rusqlite::{OptionalExtension, params};

/// Writes whose changes are kept for pipelines that have not seen them.
const KEPT: i64 = 64;

/// How a mirror stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorRecord {
    /// How often it was written.
    pub seq: i64,
    /// How far its source was read.
    pub position: Option<Vec<u8>>,
}

/// A write of a mirror: files that are on disk already.
#[derive(Clone, Debug)]
pub struct MirrorWrite<'a> {
    /// The rows that changed, and how many.
    pub segment: Option<(&'a str, u64)>,
    /// The old and new rows, if pipelines may want to know them, and how many.
    pub delta: Option<(&'a str, u64)>,
    /// How far the source was read.
    pub position: Option<Vec<u8>>,
    /// How many rows there are now.
    pub live: u64,
}

impl State {
    /// How a mirror stands; as new if there is none.
    ///
    /// # Errors
    /// Those of the database.
    pub fn mirror(&self, scope: ScopeId) -> Result<MirrorRecord> {
        let read = |row: &rusqlite::Row<'_>| Ok(MirrorRecord { seq: row.get(0)?, position: row.get(1)? });
        let found = self.db.query_row("SELECT seq, position FROM mirrors WHERE scope = ?1", [scope.0], read).optional();
        Ok(found.map_err(sql_error)?.unwrap_or_default())
    }

    /// Writes a mirror: rows, changes, position and count together.
    ///
    /// # Errors
    /// Those of the database; a file's if it cannot be read.
    pub fn write_mirror(&self, scope: ScopeId, write: &MirrorWrite<'_>) -> Result<()> {
        let mark = write.segment.map_or(Ok(None), |(file, _)| self.keep(file))?;
        self.keep_plans(write.delta.map(|(file, _)| file))?;
        let changed = write.segment.is_some();
        let seq = self.mirror(scope)?.seq + i64::from(changed);
        self.transaction(|db| {
            if let Some((file, rows)) = write.segment {
                segments::insert(db, None, scope, file, rows, mark)?;
            }
            if let Some((file, rows)) = write.delta {
                let sql = "INSERT INTO deltas (scope, seq, file, rows) VALUES (?1, ?2, ?3, ?4)";
                db.execute(sql, params![scope.0, seq, file, rows.cast_signed()])?;
            }
            db.execute("DELETE FROM deltas WHERE scope = ?1 AND seq <= ?2", params![scope.0, seq - KEPT])?;
            db.execute(
                "INSERT OR REPLACE INTO mirrors (scope, seq, position) VALUES (?1, ?2, ?3)",
                params![scope.0, seq, write.position],
            )?;
            let sql = "INSERT OR REPLACE INTO live (scope, rows) VALUES (?1, ?2)";
            db.execute(sql, params![scope.0, write.live.cast_signed()]).map(drop)
        })?;
        if changed {
            publish(self, scope);
        }
        Ok(())
    }

    /// The files with what changed in a mirror after write number `seen`, oldest first; `None` if they are not all kept.
    ///
    /// # Errors
    /// Those of the database.
    pub fn deltas(&self, scope: ScopeId, seen: i64) -> Result<Option<Vec<(String, u64)>>> {
        let now = self.mirror(scope)?.seq;
        let sql = "SELECT file, rows FROM deltas WHERE scope = ?1 AND seq > ?2 ORDER BY seq";
        let mut statement = self.db.prepare_cached(sql).map_err(sql_error)?;
        let rows = statement
            .query_map(params![scope.0, seen], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))
            .map_err(sql_error)?;
        let found = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(sql_error)?;
        Ok((seen <= now && found.len() as u64 == (now - seen).unsigned_abs()).then_some(found))
    }

    /// What the last plan of a sink was made of; `None` if that is not known. Gives the plan's name and the rest.
    ///
    /// # Errors
    /// Those of the database.
    pub fn basis(&self, scope: ScopeId) -> Result<Option<(String, String)>> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found = self.db.query_row("SELECT plan, basis FROM bases WHERE scope = ?1", [scope.0], read).optional();
        found.map_err(sql_error)
    }

    /// Remembers what a plan of a sink was made of.
    ///
    /// # Errors
    /// Those of the database.
    pub fn set_basis(&self, scope: ScopeId, plan: &str, basis: &str) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO bases (scope, plan, basis) VALUES (?1, ?2, ?3)";
        self.db.execute(sql, params![scope.0, plan, basis]).map(drop).map_err(sql_error)
    }

    /// Forgets it: the next plan compares everything.
    ///
    /// # Errors
    /// Those of the database.
    pub fn forget_basis(&self, scope: ScopeId) -> Result<()> {
        self.db.execute("DELETE FROM bases WHERE scope = ?1", [scope.0]).map(drop).map_err(sql_error)
    }
}
