//! From a pipeline to relations and targets: what `validate` checks and `run` uses, one code path.

use crate::journal::KEY_MARK;
use crate::recipe;
use crate::sql::{Sql, references};
use crate::state::{ScopeId, State};
use crate::target::{ChildTarget, Limits, ParentLink, Target, TargetCheck};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use obmen_diagnostics::{Code, Problems, Spanned, code};
use obmen_sdk::types::{arrow_field, column_type};
use obmen_sdk::{Result, SinkTarget};
use obmen_spec::pipeline::{Check, Pipeline, Sink, Source};
use obmen_spec::{ColumnType, name};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A sink whose columns are known, before anything was asked of state or connection.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// The key, all mapped columns, one list of records per child.
    pub(crate) schema: SchemaRef,
    /// Columns of the key.
    pub(crate) key: Vec<String>,
    /// Nested parts.
    pub(crate) children: Vec<ChildTarget>,
    /// Compared columns and children.
    pub(crate) compare: Vec<String>,
    /// Types the sink declares for columns of its relation.
    pub(crate) casts: Vec<(String, ColumnType)>,
}

/// Adds the steps of a pipeline to a session that has its sources, in an order in which each finds
/// what it reads, and checks every condition. Steps in a cycle were reported before and are left out.
pub(crate) fn add_steps(sql: &mut Sql, pipeline: &Pipeline, problems: &mut Problems) {
    for index in step_order(pipeline) {
        if let Some((name, text)) = pipeline.steps.entries.get(index) {
            sql.add_step(name, text, problems);
        }
    }
    for check in &pipeline.checks {
        if sql.schema(&check.of).is_some() {
            sql.check_condition(&check.of, &check.expect, problems);
        }
    }
}

/// The relations that a relation reads, itself included, through all steps.
pub(crate) fn lineage(pipeline: &Pipeline, relation: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![relation.to_owned()];
    while let Some(name) = open.pop() {
        if found.insert(name.clone())
            && let Some(step) = pipeline.steps.get(&name)
        {
            open.extend(references(step).relations.into_iter().map(|(name, _)| name));
        }
    }
    found
}

/// The sources a pipeline's sinks need, directly or through steps and checks.
pub(crate) fn used_sources(pipeline: &Pipeline) -> BTreeSet<String> {
    let roots = pipeline.sinks.iter().flat_map(|(_, sink)| {
        std::iter::once(sink.from.value.clone()).chain(sink.children.iter().map(|(_, child)| child.from.value.clone()))
    });
    let checked = pipeline.checks.iter().map(|check| check.of.value.clone());
    let mut used: BTreeSet<String> = roots.chain(checked).flat_map(|root| lineage(pipeline, &root)).collect();
    used.retain(|name| pipeline.sources.get(name).is_some());
    used
}

/// The sources a relation needs, itself included if it is one.
pub(crate) fn sources_of(pipeline: &Pipeline, relation: &str) -> BTreeSet<String> {
    let mut used = lineage(pipeline, relation);
    used.retain(|name| pipeline.sources.get(name).is_some());
    used
}

/// Which relations each step reads.
pub(crate) fn reads(pipeline: &Pipeline) -> obmen_spec::check::Reads {
    pipeline
        .steps
        .iter()
        .map(|(name, text)| {
            (name.value.clone(), references(text).relations.into_iter().map(|(read, _)| read).collect())
        })
        .collect()
}

/// The steps, each after those it reads.
pub(crate) fn steps_in_order(pipeline: &Pipeline) -> Vec<&str> {
    let names: Vec<&str> = pipeline.steps.names().collect();
    step_order(pipeline).into_iter().filter_map(|index| names.get(index).copied()).collect()
}

/// The steps and sources a step reads, each as often as it does.
pub(crate) fn read_by(pipeline: &Pipeline, step: &str) -> Vec<String> {
    let text = pipeline.steps.get(step);
    text.map(|text| references(text).relations.into_iter().map(|(name, _)| name).collect()).unwrap_or_default()
}

