//! Bytes → records, with the place of every field.
//!
//! Written here and not taken from the `csv` crate because a bad row has to be found by people: that
//! reader keeps no places of fields, takes `"a"b` for `ab`, and collects a field whose quote is never
//! closed until memory ends. The tests compare both on everything that is well formed.

use std::io::Read;
use std::ops::Range;

/// Bytes of one record at most. A longer one has lost its closing quote, or is no table.
pub(crate) const MAX_RECORD: usize = 16 << 20;

/// A record's field: where its content is, and where it begins in the record.
#[derive(Clone, Debug, Default)]
struct Field {
    content: Range<usize>,
    unescaped: bool,
    quoted: bool,
    at: usize,
}

/// What the reader found next.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// A record.
    Record(Record<'a>),
    /// Something that cannot be taken apart; reading goes on after its first line.
    Broken {
        /// Line and column.
        place: (u64, usize),
        /// Why.
        reason: &'static str,
    },
    /// Nothing more.
    End,
}

/// A record: fields without their quotes.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    raw: &'a [u8],
    unescaped: &'a [u8],
    fields: &'a [Field],
    line: u64,
}

impl Record<'_> {
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Bytes it takes in the file.
    pub(crate) fn bytes(&self) -> usize {
        self.raw.len()
    }

    /// The content of a field; empty if there is no such field.
    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let Some(field) = self.fields.get(index) else { return &[] };
        let from = if field.unescaped { self.unescaped } else { self.raw };
        from.get(field.content.clone()).unwrap_or(&[])
    }

    /// Whether a field stood in quotes.
    pub(crate) fn is_quoted(&self, index: usize) -> bool {
        self.fields.get(index).is_some_and(|field| field.quoted)
    }

    /// Line and column of a field; of the record's end if there is no such field.
    pub(crate) fn place(&self, index: usize, chars: impl Fn(&[u8]) -> usize) -> (u64, usize) {
        let at = self.fields.get(index).map_or_else(|| trim_line_end(self.raw).len(), |field| field.at);
        place(self.line, self.raw.get(..at).unwrap_or(&[]), chars)
    }
}

/// Takes records off a stream.
#[derive(Debug)]
pub(crate) struct Records<R> {
    input: R,
    delimiter: u8,
    quote: Option<u8>,
    buffer: Vec<u8>,
    start: usize,
    /// Bytes of `buffer` that are filled.
    end: usize,
    ended: bool,
    line: u64,
    fields: Vec<Field>,
    unescaped: Vec<u8>,
}

/// How splitting a record off some bytes ended.
enum Split {
    /// It takes so many bytes, its line end included.
    Whole(usize),
    /// The bytes end before the record does.
    More,
    /// It is broken at an offset; the quote to blame opens at another.
    Broken { at: usize, quote: usize, reason: &'static str },
}

impl<R: Read> Records<R> {
    pub(crate) fn new(input: R, delimiter: u8, quote: Option<u8>) -> Self {
        let buffer = vec![0; 64 << 10];
        let (fields, unescaped) = (Vec::new(), Vec::new());
        Self { input, delimiter, quote, buffer, start: 0, end: 0, ended: false, line: 1, fields, unescaped }
    }

