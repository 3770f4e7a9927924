//! One execution of one pipeline: read, compare, write the plan down, send, learn.

use crate::affected::{Affecting, Look};
use crate::commit;
use crate::connections::Connections;
use crate::deliver::{Delivery, DueTarget, Ended};
use crate::once;
use crate::plan::{Planned, PlannedTarget, Planner};
use crate::plan_file::PlanFile;
use crate::prepare::{Bundle, Needed, Prepared};
use crate::progress::Progress;
use crate::report::{RunReport, SinkReport, Status};
use crate::sources::Brake;
use crate::sql::Sql;
use crate::state::{Durability, PlanState, SegmentStore, State, StateLock};
use crate::target::Target;
use crate::workspace::Workspace;
use chrono::{DateTime, SecondsFormat, Utc};
use obmen_sdk::{Error, ErrorKind, Result, Sink, Stop};
use obmen_spec::pipeline::{Enabled, Pipeline};
use obmen_spec::project::Profile;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything a run needs beside the pipeline.
pub struct Engine<'a> {
    /// The project.
    pub workspace: &'a Workspace,
    /// The profile's name and content.
    pub profile: (&'a str, &'a Profile),
    /// The profile's state folder.
    pub state: PathBuf,
    /// How carefully state is written.
    pub durability: Durability,
    /// The store that keeps the state's files, if they are not kept in its folder alone.
    pub segments: Option<Arc<SegmentStore>>,
    /// Where connections come from.
    pub connections: &'a dyn Connections,
    /// The time now; `--as-of` and tests stand still.
    pub clock: &'a (dyn Fn() -> DateTime<Utc> + Sync),
    /// The wish to stop.
    pub stop: Stop,
    /// Who watches.
    pub progress: &'a dyn Progress,
    /// Sinks of other pipelines, as `pipeline/sink`, that a test takes for having acked everything.
    pub taken_for_acked: &'a BTreeSet<String>,
}

/// What to do.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Values of vars.
    pub vars: BTreeMap<String, String>,
    /// Plan only: write down and report what would be sent.
    pub plan_only: bool,
    /// Send exactly what this plan says, or refuse.
    pub plan: Option<String>,
    /// Read sources that bring only changes from the beginning, and take what they do not have any more for gone.
    pub reread: bool,
    /// Run a pipeline although it is switched off.
    pub even_if_off: bool,
}

