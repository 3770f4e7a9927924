//! A source and a shop in memory that do as told, and a project with one pipeline between them.

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use obmen_runtime::connections::Connections;
use obmen_runtime::progress::Silent;
use obmen_runtime::report::RunReport;
use obmen_runtime::run::{Engine, RunOptions};
use obmen_runtime::state::{Durability, HoldState, SegmentStore, State};
use obmen_runtime::workspace::Workspace;
use obmen_sdk::{
    BadRow, Batch, BatchStream, Changes, Connection, Error, ErrorKind, Load, LoadId, Op, Operations, Outcome,
    RejectClass, Repetition, Result, RowId, Scan, Secret, Secrets, Sink, SinkAbilities, SinkTarget, Snapshot, Source,
    SourceAbilities, SourceTarget, Stop, TargetAbilities,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

/// How the shop misbehaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It does what it is told and says nothing.
    LoseAnswer,
    /// It refuses every portion with this key, whole.
    RefusePortionWith(String),
    /// Nobody answers.
    Away,
}

#[derive(Debug)]
struct Inside {
    rows: Vec<(Option<String>, String)>,
    shop: BTreeMap<String, String>,
    fault: Fault,
    bad: usize,
    extra: bool,
    now: DateTime<Utc>,
    /// Steps of the shop until the process dies.
    steps: Option<usize>,
}

