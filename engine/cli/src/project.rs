//! The project a command works on: where it is, its profile, its state, and an engine for it.

use crate::environment::{self, Environment};
use crate::exit::{Exit, Failure};
use crate::progress::Watcher;
use crate::session::Session;
use chrono::{DateTime, Utc};
use obmen_diagnostics::{Diagnostic, Files, Problems, Severity, render};
use obmen_runtime::connections::ProfileConnections;
use obmen_runtime::run::{Engine, RunOptions};
use obmen_runtime::state::{Durability, ScopeId, SegmentStore, State};
use obmen_runtime::validate::Validator;
use obmen_runtime::vars::Vars;
use obmen_runtime::workspace::{PROJECT_FILE, PipelineFile, Workspace};
use obmen_sdk::{Error, ErrorKind};
use obmen_spec::name;
use obmen_spec::pipeline::{Pipeline, Sink};
use obmen_spec::project::Profile;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A project under a profile.
#[derive(Debug)]
pub(crate) struct Project {
    /// Its files.
    pub(crate) workspace: Workspace,
    /// The profile's name.
    pub(crate) profile: String,
    /// The profile's state folder.
    pub(crate) state: PathBuf,
}

/// Where a sink's memory belongs.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The pipeline; empty for the memory of a source.
    pub(crate) pipeline: String,
    /// The sink.
    pub(crate) sink: String,
    /// The other side.
    pub(crate) target: String,
}

impl Project {
    /// Reads the project that is meant. Its pipelines may have mistakes; the project file has none that hide the profile.
    ///
    /// # Errors
    /// Usage (no project, no such profile), invalid (a project file that cannot be understood).
    pub(crate) fn open(session: &Session) -> Result<Self, Failure> {
        let workspace = workspace(session)?;
        if workspace.project.is_none() {
            return Err(refuse(session, &workspace.files, &workspace.problems));
        }
        let asked = session.global.profile.as_deref();
        let profile = match workspace.profile(asked) {
            Ok((profile, _)) => profile,
            Err(error) if asked.is_some() => {
                return Err(unknown_profile(&workspace, asked.unwrap_or_default(), &error));
            }
            Err(error) => return Err(no_profile(session, &workspace, error)),
        };
        let state = session.global.state.join(&profile);
        Ok(Self { workspace, profile, state })
    }

    /// The profile.
    ///
    /// # Errors
    /// None: the project was opened with it.
    pub(crate) fn settings(&self) -> Result<&Profile, Failure> {
        let profile = self.workspace.project.as_ref().and_then(|project| project.profiles.get(&self.profile));
        profile.ok_or_else(|| Error::internal("a project without its profile").into())
    }

    /// The file of a pipeline.
    ///
    /// # Errors
    /// Usage, with the name that was probably meant.
    pub(crate) fn file(&self, name: &str) -> Result<&PipelineFile, Failure> {
        self.workspace.pipeline(name).ok_or_else(|| {
            let names: Vec<&str> = self.workspace.pipelines.iter().map(|file| file.name.as_str()).collect();
            unknown("pipeline", name, &names)
        })
    }

    /// A pipeline with nothing wrong in it; warnings are shown.
    ///
    /// # Errors
    /// Usage (unknown), invalid (with its diagnostics shown).
    pub(crate) async fn pipeline(&self, session: &Session, name: &str) -> Result<&Pipeline, Failure> {
        let file = self.file(name)?;
        let validator = Validator {
            workspace: &self.workspace,
            registry: &session.registry,
            profile: (&self.profile, self.settings()?),
            now: session.now(),
        };
        let problems = validator.one(file).await;
        if problems.has_errors() {
            return Err(refuse(session, &self.workspace.files, &problems));
        }
        session.console.say_diagnostics(&self.workspace.files, &problems.sorted());
        file.pipeline.as_ref().ok_or_else(|| Error::internal(format!("pipeline `{name}` is not there")).into())
    }

