//! The delivery of one portion as a CommerceML package: a folder with its files.

use super::load::refused;
use super::{file_name, sync_folder};
use crate::blocking;
use crate::folder::Folder;
use crate::open::explain;
use async_trait::async_trait;
use obmen_formats::commerceml::{Layout, Package, PackageSettings, Writer};
use obmen_sdk::{Changes, Error, Load, LoadId, Outcome, Result, RowId, Stop};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// A package that is put together in memory (a portion bounds it) and written when the load ends.
pub(super) struct PackageLoad {
    folder: Folder,
    writer: Option<Writer>,
    ids: Vec<RowId>,
    name: String,
    stop: Stop,
}

impl PackageLoad {
    pub(super) fn new(
        folder: Folder,
        layout: &Arc<Layout>,
        settings: &PackageSettings,
        load: &LoadId,
        stop: Stop,
    ) -> Self {
        let writer = Some(Writer::new(Arc::clone(layout), settings.clone()));
        Self { folder, writer, ids: Vec::new(), name: file_name(load), stop }
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
        blocking(move || Ok(publish(&self.folder, &self.name, writer.finish()))).await
    }
}

/// Writes the files into a folder under a temporary name and gives it its final one.
fn publish(folder: &Folder, name: &str, package: Package) -> Vec<(RowId, Outcome)> {
    let mut outcomes = package.rejected;
    let ids: Vec<RowId> = package.files.iter().flat_map(|file| file.rows.iter().copied()).collect();
    if package.files.is_empty() {
        return outcomes;
    }
    let temporary = folder.path(&format!(".{name}.tmp"));
    let written = (|| {
        std::fs::create_dir_all(&temporary)?;
        for file in &package.files {
            let mut out = File::create(temporary.join(file.name))?;
            out.write_all(&file.bytes)?;
            out.sync_all()?;
        }
        sync_folder(&temporary)?;
        std::fs::rename(&temporary, folder.path(name))
    })();
    match written {
        Ok(()) => outcomes.extend(settle(&ids, folder.root())),
        Err(error) => {
            drop(std::fs::remove_dir_all(&temporary));
            let error = explain(error, "the package cannot be written").with("file", folder.path(name).display());
            outcomes.extend(refused(&ids, &error.to_string()));
        }
    }
    outcomes
}

/// The package is there; whether it survives a power cut depends on the folder.
fn settle(ids: &[RowId], root: &Path) -> Vec<(RowId, Outcome)> {
    let outcome = match sync_folder(root) {
        Ok(()) => Outcome::acked(),
        Err(error) => Outcome::Unknown { reason: format!("the folder could not be synced: {error}") },
    };
    ids.iter().map(|id| (*id, outcome.clone())).collect()
}