/// The world of a test.
pub(crate) struct World {
    inside: Arc<Mutex<Inside>>,
    folder: tempfile::TempDir,
    production: bool,
    /// What `segments` of the profile says, if anything.
    segments: Option<String>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(false)
    }

    pub(crate) fn production() -> Self {
        Self::with(true)
    }

    fn with(production: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inside = Inside {
            rows: Vec::new(),
            shop: BTreeMap::new(),
            fault: Fault::None,
            bad: 0,
            extra: false,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            steps: None,
        };
        let world = Self { inside: Arc::new(Mutex::new(inside)), folder, production, segments: None };
        world.write_pipeline("SELECT id, value FROM rows");
        world
    }

    fn write_pipeline(&self, sql: &str) {
        let segments = self.segments.as_ref().map_or(String::new(), |said| format!("    segments: {said}\n"));
        let project = format!(
            "project: t\nprofile: p\nprofiles:\n  p:\n    production: {}\n{segments}    trade: {{ type: memory }}\n    shop: {{ type: memory }}\n",
            self.production
        );
        let pipeline = format!(
            "pipeline: t\nsources:\n  rows: {{ connection: trade, entity: rows, columns: {{ id: string, value: string }}, key: [id], on_bad_row: reject }}\nsteps:\n  goods: |\n    {sql}\nsinks:\n  shop: {{ connection: shop, entity: goods, from: goods, key: [id], deletes: delete }}\n"
        );
        std::fs::write(self.folder.path().join("obmen.yaml"), project).unwrap();
        std::fs::write(self.folder.path().join("t.yaml"), pipeline).unwrap();
    }

    /// From the next run on the state's files are kept in a store; `None`: in its folder alone.
    pub(crate) fn keep_in(&mut self, segments: Option<String>) {
        self.segments = segments;
        self.write_pipeline("SELECT id, value FROM rows");
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn set(&self, key: &str, value: &str) {
        let mut inside = self.inside();
        inside.rows.retain(|(id, _)| id.as_deref() != Some(key));
        inside.rows.push((Some(key.to_owned()), value.to_owned()));
    }

    pub(crate) fn twice(&self, key: &str, value: &str) {
        self.inside().rows.push((Some(key.to_owned()), value.to_owned()));
    }

    pub(crate) fn without_key(&self, value: &str) {
        self.inside().rows.push((None, value.to_owned()));
    }

    pub(crate) fn remove(&self, key: &str) {
        self.inside().rows.retain(|(id, _)| id.as_deref() != Some(key));
    }

    pub(crate) fn bad_rows(&self, count: usize) {
        self.inside().bad = count;
    }

    pub(crate) fn with_extra_column(&self) {
        self.inside().extra = true;
        self.write_pipeline("SELECT id, value, 'x' AS weight FROM rows");
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.inside().fault = fault;
    }

    /// Minutes pass.
    pub(crate) fn later(&self, minutes: i64) {
        self.inside().now += TimeDelta::minutes(minutes);
    }

    pub(crate) fn shop(&self) -> BTreeMap<String, String> {
        self.inside().shop.clone()
    }

    pub(crate) fn source(&self) -> BTreeMap<String, String> {
        self.inside().rows.iter().filter_map(|(id, value)| Some((id.clone()?, value.clone()))).collect()
    }

    pub(crate) fn run(&self) -> RunReport {
        self.try_run(&RunOptions::default()).unwrap()
    }

    pub(crate) fn plan(&self) -> String {
        self.try_run(&RunOptions { plan_only: true, ..RunOptions::default() }).unwrap().plan.unwrap()
    }

    pub(crate) fn run_plan(&self, plan: &str) -> Result<RunReport> {
        self.try_run(&RunOptions { plan: Some(plan.to_owned()), ..RunOptions::default() })
    }

    /// Runs and dies after so many steps of the shop: the run's future is dropped where it stands.
    pub(crate) fn crash_after(&self, steps: usize) {
        self.inside().steps = Some(steps);
        let runtime = runtime();
        let outcome = runtime.block_on(async {
            let options = RunOptions::default();
            let run = self.engine_run(&options);
            tokio::select! {
                report = run => Some(report),
                () = self.died() => None,
            }
        });
        drop(outcome);
        self.inside().steps = None;
    }

    async fn died(&self) {
        loop {
            if self.inside().steps == Some(0) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn approve_holds(&self) {
        self.decide(HoldState::Approved);
    }

    pub(crate) fn adopt_holds(&self) {
        self.decide(HoldState::Adopted);
    }

    pub(crate) fn open_holds(&self) -> Vec<i64> {
        let state = State::open(&self.state_folder(), Durability::Scratch).unwrap();
        let holds = state.holds(None).unwrap();
        holds.into_iter().filter(|hold| hold.state == HoldState::Open).map(|hold| hold.id).collect()
    }

    fn decide(&self, decision: HoldState) {
        let state = State::open(&self.state_folder(), Durability::Scratch).unwrap();
        for hold in state.holds(None).unwrap() {
            assert!(state.decide_hold(hold.id, decision, "somebody", self.inside().now).unwrap());
        }
    }

    pub(crate) fn retry_everything(&self) {
        let state = State::open(&self.state_folder(), Durability::Scratch).unwrap();
        for (scope, ..) in state.scopes().unwrap() {
            state.retry_now(scope, None).unwrap();
        }
        for hold in state.holds(None).unwrap() {
            state.decide_hold(hold.id, HoldState::Approved, "somebody", self.inside().now).unwrap();
        }
        // a hold for an emptied source is approved row by row; later runs may hold other rows
        drop(state);
        self.run();
        self.decide(HoldState::Approved);
    }

    pub(crate) fn state_folder(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn try_run(&self, options: &RunOptions) -> Result<RunReport> {
        runtime().block_on(self.engine_run(options))
    }

    async fn engine_run(&self, options: &RunOptions) -> Result<RunReport> {
        let workspace = Workspace::load(self.folder.path())?;
        assert!(workspace.problems.is_empty(), "{:?}", workspace.problems);
        let (name, profile) = workspace.profile(None)?;
        let clock = || self.inside().now;
        let connections = Everything(Arc::clone(&self.inside));
        let engine = Engine {
            workspace: &workspace,
            profile: (&name, profile),
            state: self.state_folder(),
            durability: Durability::Scratch,
            segments: SegmentStore::of(profile, Arc::new(NoSecrets)),
            connections: &connections,
            clock: &clock,
            stop: Stop::default(),
            progress: &Silent,
            taken_for_acked: &BTreeSet::new(),
        };
        let pipeline = workspace.pipeline("t").unwrap().pipeline.as_ref().unwrap();
        engine.run(pipeline, options).await
    }
}

/// `${…}` stands for itself.
#[derive(Debug)]
struct NoSecrets;

impl Secrets for NoSecrets {
    fn resolve(&self, text: &str) -> Result<Secret> {
        Ok(Secret::new(text))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[derive(Clone, Debug)]
struct Everything(Arc<Mutex<Inside>>);

impl Everything {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// One step of the shop; when the process is to die here, it never goes on.
    async fn step(&self) {
        let dead = match &mut self.inside().steps {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                *left == 0
            }
        };
        if dead {
            std::future::pending::<()>().await;
        }
    }
}

impl Connections for Everything {
    fn open(&self, _name: &str) -> Result<Arc<dyn Connection>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Connection for Everything {
    fn identity(&self) -> String {
        "memory".to_owned()
    }

    async fn check(&self) -> Result<String> {
        Ok("here".to_owned())
    }

    async fn entities(&self) -> Result<Vec<String>> {
        Ok(vec!["rows".to_owned()])
    }

    async fn source(&self, _target: SourceTarget) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.clone()))
    }

    async fn sink(&self, _targets: Vec<SinkTarget>) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Source for Everything {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, true), Field::new("value", DataType::Utf8, true)]))
    }

    fn abilities(&self) -> SourceAbilities {
        SourceAbilities { snapshot: Snapshot::Exact, projection: false, resume: false, filter: false }
    }

    async fn read(&self, _scan: Scan) -> Result<BatchStream> {
        let inside = self.inside();
        let ids: ArrayRef = Arc::new(inside.rows.iter().map(|(id, _)| id.clone()).collect::<StringArray>());
        let values: ArrayRef =
            Arc::new(inside.rows.iter().map(|(_, value)| Some(value.clone())).collect::<StringArray>());
        let mut batch = Batch::of(RecordBatch::try_new(self.schema(), vec![ids, values])?);
        batch.bad = vec![BadRow { place: "rows:1".to_owned(), column: None, reason: "broken".to_owned() }; inside.bad];
        Ok(futures::stream::once(async move { Ok(batch) }).boxed())
    }
}

