//! What a file looks like, and whether it stays so while it is read.

use super::object::{Failure, Object};
use object_store::ObjectMeta;
use obmen_sdk::{Error, ErrorKind, Result};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What a file looked like. Two equal ones: nobody wrote to it in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(super) length: u64,
    modified: Option<SystemTime>,
    /// What a store calls this content: its `ETag`.
    pub(super) tag: Option<String>,
}

/// A file opened for reading.
pub(crate) enum Opened {
    File(File),
    Object(Box<Object>),
}

/// An eye on a file that is being read by somebody else.
pub(crate) enum Watch {
    File(File, Version),
    Object(Failure),
}

impl Version {
    /// What an open file looks like now. A file replaced by another of its name stays what it was.
    fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&file.metadata()?))
    }

    /// What the file or folder at a path looks like now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&std::fs::metadata(path)?))
    }

    /// Whether nobody has written for so long. One from the future (another machine's clock) has not rested.
    pub(crate) fn rested(&self, wait: Duration) -> bool {
        #[expect(
            clippy::disallowed_methods,
            reason = "whether somebody still writes is a question to the disk's clock, not the run's"
        )]
        let now = SystemTime::now();
        wait.is_zero() || self.modified.and_then(|at| now.duration_since(at).ok()).is_some_and(|age| age >= wait)
    }
}

impl From<&Metadata> for Version {
    fn from(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), modified: metadata.modified().ok(), tag: None }
    }
}

impl From<&ObjectMeta> for Version {
    fn from(meta: &ObjectMeta) -> Self {
        Self { length: meta.size, modified: Some(meta.last_modified.into()), tag: meta.e_tag.clone() }
    }
}

impl Opened {
    /// What it looks like, and an eye on it.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn watch(&self) -> io::Result<(Version, Watch)> {
        match self {
            Self::File(file) => {
                let version = Version::of(file)?;
                Ok((version.clone(), Watch::File(file.try_clone()?, version)))
            }
            Self::Object(object) => Ok((object.version().clone(), Watch::Object(object.failure()))),
        }
    }
}

impl Watch {
    /// What reading came to. A store's own error takes the place of what the reader of the format made of it: that
    /// knows only broken input.
    pub(crate) fn settle<T>(&self, read: Result<T>) -> Result<T> {
        match self {
            Self::File(..) => read,
            Self::Object(failure) => failure.take().map_or(read, Err),
        }
    }

    /// Whether somebody wrote to it since. `read` is what [`settle`](Self::settle) gave: every answer of a store is
    /// compared with the first, so that a change is an error there.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn changed<T>(&self, read: &Result<T>) -> io::Result<bool> {
        match self {
            Self::File(file, before) => Ok(Version::of(file)? != *before),
            Self::Object(_) => Ok(read.as_ref().is_err_and(|error: &Error| error.kind() == ErrorKind::Conflict)),
        }
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Object(object) => object.read(buffer),
        }
    }
}
