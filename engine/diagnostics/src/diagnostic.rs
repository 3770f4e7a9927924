//! What is wrong in the user's file, as plain data.

use crate::{Code, Span};

/// Whether a diagnostic stops the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing runs until it is mended.
    Error,
    /// Probably not what was meant; runs all the same.
    Warning,
}

/// A place and a few words about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A short text beside the underline; may be empty.
    pub text: String,
}

/// A replacement that would mend the mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What to replace.
    pub span: Span,
    /// With what.
    pub replacement: String,
}

/// One mistake in one of the user's files.
///
/// The message is a lower-case phrase without a full stop, with the user's words in backticks; it
/// says what is and what was expected. Each help line is an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind of mistake; its page is shown by `obmen explain`.
    pub code: Code,
    /// Whether it stops the run.
    pub severity: Severity,
    /// What is wrong, in one phrase.
    pub message: String,
    /// Where; the first one is the place itself, others help to understand. Empty: the project as a whole.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Vec<String>,
    /// A replacement that mends it, when there is exactly one.
    pub fix: Option<Fix>,
}

/// All mistakes found so far.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: Vec<Diagnostic>,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn new(code: Code, severity: Severity, span: Span, message: impl Into<String>) -> Self {
        let labels = vec![Label { span, text: String::new() }];
        Self { code, severity, message: message.into(), labels, help: Vec::new(), fix: None }
    }

    /// Adds an instruction.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help.push(help.into());
        self
    }

    /// Sets the short text beside the place itself.
    pub fn note(&mut self, text: impl Into<String>) -> &mut Self {
        if let Some(first) = self.labels.first_mut() {
            first.text = text.into();
        }
        self
    }

    /// Points at another place that helps to understand.
    pub fn label(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Offers a replacement.
    pub fn fix(&mut self, span: Span, replacement: impl Into<String>) -> &mut Self {
        self.fix = Some(Fix { span, replacement: replacement.into() });
        self
    }

    /// The place of the mistake itself.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }
}

impl Problems {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports an error; the result can be given help, labels and a fix.
    pub fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Diagnostic::new(code, Severity::Error, span, message))
    }

    /// Reports a warning; the result can be given help, labels and a fix.
    pub fn warning(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Diagnostic::new(code, Severity::Warning, span, message))
    }

    /// Adds a diagnostic made elsewhere.
    pub fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        let at = self.found.len();
        self.found.push(diagnostic);
        &mut self.found[at]
    }

    /// Takes over everything another collection found.
    pub fn extend(&mut self, other: Problems) {
        self.found.extend(other.found);
    }

    /// Whether anything found stops the run.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether nothing was found at all.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What was found, in the order of discovery.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.found.iter()
    }

    /// What was found, by file and place, exact repetitions removed.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<&Diagnostic> = self.found.iter().collect();
        all.sort_by(|a, b| (a.span(), a.severity, a.code.name).cmp(&(b.span(), b.severity, b.code.name)));
        all.dedup();
        all
    }
}
