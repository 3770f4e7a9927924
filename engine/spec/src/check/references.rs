//! Names that lead to something: connections, relations, sinks. And ways of reading that are not there yet.

use super::columns::counted;
use super::{Context, unknown};
use crate::pipeline::{Pipeline, Sink, Source};
use obmen_diagnostics::{Diagnostic, Problems, Spanned, code};

/// The relations of a pipeline by name: sources, steps, matches.
pub fn relations(pipeline: &Pipeline) -> Vec<&str> {
    let broken = pipeline.sources.broken.iter().chain(&pipeline.steps.broken).chain(&pipeline.matches.broken);
    let whole = pipeline.sources.names().chain(pipeline.steps.names()).chain(pipeline.matches.names());
    whole.chain(broken.map(String::as_str)).collect()
}

/// Reports a relation that is neither a source nor a step nor a match, with the one that was probably meant. For names
/// found in SQL as well: every place says it the same way.
pub fn unknown_relation<'p>(
    pipeline: &Pipeline,
    name: &Spanned<String>,
    problems: &'p mut Problems,
) -> &'p mut Diagnostic {
    unknown(code::UNKNOWN_RELATION, "relation", name, &relations(pipeline), problems)
}

pub(super) fn check(pipeline: &Pipeline, context: &Context<'_>, problems: &mut Problems) {
    let relations = relations(pipeline);
    let mut relation = |name: &Spanned<String>| {
        if !relations.contains(&name.as_str()) {
            unknown(code::UNKNOWN_RELATION, "relation", name, &relations, problems);
        }
    };
    for check in &pipeline.checks {
        relation(&check.of);
    }
    for (_, one) in pipeline.matches.iter() {
        relation(&one.for_);
        relation(&one.from);
    }
    for (_, sink) in pipeline.sinks.iter() {
        relation(&sink.from);
        sink.children.iter().for_each(|(_, child)| relation(&child.from));
    }
    for (_, source) in pipeline.sources.iter() {
        check_connection(&source.connection, context, problems);
        check_changes(source, context, problems);
    }
    for (_, sink) in pipeline.sinks.iter() {
        check_connection(&sink.connection, context, problems);
        check_after(pipeline, sink, context, problems);
    }
}

fn check_connection(name: &Spanned<String>, context: &Context<'_>, problems: &mut Problems) {
    // A profile that does not exist is said once, by whoever chose it.
    let Some(profile) = context.profile() else { return };
    if profile.connections.get(name).is_none() {
        let known: Vec<&str> = profile.connections.names().collect();
        let elsewhere: Vec<&str> = context
            .project
            .profiles
            .iter()
            .filter(|(_, other)| other.connections.get(name).is_some())
            .map(|(other, _)| other.as_str())
            .collect();
        let found = unknown(code::UNKNOWN_CONNECTION, "connection", name, &known, problems);
        let in_profile = format!("{} in profile `{}`", found.message, context.profile);
        found.message = in_profile;
        if !elsewhere.is_empty() {
            found.help(format!(
                "profile {} has it: add it to `{}` too",
                crate::name::listed(&elsewhere),
                context.profile
            ));
        }
    }
}

/// What a connection says about changes goes before what its sources ask.
fn check_changes(source: &Source, context: &Context<'_>, problems: &mut Problems) {
    let connection = context.profile().and_then(|profile| profile.connections.get(&source.connection));
    let overridden = connection.and_then(|connection| connection.changes.as_ref());
    let Some(changes) = overridden.or(source.changes.as_ref()) else { return };
    if !changes.kind.is_available() {
        let message = format!("`changes: {}` is not available yet", changes.kind.name());
        let found = problems.error(code::NOT_AVAILABLE_YET, changes.span, message);
        found.help("write `changes: full`, here or at the connection in `obmen.yaml`");
    }
}

fn check_after(pipeline: &Pipeline, sink: &Sink, context: &Context<'_>, problems: &mut Problems) {
    for after in &sink.after {
        let Some(other) = find_sink(pipeline, &after.sink, context, problems) else { continue };
        if !other.key.is_empty() && other.key.len() != after.by.len() {
            let place = after.by.first().map_or(after.span, |first| first.span);
            let message = format!(
                "`by` has {}, the key of `{}` {}",
                counted(after.by.len()),
                after.sink.value,
                counted(other.key.len())
            );
            let keys: Vec<&str> = other.key.iter().map(|key| key.as_str()).collect();
            problems.error(code::KEY_LENGTH, place, message).help(format!(
                "name the columns that equal {}, in this order",
                crate::name::listed(&keys).replace(" or ", ", ")
            ));
        }
    }
}

/// The sink a name leads to: `sink` here, or `pipeline/sink`.
pub(super) fn find_sink<'a>(
    pipeline: &'a Pipeline,
    name: &Spanned<String>,
    context: &Context<'a>,
    problems: &mut Problems,
) -> Option<&'a Sink> {
    let (owner, sink) = match name.split_once('/') {
        None => (pipeline, name.as_str()),
        Some((owner, sink)) => {
            let Some(owner) = context.pipelines.iter().find(|other| other.pipeline.value == owner) else {
                let known: Vec<&str> = context.pipelines.iter().map(|other| other.pipeline.as_str()).collect();
                let found = problems.error(
                    code::UNKNOWN_PIPELINE,
                    name.span,
                    format!("unknown pipeline `{owner}` in `{}`", name.value),
                );
                if let Some(similar) = crate::name::suggest(owner, known.iter().copied()) {
                    found.help("a pipeline with a similar name exists").fix(name.span, format!("{similar}/{sink}"));
                } else {
                    found.help(format!("use one of {}", crate::name::listed(&known)));
                }
                return None;
            };
            (owner, sink)
        }
    };
    let found = owner.sinks.get(sink);
    if found.is_none() && !owner.sinks.broken.iter().any(|broken| broken == sink) {
        let prefix = name.value.strip_suffix(sink).unwrap_or("");
        let known: Vec<String> = owner.sinks.names().map(|known| format!("{prefix}{known}")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        unknown(code::UNKNOWN_SINK, "sink", name, &known, problems);
    }
    found
}
