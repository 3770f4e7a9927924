//! `obmen run`: a pipeline, for real.

use crate::exit::{Exit, Failure};
use crate::project::{Equipment, Project, options};
use crate::report;
use crate::session::Session;
use obmen_runtime::state::PlanState;

/// Runs a pipeline: reads its sources, compares with what the other side is known to have, sends what changed.
///
/// What counts as delivered is only what the other side confirmed. Ctrl-C finishes the request under way and saves; the
/// next run goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  obmen run site_offers
  obmen run billing --var period=2026-10 --output json
  obmen run site_offers --plan 01JD3Y5W6Z…   # exactly what that plan showed, or nothing")]
pub(crate) struct Arguments {
    /// The pipeline
    #[arg(value_name = "PIPELINE")]
    pipeline: String,

    /// Send exactly what this plan says, or refuse because the world moved
    #[arg(long, value_name = "ID", conflicts_with = "shadow")]
    plan: Option<String>,

    /// Read sources that bring only changes from the beginning; what they do not have any more is gone
    #[arg(long)]
    reread: bool,

    /// Plan and report, send nothing, whatever `enabled:` says
    #[arg(long)]
    shadow: bool,
}

/// Runs; the exit code is the report's.
pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    let pipeline = project.pipeline(session, &arguments.pipeline).await?;
    let mut options = options(session, pipeline)?;
    options.plan_only = arguments.shadow;
    options.reread = arguments.reread;
    options.plan.clone_from(&arguments.plan);
    if let Some(plan) = &arguments.plan {
        look_up(&project, &arguments.pipeline, plan)?;
    }
    let equipment = Equipment::new(session, &project)?;
    let report = equipment.with_engine(async |engine| Box::pin(engine.run(pipeline, &options)).await).await?;
    report::say_what_was_compared(session, &report);
    if session.console.is_json() {
        session.console.json(&report)?;
    } else {
        let obmen = session.obmen();
        session
            .console
            .result(&(report::text(&report, &obmen) + &report::holds_text(&project, &arguments.pipeline, &obmen)?))?;
    }
    Ok(Exit::of(report.status.exit_code()))
}

/// Refuses a plan that cannot be carried out before anything is read.
fn look_up(project: &Project, pipeline: &str, id: &str) -> Result<(), Failure> {
    let plan = match project.state()? {
        Some(state) => state.plan(id)?.filter(|plan| plan.pipeline == pipeline),
        None => None,
    };
    match plan {
        None => Err(Failure::usage(format!("there is no plan `{id}` of `{pipeline}`"))
            .help(format!("make one with `obmen plan {pipeline}`"))),
        Some(plan) if plan.state == PlanState::Done => {
            Err(Failure::usage(format!("plan `{id}` was carried out already"))
                .help(format!("see `obmen journal {pipeline}`")))
        }
        Some(_) => Ok(()),
    }
}
