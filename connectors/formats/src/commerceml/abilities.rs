//! What a CommerceML sink takes, and what it refuses before anything runs.

use super::entity::{Column, Entity};
use super::layout::Layout;
use obmen_diagnostics::{Code, Problems, code};
use obmen_sdk::{Operations, Result, SinkCheck, SinkTarget, TargetAbilities};
use obmen_spec::name::suggest;
use obmen_spec::{Node, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a sink may say beside the common keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkOptions {
    /// Columns CommerceML has no element for, sent as requisites of the product or offer: the
    /// column, and the name the shop knows the requisite by, like `{ colour: "Цвет" }`.
    #[serde(default)]
    pub requisites: BTreeMap<String, String>,
}

/// Something wrong with a target, for a diagnostic or an error.
pub(super) struct Finding {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// What is known of a target when it is checked.
pub(super) struct Known<'a> {
    pub(super) entity: Entity,
    /// `None` before the pipeline is put together.
    pub(super) key: Option<&'a [String]>,
    /// Columns besides children; `None` where they are not known.
    pub(super) columns: Option<&'a [String]>,
    pub(super) children: &'a [&'a str],
    pub(super) options: &'a SinkOptions,
}

/// What each target can do, and the order in which they are to be sent: groups, properties, kinds
/// of prices, warehouses, goods, offers.
///
/// # Errors
/// `SchemaMismatch`, listing everything: an unknown entity, column or child, a missing `name`, a
/// key of several columns, a type that would lose something.
pub fn abilities(targets: &[SinkTarget]) -> Result<(Vec<TargetAbilities>, Vec<usize>)> {
    let layout = Layout::of(targets)?;
    Ok((layout.abilities(), layout.order()))
}

impl Entity {
    /// What a target of this entity can do. Only goods and offers can be marked as deleted: for the
    /// others CommerceML has no mark, and nothing is ever removed outright.
    pub fn abilities(self) -> TargetAbilities {
        let operations = Operations { mark: !self.is_whole(), delete: false, children: !self.children().is_empty() };
        TargetAbilities { operations, whole: self.is_whole() }
    }
}

/// Reports what is wrong with a sink: the entity, columns, children, options. Pure.
pub fn check_target(target: &SinkCheck<'_>, problems: &mut Problems) {
    let options = decode_options(target.options, problems);
    let Some(entity) = Entity::find(target.entity) else {
        let (message, help) = unknown_entity(target.entity);
        problems.error(code::UNKNOWN_ENTITY, target.span, message).help(help);
        return;
    };
    let Some(options) = options else { return };
    let known = Known { entity, key: None, columns: target.columns, children: target.children, options: &options };
    for finding in findings(&known) {
        let diagnostic = problems.error(finding.code, target.span, finding.message);
        if let Some(help) = finding.help {
            diagnostic.help(help);
        }
    }
}

/// The options of a sink; `None` if something in them is wrong.
pub(super) fn decode_options(options: &Node, problems: &mut Problems) -> Option<SinkOptions> {
    match &options.value {
        Value::Null => Some(SinkOptions::default()),
        Value::Map(map) if map.entries.is_empty() => Some(SinkOptions::default()),
        _ => obmen_spec::decode::decode(options, problems),
    }
}

/// The message and help for an entity that is none.
pub(super) fn unknown_entity(name: &str) -> (String, String) {
    let names: Vec<&str> = Entity::ALL.iter().map(|entity| entity.name()).collect();
    let help = match suggest(name, names.iter().copied()) {
        Some(near) => format!("write `{near}`"),
        None => format!("write one of {}", quoted(names)),
    };
    (format!("CommerceML has no entity `{name}`"), help)
}

/// Everything wrong with names of columns, children and requisites.
pub(super) fn findings(known: &Known<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(columns) = known.columns {
        check_columns(known, columns, &mut found);
        check_missing(known, columns, &mut found);
    }
    check_children(known, &mut found);
    check_requisites(known, &mut found);
    found
}

fn check_columns(known: &Known<'_>, columns: &[String], found: &mut Vec<Finding>) {
    let names: Vec<&str> = known.entity.columns().iter().map(|column| column.name).collect();
    let is_key = |column: &str| known.key.map_or(column == "id", |key| key.iter().any(|name| name == column));
    let mut unknown: Vec<&String> = columns
        .iter()
        .filter(|column| !is_key(column) && !names.contains(&column.as_str()))
        .filter(|column| !known.options.requisites.contains_key(*column))
        .collect();
    // The key may have any name: where it is not known yet, one strange column may well be it.
    let key_is_somewhere = known.key.is_some() || columns.iter().any(|column| column == "id");
    if !key_is_somewhere && unknown.len() <= 1 {
        unknown.clear();
    }
    for column in unknown {
        let near = suggest(column, names.iter().copied()).map(|near| format!("write `{near}`, or "));
        let requisites = if known.entity.has_requisites() {
            format!("{}send it as a requisite: `requisites: {{ {column}: \"…\" }}`", near.unwrap_or_default())
        } else {
            format!("{}leave it out in the step before", near.unwrap_or_default())
        };
        found.push(Finding {
            code: code::UNKNOWN_COLUMN,
            message: format!(
                "{} of CommerceML have no column `{column}`, they have {}",
                known.entity,
                quoted(names.clone())
            ),
            help: Some(requisites),
        });
    }
}

fn check_missing(known: &Known<'_>, columns: &[String], found: &mut Vec<Finding>) {
    for Column { name, .. } in known.entity.columns().iter().filter(|column| column.required) {
        if !columns.iter().any(|column| column == name) {
            found.push(Finding {
                code: code::UNKNOWN_COLUMN,
                message: format!("{} of CommerceML need a column `{name}`", known.entity),
                help: Some(format!("select it in the step before: `… AS {name}`")),
            });
        }
    }
}

fn check_children(known: &Known<'_>, found: &mut Vec<Finding>) {
    let names: Vec<&str> = known.entity.children().iter().map(|child| child.name).collect();
    for child in known.children.iter().filter(|child| !names.contains(*child)) {
        let has =
            if names.is_empty() { "they have none".to_owned() } else { format!("they have {}", quoted(names.clone())) };
        let near = suggest(child, names.iter().copied());
        found.push(Finding {
            code: code::UNKNOWN_FIELD,
            message: format!("{} of CommerceML have no child `{child}`, {has}", known.entity),
            help: near.map(|near| format!("write `{near}`")),
        });
    }
}

fn check_requisites(known: &Known<'_>, found: &mut Vec<Finding>) {
    let requisites = &known.options.requisites;
    if !requisites.is_empty() && !known.entity.has_requisites() {
        let message = format!("{} of CommerceML cannot have requisites", known.entity);
        found.push(Finding { code: code::INVALID_SETTING, message, help: Some("remove `requisites`".to_owned()) });
    }
    for (column, name) in requisites {
        let count = name.chars().count();
        if name.trim().is_empty() || count > 255 {
            let message = format!("the requisite of `{column}` has a name of {count} characters, expected 1 to 255");
            found.push(Finding { code: code::INVALID_SETTING, message, help: None });
        }
        if known.columns.is_some_and(|columns| !columns.contains(column)) {
            let near = suggest(column, known.columns.unwrap_or_default().iter().map(String::as_str));
            found.push(Finding {
                code: code::UNKNOWN_COLUMN,
                message: format!("`requisites` names a column `{column}` the relation does not have"),
                help: near.map(|near| format!("write `{near}`")),
            });
        }
    }
}

/// Names as a list for people.
pub(super) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