fn step_order(pipeline: &Pipeline) -> Vec<usize> {
    let names: Vec<&str> = pipeline.steps.names().collect();
    let reads: Vec<BTreeSet<usize>> = pipeline
        .steps
        .iter()
        .map(|(_, text)| {
            let relations = references(text).relations;
            relations.iter().filter_map(|(name, _)| names.iter().position(|step| step == name)).collect()
        })
        .collect();
    let mut order: Vec<usize> = Vec::new();
    while let Some(next) =
        (0..names.len()).find(|step| !order.contains(step) && reads[*step].iter().all(|read| order.contains(read)))
    {
        order.push(next);
    }
    order
}

/// The columns of a sink. `None` if something is wrong with it or with what it reads.
pub(crate) fn shape(sql: &Sql, sink: &Sink, problems: &mut Problems) -> Option<Shape> {
    let relation = sql.schema(&sink.from)?;
    let before = problems.iter().count();
    let casts: Vec<(String, ColumnType)> = sink
        .columns
        .iter()
        .flatten()
        .filter(|column| has_column(&relation, &column.name, &sink.from, code::UNKNOWN_COLUMN, problems))
        .map(|column| (column.name.value.clone(), column.kind.value))
        .collect();
    for key in &sink.key {
        has_column(&relation, key, &sink.from, code::KEY_NOT_A_COLUMN, problems);
    }
    let mut fields: Vec<Field> = Vec::new();
    let keys = sink.key.iter().filter_map(|key| relation.field_with_name(key).ok());
    let others = relation.fields().iter().map(AsRef::as_ref).filter(|field| !is_key(sink, field.name()));
    for field in keys.chain(others) {
        let cast = casts.iter().find(|(name, _)| name == field.name());
        let field = cast.map_or_else(|| field.clone(), |(name, kind)| arrow_field(name, *kind));
        if column_type(&field).is_none() {
            let message = format!(
                "column `{}` of `{}` has a type that no sink takes: {}",
                field.name(),
                sink.from,
                field.data_type()
            );
            problems
                .error(code::SQL_TYPE, sink.from.span, message)
                .help("cast it in the step, or leave it out of the SELECT");
        }
        if field.name().starts_with(crate::table::OURS) {
            let message = format!(
                "column `{}` of `{}` begins with `{}`, which is ours",
                field.name(),
                sink.from,
                crate::table::OURS
            );
            problems.error(code::INVALID_NAME, sink.from.span, message).help("give it another name with AS");
        }
        fields.push(marked(sink, field.with_nullable(true)));
    }
    let children = shape_children(sql, sink, &mut fields, problems);
    let compare = compared(sink, &fields, problems);
    if let Some(condition) = &sink.scope {
        sql.check_condition(&sink.from, condition, problems);
    }
    for after in &sink.after {
        for by in &after.by {
            has_column(&relation, by, &sink.from, code::UNKNOWN_COLUMN, problems);
        }
    }
    (problems.iter().count() == before).then(|| Shape {
        schema: Arc::new(Schema::new(fields)),
        key: texts(&sink.key),
        children,
        compare,
        casts,
    })
}

