//! Loads: committed as in doubt before anything leaves, settled when the other side answered.

use super::doubts::{self, Retry};
use super::{ScopeId, State, hash_bytes, micros, sql_error, time};
use crate::hash::Hash;
use chrono::{DateTime, Utc};
use obmen_sdk::{Outcome, Result};
use rusqlite::{Transaction, params};
use std::collections::BTreeSet;

/// The outcome of a row that stands between the rows of a load and did not go with it.
const LEFT_OUT: &str = "left_out";

/// Where a load stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadState {
    /// Sent, or about to be: nobody knows yet.
    InDoubt,
    /// The outcome of every row is known (one of them may be "unknown").
    Settled,
    /// We crashed before the answer was recorded: its rows are in doubt.
    Lost,
    /// Nothing left this machine.
    NotSent,
}

/// The due rows of one sink that a load carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadPart {
    /// The sink.
    pub scope: ScopeId,
    /// First row in the plan file.
    pub first: u64,
    /// Last row in the plan file; only due rows between them belong to the load.
    pub last: u64,
    /// How many due rows that are.
    pub rows: u64,
}

/// A load as recorded.
#[derive(Clone, Debug)]
pub struct LoadRecord {
    /// Its name.
    pub id: String,
    /// The plan it carries a portion of.
    pub plan: String,
    /// Where it stands.
    pub state: LoadState,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: Option<DateTime<Utc>>,
    /// What it carries.
    pub parts: Vec<LoadPart>,
}

/// A row that was not simply acked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRecord {
    /// The sink.
    pub scope: ScopeId,
    /// The row in the plan file.
    pub row: u64,
    /// `acked` (with a remote id), `accepted`, `rejected`, `altered`, `unknown` or `left_out`.
    pub outcome: String,
    /// The class of a refusal.
    pub class: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The other side's id or ticket.
    pub remote_id: Option<String>,
}

/// The outcome of one row of a load, with what the state must know of the row.
#[derive(Clone, Debug)]
pub struct SettledRow {
    /// The sink.
    pub scope: ScopeId,
    /// The row in the plan file.
    pub row: u64,
    /// The hash of its key.
    pub key: Hash,
    /// The hash of its values.
    pub hash: Hash,
    /// What became of it.
    pub outcome: Outcome,
}

impl LoadState {
    fn name(self) -> &'static str {
        match self {
            Self::InDoubt => "in_doubt",
            Self::Settled => "settled",
            Self::Lost => "lost",
            Self::NotSent => "not_sent",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "settled" => Self::Settled,
            "lost" => Self::Lost,
            "not_sent" => Self::NotSent,
            _ => Self::InDoubt,
        }
    }
}

impl State {
    /// Commits that a portion is about to leave: from now on its keys are in doubt. `left_out`: due rows between the
    /// first and the last of a part that do not go with it.
    ///
    /// # Errors
    /// Those of the database; nothing may be sent then.
    pub fn begin_load(
        &self,
        load: &str,
        plan: &str,
        parts: &[LoadPart],
        left_out: &[(ScopeId, u64)],
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.transaction(|db| {
            db.execute(
                "INSERT INTO loads (id, plan, state, started) VALUES (?1, ?2, 'in_doubt', ?3)",
                params![load, plan, micros(now)],
            )?;
            for part in parts {
                db.execute(
                    "INSERT INTO load_parts (load, scope, first, last, rows) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![load, part.scope.0, signed(part.first), signed(part.last), signed(part.rows)],
                )?;
            }
            for (scope, row) in left_out {
                let sql = "INSERT INTO outcomes (load, scope, row, outcome) VALUES (?1, ?2, ?3, ?4)";
                db.prepare_cached(sql)?.execute(params![load, scope.0, signed(*row), LEFT_OUT])?;
            }
            Ok(())
        })
    }

    /// Records that nothing of a load left this machine.
    ///
    /// # Errors
    /// Those of the database; the load stays in doubt then.
    pub fn load_not_sent(&self, load: &str, now: DateTime<Utc>) -> Result<()> {
        self.transaction(|db| set_state(db, load, LoadState::NotSent, now))
    }

