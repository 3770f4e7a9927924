//! What went wrong in the world, in the terms the engine and a person act on.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The result of everything that touches the world.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failure of the world: its kind, one line of text, where it happened, and what caused it.
///
/// `Display` is one line; `Debug` is the whole story. Neither ever contains a secret.
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    source: Option<BoxError>,
}

/// Situations the engine or a person acts on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The entity, file or address is not there.
    NotFound,
    /// Something is in the way that must not be replaced.
    AlreadyExists,
    /// The name or password is wrong, or the session ended.
    Unauthenticated,
    /// The name is known but may not do this.
    PermissionDenied,
    /// The other side's columns or types are not what was declared.
    SchemaMismatch,
    /// A value cannot be read or would lose something.
    InvalidData,
    /// Somebody else changed or holds it.
    Conflict,
    /// Too many requests; come back after the time.
    RateLimited {
        /// How long to wait.
        after: Duration,
    },
    /// Nobody answers, or the other side is broken for now.
    Unavailable,
    /// No answer in time. Whether it was done is unknown.
    Timeout,
    /// The connector cannot do this.
    Unsupported,
    /// A person or the engine stopped it.
    Cancelled,
    /// Memory or disk ran out.
    Exhausted,
    /// A mistake of ours.
    Internal,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It cannot.
    Never,
    /// It can, with growing pauses.
    WithBackoff,
    /// It can, after this time.
    After(Duration),
}

impl Error {
    /// A failure of a kind, in one line without a full stop.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), context: Vec::new(), source: None }
    }

    /// A value cannot be read or would lose something.
    pub fn invalid_data(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidData, message)
    }

    /// A mistake of ours: the text ends with a request to report it.
    pub fn internal(message: impl fmt::Display) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self::new(ErrorKind::Internal, format!("{message} (a mistake in obmen {version}: please report it)"))
    }

    /// Says where: `pipeline, source, sink, entity, column, row, url, file, attempt, state, setting`
    /// and no other keys. `state` marks errors of our own memory, `setting` those of what the person asked for.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        let value = value.to_string();
        // whoever says it first is nearest to what happened; saying it again helps nobody
        if !self.context.iter().any(|(known, said)| *known == key && *said == value) {
            self.context.push((key, value));
        }
        self
    }

    /// Keeps the cause, shown by `Debug`.
    #[must_use]
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The line of text without the context.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What was said with [`with`](Self::with).
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.context
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        match self.kind {
            ErrorKind::RateLimited { after } => Retry::After(after),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Conflict => Retry::WithBackoff,
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut separator = " (";
        // `setting` only says whose fault it is: the message names the setting itself
        let shown: Vec<_> = self.context.iter().filter(|(key, _)| *key != "setting").collect();
        for (key, value) in &shown {
            write!(f, "{separator}{key} {value}")?;
            separator = ", ";
        }
        if !shown.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}: {}", self.kind, self.message)?;
        for (key, value) in &self.context {
            writeln!(f, "  {key}: {value}")?;
        }
        let mut cause: Option<&dyn std::error::Error> = self.source.as_ref().map(|source| &**source as _);
        while let Some(error) = cause {
            writeln!(f, "  because: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::PermissionDenied => ErrorKind::PermissionDenied,
            Io::TimedOut => ErrorKind::Timeout,
            Io::InvalidData | Io::UnexpectedEof => ErrorKind::InvalidData,
            Io::StorageFull | Io::QuotaExceeded | Io::OutOfMemory => ErrorKind::Exhausted,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string()).because(error)
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::new(ErrorKind::InvalidData, error.to_string()).because(error)
    }
}
