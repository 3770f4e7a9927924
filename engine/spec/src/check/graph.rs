//! What the SQL of the steps reads, and what follows: cycles, sources nobody reads, sinks that need a scope.

use super::cycles::{Edges, cycles, drawn};
use super::sql_vars;
use crate::pipeline::{Deletes, Pipeline};
use obmen_diagnostics::{Problems, code};
use std::collections::{BTreeMap, BTreeSet};

/// Which relations each step reads, by the step's name. The runtime finds them in the SQL.
pub type Reads = BTreeMap<String, BTreeSet<String>>;

/// Reports steps that read each other in a circle, sources nothing reads, and sinks that would delete what a var merely
/// left out. Names that are no relations are ignored here: they are reported where they stand.
pub fn graph(pipeline: &Pipeline, reads: &Reads, problems: &mut Problems) {
    check_cycles(pipeline, reads, problems);
    check_unused(pipeline, reads, problems);
    check_scope(pipeline, reads, problems);
}

fn edges(pipeline: &Pipeline, reads: &Reads) -> Edges {
    let mut edges = Edges::new();
    for (name, _) in pipeline.steps.iter() {
        edges.insert(name.value.clone(), reads.get(&name.value).into_iter().flatten().cloned().collect());
    }
    for (name, one) in pipeline.matches.iter() {
        edges.insert(name.value.clone(), vec![one.for_.value.clone(), one.from.value.clone()]);
    }
    edges
}

fn check_cycles(pipeline: &Pipeline, reads: &Reads, problems: &mut Problems) {
    for cycle in cycles(&edges(pipeline, reads)) {
        let ours = pipeline.steps.iter().map(|(name, _)| name).chain(pipeline.matches.iter().map(|(name, _)| name));
        let Some(first) = ours.into_iter().find(|name| cycle.contains(&name.value)) else { continue };
        let message = if cycle.len() == 1 {
            format!("step `{}` reads itself", first.value)
        } else {
            format!("steps read each other: {}", drawn(&cycle, first))
        };
        problems.error(code::CYCLE, first.span, message).help("let one of them read a source or another step instead");
    }
}

fn check_unused(pipeline: &Pipeline, reads: &Reads, problems: &mut Problems) {
    if !pipeline.steps.broken.is_empty() || !pipeline.sinks.broken.is_empty() {
        return; // what could not be read may read anything
    }
    let mut used: BTreeSet<&str> = reads.values().flatten().map(String::as_str).collect();
    used.extend(pipeline.checks.iter().map(|check| check.of.as_str()));
    used.extend(pipeline.matches.iter().flat_map(|(_, one)| [one.for_.as_str(), one.from.as_str()]));
    for (_, sink) in pipeline.sinks.iter() {
        used.insert(&sink.from);
        used.extend(sink.children.iter().map(|(_, child)| child.from.as_str()));
    }
    for (name, _) in pipeline.sources.iter().filter(|(name, _)| !used.contains(name.as_str())) {
        problems
            .warning(code::UNUSED_SOURCE, name.span, format!("nothing reads source `{}`", name.value))
            .help("remove it, or read it in a step");
    }
}

/// The vars each relation depends on, through all the steps it is made of.
pub fn vars_of_relations(pipeline: &Pipeline, reads: &Reads) -> BTreeMap<String, BTreeSet<String>> {
    let mut vars: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, sql) in pipeline.steps.iter() {
        let used = sql_vars(&sql.text).into_iter().map(|(var, _)| var);
        vars.entry(name.value.clone()).or_default().extend(used);
    }
    for (name, one) in pipeline.matches.iter() {
        let texts = one.rules.iter().flat_map(|rule| rule.when.iter().chain([&rule.where_]).chain(&rule.order_by));
        let used = texts.flat_map(|sql| sql_vars(&sql.text)).map(|(var, _)| var);
        vars.entry(name.value.clone()).or_default().extend(used);
    }
    let edges = edges(pipeline, reads);
    // Every round carries vars one step further; a graph of n relations is settled after n rounds at most.
    for _ in 0..edges.len() {
        let mut changed = false;
        for (name, from) in &edges {
            let more: BTreeSet<String> = from.iter().filter_map(|from| vars.get(from)).flatten().cloned().collect();
            let own = vars.entry(name.clone()).or_default();
            let before = own.len();
            own.extend(more);
            changed |= own.len() != before;
        }
        if !changed {
            break;
        }
    }
    vars
}

fn check_scope(pipeline: &Pipeline, reads: &Reads, problems: &mut Problems) {
    let vars = vars_of_relations(pipeline, reads);
    for (name, sink) in pipeline.sinks.iter() {
        if sink.deletes.value == Deletes::Ignore || sink.scope.is_some() {
            continue;
        }
        let Some(narrowing) = vars.get(&sink.from.value).filter(|vars| !vars.is_empty()) else { continue };
        let listed: Vec<String> = narrowing.iter().map(|var| format!("${var}")).collect();
        let message = format!(
            "sink `{}` deletes what is gone, but `{}` depends on {}",
            name.value,
            sink.from.value,
            crate::name::listed(&listed).replace(" or ", " and ")
        );
        let example = listed.first().map_or("", String::as_str);
        problems
            .error(code::SCOPE_NEEDED, sink.from.span, message)
            .label(sink.deletes.span, "what the var leaves out would look gone")
            .help(format!("say which rows a run is about, like `scope: \"column = {example}\"`"))
            .help("if the var leaves no row out, write `scope: \"true\"`");
    }
}