    /// Records what became of every row of a load, and what follows: acked keys leave doubt and
    /// retry, refused ones are scheduled, unknown and altered ones are in doubt.
    ///
    /// # Errors
    /// Those of the database; the whole load stays in doubt then.
    pub fn settle_load(&self, load: &str, plan: &str, rows: &[SettledRow], now: DateTime<Utc>) -> Result<()> {
        self.settle(load, plan, rows, now, true)
    }

    /// As [`settle_load`](Self::settle_load), for a portion refused as one that is sent again in
    /// halves: its rows are not counted as refused yet.
    ///
    /// # Errors
    /// Those of the database; the whole load stays in doubt then.
    pub fn settle_halved(&self, load: &str, plan: &str, rows: &[SettledRow], now: DateTime<Utc>) -> Result<()> {
        self.settle(load, plan, rows, now, false)
    }

    fn settle(&self, load: &str, plan: &str, rows: &[SettledRow], now: DateTime<Utc>, last: bool) -> Result<()> {
        self.transaction(|db| {
            let waiting = doubts::any(db)?;
            for row in rows {
                if waiting || !matches!(row.outcome, Outcome::Acked { remote_id: None }) {
                    settle_row(db, load, plan, row, now, last)?;
                }
            }
            set_state(db, load, LoadState::Settled, now)
        })
    }

    /// Loads that were under way when we crashed: their keys, given by `rows`, become doubts.
    ///
    /// # Errors
    /// Those of the database.
    pub fn lose_load(&self, load: &str, plan: &str, rows: &[(ScopeId, u64, Hash)], now: DateTime<Utc>) -> Result<()> {
        self.transaction(|db| {
            for (scope, row, key) in rows {
                doubts::insert(db, *scope, *key, plan, *row, now, "we stopped before the answer was recorded")?;
            }
            set_state(db, load, LoadState::Lost, now)
        })
    }

    /// Loads in doubt: those a crash left behind.
    ///
    /// # Errors
    /// Those of the database.
    pub fn open_loads(&self) -> Result<Vec<LoadRecord>> {
        self.load_records("WHERE state = 'in_doubt' ORDER BY rowid", [])
    }

    /// The loads of a plan, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn loads_of(&self, plan: &str) -> Result<Vec<LoadRecord>> {
        self.load_records("WHERE plan = ?1 ORDER BY rowid", [plan])
    }

    /// Settled loads whose acked rows of `scope` are not in the baseline's files yet, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn unflushed_loads(&self, scope: ScopeId) -> Result<Vec<LoadRecord>> {
        let filter = "WHERE state = 'settled' AND id IN \
                      (SELECT load FROM load_parts WHERE scope = ?1 AND flushed = 0) ORDER BY rowid";
        let mut loads = self.load_records(filter, [scope.0])?;
        for load in &mut loads {
            load.parts.retain(|part| part.scope == scope);
        }
        Ok(loads)
    }

    /// Due rows between the first and the last of a load's part that did not go with it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn left_out(&self, load: &str, scope: ScopeId) -> Result<BTreeSet<u64>> {
        let sql = "SELECT row FROM outcomes WHERE load = ?1 AND scope = ?2 AND outcome = ?3";
        let mut statement = self.db.prepare_cached(sql).map_err(sql_error)?;
        let rows = statement
            .query_map(params![load, scope.0, LEFT_OUT], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))
            .map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }

    /// Rows of a load that were not simply acked, those left out of it among them.
    ///
    /// # Errors
    /// Those of the database.
    pub fn outcomes(&self, load: &str) -> Result<Vec<OutcomeRecord>> {
        let sql =
            "SELECT scope, row, outcome, class, reason, remote_id FROM outcomes WHERE load = ?1 ORDER BY scope, row";
        let mut statement = self.db.prepare_cached(sql).map_err(sql_error)?;
        let rows = statement
            .query_map([load], |row| {
                Ok(OutcomeRecord {
                    scope: ScopeId(row.get(0)?),
                    row: row.get::<_, i64>(1)?.unsigned_abs(),
                    outcome: row.get(2)?,
                    class: row.get(3)?,
                    reason: row.get(4)?,
                    remote_id: row.get(5)?,
                })
            })
            .map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }

    fn load_records<P: rusqlite::Params>(&self, filter: &str, params: P) -> Result<Vec<LoadRecord>> {
        let sql = format!("SELECT id, plan, state, started, finished FROM loads {filter}");
        let mut statement = self.db.prepare(&sql).map_err(sql_error)?;
        let rows = statement
            .query_map(params, |row| {
                Ok(LoadRecord {
                    id: row.get(0)?,
                    plan: row.get(1)?,
                    state: LoadState::of(&row.get::<_, String>(2)?),
                    started: time(row.get(3)?),
                    finished: row.get::<_, Option<i64>>(4)?.map(time),
                    parts: Vec::new(),
                })
            })
            .map_err(sql_error)?;
        let mut loads = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(sql_error)?;
        for load in &mut loads {
            load.parts = self.load_parts(&load.id)?;
        }
        Ok(loads)
    }

    fn load_parts(&self, load: &str) -> Result<Vec<LoadPart>> {
        let sql = "SELECT scope, first, last, rows FROM load_parts WHERE load = ?1 ORDER BY scope";
        let mut statement = self.db.prepare_cached(sql).map_err(sql_error)?;
        let rows = statement
            .query_map([load], |row| {
                Ok(LoadPart {
                    scope: ScopeId(row.get(0)?),
                    first: row.get::<_, i64>(1)?.unsigned_abs(),
                    last: row.get::<_, i64>(2)?.unsigned_abs(),
                    rows: row.get::<_, i64>(3)?.unsigned_abs(),
                })
            })
            .map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }
}

