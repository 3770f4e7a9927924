//! Things that wait for each other.

use super::Context;
use crate::pipeline::Pipeline;
use obmen_diagnostics::{Problems, code};
use std::collections::{BTreeMap, BTreeSet};

/// Edges of a graph: a name and the names it waits for, in order.
pub(super) type Edges = BTreeMap<String, Vec<String>>;

/// The cycles of a graph, each once, as the names along it. Linear in the number of edges, and without recursion: a
/// project may have thousands of steps.
pub(super) fn cycles(edges: &Edges) -> Vec<Vec<String>> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for start in edges.keys() {
        let mut path: Vec<(&str, usize)> = vec![(start, 0)];
        if done.contains(start.as_str()) {
            continue;
        }
        while let Some((name, next)) = path.last_mut() {
            let name = *name;
            let target = edges.get(name).and_then(|targets| targets.get(*next));
            *next += 1;
            let Some(target) = target else {
                done.insert(name);
                path.pop();
                continue;
            };
            if let Some(at) = path.iter().position(|(on_path, _)| on_path == target) {
                found.push(path.iter().skip(at).map(|(name, _)| (*name).to_owned()).collect());
            } else if !done.contains(target.as_str()) {
                path.push((target, 0));
            }
        }
    }
    found
}

/// `a → b → a`, beginning with a name of our own.
pub(super) fn drawn(cycle: &[String], first: &str) -> String {
    let at = cycle.iter().position(|name| name == first).unwrap_or(0);
    let names: Vec<&str> = cycle.iter().cycle().skip(at).take(cycle.len() + 1).map(String::as_str).collect();
    names.join(" → ")
}

/// Reports sinks of this pipeline that wait for themselves, also by way of other pipelines.
pub(super) fn check_after(pipeline: &Pipeline, context: &Context<'_>, problems: &mut Problems) {
    let qualified = |owner: &str, sink: &str| {
        if sink.contains('/') { sink.to_owned() } else { format!("{owner}/{sink}") }
    };
    let mut edges = Edges::new();
    for owner in context.pipelines {
        for (name, sink) in owner.sinks.iter() {
            let after = sink.after.iter().map(|after| qualified(&owner.pipeline, &after.sink)).collect();
            edges.insert(qualified(&owner.pipeline, name), after);
        }
    }
    for cycle in cycles(&edges) {
        let ours = pipeline.sinks.iter().find(|(name, _)| cycle.contains(&qualified(&pipeline.pipeline, name)));
        let Some((name, sink)) = ours else { continue };
        let first = qualified(&pipeline.pipeline, name);
        let span = sink
            .after
            .iter()
            .find(|after| cycle.contains(&qualified(&pipeline.pipeline, &after.sink)))
            .map_or(sink.span, |after| after.sink.span);
        problems
            .error(code::CYCLE, span, format!("sinks wait for each other: {}", drawn(&cycle, &first)))
            .help("remove one `after`");
    }
}
