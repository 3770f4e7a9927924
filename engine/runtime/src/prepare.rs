//! What a run has in hand before anything is compared: sources read, SQL planned, sinks opened.

use crate::compile::{self, Shape};
use crate::land::{Landed, land};
use crate::mirror::Mirror;
use crate::progress::Event;
use crate::report::{RunReport, SourceReport, Status};
use crate::run::{Engine, RunOptions};
use crate::sql::{Options, Sql};
use crate::state::State;
use crate::target::Target;
use crate::vars::Vars;
use chrono::{DateTime, Utc};
use obmen_diagnostics::{Problems, Severity};
use obmen_sdk::{BadRow, Connection, Error, ErrorKind, Repetition, Result, Sink, SinkTarget, Source, SourceTarget};
use obmen_spec::pipeline::{ChangesKind, OnBadRow, Pipeline};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Which sources must be read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needed<'a> {
    /// Those that sinks and checks need.
    Delivered,
    /// Those, and what these relations need.
    DeliveredAnd(&'a [&'a str]),
    /// Only what this relation needs.
    Only(&'a str),
}

impl Needed<'_> {
    fn sources(self, pipeline: &Pipeline) -> BTreeSet<String> {
        match self {
            Self::Delivered => compile::used_sources(pipeline),
            Self::DeliveredAnd(more) => {
                let mut used = compile::used_sources(pipeline);
                used.extend(more.iter().flat_map(|relation| compile::sources_of(pipeline, relation)));
                used
            }
            Self::Only(relation) => compile::sources_of(pipeline, relation),
        }
    }
}

/// What a run has in hand before anything is compared.
pub(crate) struct Prepared {
    pub(crate) sql: Sql,
    pub(crate) targets: Vec<Target>,
    pub(crate) bundles: Vec<Bundle>,
    pub(crate) brake: Brake,
}

/// A source of this run.
struct Opened {
    name: String,
    source: Arc<dyn Source>,
    kind: ChangesKind,
    key: Vec<String>,
    stop_on_bad: bool,
    may_be_empty: bool,
    mirror: Option<String>,
}

