//! `obmen hold`: changes that wait for a person.

use crate::changes;
use crate::console::{FAINT, LOOK, STRONG};
use crate::exit::{Exit, Failure};
use crate::project::{Project, Scope, scopes};
use crate::session::Session;
use crate::table::Table;
use crate::text::line;
use crate::time;
use crate::words::{self, counted, grouped};
use chrono::SecondsFormat;
use obmen_runtime::journal::{self, ChangeRecord};
use obmen_runtime::state::{Hold, HoldReason, HoldState, ScopeId, State};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Changes that were deliberately not sent: too many deletes or updates, a source that brings nothing, a first load, a new
/// column. A named person approves or rejects them; the next run does what was decided.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  obmen hold list
  obmen hold show 3
  obmen hold approve 3 --by \"Anna Petrova\"            # the next run sends these changes, as far as they are the same
  obmen hold approve 3 --by \"Anna Petrova\" --adopt    # the other side has them already: nothing is sent")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what is held, and the reason
    List {
        /// Only this pipeline
        #[arg(value_name = "PIPELINE")]
        pipeline: Option<String>,
    },
    /// Show the changes of a hold, old → new
    Show {
        /// The hold's number
        #[arg(value_name = "HOLD")]
        id: i64,
        /// Show at most so many changes
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Let the next run send the changes of a hold, as far as they are still the same
    Approve {
        /// The hold's number
        #[arg(value_name = "HOLD")]
        id: i64,
        /// Who decides; kept for good
        #[arg(long, value_name = "NAME")]
        by: String,
        /// Send them (the default)
        #[arg(long, conflicts_with = "adopt")]
        send: bool,
        /// Take them for delivered without sending: the other side has them (a first load, a new column)
        #[arg(long)]
        adopt: bool,
    },
    /// Keep the changes of a hold back until they change
    Reject {
        /// The hold's number
        #[arg(value_name = "HOLD")]
        id: i64,
        /// Who decides; kept for good
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

/// Does what is asked with holds.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    match &arguments.command {
        Command::List { pipeline } => list(session, &project, pipeline.as_deref()),
        Command::Show { id, limit } => show(session, &project, *id, *limit),
        Command::Approve { id, by, adopt, .. } => {
            let decision = if *adopt { HoldState::Adopted } else { HoldState::Approved };
            decide(session, &project, *id, decision, by)
        }
        Command::Reject { id, by } => decide(session, &project, *id, HoldState::Rejected, by),
    }
}

