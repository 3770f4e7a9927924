//! Tables in memory, a shop that writes down what it is told, and a project between them.
//!
//! A table has texts; a source reads them as the types its pipeline declares, so that a pipeline may declare others later.

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use obmen_runtime::connections::Connections;
use obmen_runtime::progress::Silent;
use obmen_runtime::report::{RunReport, SinkReport};
use obmen_runtime::run::{Engine, RunOptions};
use obmen_runtime::state::Durability;
use obmen_runtime::workspace::Workspace;
use obmen_sdk::{
    Batch, BatchStream, Changes, Connection, Cursor, Load, LoadId, Op, Operations, Outcome, RejectClass, Repetition,
    Result, RowId, Scan, Sink, SinkAbilities, SinkTarget, Snapshot, Source, SourceAbilities, SourceTarget, Stop,
    TargetAbilities,
};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// How a missing value is written.
pub(crate) const NULL: &str = "∅";

/// Where a process may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Everything is read, nothing is kept.
    Read,
    /// What was read is kept, the source does not know it.
    Confirm,
    /// The plan is written, the shop knows nothing.
    Begin,
    /// The shop did what it was told, and we did not hear of it.
    Answer,
}

/// Rows of one entity.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

impl Table {
    /// A table with columns `id value` and rows like `a 1`: words, [`NULL`] for none.
    pub(crate) fn of(columns: &str, rows: &[&str]) -> Self {
        let words = |row: &str| row.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let value = |word: String| (word != NULL).then_some(word);
        let rows = rows.iter().map(|row| words(row).into_iter().map(value).collect()).collect();
        Self { columns: words(columns), rows }
    }

    fn batch(&self, schema: &SchemaRef) -> RecordBatch {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let column = |name: &String| self.columns.iter().position(|column| column == name).unwrap();
        let columns = schema.fields().iter().map(|field| {
            let at = column(field.name());
            let texts: ArrayRef = Arc::new(self.rows.iter().map(|row| row[at].as_deref()).collect::<StringArray>());
            cast_with_options(&texts, field.data_type(), &strict).unwrap()
        });
        RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
    }
}

/// A pipeline from one table `rows` with the key `id` to one sink with the same key.
pub(crate) fn pipeline(columns: &str, changes: &str, sql: &str) -> String {
    format!(
        "pipeline: t\nsources:\n  rows: {{ connection: trade, entity: rows, columns: {{ {columns} }}, key: [id], {changes} }}\n\
         steps:\n  goods: |\n    {sql}\n\
         sinks:\n  shop: {{ connection: shop, entity: goods, from: goods, key: [id], deletes: delete, guard: off }}\n"
    )
}

/// What the tests see of the world, and change.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) tables: BTreeMap<String, Table>,
    /// Rows at the other side by key, their values written one after the other.
    pub(crate) shop: BTreeMap<String, String>,
    /// Keys the shop does not take now.
    pub(crate) refused: BTreeSet<String>,
    /// The shop does what it is told and says nothing.
    pub(crate) lose_answers: bool,
    /// What the last run sent: `update a 1|2`.
    pub(crate) sent: Vec<String>,
    /// Rows of a portion at most.
    pub(crate) portion: usize,
    /// How often a source was told that what it gave is safe.
    pub(crate) confirmed: usize,
    dies: Option<Moment>,
    is_dead: bool,
    key: usize,
}

#[derive(Clone, Debug)]
struct World(Arc<Mutex<Inside>>);

/// A project with one pipeline, its state and the world around it.
pub(crate) struct Place {
    world: World,
    folder: tempfile::TempDir,
    now: Cell<DateTime<Utc>>,
}

impl Place {
    /// A new place for a pipeline `t`.
    pub(crate) fn new(pipeline: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project =
            "project: t\nprofile: p\nprofiles:\n  p:\n    trade: { type: memory }\n    shop: { type: memory }\n";
        std::fs::write(folder.path().join("obmen.yaml"), project).unwrap();
        let inside = Inside {
            tables: BTreeMap::new(),
            shop: BTreeMap::new(),
            refused: BTreeSet::new(),
            lose_answers: false,
            sent: Vec::new(),
            portion: 1000,
            confirmed: 0,
            dies: None,
            is_dead: false,
            key: 1,
        };
        let now = Cell::new("2026-03-01T12:00:00Z".parse().unwrap());
        let place = Self { world: World(Arc::new(Mutex::new(inside))), folder, now };
        place.write(pipeline);
        place
    }

