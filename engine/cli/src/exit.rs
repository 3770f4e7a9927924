//! How the program ends: exit codes, which scripts depend on, and what is said when it cannot go on.

use obmen_sdk::{Error, ErrorKind};
use std::fmt;
use std::process::ExitCode;

/// Exit codes. Where several apply, the first in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command line asks for something that is not there.
    Usage = 2,
    /// The state is locked or damaged.
    State = 8,
    /// The configuration is wrong.
    Invalid = 3,
    /// A source cannot be read.
    Source = 6,
    /// A sink does not answer.
    Sink = 7,
    /// Changes wait for a person.
    Held = 5,
    /// Finished, but rows were rejected, invalid or unknown, or tests failed.
    Troubled = 1,
    /// There are changes (`plan --detailed-exitcode`).
    Changes = 4,
    /// Done.
    Done = 0,
    /// Stopped by a person; the next run goes on.
    Interrupted = 130,
}

impl Exit {
    /// The exit code of a report: the same numbers, by the engine.
    pub(crate) fn of(code: u8) -> Self {
        let all =
            [Self::Usage, Self::State, Self::Invalid, Self::Source, Self::Sink, Self::Held, Self::Changes, Self::Done];
        let found = all.into_iter().chain([Self::Interrupted]).find(|exit| exit.code() == code);
        found.unwrap_or(Self::Troubled)
    }

    /// The number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command gave up.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What is wrong, in one line; `None` if it was said already.
    pub(crate) message: Option<String>,
    /// What to do, a line each.
    pub(crate) help: Vec<String>,
    /// The whole story, shown with `-v`.
    pub(crate) story: Option<String>,
}

impl Failure {
    /// A failure in one line.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: Some(message.into()), help: Vec::new(), story: None }
    }

    /// The command line asks for something that is not there.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A failure whose reasons were shown already.
    pub(crate) fn told(exit: Exit) -> Self {
        Self { exit, message: None, help: Vec::new(), story: None }
    }

    /// Adds an instruction.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// What an error means while something of the outside is read: a source is unavailable, unless it says otherwise.
    pub(crate) fn reading(error: Error) -> Self {
        let failure = Self::from(error);
        if failure.exit == Exit::Troubled { Self { exit: Exit::Source, ..failure } } else { failure }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or("see above"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Self::new(exit_of(&error), error.to_string());
        failure.story = Some(format!("{error:?}"));
        failure
    }
}

/// What an error means for the exit code. `setting` in its context marks what the person asked for, or wrote in `${…}`.
fn exit_of(error: &Error) -> Exit {
    if obmen_runtime::state::is_state_error(error) {
        return Exit::State;
    }
    if error.kind() == ErrorKind::Cancelled {
        return Exit::Interrupted;
    }
    let context =
        |wanted: &str| error.context().iter().find(|(key, _)| *key == wanted).map(|(_, value)| value.as_str());
    match context("setting") {
        Some(secret) if secret.starts_with("${") => return Exit::Invalid,
        // The world moved since the plan: somebody has to look at the new one.
        Some("plan") if error.kind() == ErrorKind::Conflict => return Exit::Held,
        Some(_) => return Exit::Usage,
        None => {}
    }
    match (context("source"), context("sink")) {
        (Some(_), _) => Exit::Source,
        (_, Some(_)) => Exit::Sink,
        _ => Exit::Troubled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_end_with_the_code_of_the_contract() {
        let error = |kind| Error::new(kind, "no");
        let cases = [
            (error(ErrorKind::Conflict).with("state", ".obmen/demo"), 8),
            (error(ErrorKind::Cancelled), 130),
            (error(ErrorKind::NotFound).with("setting", "${env:PASSWORD}"), 3),
            (error(ErrorKind::Conflict).with("setting", "plan"), 5),
            (error(ErrorKind::Unsupported).with("setting", "enabled"), 2),
            (error(ErrorKind::Unavailable).with("source", "goods"), 6),
            (error(ErrorKind::Timeout).with("sink", "shop"), 7),
            (error(ErrorKind::Internal), 1),
        ];
        for (error, code) in cases {
            assert_eq!(Failure::from(error).exit.code(), code);
        }
        assert_eq!(Failure::reading(error(ErrorKind::Unavailable)).exit, Exit::Source);
    }

    #[test]
    fn the_engines_codes_are_ours() {
        for code in [0, 1, 2, 3, 4, 5, 6, 7, 8, 130] {
            assert_eq!(Exit::of(code).code(), code);
        }
    }
}
