//! `obmen journal`: what was sent.

use crate::changes;
use crate::console::{BAD, FAINT, GOOD, LOOK};
use crate::exit::{Exit, Failure};
use crate::project::{Project, unknown};
use crate::session::Session;
use crate::text::line;
use crate::{time, words};
use obmen_runtime::journal::{ChangeRecord, Filter};
use serde_json::json;

/// Shows what was sent, newest first: when, old → new, with which answer.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  obmen journal site_offers --since 2d
  obmen journal --key 73dbc2e4-18d0-11ec-8a4f-00155d0a3c17
  obmen journal site_offers --sink shop --limit 1000 --output json")]
pub(crate) struct Arguments {
    /// Only this pipeline
    #[arg(value_name = "PIPELINE")]
    pipeline: Option<String>,

    /// Which changes
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Only since then: a time, or back from now (`2h`, `3d`)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

/// Which changes are meant.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Selection {
    /// Only this sink
    #[arg(long, value_name = "SINK")]
    pub(crate) sink: Option<String>,

    /// Only keys with this value
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,

    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
}

impl Selection {
    /// As the engine looks for it; one more than is shown says whether there are more.
    pub(crate) fn filter(&self, pipeline: Option<&str>) -> Filter {
        Filter {
            pipeline: pipeline.map(str::to_owned),
            sink: self.sink.clone(),
            key: self.key.clone(),
            limit: self.limit.saturating_add(1),
            ..Filter::default()
        }
    }
}

/// Shows the journal.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    let mut filter = arguments.selection.filter(arguments.pipeline.as_deref());
    if let Some(since) = &arguments.since {
        filter.since = Some(time::parse_since(since, session.now()).map_err(Failure::usage)?);
    }
    let state = project.state()?;
    check_names(&project, state.as_ref(), arguments.pipeline.as_deref(), arguments.selection.sink.as_deref())?;
    let mut found = match &state {
        Some(state) => obmen_runtime::journal::journal(state, &filter)?,
        None => Vec::new(),
    };
    let more = found.len() > arguments.selection.limit;
    found.truncate(arguments.selection.limit);
    if session.console.is_json() {
        session.console.json(&json!({ "changes": found, "more": more }))?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for change in &found {
        sent_line(&project, change, &mut text);
    }
    session.console.result(&text)?;
    match (found.is_empty(), more) {
        (true, _) => session.console.say("nothing was sent"),
        (_, true) => session.console.say("there are more: --limit shows them"),
        _ => {}
    }
    Ok(Exit::Done)
}

/// A pipeline or sink that is neither in the project nor in its state was misspelt.
pub(crate) fn check_names(
    project: &Project,
    state: Option<&obmen_runtime::state::State>,
    pipeline: Option<&str>,
    sink: Option<&str>,
) -> Result<(), Failure> {
    let scopes = state.map(crate::project::scopes).transpose()?.unwrap_or_default();
    let written = project.workspace.pipelines.iter();
    let mut pipelines: Vec<&str> = written.clone().map(|file| file.name.as_str()).collect();
    pipelines.extend(scopes.values().map(|scope| scope.pipeline.as_str()).filter(|name| !name.is_empty()));
    pipelines.sort_unstable();
    pipelines.dedup();
    if let Some(pipeline) = pipeline.filter(|pipeline| !pipelines.contains(pipeline)) {
        return Err(unknown("pipeline", pipeline, &pipelines));
    }
    let Some(sink) = sink else { return Ok(()) };
    let meant = |name: &str| pipeline.is_none_or(|pipeline| pipeline == name);
    let ours = written.filter(|file| meant(&file.name)).filter_map(|file| file.pipeline.as_ref());
    let mut sinks: Vec<&str> = ours.flat_map(|pipeline| pipeline.sinks.names()).collect();
    sinks.extend(scopes.values().filter(|scope| meant(&scope.pipeline)).map(|scope| scope.sink.as_str()));
    sinks.sort_unstable();
    sinks.dedup();
    if sinks.contains(&sink) { Ok(()) } else { Err(unknown("sink", sink, &sinks)) }
}

fn sent_line(project: &Project, change: &ChangeRecord, text: &mut String) {
    let style = match change.outcome.as_str() {
        "acked" | "accepted" => GOOD,
        "rejected" | "altered" => BAD,
        _ => LOOK,
    };
    let key = |child: &str| project.child_key(&change.pipeline, &change.sink, child);
    let line = changes::line(change, &key);
    let outcome = &change.outcome;
    let reason = change.reason.as_deref().map(|reason| format!(": {}", words::plain(reason))).unwrap_or_default();
    let id = change.remote_id.as_deref().map(|id| format!(" as {}", words::plain(id))).unwrap_or_default();
    line!(
        text,
        "{FAINT}{}  {}/{}{FAINT:#}  {line}  {style}{outcome}{style:#}{id}{reason}",
        time::shown_text(&change.at),
        change.pipeline,
        change.sink
    );
}
