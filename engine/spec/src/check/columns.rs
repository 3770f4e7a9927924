//! Keys and the columns they name, as far as they are declared.

use super::Context;
use crate::pipeline::Pipeline;
use obmen_diagnostics::{Problems, Span, Spanned, code};

pub(super) fn check(pipeline: &Pipeline, _: &Context<'_>, problems: &mut Problems) {
    for (_, source) in pipeline.sources.iter() {
        check_key(&source.key, source.span, "a source", problems);
        let Some(columns) = &source.columns else { continue };
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        for key in source.key.iter().filter(|key| !names.contains(&key.as_str())) {
            let found = problems.error(
                code::KEY_NOT_A_COLUMN,
                key.span,
                format!("`{}` is in the key but not among the columns", key.value),
            );
            if let Some(similar) = crate::name::suggest(key, names.iter().copied()) {
                found.help("a column with a similar name exists").fix(key.span, similar);
            } else {
                found.help(format!("add `{}` to `columns`", key.value));
            }
        }
    }
    for (_, sink) in pipeline.sinks.iter() {
        check_key(&sink.key, sink.span, "a sink", problems);
        for (name, child) in sink.children.iter() {
            check_key(&child.key, child.span, "a child", problems);
            repeated(&child.by, problems);
            if child.by.len() != sink.key.len() && !sink.key.is_empty() {
                let place = child.by.first().map_or(child.span, |first| first.span);
                let keys: Vec<&str> = sink.key.iter().map(|key| key.as_str()).collect();
                let message = format!(
                    "`by` of child `{}` has {}, the key of its owner {}",
                    name.value,
                    counted(child.by.len()),
                    counted(keys.len())
                );
                problems.error(code::KEY_LENGTH, place, message).help(format!(
                    "name the columns of `{}` that equal {}, in this order",
                    child.from.value,
                    crate::name::listed(&keys).replace(" or ", ", ")
                ));
            }
        }
        if let Some(compare) = &sink.compare {
            repeated(compare, problems);
        }
    }
}

/// A number of columns, in words.
pub(super) fn counted(columns: usize) -> String {
    if columns == 1 { "1 column".to_owned() } else { format!("{columns} columns") }
}

fn check_key(key: &[Spanned<String>], owner: Span, what: &str, problems: &mut Problems) {
    if key.is_empty() {
        problems
            .error(code::INVALID_KEY, owner, format!("the key of {what} is empty"))
            .help("name the columns that tell one row from all others");
    }
    repeated(key, problems);
}

fn repeated(columns: &[Spanned<String>], problems: &mut Problems) {
    for (number, column) in columns.iter().enumerate() {
        if let Some(first) = columns.iter().take(number).find(|other| other.value == column.value) {
            problems
                .error(code::INVALID_KEY, column.span, format!("`{}` stands twice in a list of columns", column.value))
                .label(first.span, "the first time")
                .help("remove it");
        }
    }
}
