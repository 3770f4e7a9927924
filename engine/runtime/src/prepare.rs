//! What a run has in hand before anything is compared: sources read, SQL planned, sinks opened.

use crate::compile::{self, Shape};
use crate::report::{RunReport, Status};
use crate::run::{Engine, RunOptions};
use crate::sources::{Read, Reader};
use crate::sql::{Options, Sql};
use crate::state::State;
use crate::target::Target;
use crate::vars::Vars;
use chrono::{DateTime, Utc};
use obmen_diagnostics::{Problems, Severity};
use obmen_sdk::{Connection, Error, ErrorKind, Repetition, Result, Sink, SinkTarget};
use obmen_spec::pipeline::Pipeline;
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
    pub(crate) read: Read,
    pub(crate) vars: Vars,
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
        let (sql, read, vars) = self.relations_for(state, pipeline, options, work, now, report, needed).await?;
        let shapes = shapes(&sql, pipeline)?;
        report.checks = failed_checks(&sql, pipeline).await?;
        report.status = Status::SinkUnavailable;
        let bundles = self.open_sinks(pipeline, &shapes).await?;
        report.status = Status::Failed;
        let targets = Self::targets(state, pipeline, shapes, &bundles)?;
        Ok(Prepared { sql, targets, bundles, read, vars })
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
    ) -> Result<(Sql, Read, Vars)> {
        let vars = Vars::resolve(pipeline, &options.vars, now).map_err(|error| error.with("setting", "--var"))?;
        let mut sql = self.session(work.path(), now, &vars)?;
        report.status = Status::SourceUnavailable;
        let used = needed.sources(pipeline);
        let reader = Reader { state, pipeline, vars: &vars, options, work: work.path(), now };
        let read = self.read_sources(reader, &used, &mut sql, report).await?;
        report.status = Status::Failed;
        for name in pipeline.sources.names().filter(|name| !used.contains(*name)) {
            sql.add_broken(name);
        }
        let mut problems = Problems::new();
        compile::add_steps(&mut sql, pipeline, &mut problems);
        refuse(pipeline, &problems)?;
        Ok((sql, read, vars))
    }

    /// What a session may use.
    pub(crate) fn sql_options(&self, work: &Path, now: DateTime<Utc>) -> Options {
        Options {
            memory: self.workspace.memory() / 4,
            spill: work.to_owned(),
            now,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            batch_rows: 8192,
        }
    }

    /// A session with the vars of a run and no relations.
    pub(crate) fn session(&self, work: &Path, now: DateTime<Utc>, vars: &Vars) -> Result<Sql> {
        let mut sql = Sql::new(self.sql_options(work, now))?;
        for (name, value) in vars.iter() {
            sql.var(name, value.clone());
        }
        Ok(sql)
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
