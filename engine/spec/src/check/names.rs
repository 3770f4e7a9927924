//! Names: usable in SQL and as files, unique, in one alphabet, and the file called as the pipeline.

use super::Context;
use crate::name;
use crate::pipeline::Pipeline;
use obmen_diagnostics::{Code, Problems, Severity, Spanned, code};

pub(super) fn check(pipeline: &Pipeline, context: &Context<'_>, problems: &mut Problems) {
    check_file(pipeline, context, problems);
    name::check(&pipeline.pipeline, "pipeline", problems);
    let relations = || {
        let sources = pipeline.sources.iter().map(|(name, _)| (name, "source"));
        let steps = pipeline.steps.iter().map(|(name, _)| (name, "step"));
        sources.chain(steps).chain(pipeline.matches.iter().map(|(name, _)| (name, "match")))
    };
    let sinks = || pipeline.sinks.iter().map(|(name, _)| (name, "sink"));
    let vars = || pipeline.vars.iter().map(|(name, _)| (name, "var"));
    for (name, what) in relations().chain(sinks()).chain(vars()) {
        name::check(name, what, problems);
    }
    for (_, sink) in pipeline.sinks.iter() {
        sink.children.iter().for_each(|(name, _)| name::check(name, "child", problems));
        unique(code::NAME_CLASH, sink.children.iter().map(|(name, _)| (name, "child")), problems);
    }
    unique(code::NAME_CLASH, relations(), problems);
    unique(code::NAME_CLASH, sinks(), problems);
    check_entities(pipeline, problems);
}

/// Reports names that differ only in case, or not at all: SQL and Windows take them for the same.
pub(super) fn unique<'n>(
    code: Code,
    names: impl Iterator<Item = (&'n Spanned<String>, &'static str)>,
    problems: &mut Problems,
) {
    let mut seen: Vec<(String, &Spanned<String>, &str)> = Vec::new();
    for (name, what) in names {
        let folded = name.to_lowercase();
        if let Some((_, first, first_what)) = seen.iter().find(|(other, _, _)| *other == folded) {
            let message = if first.value == name.value {
                format!("{what} `{}` has the name of a {first_what}", name.value)
            } else {
                format!("{what} `{}` differs from {first_what} `{}` only in case", name.value, first.value)
            };
            problems.error(code, name.span, message).label(first.span, "the first one").help("rename one of them");
        } else {
            seen.push((folded, name, what));
        }
    }
}

fn check_file(pipeline: &Pipeline, context: &Context<'_>, problems: &mut Problems) {
    let name = &pipeline.pipeline;
    if let Some(file) = context.files.get(name.span.file) {
        let file = file.name().rsplit(['/', '\\']).next().unwrap_or("");
        let stem = file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml")).unwrap_or(file);
        if stem != name.value {
            problems
                .error(code::FILE_NAME, name.span, format!("pipeline `{}` is in the file `{file}`", name.value))
                .help(format!("rename the file to `{}.yaml`, or the pipeline to `{stem}`", name.value));
        }
    }
    let others = context.pipelines.iter().map(|other| &other.pipeline).filter(|other| other.span != name.span);
    for other in others.filter(|other| other.to_lowercase() == name.to_lowercase()) {
        problems
            .error(code::NAME_CLASH, name.span, format!("two pipelines are called `{}`", name.value))
            .label(other.span, "the other one")
            .help("rename one of them");
    }
}

/// Names of the outside world may mix alphabets on purpose; it is said, not refused.
fn check_entities(pipeline: &Pipeline, problems: &mut Problems) {
    let entities = pipeline.sources.iter().map(|(_, source)| &source.entity);
    for entity in entities.chain(pipeline.sinks.iter().map(|(_, sink)| &sink.entity)) {
        name::check_alphabet(entity, "entity", Severity::Warning, problems);
    }
    let columns = pipeline.sources.iter().filter_map(|(_, source)| source.columns.as_ref());
    let columns = columns.chain(pipeline.sinks.iter().filter_map(|(_, sink)| sink.columns.as_ref()));
    for column in columns.flatten() {
        name::check_alphabet(&column.name, "column", Severity::Warning, problems);
    }
}