#[async_trait]
impl Sink for Everything {
    fn abilities(&self) -> SinkAbilities {
        SinkAbilities {
            targets: vec![TargetAbilities {
                operations: Operations { mark: true, delete: true, children: true },
                whole: false,
            }],
            order: vec![0],
            portion_rows: 1000,
            repetition: Repetition::Harmless,
            exclusive: true,
            find: false,
        }
    }

    async fn begin(&self, _load: &LoadId) -> Result<Box<dyn Load>> {
        self.step().await;
        if self.inside().fault == Fault::Away {
            return Err(Error::new(ErrorKind::Unavailable, "nobody answers"));
        }
        Ok(Box::new(Session { shop: self.clone(), changes: Vec::new() }))
    }
}

struct Session {
    shop: Everything,
    changes: Vec<(RowId, Op, String, String)>,
}

#[async_trait]
impl Load for Session {
    async fn send(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        self.shop.step().await;
        let ids = changes.rows.column_by_name("id").unwrap().as_string::<i32>();
        let values = changes.rows.column_by_name("value").unwrap().as_string::<i32>();
        for (at, (id, op)) in changes.ids.iter().zip(&changes.ops).enumerate() {
            self.changes.push((*id, *op, ids.value(at).to_owned(), values.value(at).to_owned()));
        }
        Ok(Vec::new())
    }

    async fn finish(self: Box<Self>) -> Result<Vec<(RowId, Outcome)>> {
        self.shop.step().await;
        let fault = self.shop.inside().fault.clone();
        if let Fault::RefusePortionWith(key) = &fault
            && self.changes.iter().any(|(_, _, id, _)| id == key)
        {
            let refused = || Outcome::rejected(RejectClass::Data, format!("{key} is not wanted"));
            return Ok(self.changes.iter().map(|(row, ..)| (*row, refused())).collect());
        }
        for (_, op, id, value) in &self.changes {
            let shop = &mut self.shop.inside().shop;
            match op {
                Op::Delete => drop(shop.remove(id)),
                _ => drop(shop.insert(id.clone(), value.clone())),
            }
        }
        // done there, and the process may die before it hears of it
        self.shop.step().await;
        if fault == Fault::LoseAnswer {
            return Ok(self
                .changes
                .iter()
                .map(|(row, ..)| (*row, Outcome::Unknown { reason: "silence".to_owned() }))
                .collect());
        }
        Ok(self.changes.iter().map(|(row, ..)| (*row, Outcome::acked())).collect())
    }
}
