//! What must come of a step: typed, exact, in any order; a failure names the line and the cell.

use super::rows::{cell, equal, parts, text, typed};
use crate::journal::{self, Filter};
use crate::plan_file::{PlanFile, PlanRows, Why};
use crate::report::{RunReport, SinkReport};
use crate::state::State;
use arrow::array::{Array, ArrayRef};
use arrow::record_batch::RecordBatch;
use obmen_diagnostics::{Files, Span, Spanned};
use obmen_sdk::{Error, Op, Result};
use obmen_spec::pipeline::{Pipeline, Sink};
use obmen_spec::test_file::{Counter, Expected, ExpectedChange, ExpectedChanges, ExpectedOp, Held, Row, Rows, Then};
use std::collections::BTreeMap;

/// What a step's run did.
pub(super) struct Observed<'a> {
    pub(super) report: &'a RunReport,
    pub(super) state: &'a State,
    pub(super) pipeline: &'a Pipeline,
    /// Rows of the relations that any expectation names.
    pub(super) relations: BTreeMap<String, RecordBatch>,
    pub(super) files: &'a Files,
}

/// A change that was due.
struct Sent {
    op: Op,
    rows: PlanRows,
    at: usize,
}

/// Between the lines of one failure.
const NEXT_LINE: &str = "\n    ";

type Failure = Option<String>;
/// A part's key, and what is expected of its columns.
type WantedPart = (Spanned<String>, Vec<(Spanned<String>, Expected)>);