impl Engine<'_> {
    /// Reads sources, plans SQL, opens sinks. On an error `report.status` says whose it is.
    ///
    /// # Errors
    /// Those of vars, sources, SQL and sinks.
    #[expect(clippy::too_many_arguments, reason = "all of it is what a run consists of; a struct would only rename it")]
    pub(crate) async fn prepare(
        &self,
        state: &State,
        pipeline: &Pipeline,
        options: &RunOptions,
        work: &TempDir,
        now: DateTime<Utc>,
        report: &mut RunReport,
        needed: Needed<'_>,
    ) -> Result<Prepared> {
        let (sql, brake) = self.relations_for(state, pipeline, options, work, now, report, needed).await?;
        let shapes = shapes(&sql, pipeline)?;
        report.checks = failed_checks(&sql, pipeline).await?;
        report.status = Status::SinkUnavailable;
        let bundles = self.open_sinks(pipeline, &shapes).await?;
        report.status = Status::Failed;
        let targets = Self::targets(state, pipeline, shapes, &bundles)?;
        Ok(Prepared { sql, targets, bundles, brake })
    }

    /// The session with sources and steps, as far as they are needed.
    #[expect(clippy::too_many_arguments, reason = "all of it is what a run consists of; a struct would only rename it")]
    pub(crate) async fn relations_for(
        &self,
        state: &State,
        pipeline: &Pipeline,
        options: &RunOptions,
        work: &TempDir,
        now: DateTime<Utc>,
        report: &mut RunReport,
        needed: Needed<'_>,
    ) -> Result<(Sql, Brake)> {
        let vars = Vars::resolve(pipeline, &options.vars, now).map_err(|error| error.with("setting", "--var"))?;
        let mut sql = self.session(work.path(), now, &vars)?;
        report.status = Status::SourceUnavailable;
        let used = needed.sources(pipeline);
        let brake = self.read_sources(state, pipeline, &vars, &used, work.path(), &mut sql, report).await?;
        report.status = Status::Failed;
        for name in pipeline.sources.names().filter(|name| !used.contains(*name)) {
            sql.add_broken(name);
        }
        let mut problems = Problems::new();
        compile::add_steps(&mut sql, pipeline, &mut problems);
        refuse(pipeline, &problems)?;
        Ok((sql, brake))
    }

    fn session(&self, work: &Path, now: DateTime<Utc>, vars: &Vars) -> Result<Sql> {
        let options = Options {
            memory: self.workspace.memory() / 4,
            spill: work.to_owned(),
            now,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            batch_rows: 8192,
        };
        let mut sql = Sql::new(options)?;
        for (name, value) in vars.iter() {
            sql.var(name, value.clone());
        }
        Ok(sql)
    }

    /// Reads every source that is used; gives what must be braked because of what they brought.
    #[expect(clippy::too_many_arguments, reason = "all of it is what a run consists of; a struct would only rename it")]
    async fn read_sources(
        &self,
        state: &State,
        pipeline: &Pipeline,
        vars: &Vars,
        used: &BTreeSet<String>,
        work: &Path,
        sql: &mut Sql,
        report: &mut RunReport,
    ) -> Result<Brake> {
        let mut brake = Brake::default();
        let sources = self.open_sources(pipeline, vars, used).await?;
        let budget = self.workspace.memory() / 16 / sources.len().max(1);
        let reads = sources.iter().map(|opened| self.read_source(opened, budget, work));
        let landed = futures::future::try_join_all(reads).await?;
        for (opened, landed) in sources.iter().zip(landed) {
            if landed.bad_count > 0 && opened.stop_on_bad {
                report.sources.push(source_report(opened, &landed));
                report.status = Status::Failed;
                return Err(bad_rows_error(opened, &landed));
            }
            brake.look_at(state, pipeline, opened, &landed, report)?;
            let rows = match &opened.mirror {
                None => landed.rows.for_sql(),
                Some(identity) => {
                    let scope = state.scope("", &opened.name, identity)?;
                    let mirror = Mirror { state, scope, key: &opened.key, schema: opened.source.schema() };
                    mirror.update(&landed)?;
                    if let Some(cursor) = &landed.cursor {
                        opened.source.confirm(cursor).await?;
                    }
                    mirror.rows()?
                }
            };
            sql.add_source(&opened.name, opened.source.schema(), &opened.key, rows)?;
            report.sources.push(source_report(opened, &landed));
        }
        Ok(brake)
    }

    async fn read_source(&self, opened: &Opened, budget: usize, work: &Path) -> Result<Landed> {
        let file = work.join(format!("{}.landed", opened.name));
        let progress = |rows| self.progress.event(Event::Reading { source: opened.name.clone(), rows });
        let landed = land(opened.source.as_ref(), budget, &file, &self.stop, progress)
            .await
            .map_err(|error| error.with("source", &opened.name))?;
        self.progress.event(Event::Read { source: opened.name.clone(), rows: landed.count });
        Ok(landed)
    }

    async fn open_sources(&self, pipeline: &Pipeline, vars: &Vars, used: &BTreeSet<String>) -> Result<Vec<Opened>> {
        let mut opened = Vec::new();
        for (name, source) in pipeline.sources.iter().filter(|(name, _)| used.contains(&name.value)) {
            let connection = self.connections.open(&source.connection)?;
            let over =
                self.profile.1.connections.get(&source.connection).and_then(|settings| settings.changes.as_ref());
            let changes = over.or(source.changes.as_ref());
            let kind = changes.map_or(ChangesKind::Full, |changes| changes.kind);
            let inbox =
                changes.filter(|changes| changes.kind == ChangesKind::Inbox).map(|changes| changes.settings.clone());
            let entity = vars.replace(&source.entity);
            let key: Vec<String> = source.key.iter().map(|key| key.value.clone()).collect();
            let mirror = inbox.is_some().then(|| format!("{}#{entity}", connection.identity()));
            let target = SourceTarget {
                name: name.value.clone(),
                entity,
                columns: source.columns.as_deref().map(obmen_sdk::types::arrow_schema),
                key: key.clone(),
                inbox,
                options: vars.replace_in(&source.options),
            };
            let reader = connection.source(target).await.map_err(|error| error.with("source", name))?;
            opened.push(Opened {
                name: name.value.clone(),
                source: reader,
                kind,
                key,
                stop_on_bad: source.on_bad_row.as_ref().is_none_or(|word| word.value == OnBadRow::Stop),
                may_be_empty: source.may_be_empty,
                mirror,
            });
        }
        Ok(opened)
    }

    async fn open_sinks(&self, pipeline: &Pipeline, shapes: &[Shape]) -> Result<Vec<Bundle>> {
        let mut bundles: Vec<Bundle> = Vec::new();
        for (index, ((name, sink), shape)) in pipeline.sinks.iter().zip(shapes).enumerate() {
            let target = compile::sink_target(name, sink, shape);
            if let Some(bundle) = bundles.iter_mut().find(|bundle| bundle.connection == sink.connection.value) {
                bundle.add(index, target);
            } else {
                let mut bundle = Bundle::new(&sink.connection, self.connections.open(&sink.connection)?);
                bundle.add(index, target);
                bundles.push(bundle);
            }
        }
        for bundle in &mut bundles {
            let sink = bundle
                .outside
                .sink(bundle.asked.clone())
                .await
                .map_err(|error| error.with("sink", &bundle.connection))?;
            if sink.abilities().repetition != Repetition::Harmless {
                // keys in doubt are sent again: where that would do it twice, nothing may be sent yet
                let message = format!(
                    "connection `{}` is one where sending twice does it twice, which is not available yet",
                    bundle.connection
                );
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            bundle.sink = Some(sink);
        }
        Ok(bundles)
    }

    /// The targets, with what state and sinks say about them.
    fn targets(state: &State, pipeline: &Pipeline, shapes: Vec<Shape>, bundles: &[Bundle]) -> Result<Vec<Target>> {
        let identities: BTreeMap<String, String> =
            bundles.iter().map(|bundle| (bundle.connection.clone(), bundle.outside.identity())).collect();
        let mut targets = Vec::new();
        for (index, ((name, sink), shape)) in pipeline.sinks.iter().zip(shapes).enumerate() {
            let mut target = compile::target(state, pipeline, name, sink, shape, &identities)?;
            target.whole = bundles.iter().any(|bundle| bundle.is_whole(index));
            targets.push(target);
        }
        Ok(targets)
    }
}

