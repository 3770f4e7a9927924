//! Changes deliberately not attempted, waiting for a named person, and what people decided.

use super::loads::signed;
use super::{ScopeId, State, micros, sql_error, time};
use chrono::{DateTime, Utc};
use obmen_sdk::Result;
use rusqlite::{Row, params};

/// Why changes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldReason {
    /// More deletes than the guard lets through.
    Deletes,
    /// More updates than the guard lets through.
    Updates,
    /// A source that brought rows before brings nothing.
    EmptySource,
    /// The first load of a production target.
    FirstLoad,
    /// A column was added: every row would be sent.
    Recipe,
}

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// Waiting for a person.
    Open,
    /// The next run sends its rows, as far as they still equal it.
    Approved,
    /// The next run takes its rows for delivered (a recipe's new column, a first load).
    Adopted,
    /// Its rows stay held without asking again, until they change.
    Rejected,
    /// A newer plan took its place.
    Superseded,
}

/// Changes waiting for a person.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Its number.
    pub id: i64,
    /// The sink at its target.
    pub scope: ScopeId,
    /// The plan whose file has the rows.
    pub plan: String,
    /// Why.
    pub reason: HoldReason,
    /// Equal for holds of the same changes.
    pub digest: String,
    /// How many changes.
    pub rows: u64,
    /// Why, for a person.
    pub detail: String,
    /// Where it stands.
    pub state: HoldState,
    /// Since when.
    pub opened: DateTime<Utc>,
    /// When a person decided.
    pub decided: Option<DateTime<Utc>>,
    /// Who decided.
    pub by: Option<String>,
}

/// What a person decided.
#[derive(Clone, Debug)]
pub struct Decision {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: String,
    /// What, in a word or two.
    pub what: String,
    /// About what.
    pub detail: String,
}

impl HoldReason {
    /// `deletes`, `updates`, `empty-source`, `first-load` or `recipe`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deletes => "deletes",
            Self::Updates => "updates",
            Self::EmptySource => "empty-source",
            Self::FirstLoad => "first-load",
            Self::Recipe => "recipe",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "deletes" => Self::Deletes,
            "updates" => Self::Updates,
            "empty-source" => Self::EmptySource,
            "first-load" => Self::FirstLoad,
            _ => Self::Recipe,
        }
    }
}

impl HoldState {
    /// `open`, `approved`, `adopted`, `rejected` or `superseded`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Adopted => "adopted",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "open" => Self::Open,
            "approved" => Self::Approved,
            "adopted" => Self::Adopted,
            "rejected" => Self::Rejected,
            _ => Self::Superseded,
        }
    }
}

impl State {
    /// Replaces the open holds of a scope by those of a new plan. A hold of the same changes stays the
    /// same hold, with its number and decision; approvals stay until they are carried out.
    ///
    /// # Errors
    /// Those of the database.
    pub fn set_holds(&self, scope: ScopeId, holds: &[Hold]) -> Result<()> {
        self.transaction(|db| {
            let again = |hold: &Hold| {
                db.execute(
                    "UPDATE holds SET plan = ?4, rows = ?5, detail = ?6
                     WHERE scope = ?1 AND reason = ?2 AND digest = ?3 AND state IN ('open', 'rejected')",
                    params![scope.0, hold.reason.name(), hold.digest, hold.plan, signed(hold.rows), hold.detail],
                )
            };
            let mut new = Vec::new();
            for hold in holds {
                if again(hold)? == 0 {
                    new.push(hold);
                }
            }
            // what was not said again by this plan is over
            let plan = holds.first().map_or("", |hold| hold.plan.as_str());
            db.execute(
                "UPDATE holds SET state = 'superseded'
                 WHERE scope = ?1 AND plan <> ?2 AND state IN ('open', 'rejected')",
                params![scope.0, plan],
            )?;
            for hold in new {
                db.execute(
                    "INSERT INTO holds (scope, plan, reason, digest, rows, detail, state, opened, decided, by)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                    params![
                        scope.0,
                        hold.plan,
                        hold.reason.name(),
                        hold.digest,
                        signed(hold.rows),
                        hold.detail,
                        hold.state.name(),
                        micros(hold.opened),
                        hold.decided.map(micros),
                        hold.by
                    ],
                )?;
            }
            Ok(())
        })
    }

    /// Approvals of a scope that were carried out are over.
    ///
    /// # Errors
    /// Those of the database.
    pub fn close_approvals(&self, scope: ScopeId) -> Result<()> {
        let sql = "UPDATE holds SET state = 'superseded' WHERE scope = ?1 AND state IN ('approved', 'adopted')";
        self.db.execute(sql, [scope.0]).map_err(sql_error)?;
        Ok(())
    }

    /// Holds that matter now: open, approved, adopted or rejected; of a scope or all.
    ///
    /// # Errors
    /// Those of the database.
    pub fn holds(&self, scope: Option<ScopeId>) -> Result<Vec<Hold>> {
        let sql = "SELECT id, scope, plan, reason, digest, rows, detail, state, opened, decided, by FROM holds
                   WHERE state <> 'superseded' AND (?1 IS NULL OR scope = ?1) ORDER BY id";
        let mut statement = self.db.prepare(sql).map_err(sql_error)?;
        let rows = statement.query_map([scope.map(|scope| scope.0)], read_hold).map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }

    /// Records a person's decision about a hold. `false` if there is no such hold waiting.
    ///
    /// # Errors
    /// Those of the database.
    pub fn decide_hold(&self, id: i64, state: HoldState, by: &str, now: DateTime<Utc>) -> Result<bool> {
        self.transaction(|db| {
            let changed = db.execute(
                "UPDATE holds SET state = ?2, by = ?3, decided = ?4 WHERE id = ?1 AND state <> 'superseded'",
                params![id, state.name(), by, micros(now)],
            )?;
            if changed > 0 {
                let detail = format!("hold {id}");
                let what = format!("hold {}", state.name());
                db.execute(
                    "INSERT INTO decisions (at, by, what, detail) VALUES (?1, ?2, ?3, ?4)",
                    params![micros(now), by, what, detail],
                )?;
            }
            Ok(changed > 0)
        })
    }

    /// Records a decision.
    ///
    /// # Errors
    /// Those of the database.
    pub fn record_decision(&self, decision: &Decision) -> Result<()> {
        let sql = "INSERT INTO decisions (at, by, what, detail) VALUES (?1, ?2, ?3, ?4)";
        let values = params![micros(decision.at), decision.by, decision.what, decision.detail];
        self.db.execute(sql, values).map_err(sql_error)?;
        Ok(())
    }

    /// All decisions, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn decisions(&self) -> Result<Vec<Decision>> {
        let mut statement =
            self.db.prepare("SELECT at, by, what, detail FROM decisions ORDER BY id").map_err(sql_error)?;
        let rows = statement
            .query_map([], |row| {
                Ok(Decision { at: time(row.get(0)?), by: row.get(1)?, what: row.get(2)?, detail: row.get(3)? })
            })
            .map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }
}

fn read_hold(row: &Row<'_>) -> rusqlite::Result<Hold> {
    Ok(Hold {
        id: row.get(0)?,
        scope: ScopeId(row.get(1)?),
        plan: row.get(2)?,
        reason: HoldReason::of(&row.get::<_, String>(3)?),
        digest: row.get(4)?,
        rows: row.get::<_, i64>(5)?.unsigned_abs(),
        detail: row.get(6)?,
        state: HoldState::of(&row.get::<_, String>(7)?),
        opened: time(row.get(8)?),
        decided: row.get::<_, Option<i64>>(9)?.map(time),
        by: row.get(10)?,
    })
}