impl Observed<'_> {
    /// How the run differs from an expectation; `None` if it does not.
    pub(super) fn differs(&self, then: &Then) -> Result<Failure> {
        if let Some(failure) = self.relations_differ(then)? {
            return Ok(Some(failure));
        }
        let only_relations = then.changes.is_none()
            && then.counters.is_empty()
            && then.queue.is_none()
            && then.held.is_none()
            && then.checks.is_empty();
        if only_relations {
            return Ok(None);
        }
        let Some(sink) = self.sink_name(then) else {
            return Ok(Some(self.at(then.span, "say which sink: the pipeline has several")));
        };
        let Some(report) = self.report.sinks.iter().find(|report| report.sink == sink) else {
            let why = self.report.error.clone().unwrap_or_else(|| "nothing was delivered".to_owned());
            return Ok(Some(self.at(then.span, &format!("the run did not get to sink `{sink}`: {why}"))));
        };
        let simple = self
            .counters_differ(then, report)
            .or_else(|| self.held_differs(then, report))
            .or_else(|| self.checks_differ(then, report));
        if simple.is_some() {
            return Ok(simple);
        }
        if let Some(failure) = self.queue_differs(then, &sink)? {
            return Ok(Some(failure));
        }
        match &then.changes {
            Some(expected) => self.changes_differ(expected, &sink),
            None => Ok(None),
        }
    }

    fn sink_name(&self, then: &Then) -> Option<String> {
        match &then.sink {
            Some(name) => Some(name.value.clone()),
            None if self.pipeline.sinks.len() == 1 => self.pipeline.sinks.names().next().map(str::to_owned),
            None => None,
        }
    }

    fn counters_differ(&self, then: &Then, report: &SinkReport) -> Failure {
        then.counters.iter().find_map(|(counter, expected)| {
            let found = count(*counter, report);
            (found != expected.value).then(|| {
                let mut lines = vec![format!("{}: expected {}, got {found}", counter.name(), expected.value)];
                let problems = report.problems.iter().take(5);
                lines.extend(problems.map(|row| format!("{} {}: {}", row.key, row.outcome, row.reason)));
                lines.extend(self.report.error.clone());
                self.at(expected.span, &lines.join(NEXT_LINE))
            })
        })
    }

    fn held_differs(&self, then: &Then, report: &SinkReport) -> Failure {
        let expected = then.held.as_ref()?;
        let right = match &expected.value {
            Held::Any => report.held > 0,
            Held::Nothing => report.held == 0,
            Held::Rows(rows) => report.held == *rows,
            Held::Reason(reason) => report.held_by.get(reason).is_some_and(|rows| *rows > 0),
        };
        (!right).then(|| {
            let found: Vec<String> = report.held_by.iter().map(|(reason, rows)| format!("{reason} {rows}")).collect();
            let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
            self.at(expected.span, &format!("held: expected {:?}, held is {found}", expected.value))
        })
    }

    fn checks_differ(&self, then: &Then, report: &SinkReport) -> Failure {
        then.checks.iter().find_map(|(name, expected)| {
            let found =
                report.checks.get(&name.value).or_else(|| self.report.checks.get(&name.value)).copied().unwrap_or(0);
            (found != expected.value).then(|| {
                self.at(name.span, &format!("check `{name}`: expected {} rows to fail, got {found}", expected.value))
            })
        })
    }

    fn queue_differs(&self, then: &Then, sink: &str) -> Result<Failure> {
        let Some(expected) = &then.queue else { return Ok(None) };
        let filter = Filter {
            pipeline: Some(self.pipeline.pipeline.value.clone()),
            sink: Some(sink.to_owned()),
            limit: usize::MAX,
            ..Filter::default()
        };
        let waiting: Vec<_> = journal::queue(self.state, &filter)?
            .into_iter()
            .filter(|record| !matches!(record.outcome.as_str(), "held" | "ignored"))
            .collect();
        if waiting.len() as u64 == expected.value {
            return Ok(None);
        }
        let mut lines = vec![format!("queue: expected {}, got {}", expected.value, waiting.len())];
        let first = waiting.iter().take(5);
        lines.extend(first.map(|record| format!("{} {} {}", record.op, record.key, record.outcome)));
        Ok(Some(self.at(expected.span, &lines.join(NEXT_LINE))))
    }

    fn changes_differ(&self, expected: &ExpectedChanges, sink: &str) -> Result<Failure> {
        let Some(written) = self.pipeline.sinks.get(sink) else { return Ok(None) };
        let mut sent = self.sent(sink)?;
        for change in &expected.changes {
            let mut found = None;
            for (index, sent) in sent.iter().enumerate() {
                if op_of(change.op.value) == sent.op && key_is(sent, written, &change.key)? {
                    found = Some(index);
                }
            }
            let Some(index) = found else {
                let message = format!(
                    "expected {} of {}, which was not sent{}",
                    name_of(change),
                    row_text(&change.key),
                    listed(&sent, written)
                );
                return Ok(Some(self.at(change.span, &message)));
            };
            let sent = sent.remove(index);
            if let Some(failure) = self.change_differs(change, &sent, written)? {
                return Ok(Some(failure));
            }
        }
        if expected.exact && !sent.is_empty() {
            let message = format!("{} more changes were sent than expected{}", sent.len(), listed(&sent, written));
            return Ok(Some(self.at(expected.span, &message)));
        }
        Ok(None)
    }

    fn change_differs(&self, change: &ExpectedChange, sent: &Sent, sink: &Sink) -> Result<Failure> {
        let schema = sent.rows.new.schema();
        for (name, expected) in &change.columns {
            let (Some(new), Some(old)) = (sent.rows.new.column_by_name(name), sent.rows.old.column_by_name(name))
            else {
                return Ok(Some(self.at(name.span, &format!("the sink's rows have no column `{name}`"))));
            };
            let failure = match expected {
                Expected::Parts(wanted) => self.parts_differ(name, wanted, (old, new), sent, sink)?,
                other => self.value_differs(name, other, (old, sent.at), (new, sent.at))?,
            };
            if failure.is_some() {
                return Ok(failure);
            }
        }
        if sent.op == Op::Update {
            for field in schema.fields() {
                let (Some(new), Some(old)) =
                    (sent.rows.new.column_by_name(field.name()), sent.rows.old.column_by_name(field.name()))
                else {
                    continue;
                };
                let mentioned = change.columns.iter().any(|(name, _)| name.value == *field.name());
                if !mentioned && !equal(&new.slice(sent.at, 1), old, sent.at)? {
                    let message =
                        format!("{} changed too: {} → {}", field.name(), text(old, sent.at), text(new, sent.at));
                    return Ok(Some(self.at(change.span, &message)));
                }
            }
        }
        Ok(None)
    }

    /// Compares one value; each side is an array and a row of it, or nothing.
    fn value_differs(
        &self,
        name: &Spanned<String>,
        expected: &Expected,
        (old, old_at): (&ArrayRef, usize),
        (new, new_at): (&ArrayRef, usize),
    ) -> Result<Failure> {
        let field = arrow::datatypes::Field::new(&name.value, new.data_type().clone(), true);
        let wrong = |what: &str, wanted: &ArrayRef, found: &ArrayRef, at: usize| {
            self.at(name.span, &format!("{name}{what}: expected {}, got {}", text(wanted, 0), text(found, at)))
        };
        match expected {
            Expected::Value(node) => {
                let wanted = cell(node, &field)?;
                Ok((!equal(&wanted, new, new_at)?).then(|| wrong("", &wanted, new, new_at)))
            }
            Expected::Change { old: before, new: after } => {
                let (before, after) = (cell(before, &field)?, cell(after, &field)?);
                if !equal(&before, old, old_at)? {
                    return Ok(Some(wrong(" before", &before, old, old_at)));
                }
                Ok((!equal(&after, new, new_at)?).then(|| wrong("", &after, new, new_at)))
            }
            Expected::Parts(_) => Err(Error::invalid_data(format!("`{name}` is not a child"))),
        }
    }

    fn parts_differ(
        &self,
        child: &Spanned<String>,
        wanted: &[WantedPart],
        (old, new): (&ArrayRef, &ArrayRef),
        sent: &Sent,
        sink: &Sink,
    ) -> Result<Failure> {
        let Some(spec) = sink.children.get(child) else {
            return Ok(Some(self.at(child.span, &format!("`{child}` is not a child of this sink"))));
        };
        let key: Vec<String> = spec.key.iter().map(|key| key.value.clone()).collect();
        let old = by_key(parts(old, sent.at), &key);
        let new = by_key(parts(new, sent.at), &key);
        for (part, columns) in wanted {
            for (column, expected) in columns {
                let side = |side: &BTreeMap<String, RecordBatch>| {
                    side.get(&part.value).and_then(|row| row.column_by_name(column).map(std::sync::Arc::clone))
                };
                let (before, after) = (side(&old), side(&new));
                let Some(known) = before.clone().or_else(|| after.clone()) else {
                    return Ok(Some(
                        self.at(part.span, &format!("{child} has no part `{part}` with a column `{column}`")),
                    ));
                };
                let nothing = arrow::array::new_null_array(known.data_type(), 1);
                let (before, after) =
                    (before.unwrap_or_else(|| std::sync::Arc::clone(&nothing)), after.unwrap_or(nothing));
                if let Some(failure) = self.value_differs(column, expected, (&before, 0), (&after, 0))? {
                    return Ok(Some(format!("{failure} (in {child} {part})")));
                }
            }
        }
        if sent.op != Op::Update {
            return Ok(None);
        }
        let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for part in keys.into_iter().filter(|part| !wanted.iter().any(|(name, _)| name.value == **part)) {
            if old.get(part) != new.get(part) {
                return Ok(Some(self.at(child.span, &format!("{child} {part} changed too"))));
            }
        }
        Ok(None)
    }

    fn relations_differ(&self, then: &Then) -> Result<Failure> {
        for (name, expected) in then.relations.iter() {
            let Some(found) = self.relations.get(&name.value) else { continue };
            let Rows::Inline(wanted) = expected else {
                return Ok(Some(self.at(name.span, "write the rows of a relation here")));
            };
            if let Some(failure) = self.rows_differ(name, wanted, found)? {
                return Ok(Some(failure));
            }
        }
        Ok(None)
    }

    fn rows_differ(&self, name: &Spanned<String>, wanted: &[Row], found: &RecordBatch) -> Result<Failure> {
        let mut left: Vec<usize> = (0..found.num_rows()).collect();
        for row in wanted {
            let names: Vec<&str> = row.columns.iter().map(|(name, _)| name.value.as_str()).collect();
            for column in &names {
                if found.column_by_name(column).is_none() {
                    return Ok(Some(self.at(row.span, &format!("`{name}` has no column `{column}`"))));
                }
            }
            let cells = typed(std::slice::from_ref(row), &found.schema())?;
            let mut matching = None;
            for (index, at) in left.iter().enumerate() {
                let mut same = true;
                for column in &names {
                    if let (Some(one), Some(other)) = (cells.column_by_name(column), found.column_by_name(column)) {
                        same &= equal(one, other, *at)?;
                    }
                }
                if same {
                    matching = Some(index);
                    break;
                }
            }
            match matching {
                Some(index) => drop(left.remove(index)),
                None => return Ok(Some(self.at(row.span, &format!("`{name}` has no such row: {}", row_text(row))))),
            }
        }
        match left.first() {
            None => Ok(None),
            Some(at) => {
                let row = crate::value::row_json(found, *at);
                Ok(Some(self.at(name.span, &format!("`{name}` has {} more rows, the first: {row}", left.len()))))
            }
        }
    }

    fn sent(&self, sink: &str) -> Result<Vec<Sent>> {
        let plan = match &self.report.plan {
            Some(id) => self.state.plan(id)?,
            None => None,
        };
        let names: BTreeMap<_, _> = self.state.scopes()?.into_iter().map(|(scope, _, name, _)| (scope, name)).collect();
        let mut sent = Vec::new();
        for part in plan.iter().flat_map(|plan| &plan.sinks) {
            let (Some(file), Some(name)) = (&part.file, names.get(&part.scope)) else { continue };
            if name != sink {
                continue;
            }
            for rows in PlanFile::open(self.state, file)?.scan_values()? {
                let rows = rows?;
                for (at, row) in rows.rows.iter().enumerate() {
                    if row.why == Why::Due {
                        let one = PlanRows {
                            rows: vec![row.clone()],
                            new: rows.new.slice(at, 1),
                            old: rows.old.slice(at, 1),
                        };
                        sent.push(Sent { op: row.op, rows: one, at: 0 });
                    }
                }
            }
        }
        Ok(sent)
    }

    fn at(&self, span: Span, message: &str) -> String {
        let place = self.files.line_column(span.file, span.start);
        format!("line {}: {message}", place.line)
    }
}

