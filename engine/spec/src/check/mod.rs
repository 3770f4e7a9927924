//! What is wrong between parts that are right by themselves. Pure: no files, no clock, no SQL planner.
//!
//! [`project`] looks at `obmen.yaml` alone, [`pipeline`] at one pipeline in its project and profile, [`tests`] at a test
//! file beside its pipeline. What only somebody who reads SQL can know comes in as [`Reads`] and is judged by [`graph`].

mod columns;
mod cycles;
mod graph;
mod guard;
mod names;
mod project;
mod references;
pub(crate) mod schedule;
mod secrets;
mod sql_vars;
mod test_file;
mod vars;

pub use graph::{Reads, graph, vars_of_relations};
pub use project::project;
pub use references::{relations, unknown_relation};
pub use sql_vars::sql_vars;
pub use test_file::tests;

use crate::pipeline::Pipeline;
use crate::project::{Profile, Project};
use obmen_diagnostics::{Code, Diagnostic, Files, Problems, Spanned};

/// What a pipeline is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// All texts: a pipeline's file must be called as it.
    pub files: &'a Files,
    /// The project.
    pub project: &'a Project,
    /// The profile's name.
    pub profile: &'a str,
    /// All pipelines of the project that could be read, the one that is checked among them.
    pub pipelines: &'a [Pipeline],
    /// The connectors the program has, by the word after `type:`.
    pub connectors: &'a [&'a str],
}

impl<'a> Context<'a> {
    /// The profile, if the project has it.
    pub fn profile(&self) -> Option<&'a Profile> {
        self.project.profiles.get(self.profile)
    }
}

/// Reports what is wrong with a pipeline in its project and profile, as far as that can be seen without reading its SQL.
/// Options of sources and sinks are checked by their connectors, SQL by the runtime, which then calls [`graph`].
pub fn pipeline(pipeline: &Pipeline, context: &Context<'_>, problems: &mut Problems) {
    names::check(pipeline, context, problems);
    references::check(pipeline, context, problems);
    columns::check(pipeline, context, problems);
    cycles::check_after(pipeline, context, problems);
    vars::check(pipeline, problems);
    schedule::check(pipeline, problems);
    guard::check(pipeline, problems);
    secrets::check_options(pipeline, problems);
}

/// Reports a name that nothing is called by, with the one that was probably meant or, if there are few, all of them.
fn unknown<'p>(
    code: Code,
    what: &str,
    name: &Spanned<String>,
    candidates: &[&str],
    problems: &'p mut Problems,
) -> &'p mut Diagnostic {
    let found = problems.error(code, name.span, format!("unknown {what} `{}`", name.value));
    if let Some(similar) = crate::name::suggest(name, candidates.iter().copied()) {
        found.help(format!("a {what} with a similar name exists")).fix(name.span, similar);
        if let Some(odd) = crate::name::odd_letters(name) {
            found.help(odd);
        }
    } else if candidates.is_empty() {
        found.help(format!("there is no {what} at all"));
    } else if let [only] = candidates {
        found.help(format!("the only {what} is `{only}`"));
    } else if candidates.len() <= 12 {
        found.help(format!("use one of {}", crate::name::listed(candidates)));
    }
    found
}
