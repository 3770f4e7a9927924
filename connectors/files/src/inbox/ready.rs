//! Which files are complete.

use crate::folder::{Folder, FoundFile, last, without_extension};
use crate::settings::InboxSettings;
use crate::stopped;
use obmen_sdk::{Result, Stop, TimeSpan};
use obmen_storage::Version;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a file on a disk must not have changed, where nothing else is said. In a store it is complete when it is seen.
const READY_AFTER: Duration = Duration::from_secs(5);

/// A run waits for files that are too young at most so long; with a longer `ready_after` they wait for the next run.
const PATIENCE: Duration = Duration::from_secs(30);

/// The files that are complete, in their order: those with a marker, or those that did not change for a while.
///
/// # Errors
/// `Cancelled` when the run is to stop.
pub(super) fn select(
    folder: &Folder,
    files: Vec<FoundFile>,
    settings: &InboxSettings,
    stop: &Stop,
) -> Result<Vec<FoundFile>> {
    if settings.marker.is_some() {
        let markers: BTreeSet<String> = files.iter().filter_map(|file| marker(settings, &file.name)).collect();
        let mut complete = Vec::new();
        for file in files.into_iter().filter(|file| !markers.contains(&file.name)) {
            let Some(marker) = marker(settings, &file.name) else { continue };
            if folder.version(&marker)?.is_some() {
                complete.push(file);
            }
        }
        return Ok(complete);
    }
    let usual = if folder.shows_only_complete_files() { Duration::ZERO } else { READY_AFTER };
    let wait = settings.ready_after.map_or(usual, TimeSpan::duration);
    if wait.is_zero() {
        return Ok(files);
    }
    let seen = look(folder, files)?;
    if seen.iter().all(|(version, _)| version.rested(wait)) {
        return Ok(seen.into_iter().map(|(_, file)| file).collect());
    }
    if wait <= PATIENCE {
        sleep(wait, stop)?;
    }
    let mut still = Vec::new();
    for (before, file) in seen {
        if before.rested(wait) || (wait <= PATIENCE && folder.version(&file.name)?.is_some_and(|now| now == before)) {
            still.push(file);
        }
    }
    Ok(still)
}

/// The name of the file that says that another one is complete.
pub(super) fn marker(settings: &InboxSettings, name: &str) -> Option<String> {
    let marker = settings.marker.as_deref()?;
    let alone = last(name);
    let marker = marker.replace("{name}", alone).replace("{stem}", without_extension(alone));
    Some(match name.rsplit_once('/') {
        Some((prefix, _)) => format!("{prefix}/{marker}"),
        None => marker,
    })
}

/// What the files look like now; those that are gone are left out.
fn look(folder: &Folder, files: Vec<FoundFile>) -> Result<Vec<(Version, FoundFile)>> {
    let looked = files.into_iter().map(|file| Ok(folder.version(&file.name)?.map(|version| (version, file))));
    looked.filter_map(Result::transpose).collect()
}

fn sleep(time: Duration, stop: &Stop) -> Result<()> {
    let slice = Duration::from_millis(100);
    let mut left = time;
    while !left.is_zero() {
        if stop.is_set() {
            return Err(stopped());
        }
        let now = left.min(slice);
        std::thread::sleep(now);
        left = left.saturating_sub(now);
    }
    Ok(())
}
