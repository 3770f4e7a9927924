//! A prefix of an object store, as a folder of files.

use super::disk::{clear_leftovers, explain as explain_disk};
use super::find::is_pattern;
use obmen_sdk::{Context, ErrorKind, Result};
use obmen_storage::{Place, StoreOptions};
use std::path::PathBuf;

/// A prefix of an object store. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(super) at: obmen_storage::Bucket,
    /// Where files are put together before they are sent.
    drafts: PathBuf,
}

impl Bucket {
    /// The prefix of a store. Connects to nothing yet.
    ///
    /// # Errors
    /// `InvalidData` for a login or server that cannot be.
    pub(super) fn open(place: Place, options: &StoreOptions, context: &Context) -> Result<Self> {
        let at = obmen_storage::Bucket::open(place, options, &context.stop)?;
        Ok(Self { at, drafts: context.scratch.join("drafts") })
    }

    pub(super) fn below(&self, path: &str) -> Self {
        Self { at: self.at.below(path), ..self.clone() }
    }

    pub(super) fn parent(&self) -> Option<(Self, String)> {
        let (at, name) = self.at.parent()?;
        Some((Self { at, ..self.clone() }, name))
    }

    pub(super) fn is_file(&self) -> bool {
        self.at.parent().is_some_and(|(_, name)| name.to_lowercase().ends_with(".xml"))
    }

    pub(super) fn check(&self) -> Result<String> {
        self.at.answers()?;
        if !self.at.lists() {
            return Ok(format!("{} answers", self.at.identity()));
        }
        let count = self.at.list("")?.into_iter().filter(|(_, is_folder)| !is_folder).count();
        let files = if count == 1 { "file" } else { "files" };
        Ok(format!("{count} {files} in {}", self.at.identity()))
    }

    /// Makes room for drafts and proves access. A login that may only write is as good as any.
    pub(super) fn prepare(&self) -> Result<()> {
        std::fs::create_dir_all(&self.drafts).and_then(|()| clear_leftovers(&self.drafts)).map_err(|error| {
            explain_disk(error, "the folder cannot be prepared").with("file", self.drafts.display())
        })?;
        match self.at.answers() {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }

    /// A file of this machine that becomes the object when it is complete.
    pub(super) fn draft(&self, name: &str) -> Result<PathBuf> {
        self.at.key(name)?;
        debug_assert!(!is_pattern(name), "names of sinks are checked before");
        let place = xxhash_rust::xxh3::xxh3_64(self.at.identity().as_bytes());
        Ok(self.drafts.join(format!(".{place:016x}~{}.tmp", name.replace('/', "~"))))
    }
}
