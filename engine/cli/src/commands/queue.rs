//! `obmen queue`: what waits to be sent.

use crate::changes;
use crate::commands::journal::{Selection, check_names};
use crate::commands::later;
use crate::console::{FAINT, LOOK, STRONG};
use crate::exit::{Exit, Failure};
use crate::project::Project;
use crate::session::Session;
use crate::text::line;
use crate::time;
use crate::words::{self, counted};
use obmen_runtime::journal::ChangeRecord;
use obmen_runtime::operate;
use serde_json::json;

/// What waits to be sent, and why: refused rows and when they are offered again, rows in doubt, rows that wait for others.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  obmen queue list site_offers
  obmen queue show site_offers --key 73dbc2e4-18d0-11ec-8a4f-00155d0a3c17
  obmen queue retry site_offers --sink shop      # offer everything refused again in the next run")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what waits
    List(Listed),
    /// Show what waits with everything that is known of it
    Show(Listed),
    /// Offer refused rows again in the next run, also those refused too often
    Retry(Chosen),
    /// Do not offer refused rows again until their values change
    Drop(Chosen),
    /// Confirm a load by a person's word (not available yet)
    Confirm {
        /// The load
        #[arg(value_name = "LOAD")]
        load: String,
        /// Who says so
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

#[derive(Debug, clap::Args)]
struct Listed {
    /// Only this pipeline
    #[arg(value_name = "PIPELINE")]
    pipeline: Option<String>,

    /// Which changes
    #[command(flatten)]
    selection: Selection,
}

#[derive(Debug, clap::Args)]
struct Chosen {
    /// The pipeline
    #[arg(value_name = "PIPELINE")]
    pipeline: String,

    /// Only this sink
    #[arg(long, value_name = "SINK")]
    sink: Option<String>,

    /// Only keys with this value
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// Does what is asked with the queue.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        Command::List(listed) => list(session, listed, false),
        Command::Show(listed) => list(session, listed, true),
        Command::Retry(chosen) => decide(session, chosen, "retried in the next run", operate::retry),
        Command::Drop(chosen) => decide(session, chosen, "not offered until they change", operate::drop),
        Command::Confirm { load, by } => {
            Err(later("queue confirm").help(format!("nothing was noted of {load} for {by}")))
        }
    }
}

fn list(session: &Session, listed: &Listed, whole: bool) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    let state = project.state()?;
    check_names(&project, state.as_ref(), listed.pipeline.as_deref(), listed.selection.sink.as_deref())?;
    let filter = listed.selection.filter(listed.pipeline.as_deref());
    let mut found = match &state {
        Some(state) => obmen_runtime::journal::queue(state, &filter)?,
        None => Vec::new(),
    };
    let more = found.len() > listed.selection.limit;
    found.truncate(listed.selection.limit);
    if session.console.is_json() {
        session.console.json(&json!({ "queue": found, "more": more }))?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for change in &found {
        if whole { show(&project, change, &mut text) } else { line(&project, change, &mut text) }
    }
    session.console.result(&text)?;
    match (found.is_empty(), more) {
        (true, _) => session.console.say("nothing waits"),
        (_, true) => session.console.say("there are more: --limit shows them"),
        _ => {}
    }
    Ok(Exit::Done)
}

fn line(project: &Project, change: &ChangeRecord, text: &mut String) {
    let key = |child: &str| project.child_key(&change.pipeline, &change.sink, child);
    let reason = change.reason.as_deref().map(|reason| format!(": {}", words::plain(reason))).unwrap_or_default();
    let due =
        change.due.as_deref().map(|due| format!(" {FAINT}→ {}{FAINT:#}", time::shown_text(due))).unwrap_or_default();
    let (place, outcome) = (format!("{}/{}", change.pipeline, change.sink), &change.outcome);
    let line = changes::line(change, &key);
    line!(text, "{FAINT}{place}{FAINT:#}  {line}  {LOOK}{outcome}{LOOK:#}{reason}{due}");
}

fn show(project: &Project, change: &ChangeRecord, text: &mut String) {
    let key = |child: &str| project.child_key(&change.pipeline, &change.sink, child);
    line!(text, "{STRONG}{}/{}{STRONG:#}  {}", change.pipeline, change.sink, changes::line(change, &key));
    let facts = [
        ("why", Some(change.outcome.clone())),
        ("reason", change.reason.as_deref().map(words::plain)),
        ("next attempt", change.due.as_deref().map(time::shown_text)),
        ("planned or sent", Some(time::shown_text(&change.at))),
        ("run", Some(change.run.clone())),
        ("load", change.load.clone()),
        ("id there", change.remote_id.as_deref().map(words::plain)),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            line!(text, "  {name:<16} {fact}");
        }
    }
    text.push('\n');
}

/// What a decision about the queue does.
type Decide = fn(&obmen_runtime::state::State, &str, Option<&str>, Option<&str>) -> obmen_sdk::Result<u64>;

fn decide(session: &Session, chosen: &Chosen, done: &str, decide: Decide) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    let state = project.state()?;
    check_names(&project, state.as_ref(), Some(&chosen.pipeline), chosen.sink.as_deref())?;
    let rows = match &state {
        Some(state) => decide(state, &chosen.pipeline, chosen.sink.as_deref(), chosen.key.as_deref())?,
        None => 0,
    };
    if session.console.is_json() {
        session.console.json(&json!({ "rows": rows }))?;
    } else if rows == 0 {
        session.console.result("no refused row is meant\n")?;
    } else {
        session.console.result(&format!("{} {done}\n", counted(rows, "row is", "rows are")))?;
    }
    Ok(Exit::Done)
}