fn shape_children(sql: &Sql, sink: &Sink, fields: &mut Vec<Field>, problems: &mut Problems) -> Vec<ChildTarget> {
    let mut children = Vec::new();
    for (name, child) in sink.children.iter() {
        let Some(relation) = sql.schema(&child.from) else { continue };
        for by in &child.by {
            has_column(&relation, by, &child.from, code::UNKNOWN_COLUMN, problems);
        }
        for key in &child.key {
            has_column(&relation, key, &child.from, code::KEY_NOT_A_COLUMN, problems);
        }
        if fields.iter().any(|field| field.name() == &name.value) {
            let message = format!("child `{name}` has the name of a column of `{}`", sink.from);
            problems.error(code::NAME_CLASH, name.span, message).help("give the child or the column another name");
        }
        let parts: Vec<Field> = relation
            .fields()
            .iter()
            .filter(|field| !child.by.iter().any(|by| by.value == *field.name()))
            .map(|field| marked(sink, field.as_ref().clone().with_nullable(true)))
            .collect();
        let columns = parts.iter().map(|field| field.name().clone()).collect();
        let item = Field::new("item", DataType::Struct(Fields::from(parts)), true);
        fields.push(Field::new(&name.value, DataType::List(Arc::new(item)), true));
        children.push(ChildTarget {
            name: name.value.clone(),
            from: child.from.value.clone(),
            by: texts(&child.by),
            key: texts(&child.key),
            columns,
            checks: Vec::new(),
        });
    }
    children
}

fn compared(sink: &Sink, fields: &[Field], problems: &mut Problems) -> Vec<String> {
    let all: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    match &sink.compare {
        None => all.iter().filter(|name| !is_key(sink, name)).map(|name| (*name).to_owned()).collect(),
        Some(names) => {
            for name in names {
                if !all.contains(&name.value.as_str()) {
                    unknown_column(name, &all, &sink.from, code::UNKNOWN_COLUMN, problems);
                }
            }
            texts(names)
        }
    }
}

/// A field of the key says so in its metadata, so that plans and journals know it without the pipeline.
fn marked(sink: &Sink, field: Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.retain(|key, _| key == obmen_sdk::types::TYPE_KEY);
    if is_key(sink, field.name()) {
        metadata.insert(KEY_MARK.to_owned(), String::new());
    }
    field.with_metadata(metadata)
}

fn is_key(sink: &Sink, name: &str) -> bool {
    sink.key.iter().any(|key| key.value == name)
}

fn has_column(schema: &SchemaRef, column: &Spanned<String>, of: &str, code: Code, problems: &mut Problems) -> bool {
    if schema.field_with_name(column).is_ok() {
        return true;
    }
    let all: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    unknown_column(column, &all, of, code, problems);
    false
}

fn unknown_column(column: &Spanned<String>, all: &[&str], of: &str, code: Code, problems: &mut Problems) {
    let diagnostic = problems.error(code, column.span, format!("`{of}` has no column `{column}`"));
    match name::suggest(column, all.iter().copied()) {
        Some(close) => {
            let close = close.to_owned();
            diagnostic.help(format!("did you mean `{close}`?")).fix(column.span, close);
        }
        None => {
            diagnostic.help(format!("its columns are: {}", all.join(", ")));
        }
    }
}

/// A source's key must be columns it has, and so must those that say what is new.
pub(crate) fn check_source_columns(schema: &SchemaRef, source: &Source, name: &str, problems: &mut Problems) {
    for key in &source.key {
        has_column(schema, key, name, code::KEY_NOT_A_COLUMN, problems);
    }
    if let Some(mark) = source.changes.as_ref().and_then(|changes| changes.watermark.as_ref()) {
        for column in std::iter::once(&mark.column).chain(&mark.tie) {
            has_column(schema, column, name, code::UNKNOWN_COLUMN, problems);
        }
    }
}

fn texts(names: &[Spanned<String>]) -> Vec<String> {
    names.iter().map(|name| name.value.clone()).collect()
}

/// What the connection is told about a sink.
pub(crate) fn sink_target(name: &str, sink: &Sink, shape: &Shape) -> SinkTarget {
    SinkTarget {
        name: name.to_owned(),
        entity: sink.entity.value.clone(),
        schema: Arc::clone(&shape.schema),
        key: shape.key.clone(),
        delete: sink.deletes.value == obmen_spec::pipeline::Deletes::Delete,
        options: sink.options.clone(),
    }
}

