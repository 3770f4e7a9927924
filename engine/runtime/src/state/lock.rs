//! Who is writing: one process per profile's state at a time.

use obmen_sdk::{Error, ErrorKind, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;

/// The right to write a profile's state; given back when dropped, also by a crash.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock, leaving a note about `who` for others.
    ///
    /// # Errors
    /// `Conflict` with the holder's note if somebody else has it; `PermissionDenied` if the folder cannot be written.
    pub fn take(folder: &Path, who: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| unusable(error, folder))?;
        let note = folder.join("lock.txt");
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("lock"))
            .map_err(|error| unusable(error, folder))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(folder, &note)),
            Err(TryLockError::Error(error)) => return Err(unusable(error, folder)),
        }
        // the note stands in a file of its own: on Windows a locked file cannot be read by others
        let mut text = File::create(&note).map_err(|error| unusable(error, folder))?;
        text.write_all(format!("process {}: {who}", std::process::id()).as_bytes())
            .map_err(|error| unusable(error, folder))?;
        Ok(Self { _file: file })
    }
}

fn unusable(error: std::io::Error, folder: &Path) -> Error {
    let error = Error::from(error);
    let message = format!("the state folder cannot be used: {}; name another one with --state", error.message());
    Error::new(error.kind(), message).with("state", folder.display()).because(error)
}

fn held(folder: &Path, note: &Path) -> Error {
    let who = std::fs::read_to_string(note).unwrap_or_default();
    let who = if who.is_empty() { "another process".to_owned() } else { who };
    Error::new(ErrorKind::Conflict, format!("the state is in use by {who}: wait for it to finish, or stop it"))
        .with("state", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_who_holds_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let _first = StateLock::take(folder.path(), "obmen run site_offers").unwrap();
        let error = StateLock::take(folder.path(), "obmen run other").unwrap_err();
        assert!(error.to_string().contains("obmen run site_offers"), "{error}");
        assert!(super::super::is_state_error(&error));
    }

    #[test]
    fn the_lock_is_free_again_after_its_holder_ended() {
        let folder = tempfile::tempdir().unwrap();
        drop(StateLock::take(folder.path(), "one").unwrap());
        StateLock::take(folder.path(), "two").unwrap();
    }
}
