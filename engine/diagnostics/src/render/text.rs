//! For people: the look of rustc.

use super::cover::cover;
use crate::{Diagnostic, Files, Fix, Label, Severity, SourceFile, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use std::ops::Range;

/// Diagnostics as text, one paragraph each, with the lines they are about.
///
/// ```text
/// error[unknown-field]: unknown field `tabel`
///  --> pipelines/заказы.yaml:6:5
///   |
/// 6 |     tabel: public.orders
///   |     ^^^^^
///   |
/// help: a field with a similar name exists
///   |
/// 6 -     tabel: public.orders
/// 6 +     table: public.orders
///   |
/// ```
///
/// `colour` adds terminal sequences. Ends with a line break unless there are no diagnostics.
pub fn text(files: &Files, diagnostics: &[&Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut all = String::new();
    for diagnostic in diagnostics {
        if !all.is_empty() {
            all.push('\n');
        }
        for line in one(files, diagnostic, &renderer).lines() {
            all.push_str(line.trim_end());
            all.push('\n');
        }
    }
    all
}

fn one(files: &Files, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.name));
    for (file, labels) in by_file(files, &diagnostic.labels) {
        let mut snippet = Snippet::source(cover(file.text())).path(file.name());
        for (is_first, label) in labels {
            let kind = if is_first { AnnotationKind::Primary } else { AnnotationKind::Context };
            let text = (!label.text.is_empty()).then_some(label.text.as_str());
            snippet = snippet.annotation(kind.span(first_line(file, label.span)).label(text));
        }
        group = group.element(snippet);
    }
    let fix = diagnostic.fix.as_ref().and_then(|fix| Some((fix, files.get(fix.span.file)?)));
    // The first instruction is what the fix does.
    let (title, help) = match (fix, diagnostic.help.split_first()) {
        (Some(_), Some((first, rest))) => (first.as_str(), rest),
        _ => ("write this instead", diagnostic.help.as_slice()),
    };
    group = group.elements(help.iter().map(|help| Level::HELP.message(help.as_str())));
    let mut groups = vec![group];
    groups.extend(fix.map(|(fix, file)| patched(fix, file, title)));
    renderer.render(&groups)
}

fn patched<'d>(fix: &'d Fix, file: &'d SourceFile, title: &'d str) -> Group<'d> {
    let patch = Patch::new(within(file, fix.span), fix.replacement.as_str());
    Level::HELP.secondary_title(title).element(Snippet::source(cover(file.text())).patch(patch))
}

/// Labels of one file, each with whether it is the first of all.
type OfFile<'d> = (&'d SourceFile, Vec<(bool, &'d Label)>);

/// Labels by file, that of the first label first.
fn by_file<'d>(files: &'d Files, labels: &'d [Label]) -> Vec<OfFile<'d>> {
    let mut all: Vec<(crate::FileId, OfFile<'d>)> = Vec::new();
    for (number, label) in labels.iter().enumerate() {
        let Some(file) = files.get(label.span.file) else { continue };
        let entry = (number == 0, label);
        match all.iter_mut().find(|(id, _)| *id == label.span.file) {
            Some((_, (_, labels))) => labels.push(entry),
            None => all.push((label.span.file, (file, vec![entry]))),
        }
    }
    all.into_iter().map(|(_, of_file)| of_file).collect()
}

/// The part of a place on its first line: a mapping of twenty lines is shown by where it begins.
fn first_line(file: &SourceFile, span: Span) -> Range<usize> {
    let range = within(file, span);
    let line = file.text().get(range.clone()).and_then(|text| text.split('\n').next()).unwrap_or("");
    range.start..range.start + line.trim_end().len()
}

/// A place inside its file, whatever the span says: a renderer must not be what fails.
fn within(file: &SourceFile, span: Span) -> Range<usize> {
    let floor =
        |at: usize| (0..=at.min(file.text().len())).rev().find(|at| file.text().is_char_boundary(*at)).unwrap_or(0);
    let start = floor(span.start as usize);
    start..floor(span.end as usize).max(start)
}
