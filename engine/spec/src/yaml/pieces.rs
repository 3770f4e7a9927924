//! The way back from the text of a scalar to the bytes of the file.

use crate::ScalarStyle;
use obmen_diagnostics::Span;

/// Narrows the place of a scalar to what was written, without the blank lines that may follow it, and finds the pieces
/// of its text in the file: (byte in the text, byte in the file). No pieces where the text does not stand in the file.
pub(super) fn find(file: &str, span: Span, text: &str, style: ScalarStyle) -> (Span, Vec<(usize, usize)>) {
    let written = file.get(span.range()).unwrap_or("");
    let written = match style {
        ScalarStyle::Literal | ScalarStyle::Folded => written.trim_end(),
        ScalarStyle::Plain | ScalarStyle::Quoted => written,
    };
    let start = span.start as usize;
    let span = Span::new(span.file, start..start + written.len());
    let pieces = match style {
        ScalarStyle::Plain => lines_of(written, start, text),
        ScalarStyle::Quoted => inside_quotes(written).and_then(|inside| lines_of(inside, start + 1, text)),
        ScalarStyle::Literal => literal(file, start, text),
        ScalarStyle::Folded => None,
    };
    (span, pieces.unwrap_or_default())
}

/// What stands between quotes, if nothing in it is an escape.
fn inside_quotes(written: &str) -> Option<&str> {
    if let Some(inside) = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return (!inside.contains('\\')).then_some(inside);
    }
    let inside = written.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''))?;
    (!inside.contains('\'')).then_some(inside)
}

/// The pieces of a text whose lines YAML joined: each line, without the spaces around it, follows the one before.
fn lines_of(written: &str, start: usize, text: &str) -> Option<Vec<(usize, usize)>> {
    if written == text {
        return Some(vec![(0, start)]);
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    let last = written.split('\n').count() - 1;
    let mut offset = start;
    for (number, line) in written.split('\n').enumerate() {
        let piece = if number == 0 { line } else { line.trim_start() };
        let skipped = line.len() - piece.len();
        let piece = if number == last { piece } else { piece.trim_end() };
        if !piece.is_empty() {
            let rest = text.get(at..)?;
            let joined = if number == 0 { rest } else { rest.trim_start_matches([' ', '\n']) };
            at += rest.len() - joined.len();
            joined.strip_prefix(piece)?;
            pieces.push((at, offset + skipped));
            at += piece.len();
        }
        offset += line.len() + 1;
    }
    (at == text.len()).then_some(pieces)
}

/// The lines of a literal block: each stands in the file after its indentation. `start` is somewhere in the lines before
/// the first one that says something, or in it.
fn literal(file: &str, start: usize, text: &str) -> Option<Vec<(usize, usize)>> {
    let rest = file.get(start..)?;
    let first = start + (rest.len() - rest.trim_start().len());
    let mut offset = file.get(..first)?.rfind('\n').map_or(0, |newline| newline + 1);
    let blank = text.len() - text.trim_start_matches('\n').len();
    let mut at = blank;
    let mut pieces: Vec<(usize, usize)> = (0..blank).map(|line| (line, first)).collect();
    let mut source = file.get(offset..)?.split('\n');
    for line in text.trim_matches('\n').split('\n') {
        let whole = source.next()?;
        let stands = whole.strip_suffix('\r').unwrap_or(whole);
        let indentation = if line.is_empty() { stands.len() } else { stands.strip_suffix(line)?.len() };
        pieces.push((at, offset + indentation));
        at += line.len() + 1;
        offset += whole.len() + 1;
    }
    Some(pieces)
}
