//! `obmen explain`: a code of a diagnostic, or what became of a row.

use crate::console::FAINT;
use crate::exit::{Exit, Failure};
use crate::markdown;
use crate::project::{self, Equipment, Project, options};
use crate::session::Session;
use crate::text::line;
use obmen_diagnostics::{Code, all_codes, find_code};
use serde_json::json;

/// Explains a code of a diagnostic: what it means, why it is refused, what to write instead.
///
/// `explain row` tells the story of one row: where it comes from, which checks it passed, what the other side is known to
/// have, whether it waits, is held or was refused.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  obmen explain                 # all codes
  obmen explain unknown-field
  obmen explain row site_offers shop 73dbc2e4-18d0-11ec-8a4f-00155d0a3c17"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// The code, as it stands in `error[…]`
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tell what became of one row of a sink
    Row {
        /// The pipeline
        #[arg(value_name = "PIPELINE")]
        pipeline: String,
        /// The sink
        #[arg(value_name = "SINK")]
        sink: String,
        /// The row's key, or one value of it
        #[arg(value_name = "KEY")]
        key: String,
    },
}

/// Explains.
pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    match (&arguments.command, &arguments.code) {
        (Some(Command::Row { pipeline, sink, key }), _) => row(session, pipeline, sink, key).await,
        (None, Some(code)) => page(session, code),
        (None, None) => list(session),
    }
}

fn page(session: &Session, asked: &str) -> Result<Exit, Failure> {
    let name = asked.trim().trim_start_matches("error").trim_matches(['[', ']']);
    let Some(code) = find_code(name) else {
        let names: Vec<&str> = all_codes().iter().map(|code| code.name).collect();
        let mut failure = Failure::usage(format!("there is no code `{asked}`"));
        if let Some(similar) = obmen_spec::name::suggest(name, names) {
            failure = failure.help(format!("did you mean `{similar}`?"));
        }
        return Err(failure.help("`obmen explain` lists all codes"));
    };
    if session.console.is_json() {
        session.console.json(&json!({ "code": code.name, "page": code.page }))?;
    } else {
        session.console.result(&markdown::text(code.page))?;
    }
    Ok(Exit::Done)
}

fn list(session: &Session) -> Result<Exit, Failure> {
    if session.console.is_json() {
        let codes: Vec<_> =
            all_codes().iter().map(|code| json!({ "code": code.name, "about": about(*code) })).collect();
        session.console.json(&json!({ "codes": codes }))?;
        return Ok(Exit::Done);
    }
    let widest = all_codes().iter().map(|code| code.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for code in all_codes() {
        line!(text, "{:<widest$}  {FAINT}{}{FAINT:#}", code.name, about(*code));
    }
    session.console.result(&text)?;
    Ok(Exit::Done)
}

/// The first line of a page below its heading.
fn about(code: Code) -> &'static str {
    code.page.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or("")
}

async fn row(session: &Session, pipeline: &str, sink: &str, key: &str) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    let written = project.pipeline(session, pipeline).await?;
    project::sink(written, sink)?;
    let options = options(session, written)?;
    let equipment = Equipment::new(session, &project)?;
    let explanation = equipment
        .with_engine(async |engine| Box::pin(engine.explain_row(written, &options, sink, key)).await)
        .await
        .map_err(Failure::reading)?;
    if session.console.is_json() {
        session.console.json(&explanation)?;
    } else {
        let text = explanation.to_string();
        session.console.result(&format!("{}\n", text.trim_end()))?;
    }
    Ok(Exit::Done)
}
