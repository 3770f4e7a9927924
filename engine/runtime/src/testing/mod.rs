//! Tests of pipelines: the same run as in earnest, with sources and sinks that the test file describes.

mod expect;
mod rows;
mod world;

use crate::run::{Engine, RunOptions};
use crate::state::{Durability, State};
use crate::validate::Validator;
use crate::workspace::{TestFileRef, Workspace, shown};
use chrono::{DateTime, Utc};
use obmen_diagnostics::{Files, Problems, code};
use obmen_sdk::{Error, Registry, Result, Stop};
use obmen_spec::pipeline::{Deletes, Pipeline};
use obmen_spec::project::Profile;
use obmen_spec::test_file::{Given, Step, Test, TestFile};
use obmen_spec::{check, yaml};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;
use world::{SharedWorld, World};

/// The clock of tests that set none.
const CLOCK: &str = "2026-01-15T10:00:00Z";

/// Which tests to run.
#[derive(Clone, Debug, Default)]
pub struct TestFilter {
    /// Only those of this pipeline.
    pub pipeline: Option<String>,
    /// Only those whose name contains this.
    pub name: Option<String>,
}

/// What came of the tests.
#[derive(Debug, Default)]
pub struct TestReport {
    /// One per test file.
    pub suites: Vec<Suite>,
    /// Mistakes in test files and pipelines; their tests did not run.
    pub problems: Problems,
    /// The texts the mistakes are in.
    pub files: Files,
}

/// The tests of one file.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The file.
    pub file: String,
    /// The pipeline.
    pub pipeline: String,
    /// Its tests.
    pub cases: Vec<Case>,
    /// Rules of the pipeline and whether any test saw them act.
    pub coverage: Vec<(String, bool)>,
}

/// One test.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The line it begins at.
    pub line: usize,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// What differs from what was expected; `None` if nothing does.
    pub failure: Option<String>,
}

impl TestReport {
    /// Tests that passed.
    pub fn passed(&self) -> usize {
        self.cases().filter(|case| case.failure.is_none()).count()
    }

    /// Tests that failed.
    pub fn failed(&self) -> usize {
        self.cases().filter(|case| case.failure.is_some()).count()
    }

    fn cases(&self) -> impl Iterator<Item = &Case> {
        self.suites.iter().flat_map(|suite| &suite.cases)
    }
}

/// Runs the tests of a project, offline: nothing but the test files and the fixtures they name is read.
///
/// # Errors
/// Those of reading test files, and of the temporary folders that stand for state.
pub async fn run_tests(
    workspace: &Workspace,
    registry: &Registry,
    profile: (&str, &Profile),
    filter: &TestFilter,
) -> Result<TestReport> {
    let mut report = TestReport { files: workspace.files.clone(), ..TestReport::default() };
    let now = clock(CLOCK)?;
    for found in &workspace.tests {
        if filter.pipeline.as_ref().is_some_and(|wanted| *wanted != found.name) {
            continue;
        }
        let Some((file, span_file)) = read(workspace, profile.0, registry, found, &mut report)? else { continue };
        let Some(of) = workspace.pipeline(&file.pipeline) else { continue };
        let problems = Validator { workspace, registry, profile, now }.one(of).await;
        let broken = problems.has_errors();
        report.problems.extend(problems);
        let (Some(pipeline), false) = (&of.pipeline, broken) else { continue };
        let mut suite = Suite {
            file: shown(&found.path),
            pipeline: pipeline.pipeline.value.clone(),
            cases: Vec::new(),
            coverage: rules(pipeline).into_iter().map(|rule| (rule, false)).collect(),
        };
        for test in &file.tests {
            if filter.name.as_ref().is_some_and(|wanted| !test.name.contains(wanted.as_str())) {
                continue;
            }
            let (pipeline, own) = (&whole(pipeline), whole_profile(profile.1));
            let profile = (profile.0, &own);
            let bench = Bench { workspace, registry, profile, pipeline, found, file: &file, files: &report.files };
            let started = Instant::now();
            let (failure, seen) = bench.run(test).await?;
            for (rule, covered) in &mut suite.coverage {
                *covered |= seen.contains(rule);
            }
            suite.cases.push(Case {
                name: test.name.value.clone(),
                line: report.files.line_column(span_file, test.name.span.start).line,
                duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                failure,
            });
        }
        report.suites.push(suite);
    }
    Ok(report)
}

