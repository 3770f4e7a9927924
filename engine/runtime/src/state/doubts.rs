//! Keys whose state at the other side is unknown, and rows to be offered again.

use super::loads::{blob, signed};
use super::{ScopeId, State, micros, read_hash, sql_error, time};
use crate::hash::Hash;
use chrono::{DateTime, TimeDelta, Utc};
use obmen_sdk::{RejectClass, Result};
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::HashMap;

/// Refusals of the same values after which a row is not offered again by itself.
const QUARANTINE_AFTER: u32 = 5;

/// A key that was sent without evidence of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The plan that sent it.
    pub plan: String,
    /// The row in that plan's file.
    pub row: u64,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why.
    pub reason: String,
}

/// A refused row on its way to being offered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The plan that sent it last.
    pub plan: String,
    /// The row in that plan's file.
    pub row: u64,
    /// The values that were refused; other values are offered at once.
    pub hash: Hash,
    /// How often the other side refused these values.
    pub attempts: u32,
    /// The class of the last refusal.
    pub class: String,
    /// The reason of the last refusal.
    pub reason: String,
    /// Not offered before.
    pub due: DateTime<Utc>,
    /// Not offered by itself any more; `obmen queue retry` or new values free it.
    pub quarantined: bool,
}

impl Retry {
    pub(super) fn first(class: RejectClass, reason: &str) -> Self {
        Self {
            plan: String::new(),
            row: 0,
            hash: 0,
            attempts: 1,
            class: class.name().to_owned(),
            reason: reason.to_owned(),
            due: DateTime::UNIX_EPOCH,
            quarantined: false,
        }
    }
}

/// How long a row rests after its n-th refusal. The first time it is simply in the next run.
fn pause(class: &str, attempts: u32) -> TimeDelta {
    let minutes = match (class, attempts) {
        (_, 0 | 1) => 0,
        ("temporary" | "conflict", 2) => 1,
        ("temporary" | "conflict", 3) => 5,
        ("temporary" | "conflict", _) => 15,
        (_, 2) => 10,
        (_, 3) => 60,
        (_, _) => 360,
    };
    TimeDelta::minutes(minutes)
}

impl State {
    /// All doubts of a scope by key.
    ///
    /// # Errors
    /// Those of the database.
    pub fn doubts(&self, scope: ScopeId) -> Result<HashMap<Hash, Doubt>> {
        let sql = "SELECT key, plan, row, since, reason FROM doubts WHERE scope = ?1";
        let mut statement = self.db.prepare(sql).map_err(sql_error)?;
        let rows = statement
            .query_map([scope.0], |row| {
                let doubt = Doubt {
                    plan: row.get(1)?,
                    row: row.get::<_, i64>(2)?.unsigned_abs(),
                    since: time(row.get(3)?),
                    reason: row.get(4)?,
                };
                Ok((read_hash(row, 0)?, doubt))
            })
            .map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }

    /// All scheduled retries of a scope by key.
    ///
    /// # Errors
    /// Those of the database.
    pub fn retries(&self, scope: ScopeId) -> Result<HashMap<Hash, Retry>> {
        let sql =
            "SELECT key, plan, row, hash, attempts, class, reason, due, quarantined FROM retries WHERE scope = ?1";
        let mut statement = self.db.prepare(sql).map_err(sql_error)?;
        let rows =
            statement.query_map([scope.0], |row| Ok((read_hash(row, 0)?, read_retry(row)?))).map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }

    /// Frees refused rows to be offered in the next run, quarantined ones too. `None`: all of the scope.
    ///
    /// # Errors
    /// Those of the database.
    pub fn retry_now(&self, scope: ScopeId, key: Option<Hash>) -> Result<usize> {
        self.transaction(|db| match key {
            Some(key) => db.execute("DELETE FROM retries WHERE scope = ?1 AND key = ?2", params![scope.0, blob(key)]),
            None => db.execute("DELETE FROM retries WHERE scope = ?1", params![scope.0]),
        })
    }

    /// Takes refused rows out of the queue until their values change. `None`: all of the scope.
    ///
    /// # Errors
    /// Those of the database.
    pub fn drop_retries(&self, scope: ScopeId, key: Option<Hash>) -> Result<usize> {
        self.transaction(|db| match key {
            Some(key) => db.execute(
                "UPDATE retries SET quarantined = 1 WHERE scope = ?1 AND key = ?2",
                params![scope.0, blob(key)],
            ),
            None => db.execute("UPDATE retries SET quarantined = 1 WHERE scope = ?1", params![scope.0]),
        })
    }

