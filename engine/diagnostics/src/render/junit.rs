//! For CI systems: test results as `JUnit` XML, the dialect Jenkins, GitLab and Azure agree on.

/// Tests that belong together: a test file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suite {
    /// Its name: the file's.
    pub name: String,
    /// The tests, in order.
    pub cases: Vec<Case>,
}

/// One test.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its name, a sentence.
    pub name: String,
    /// What it is a test of: the pipeline.
    pub class: String,
    /// How long it took.
    pub seconds: f64,
    /// How it went.
    pub outcome: Outcome,
}

/// How a test went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything held.
    Passed,
    /// Something did not hold.
    Failed {
        /// What, in one line.
        message: String,
        /// The whole story.
        details: String,
    },
    /// It could not be run.
    Error {
        /// Why, in one line.
        message: String,
        /// The whole story.
        details: String,
    },
    /// It was not run.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// The XML document of some suites. Characters XML forbids are left out, terminal colours with them.
pub fn junit(suites: &[Suite]) -> String {
    let all: Vec<&Case> = suites.iter().flat_map(|suite| &suite.cases).collect();
    let inside: String = suites.iter().map(one_suite).collect();
    let counts = counts(&all);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites{counts}>\n{inside}</testsuites>\n")
}

fn one_suite(suite: &Suite) -> String {
    let cases: Vec<&Case> = suite.cases.iter().collect();
    let inside: String = suite.cases.iter().map(one_case).collect();
    let (name, counts) = (attribute(&suite.name), counts(&cases));
    format!("  <testsuite name=\"{name}\"{counts}>\n{inside}  </testsuite>\n")
}

fn counts(cases: &[&Case]) -> String {
    let count = |wanted: fn(&Outcome) -> bool| cases.iter().filter(|case| wanted(&case.outcome)).count();
    let seconds: f64 = cases.iter().map(|case| case.seconds).sum();
    format!(
        " tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\"",
        count(|_| true),
        count(|outcome| matches!(outcome, Outcome::Failed { .. })),
        count(|outcome| matches!(outcome, Outcome::Error { .. })),
        count(|outcome| matches!(outcome, Outcome::Skipped { .. })),
    )
}

fn one_case(case: &Case) -> String {
    let (name, class, seconds) = (attribute(&case.name), attribute(&case.class), case.seconds);
    let open = format!("    <testcase name=\"{name}\" classname=\"{class}\" time=\"{seconds:.3}\"");
    let (element, message, details) = match &case.outcome {
        Outcome::Passed => return format!("{open}/>\n"),
        Outcome::Failed { message, details } => ("failure", message, details.as_str()),
        Outcome::Error { message, details } => ("error", message, details.as_str()),
        Outcome::Skipped { reason } => ("skipped", reason, ""),
    };
    let message = attribute(message);
    let end = if details.is_empty() { "/>".to_owned() } else { format!(">{}</{element}>", escaped(details)) };
    format!("{open}>\n      <{element} message=\"{message}\"{end}\n    </testcase>\n")
}

/// A text between tags.
fn escaped(text: &str) -> String {
    allowed(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A text between quotes; line breaks are kept, which plain ones would not be.
fn attribute(text: &str) -> String {
    escaped(text).replace('"', "&quot;").replace('\n', "&#10;").replace('\r', "&#13;").replace('\t', "&#9;")
}

/// A text without the characters XML 1.0 forbids (section 2.2) and without terminal sequences (`ESC [ … letter`).
fn allowed(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' && letters.next_if_eq(&'[').is_some() {
            while letters.next_if(|letter| matches!(letter, ' '..='?')).is_some() {}
            letters.next_if(|letter| matches!(letter, '@'..='~'));
        } else if is_allowed(letter) {
            kept.push(letter);
        }
    }
    kept
}

fn is_allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}