    /// Writes the pipeline anew.
    pub(crate) fn write(&self, pipeline: &str) {
        std::fs::write(self.folder.path().join("t.yaml"), pipeline).unwrap();
    }

    /// The world, to be looked at and changed.
    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.world.inside()
    }

    /// Gives a table these rows, as in [`Table::of`].
    pub(crate) fn table(&self, name: &str, columns: &str, rows: &[&str]) {
        self.inside().tables.insert(name.to_owned(), Table::of(columns, rows));
    }

    /// Hours pass.
    pub(crate) fn later(&self, hours: i64) {
        self.now.set(self.now.get() + TimeDelta::hours(hours));
    }

    /// Where the state is.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join(".obmen")
    }

    /// Files of the state's tables, the newest last.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let db = rusqlite::Connection::open(self.state().join("state.db")).unwrap();
        let mut files = db.prepare("SELECT file FROM segments ORDER BY id").unwrap();
        let files = files.query_map([], |row| row.get::<_, String>(0)).unwrap();
        files.map(|file| self.state().join(file.unwrap())).collect()
    }

    /// Runs the pipeline, which should succeed.
    pub(crate) fn run(&self) -> RunReport {
        self.try_run(&RunOptions::default()).unwrap()
    }

    /// Runs it, its sources read from the beginning.
    pub(crate) fn reread(&self) -> RunReport {
        self.try_run(&RunOptions { reread: true, ..RunOptions::default() }).unwrap()
    }

    /// Runs it; what was sent is that of this run.
    pub(crate) fn try_run(&self, options: &RunOptions) -> Result<RunReport> {
        self.inside().sent.clear();
        runtime().block_on(self.engine(options))
    }

    /// What a run sends, in the order of its keys; its counters balance.
    pub(crate) fn sends(&self) -> Vec<String> {
        let report = self.run();
        assert_eq!(report.error, None);
        assert!(report.sinks.iter().all(SinkReport::balances), "{:?}", report.sinks);
        self.sent()
    }

    /// What the last run sent, in the order of its keys.
    pub(crate) fn sent(&self) -> Vec<String> {
        let mut sent = self.inside().sent.clone();
        sent.sort();
        sent
    }

    /// Runs the pipeline in a process that dies; whether it came so far.
    pub(crate) fn dies_at(&self, moment: Moment) -> bool {
        self.inside().dies = Some(moment);
        runtime().block_on(async {
            let options = RunOptions::default();
            tokio::select! {
                _ = self.engine(&options) => {}
                () = self.died() => {}
            }
        });
        let mut inside = self.inside();
        inside.dies = None;
        std::mem::take(&mut inside.is_dead)
    }

    async fn died(&self) {
        while !self.inside().is_dead {
            tokio::task::yield_now().await;
        }
    }

    async fn engine(&self, options: &RunOptions) -> Result<RunReport> {
        let workspace = Workspace::load(self.folder.path())?;
        assert!(workspace.problems.is_empty(), "{:?}", workspace.problems);
        let (name, profile) = workspace.profile(None)?;
        let now = self.now.get();
        let clock = move || now;
        let engine = Engine {
            workspace: &workspace,
            profile: (&name, profile),
            state: self.state(),
            durability: Durability::Scratch,
            segments: None,
            connections: &self.world,
            clock: &clock,
            stop: Stop::default(),
            progress: &Silent,
            taken_for_acked: &BTreeSet::new(),
        };
        let pipeline = workspace.pipeline("t").unwrap().pipeline.as_ref().unwrap();
        engine.run(pipeline, options).await
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl World {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The process is here; if it is to die here, it never goes on.
    async fn pass(&self, moment: Moment) {
        let dies = {
            let mut inside = self.inside();
            inside.is_dead |= inside.dies == Some(moment);
            inside.is_dead
        };
        if dies {
            std::future::pending::<()>().await;
        }
    }
}

impl Connections for World {
    fn open(&self, _name: &str) -> Result<Arc<dyn Connection>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Connection for World {
    fn identity(&self) -> String {
        "memory".to_owned()
    }

    async fn check(&self) -> Result<String> {
        Ok("here".to_owned())
    }

    async fn entities(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn source(&self, target: SourceTarget) -> Result<Arc<dyn Source>> {
        let schema = target.columns.unwrap();
        let table = self.inside().tables.get(target.entity.as_str()).cloned();
        let rows = table.map_or_else(|| RecordBatch::new_empty(Arc::clone(&schema)), |table| table.batch(&schema));
        Ok(Arc::new(Rows { world: self.clone(), rows }))
    }

    async fn sink(&self, targets: Vec<SinkTarget>) -> Result<Arc<dyn Sink>> {
        self.inside().key = targets[0].key.len();
        Ok(Arc::new(self.clone()))
    }
}

#[derive(Debug)]
struct Rows {
    world: World,
    rows: RecordBatch,
}

#[async_trait]
impl Source for Rows {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn abilities(&self) -> SourceAbilities {
        SourceAbilities { snapshot: Snapshot::Exact, projection: true, resume: false, filter: false }
    }

    async fn read(&self, scan: Scan) -> Result<BatchStream> {
        // the engine filters what it gets, so the columns it filters by must be there
        let rows = match scan.columns {
            Some(columns) => self.rows.project(&columns)?,
            None => self.rows.clone(),
        };
        let (world, step) = (self.world.clone(), scan.batch_rows);
        let starts: Vec<usize> = (0..rows.num_rows()).step_by(step).collect();
        let batches = starts.into_iter().map(move |at| {
            let mut batch = Batch::of(rows.slice(at, step.min(rows.num_rows() - at)));
            batch.cursor = Some(Cursor(at.to_be_bytes().to_vec()));
            Ok(batch)
        });
        let end = futures::stream::once(async move { world.pass(Moment::Read).await }).filter_map(|()| async { None });
        Ok(futures::stream::iter(batches).chain(end).boxed())
    }

    async fn confirm(&self, _cursor: &Cursor) -> Result<()> {
        self.world.pass(Moment::Confirm).await;
        self.world.inside().confirmed += 1;
        Ok(())
    }
}

#[async_trait]
impl Sink for World {
    fn abilities(&self) -> SinkAbilities {
        let operations = Operations { mark: true, delete: true, children: true };
        SinkAbilities {
            targets: vec![TargetAbilities { operations, whole: false }],
            order: vec![0],
            portion_rows: self.inside().portion,
            repetition: Repetition::Harmless,
            exclusive: true,
            find: false,
        }
    }

    async fn begin(&self, _load: &LoadId) -> Result<Box<dyn Load>> {
        self.pass(Moment::Begin).await;
        Ok(Box::new(Session(self.clone())))
    }
}

struct Session(World);

impl Session {
    fn take(&self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        let mut inside = self.0.inside();
        let mut outcomes = Vec::new();
        for (at, (row, op)) in changes.ids.iter().zip(&changes.ops).enumerate() {
            let text = |column: &ArrayRef| {
                let text = array_value_to_string(column, at)?;
                Ok(if column.is_null(at) { NULL.to_owned() } else { text })
            };
            let texts = changes.rows.columns().iter().map(text).collect::<Result<Vec<_>>>()?;
            let (id, values) = (texts[..inside.key].join("|"), texts[inside.key..].join("|"));
            inside.sent.push(format!("{} {id} {values}", op.name()));
            if inside.refused.contains(&id) {
                outcomes.push((*row, Outcome::rejected(RejectClass::Temporary, "not now")));
                continue;
            }
            match op {
                Op::Delete => drop(inside.shop.remove(&id)),
                _ => drop(inside.shop.insert(id, values)),
            }
            let lost = Outcome::Unknown { reason: "silence".to_owned() };
            outcomes.push((*row, if inside.lose_answers { lost } else { Outcome::acked() }));
        }
        Ok(outcomes)
    }
}

#[async_trait]
impl Load for Session {
    async fn send(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        let outcomes = self.take(changes)?;
        self.0.pass(Moment::Answer).await;
        Ok(outcomes)
    }

    async fn finish(self: Box<Self>) -> Result<Vec<(RowId, Outcome)>> {
        Ok(Vec::new())
    }
}
