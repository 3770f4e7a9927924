//! Runs and plans.

use super::loads::signed;
use super::{ScopeId, State, micros, sql_error, time};
use chrono::{DateTime, Utc};
use obmen_sdk::Result;
use rusqlite::{OptionalExtension, Row, params};

/// One run as recorded.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// Its id.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// `run`, `plan`, `adopt`, …
    pub kind: String,
    /// `running`, `done`, `rejected`, `held`, `failed`, `interrupted`, `planned`.
    pub status: String,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub finished: Option<DateTime<Utc>>,
    /// Its report, as JSON.
    pub report: Option<String>,
}

/// Where a plan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanState {
    /// What is to be done: the newest of its pipeline.
    Open,
    /// Carried out, as far as the other side allowed.
    Done,
    /// A newer plan took its place.
    Superseded,
}

/// A plan as recorded.
#[derive(Clone, Debug)]
pub struct PlanRecord {
    /// Grows with every plan.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// The run that made it.
    pub run: String,
    /// The pipeline.
    pub pipeline: String,
    /// Where it stands.
    pub state: PlanState,
    /// Equal for plans that do the same.
    pub digest: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Its sinks.
    pub sinks: Vec<PlanSinkRecord>,
}

/// A plan's changes for one sink.
#[derive(Clone, Debug)]
pub struct PlanSinkRecord {
    /// The sink at its target.
    pub scope: ScopeId,
    /// The recipe its row hashes are of.
    pub recipe: i64,
    /// The file with the changes, in the state's folder; none if nothing changes.
    pub file: Option<String>,
    /// Rows of the file.
    pub rows: u64,
}

impl PlanState {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Superseded => "superseded",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "open" => Self::Open,
            "done" => Self::Done,
            _ => Self::Superseded,
        }
    }
}

impl State {
    /// Records that a run started.
    ///
    /// # Errors
    /// Those of the database.
    pub fn start_run(&self, id: &str, pipeline: &str, kind: &str, now: DateTime<Utc>) -> Result<()> {
        let sql = "INSERT INTO runs (id, pipeline, kind, status, started) VALUES (?1, ?2, ?3, 'running', ?4)";
        self.db.execute(sql, params![id, pipeline, kind, micros(now)]).map_err(sql_error)?;
        Ok(())
    }

    /// Records how a run ended.
    ///
    /// # Errors
    /// Those of the database.
    pub fn finish_run(&self, id: &str, status: &str, report: &str, now: DateTime<Utc>) -> Result<()> {
        let sql = "UPDATE runs SET status = ?2, report = ?3, finished = ?4 WHERE id = ?1";
        self.db.execute(sql, params![id, status, report, micros(now)]).map_err(sql_error)?;
        Ok(())
    }

    /// Runs that did not end because we crashed are recorded as such.
    ///
    /// # Errors
    /// Those of the database.
    pub fn close_crashed_runs(&self, now: DateTime<Utc>) -> Result<usize> {
        let sql = "UPDATE runs SET status = 'crashed', finished = ?1 WHERE status = 'running'";
        self.db.execute(sql, [micros(now)]).map_err(sql_error)
    }

    /// The newest runs first, at most `limit`, of one pipeline or all.
    ///
    /// # Errors
    /// Those of the database.
    pub fn runs(&self, pipeline: Option<&str>, limit: usize) -> Result<Vec<RunRecord>> {
        let sql = "SELECT id, pipeline, kind, status, started, finished, report FROM runs
                   WHERE ?1 IS NULL OR pipeline = ?1 ORDER BY started DESC, id DESC LIMIT ?2";
        let mut statement = self.db.prepare(sql).map_err(sql_error)?;
        let rows = statement
            .query_map(params![pipeline, i64::try_from(limit).unwrap_or(i64::MAX)], read_run)
            .map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }

    /// The number of the next plan: it stands in the plan's files, which are written before the plan is recorded.
    ///
    /// # Errors
    /// Those of the database.
    pub fn next_plan(&self) -> Result<i64> {
        let sql = "SELECT seq + 1 FROM sqlite_sequence WHERE name = 'plans'";
        Ok(self.db.query_row(sql, [], |row| row.get(0)).optional().map_err(sql_error)?.unwrap_or(1))
    }

    /// Records a plan whose files are synced; older open plans of the pipeline are superseded.
    ///
    /// # Errors
    /// Those of the database and of the store.
    pub fn add_plan(&self, plan: &PlanRecord) -> Result<()> {
        self.keep_plans(plan.sinks.iter().filter_map(|sink| sink.file.as_deref()))?;
        self.transaction(|db| {
            db.execute(
                "UPDATE plans SET state = 'superseded' WHERE pipeline = ?1 AND state = 'open'",
                [&plan.pipeline],
            )?;
            db.execute(
                "INSERT INTO plans (id, run, pipeline, state, digest, created, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![plan.id, plan.run, plan.pipeline, plan.state.name(), plan.digest, micros(plan.created), plan.seq],
            )?;
            for sink in &plan.sinks {
                db.execute(
                    "INSERT INTO plan_sinks (plan, scope, recipe, file, rows) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![plan.id, sink.scope.0, sink.recipe, sink.file, signed(sink.rows)],
                )?;
            }
            Ok(())
        })
    }