    /// Forgets retries of keys that no longer differ: the new plan supersedes what waited.
    ///
    /// # Errors
    /// Those of the database.
    pub fn forget_retries(&self, scope: ScopeId, keys: &[Hash]) -> Result<()> {
        self.transaction(|db| keys.iter().try_for_each(|key| forget_retry(db, scope, *key)))
    }

    /// Puts keys in doubt on a person's or a check's word.
    ///
    /// # Errors
    /// Those of the database.
    pub fn put_in_doubt(&self, scope: ScopeId, keys: &[Hash], reason: &str, now: DateTime<Utc>) -> Result<()> {
        self.transaction(|db| keys.iter().try_for_each(|key| insert(db, scope, *key, "", 0, now, reason)))
    }

    /// Removes doubts on evidence from elsewhere. `None`: all of the scope.
    ///
    /// # Errors
    /// Those of the database.
    pub fn clear_doubts(&self, scope: ScopeId, keys: Option<&[Hash]>) -> Result<()> {
        self.transaction(|db| match keys {
            Some(keys) => keys.iter().try_for_each(|key| remove(db, scope, *key)),
            None => db.execute("DELETE FROM doubts WHERE scope = ?1", [scope.0]).map(drop),
        })
    }
}

/// Whether any key is in doubt or waits to be offered again; if not, acks have nothing to clear.
pub(super) fn any(db: &Transaction<'_>) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM doubts) OR EXISTS (SELECT 1 FROM retries)";
    db.query_row(sql, [], |row| row.get(0))
}

pub(super) fn insert(
    db: &Transaction<'_>,
    scope: ScopeId,
    key: Hash,
    plan: &str,
    row: u64,
    now: DateTime<Utc>,
    reason: &str,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO doubts (scope, key, plan, row, since, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (scope, key) DO UPDATE SET plan = ?3, row = ?4, reason = ?6";
    let mut statement = db.prepare_cached(sql)?;
    statement.execute(params![scope.0, blob(key), plan, signed(row), micros(now), reason])?;
    Ok(())
}

pub(super) fn remove(db: &Transaction<'_>, scope: ScopeId, key: Hash) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("DELETE FROM doubts WHERE scope = ?1 AND key = ?2")?;
    statement.execute(params![scope.0, blob(key)])?;
    Ok(())
}

pub(super) fn forget_retry(db: &Transaction<'_>, scope: ScopeId, key: Hash) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("DELETE FROM retries WHERE scope = ?1 AND key = ?2")?;
    statement.execute(params![scope.0, blob(key)])?;
    Ok(())
}

/// Counts a refusal and sets when the row is offered again.
pub(super) fn schedule(
    db: &Transaction<'_>,
    scope: ScopeId,
    key: Hash,
    retry: &Retry,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let sql = "SELECT hash, attempts FROM retries WHERE scope = ?1 AND key = ?2";
    let before: Option<(Hash, u32)> = db
        .prepare_cached(sql)?
        .query_row(params![scope.0, blob(key)], |row| Ok((read_hash(row, 0)?, row.get(1)?)))
        .optional()?;
    let attempts = before.filter(|(hash, _)| *hash == retry.hash).map_or(1, |(_, attempts)| attempts + 1);
    let quarantined = attempts >= QUARANTINE_AFTER && matches!(retry.class.as_str(), "data" | "forbidden");
    let due = now + pause(&retry.class, attempts);
    let sql = "INSERT OR REPLACE INTO retries
               (scope, key, hash, plan, row, attempts, class, reason, due, quarantined)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    db.prepare_cached(sql)?.execute(params![
        scope.0,
        blob(key),
        blob(retry.hash),
        retry.plan,
        signed(retry.row),
        attempts,
        retry.class,
        retry.reason,
        micros(due),
        quarantined
    ])?;
    Ok(())
}

fn read_retry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Retry> {
    Ok(Retry {
        plan: row.get(1)?,
        row: row.get::<_, i64>(2)?.unsigned_abs(),
        hash: read_hash(row, 3)?,
        attempts: row.get(4)?,
        class: row.get(5)?,
        reason: row.get(6)?,
        due: time(row.get(7)?),
        quarantined: row.get(8)?,
    })
}
