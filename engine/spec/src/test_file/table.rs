//! Rows as a table drawn with pipes: the first line names the columns, a line of dashes under it is optional.

use super::Row;
use crate::{Node, Scalar, ScalarStyle, SqlText, Value};
use obmen_diagnostics::{Problems, Spanned, code};
use std::ops::Range;

/// Reads
///
/// ```text
/// | Ref_Key | Цена   | Склад    |
/// |---------|--------|----------|
/// | a1      | 129.90 | Основной |
/// | a2      |        | ""       |
/// ```
///
/// An empty cell is `null`, `""` an empty text, `\|` a pipe. Every cell keeps its place.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Vec<Row>> {
    let text = SqlText::from_node(node, problems)?;
    let mut lines = lines_of(&text.text).filter(|line| !text.text.get(line.clone()).unwrap_or("").trim().is_empty());
    let header = cells_of(&text.text, lines.next()?);
    let names: Vec<Spanned<String>> = header.into_iter().map(|(name, at)| Spanned::new(name, text.place(at))).collect();
    let mut good = true;
    for (number, name) in names.iter().enumerate() {
        let wrong = if name.value.is_empty() {
            Some("a column without a name".to_owned())
        } else if names.iter().take(number).any(|other| other.value == name.value) {
            Some(format!("column `{}` stands twice", name.value))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            problems.error(code::INVALID_VALUE, name.span, wrong);
            good = false;
        }
    }
    let mut rows = Vec::new();
    for line in lines {
        let cells = cells_of(&text.text, line.clone());
        let span = text.place(line);
        if rows.is_empty() && cells.iter().all(|(cell, _)| is_rule(cell)) {
            continue;
        }
        if cells.len() != names.len() {
            let message = format!("the row has {} cells, the table has {} columns", cells.len(), names.len());
            problems
                .error(code::INVALID_VALUE, span, message)
                .help("give every row one cell per column; an empty cell is `null`");
            good = false;
            continue;
        }
        let values = cells.into_iter().map(|(cell, at)| Node { span: text.place(at), value: value_of(cell) });
        rows.push(Row { columns: names.iter().cloned().zip(values).collect(), span });
    }
    good.then_some(rows)
}

fn lines_of(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    text.split('\n').map(move |line| {
        let start = at;
        at += line.len() + 1;
        start..start + line.trim_end().len()
    })
}

/// The cells of a line with their places, without the spaces around them and the pipes at both ends.
fn cells_of(text: &str, line: Range<usize>) -> Vec<(String, Range<usize>)> {
    let whole = text.get(line.clone()).unwrap_or("");
    let start = line.start + (whole.len() - whole.trim_start().len());
    let inner = whole.trim();
    let (inner, start) = inner.strip_prefix('|').map_or((inner, start), |rest| (rest, start + 1));
    let inner = if inner.ends_with("\\|") { inner } else { inner.strip_suffix('|').unwrap_or(inner) };
    let mut cells = Vec::new();
    let mut from = 0;
    let mut escaped = false;
    let bytes = inner.char_indices().chain(std::iter::once((inner.len(), '|')));
    for (at, letter) in bytes {
        if letter == '|' && !escaped {
            let cell = inner.get(from..at).unwrap_or("");
            let content = cell.trim();
            let begins = start + from + (cell.len() - cell.trim_start().len());
            cells.push((content.replace("\\|", "|"), begins..begins + content.len()));
            from = at + 1;
        }
        escaped = letter == '\\';
    }
    cells
}

fn is_rule(cell: &str) -> bool {
    !cell.is_empty() && cell.chars().all(|letter| matches!(letter, '-' | ':'))
}

fn value_of(cell: String) -> Value {
    match cell.as_str() {
        "" | "null" | "~" => Value::Null,
        "\"\"" | "''" => Value::Scalar(Scalar::new("", ScalarStyle::Quoted)),
        _ => Value::Scalar(Scalar::new(cell, ScalarStyle::Plain)),
    }
}
