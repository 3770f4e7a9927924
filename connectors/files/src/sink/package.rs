//! The delivery of one portion as a CommerceML package: a folder with its files.

use super::file_name;
use super::load::refused;
use crate::blocking;
use crate::folder::{Folder, explain};
use async_trait::async_trait;
use obmen_formats::commerceml::{Layout, Package, PackageSettings, Writer};
use obmen_sdk::{Changes, Error, Load, LoadId, Outcome, Result, RowId, Stop};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A package that is put together in a draft, however large it gets, and published when the load ends.
pub(super) struct PackageLoad {
    folder: Folder,
    /// A folder of this machine where the files come to be. Removed with this, unless it was published.
    draft: PathBuf,
    writer: Option<Writer<File>>,
    ids: Vec<RowId>,
    name: String,
    stop: Stop,
}

impl PackageLoad {
    /// An empty package.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn begin(
        folder: Folder,
        layout: &Arc<Layout>,
        settings: &PackageSettings,
        load: &LoadId,
        stop: Stop,
    ) -> Result<Self> {
        let name = file_name(load);
        let draft = folder.draft(&name)?;
        let stores = std::fs::create_dir_all(&draft)
            .and_then(|()| Ok([tempfile::tempfile_in(&draft)?, tempfile::tempfile_in(&draft)?]))
            .map_err(|error| unwritten(error, &draft))?;
        let writer = Some(Writer::through(Arc::clone(layout), settings.clone(), stores));
        Ok(Self { folder, draft, writer, ids: Vec::new(), name, stop })
    }
}

#[async_trait]
impl Load for PackageLoad {
    async fn send(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        if self.stop.is_set() {
            return Ok(refused(&changes.ids, "the run was stopped before the row was written"));
        }
        let mut writer = self.writer.take().ok_or_else(|| Error::internal("a load goes on after it broke off"))?;
        let changes = changes.clone();
        self.ids.extend(&changes.ids);
        self.writer = Some(blocking(move || writer.add(&changes).map(|()| writer)).await?);
        Ok(Vec::new())
    }

    async fn finish(mut self: Box<Self>) -> Result<Vec<(RowId, Outcome)>> {
        let writer = self.writer.take().ok_or_else(|| Error::internal("a load ends after it broke off"))?;
        if self.stop.is_set() {
            return Ok(refused(&self.ids, "the run was stopped before the package was complete"));
        }
        blocking(move || {
            Ok(match write(writer, &self.draft) {
                Ok(package) => self.publish(package),
                Err(error) => refused(&self.ids, &error.to_string()),
            })
        })
        .await
    }
}

impl PackageLoad {
    /// Publishes the files, if there are any, and settles their rows.
    fn publish(&self, package: Package<()>) -> Vec<(RowId, Outcome)> {
        let mut outcomes = package.rejected;
        if package.files.is_empty() {
            return outcomes;
        }
        let names: Vec<&str> = package.files.iter().map(|file| file.name).collect();
        let published = self.folder.publish_package(&self.draft, &self.name, &names);
        for (file, outcome) in package.files.iter().zip(published) {
            outcomes.extend(file.rows.iter().map(|id| (*id, outcome.clone())));
        }
        outcomes
    }
}

impl Drop for PackageLoad {
    fn drop(&mut self) {
        // on Windows a folder goes only when nothing in it is open
        self.writer = None;
        if let Err(error) = std::fs::remove_dir_all(&self.draft)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the draft {} stays until a later load", self.draft.display());
        }
    }
}

/// Writes the files into the draft, durably.
fn write(writer: Writer<File>, draft: &Path) -> Result<Package<()>> {
    let package = writer.write_to(|name| File::create(draft.join(name)))?;
    for file in &package.files {
        file.bytes.sync_all().map_err(|error| unwritten(error, &draft.join(file.name)))?;
    }
    Ok(package.without_content())
}

fn unwritten(error: io::Error, path: &Path) -> Error {
    explain(error, "the package cannot be written").with("file", path.display())
}
