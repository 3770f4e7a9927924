//! For programs: the shape that `obmen validate --output json` promises.

use crate::{Diagnostic, Files, Severity, Span};
use serde_json::{Map, Value, json};

/// `{"diagnostics": [{code, severity, message, file, line, column, end_line, end_column, help, fix}]}`.
///
/// Lines and columns are counted from 1, columns in characters; the end is where the next character would be. `file` and
/// the numbers are `null` for a diagnostic about the project as a whole. `fix` is `null` or the same four numbers with
/// `replacement`.
pub fn json(files: &Files, diagnostics: &[&Diagnostic]) -> Value {
    let all: Vec<Value> = diagnostics.iter().map(|diagnostic| one(files, diagnostic)).collect();
    json!({ "diagnostics": all })
}

fn one(files: &Files, diagnostic: &Diagnostic) -> Value {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let span = diagnostic.span();
    let mut object = Map::new();
    object.insert("code".to_owned(), json!(diagnostic.code.name));
    object.insert("severity".to_owned(), json!(severity));
    object.insert("message".to_owned(), json!(diagnostic.message));
    object.insert("file".to_owned(), json!(span.and_then(|span| files.get(span.file)).map(crate::SourceFile::name)));
    insert_place(&mut object, files, span);
    object.insert("help".to_owned(), json!(diagnostic.help));
    let fix = diagnostic.fix.as_ref().map(|fix| {
        let mut object = Map::new();
        insert_place(&mut object, files, Some(fix.span));
        object.insert("replacement".to_owned(), json!(fix.replacement));
        object
    });
    object.insert("fix".to_owned(), json!(fix));
    Value::Object(object)
}

fn insert_place(object: &mut Map<String, Value>, files: &Files, span: Option<Span>) {
    let start = span.map(|span| files.line_column(span.file, span.start));
    let end = span.map(|span| files.line_column(span.file, span.end));
    object.insert("line".to_owned(), json!(start.map(|place| place.line)));
    object.insert("column".to_owned(), json!(start.map(|place| place.column)));
    object.insert("end_line".to_owned(), json!(end.map(|place| place.line)));
    object.insert("end_column".to_owned(), json!(end.map(|place| place.column)));
}
