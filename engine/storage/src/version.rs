//! What a file or an object looked like.

use object_store::ObjectMeta;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What a file looked like. Two equal ones: nobody wrote to it in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub(crate) length: u64,
    modified: Option<SystemTime>,
    /// What a store calls this content: its `ETag`.
    pub(crate) tag: Option<String>,
}

impl Version {
    /// What an open file looks like now. A file replaced by another of its name stays what it was.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&file.metadata()?))
    }

    /// What the file or folder at a path looks like now.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&std::fs::metadata(path)?))
    }

    /// Whether nobody has written for so long. One from the future (another machine's clock) has not rested.
    pub fn rested(&self, wait: Duration) -> bool {
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
