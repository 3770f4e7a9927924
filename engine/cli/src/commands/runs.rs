//! `obmen runs`: what ran.

use crate::commands::journal::check_names;
use crate::commands::volume::{Period, Volumes};
use crate::exit::{Exit, Failure};
use crate::project::Project;
use crate::session::Session;
use crate::table::Table;
use crate::text::line;
use crate::time;
use chrono::SecondsFormat;
use obmen_runtime::state::RunRecord;
use serde_json::{Value, json};

/// Lists past runs, newest first; `runs show ID` tells one in full.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  obmen runs
  obmen runs site_offers --limit 5
  obmen runs --per month                      # how many objects went where
  obmen runs show 01JD3Y5W6Z… --output json   # the report of that run"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Only this pipeline
    #[arg(value_name = "PIPELINE")]
    pipeline: Option<String>,

    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,

    /// Sum the counters of all runs by period, pipeline and sink instead
    #[arg(long, value_name = "PERIOD", conflicts_with = "limit")]
    per: Option<Period>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the report of one run
    Show {
        /// The run
        #[arg(value_name = "ID")]
        run: String,
    },
}

/// Shows runs.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    match &arguments.command {
        Some(Command::Show { run }) => show(session, &project, run),
        None => list(session, &project, arguments),
    }
}

fn list(session: &Session, project: &Project, arguments: &Arguments) -> Result<Exit, Failure> {
    let state = project.state()?;
    check_names(project, state.as_ref(), arguments.pipeline.as_deref(), None)?;
    let limit = if arguments.per.is_some() { usize::MAX } else { arguments.limit };
    let runs = match &state {
        Some(state) => state.runs(arguments.pipeline.as_deref(), limit)?,
        None => Vec::new(),
    };
    if let Some(period) = arguments.per {
        let volumes = Volumes::of(&runs, period);
        if session.console.is_json() {
            session.console.json(&json!({ "volumes": volumes.json() }))?;
        } else {
            session.console.result(&volumes.table().text(0))?;
        }
        return Ok(Exit::Done);
    }
    if session.console.is_json() {
        let runs: Vec<Value> = runs.iter().map(summary).collect();
        session.console.json(&json!({ "runs": runs }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::of(&["run", "pipeline", "kind", "status", "started", ">took"]);
    for run in &runs {
        let took = run.finished.map(|finished| time::took(finished - run.started)).unwrap_or_default();
        let started = time::shown(run.started);
        table.row([run.id.clone(), run.pipeline.clone(), run.kind.clone(), run.status.clone(), started, took]);
    }
    if table.is_empty() {
        session.console.say("nothing has run");
    } else {
        session.console.result(&table.text(0))?;
    }
    Ok(Exit::Done)
}

fn show(session: &Session, project: &Project, id: &str) -> Result<Exit, Failure> {
    let state = project.state_of_runs()?;
    let found = state.runs(None, usize::MAX)?.into_iter().find(|run| run.id.eq_ignore_ascii_case(id));
    let run = found.ok_or_else(|| {
        Failure::usage(format!("there is no run `{id}`")).help(format!("`{} runs` lists them", session.obmen()))
    })?;
    let mut record = summary(&run);
    record["report"] = report(&run);
    if session.console.is_json() {
        session.console.json(&record)?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for (name, value) in record.as_object().into_iter().flatten() {
        tell(name, value, 0, &mut text);
    }
    session.console.result(&text)?;
    Ok(Exit::Done)
}

/// `{"run", "pipeline", "kind", "status", "started", "finished"}`
fn summary(run: &RunRecord) -> Value {
    let stamp = |moment: chrono::DateTime<chrono::Utc>| moment.to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({
        "run": run.id,
        "pipeline": run.pipeline,
        "kind": run.kind,
        "status": run.status,
        "started": stamp(run.started),
        "finished": run.finished.map(stamp),
    })
}

fn report(run: &RunRecord) -> Value {
    run.report.as_deref().and_then(|report| serde_json::from_str(report).ok()).unwrap_or(Value::Null)
}

/// A document as indented lines, what is empty or zero left out.
fn tell(name: &str, value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Null => {}
        Value::Number(number) if number.as_u64() == Some(0) => {}
        Value::Object(fields) if fields.is_empty() => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Object(fields) => {
            line!(text, "{indent}{name}");
            for (name, value) in fields {
                tell(name, value, depth + 1, text);
            }
        }
        Value::Array(items) => {
            line!(text, "{indent}{name}");
            for item in items {
                tell("-", item, depth + 1, text);
            }
        }
        Value::String(words) => line!(text, "{indent}{name}: {}", crate::words::plain(words)),
        other => line!(text, "{indent}{name}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_told_without_what_is_empty() {
        let mut text = String::new();
        tell(
            "report",
            &json!({ "status": "done", "error": null, "sinks": [{ "sink": "shop", "sent": 3, "held": 0 }] }),
            0,
            &mut text,
        );
        assert_eq!(text, "report\n  status: done\n  sinks\n    -\n      sink: shop\n      sent: 3\n");
    }
}
