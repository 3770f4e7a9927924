//! The report of a run as people read it.

use crate::console::{BAD, FAINT, GOOD, LOOK, STRONG};
use crate::exit::Failure;
use crate::project::{Project, scopes};
use crate::session::Session;
use crate::table::Table;
use crate::text::line;
use crate::words::{self, counted, grouped};
use obmen_runtime::report::{RunReport, SinkReport, Status};
use obmen_runtime::state::HoldState;

/// Refused rows that are shown per sink.
const SHOWN: usize = 10;

/// A report as text; `obmen` begins the commands it proposes.
pub(crate) fn text(report: &RunReport, obmen: &str) -> String {
    let mut text = headline(report);
    if let Some(error) = &report.error {
        line!(text, "  {BAD}error:{BAD:#} {}", words::plain(error));
    }
    for note in &report.notes {
        line!(text, "  {LOOK}note:{LOOK:#} {}", words::plain(note));
    }
    sources(report, &mut text);
    if !report.sinks.is_empty() {
        text.push('\n');
        text.push_str(&counters(report));
        for (check, rows) in &report.checks {
            line!(text, "  check `{check}` failed on {}", counted(*rows, "row", "rows"));
        }
        for sink in &report.sinks {
            reasons(&report.pipeline, sink, obmen, &mut text);
        }
    }
    text
}

/// `site_offers: done in 2.1 s  (profile demo, run 01J…)`
fn headline(report: &RunReport) -> String {
    let (style, status) = match report.status {
        Status::Done => (GOOD, "done"),
        Status::Planned => (GOOD, "planned, nothing was sent"),
        Status::Rejected => (LOOK, "finished, but not every row arrived"),
        Status::Held => (LOOK, "held: changes wait for a person"),
        Status::SourceUnavailable => (BAD, "a source is unavailable, nothing was sent"),
        Status::SinkUnavailable => (BAD, "a sink is unavailable, what was not sent waits"),
        Status::Failed => (BAD, "failed"),
        Status::Interrupted => (LOOK, "interrupted, the next run goes on"),
    };
    let moment = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
    let took = moment(&report.finished).zip(moment(&report.started)).map(|(end, start)| crate::time::took(end - start));
    let took = took.map(|took| format!(" in {took}")).unwrap_or_default();
    format!(
        "{STRONG}{}{STRONG:#}: {style}{status}{style:#}{took}  {FAINT}(profile {}, run {}){FAINT:#}\n",
        report.pipeline, report.profile, report.run
    )
}

fn sources(report: &RunReport, text: &mut String) {
    let mut read: Vec<String> = Vec::new();
    for source in &report.sources {
        read.push(format!("{} {}", source.source, grouped(source.rows)));
    }
    if !read.is_empty() {
        line!(text, "  {FAINT}read{FAINT:#} {}", read.join(", "));
    }
    for source in report.sources.iter().filter(|source| source.bad > 0) {
        let rows = counted(source.bad, "row", "rows");
        line!(text, "  {BAD}{rows} of {} cannot be read:{BAD:#}", source.source);
        for row in source.bad_rows.iter().take(SHOWN) {
            line!(text, "    {}", words::plain(row));
        }
    }
}

/// What each sink's comparison looked at, for those who ask for more.
pub(crate) fn say_what_was_compared(session: &Session, report: &RunReport) {
    if session.console.is_verbose() {
        for sink in &report.sinks {
            let compared = sink.compared.as_deref().unwrap_or_default();
            session.console.say(&format!("{} compares {compared}", sink.sink));
        }
    }
}