    /// The store that keeps the state's files, if the profile says one.
    ///
    /// # Errors
    /// As for [`settings`](Self::settings).
    pub(crate) fn segments(&self) -> Result<Option<Arc<SegmentStore>>, Failure> {
        Ok(SegmentStore::of(self.settings()?, Arc::new(Environment::of(&self.workspace.folder))))
    }

    /// The state, for readers and for decisions of people; `None` before the first run.
    ///
    /// # Errors
    /// Those of the state.
    pub(crate) fn state(&self) -> Result<Option<State>, Failure> {
        let segments = self.segments()?;
        Ok(State::read(&self.state)?.map(|state| state.kept_in(segments)))
    }

    /// The state, where there must be one.
    ///
    /// # Errors
    /// Usage before the first run; those of the state.
    pub(crate) fn state_of_runs(&self) -> Result<State, Failure> {
        self.state()?.ok_or_else(|| {
            let message = format!("nothing is remembered of profile `{}` in {}", self.profile, self.state.display());
            Failure::usage(message).help("name another folder with --state, or run a pipeline first")
        })
    }

    /// Columns that identify the parts of a child of a sink, as far as the pipeline is known.
    pub(crate) fn child_key(&self, pipeline: &str, sink: &str, child: &str) -> Option<Vec<String>> {
        let pipeline = self.workspace.pipeline(pipeline)?.pipeline.as_ref()?;
        let child = pipeline.sinks.get(sink)?.children.get(child)?;
        Some(child.key.iter().map(|column| column.value.clone()).collect())
    }
}

/// What an engine borrows while it works.
#[derive(Debug)]
pub(crate) struct Equipment<'a> {
    project: &'a Project,
    settings: &'a Profile,
    session: &'a Session,
    connections: ProfileConnections<'a>,
    segments: Option<Arc<SegmentStore>>,
    /// Who watches.
    pub(crate) watcher: Watcher,
}

impl<'a> Equipment<'a> {
    /// For a project under its profile.
    ///
    /// # Errors
    /// None in practice: see [`Project::settings`].
    pub(crate) fn new(session: &'a Session, project: &'a Project) -> Result<Self, Failure> {
        let connections = ProfileConnections {
            profile: project.settings()?,
            registry: &session.registry,
            project: project.workspace.folder.clone(),
            state: project.state.clone(),
            now: session.now(),
            secrets: Arc::new(Environment::of(&project.workspace.folder)),
            stop: session.stop.clone(),
            opened: Mutex::default(),
        };
        let settings = project.settings()?;
        let watcher = Watcher::new(&session.console);
        Ok(Self { project, settings, session, connections, segments: project.segments()?, watcher })
    }

    /// The connections of the profile.
    pub(crate) fn connections(&self) -> &ProfileConnections<'a> {
        &self.connections
    }

    /// Gives `work` an engine; Ctrl-C stops it. The bars are gone when it has ended.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) async fn with_engine<T>(&self, work: impl AsyncFnOnce(&Engine<'_>) -> T) -> T {
        self.session.stop_on_interrupt();
        let fixed = self.session.global.as_of;
        let clock = move || -> DateTime<Utc> { fixed.unwrap_or_else(environment::now) };
        let engine = Engine {
            workspace: &self.project.workspace,
            profile: (&self.project.profile, self.settings),
            state: self.project.state.clone(),
            durability: Durability::Synced,
            segments: self.segments.clone(),
            connections: &self.connections,
            clock: &clock,
            stop: self.session.stop.clone(),
            progress: &self.watcher,
            taken_for_acked: &BTreeSet::new(),
        };
        let ended = work(&engine).await;
        self.watcher.finish();
        ended
    }
}

/// A sink of a pipeline.
///
/// # Errors
/// Usage, with the name that was probably meant.
pub(crate) fn sink<'p>(pipeline: &'p Pipeline, name: &str) -> Result<&'p Sink, Failure> {
    let names: Vec<&str> = pipeline.sinks.names().collect();
    pipeline.sinks.get(name).ok_or_else(|| unknown("sink", name, &names))
}