impl std::fmt::Debug for Engine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("profile", &self.profile.0).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Engine<'_> {
    /// Runs or plans a pipeline that `validate` found nothing wrong with. Problems of the world while
    /// reading or sending are in the report; the state stays as good as the evidence.
    ///
    /// # Errors
    /// Those of the state (`is_state_error`), of vars and settings; a refused `--plan`.
    pub async fn run(&self, pipeline: &Pipeline, options: &RunOptions) -> Result<RunReport> {
        let word = if options.plan_only { "plan" } else { "run" };
        let _lock = StateLock::take(&self.state, &format!("obmen {word} {}", pipeline.pipeline))?;
        let state = self.open_state()?;
        let started = (self.clock)();
        let lost = commit::recover(&state, started)?;
        let id = ulid::Ulid::generate().to_string();
        let kind = if options.plan_only { "plan" } else { "run" };
        state.start_run(&id, &pipeline.pipeline, kind, started)?;
        let mut report = self.empty_report(&id, pipeline, started);
        if lost > 0 {
            report.notes.push(format!("{lost} rows of a run that was cut off are in doubt and are looked at again"));
        }
        let result = self.steps(&state, pipeline, options, started, &mut report).await;
        report.finished = stamp((self.clock)());
        match result {
            Ok(()) => {}
            Err(error) if is_world(&error) => {
                report.error = Some(error.to_string());
                report.status = match report.status {
                    Status::Done => status_of(&error),
                    set => set,
                };
            }
            Err(error) => {
                state.finish_run(
                    &id,
                    "failed",
                    &serde_json::json!({ "error": error.to_string() }).to_string(),
                    (self.clock)(),
                )?;
                return Err(error);
            }
        }
        let text = serde_json::to_string(&report).unwrap_or_default();
        state.finish_run(&id, report.status.name(), &text, (self.clock)())?;
        Ok(report)
    }

    /// The state, for writing.
    pub(crate) fn open_state(&self) -> Result<State> {
        Ok(State::open(&self.state, self.durability)?.kept_in(self.segments.clone()))
    }

    async fn steps(
        &self,
        state: &State,
        pipeline: &Pipeline,
        options: &RunOptions,
        now: DateTime<Utc>,
        report: &mut RunReport,
    ) -> Result<()> {
        if pipeline.enabled.value == Enabled::Off && !options.even_if_off {
            let message = format!("pipeline `{}` is switched off: set `enabled: manual` to run it", pipeline.pipeline);
            return Err(Error::new(ErrorKind::Unsupported, message).with("setting", "enabled"));
        }
        let work = state.work_folder()?;
        let Prepared { mut sql, targets, bundles, read, vars } =
            self.prepare(state, pipeline, options, &work, now, report, Needed::Delivered).await?;
        let affecting =
            Affecting { engine: self, state, pipeline, vars: &vars, sql: &sql, read: &read, work: work.path(), now };
        let bases = affecting.bases()?;
        let looks = targets.into_iter().map(|target| {
            let look = affecting.look(&target, &bases)?;
            if matches!(look, Look::Everything(_)) {
                affecting.make_ready(&target, &bases)?;
            }
            Ok((target, look))
        });
        let looks: Vec<(Target, Look)> = looks.collect::<Result<_>>()?;
        let whole = looks.iter().filter(|(_, look)| matches!(look, Look::Everything(_)));
        let compared: Vec<&Target> = whole.map(|(target, _)| target).collect();
        let place = (self.workspace.memory() / 64, work.path());
        once::compute(&mut sql, pipeline, &compared, state, place).await?;
        let planner = self.planner(state, pipeline, (&sql, work.path()), &report.run, read.brake.clone(), now);
        let mut planned = planner.plan(looks).await?;
        for planned_target in &planned.targets {
            let keyless = planned_target.difference.counts.keyless;
            bases.keep(state, &planned_target.target, &planned.record.id, keyless)?;
        }
        report.plan = Some(planned.record.id.clone());
        let only_plan = options.plan_only || pipeline.enabled.value == Enabled::Shadow;
        if !only_plan {
            Self::refuse_moved_world(state, options, &planned)?;
            self.deliver(state, &mut planned, &bundles).await?;
            remember_sources(state, pipeline, report, &planned)?;
        }
        conclude(report, planned, only_plan)
    }

    pub(crate) fn planner<'a>(
        &'a self,
        state: &'a State,
        pipeline: &'a Pipeline,
        (sql, work): (&'a Sql, &'a Path),
        run: &'a str,
        brake: Brake,
        now: DateTime<Utc>,
    ) -> Planner<'a> {
        Planner {
            sql,
            state,
            run,
            pipeline: &pipeline.pipeline,
            production: self.profile.1.production,
            now,
            budget: self.workspace.memory() / 8,
            work,
            deletes_suspended: brake.deletes_suspended,
            empty_sources: brake.empty_sources,
            trial: false,
            taken_for_acked: self.taken_for_acked,
            progress: self.progress,
        }
    }

    /// `run --plan ID` sends what that plan says, or nothing.
    fn refuse_moved_world(state: &State, options: &RunOptions, planned: &Planned) -> Result<()> {
        let Some(asked) = &options.plan else { return Ok(()) };
        let found = state.plan(asked)?.filter(|plan| plan.pipeline == planned.record.pipeline);
        let plan = found
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no plan {asked} of this pipeline")))?;
        if plan.state == PlanState::Done {
            return Err(Error::new(ErrorKind::Conflict, format!("plan {asked} was carried out already"))
                .with("setting", "plan"));
        }
        if plan.digest != planned.record.digest {
            let message = format!(
                "the world moved since plan {asked}: it would send other rows now. Nothing was sent; look at plan {}",
                planned.record.id
            );
            return Err(Error::new(ErrorKind::Conflict, message).with("setting", "plan"));
        }
        Ok(())
    }

    async fn deliver(&self, state: &State, planned: &mut Planned, bundles: &[Bundle]) -> Result<()> {
        for planned_target in &planned.targets {
            commit::adopt_rows(state, planned_target.target.scope, &planned.record)?;
        }
        let mut ended = Ended::Complete;
        for bundle in bundles {
            let Some(sink) = &bundle.sink else { continue };
            let outcome = self.deliver_bundle(state, planned, bundle, sink.as_ref()).await;
            // what was acked is written down however the delivery ended
            for index in &bundle.indices {
                if let Some(target) = planned.targets.get(*index) {
                    commit::flush(state, target.target.scope)?;
                }
            }
            match outcome? {
                Ended::Complete => {}
                Ended::Stopped => {
                    ended = Ended::Stopped;
                    break;
                }
                Ended::Unavailable(error) => ended = Ended::Unavailable(error.with("sink", &bundle.connection)),
            }
        }
        if matches!(ended, Ended::Complete) {
            for target in &planned.targets {
                state.close_approvals(target.target.scope)?;
            }
            state.set_plan_state(&planned.record.id, PlanState::Done)?;
        }
        planned.ended = Some(ended);
        Ok(())
    }

    async fn deliver_bundle(
        &self,
        state: &State,
        planned: &mut Planned,
        bundle: &Bundle,
        sink: &dyn Sink,
    ) -> Result<Ended> {
        let mut due = Vec::new();
        for index in &bundle.indices {
            let Some(PlannedTarget { target, difference, report, .. }) = planned.targets.get(*index) else { continue };
            let file = difference.file.as_ref().map(|name| PlanFile::open(state, name)).transpose()?;
            let here = |parent: usize| bundle.indices.iter().position(|own| *own == parent);
            let parents = target.after.iter().map(|link| link.target.and_then(here)).collect();
            let is_parent =
                planned.targets.iter().any(|other| other.target.after.iter().any(|link| link.target == Some(*index)));
            due.push(DueTarget::new(target, file, report.clone(), parents, is_parent)?);
        }
        let mut delivery = Delivery {
            state,
            plan: &planned.record.id,
            sink,
            targets: due,
            stop: &self.stop,
            progress: self.progress,
            clock: self.clock,
        };
        let ended = delivery.run().await;
        let reports: Vec<SinkReport> = delivery.targets.into_iter().map(|target| target.report).collect();
        for (index, mut report) in bundle.indices.iter().zip(reports) {
            if let Some(target) = planned.targets.get_mut(*index) {
                report.pending = report.due - report.sent;
                report.problems.extend(crate::journal::refusals(state, &planned.record.id, &target.target)?);
                target.report = report;
            }
        }
        ended
    }

    pub(crate) fn empty_report(&self, id: &str, pipeline: &Pipeline, started: DateTime<Utc>) -> RunReport {
        RunReport {
            run: id.to_owned(),
            pipeline: pipeline.pipeline.value.clone(),
            profile: self.profile.0.to_owned(),
            status: Status::Done,
            started: stamp(started),
            finished: String::new(),
            plan: None,
            sources: Vec::new(),
            sinks: Vec::new(),
            checks: BTreeMap::new(),
            error: None,
            notes: Vec::new(),
        }
    }
}