/// A target of a run, its state looked up.
pub(crate) fn target(
    state: &State,
    pipeline: &Pipeline,
    name: &str,
    sink: &Sink,
    shape: Shape,
    identities: &BTreeMap<String, String>,
) -> Result<Target> {
    let scope = scope_of(state, &pipeline.pipeline, name, sink, identities)?;
    let recipe = state.recipe(scope, &recipe::text(&shape.schema, &shape.key, &shape.compare))?;
    let mut children = shape.children;
    for child in &mut children {
        child.checks = checks_of(pipeline, &child.from);
    }
    Ok(Target {
        name: name.to_owned(),
        connection: sink.connection.value.clone(),
        scope,
        from: sink.from.value.clone(),
        key: shape.key,
        schema: shape.schema,
        casts: shape.casts,
        children,
        compare: shape.compare,
        recipe,
        deletes: sink.deletes.value,
        guard: Limits::of(sink.guard.as_ref()),
        condition: sink.scope.clone(),
        checks: checks_of(pipeline, &sink.from),
        after: parents(state, pipeline, sink, identities)?,
        whole: false,
        last_wins: false,
    })
}

/// The checks of a relation.
pub(crate) fn checks_of(pipeline: &Pipeline, relation: &str) -> Vec<TargetCheck> {
    pipeline.checks.iter().filter(|check| check.of.value == relation).map(target_check).collect()
}

/// Checks of relations that are neither a sink's nor a child's: they can warn or stop, not reject.
pub(crate) fn other_checks(pipeline: &Pipeline) -> Vec<(&Check, TargetCheck)> {
    let delivered = |relation: &str| {
        pipeline.sinks.iter().any(|(_, sink)| {
            sink.from.value == relation || sink.children.iter().any(|(_, child)| child.from.value == relation)
        })
    };
    pipeline.checks.iter().filter(|check| !delivered(&check.of)).map(|check| (check, target_check(check))).collect()
}

fn target_check(check: &Check) -> TargetCheck {
    TargetCheck { name: check.name.value.clone(), otherwise: check.otherwise.value, expect: check.expect.clone() }
}

/// What a sink's state belongs to: the pipeline, the sink, and the address it delivers to.
fn scope_of(
    state: &State,
    pipeline: &str,
    name: &str,
    sink: &Sink,
    identities: &BTreeMap<String, String>,
) -> Result<ScopeId> {
    state.scope(pipeline, name, &address(sink, identities))
}

/// The address of a sink: the connection's identity and the entity.
pub(crate) fn address(sink: &Sink, identities: &BTreeMap<String, String>) -> String {
    let identity = identities.get(&sink.connection.value).map_or("", String::as_str);
    format!("{identity}#{}", sink.entity)
}

/// The sinks a row waits for; those of other pipelines are found by their name at the same connection.
fn parents(
    state: &State,
    pipeline: &Pipeline,
    sink: &Sink,
    identities: &BTreeMap<String, String>,
) -> Result<Vec<ParentLink>> {
    let known = state.scopes()?;
    let mut links = Vec::new();
    for after in &sink.after {
        let (other, parent) = after.sink.split_once('/').unwrap_or((&pipeline.pipeline, &after.sink));
        let here = if other == pipeline.pipeline.value { pipeline.sinks.get(parent) } else { None };
        let scope = if let Some(own) = here {
            Some(scope_of(state, other, parent, own, identities)?)
        } else {
            let prefix = format!("{}#", identities.get(&sink.connection.value).map_or("", String::as_str));
            let found = known
                .iter()
                .find(|(_, owner, name, target)| owner == other && name == parent && target.starts_with(&prefix));
            found.map(|(scope, ..)| *scope)
        };
        let target = if here.is_some() { pipeline.sinks.names().position(|name| name == parent) } else { None };
        links.push(ParentLink { name: after.sink.value.clone(), scope, target, by: texts(&after.by) });
    }
    Ok(links)
}
