//! Sinks at their targets, and the files of their baselines.

use super::{State, sql_error};
use obmen_sdk::Result;
use rusqlite::{OptionalExtension, params};

/// A sink of a pipeline at a target: what a baseline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub i64);

/// One file of a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Grows with every commit; a higher one wins.
    pub id: i64,
    /// Its name in the state's folder.
    pub file: String,
    /// Its rows.
    pub rows: u64,
}

impl State {
    /// The scope of a sink at a target, made if it is new.
    ///
    /// # Errors
    /// Those of the database.
    pub fn scope(&self, pipeline: &str, sink: &str, target: &str) -> Result<ScopeId> {
        self.transaction(|db| {
            db.execute(
                "INSERT OR IGNORE INTO scopes (pipeline, sink, target) VALUES (?1, ?2, ?3)",
                params![pipeline, sink, target],
            )?;
            let sql = "SELECT id FROM scopes WHERE pipeline = ?1 AND sink = ?2 AND target = ?3";
            db.query_row(sql, params![pipeline, sink, target], |row| row.get(0).map(ScopeId))
        })
    }

    /// The scope of a sink at a target, if there is one.
    ///
    /// # Errors
    /// Those of the database.
    pub fn find_scope(&self, pipeline: &str, sink: &str, target: &str) -> Result<Option<ScopeId>> {
        let sql = "SELECT id FROM scopes WHERE pipeline = ?1 AND sink = ?2 AND target = ?3";
        let found = self.db.query_row(sql, params![pipeline, sink, target], |row| row.get(0).map(ScopeId));
        found.optional().map_err(sql_error)
    }

    /// All scopes: id, pipeline, sink, target; oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn scopes(&self) -> Result<Vec<(ScopeId, String, String, String)>> {
        let mut statement =
            self.db.prepare("SELECT id, pipeline, sink, target FROM scopes ORDER BY id").map_err(sql_error)?;
        let rows = statement
            .query_map([], |row| Ok((ScopeId(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?)))
            .map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }

    /// The id of a recipe of a scope, made if it is new. `columns` is its canonical text.
    ///
    /// # Errors
    /// Those of the database.
    pub fn recipe(&self, scope: ScopeId, columns: &str) -> Result<i64> {
        self.transaction(|db| {
            db.execute("INSERT OR IGNORE INTO recipes (scope, columns) VALUES (?1, ?2)", params![scope.0, columns])?;
            let sql = "SELECT id FROM recipes WHERE scope = ?1 AND columns = ?2";
            db.query_row(sql, params![scope.0, columns], |row| row.get(0))
        })
    }

    /// The canonical text of a recipe.
    ///
    /// # Errors
    /// Those of the database.
    pub fn recipe_columns(&self, recipe: i64) -> Result<Option<String>> {
        let found = self.db.query_row("SELECT columns FROM recipes WHERE id = ?1", [recipe], |row| row.get(0));
        found.optional().map_err(sql_error)
    }

    /// The files of a baseline, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn segments(&self, scope: ScopeId) -> Result<Vec<SegmentRecord>> {
        let mut statement =
            self.db.prepare("SELECT id, file, rows FROM segments WHERE scope = ?1 ORDER BY id").map_err(sql_error)?;
        let rows = statement
            .query_map([scope.0], |row| {
                let rows: i64 = row.get(2)?;
                Ok(SegmentRecord { id: row.get(0)?, file: row.get(1)?, rows: rows.unsigned_abs() })
            })
            .map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }

    /// Adds a synced file to a baseline and marks the loads it holds as flushed, together.
    ///
    /// # Errors
    /// Those of the database.
    pub fn add_segment(&self, scope: ScopeId, file: &str, rows: u64, loads: &[String]) -> Result<()> {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        self.transaction(|db| {
            db.execute("INSERT INTO segments (scope, file, rows) VALUES (?1, ?2, ?3)", params![scope.0, file, rows])?;
            for load in loads {
                db.execute("UPDATE load_parts SET flushed = 1 WHERE load = ?1 AND scope = ?2", params![load, scope.0])?;
            }
            Ok(())
        })
    }

    /// Marks loads as flushed that brought nothing into the baseline.
    ///
    /// # Errors
    /// Those of the database.
    pub fn mark_flushed(&self, scope: ScopeId, loads: &[String]) -> Result<()> {
        self.transaction(|db| {
            for load in loads {
                db.execute("UPDATE load_parts SET flushed = 1 WHERE load = ?1 AND scope = ?2", params![load, scope.0])?;
            }
            Ok(())
        })
    }

    /// Replaces files of a baseline by one that says the same (compaction), or by none (forgetting).
    /// The new file takes the place of the newest one replaced.
    ///
    /// # Errors
    /// Those of the database.
    pub fn replace_segments(&self, scope: ScopeId, old: &[i64], new: Option<(&str, u64)>) -> Result<()> {
        self.transaction(|db| {
            for id in old {
                db.execute("DELETE FROM segments WHERE id = ?1 AND scope = ?2", params![id, scope.0])?;
            }
            if let (Some((file, rows)), Some(id)) = (new, old.iter().max()) {
                let rows = i64::try_from(rows).unwrap_or(i64::MAX);
                db.execute(
                    "INSERT INTO segments (id, scope, file, rows) VALUES (?1, ?2, ?3, ?4)",
                    params![id, scope.0, file, rows],
                )?;
            }
            Ok(())
        })
    }

    /// Replaces a whole baseline by one file.
    ///
    /// # Errors
    /// Those of the database.
    pub fn swap_segments(&self, scope: ScopeId, old: &[i64], file: &str, rows: u64) -> Result<()> {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        self.transaction(|db| {
            for id in old {
                db.execute("DELETE FROM segments WHERE id = ?1 AND scope = ?2", params![id, scope.0])?;
            }
            db.execute("INSERT INTO segments (scope, file, rows) VALUES (?1, ?2, ?3)", params![scope.0, file, rows])?;
            Ok(())
        })
    }

    /// Every file any baseline or plan names; others in the folder are left-overs of a crash.
    ///
    /// # Errors
    /// Those of the database.
    pub fn named_files(&self) -> Result<std::collections::BTreeSet<String>> {
        let sql = "SELECT file FROM segments UNION SELECT file FROM plan_sinks WHERE file IS NOT NULL";
        let mut statement = self.db.prepare(sql).map_err(sql_error)?;
        let rows = statement.query_map([], |row| row.get(0)).map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }
}