/// The options of a run: the vars of the command line, checked.
///
/// # Errors
/// Usage: a var that is unknown, missing or not of its type.
pub(crate) fn options(session: &Session, pipeline: &Pipeline) -> Result<RunOptions, Failure> {
    let vars = session.vars();
    Vars::resolve(pipeline, &vars, session.now()).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(RunOptions { vars, ..RunOptions::default() })
}

/// Whose memory each scope is.
///
/// # Errors
/// Those of the state.
pub(crate) fn scopes(state: &State) -> Result<BTreeMap<ScopeId, Scope>, Failure> {
    let scopes = state.scopes()?.into_iter();
    Ok(scopes.map(|(id, pipeline, sink, target)| (id, Scope { pipeline, sink, target })).collect())
}

/// Reads the project's files.
///
/// # Errors
/// Usage if there is no project; invalid if a file cannot be read.
fn workspace(session: &Session) -> Result<Workspace, Failure> {
    let folder = session.global.project.clone().unwrap_or_else(|| {
        let inside = PathBuf::from("pipelines");
        if inside.join(PROJECT_FILE).is_file() { inside } else { PathBuf::from(".") }
    });
    Workspace::load(&folder).map_err(|error| {
        let exit = if error.kind() == ErrorKind::NotFound { Exit::Usage } else { Exit::Invalid };
        Failure { exit, ..Failure::from(error) }
    })
}

/// Shows why the configuration is refused.
pub(crate) fn refuse(session: &Session, files: &Files, problems: &Problems) -> Failure {
    let found = problems.sorted();
    if session.console.is_json() {
        // The refusal itself is what counts.
        session.console.json(&render::json(files, &found)).unwrap_or_default();
    } else {
        session.console.insist_diagnostics(files, &found);
    }
    session.console.insist(&summary(&found, None));
    Failure::told(Exit::Invalid)
}

/// `2 errors, 1 warning in 12 files`.
pub(crate) fn summary(found: &[&Diagnostic], files: Option<u64>) -> String {
    let count = |severity| found.iter().filter(|diagnostic| diagnostic.severity == severity).count() as u64;
    let counted = |number: u64, one: &str, many: &str| (number > 0).then(|| crate::words::counted(number, one, many));
    let parts: Vec<String> =
        [counted(count(Severity::Error), "error", "errors"), counted(count(Severity::Warning), "warning", "warnings")]
            .into_iter()
            .flatten()
            .collect();
    let what = if parts.is_empty() { "no mistakes".to_owned() } else { parts.join(", ") };
    let where_ =
        files.map(|files| format!(" in {}", crate::words::counted(files, "file", "files"))).unwrap_or_default();
    what + &where_
}

/// A name that nothing is called by.
pub(crate) fn unknown(what: &str, asked: &str, names: &[&str]) -> Failure {
    let mut failure = Failure::usage(format!("there is no {what} `{asked}`"));
    if let Some(similar) = name::suggest(asked, names.iter().copied()) {
        failure = failure.help(format!("did you mean `{similar}`?"));
    }
    match names {
        [] => failure.help(format!("there is no {what} at all")),
        [only] => failure.help(format!("there is only `{only}`")),
        names => failure.help(format!("there are {}", name::listed(names).replace("` or `", "` and `"))),
    }
}

fn unknown_profile(workspace: &Workspace, asked: &str, error: &Error) -> Failure {
    match &workspace.project {
        Some(project) => unknown("profile", asked, &project.profiles.names().collect::<Vec<_>>()),
        None => Failure::usage(error.to_string()),
    }
}

/// The project names a default profile that it does not have.
fn no_profile(session: &Session, workspace: &Workspace, error: Error) -> Failure {
    let mut problems = workspace.problems.clone();
    if let Some(project) = &workspace.project {
        let connectors: Vec<&str> = session.registry.iter().map(|connector| connector.name()).collect();
        obmen_spec::check::project(project, &connectors, &mut problems);
    }
    if problems.has_errors() {
        return refuse(session, &workspace.files, &problems);
    }
    Failure { exit: Exit::Invalid, ..Failure::from(error) }
}
