//! Where files are: a folder of this machine or a prefix of an object store, under one set of verbs.
//!
//! Sources, sinks and inboxes know [`Folder`] and not which of the two it is. All verbs may wait for the disk or the
//! network: they are called on threads that may.

mod bucket;
mod disk;
mod find;
mod put;
mod version;

pub(crate) use disk::{explain, sync_folder};
pub(crate) use find::{FoundFile, check_entity, is_pattern, last, pattern, without_extension};
pub(crate) use version::Opened;

use bucket::Bucket;
use disk::Disk;
use obmen_sdk::{Context, Error, ErrorKind, Outcome, Result};
use obmen_storage::{Object, Place, StoreOptions, Version};
use std::path::{Path, PathBuf};

/// A folder of this machine, or a prefix of an object store.
#[derive(Clone, Debug)]
pub(crate) enum Folder {
    Disk(Disk),
    Bucket(Bucket),
}

impl Folder {
    /// The folder of a connection: `path` as it was written, with secrets in it resolved.
    ///
    /// # Errors
    /// `InvalidData` for an address or login that cannot be.
    pub(crate) fn open(path: &str, options: &StoreOptions, context: &Context) -> Result<Self> {
        match Place::parse(path).map_err(Error::invalid_data)? {
            Some(place) => Ok(Self::Bucket(Bucket::open(place, options, context)?)),
            None => Ok(Self::new(&context.project, path)),
        }
    }

    /// The folder of this machine at a path relative to the project.
    pub(crate) fn new(project: &Path, path: &str) -> Self {
        Self::Disk(Disk::new(project, path))
    }

    /// A folder below this one.
    pub(crate) fn below(&self, path: &str) -> Self {
        match self {
            Self::Disk(disk) => Self::Disk(disk.below(path)),
            Self::Bucket(bucket) => Self::Bucket(bucket.below(path)),
        }
    }

    /// The folder a source names for one run. On this machine: relative to the project, or to where the person is if
    /// there is no such folder beside the project file. In a store: below the connection's.
    ///
    /// # Errors
    /// `InvalidData` for an address: a store is a connection of its own, with its own login.
    pub(crate) fn named(&self, project: &Path, path: &str) -> Result<Self> {
        if path.contains("://") {
            let message = format!("the source's `path` is an address, `{path}`; a store is a connection of its own");
            return Err(Error::invalid_data(message));
        }
        Ok(match self {
            Self::Disk(_) => Self::Disk(Disk::named(project, path)),
            Self::Bucket(bucket) => Self::Bucket(bucket.below(path)),
        })
    }

    /// The folder around this one, and this one's name in it; `None` where there is none.
    pub(crate) fn parent(&self) -> Option<(Self, String)> {
        match self {
            Self::Disk(disk) => disk.parent().map(|(parent, name)| (Self::Disk(parent), name)),
            Self::Bucket(bucket) => bucket.parent().map(|(parent, name)| (Self::Bucket(parent), name)),
        }
    }

    /// Whether this is no folder but a file. In a store, which has no folders, the name alone says so.
    pub(crate) fn is_file(&self) -> bool {
        match self {
            Self::Disk(disk) => disk.root().is_file(),
            Self::Bucket(bucket) => bucket.is_file(),
        }
    }

