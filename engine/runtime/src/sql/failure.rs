//! Failures of a running query, in the terms of [`obmen_sdk::Error`].

use super::exact::{Fault, find};
use super::join::OneKey;
use super::mistakes::clean;
use datafusion::common::DataFusionError;
use obmen_sdk::{Error, ErrorKind};
use std::sync::Arc;

/// What a running query failed of. `relation` is what was being computed.
pub(super) fn of_running(error: DataFusionError, relation: &str) -> Error {
    if let Some(fault) = find::<Fault>(&error) {
        return Error::invalid_data(fault.0.clone());
    }
    if let Some(key) = find::<OneKey>(&error) {
        return Error::new(ErrorKind::Exhausted, one_key(key, relation));
    }
    match root(error) {
        Root::Ours(error) => error,
        Root::Theirs(error) => translate(&error, relation),
    }
}

enum Root {
    Ours(Error),
    Theirs(DataFusionError),
}

/// The error of a source that travelled through a query, or DataFusion's own.
fn root(error: DataFusionError) -> Root {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(error) => Root::Ours(*error),
            Err(inner) => match inner.downcast::<DataFusionError>() {
                Ok(error) => root(*error),
                Err(inner) => Root::Theirs(DataFusionError::External(inner)),
            },
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(*inner),
        DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
            Ok(error) => root(error),
            Err(shared) => copy(&shared),
        },
        DataFusionError::ArrowError(inner, trace) => match *inner {
            arrow::error::ArrowError::ExternalError(inner) => root(DataFusionError::External(inner)),
            other => Root::Theirs(DataFusionError::ArrowError(Box::new(other), trace)),
        },
        other => Root::Theirs(other),
    }
}

/// An error several readers of the same rows got; ours keeps its kind, text and context.
fn copy(shared: &Arc<DataFusionError>) -> Root {
    match find::<Error>(shared) {
        Some(ours) => {
            let copy = Error::new(ours.kind(), ours.message().to_owned());
            Root::Ours(ours.context().iter().fold(copy, |copy, (key, value)| copy.with(key, value)))
        }
        None => Root::Theirs(DataFusionError::Shared(Arc::clone(shared))),
    }
}

fn translate(error: &DataFusionError, relation: &str) -> Error {
    let text = error.strip_backtrace();
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Error::new(ErrorKind::Exhausted, exhausted(&text, relation)),
        DataFusionError::IoError(error) => Error::new(
            ErrorKind::Exhausted,
            format!("`{relation}` cannot use the disk for what does not fit in memory: {error}"),
        ),
        DataFusionError::Execution(_) | DataFusionError::ArrowError(..) | DataFusionError::External(_) => {
            Error::invalid_data(format!("`{relation}`: {}", in_words(&text)))
        }
        _ => Error::internal(format!("`{relation}` cannot be computed: {}", in_words(&text))),
    }
}

fn in_words(text: &str) -> String {
    let text = clean(text);
    if text.eq_ignore_ascii_case("divide by zero") || text.eq_ignore_ascii_case("divide by zero error") {
        return "divides by zero".to_owned();
    }
    text
}

fn one_key(key: &OneKey, relation: &str) -> String {
    format!(
        "`{relation}` joins more rows with {key}, on both sides, than `memory:` of obmen.yaml allows: raise it, \
         or leave these rows out with a WHERE before the join"
    )
}

/// The pool's message names who holds memory: `HashJoinInput[0]#12(can spill: false) consumed 498.0 MB, peak …`.
fn exhausted(text: &str, relation: &str) -> String {
    if text.contains("disk") && text.contains("limit") {
        return format!("`{relation}` needs more room on disk than it may use for what does not fit in memory");
    }
    let holders: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let (holder, rest) = line.trim().split_once(" consumed ")?;
            let amount = rest.split([',', '.']).next().unwrap_or(rest);
            let amount = rest.split_once(", peak").map_or(amount, |(amount, _)| amount);
            let holder = holder.split(['#', '[', '(']).next().unwrap_or(holder);
            Some(format!("{} {}", consumer(holder), amount.trim_end_matches([',', '.'])))
        })
        .take(3)
        .collect();
    let holders =
        if holders.is_empty() { String::new() } else { format!(" (most is held by: {})", holders.join(", ")) };
    format!(
        "`{relation}` needs more memory than `memory:` of obmen.yaml allows{holders}: raise it, \
         or make the joined and grouped relations smaller with a WHERE"
    )
}

/// What an operator of DataFusion is to an analyst.
fn consumer(name: &str) -> String {
    let lower = name.to_lowercase();
    let known = [
        ("hashjoin", "a join"),
        ("spillingjoin", "a join"),
        ("nestedloopjoin", "a join without equality"),
        ("crossjoin", "a cross join"),
        ("sortmergejoin", "a join"),
        ("smj", "a join"),
        ("externalsorter", "a sort"),
        ("topk", "a sort with a limit"),
        ("sort", "a sort"),
        ("groupedhashaggregate", "a grouping"),
        ("aggregate", "a grouping"),
        ("window", "a window function"),
        ("repartition", "rows between threads"),
        ("recursive", "a recursive query"),
    ];
    known
        .iter()
        .find(|(part, _)| lower.contains(part))
        .map_or_else(|| name.to_owned(), |(_, words)| (*words).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhausted_memory_says_what_to_do() {
        let text = "Resources exhausted: Additional allocation failed for HashJoinInput[0] with top memory consumers \
                    (across reservations) as:\n  HashJoinInput[0]#12(can spill: false) consumed 498.0 MB, peak 498.0 MB,\n  \
                    ExternalSorter[1]#3(can spill: true) consumed 10.0 B, peak 20.0 B.\nError: Failed to allocate";
        let error = of_running(DataFusionError::ResourcesExhausted(text.to_owned()), "offers");
        assert_eq!(error.kind(), ErrorKind::Exhausted);
        assert_eq!(
            error.message(),
            "`offers` needs more memory than `memory:` of obmen.yaml allows (most is held by: a join 498.0 MB, \
             a sort 10.0 B): raise it, or make the joined and grouped relations smaller with a WHERE"
        );
    }

    #[test]
    fn a_sources_error_comes_out_as_it_went_in() {
        let ours = || Error::new(ErrorKind::Unavailable, "nobody answers").with("url", "http://x");
        let wrapped = DataFusionError::External(Box::new(ours())).context("deep");
        let out = of_running(wrapped, "offers");
        assert_eq!((out.kind(), out.to_string()), (ErrorKind::Unavailable, ours().to_string()));
        let shared = Arc::new(DataFusionError::External(Box::new(ours())));
        let other_reader = Arc::clone(&shared);
        let out = of_running(DataFusionError::Shared(other_reader), "offers");
        assert_eq!((out.kind(), out.to_string()), (ErrorKind::Unavailable, ours().to_string()));
        drop(shared);
    }
}
