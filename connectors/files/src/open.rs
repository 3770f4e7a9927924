//! Opening files, and saying in words why one cannot be opened.

use crate::folder::Folder;
use object_store::local::LocalFileSystem;
use object_store::{GetResultPayload, ObjectStoreExt as _, path::Path as StorePath};
use obmen_sdk::{Error, ErrorKind, Result};
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What a file looked like. Two equal ones: nobody wrote to it in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    length: u64,
    modified: Option<SystemTime>,
}

impl Version {
    /// What an open file looks like now. A file replaced by another of its name stays what it was.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&file.metadata()?))
    }

    /// What the file or folder at a path looks like now.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&std::fs::metadata(path)?))
    }

    /// Whether nobody has written for so long. One from the future (another machine's clock) has not rested.
    pub(crate) fn rested(self, wait: Duration) -> bool {
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
        Self { length: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// Opens a file of a folder for reading. Called on a thread that may wait.
///
/// # Errors
/// `NotFound`, `PermissionDenied`, `Conflict` when another program holds it (Windows).
pub(crate) fn open(folder: &Folder, name: &str) -> Result<File> {
    let runtime = tokio::runtime::Handle::try_current().map_err(Error::internal)?;
    let opened = runtime.block_on(async {
        let store = LocalFileSystem::new_with_prefix(folder.root())?;
        // `parse` takes the name as it is; `from` would write percent signs into names with brackets.
        let result = store.get(&StorePath::parse(name)?).await?;
        Ok(result.payload)
    });
    match opened {
        Ok(GetResultPayload::File(file, _)) => Ok(file),
        Ok(GetResultPayload::Stream(_)) => Err(Error::internal("a local file came as a stream").with("file", name)),
        Err(error) => Err(explain_store(error).with("file", name)),
    }
}

/// Says in words what the disk says.
pub(crate) fn explain(error: io::Error, what: &str) -> Error {
    // Windows: 32 sharing violation, 33 a part is locked.
    if cfg!(windows) && matches!(error.raw_os_error(), Some(32 | 33)) {
        let message = format!("{what}: another program holds it; it is taken when that lets go");
        return Error::new(ErrorKind::Conflict, message).because(error);
    }
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => "the account obmen runs under may not; give it the right".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full; make room and run again".to_owned(),
        io::ErrorKind::QuotaExceeded => "the disk quota is used up; make room and run again".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the disk can only be read".to_owned(),
        io::ErrorKind::CrossesDevices => "it would move to another disk; keep both folders on one".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    };
    let kind = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        io::ErrorKind::CrossesDevices | io::ErrorKind::IsADirectory => ErrorKind::Unsupported,
        _ => Error::from(io::Error::from(error.kind())).kind(),
    };
    Error::new(kind, format!("{what}: {why}")).because(error)
}

fn explain_store(error: object_store::Error) -> Error {
    if let object_store::Error::NotFound { .. } = &error {
        return Error::new(ErrorKind::NotFound, "the file is not there").because(error);
    }
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            let again = io.raw_os_error().map_or_else(|| io::Error::from(io.kind()), io::Error::from_raw_os_error);
            return explain(again, "the file cannot be opened");
        }
        cause = current.source();
    }
    let message = "the file cannot be opened by this name; rename it without control characters and without `#` and digits at its end";
    Error::new(ErrorKind::Unsupported, message).because(error)
}
