//! A file opened for reading, and whether it stays what it is.

use obmen_sdk::{Error, ErrorKind, Result};
use obmen_storage::{Failure, Object, Version};
use std::fs::File;
use std::io::{self, Read};

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