/// The sinks of a pipeline on one connection.
pub(crate) struct Bundle {
    pub(crate) connection: String,
    pub(crate) outside: Arc<dyn Connection>,
    asked: Vec<SinkTarget>,
    /// Which sinks of the pipeline they are.
    pub(crate) indices: Vec<usize>,
    pub(crate) sink: Option<Arc<dyn Sink>>,
}

impl Bundle {
    fn new(name: &str, outside: Arc<dyn Connection>) -> Self {
        Self { connection: name.to_owned(), outside, asked: Vec::new(), indices: Vec::new(), sink: None }
    }

    fn add(&mut self, index: usize, target: SinkTarget) {
        self.indices.push(index);
        self.asked.push(target);
    }

    fn is_whole(&self, index: usize) -> bool {
        let at = self.indices.iter().position(|own| *own == index);
        let abilities = self.sink.as_ref().map(|sink| sink.abilities());
        at.zip(abilities)
            .and_then(|(at, abilities)| abilities.targets.get(at).map(|target| target.whole))
            .unwrap_or(false)
    }
}

/// What must not happen because of what the sources brought.
#[derive(Default)]
pub(crate) struct Brake {
    pub(crate) deletes_suspended: Option<String>,
    pub(crate) empty_sources: Vec<String>,
}

impl Brake {
    fn look_at(
        &mut self,
        state: &State,
        pipeline: &Pipeline,
        opened: &Opened,
        landed: &Landed,
        report: &mut RunReport,
    ) -> Result<()> {
        let name = &opened.name;
        let reason = if landed.bad_count > 0 {
            Some(format!("{} of source `{name}` could not be read", rows(landed.bad_count)))
        } else if !landed.exact && opened.mirror.is_none() {
            Some(format!("source `{name}` was read in pages and is no snapshot"))
        } else {
            None
        };
        if let Some(reason) = reason {
            report.notes.push(format!("nothing is deleted in this run: {reason}"));
            self.deletes_suspended.get_or_insert(reason);
        }
        let before = state.source_rows(&pipeline.pipeline, name)?;
        if landed.count == 0 && opened.mirror.is_none() && !opened.may_be_empty && before.is_some_and(|rows| rows > 0) {
            self.empty_sources.push(format!("`{name}`"));
        }
        Ok(())
    }
}

/// Checks on relations that go to no sink: rows that failed, by the check's name.
async fn failed_checks(sql: &Sql, pipeline: &Pipeline) -> Result<BTreeMap<String, u64>> {
    let mut failed = BTreeMap::new();
    for (check, target_check) in compile::other_checks(pipeline) {
        let counts = crate::diff::count_failures(sql, &check.of, &[target_check]).await?;
        failed.extend(counts.checks.into_iter().filter(|(_, rows)| *rows > 0));
    }
    Ok(failed)
}

/// What validation found nothing wrong with can only be wrong because a source's columns changed since.
fn refuse(pipeline: &Pipeline, problems: &Problems) -> Result<()> {
    match problems.sorted().into_iter().find(|found| found.severity == Severity::Error) {
        Some(first) => {
            let message = format!("the pipeline does not fit what its sources bring: {}", first.message);
            Err(Error::new(ErrorKind::SchemaMismatch, message).with("pipeline", &pipeline.pipeline))
        }
        None => Ok(()),
    }
}

fn shapes(sql: &Sql, pipeline: &Pipeline) -> Result<Vec<Shape>> {
    let mut problems = Problems::new();
    let shapes: Vec<Option<Shape>> =
        pipeline.sinks.iter().map(|(_, sink)| compile::shape(sql, sink, &mut problems)).collect();
    refuse(pipeline, &problems)?;
    shapes.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| Error::internal("a sink without columns"))
}

fn source_report(opened: &Opened, landed: &Landed) -> SourceReport {
    SourceReport {
        source: opened.name.clone(),
        rows: landed.count,
        mode: format!("{:?}", opened.kind).to_lowercase(),
        changes: landed.count,
        bad: landed.bad_count,
        bad_rows: landed.bad.iter().map(bad_row).collect(),
    }
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

fn bad_row(row: &BadRow) -> String {
    match &row.column {
        Some(column) => format!("{}: {column}: {}", row.place, row.reason),
        None => format!("{}: {}", row.place, row.reason),
    }
}

fn bad_rows_error(opened: &Opened, landed: &Landed) -> Error {
    let first = landed.bad.first().map(bad_row).unwrap_or_default();
    let message = format!(
        "{} of source `{}` cannot be read, the first: {first}. Nothing was sent; mend that, or set `on_bad_row: reject`",
        rows(landed.bad_count),
        opened.name
    );
    Error::invalid_data(message)
}