    /// What state belongs to: the absolute path, or the address without a login.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::Disk(disk) => disk.root().display().to_string(),
            Self::Bucket(bucket) => bucket.at.identity(),
        }
    }

    /// How a file is called in messages.
    pub(crate) fn shown(&self, name: &str) -> String {
        match self {
            Self::Disk(disk) => disk.path(name).display().to_string(),
            Self::Bucket(bucket) => bucket.at.shown(name),
        }
    }

    /// Whether it says which files it has; a plain web server does not.
    pub(crate) fn lists(&self) -> bool {
        match self {
            Self::Disk(_) => true,
            Self::Bucket(bucket) => bucket.at.lists(),
        }
    }

    /// Whether a file that can be seen is complete: in a store always, on a disk somebody may still be writing it.
    pub(crate) fn shows_only_complete_files(&self) -> bool {
        matches!(self, Self::Bucket(_))
    }

    /// Whether moving a file is one step, and not a copy and a removal between which a crash may fall.
    pub(crate) fn moves_in_one_step(&self) -> bool {
        matches!(self, Self::Disk(_))
    }

    /// Refuses what can only be read.
    ///
    /// # Errors
    /// `Unsupported` for a web server.
    pub(crate) fn writable(&self) -> Result<()> {
        match self {
            Self::Bucket(bucket) if !bucket.at.lists() => {
                let message = "files of a web server can only be read; write to a folder or an object store";
                Err(Error::new(ErrorKind::Unsupported, message).with("file", bucket.at.identity()))
            }
            _ => Ok(()),
        }
    }

    /// Says what is there, for `obmen check`.
    ///
    /// # Errors
    /// What stands in the way.
    pub(crate) fn check(&self) -> Result<String> {
        match self {
            Self::Bucket(bucket) => bucket.check(),
            Self::Disk(disk) if !disk.root().exists() => {
                Ok(format!("{} does not exist yet: a sink makes it, a source would find nothing", self.identity()))
            }
            Self::Disk(_) => {
                let count = self.all_files()?.len();
                let files = if count == 1 { "file" } else { "files" };
                Ok(format!("{count} {files} in {}", self.identity()))
            }
        }
    }

    /// Whether the folder itself is there, though a file in it may not be.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn stands(&self) -> Result<bool> {
        match self {
            Self::Disk(disk) => Ok(disk.root().is_dir()),
            Self::Bucket(bucket) => bucket.at.answers().map(|()| true),
        }
    }

    /// Files and folders directly in a folder below this one, by name: name relative to this folder, and whether it
    /// is a folder. Hidden ones and those whose name is no text are passed over.
    ///
    /// # Errors
    /// `NotFound`, those of the disk or store.
    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<(String, bool)>> {
        match self {
            Self::Disk(disk) => disk.list(prefix),
            Self::Bucket(bucket) => bucket.at.list(prefix),
        }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Conflict` when another program holds it (Windows), those of the store.
    pub(crate) fn read(&self, name: &str) -> Result<Opened> {
        match self {
            Self::Disk(disk) => disk.open(name).map(Opened::File),
            Self::Bucket(bucket) => Object::open(&bucket.at, name).map(|object| Opened::Object(Box::new(object))),
        }
    }

    /// What a file looks like now; `None` if it is not there.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn version(&self, name: &str) -> Result<Option<Version>> {
        match self {
            Self::Disk(disk) => Ok(Version::at(&disk.path(name)).ok()),
            Self::Bucket(bucket) => bucket.at.version(name),
        }
    }

    /// Whether there is something of this name.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn has(&self, name: &str) -> Result<bool> {
        match self {
            Self::Disk(disk) => Ok(std::fs::symlink_metadata(disk.path(name)).is_ok()),
            Self::Bucket(bucket) => Ok(bucket.at.version(name)?.is_some()),
        }
    }

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// Those of the disk or store; `what` says what could not be done.
    pub(crate) fn remove(&self, name: &str, what: &'static str) -> Result<()> {
        match self {
            Self::Disk(disk) => disk.remove(name, what),
            Self::Bucket(bucket) => bucket.at.remove(name),
        }
    }

    /// Moves a file to another folder of the same disk or store. In a store it is copied, and removed when the copy
    /// stands: a crash in between leaves both.
    ///
    /// # Errors
    /// Those of the disk or store.
    pub(crate) fn rename(&self, name: &str, to: &Self, new_name: &str) -> Result<()> {
        match (self, to) {
            (Self::Disk(from), Self::Disk(to)) => from.rename(name, to, new_name),
            (Self::Bucket(from), Self::Bucket(to)) => from.at.rename(name, &to.at, new_name),
            _ => Err(Error::internal("a file is moved between a disk and a store")),
        }
    }

    /// Writes a short text, for people.
    ///
    /// # Errors
    /// Those of the disk or store.
    pub(crate) fn note(&self, name: &str, text: &str) -> Result<()> {
        match self {
            Self::Disk(disk) => disk.note(name, text),
            Self::Bucket(bucket) => bucket.at.note(name, text),
        }
    }

    /// Makes ready for writing, and clears what interrupted loads left.
    ///
    /// # Errors
    /// Those of the disk or store.
    pub(crate) fn prepare(&self) -> Result<()> {
        match self {
            Self::Disk(disk) => disk.prepare(),
            Self::Bucket(bucket) => bucket.prepare(),
        }
    }

    /// Where on this machine a file is written before it is published.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn draft(&self, name: &str) -> Result<PathBuf> {
        match self {
            Self::Disk(disk) => disk.draft(name),
            Self::Bucket(bucket) => bucket.draft(name),
        }
    }

    /// Gives a complete draft its final name; nothing of it is visible before. Says what became of its rows.
    pub(crate) fn publish(&self, draft: &Path, name: &str) -> Outcome {
        match self {
            Self::Disk(disk) => disk.publish(draft, name),
            Self::Bucket(bucket) => bucket.publish(draft, name),
        }
    }

    /// Gives the complete files of a draft, which is a folder, their final place in a folder of this name, in their
    /// order. An outcome for each.
    pub(crate) fn publish_package(&self, draft: &Path, name: &str, files: &[&str]) -> Vec<Outcome> {
        match self {
            Self::Disk(disk) => vec![disk.publish_package(draft, name); files.len()],
            Self::Bucket(bucket) => bucket.publish_package(draft, name, files),
        }
    }
}