/// What a source brought is what the next run expects something of, unless this one was held for it.
fn remember_sources(state: &State, pipeline: &Pipeline, report: &RunReport, planned: &Planned) -> Result<()> {
    if planned.targets.iter().all(|target| target.open_holds == 0) {
        for source in &report.sources {
            state.set_source_rows(&pipeline.pipeline, &source.source, source.rows)?;
        }
    }
    Ok(())
}

fn conclude(report: &mut RunReport, planned: Planned, only_plan: bool) -> Result<()> {
    let held = planned.targets.iter().any(|target| target.open_holds > 0);
    report.sinks = planned.targets.into_iter().map(|target| target.report).collect();
    if let Some(sink) = report.sinks.iter().find(|sink| !sink.balances()) {
        report.status = Status::Failed;
        return Err(Error::internal(format!("the counters of sink `{}` do not balance: {sink:?}", sink.sink)));
    }
    let troubled = report.sinks.iter().any(|sink| sink.rejected + sink.unknown + sink.invalid > 0)
        || report.sources.iter().any(|source| source.bad > 0);
    report.status = match planned.ended {
        Some(Ended::Stopped) => Status::Interrupted,
        Some(Ended::Unavailable(error)) => {
            report.status = Status::SinkUnavailable;
            return Err(error);
        }
        _ if held => Status::Held,
        _ if only_plan => Status::Planned,
        _ if troubled => Status::Rejected,
        _ => Status::Done,
    };
    Ok(())
}

/// Whether an error is one of the outside world, to be reported, or one of ours and our user's.
fn is_world(error: &Error) -> bool {
    let ours = error.context().iter().any(|(key, _)| matches!(*key, "state" | "setting"));
    !ours
}

fn status_of(error: &Error) -> Status {
    match error.kind() {
        ErrorKind::Cancelled => Status::Interrupted,
        _ => Status::Failed,
    }
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
