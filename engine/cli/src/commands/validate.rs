//! `obmen validate`: everything that is written wrong, all at once.

use crate::arguments::Format;
use crate::exit::{Exit, Failure};
use crate::project::{Project, summary};
use crate::session::Session;
use obmen_diagnostics::render;
use obmen_runtime::validate::Validator;

/// Finds everything that is written wrong in the project: YAML, names, SQL, types, settings, tests.
///
/// Nothing outside is read or sent. Columns of sources that are not declared come from schemas.lock, which `obmen check`
/// writes, or from files of this machine. Text goes to stderr, JSON and annotations to stdout.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  obmen validate\n  obmen validate --profile production --output github   # in a CI job"
)]
pub(crate) struct Arguments {}

/// Shows what is wrong; 3 if there are errors.
pub(crate) async fn run(session: &Session) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    let validator = Validator {
        workspace: &project.workspace,
        registry: &session.registry,
        profile: (&project.profile, project.settings()?),
        now: session.now(),
    };
    let problems = validator.all().await;
    let (files, found) = (&project.workspace.files, problems.sorted());
    match session.global.output {
        Format::Json => session.console.json(&render::json(files, &found))?,
        Format::Github => session.console.result(&render::github(files, &found))?,
        Format::Text | Format::Junit => session.console.insist_diagnostics(files, &found),
    }
    let count = 1 + project.workspace.pipelines.len() + project.workspace.tests.len();
    session.console.say(&summary(&found, u64::try_from(count).ok()));
    Ok(if problems.has_errors() { Exit::Invalid } else { Exit::Done })
}
