//! How rows reach the disk: every operation in one place, so that a test can let any of them fail.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Makes an empty file, or empties the one that is there.
pub(super) fn create(path: &Path) -> io::Result<File> {
    about_to("create")?;
    File::create(path)
}

/// Adds bytes to a file.
pub(super) fn write(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    if let Err(error) = about_to("write") {
        // a write that fails may have written a part
        file.write_all(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
        return Err(error);
    }
    file.write_all(bytes)
}

/// Waits until the content of a file is on disk.
pub(super) fn sync(file: &File) -> io::Result<()> {
    about_to("sync")?;
    file.sync_all()
}

/// Gives a file its name, replacing the one that has it.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    about_to("rename")?;
    std::fs::rename(from, to)
}

/// Waits until the names in a folder are on disk.
#[cfg(unix)]
pub(super) fn sync_folder(folder: Option<&Path>) -> io::Result<()> {
    about_to("sync folder")?;
    folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Windows makes a renamed file's entry durable with the file.
#[cfg(not(unix))]
pub(super) fn sync_folder(_folder: Option<&Path>) -> io::Result<()> {
    about_to("sync folder")
}

/// Removes a file.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    about_to("remove")?;
    std::fs::remove_file(path)
}

/// Reads bytes from a place in a file, wherever other readers of the file are.
#[cfg(unix)]
pub(super) fn read_at(file: &File, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

/// Reads bytes from a place in a file, wherever other readers of the file are.
#[cfg(windows)]
pub(super) fn read_at(file: &File, mut at: u64, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += read as u64;
        bytes = bytes.get_mut(read..).unwrap_or_default();
    }
    Ok(())
}

/// Says that an operation follows, of the files or of the database. Fails only in a test that wants it to.
///
/// # Errors
/// What the test asks for.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "a test lets it fail")]
pub(crate) fn about_to(_operation: &'static str) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use faults::about_to;

/// A disk that stops working after some operations, as when the power goes.
#[cfg(test)]
pub(crate) mod faults {
    use std::cell::{Cell, RefCell};
    use std::io;

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
        static DONE: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }

    /// Lets the next `operations` of this thread succeed and all after them fail; `None`: none fails.
    pub(crate) fn fail_after(operations: Option<usize>) {
        LEFT.set(operations);
        DONE.take();
    }

    /// The operations of this thread that succeeded since the last [`fail_after`].
    pub(crate) fn done() -> Vec<&'static str> {
        DONE.with_borrow(Clone::clone)
    }

    pub(crate) fn about_to(operation: &'static str) -> io::Result<()> {
        match LEFT.get() {
            Some(0) => Err(io::Error::other(format!("the power went before: {operation}"))),
            left => {
                LEFT.set(left.map(|left| left - 1));
                DONE.with_borrow_mut(|done| done.push(operation));
                Ok(())
            }
        }
    }
}