/// The pipeline as tests run it: what a test gives of a source is all of it, whatever column says what is new.
fn whole(pipeline: &Pipeline) -> Pipeline {
    let mut pipeline = pipeline.clone();
    for (_, source) in &mut pipeline.sources.entries {
        source.changes = source.changes.take().filter(|changes| changes.watermark.is_none());
    }
    pipeline
}

fn whole_profile(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    for (_, connection) in &mut profile.connections.entries {
        connection.changes = connection.changes.take().filter(|changes| changes.watermark.is_none());
    }
    profile
}

fn read(
    workspace: &Workspace,
    profile: &str,
    registry: &Registry,
    found: &TestFileRef,
    report: &mut TestReport,
) -> Result<Option<(TestFile, obmen_diagnostics::FileId)>> {
    let text =
        std::fs::read_to_string(&found.path).map_err(|error| Error::from(error).with("file", found.path.display()))?;
    let id = report.files.add(shown(&found.path), text.as_str());
    let mut problems = Problems::new();
    let file = yaml::parse(id, &text, &mut problems).and_then(|node| TestFile::read(&node, &mut problems));
    if let (Some(file), Some(project)) = (&file, &workspace.project) {
        let pipelines: Vec<Pipeline> = workspace.pipelines.iter().filter_map(|file| file.pipeline.clone()).collect();
        let connectors: Vec<&str> = registry.iter().map(|connector| connector.name()).collect();
        let context =
            check::Context { files: &report.files, project, profile, pipelines: &pipelines, connectors: &connectors };
        check::tests(file, &context, &mut problems);
        if file.tests.is_empty() {
            problems.error(code::EMPTY_TEST, file.pipeline.span, "the file has no tests");
        }
    }
    let broken = problems.has_errors();
    report.problems.extend(problems);
    Ok(file.filter(|_| !broken).map(|file| (file, id)))
}

/// Everything one test runs with.
struct Bench<'a> {
    workspace: &'a Workspace,
    registry: &'a Registry,
    profile: (&'a str, &'a Profile),
    pipeline: &'a Pipeline,
    found: &'a TestFileRef,
    file: &'a TestFile,
    files: &'a Files,
}