    /// Records where a plan stands.
    ///
    /// # Errors
    /// Those of the database.
    pub fn set_plan_state(&self, plan: &str, state: PlanState) -> Result<()> {
        let sql = "UPDATE plans SET state = ?2 WHERE id = ?1";
        self.db.execute(sql, params![plan, state.name()]).map_err(sql_error)?;
        Ok(())
    }

    /// A plan by its id.
    ///
    /// # Errors
    /// Those of the database.
    pub fn plan(&self, id: &str) -> Result<Option<PlanRecord>> {
        Ok(self.plan_records("WHERE id = ?1", [id])?.pop())
    }

    /// Plans, newest first: of one pipeline or all; at most `limit`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn plans(&self, pipeline: Option<&str>, limit: usize) -> Result<Vec<PlanRecord>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.plan_records("WHERE ?1 IS NULL OR pipeline = ?1 ORDER BY seq DESC LIMIT ?2", params![pipeline, limit])
    }

    /// Files of the plans of a sink from plan number `seq` on, and their rows.
    ///
    /// # Errors
    /// Those of the database.
    pub fn plan_files_since(&self, scope: ScopeId, seq: i64) -> Result<Vec<(String, u64)>> {
        let sql = "SELECT file, rows FROM plan_sinks JOIN plans ON plans.id = plan_sinks.plan \
                   WHERE scope = ?1 AND seq >= ?2 AND file IS NOT NULL ORDER BY seq";
        let mut statement = self.db.prepare_cached(sql).map_err(sql_error)?;
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
        let rows = statement.query_map(params![scope.0, seq], read).map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }

    /// The newest plan of a pipeline.
    ///
    /// # Errors
    /// Those of the database.
    pub fn newest_plan(&self, pipeline: &str) -> Result<Option<PlanRecord>> {
        Ok(self.plans(Some(pipeline), 1)?.pop())
    }

    /// How many rows each source brought in the last run that was not held, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub fn source_rows(&self, pipeline: &str, source: &str) -> Result<Option<u64>> {
        let sql = "SELECT rows FROM source_rows WHERE pipeline = ?1 AND source = ?2";
        let found = self.db.query_row(sql, [pipeline, source], |row| row.get::<_, i64>(0));
        Ok(found.optional().map_err(sql_error)?.map(i64::unsigned_abs))
    }

    /// Remembers how many rows a source brought.
    ///
    /// # Errors
    /// Those of the database.
    pub fn set_source_rows(&self, pipeline: &str, source: &str, rows: u64) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO source_rows (pipeline, source, rows) VALUES (?1, ?2, ?3)";
        self.db.execute(sql, params![pipeline, source, signed(rows)]).map_err(sql_error)?;
        Ok(())
    }

    fn plan_records<P: rusqlite::Params>(&self, filter: &str, params: P) -> Result<Vec<PlanRecord>> {
        let sql = format!("SELECT seq, id, run, pipeline, state, digest, created FROM plans {filter}");
        let mut statement = self.db.prepare(&sql).map_err(sql_error)?;
        let rows = statement.query_map(params, read_plan).map_err(sql_error)?;
        let mut plans = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(sql_error)?;
        for plan in &mut plans {
            plan.sinks = self.plan_sinks(&plan.id)?;
        }
        Ok(plans)
    }

    fn plan_sinks(&self, plan: &str) -> Result<Vec<PlanSinkRecord>> {
        let sql = "SELECT scope, recipe, file, rows FROM plan_sinks WHERE plan = ?1 ORDER BY rowid";
        let mut statement = self.db.prepare_cached(sql).map_err(sql_error)?;
        let rows = statement
            .query_map([plan], |row| {
                Ok(PlanSinkRecord {
                    scope: ScopeId(row.get(0)?),
                    recipe: row.get(1)?,
                    file: row.get(2)?,
                    rows: row.get::<_, i64>(3)?.unsigned_abs(),
                })
            })
            .map_err(sql_error)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql_error)
    }
}

fn read_plan(row: &Row<'_>) -> rusqlite::Result<PlanRecord> {
    Ok(PlanRecord {
        seq: row.get(0)?,
        id: row.get(1)?,
        run: row.get(2)?,
        pipeline: row.get(3)?,
        state: PlanState::of(&row.get::<_, String>(4)?),
        digest: row.get(5)?,
        created: time(row.get(6)?),
        sinks: Vec::new(),
    })
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    Ok(RunRecord {
        id: row.get(0)?,
        pipeline: row.get(1)?,
        kind: row.get(2)?,
        status: row.get(3)?,
        started: time(row.get(4)?),
        finished: row.get::<_, Option<i64>>(5)?.map(time),
        report: row.get(6)?,
    })
}
