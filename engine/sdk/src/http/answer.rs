//! What came back, and what went wrong on the way.

use super::Options;
use crate::{Error, ErrorKind, Result};
use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use std::time::Duration;

/// How long to wait when the other side says "too many requests" and no time.
const UNNAMED_WAIT: Duration = Duration::from_secs(30);

/// An answer: its status and headers are here, its body comes piece by piece.
#[derive(Debug)]
pub struct Answer {
    response: reqwest::Response,
    shown: String,
    limit: u64,
    taken: u64,
}

impl Answer {
    pub(super) fn new(response: reqwest::Response, shown: String, limit: u64) -> Self {
        Self { response, shown, limit, taken: 0 }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        self.response.status().is_success()
    }

    /// The address that answered, as it may be shown.
    pub fn url(&self) -> &str {
        &self.shown
    }

    /// A header as text; bytes that are not UTF-8 are replaced.
    pub fn header(&self, name: &str) -> Option<String> {
        let value = self.response.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// All values of a header that may come several times, as text.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let values = self.response.headers().get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }

    /// The media type of the body in lower case, without parameters; empty if it is not said.
    pub fn media_type(&self) -> String {
        let whole = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        whole.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
    }

    /// How many bytes of the body came so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The answer, if its status is a success.
    ///
    /// # Errors
    /// [`failure`](Self::failure) otherwise.
    pub fn successful(self) -> Result<Self> {
        if self.is_success() { Ok(self) } else { Err(self.failure()) }
    }

    /// The same answer without a limit on its body, for a caller that keeps no more than a piece of it.
    #[must_use]
    pub fn unlimited(mut self) -> Self {
        self.limit = u64::MAX;
        self
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// `Exhausted` if the body is larger than the limit, `Unavailable` if the connection broke, `Timeout` after silence.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let piece = self.response.chunk().await.map_err(|error| self.broken(error))?;
        if let Some(piece) = &piece {
            self.taken = self.taken.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            if self.taken > self.limit {
                let message = format!("the answer is larger than {}", crate::ByteSize::of(self.limit));
                return Err(Error::new(ErrorKind::Exhausted, message).with("url", &self.shown));
            }
        }
        Ok(piece)
    }

    /// The whole body.
    ///
    /// # Errors
    /// As for [`chunk`](Self::chunk).
    pub async fn bytes(mut self) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// The beginning of the body, at most `limit` bytes; what came before the connection broke, if it breaks. For the
    /// text of an error.
    pub async fn head(&mut self, limit: usize) -> Vec<u8> {
        let mut head = Vec::new();
        while head.len() < limit {
            let Ok(Some(piece)) = self.chunk().await else { break };
            head.extend_from_slice(&piece);
        }
        head.truncate(limit);
        head
    }

    /// The error that the status alone means.
    ///
    /// | status | kind |
    /// |---|---|
    /// | 401 | `Unauthenticated` |
    /// | 403, 407 | `PermissionDenied` |
    /// | 3xx, 404, 410 | `NotFound` |
    /// | 408 | `Timeout` |
    /// | 409, 412, 423 | `Conflict` |
    /// | 429, 503 with `Retry-After` | `RateLimited` |
    /// | 501, 505 | `Unsupported` |
    /// | other 5xx | `Unavailable` |
    /// | anything else | `InvalidData` |
    pub fn failure(&self) -> Error {
        let status = self.status();
        let (kind, message) = match status {
            401 => (ErrorKind::Unauthenticated, "the user or password was refused".to_owned()),
            403 => (ErrorKind::PermissionDenied, "the user may not do this".to_owned()),
            407 => (ErrorKind::PermissionDenied, "a proxy on the way wants a login".to_owned()),
            300..=399 => (ErrorKind::NotFound, self.moved()),
            404 | 410 => (ErrorKind::NotFound, "there is nothing at this address".to_owned()),
            408 => (ErrorKind::Timeout, "the other side gave up waiting for the request".to_owned()),
            409 | 412 | 423 => (ErrorKind::Conflict, "somebody else changed or holds it".to_owned()),
            429 => (self.rate_limited(), "too many requests".to_owned()),
            501 | 505 => (ErrorKind::Unsupported, "the other side cannot do this".to_owned()),
            503 if self.retry_after().is_some() => (self.rate_limited(), "the other side is busy".to_owned()),
            500..=599 => (ErrorKind::Unavailable, "the other side failed".to_owned()),
            _ => (ErrorKind::InvalidData, "the request was refused".to_owned()),
        };
        Error::new(kind, format!("{message}: HTTP {status}")).with("url", &self.shown)
    }

    /// How long the other side asks to wait: seconds, or a date compared with the other side's own clock.
    pub fn retry_after(&self) -> Option<Duration> {
        let asked = self.header(RETRY_AFTER.as_str())?;
        if let Ok(seconds) = asked.trim().parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = chrono::DateTime::parse_from_rfc2822(asked.trim()).ok()?;
        let now = chrono::DateTime::parse_from_rfc2822(self.header(DATE.as_str())?.trim()).ok()?;
        Some((until - now).to_std().unwrap_or(Duration::ZERO))
    }

    fn rate_limited(&self) -> ErrorKind {
        ErrorKind::RateLimited { after: self.retry_after().unwrap_or(UNNAMED_WAIT) }
    }

    fn moved(&self) -> String {
        let target = self.header(LOCATION.as_str()).and_then(|text| self.response.url().join(&text).ok());
        match target {
            Some(url) => format!("the address moved to {}", super::address::shown(&url)),
            None => "the address moved".to_owned(),
        }
    }

    fn broken(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let (kind, message) = if error.is_timeout() {
            (ErrorKind::Timeout, "the answer stopped coming")
        } else {
            (ErrorKind::Unavailable, "the connection broke inside the answer")
        };
        Error::new(kind, format!("{message} after {} bytes", self.taken)).with("url", &self.shown).because(error)
    }
}

/// The error of a request that got no answer.
pub(super) fn transport(error: reqwest::Error, options: &Options) -> Error {
    let error = error.without_url();
    let cause = root_cause(&error);
    let (kind, message) = if error.is_connect() && error.is_timeout() {
        let waited = options.connect_timeout.as_secs();
        (ErrorKind::Unavailable, format!("no connection within {waited} seconds"))
    } else if error.is_connect() {
        (ErrorKind::Unavailable, format!("cannot connect: {cause}"))
    } else if error.is_timeout() {
        (ErrorKind::Timeout, format!("no answer within {} seconds", options.read_timeout.as_secs()))
    } else if error.is_builder() {
        (ErrorKind::InvalidData, format!("the request cannot be made: {cause}"))
    } else {
        (ErrorKind::Unavailable, format!("the connection broke before the answer: {cause}"))
    };
    Error::new(kind, message).because(error)
}

fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
