//! Vars that are used and those that are declared.

use super::{sql_vars, unknown};
use crate::pipeline::{Enabled, Pipeline};
use crate::{Node, SqlText, Value};
use obmen_diagnostics::{Problems, Spanned, code};
use std::collections::BTreeSet;

pub(super) fn check(pipeline: &Pipeline, problems: &mut Problems) {
    let declared: Vec<&str> = pipeline.vars.names().chain(pipeline.vars.broken.iter().map(String::as_str)).collect();
    let mut used = BTreeSet::new();
    for sql in texts(pipeline) {
        for (name, at) in sql_vars(&sql.text) {
            if !declared.contains(&name.as_str()) {
                report(&Spanned::new(name.clone(), sql.place(at)), &declared, problems);
            }
            used.insert(name);
        }
    }
    for (_, source) in pipeline.sources.iter() {
        used.extend(sql_vars(&source.entity).into_iter().map(|(name, _)| name));
    }
    let sources = pipeline.sources.iter().map(|(_, source)| &source.options);
    for options in sources.chain(pipeline.sinks.iter().map(|(_, sink)| &sink.options)) {
        mentioned(options, &mut used);
    }
    // what could not be read may use anything
    let all_read =
        pipeline.sources.broken.is_empty() && pipeline.steps.broken.is_empty() && pipeline.sinks.broken.is_empty();
    for (name, var) in pipeline.vars.iter() {
        if all_read && !used.contains(&name.value) {
            problems
                .warning(code::UNUSED_VAR, name.span, format!("nothing uses var `{}`", name.value))
                .help(format!("remove it, or write `${}` in SQL", name.value));
        }
        if var.default.is_none() && pipeline.enabled.value == Enabled::Auto {
            problems
                .error(
                    code::MISSING_FIELD,
                    name.span,
                    format!("var `{}` needs a default: nobody gives it by schedule", name.value),
                )
                .label(pipeline.enabled.span, "runs by itself")
                .help("add `default:`");
        }
    }
}

fn report(name: &Spanned<String>, declared: &[&str], problems: &mut Problems) {
    let found = unknown(code::UNKNOWN_VAR, "var", name, declared, problems);
    if let Some(fix) = &mut found.fix {
        // The place includes the dollar.
        fix.replacement.insert(0, '$');
    } else {
        found.help(format!("declare it: `vars: {{ {}: {{ type: string }} }}`", name.value));
    }
}

/// All SQL of a pipeline.
fn texts(pipeline: &Pipeline) -> impl Iterator<Item = &SqlText> {
    let steps = pipeline.steps.iter().map(|(_, sql)| sql);
    let checks = pipeline.checks.iter().map(|check| &check.expect);
    let scopes = pipeline.sinks.iter().filter_map(|(_, sink)| sink.scope.as_ref());
    let rules = pipeline.matches.iter().flat_map(|(_, one)| &one.rules);
    let rules = rules.flat_map(|rule| rule.when.iter().chain([&rule.where_]).chain(&rule.order_by));
    steps.chain(checks).chain(scopes).chain(rules)
}

/// Vars a connector may bind in its options. Whether a `$` there means a var is its affair, so none is reported.
fn mentioned(node: &Node, used: &mut BTreeSet<String>) {
    match &node.value {
        Value::Null => {}
        Value::Scalar(scalar) => used.extend(sql_vars(&scalar.text).into_iter().map(|(name, _)| name)),
        Value::List(list) => list.iter().for_each(|node| mentioned(node, used)),
        Value::Map(map) => map.entries.iter().for_each(|(_, node)| mentioned(node, used)),
    }
}
