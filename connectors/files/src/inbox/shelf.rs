//! Where files go that leave the inbox: `done` and `bad`.

use super::memory::Entry;
use crate::folder::{Folder, last, without_extension};
use chrono::{DateTime, Utc};
use obmen_sdk::{Error, Result};
use std::time::Duration;

/// The two folders.
#[derive(Debug)]
pub(super) struct Shelf {
    done: Folder,
    bad: Folder,
    now: DateTime<Utc>,
}

impl Shelf {
    pub(super) fn new(done: Folder, bad: Folder, now: DateTime<Utc>) -> Self {
        Self { done, bad, now }
    }

    /// A name in `done` that neither a file nor one of `promised` has.
    pub(super) fn free_done(&self, name: &str, promised: &[Entry]) -> Result<String> {
        free(&self.done, name, |candidate| promised.iter().any(|entry| entry.done == candidate))
    }

    /// Whether `done` has a file of this name.
    pub(super) fn is_done(&self, name: &str) -> Result<bool> {
        self.done.has(name)
    }

    /// The folder of what was taken.
    pub(super) fn done_folder(&self) -> &Folder {
        &self.done
    }

    /// Moves a file that was taken.
    pub(super) fn done(&self, inbox: &Folder, name: &str, done: &str) -> Result<()> {
        inbox.rename(name, &self.done, done)
    }

    /// Moves a file with a content that was taken before, with a note beside it.
    pub(super) fn duplicate(&self, inbox: &Folder, name: &str, first: &Entry) -> Result<()> {
        let done = free(&self.done, name, |_| false)?;
        tracing::info!(file = name, first = first.name, "the file has been taken before, it is not read again");
        let note = format!(
            "This file has exactly the content of `{}`, which was taken at {} and is kept here as `{}`.\nIt was not read again.\n",
            first.name,
            first.at().format("%Y-%m-%d %H:%M:%S UTC"),
            first.done,
        );
        self.done.note(&format!("{done}.note.txt"), &note)?;
        inbox.rename(name, &self.done, &done)
    }

    /// Moves a file that cannot be read, with a page beside it that says why.
    pub(super) fn bad(&self, inbox: &Folder, name: &str, error: &Error) -> Result<()> {
        let bad = free(&self.bad, name, |_| false)?;
        tracing::warn!(file = name, %error, "the file cannot be read, it is put away");
        let page = format!(
            "The file `{name}` could not be read, none of its rows was taken.\n\n\
             When:  {}\nWhy:   {error}\n\n\
             What to do: ask its sender for a correct file, or correct the settings of the source (format, encoding,\n\
             columns), and put the file into the inbox again. A corrected file may have the same name.\n\n\
             The whole story:\n{error:?}\n",
            self.now.format("%Y-%m-%d %H:%M:%S UTC"),
        );
        self.bad.note(&format!("{bad}.error.txt"), &page)?;
        inbox.rename(name, &self.bad, &bad)
    }

    /// Removes files that were taken longer ago than `keep`.
    pub(super) fn clear<'a>(&self, entries: impl Iterator<Item = &'a Entry>, keep: Duration) -> Result<()> {
        let Some(limit) = chrono::Duration::from_std(keep).ok().and_then(|keep| self.now.checked_sub_signed(keep))
        else {
            return Ok(());
        };
        for entry in entries.filter(|entry| entry.at() < limit) {
            for name in [entry.done.clone(), format!("{}.note.txt", entry.done)] {
                self.done.remove(&name, "an old file cannot be removed")?;
            }
        }
        Ok(())
    }
}

/// `name.csv`, or `name-1.csv`, `name-2.csv`… where that is taken.
fn free(folder: &Folder, name: &str, taken: impl Fn(&str) -> bool) -> Result<String> {
    let name = last(name);
    let stem = without_extension(name);
    let extension = name.get(stem.len()..).unwrap_or("");
    let candidates =
        std::iter::once(name.to_owned()).chain((1..).map(|number: u64| format!("{stem}-{number}{extension}")));
    for candidate in candidates {
        if !taken(&candidate) && !folder.has(&candidate)? {
            return Ok(candidate);
        }
    }
    Ok(name.to_owned())
}
