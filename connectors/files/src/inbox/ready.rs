//! Which files are complete.

use crate::folder::{Folder, FoundFile, last, without_extension};
use crate::open::Version;
use crate::settings::InboxSettings;
use crate::stopped;
use obmen_sdk::{Result, Stop, TimeSpan};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a file must not have changed, where nothing else is said.
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
        let complete = |file: &FoundFile| {
            !markers.contains(&file.name)
                && marker(settings, &file.name).is_some_and(|marker| folder.path(&marker).is_file())
        };
        return Ok(files.into_iter().filter(complete).collect());
    }
    let wait = settings.ready_after.map_or(READY_AFTER, TimeSpan::duration);
    let look = |file: FoundFile| Some((look(folder, &file.name)?, file));
    let seen: Vec<(Version, FoundFile)> = files.into_iter().filter_map(look).collect();
    if seen.iter().all(|(version, _)| version.rested(wait)) {
        return Ok(seen.into_iter().map(|(_, file)| file).collect());
    }
    if wait <= PATIENCE {
        sleep(wait, stop)?;
    }
    let still = |(before, file): &(Version, FoundFile)| {
        before.rested(wait) || (wait <= PATIENCE && self::look(folder, &file.name).is_some_and(|now| now == *before))
    };
    Ok(seen.into_iter().filter(still).map(|(_, file)| file).collect())
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

fn look(folder: &Folder, name: &str) -> Option<Version> {
    Version::at(&folder.path(name)).ok()
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
