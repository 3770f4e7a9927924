//! For GitHub Actions: workflow commands that become annotations of the changed files.
//!
//! The escapes are those of the runner's own toolkit (actions/toolkit, `packages/core/src/command.ts`): `%`, CR and LF in
//! data, and `:` and `,` in properties as well.

use crate::{Diagnostic, Files, Severity, SourceFile, Span};
/// One line per diagnostic: `::error file=…,line=…,endLine=…,col=…,endColumn=…,title=CODE::MESSAGE`. Instructions follow
/// the message on lines of their own inside the annotation.
pub fn github(files: &Files, diagnostics: &[&Diagnostic]) -> String {
    diagnostics.iter().map(|diagnostic| one(files, diagnostic)).collect()
}

fn one(files: &Files, diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = diagnostic.span().and_then(|span| Some(place(files, span, files.get(span.file)?))).unwrap_or_default();
    let lines: Vec<&str> = std::iter::once(&diagnostic.message).chain(&diagnostic.help).map(String::as_str).collect();
    let message = data(&lines.join("\nhelp: "));
    format!("::{severity} {place}title={}::{message}\n", property(diagnostic.code.name))
}

fn place(files: &Files, span: Span, file: &SourceFile) -> String {
    let (start, end) = (files.line_column(span.file, span.start), files.line_column(span.file, span.end));
    // GitHub refuses columns of a place on several lines.
    let columns =
        if start.line == end.line { format!("col={},endColumn={},", start.column, end.column) } else { String::new() };
    format!("file={},line={},endLine={},{columns}", property(file.name()), start.line, end.line)
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
