//! `obmen baseline`: what the other side is known to have.

use crate::cells;
use crate::commands::journal::check_names;
use crate::console::STRONG;
use crate::exit::{Exit, Failure};
use crate::project::{self, Equipment, Project, options};
use crate::session::Session;
use crate::text::line;
use crate::words::{self, counted, grouped};
use obmen_runtime::operate::{self, AdoptReport};
use obmen_runtime::state::{Durability, State, StateLock};
use serde_json::json;
use std::collections::BTreeMap;

/// Extra keys that are listed.
const SHOWN: usize = 20;

/// What the other side of a sink is known to have: the values that rows are compared with.
///
/// A first run on a production profile is held. `adopt` compares with a relation that shows what the other side has: equal
/// rows become known without sending, different ones are planned. `assume` takes a person's word that it has everything.
/// `verify` finds rows the other side changed; `forget` makes rows unknown, so that they are sent again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  obmen baseline show site_offers shop --key 73dbc2e4-18d0-11ec-8a4f-00155d0a3c17
  obmen baseline adopt site_offers shop --from shop_offers --child prices=shop_prices --by \"Anna Petrova\"
  obmen baseline verify site_offers shop --from shop_offers
  obmen baseline forget site_offers shop --key 73dbc2e4-18d0-11ec-8a4f-00155d0a3c17 --by \"Anna Petrova\"")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what the other side is known to have
    Show {
        #[command(flatten)]
        sink: Sink,
        /// Only keys with this value
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// Show at most so many rows
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Take rows that equal a relation as known, without sending them
    Adopt {
        #[command(flatten)]
        sink: Sink,
        #[command(flatten)]
        shown: Shown,
        #[command(flatten)]
        person: Person,
    },
    /// Take everything as known on a person's word, without sending or comparing
    Assume {
        #[command(flatten)]
        sink: Sink,
        #[command(flatten)]
        person: Person,
    },
    /// Compare with a relation that shows what the other side has; what differs is in doubt and is sent again
    Verify {
        #[command(flatten)]
        sink: Sink,
        #[command(flatten)]
        shown: Shown,
    },
    /// Make rows unknown: they are sent again
    Forget {
        #[command(flatten)]
        sink: Sink,
        /// Only keys with this value
        #[arg(long, value_name = "KEY", required_unless_present = "all")]
        key: Option<String>,
        /// All rows of the sink
        #[arg(long, conflicts_with = "key")]
        all: bool,
        #[command(flatten)]
        person: Person,
    },
}

#[derive(Debug, clap::Args)]
struct Sink {
    /// The pipeline
    #[arg(value_name = "PIPELINE")]
    pipeline: String,
    /// The sink
    #[arg(value_name = "SINK")]
    sink: String,
}

#[derive(Debug, clap::Args)]
struct Shown {
    /// The relation of the pipeline that shows what the other side has, with the sink's columns
    #[arg(long, value_name = "RELATION")]
    from: String,
    /// The relation that shows a child's parts; once for each child
    #[arg(long = "child", value_name = "CHILD=RELATION", value_parser = parse_child)]
    children: Vec<(String, String)>,
}

#[derive(Debug, clap::Args)]
struct Person {
    /// Who decides; kept for good
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    by: String,
}

/// Does what is asked with a baseline.
pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    match &arguments.command {
        Command::Show { sink, key, limit } => show(session, &project, sink, key.as_deref(), *limit),
        Command::Adopt { sink, shown, person } => compare(session, &project, sink, shown, Some(&person.by)).await,
        Command::Verify { sink, shown } => compare(session, &project, sink, shown, None).await,
        Command::Assume { sink, person } => assume(session, &project, sink, &person.by).await,
        Command::Forget { sink, key, person, .. } => forget(session, &project, sink, key.as_deref(), &person.by),
    }
}

fn show(session: &Session, project: &Project, sink: &Sink, key: Option<&str>, limit: usize) -> Result<Exit, Failure> {
    let state = project.state()?;
    check_names(project, state.as_ref(), Some(&sink.pipeline), Some(&sink.sink))?;
    let Some(state) = state else {
        return nothing_known(session);
    };
    let rows = operate::show(&state, &sink.pipeline, &sink.sink, key, limit)?;
    if session.console.is_json() {
        session.console.json(&json!({ "rows": cells::objects(&rows) }))?;
    } else if rows.num_rows() == 0 {
        return nothing_known(session);
    } else {
        session.console.result(&cells::table(&rows).text(0))?;
        if rows.num_rows() == limit {
            session.console.say("there may be more: --limit shows them");
        }
    }
    Ok(Exit::Done)
}

