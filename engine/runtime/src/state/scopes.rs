//! Sinks at their targets, and their recipes.

use super::{State, sql_error};
use obmen_sdk::Result;
use rusqlite::{OptionalExtension, params};

/// A sink of a pipeline at a target: what a baseline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub i64);

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
}