    /// Passes over so many lines, whatever is in them.
    pub(crate) fn skip_lines(&mut self, count: u32) -> std::io::Result<()> {
        for _ in 0..count {
            loop {
                match line_end(self.rest()) {
                    Some(length) if self.ended || length < self.rest().len() || self.rest().ends_with(b"\n") => {
                        self.consume(length);
                        break;
                    }
                    _ if self.ended => {
                        self.consume(self.rest().len());
                        return Ok(());
                    }
                    // What was seen of the line is not needed, except a `\r` whose `\n` may follow.
                    _ => {
                        self.start = self.end - usize::from(self.rest().ends_with(b"\r"));
                        self.fill()?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The next record. Empty lines are passed over.
    pub(crate) fn next(&mut self, chars: impl Fn(&[u8]) -> usize) -> std::io::Result<Next<'_>> {
        self.skip_empty_lines()?;
        loop {
            if self.rest().is_empty() && self.ended {
                return Ok(Next::End);
            }
            match self.split() {
                Split::Whole(length) => {
                    let (from, line) = (self.start, self.line);
                    self.consume_record(length);
                    let raw = self.buffer.get(from..from + length).unwrap_or(&[]);
                    return Ok(Next::Record(Record { raw, unescaped: &self.unescaped, fields: &self.fields, line }));
                }
                Split::More if self.rest().len() >= MAX_RECORD => {
                    let quote = self.fields.last().filter(|field| field.quoted).map_or(0, |field| field.at);
                    return self.broken(
                        quote,
                        quote,
                        "the row is longer than 16 MiB; a quote may not be closed",
                        chars,
                    );
                }
                Split::More => self.fill()?,
                Split::Broken { at, quote, reason } => return self.broken(at, quote, reason, chars),
            }
        }
    }

    /// Goes on after the line the guilty quote stands in.
    fn broken(
        &mut self,
        at: usize,
        quote: usize,
        reason: &'static str,
        chars: impl Fn(&[u8]) -> usize,
    ) -> std::io::Result<Next<'static>> {
        let place = place(self.line, self.rest().get(..at).unwrap_or(&[]), chars);
        self.consume(quote);
        self.skip_lines(1)?;
        Ok(Next::Broken { place, reason })
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or(&[])
    }

    fn consume(&mut self, length: usize) {
        self.line += count_lines(self.rest().get(..length).unwrap_or(&[]));
        self.start += length;
    }

    /// Passes over a record that was split. Without quotes there is no line end in it but its own.
    fn consume_record(&mut self, length: usize) {
        if self.fields.iter().any(|field| field.quoted) {
            self.consume(length);
        } else {
            self.start += length;
            let last = self.start.checked_sub(1).and_then(|at| self.buffer.get(at));
            self.line += u64::from(matches!(last, Some(b'\r' | b'\n')));
        }
    }

    fn skip_empty_lines(&mut self) -> std::io::Result<()> {
        loop {
            match self.rest() {
                [] | [b'\r'] if !self.ended => self.fill()?,
                [b'\r', b'\n', ..] => self.consume(2),
                [b'\r' | b'\n', ..] => self.consume(1),
                _ => return Ok(()),
            }
        }
    }

    fn fill(&mut self) -> std::io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let count = loop {
            match self.input.read(self.buffer.get_mut(self.end..).unwrap_or(&mut [])) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.end += count;
        self.ended = count == 0;
        Ok(())
    }

    /// Splits the record at the beginning of the rest into fields.
    fn split(&mut self) -> Split {
        self.fields.clear();
        self.unescaped.clear();
        let raw = self.buffer.get(self.start..self.end).unwrap_or(&[]);
        let mut at = 0;
        loop {
            let first = raw.get(at).copied();
            let end = if first.is_some() && first == self.quote {
                let quote = at;
                match quoted(raw, at, self.quote.unwrap_or_default(), self.ended, &mut self.fields, &mut self.unescaped)
                {
                    Some(end) => at = end,
                    None if self.ended => {
                        return Split::Broken { at: quote, quote, reason: "the quote is not closed" };
                    }
                    None => return Split::More,
                }
                if raw.get(at).is_some_and(|byte| *byte != self.delimiter && !matches!(byte, b'\r' | b'\n')) {
                    return Split::Broken {
                        at,
                        quote,
                        reason: "text follows a closing quote; a quote inside a field is doubled",
                    };
                }
                at
            } else {
                let rest = raw.get(at..).unwrap_or(&[]);
                let stop = |byte: &u8| *byte == self.delimiter || matches!(byte, b'\r' | b'\n');
                let end = at + rest.iter().position(stop).unwrap_or(rest.len());
                self.fields.push(Field { content: at..end, unescaped: false, quoted: false, at });
                end
            };
            match raw.get(end) {
                Some(byte) if *byte == self.delimiter => at = end + 1,
                Some(b'\r') if raw.get(end + 1) == Some(&b'\n') => return Split::Whole(end + 2),
                // Whether a `\n` follows is not known yet.
                Some(b'\r') if end + 1 == raw.len() && !self.ended => return Split::More,
                Some(_) => return Split::Whole(end + 1),
                None if self.ended => return Split::Whole(end),
                None => return Split::More,
            }
        }
    }
}

/// Takes a quoted field that opens at `at`; gives the offset after its closing quote, or nothing if it is not closed.
fn quoted(
    raw: &[u8],
    at: usize,
    quote: u8,
    ended: bool,
    fields: &mut Vec<Field>,
    unescaped: &mut Vec<u8>,
) -> Option<usize> {
    let from = unescaped.len();
    let mut content = at + 1;
    let mut doubled = false;
    fields.push(Field { content: content..content, unescaped: false, quoted: true, at });
    loop {
        let rest = raw.get(content..)?;
        let length = rest.iter().position(|byte| *byte == quote)?;
        let close = content + length;
        let next = raw.get(close + 1);
        if next.is_none() && !ended {
            return None;
        }
        let again = next == Some(&quote);
        if doubled || again {
            unescaped.extend_from_slice(raw.get(content..close + usize::from(again))?);
        }
        if !again {
            let range = if doubled { from..unescaped.len() } else { at + 1..close };
            *fields.last_mut()? = Field { content: range, unescaped: doubled, quoted: true, at };
            return Some(close + 1);
        }
        doubled = true;
        content = close + 2;
    }
}

/// Bytes up to and including the first line end.
fn line_end(bytes: &[u8]) -> Option<usize> {
    let at = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let pair = bytes.get(at) == Some(&b'\r') && bytes.get(at + 1) == Some(&b'\n');
    Some(at + 1 + usize::from(pair))
}

fn trim_line_end(raw: &[u8]) -> &[u8] {
    raw.strip_suffix(b"\r\n").or_else(|| raw.strip_suffix(b"\n")).or_else(|| raw.strip_suffix(b"\r")).unwrap_or(raw)
}

fn count_lines(bytes: &[u8]) -> u64 {
    if !bytes.contains(&b'\r') {
        return bytes.iter().filter(|byte| matches!(byte, b'\n')).count() as u64;
    }
    let mut lines = 0;
    let mut previous = 0;
    for byte in bytes {
        lines += u64::from(*byte == b'\r' || (*byte == b'\n' && previous != b'\r'));
        previous = *byte;
    }
    lines
}

fn place(line: u64, before: &[u8], chars: impl Fn(&[u8]) -> usize) -> (u64, usize) {
    let start = before.iter().rposition(|byte| matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
    (line + count_lines(before), chars(before.get(start..).unwrap_or(&[])) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of one size, so that every boundary falls everywhere.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(buffer.len()).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    /// Line and fields, or the place and reason of what is broken.
    type Row = Result<(u64, Vec<String>), ((u64, usize), &'static str)>;

    fn read(text: &str, piece: usize) -> Vec<Row> {
        let mut records = Records::new(Pieces(text.as_bytes(), piece), b';', Some(b'"'));
        let mut rows = Vec::new();
        loop {
            match records.next(<[u8]>::len).unwrap() {
                Next::End => return rows,
                Next::Broken { place, reason } => rows.push(Err((place, reason))),
                Next::Record(record) => {
                    let fields = (0..record.len()).map(|at| String::from_utf8_lossy(record.get(at)).into_owned());
                    rows.push(Ok((record.place(0, <[u8]>::len).0, fields.collect())));
                }
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with what was read")]
    fn row(line: u64, fields: &[&str]) -> Row {
        Ok((line, fields.iter().map(|field| (*field).to_owned()).collect()))
    }

    #[test]
    fn lines_are_counted_through_quoted_line_breaks() {
        let text = "a;b\r\n\"1\r\n2\";x\r\n\r\n3;\"\"\"q\"\"\"\n\"\";";
        for piece in 1..text.len() {
            let expected =
                vec![row(1, &["a", "b"]), row(2, &["1\r\n2", "x"]), row(5, &["3", "\"q\""]), row(6, &["", ""])];
            assert_eq!(read(text, piece), expected);
        }
    }

    #[test]
    fn a_broken_quote_costs_one_line() {
        let text = "a;b\n1;\"x\"y\n2;\"never closed\n3;z\n";
        for piece in 1..text.len() {
            let rows = read(text, piece);
            assert_eq!(rows[1].as_ref().unwrap_err().0, (2, 6));
            assert_eq!(rows[2].as_ref().unwrap_err(), &((3, 3), "the quote is not closed"));
            assert_eq!(rows[3], row(4, &["3", "z"]));
            assert_eq!(rows.len(), 4);
        }
    }

    #[test]
    fn a_quote_that_is_never_closed_does_not_eat_memory() {
        let mut text = String::from("a\n\"open\nb\n");
        text.push_str(&"x;y\n".repeat(MAX_RECORD / 4 + 10));
        let rows = read(&text, 1 << 16);
        assert_eq!(rows[1].as_ref().unwrap_err().0, (2, 1));
        assert_eq!(rows[2], row(3, &["b"]));
        assert_eq!(rows.len(), 3 + MAX_RECORD / 4 + 10);
    }

    #[test]
    fn lines_before_the_header_are_passed_over() {
        let text = "title \"x\r\n\r\na;b\n";
        for piece in 1..text.len() {
            let mut records = Records::new(Pieces(text.as_bytes(), piece), b';', Some(b'"'));
            records.skip_lines(2).unwrap();
            let Next::Record(record) = records.next(<[u8]>::len).unwrap() else { panic!("no record") };
            assert_eq!((record.get(1), record.place(1, <[u8]>::len)), (b"b".as_slice(), (3, 3)));
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_csv_crate(text in "(\"([ab;\r\n]|\"\"){0,5}\"|[ab \"]{0,3}|;|\n|\r\n|\r){0,40}", piece in 1_usize..50) {
            let ours = read(&text, piece);
            // The other reader is lenient with quotes; what is well formed both read the same.
            if ours.iter().all(Result::is_ok) {
                let mut oracle = ::csv::ReaderBuilder::new().delimiter(b';').has_headers(false).flexible(true).from_reader(text.as_bytes());
                let oracle: Vec<Vec<String>> = oracle.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
                let ours: Vec<Vec<String>> = ours.into_iter().map(|row| row.unwrap().1).collect();
                proptest::prop_assert_eq!(ours, oracle);
            }
        }

        #[test]
        fn pieces_make_no_difference(text in "([ab;\"\r\n]){0,40}", piece in 1_usize..20) {
            proptest::prop_assert_eq!(read(&text, piece), read(&text, 1 << 20));
        }
    }
}
