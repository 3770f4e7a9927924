//! Tree → [`TestFile`]. Each test and step is read separately, so that one run reports all mistakes.

use super::{Row, Rows, Step, Test, TestFile};
use crate::decode::{Fields, expected};
use crate::{Node, Value};
use obmen_diagnostics::{Problems, code};

impl TestFile {
    /// Reads a test file. `None` if anything in it was wrong; everything that was wrong is in `problems`.
    pub fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let mut own = Problems::new();
        let file = read(node, &mut own);
        let clean = !own.has_errors();
        problems.extend(own);
        file.filter(|_| clean)
    }
}

fn read(node: &Node, problems: &mut Problems) -> Option<TestFile> {
    let fields = Fields::of(node, "tests: a mapping with `pipeline` and `tests`", problems)?;
    let pipeline = fields.require_text("pipeline", problems);
    let clock = fields.text("clock", problems);
    let tests = fields.require("tests", problems).map_or_else(Vec::new, |node| {
        list(node, "tests", problems).iter().filter_map(|node| read_test(node, problems)).collect()
    });
    fields.finish(problems);
    Some(TestFile { pipeline: pipeline?, clock, tests })
}

/// The entries of a list that must have some.
fn list<'n>(node: &'n Node, what: &str, problems: &mut Problems) -> &'n [Node] {
    let Some(list) = node.as_list() else {
        let found = problems.error(code::WRONG_TYPE, node.span, expected(&format!("a list of {what}"), node));
        found.help("begin each entry with `- `");
        return &[];
    };
    if list.is_empty() {
        problems.error(code::EMPTY_TEST, node.span, format!("expected {what}, found none"));
    }
    list
}

fn read_test(node: &Node, problems: &mut Problems) -> Option<Test> {
    let fields = Fields::of(node, "a test: a mapping with `name` and `steps`", problems)?;
    let name = fields.require_text("name", problems);
    let steps: Vec<Option<Step>> = fields.require("steps", problems).map_or_else(Vec::new, |node| {
        list(node, "steps", problems).iter().map(|node| read_step(node, problems)).collect()
    });
    fields.finish(problems);
    let steps: Option<Vec<Step>> = steps.into_iter().collect();
    let (name, steps) = (name?, steps?);
    if !steps.is_empty() && steps.iter().all(|step| step.then.is_empty()) {
        problems
            .error(code::EMPTY_TEST, name.span, format!("test `{}` asserts nothing", name.value))
            .help("add `then:` to one of its steps");
    }
    Some(Test { name, steps, span: node.span })
}

fn read_step(node: &Node, problems: &mut Problems) -> Option<Step> {
    let fields = Fields::of(node, "a step: a mapping with `given` and `then`", problems)?;
    let given = fields.get("given", problems).map(|node| super::read_given::read(node, problems));
    let then = fields.get("then", problems).map_or_else(
        || Some(Vec::new()),
        |node| match &node.value {
            Value::List(list) => list.iter().map(|node| super::read_then::read(node, problems)).collect(),
            _ => super::read_then::read(node, problems).map(|then| vec![then]),
        },
    );
    fields.finish(problems);
    let given = match given {
        Some(None) => return None,
        Some(given) => given,
        None => None,
    };
    Some(Step { given, then: then?, span: node.span })
}

/// Rows of a source: a path, a list of rows, or `{ table: … }`.
pub(super) fn read_rows(node: &Node, problems: &mut Problems) -> Option<Rows> {
    match &node.value {
        Value::Scalar(_) => crate::decode::text(node, problems).map(Rows::File),
        Value::List(_) => read_row_list(node, problems).map(Rows::Inline),
        Value::Map(_) => {
            let fields = Fields::of(node, "a mapping with `table`", problems)?;
            let rows = fields.require("table", problems).and_then(|node| super::table::read(node, problems));
            fields.finish(problems);
            rows.map(Rows::Inline)
        }
        Value::Null => {
            let found = problems.error(code::WRONG_TYPE, node.span, expected("rows", node));
            found.help("write a file's path, a list of rows, or `[]` for none");
            None
        }
    }
}

/// A list of rows.
pub(super) fn read_row_list(node: &Node, problems: &mut Problems) -> Option<Vec<Row>> {
    let Some(list) = node.as_list() else {
        let found = problems.error(code::WRONG_TYPE, node.span, expected("a list of rows", node));
        found.help("write `[ { column: value } ]`");
        return None;
    };
    let rows: Vec<_> = list.iter().map(|node| read_row(node, problems)).collect();
    rows.into_iter().collect()
}

/// A row or key: columns with scalar values.
pub(super) fn read_row(node: &Node, problems: &mut Problems) -> Option<Row> {
    let Value::Map(map) = &node.value else {
        problems
            .error(code::WRONG_TYPE, node.span, expected("columns with values", node))
            .help("write `{ column: value }`");
        return None;
    };
    let mut good = true;
    for (_, value) in &map.entries {
        if matches!(value.value, Value::List(_) | Value::Map(_)) {
            problems.error(code::WRONG_TYPE, value.span, expected("one value", value));
            good = false;
        }
    }
    good.then(|| Row { columns: map.entries.clone(), span: node.span })
}
