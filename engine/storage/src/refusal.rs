//! What a store's refusal means, in our words.

use crate::manners::{Failed, Trouble};
use object_store::client::{HttpError, HttpErrorKind};
use obmen_sdk::{Error, ErrorKind};
use std::time::Duration;

/// How long to wait when a store says "too many requests" and no time.
const UNNAMED_WAIT: Duration = Duration::from_secs(30);

/// Words of stores for a login that is not good. Some come with 400 or 403.
const LOGIN: [&str; 9] = [
    "AuthenticationFailed",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidAuthenticationInfo",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];

/// A login or server of which no client can be made.
pub(crate) fn unusable() -> Error {
    let message = "no client can be made of `endpoint`, `user`, `password` and `token`; correct them";
    Error::new(ErrorKind::InvalidData, message)
}

/// An object that is another one now.
pub(crate) fn changed() -> Error {
    let message = "the object changed while it was being read; run again when nobody writes to it";
    Error::new(ErrorKind::Conflict, message)
}

/// Says in words why an attempt failed. The words of the store and its client are left out: they may repeat a login.
pub(crate) fn explain(failed: Failed) -> Error {
    let (error, trouble) = match failed {
        Failed::Stopped => return Error::new(ErrorKind::Cancelled, "stopped during a request to the store"),
        Failed::Store(error, trouble) => (error, trouble),
    };
    if let Some(status) = trouble.status {
        return refused(status, &trouble);
    }
    if let Some(kind) = trouble.transport.or_else(|| broken(&error)) {
        return unreachable(kind);
    }
    let (kind, message) = match &error {
        object_store::Error::NotFound { .. } => (ErrorKind::NotFound, "the object is not there"),
        object_store::Error::AlreadyExists { .. } => (ErrorKind::AlreadyExists, "the object is there already"),
        object_store::Error::Precondition { .. } | object_store::Error::NotModified { .. } => return changed(),
        object_store::Error::PermissionDenied { .. } => (ErrorKind::PermissionDenied, "the login may not do this"),
        object_store::Error::Unauthenticated { .. } => (ErrorKind::Unauthenticated, "the login was refused"),
        object_store::Error::InvalidPath { .. } => (ErrorKind::Unsupported, "an object cannot have this name"),
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
            (ErrorKind::Unsupported, "the store cannot do this")
        }
        _ => {
            (ErrorKind::InvalidData, "the answer is not one of an object store: it lacks a length, a range or its form")
        }
    };
    Error::new(kind, message)
}

fn refused(status: u16, trouble: &Trouble) -> Error {
    let code = trouble.code.as_deref().unwrap_or("");
    let busy = ErrorKind::RateLimited { after: trouble.after.unwrap_or(UNNAMED_WAIT) };
    let (kind, message) = match status {
        _ if LOGIN.contains(&code) => {
            (ErrorKind::Unauthenticated, "the login was refused; check `user`, `password`, `token`, `region`")
        }
        401 => (ErrorKind::Unauthenticated, "the login was refused; check `user`, `password`, `token`"),
        403 => (ErrorKind::PermissionDenied, "the login may not do this; give it the right"),
        404 if matches!(code, "NoSuchBucket" | "ContainerNotFound") => {
            (ErrorKind::NotFound, "there is no such bucket; create it or correct `path`")
        }
        404 | 410 => (ErrorKind::NotFound, "the object is not there"),
        300..=399 => (ErrorKind::NotFound, "the address moved; correct `path`, `endpoint` or `region`"),
        408 => (ErrorKind::Timeout, "the store gave up waiting for the request"),
        409 => (ErrorKind::Conflict, "somebody else changes it"),
        412 | 416 => return changed(),
        429 => (busy, "too many requests"),
        503 if trouble.after.is_some() || code == "SlowDown" => (busy, "the store is busy"),
        405 | 501 => (ErrorKind::Unsupported, "the store cannot do this"),
        500..=599 => (ErrorKind::Unavailable, "the store failed"),
        _ => (ErrorKind::InvalidData, "the store refused the request"),
    };
    let code = if code.is_empty() { String::new() } else { format!(" {code}") };
    Error::new(kind, format!("{message}: HTTP {status}{code}"))
}

fn unreachable(kind: HttpErrorKind) -> Error {
    match kind {
        HttpErrorKind::Timeout => Error::new(ErrorKind::Timeout, "the store was silent for longer than `timeout`"),
        HttpErrorKind::Connect => Error::new(ErrorKind::Unavailable, "no connection to the store"),
        _ => Error::new(ErrorKind::Unavailable, "the connection to the store broke"),
    }
}

/// What happened on the way, if the cause was there and not in the answer.
fn broken(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(http) = current.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        cause = current.source();
    }
    None
}