fn settle_row(
    db: &Transaction<'_>,
    load: &str,
    plan: &str,
    row: &SettledRow,
    now: DateTime<Utc>,
    last: bool,
) -> rusqlite::Result<()> {
    match &row.outcome {
        Outcome::Acked { remote_id } => {
            doubts::remove(db, row.scope, row.key)?;
            doubts::forget_retry(db, row.scope, row.key)?;
            match remote_id {
                Some(id) => record(db, load, row, "acked", None, None, Some(id)),
                None => Ok(()),
            }
        }
        Outcome::Accepted { ticket } => {
            doubts::insert(db, row.scope, row.key, plan, row.row, now, "accepted, the final word is to come")?;
            record(db, load, row, "accepted", None, None, Some(ticket))
        }
        Outcome::Rejected { altered, class, reason } => {
            if *altered {
                doubts::insert(db, row.scope, row.key, plan, row.row, now, reason)?;
            }
            if last {
                let retry =
                    Retry { plan: plan.to_owned(), row: row.row, hash: row.hash, ..Retry::first(*class, reason) };
                doubts::schedule(db, row.scope, row.key, &retry, now)?;
            }
            record(db, load, row, if *altered { "altered" } else { "rejected" }, Some(class.name()), Some(reason), None)
        }
        Outcome::Unknown { reason } => {
            doubts::insert(db, row.scope, row.key, plan, row.row, now, reason)?;
            record(db, load, row, "unknown", None, Some(reason), None)
        }
    }
}

fn record(
    db: &Transaction<'_>,
    load: &str,
    row: &SettledRow,
    outcome: &str,
    class: Option<&str>,
    reason: Option<&str>,
    remote_id: Option<&str>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO outcomes (load, scope, row, outcome, class, reason, remote_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let mut statement = db.prepare_cached(sql)?;
    statement.execute(params![load, row.scope.0, signed(row.row), outcome, class, reason, remote_id])?;
    Ok(())
}

fn set_state(db: &Transaction<'_>, load: &str, state: LoadState, now: DateTime<Utc>) -> rusqlite::Result<()> {
    let sql = "UPDATE loads SET state = ?2, finished = ?3 WHERE id = ?1";
    db.execute(sql, params![load, state.name(), micros(now)])?;
    Ok(())
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn blob(hash: Hash) -> [u8; 16] {
    hash_bytes(hash)
}
