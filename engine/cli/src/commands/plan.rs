//! `obmen plan`: what `run` would send.

use crate::changes;
use crate::console::{FAINT, LOOK, STRONG};
use crate::exit::{Exit, Failure};
use crate::project::{Equipment, Project, options, scopes};
use crate::report;
use crate::session::Session;
use crate::text::line;
use crate::words::counted;
use obmen_runtime::journal::{self, ChangeRecord};
use obmen_runtime::report::{RunReport, SinkReport};
use obmen_runtime::state::{PlanRecord, State};
use serde_json::{Value, json};

/// Changes of a sink that are shown without `--all`.
const SHOWN: usize = 20;

/// Shows what `run` would send, old → new: the sources are read, nothing is sent.
///
/// The plan is kept: `obmen run PIPELINE --plan ID` sends exactly that, or refuses because the world moved.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  obmen plan site_offers
  obmen plan site_offers --detailed-exitcode   # 4 if there are changes
  obmen plan site_offers --output json")]
pub(crate) struct Arguments {
    /// The pipeline
    #[arg(value_name = "PIPELINE")]
    pipeline: String,

    /// Show every change, not only the first of each sink
    #[arg(long)]
    all: bool,

    /// End with 4 if there are changes, and with 0 only if there are none
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Plans; 4 if changes exist and that was asked.
pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    let pipeline = project.pipeline(session, &arguments.pipeline).await?;
    let mut options = options(session, pipeline)?;
    options.plan_only = true;
    options.even_if_off = true;
    let equipment = Equipment::new(session, &project)?;
    let report = equipment.with_engine(async |engine| Box::pin(engine.run(pipeline, &options)).await).await?;
    report::say_what_was_compared(session, &report);
    let planned = Planned::find(&project, &report)?;
    if session.console.is_json() {
        session.console.json(&planned.json(&report)?)?;
    } else {
        let obmen = session.obmen();
        let text = planned.text(&project, &report, if arguments.all { usize::MAX } else { SHOWN }, &obmen)?;
        session.console.result(&(text + &report::holds_text(&project, &arguments.pipeline, &obmen)?))?;
    }
    let changes = report.sinks.iter().any(|sink| sink.due + sink.held > 0);
    match Exit::of(report.status.exit_code()) {
        Exit::Done if arguments.detailed_exitcode && changes => Ok(Exit::Changes),
        exit => Ok(exit),
    }
}

/// A plan as it was written down; nothing if the sources could not be read.
struct Planned(Option<(State, PlanRecord)>);

impl Planned {
    fn find(project: &Project, report: &RunReport) -> Result<Self, Failure> {
        let (Some(state), Some(id)) = (project.state()?, &report.plan) else { return Ok(Self(None)) };
        let plan = state.plan(id)?;
        Ok(Self(plan.map(|plan| (state, plan))))
    }

    /// Changes of one sink, in the order of the plan's file, at most so many.
    fn changes(&self, sink: &str, limit: usize) -> Result<Vec<ChangeRecord>, Failure> {
        let Some((state, plan)) = &self.0 else { return Ok(Vec::new()) };
        let scopes = scopes(state)?;
        let mut one = plan.clone();
        one.sinks.retain(|record| scopes.get(&record.scope).is_some_and(|scope| scope.sink == sink));
        Ok(journal::plan_changes(state, &one, limit)?)
    }

    /// `{"plan", "pipeline", "profile", "status", "sinks": [{"sink", "creates", "updates", "deletes", "held", "changes"}]}`
    fn json(&self, report: &RunReport) -> Result<Value, Failure> {
        let mut sinks = Vec::new();
        for sink in &report.sinks {
            let changes = self.changes(&sink.sink, usize::MAX)?;
            sinks.push(json!({
                "sink": sink.sink,
                "creates": sink.creates,
                "updates": sink.updates,
                "deletes": sink.deletes,
                "held": sink.held,
                "held_by": sink.held_by,
                "invalid": sink.invalid,
                "changes": changes.iter().map(change_json).collect::<Vec<_>>(),
            }));
        }
        let mut document = json!({
            "plan": report.plan,
            "pipeline": report.pipeline,
            "profile": report.profile,
            "status": report.status,
            "sinks": sinks,
        });
        if let Some(error) = &report.error {
            document["error"] = json!(error);
        }
        Ok(document)
    }

    fn text(&self, project: &Project, report: &RunReport, limit: usize, obmen: &str) -> Result<String, Failure> {
        let mut text = report::text(report, obmen);
        for sink in &report.sinks {
            // One more than is shown says whether there are more.
            let found = self.changes(&sink.sink, limit.saturating_add(1))?;
            if found.is_empty() {
                continue;
            }
            let heading = heading(sink);
            line!(text, "\n  {STRONG}{}{STRONG:#}: {heading}", sink.sink);
            let key = |child: &str| project.child_key(&report.pipeline, &sink.sink, child);
            for change in found.iter().take(limit) {
                let why = why(change);
                line!(text, "    {}{why}", changes::line(change, &key));
            }
            if found.len() > limit {
                line!(text, "    {FAINT}… and more: --all shows them{FAINT:#}");
            }
        }
        if report.sinks.iter().any(|sink| sink.due > 0) {
            let plan = report.plan.as_deref().unwrap_or_default();
            line!(text, "\n  send exactly this: {obmen} run {} --plan {plan}", report.pipeline);
        } else if self.0.is_some() && report.sinks.iter().all(|sink| sink.held + sink.invalid == 0) {
            text.push_str("\n  nothing to send: the other side has everything\n");
        }
        Ok(text)
    }
}

/// `12 creates, 271 updates, 6 deletes`
fn heading(sink: &SinkReport) -> String {
    let operations =
        [(sink.creates, "create", "creates"), (sink.updates, "update", "updates"), (sink.deletes, "delete", "deletes")];
    let mut parts: Vec<String> =
        operations.iter().filter(|(rows, ..)| *rows > 0).map(|(rows, one, many)| counted(*rows, one, many)).collect();
    if sink.held > 0 {
        parts.push(format!("{} held", crate::words::grouped(sink.held)));
    }
    if parts.is_empty() { "nothing to send".to_owned() } else { parts.join(", ") }
}

/// Why a change is not sent; empty if it is.
fn why(change: &ChangeRecord) -> String {
    if change.outcome == "due" {
        return String::new();
    }
    let reason =
        change.reason.as_deref().map(|reason| format!(": {}", crate::words::plain(reason))).unwrap_or_default();
    format!("  {LOOK}[{}{reason}]{LOOK:#}", change.outcome)
}

/// `{"op", "key", "columns"}`, and why it is not sent where it is not.
fn change_json(change: &ChangeRecord) -> Value {
    let mut object = json!({ "op": change.op, "key": change.key, "columns": change.columns });
    if change.outcome != "due" {
        object["held"] = json!(change.outcome);
    }
    if let Some(reason) = &change.reason {
        object["reason"] = json!(reason);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_the_shape_of_the_contract() {
        let change = ChangeRecord {
            pipeline: "p".to_owned(),
            sink: "s".to_owned(),
            op: "update".to_owned(),
            key: json!({ "id": "A-1" }),
            columns: [("price".to_owned(), [json!("129.90"), json!("134.90")])].into(),
            outcome: "due".to_owned(),
            reason: None,
            at: String::new(),
            due: None,
            run: String::new(),
            load: None,
            remote_id: None,
        };
        let expected = r#"{"op":"update","key":{"id":"A-1"},"columns":{"price":["129.90","134.90"]}}"#;
        assert_eq!(change_json(&change).to_string(), expected);
    }
}