impl Bench<'_> {
    /// Runs the steps of a test; gives the first failure and the rules that acted.
    async fn run(&self, test: &Test) -> Result<(Option<String>, BTreeSet<String>)> {
        let folder = tempfile::Builder::new().prefix("obmen-test-").tempdir()?;
        let world: SharedWorld = Arc::default();
        let (mut acked, mut vars, mut seen) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        let mut now = match &self.file.clock {
            Some(text) => clock(text)?,
            None => clock(CLOCK)?,
        };
        for (number, step) in test.steps.iter().enumerate() {
            let at = self.line(step.span);
            if let Some(given) = &step.given {
                let set = self.set_world(&world, given, &mut acked, &mut vars).await;
                if let Err(error) = set {
                    return Ok((Some(format!("line {at}, step {}: {error}", number + 1)), seen));
                }
                if let Some(text) = &given.clock {
                    now = clock(text)?;
                }
            }
            let failure = self.step(step, folder.path(), &world, &acked, &vars, now, &mut seen).await?;
            if let Some(failure) = failure {
                return Ok((Some(format!("line {at}, step {}: {failure}", number + 1)), seen));
            }
        }
        Ok((None, seen))
    }

    #[expect(clippy::too_many_arguments, reason = "the state of a test, carried from step to step")]
    async fn step(
        &self,
        step: &Step,
        folder: &std::path::Path,
        world: &SharedWorld,
        acked: &BTreeSet<String>,
        vars: &BTreeMap<String, String>,
        now: DateTime<Utc>,
        seen: &mut BTreeSet<String>,
    ) -> Result<Option<String>> {
        let clock = move || now;
        let profile = Profile { production: false, ..self.profile.1.clone() };
        let engine = Engine {
            workspace: self.workspace,
            profile: (self.profile.0, &profile),
            state: folder.to_owned(),
            durability: Durability::Scratch,
            segments: None,
            connections: world,
            clock: &clock,
            stop: Stop::default(),
            progress: &crate::progress::Silent,
            taken_for_acked: acked,
        };
        let options = RunOptions { vars: vars.clone(), even_if_off: true, ..RunOptions::default() };
        let report = engine.run(self.pipeline, &options).await?;
        let state = State::open(folder, Durability::Scratch)?;
        note_rules(&report, seen);
        let mut relations = BTreeMap::new();
        for then in &step.then {
            for name in then.relations.names() {
                if !relations.contains_key(name) {
                    relations.insert(name.to_owned(), engine.preview(self.pipeline, &options, name, usize::MAX).await?);
                }
            }
        }
        let observed =
            expect::Observed { report: &report, state: &state, pipeline: self.pipeline, relations, files: self.files };
        for then in &step.then {
            if let Some(failure) = observed.differs(then)? {
                return Ok(Some(failure));
            }
        }
        Ok(None)
    }

    async fn set_world(
        &self,
        world: &SharedWorld,
        given: &Given,
        acked: &mut BTreeSet<String>,
        vars: &mut BTreeMap<String, String>,
    ) -> Result<()> {
        acked.extend(given.acked.iter().map(|sink| sink.value.clone()));
        for (name, node) in given.vars.iter() {
            vars.insert(name.value.clone(), rows::var_text(node));
        }
        for (name, rows) in given.sources.iter() {
            let source = self.source(name)?;
            let folder = self.found.path.parent().unwrap_or(std::path::Path::new("."));
            let batch = rows::read(rows, source, self.registry, folder).await?;
            World::change(world, |world| world.set_source(name, batch));
        }
        for (name, patch) in given.patch.iter() {
            let source = self.source(name)?;
            World::change(world, |world| world.patch(name, source, patch))?;
        }
        for (name, keys) in given.remove.iter() {
            let source = self.source(name)?;
            World::change(world, |world| world.remove(name, source, keys))?;
        }
        for (name, replies) in given.sinks.iter() {
            World::change(world, |world| world.set_replies(name, replies.rows.clone()));
        }
        Ok(())
    }

    fn source(&self, name: &str) -> Result<&obmen_spec::pipeline::Source> {
        self.pipeline.sources.get(name).ok_or_else(|| Error::invalid_data(format!("there is no source `{name}`")))
    }

    fn line(&self, span: obmen_diagnostics::Span) -> usize {
        self.files.line_column(span.file, span.start).line
    }
}

/// The rules of a pipeline that tests should see act.
fn rules(pipeline: &Pipeline) -> Vec<String> {
    let checks = pipeline.checks.iter().map(|check| format!("check {}", check.name));
    let sinks = pipeline.sinks.iter().flat_map(|(name, sink)| {
        let mut rules = vec![format!("{name} create"), format!("{name} update")];
        if sink.deletes.value != Deletes::Ignore {
            rules.push(format!("{name} delete"));
        }
        if sink.guard.is_some() {
            rules.push(format!("{name} guard"));
        }
        rules
    });
    checks.chain(sinks).collect()
}

fn note_rules(report: &crate::report::RunReport, seen: &mut BTreeSet<String>) {
    seen.extend(report.checks.keys().map(|check| format!("check {check}")));
    for sink in &report.sinks {
        seen.extend(sink.checks.keys().map(|check| format!("check {check}")));
        for (word, count) in [("create", sink.creates), ("update", sink.updates), ("delete", sink.deletes)] {
            if count > 0 {
                seen.insert(format!("{} {word}", sink.sink));
            }
        }
        if sink.held_by.get("guard").is_some_and(|rows| *rows > 0) {
            seen.insert(format!("{} guard", sink.sink));
        }
    }
}

fn clock(text: &str) -> Result<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.with_timezone(&Utc))
        .map_err(|_| Error::invalid_data(format!("`{text}` is not a time like 2026-11-22T10:00:00+03:00")))
}
