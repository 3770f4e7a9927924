//! A test file beside its pipeline: everything it names exists, and nothing it needs is left to the world.

use super::{Context, references, unknown};
use crate::pipeline::{Pipeline, Sink, Source};
use crate::test_file::{Given, Row, Rows, Test, TestFile, Then};
use obmen_diagnostics::{Problems, Spanned, code};

/// Reports what is wrong with a test file: a pipeline, source, sink, step, var, check or column that is not there, rows
/// without their key, and sources or sinks a test says nothing about.
pub fn tests(file: &TestFile, context: &Context<'_>, problems: &mut Problems) {
    let Some(pipeline) = context.pipelines.iter().find(|other| other.pipeline.value == file.pipeline.value) else {
        let known: Vec<&str> = context.pipelines.iter().map(|other| other.pipeline.as_str()).collect();
        unknown(code::UNKNOWN_PIPELINE, "pipeline", &file.pipeline, &known, problems);
        return;
    };
    super::names::unique(code::NAME_CLASH, file.tests.iter().map(|test| (&test.name, "test")), problems);
    for test in &file.tests {
        check_mocks(pipeline, test, problems);
        for step in &test.steps {
            if let Some(given) = &step.given {
                check_given(pipeline, given, context, problems);
            }
            for then in &step.then {
                check_then(pipeline, then, problems);
            }
        }
    }
}

/// No test touches the world: the first step says what every source has and what every sink answers.
fn check_mocks(pipeline: &Pipeline, test: &Test, problems: &mut Problems) {
    let given = test.steps.first().and_then(|step| step.given.as_ref());
    let place = test.name.span;
    let sources = pipeline.sources.names().filter(|name| given.is_none_or(|given| given.sources.get(name).is_none()));
    for name in sources {
        problems
            .error(code::NOT_MOCKED, place, format!("the first step does not say what source `{name}` has"))
            .help(format!("add `given: {{ sources: {{ {name}: … }} }}`; `[]` is no rows"));
    }
    let sinks = pipeline.sinks.names().filter(|name| given.is_none_or(|given| given.sinks.get(name).is_none()));
    for name in sinks {
        problems
            .error(code::NOT_MOCKED, place, format!("the first step does not say what sink `{name}` answers"))
            .help(format!("add `given: {{ sinks: {{ {name}: ack_all }} }}`"));
    }
}

fn check_given(pipeline: &Pipeline, given: &Given, context: &Context<'_>, problems: &mut Problems) {
    for (name, rows) in given.sources.iter() {
        let Some(source) = find_source(pipeline, name, problems) else { continue };
        if let Rows::Inline(rows) = rows {
            check_rows(rows, source, problems);
        }
    }
    for (name, rows) in given.patch.iter() {
        let Some(source) = find_source(pipeline, name, problems) else { continue };
        check_rows(rows, source, problems);
    }
    for (name, rows) in given.remove.iter() {
        let Some(source) = find_source(pipeline, name, problems) else { continue };
        for row in rows {
            check_key(row, &source.key, problems);
        }
    }
    for sink in &given.acked {
        references::find_sink(pipeline, sink, context, problems);
    }
    let sinks: Vec<&str> = pipeline.sinks.names().collect();
    for (name, replies) in given.sinks.iter() {
        match pipeline.sinks.get(name) {
            None => drop(unknown(code::UNKNOWN_SINK, "sink", name, &sinks, problems)),
            Some(sink) => replies.rows.iter().for_each(|reply| check_key(&reply.key, &sink.key, problems)),
        }
    }
    let vars: Vec<&str> = pipeline.vars.names().collect();
    for (name, _) in given.vars.iter().filter(|(name, _)| !vars.contains(&name.as_str())) {
        unknown(code::UNKNOWN_VAR, "var", name, &vars, problems);
    }
}

fn find_source<'p>(pipeline: &'p Pipeline, name: &Spanned<String>, problems: &mut Problems) -> Option<&'p Source> {
    let source = pipeline.sources.get(name);
    if source.is_none() {
        let known: Vec<&str> = pipeline.sources.names().collect();
        unknown(code::UNKNOWN_SOURCE, "source", name, &known, problems);
    }
    source
}

/// Rows of a source have their key, and only columns that are declared.
fn check_rows(rows: &[Row], source: &Source, problems: &mut Problems) {
    for row in rows {
        missing_key(row, &source.key, problems);
        let Some(columns) = &source.columns else { continue };
        let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        for (name, _) in row.columns.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            unknown(code::UNKNOWN_COLUMN, "column", name, &known, problems);
        }
    }
}

/// A key has all its columns and nothing else.
fn check_key(row: &Row, key: &[Spanned<String>], problems: &mut Problems) {
    missing_key(row, key, problems);
    let known: Vec<&str> = key.iter().map(|column| column.as_str()).collect();
    for (name, _) in row.columns.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        unknown(code::UNKNOWN_COLUMN, "column of the key", name, &known, problems);
    }
}

fn missing_key(row: &Row, key: &[Spanned<String>], problems: &mut Problems) {
    for column in key.iter().filter(|column| !row.columns.iter().any(|(name, _)| name.value == column.value)) {
        problems
            .error(code::MISSING_FIELD, row.span, format!("the row has no `{}`, which is in the key", column.value))
            .help(format!("add `{}:` to the row", column.value));
    }
}

fn check_then(pipeline: &Pipeline, then: &Then, problems: &mut Problems) {
    let sinks: Vec<&str> = pipeline.sinks.names().collect();
    let sink = find_asserted(pipeline, then, &sinks, problems);
    if let (Some(sink), Some(changes)) = (sink, &then.changes) {
        changes.changes.iter().for_each(|change| check_key(&change.key, &sink.key, problems));
    }
    let relations = references::relations(pipeline);
    for (name, _) in then.relations.iter().filter(|(name, _)| !relations.contains(&name.as_str())) {
        unknown(code::UNKNOWN_RELATION, "relation", name, &relations, problems);
    }
    let checks: Vec<&str> = pipeline.checks.iter().map(|check| check.name.as_str()).collect();
    for (name, _) in then.checks.iter().filter(|(name, _)| !checks.contains(&name.as_str())) {
        unknown(code::UNKNOWN_WORD, "check", name, &checks, problems);
    }
}

/// The sink that is asserted about: the one that is named, or the only one.
fn find_asserted<'p>(pipeline: &'p Pipeline, then: &Then, sinks: &[&str], problems: &mut Problems) -> Option<&'p Sink> {
    if let Some(name) = &then.sink {
        let sink = pipeline.sinks.get(name);
        if sink.is_none() {
            unknown(code::UNKNOWN_SINK, "sink", name, sinks, problems);
        }
        return sink;
    }
    let about_a_sink =
        then.changes.is_some() || !then.counters.is_empty() || then.queue.is_some() || then.held.is_some();
    if about_a_sink && sinks.len() > 1 {
        problems
            .error(code::MISSING_FIELD, then.span, "the pipeline has several sinks, and `then` does not say which")
            .help(format!("add `sink:` with one of {}", crate::name::listed(sinks)));
    }
    sinks.first().filter(|_| sinks.len() == 1).and_then(|name| pipeline.sinks.get(name))
}
