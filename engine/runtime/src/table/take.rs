//! Files that come from elsewhere: taken whole and checked, or not at all.

use super::file::damaged;
use super::write::unwritten;
use super::{disk, sealed};
use crate::state::{Durability, FileMark};
use obmen_sdk::Result;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// No fetch takes so long between two pieces.
const FORGOTTEN: Duration = Duration::from_hours(24);

/// Lets `fill` write the file `name` of a state's folder. It gets its name only when it is whole, the one that was
/// marked, and on disk; until then it stands in `work/`, where nobody sweeps it away.
///
/// # Errors
/// Those of `fill` and of the disk; those of a damaged state if it is another file.
pub(crate) fn take(
    folder: &Path,
    name: &str,
    (mark, durability): (Option<FileMark>, Durability),
    fill: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    let whole = folder.join(name);
    let work = folder.join("work");
    let part = work.join(format!("fetch-{}.part", ulid::Ulid::generate()));
    let taken = fill_part(&work, &part, mark, durability, fill).and_then(|()| {
        if let Some(parent) = whole.parent() {
            std::fs::create_dir_all(parent).map_err(|error| unwritten(error, parent))?;
        }
        disk::rename(&part, &whole).map_err(|error| unwritten(error, &whole))
    });
    if let Err(error) = taken {
        // what failed is the error to tell
        drop(std::fs::remove_file(&part));
        return Err(error);
    }
    if durability == Durability::Synced {
        disk::sync_folder(whole.parent()).map_err(|error| unwritten(error, &whole))?;
    }
    Ok(())
}

/// Removes parts of files that a process began to fetch and died: those nobody has written to for a day.
pub(crate) fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder.join("work")).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with("fetch-");
        let rested = entry.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|at| at.elapsed().ok());
        if ours && rested.is_some_and(|rested| rested > FORGOTTEN) {
            // somebody else may have removed it
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

fn fill_part(
    work: &Path,
    part: &Path,
    mark: Option<FileMark>,
    durability: Durability,
    fill: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    std::fs::create_dir_all(work).map_err(|error| unwritten(error, work))?;
    let mut file = disk::create(part).map_err(|error| unwritten(error, part))?;
    fill(&mut file)?;
    if durability == Durability::Synced {
        disk::sync(&file).map_err(|error| unwritten(error, part))?;
    }
    drop(file);
    let (bytes, seal) = sealed::read_whole(part).map_err(|error| damaged(&error.to_string(), part))?;
    let found = seal.map(|seal| FileMark { bytes, seal });
    if mark.is_some() && mark != found {
        return Err(damaged("it is not the file that was written here", part));
    }
    Ok(())
}
