//! One file per command: its words, its help, what it does.

pub(crate) mod baseline;
pub(crate) mod check;
pub(crate) mod docs;
pub(crate) mod explain;
pub(crate) mod hold;
pub(crate) mod init;
pub(crate) mod journal;
pub(crate) mod plan;
pub(crate) mod preview;
pub(crate) mod queue;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod test;
pub(crate) mod validate;
pub(crate) mod volume;

use crate::arguments::Command;
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Does what the command line asks for.
///
/// # Errors
/// Why it cannot be done, with the exit code.
pub(crate) async fn run(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Init(arguments) => init::run(session, &arguments),
        Command::Validate(_) => validate::run(session).await,
        Command::Check(arguments) => Box::pin(check::run(session, &arguments)).await,
        Command::Plan(arguments) => Box::pin(plan::run(session, &arguments)).await,
        Command::Run(arguments) => Box::pin(run::run(session, &arguments)).await,
        Command::Test(arguments) => Box::pin(test::run(session, &arguments)).await,
        Command::Preview(arguments) => Box::pin(preview::run(session, &arguments)).await,
        Command::Explain(arguments) => Box::pin(explain::run(session, &arguments)).await,
        Command::Queue(arguments) => queue::run(session, &arguments),
        Command::Runs(arguments) => runs::run(session, &arguments),
        Command::Journal(arguments) => journal::run(session, &arguments),
        Command::Hold(arguments) => hold::run(session, &arguments),
        Command::Baseline(arguments) => Box::pin(baseline::run(session, &arguments)).await,
        Command::Schema(arguments) => schema::run(session, &arguments),
        Command::Docs(arguments) => docs::run(session, &arguments),
        Command::Sandbox(arguments) => sandbox::run(session, &arguments).await,
        Command::Crosswalk(_) => Err(later("crosswalk")),
        Command::Record(_) => Err(later("record")),
        Command::Serve(_) => Err(later("serve")),
    }
}

/// A known word that does nothing yet.
pub(crate) fn later(words: &str) -> Failure {
    Failure::usage(format!("`obmen {words}` is not available yet"))
}