fn nothing_known(session: &Session) -> Result<Exit, Failure> {
    if session.console.is_json() {
        session.console.json(&json!({ "rows": [] }))?;
    } else {
        session.console.say("nothing is known of the other side");
    }
    Ok(Exit::Done)
}

/// Adopts with a person's name, verifies without.
async fn compare(
    session: &Session,
    project: &Project,
    sink: &Sink,
    shown: &Shown,
    by: Option<&str>,
) -> Result<Exit, Failure> {
    let pipeline = project.pipeline(session, &sink.pipeline).await?;
    let written = project::sink(pipeline, &sink.sink)?;
    let known: Vec<&str> = written.children.names().collect();
    for (child, _) in &shown.children {
        if !known.contains(&child.as_str()) {
            return Err(project::unknown("child", child, &known));
        }
    }
    let options = options(session, pipeline)?;
    let children: BTreeMap<String, String> = shown.children.iter().cloned().collect();
    let equipment = Equipment::new(session, project)?;
    let report = equipment
        .with_engine(async |engine| match by {
            Some(by) => Box::pin(engine.adopt(pipeline, &options, &sink.sink, &shown.from, &children, by)).await,
            None => Box::pin(engine.verify(pipeline, &options, &sink.sink, &shown.from, &children)).await,
        })
        .await?;
    if session.console.is_json() {
        session.console.json(&report)?;
    } else {
        session.console.result(&text(&report, by.is_some(), &session.obmen(), &sink.pipeline))?;
    }
    let differs = report.different + report.missing + report.extra > 0;
    Ok(if by.is_none() && differs { Exit::Troubled } else { Exit::Done })
}

fn text(report: &AdoptReport, adopted: bool, obmen: &str, pipeline: &str) -> String {
    let (equal, different) = if adopted {
        ("known from now on", "stay unknown and are planned")
    } else {
        ("as known", "in doubt: sent again")
    };
    let mut text = format!("{STRONG}{}{STRONG:#} compared\n", counted(report.rows, "row", "rows"));
    let lines = [
        (report.equal, "equal", equal),
        (report.different, "different", different),
        (report.missing, "missing there", "sent by the next run"),
        (report.extra, "extra there", "not ours, left alone"),
    ];
    for (rows, what, meaning) in lines {
        line!(text, "  {:>12} {what}: {meaning}", grouped(rows));
    }
    for key in report.extra_keys.iter().take(SHOWN) {
        line!(text, "    extra: {}", words::key(key));
    }
    line!(text, "see what is left: {obmen} plan {pipeline}");
    text
}

async fn assume(session: &Session, project: &Project, sink: &Sink, by: &str) -> Result<Exit, Failure> {
    let pipeline = project.pipeline(session, &sink.pipeline).await?;
    project::sink(pipeline, &sink.sink)?;
    let options = options(session, pipeline)?;
    let equipment = Equipment::new(session, project)?;
    let rows =
        equipment.with_engine(async |engine| Box::pin(engine.assume(pipeline, &options, &sink.sink, by)).await).await?;
    say_rows(session, rows, "taken as known: nothing was sent")
}

fn forget(session: &Session, project: &Project, sink: &Sink, key: Option<&str>, by: &str) -> Result<Exit, Failure> {
    let state = project.state()?;
    check_names(project, state.as_ref(), Some(&sink.pipeline), Some(&sink.sink))?;
    if state.is_none() {
        return say_rows(session, 0, "forgotten");
    }
    drop(state);
    let _lock = StateLock::take(&project.state, &format!("obmen baseline forget {}", sink.pipeline))?;
    let state = State::open(&project.state, Durability::Synced)?.kept_in(project.segments()?);
    let rows = operate::forget(&state, &sink.pipeline, &sink.sink, key, by, session.now())?;
    say_rows(session, rows, "forgotten: the next run sends what is there")
}

fn say_rows(session: &Session, rows: u64, what: &str) -> Result<Exit, Failure> {
    if session.console.is_json() {
        session.console.json(&json!({ "rows": rows }))?;
    } else {
        session.console.result(&format!("{} {what}\n", counted(rows, "row", "rows")))?;
    }
    Ok(Exit::Done)
}

fn parse_child(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((child, relation)) if !child.is_empty() && !relation.is_empty() => {
            Ok((child.to_owned(), relation.to_owned()))
        }
        _ => Err("expected CHILD=RELATION, like `prices=shop_prices`".to_owned()),
    }
}
