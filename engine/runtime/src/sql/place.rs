//! From a place in the SQL to a place in the user's file.

use datafusion::common::Span as PlanSpan;
use datafusion::sql::sqlparser::tokenizer::{Location, Span as TokenSpan};
use obmen_diagnostics::Span;
use obmen_spec::SqlText;

/// Places of one piece of SQL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    sql: &'a SqlText,
}

impl<'a> Places<'a> {
    /// Places of a piece of SQL.
    pub(super) fn new(sql: &'a SqlText) -> Self {
        Self { sql }
    }

    /// The whole of it.
    pub(super) fn whole(self) -> Span {
        self.sql.place(0..self.sql.text.len())
    }

    /// Where tokens stand; the whole where that is not known.
    pub(super) fn of(self, span: TokenSpan) -> Span {
        if span == TokenSpan::empty() || span.start.line == 0 {
            return self.whole();
        }
        let (start, end) = (self.offset(span.start), self.offset(span.end));
        self.sql.place(start..end + self.closing(start, end))
    }

    /// The bytes up to the bracket that closes what was opened between two places: the parser leaves it out.
    fn closing(self, start: usize, end: usize) -> usize {
        let text = self.sql.text.get(start..end).unwrap_or("");
        let rest = self.sql.text.get(end..).unwrap_or("");
        if text.matches('(').count() <= text.matches(')').count() {
            return 0;
        }
        let space = rest.len() - rest.trim_start().len();
        if rest.trim_start().starts_with(')') { space + 1 } else { 0 }
    }

    /// Where a planned expression stands.
    pub(super) fn of_plan(self, span: PlanSpan) -> Span {
        self.of(tokens(span))
    }

    /// Whether a place begins with a double quote.
    pub(super) fn is_quoted(self, place: Span) -> bool {
        let starts = |(at, _): (usize, &str)| self.sql.place(at..at).range().start == place.range().start;
        self.sql.text.match_indices('"').any(starts)
    }

    /// The first piece of SQL like `text`, in any case, at or after some tokens.
    pub(super) fn after(self, span: TokenSpan, text: &str) -> Option<Span> {
        let start = self.offset(span.start);
        let rest = self.sql.text.get(start..)?;
        let at = rest.char_indices().find_map(|(at, _)| {
            rest.get(at..at + text.len()).filter(|piece| piece.eq_ignore_ascii_case(text)).map(|_| start + at)
        })?;
        Some(self.sql.place(at..at + text.len()))
    }

    /// The word that begins at a line and column, or the end of the text.
    pub(super) fn word(self, at: Option<(usize, usize)>) -> Span {
        let text = &self.sql.text;
        let start = at.map_or_else(|| text.trim_end().len(), |(line, column)| self.sql.offset(line, column));
        let rest = text.get(start..).unwrap_or("");
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = match rest.find(|letter| !is_word(letter)) {
            Some(0) => rest.chars().next().map_or(0, char::len_utf8),
            Some(length) => length,
            None => rest.len(),
        };
        self.sql.place(start..start + length)
    }

    fn offset(self, location: Location) -> usize {
        let narrow = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        self.sql.offset(narrow(location.line), narrow(location.column))
    }
}

/// The planner's span as the parser's.
pub(super) fn tokens(span: PlanSpan) -> TokenSpan {
    TokenSpan {
        start: Location { line: span.start.line, column: span.start.column },
        end: Location { line: span.end.line, column: span.end.column },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use obmen_diagnostics::FileId;

    /// SQL that begins at byte 100 of file 0, its lines indented by four spaces.
    pub(in crate::sql) fn sql(text: &str) -> SqlText {
        const START: usize = 100;
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        let lines = starts.enumerate().map(|(line, at)| (at, START + at + 4 * line)).collect();
        let end = START + text.len() + 4 * text.matches('\n').count();
        SqlText { text: text.to_owned(), span: Span::new(FileId(0), START..end), lines }
    }

    #[test]
    fn words_are_found_by_line_and_column() {
        let piece = sql("SELECT Цена,\nFROM товары");
        let places = Places::new(&piece);
        let from = places.word(Some((2, 1)));
        assert_eq!(from.range(), 121..125);
        assert_eq!(places.word(Some((1, 12))).range(), 115..116);
        assert_eq!(places.word(None).range().len(), 0);
    }
}
