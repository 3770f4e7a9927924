//! Tables with straight columns, whatever the alphabet.

use crate::console::{FAINT, STRONG};
use crate::text::put;
use crate::words;
use unicode_width::UnicodeWidthStr;

/// A cell is cut at so many characters.
const WIDEST: usize = 60;
/// What stands for no value.
const NOTHING: &str = "NULL";

/// Rows under titles.
#[derive(Debug, Default)]
pub(crate) struct Table {
    titles: Vec<(String, bool)>,
    rows: Vec<Vec<Option<String>>>,
}

impl Table {
    /// A table without rows. A title that begins with `>` is of a column of numbers, aligned to the right.
    pub(crate) fn of(titles: &[&str]) -> Self {
        let title = |title: &&str| match title.strip_prefix('>') {
            Some(title) => (title.to_owned(), true),
            None => ((*title).to_owned(), false),
        };
        Self { titles: titles.iter().map(title).collect(), rows: Vec::new() }
    }

    /// A table without columns yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a column on the right; before the rows.
    pub(crate) fn column(&mut self, title: &str, right: bool) {
        self.titles.push((words::plain(title), right));
    }

    /// Adds a row of texts.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.cells(cells.into_iter().map(Some).collect());
    }

    /// Adds a row; `None` is a value that is not there.
    pub(crate) fn cells(&mut self, cells: Vec<Option<String>>) {
        self.rows
            .push(cells.into_iter().map(|cell| cell.map(|text| words::cut(&words::plain(&text), WIDEST))).collect());
    }

    /// Whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text: titles, then rows, two spaces between columns, each line indented by `indent`.
    pub(crate) fn text(&self, indent: usize) -> String {
        let mut text = String::new();
        let widths = self.widths();
        let titles: Vec<Option<String>> = self.titles.iter().map(|(title, _)| Some(title.clone())).collect();
        self.line(&titles, &widths, indent, true, &mut text);
        for row in &self.rows {
            self.line(row, &widths, indent, false, &mut text);
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let shown = |cell: &Option<String>| cell.as_deref().unwrap_or(NOTHING).width();
        let widest = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(shown).max().unwrap_or(0);
        self.titles.iter().enumerate().map(|(at, (title, _))| title.width().max(widest(at))).collect()
    }

    fn line(&self, cells: &[Option<String>], widths: &[usize], indent: usize, title: bool, text: &mut String) {
        let mut line = " ".repeat(indent);
        let last = cells.len().saturating_sub(1);
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let shown = cell.as_deref().unwrap_or(NOTHING);
            let space = " ".repeat(width.saturating_sub(shown.width()));
            let right = self.titles.get(at).is_some_and(|(_, right)| *right);
            let style = match (title, cell) {
                (true, _) => STRONG,
                (_, None) => FAINT,
                _ => anstyle::Style::new(),
            };
            let (before, after) = if right { (space.as_str(), "") } else { ("", space.as_str()) };
            let after = if at == last { "" } else { after };
            // Writing into a String cannot fail.
            put!(line, "{before}{style}{shown}{style:#}{after}");
            line.push_str(if at == last { "" } else { "  " });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(table: &Table) -> String {
        anstream::adapter::strip_str(&table.text(2)).to_string()
    }

    #[test]
    fn columns_are_straight_in_every_alphabet() {
        let mut table = Table::of(&["Артикул", ">Цена", "name"]);
        table.row(["A-1".to_owned(), "129.90".to_owned(), "Болт".to_owned()]);
        table.row(["螺栓".to_owned(), "4.70".to_owned(), "й".to_owned()]);
        table.cells(vec![Some("Ы".to_owned()), None, None]);
        let expected =
            "  Артикул    Цена  name\n  A-1      129.90  Болт\n  螺栓       4.70  й\n  Ы          NULL  NULL\n";
        assert_eq!(bare(&table), expected);
    }

    #[test]
    fn cells_stay_on_one_line_and_are_cut() {
        let mut table = Table::of(&["text"]);
        table.row(["two\nlines\u{1b}[31m".to_owned()]);
        table.row(["ж".repeat(100)]);
        let text = bare(&table);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("two\\nlines\\u{1b}[31m"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 62));
    }
}