/// A counter: its name, how it is read from a report, whether it is shown when it is zero everywhere.
type Counter = (&'static str, fn(&SinkReport) -> u64, bool);

/// The counters in the order of their sums: `read = unchanged + invalid + held + due`, and so on.
const COUNTERS: [Counter; 14] = [
    ("read", |sink| sink.read, true),
    ("unchanged", |sink| sink.unchanged, true),
    ("invalid", |sink| sink.invalid, false),
    ("held", |sink| sink.held, false),
    ("due", |sink| sink.due, true),
    ("creates", |sink| sink.creates, false),
    ("updates", |sink| sink.updates, false),
    ("deletes", |sink| sink.deletes, false),
    ("sent", |sink| sink.sent, false),
    ("acked", |sink| sink.acked, false),
    ("accepted", |sink| sink.accepted, false),
    ("rejected", |sink| sink.rejected, false),
    ("unknown", |sink| sink.unknown, false),
    ("pending", |sink| sink.pending, false),
];

/// The counters of every sink, without those that are zero everywhere.
fn counters(report: &RunReport) -> String {
    let planned = report.status == Status::Planned;
    let shown = |(name, count, always): &&Counter| {
        *always || (report.sinks.iter().any(|sink| count(sink) > 0) && !(planned && *name == "pending"))
    };
    let counters: Vec<&Counter> = COUNTERS.iter().filter(shown).collect();
    let mut table = Table::of(&["sink"]);
    for (name, ..) in &counters {
        table.column(name, true);
    }
    for sink in &report.sinks {
        let numbers = counters.iter().map(|(_, count, _)| grouped(count(sink)));
        table.cells(std::iter::once(sink.sink.clone()).chain(numbers).map(Some).collect());
    }
    table.text(2)
}

/// What did not go and why, and where to look.
fn reasons(pipeline: &str, sink: &SinkReport, obmen: &str, text: &mut String) {
    let name = &sink.sink;
    let mut lines: Vec<String> = Vec::new();
    for (reason, rows) in sink.held_by.iter().filter(|(_, rows)| **rows > 0) {
        lines.push(format!("{} held ({reason}): {}", grouped(*rows), held_hint(reason, pipeline, name, obmen)));
    }
    for (check, rows) in &sink.checks {
        lines.push(format!("check `{check}` failed on {}", counted(*rows, "row", "rows")));
    }
    for problem in sink.problems.iter().take(SHOWN) {
        let key = words::key(&problem.key);
        lines.push(format!("{LOOK}{}{LOOK:#} {key}  {}", problem.outcome, words::plain(&problem.reason)));
    }
    if sink.problems.len() > SHOWN || sink.rejected + sink.unknown > 0 {
        lines.push(format!("all of them: {obmen} queue list {pipeline} --sink {name}"));
    }
    for (parent, rows) in &sink.waits_for {
        lines.push(match parent.split_once('/') {
            Some((other, _)) => format!("{} wait for {parent}: {obmen} run {other}", grouped(*rows)),
            None => format!("{} wait for {parent}", grouped(*rows)),
        });
    }
    if !lines.is_empty() {
        line!(text, "\n  {STRONG}{name}{STRONG:#}");
        for line in lines {
            line!(text, "    {line}");
        }
    }
}

fn held_hint(reason: &str, pipeline: &str, sink: &str, obmen: &str) -> String {
    match reason {
        "guard" => format!("see `{obmen} hold list`"),
        "waits" => {
            format!("they wait for other rows or for their time, see `{obmen} queue list {pipeline} --sink {sink}`")
        }
        "parked" => format!("refused too often; `{obmen} queue retry {pipeline} --sink {sink}` offers them again"),
        "ignored" => "gone here and kept there, as `deletes: ignore` says".to_owned(),
        _ => format!("see `{obmen} queue list {pipeline} --sink {sink}`"),
    }
}

/// The holds of a pipeline that wait for a person, and what to say about them; empty if there are none.
///
/// # Errors
/// Those of the state.
pub(crate) fn holds_text(project: &Project, pipeline: &str, obmen: &str) -> Result<String, Failure> {
    let mut text = String::new();
    for (id, sink, detail) in open_holds(project, pipeline)? {
        line!(text, "\n  {LOOK}hold {id}{LOOK:#} {sink}: {}", words::plain(&detail));
        line!(text, "    look:    {obmen} hold show {id}");
        line!(text, "    decide:  {obmen} hold approve {id} --by NAME   or   {obmen} hold reject {id} --by NAME");
    }
    Ok(text)
}

/// The holds of a pipeline that wait for a person: their numbers, sinks and reasons.
fn open_holds(project: &Project, pipeline: &str) -> Result<Vec<(i64, String, String)>, Failure> {
    let Some(state) = project.state()? else { return Ok(Vec::new()) };
    let scopes = scopes(&state)?;
    let holds = state.holds(None)?.into_iter().filter(|hold| hold.state == HoldState::Open);
    let ours = holds.filter_map(|hold| {
        let scope = scopes.get(&hold.scope).filter(|scope| scope.pipeline == pipeline)?;
        Some((hold.id, scope.sink.clone(), hold.detail))
    });
    Ok(ours.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use obmen_runtime::report::RowProblem;
    use serde_json::json;

    fn report() -> RunReport {
        let sink = SinkReport {
            sink: "shop".to_owned(),
            scope: "all".to_owned(),
            read: 501_210,
            unchanged: 500_920,
            held: 1,
            held_by: [("waits".to_owned(), 1)].into(),
            due: 289,
            sent: 289,
            acked: 286,
            rejected: 3,
            updates: 289,
            problems: vec![RowProblem {
                key: json!({ "id": "A-1" }),
                outcome: "rejected".to_owned(),
                reason: "unknown category".to_owned(),
            }],
            ..SinkReport::default()
        };
        RunReport {
            run: "01J".to_owned(),
            pipeline: "site_offers".to_owned(),
            profile: "demo".to_owned(),
            status: Status::Rejected,
            started: "2026-11-22T10:00:00.000Z".to_owned(),
            finished: "2026-11-22T10:00:02.100Z".to_owned(),
            plan: Some("01K".to_owned()),
            sources: Vec::new(),
            sinks: vec![sink],
            checks: [].into(),
            error: None,
            notes: vec!["nothing is deleted in this run".to_owned()],
        }
    }

    #[test]
    fn the_summary_says_what_did_not_arrive_and_where_to_look() {
        let shown = anstream::adapter::strip_str(&text(&report(), "obmen")).to_string();
        for expected in [
            "site_offers: finished, but not every row arrived in 2.1 s  (profile demo, run 01J)",
            "note: nothing is deleted in this run",
            "501 210    500 920",
            "1 held (waits)",
            "rejected A-1  unknown category",
            "obmen queue list site_offers --sink shop",
        ] {
            assert!(shown.contains(expected), "{expected}\n{shown}");
        }
    }

    #[test]
    fn the_json_is_the_contract() {
        let json = serde_json::to_value(report()).unwrap();
        let names: Vec<&str> = json["sinks"][0].as_object().unwrap().keys().map(String::as_str).collect();
        let contract = [
            "sink",
            "scope",
            "read",
            "unchanged",
            "invalid",
            "held",
            "held_by",
            "due",
            "sent",
            "pending",
            "acked",
            "accepted",
            "rejected",
            "unknown",
            "creates",
            "updates",
            "deletes",
            "loads",
            "requests",
        ];
        assert!(contract.iter().all(|name| names.contains(name)), "{names:?}");
        for name in ["run", "pipeline", "profile", "status", "started", "finished", "sources", "sinks"] {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert_eq!(json["status"], "rejected");
    }
}
