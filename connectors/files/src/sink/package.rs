//! The delivery of one portion as a CommerceML package: a folder with its files.

use super::file_name;
use super::load::refused;
use crate::blocking;
use crate::folder::Folder;
use async_trait::async_trait;
use obmen_formats::commerceml::{Layout, Package, PackageSettings, Writer};
use obmen_sdk::{Changes, Error, Load, LoadId, Outcome, Result, RowId, Stop};
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

/// Publishes the files and settles their rows.
fn publish(folder: &Folder, name: &str, package: Package) -> Vec<(RowId, Outcome)> {
    let mut outcomes = package.rejected;
    let published = folder.publish_package(name, &package.files);
    for (file, outcome) in package.files.iter().zip(published) {
        outcomes.extend(file.rows.iter().map(|id| (*id, outcome.clone())));
    }
    outcomes
}