fn list(session: &Session, project: &Project, pipeline: Option<&str>) -> Result<Exit, Failure> {
    let state = project.state()?;
    super::journal::check_names(project, state.as_ref(), pipeline, None)?;
    let (holds, scopes) = match &state {
        Some(state) => (state.holds(None)?, scopes(state)?),
        None => (Vec::new(), BTreeMap::new()),
    };
    let scope = |hold: &Hold| scopes.get(&hold.scope).cloned().unwrap_or_else(nowhere);
    let ours: Vec<(Hold, Scope)> = holds
        .into_iter()
        .map(|hold| (scope(&hold), hold))
        .filter(|(scope, _)| pipeline.is_none_or(|pipeline| scope.pipeline == pipeline))
        .map(|(scope, hold)| (hold, scope))
        .collect();
    if session.console.is_json() {
        let holds: Vec<Value> = ours.iter().map(|(hold, scope)| hold_json(hold, scope)).collect();
        session.console.json(&json!({ "holds": holds }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::of(&[">hold", "pipeline", "sink", "state", "reason", ">rows", "since", "by", "why"]);
    for (hold, scope) in &ours {
        table.row([
            hold.id.to_string(),
            scope.pipeline.clone(),
            scope.sink.clone(),
            hold.state.name().to_owned(),
            hold.reason.name().to_owned(),
            grouped(hold.rows),
            time::shown(hold.opened),
            hold.by.clone().unwrap_or_default(),
            hold.detail.clone(),
        ]);
    }
    if table.is_empty() {
        session.console.say("nothing is held");
    } else {
        session.console.result(&table.text(0))?;
    }
    Ok(Exit::Done)
}

fn show(session: &Session, project: &Project, id: i64, limit: usize) -> Result<Exit, Failure> {
    let (state, hold, scope) = find(session, project, id)?;
    let found = changes_of(&state, &hold)?;
    if session.console.is_json() {
        let mut document = hold_json(&hold, &scope);
        document["changes"] = json!(found);
        session.console.json(&document)?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    let rows = counted(hold.rows, "change", "changes");
    line!(text, "{STRONG}hold {id}{STRONG:#} of {}/{}: {rows}, {}", scope.pipeline, scope.sink, hold.reason.name());
    line!(text, "  {}", words::plain(&hold.detail));
    line!(text, "  {LOOK}{}{LOOK:#}{}", hold.state.name(), decided(&hold));
    text.push('\n');
    let key = |child: &str| project.child_key(&scope.pipeline, &scope.sink, child);
    for change in found.iter().take(limit) {
        line!(text, "  {}", changes::line(change, &key));
    }
    if found.len() > limit {
        line!(text, "  {FAINT}… {} more: --limit shows them{FAINT:#}", found.len() - limit);
    }
    session.console.result(&text)?;
    Ok(Exit::Done)
}

fn decided(hold: &Hold) -> String {
    match (&hold.by, hold.decided) {
        (Some(by), Some(at)) => format!(" by {} at {}", words::plain(by), time::shown(at)),
        _ => format!(" since {}", time::shown(hold.opened)),
    }
}

fn decide(session: &Session, project: &Project, id: i64, decision: HoldState, by: &str) -> Result<Exit, Failure> {
    if by.trim().is_empty() {
        return Err(Failure::usage("`--by` is empty: a decision needs a person's name"));
    }
    let (state, hold, scope) = find(session, project, id)?;
    if decision == HoldState::Adopted && !matches!(hold.reason, HoldReason::FirstLoad | HoldReason::Recipe) {
        let message = format!("hold {id} cannot be adopted: its reason is `{}`", hold.reason.name());
        return Err(Failure::usage(message)
            .help("only a first load or a new column can be there already; approve or reject it"));
    }
    if !state.decide_hold(id, decision, by.trim(), session.now())? {
        return Err(gone(session, id));
    }
    if session.console.is_json() {
        session.console.json(&json!({ "hold": id, "state": decision.name(), "by": by.trim() }))?;
        return Ok(Exit::Done);
    }
    let run = format!("{} run {}", session.obmen(), scope.pipeline);
    let rows = counted(hold.rows, "change", "changes");
    session.console.result(&match decision {
        HoldState::Approved => format!("hold {id} is approved: `{run}` sends {rows}, as far as they are the same\n"),
        HoldState::Adopted => format!("hold {id} is adopted: `{run}` takes {rows} for delivered\n"),
        _ => format!("hold {id} is rejected: {rows} stay back until they change\n"),
    })?;
    Ok(Exit::Done)
}

fn find(session: &Session, project: &Project, id: i64) -> Result<(State, Hold, Scope), Failure> {
    let state = project.state()?.ok_or_else(|| gone(session, id))?;
    let hold = state.holds(None)?.into_iter().find(|hold| hold.id == id).ok_or_else(|| gone(session, id))?;
    let scopes: BTreeMap<ScopeId, Scope> = scopes(&state)?;
    let scope = scopes.get(&hold.scope).cloned().unwrap_or_else(nowhere);
    Ok((state, hold, scope))
}

fn gone(session: &Session, id: i64) -> Failure {
    Failure::usage(format!("there is no hold {id}, or a newer plan took its place"))
        .help(format!("`{} hold list` says what is held now", session.obmen()))
}

fn nowhere() -> Scope {
    Scope { pipeline: String::new(), sink: String::new(), target: String::new() }
}

/// The changes a hold is about, all of them.
fn changes_of(state: &State, hold: &Hold) -> Result<Vec<ChangeRecord>, Failure> {
    let Some(mut plan) = state.plan(&hold.plan)? else { return Ok(Vec::new()) };
    plan.sinks.retain(|sink| sink.scope == hold.scope);
    let mut found = journal::plan_changes(state, &plan, usize::MAX)?;
    found.retain(|change| is_held_by(hold.reason, change));
    Ok(found)
}

fn is_held_by(reason: HoldReason, change: &ChangeRecord) -> bool {
    match (reason, change.outcome.as_str()) {
        (HoldReason::Recipe, outcome) => outcome == "recipe",
        (HoldReason::Deletes, "guard") => change.op == "delete",
        (HoldReason::Updates, "guard") => change.op == "update",
        (HoldReason::EmptySource | HoldReason::FirstLoad, "guard") => true,
        _ => false,
    }
}

/// `{"hold", "pipeline", "sink", "target", "state", "reason", "rows", "detail", "plan", "opened", "decided", "by"}`
fn hold_json(hold: &Hold, scope: &Scope) -> Value {
    let stamp = |moment: chrono::DateTime<chrono::Utc>| moment.to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({
        "hold": hold.id,
        "pipeline": scope.pipeline,
        "sink": scope.sink,
        "target": scope.target,
        "state": hold.state.name(),
        "reason": hold.reason.name(),
        "rows": hold.rows,
        "detail": hold.detail,
        "plan": hold.plan,
        "opened": stamp(hold.opened),
        "decided": hold.decided.map(stamp),
        "by": hold.by,
    })
}