fn by_key(parts: Option<RecordBatch>, key: &[String]) -> BTreeMap<String, RecordBatch> {
    let Some(parts) = parts else { return BTreeMap::new() };
    (0..parts.num_rows())
        .map(|at| {
            let names: Vec<String> =
                key.iter().filter_map(|name| parts.column_by_name(name)).map(|column| text(column, at)).collect();
            (names.join("/"), parts.slice(at, 1))
        })
        .collect()
}

fn key_is(sent: &Sent, sink: &Sink, wanted: &Row) -> Result<bool> {
    for key in &sink.key {
        let (Ok(field), Some(column)) =
            (sent.rows.new.schema_ref().field_with_name(key), sent.rows.new.column_by_name(key))
        else {
            return Ok(false);
        };
        let Some((_, node)) = wanted.columns.iter().find(|(name, _)| name.value == key.value) else { return Ok(false) };
        if !equal(&cell(node, field)?, column, sent.at)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn count(counter: Counter, report: &SinkReport) -> u64 {
    match counter {
        Counter::Read => report.read,
        Counter::Unchanged => report.unchanged,
        Counter::Invalid => report.invalid,
        Counter::Due => report.due,
        Counter::Sent => report.sent,
        Counter::Pending => report.pending,
        Counter::Acked => report.acked,
        Counter::Accepted => report.accepted,
        Counter::Rejected => report.rejected,
        Counter::Unknown => report.unknown,
        Counter::Creates => report.creates,
        Counter::Updates => report.updates,
        Counter::Deletes => report.deletes,
    }
}

fn op_of(op: ExpectedOp) -> Op {
    match op {
        ExpectedOp::Create => Op::Create,
        ExpectedOp::Update => Op::Update,
        ExpectedOp::Delete => Op::Delete,
    }
}

fn name_of(change: &ExpectedChange) -> &'static str {
    op_of(change.op.value).name()
}

fn row_text(row: &Row) -> String {
    let columns: Vec<String> =
        row.columns.iter().map(|(name, node)| format!("{name}: {}", node.as_str().unwrap_or("null"))).collect();
    format!("{{ {} }}", columns.join(", "))
}

fn listed(sent: &[Sent], sink: &Sink) -> String {
    let keys: Vec<String> = sink.key.iter().map(|key| key.value.clone()).collect();
    let line = |one: &Sent| {
        format!("{NEXT_LINE}sent: {} {}", one.op.name(), crate::value::key_json(&one.rows.new, &keys, one.at))
    };
    sent.iter().take(5).map(line).collect::<Vec<_>>().concat()
}
