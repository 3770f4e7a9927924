//! What went wrong, in the words of the engine: PostgreSQL's codes become kinds of errors and of refusals.

use obmen_sdk::{Error, ErrorKind, RejectClass};
use std::error::Error as _;
use tokio_postgres::error::{DbError, SqlState};

/// An error of the driver as one of ours. `doing`: what was tried, like `reading`.
pub(crate) fn failed(error: tokio_postgres::Error, doing: &str) -> Error {
    if let Some(refusal) = error.as_db_error() {
        let message = format!("PostgreSQL refused {doing}: {}", said(refusal));
        let told = Error::new(kind(refusal.code()), message);
        return told.because(error);
    }
    // The driver names kinds only in its texts.
    let text = error.to_string();
    let cause = error.source().map(ToString::to_string);
    let (kind, message) = if text.starts_with("authentication error") || text.starts_with("invalid configuration") {
        let message = "PostgreSQL did not let us in: it asks for a password or a way of proving it we cannot";
        (ErrorKind::Unauthenticated, message.to_owned())
    } else if text.starts_with("error performing TLS") {
        let cause = cause.unwrap_or_default();
        (ErrorKind::Unavailable, format!("no encrypted connection: {cause}; see `tls` and `ca`"))
    } else if text.starts_with("error connecting") {
        (ErrorKind::Unavailable, format!("nobody answers: {}", cause.unwrap_or(text)))
    } else {
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        (ErrorKind::Unavailable, format!("the connection broke while {doing}: {text}{cause}"))
    };
    Error::new(kind, message).because(error)
}

/// What PostgreSQL says, in one line: the message, the constraint and the key it is about. Whole rows are left out:
/// they may hold what must not be shown.
pub(crate) fn said(refusal: &DbError) -> String {
    let mut text = refusal.message().replace(['\n', '\r'], " ");
    let detail = refusal.detail().filter(|detail| !detail.starts_with("Failing row contains"));
    if let Some(detail) = detail {
        text.push_str("; ");
        text.push_str(&detail.replace(['\n', '\r'], " "));
    }
    if let Some(constraint) = refusal.constraint()
        && !text.contains(constraint)
    {
        text = format!("{text} (constraint {constraint})");
    }
    format!("{text} [{}]", refusal.code().code())
}

/// The kind of an error by its SQLSTATE (appendix A of PostgreSQL's manual).
fn kind(code: &SqlState) -> ErrorKind {
    let state = code.code();
    let class = state.get(..2).unwrap_or_default();
    match state {
        "42501" | "25006" => ErrorKind::PermissionDenied,
        "3D000" | "3F000" | "42P01" => ErrorKind::NotFound,
        "42601" => ErrorKind::InvalidData,
        "57014" => ErrorKind::Timeout,
        "53300" => ErrorKind::Unavailable,
        "40001" | "40P01" | "55P03" | "23505" => ErrorKind::Conflict,
        _ => match class {
            "28" => ErrorKind::Unauthenticated,
            "42" => ErrorKind::SchemaMismatch,
            "22" | "23" => ErrorKind::InvalidData,
            "0A" => ErrorKind::Unsupported,
            "53" | "54" => ErrorKind::Exhausted,
            _ => ErrorKind::Unavailable,
        },
    }
}

/// Why rows were refused. `single`: it was one row, so that nobody else can be meant.
pub(crate) fn class(code: &SqlState, single: bool) -> RejectClass {
    let state = code.code();
    match state.get(..2).unwrap_or_default() {
        // What it refers to is not there. With several rows the guilty one is to be found first.
        "23" if state == "23503" && single => RejectClass::Missing,
        // Values that cannot be, constraints, conditions of views, refusals of triggers.
        "21" | "22" | "23" | "44" | "P0" => RejectClass::Data,
        "42" if state == "42501" => RejectClass::Forbidden,
        _ => RejectClass::Temporary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_what_the_engine_does() {
        for (state, expected) in [
            ("28P01", ErrorKind::Unauthenticated),
            ("28000", ErrorKind::Unauthenticated),
            ("3D000", ErrorKind::NotFound),
            ("42P01", ErrorKind::NotFound),
            ("42703", ErrorKind::SchemaMismatch),
            ("42501", ErrorKind::PermissionDenied),
            ("57014", ErrorKind::Timeout),
            ("57P01", ErrorKind::Unavailable),
            ("53300", ErrorKind::Unavailable),
            ("53100", ErrorKind::Exhausted),
            ("40P01", ErrorKind::Conflict),
            ("22012", ErrorKind::InvalidData),
        ] {
            assert_eq!(kind(&SqlState::from_code(state)), expected, "{state}");
        }
        for (state, single, expected) in [
            ("23514", false, RejectClass::Data),
            ("23503", false, RejectClass::Data),
            ("23503", true, RejectClass::Missing),
            ("40001", false, RejectClass::Temporary),
            ("57P01", true, RejectClass::Temporary),
            ("42501", true, RejectClass::Forbidden),
            ("P0001", false, RejectClass::Data),
        ] {
            assert_eq!(class(&SqlState::from_code(state), single), expected, "{state}");
        }
    }
}
