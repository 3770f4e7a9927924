//! The delivery of one portion as files, one per target.

use super::table::Table;
use super::{Target, file_name};
use crate::blocking;
use crate::folder::{Folder, without_extension};
use async_trait::async_trait;
use obmen_sdk::{Changes, Error, ErrorKind, Load, LoadId, Outcome, RejectClass, Result, RowId, Stop};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Files under temporary names until the load ends: before that nothing is visible, so that whatever
/// goes wrong, the rows are untouched at the other side.
pub(super) struct FileLoad {
    state: Option<State>,
    stop: Stop,
}

struct State {
    folder: Folder,
    targets: Arc<Vec<Target>>,
    name: String,
    tables: BTreeMap<usize, Table>,
    /// Why nothing can be written any more.
    broken: Option<String>,
}

impl FileLoad {
    pub(super) fn new(folder: Folder, targets: Arc<Vec<Target>>, load: &LoadId, stop: Stop) -> Self {
        let state = State { folder, targets, name: file_name(load), tables: BTreeMap::new(), broken: None };
        Self { state: Some(state), stop }
    }
}

#[async_trait]
impl Load for FileLoad {
    async fn send(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        if self.stop.is_set() {
            return Ok(refused(&changes.ids, "the run was stopped before the row was written"));
        }
        let mut state = self.state.take().ok_or_else(|| Error::internal("a load goes on after it broke off"))?;
        let changes = changes.clone();
        let (state, outcomes) = blocking(move || {
            let outcomes = state.write(&changes);
            Ok((state, outcomes))
        })
        .await?;
        self.state = Some(state);
        outcomes
    }

    async fn finish(mut self: Box<Self>) -> Result<Vec<(RowId, Outcome)>> {
        let mut state = self.state.take().ok_or_else(|| Error::internal("a load ends after it broke off"))?;
        if self.stop.is_set() {
            return Ok(state.give_up("the run was stopped before the file was complete"));
        }
        blocking(move || Ok(state.publish())).await
    }
}

impl State {
    fn write(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        let target =
            self.targets.get(changes.target).ok_or_else(|| Error::internal("changes are of no target of the sink"))?;
        if let Some(reason) = &self.broken {
            return Ok(refused(&changes.ids, reason));
        }
        if changes.rows.num_rows() != changes.ids.len() || changes.ops.len() != changes.ids.len() {
            return Err(Error::internal("changes have more ids than rows"));
        }
        let written = match self.tables.entry(changes.target) {
            std::collections::btree_map::Entry::Occupied(table) => table.into_mut().write(changes),
            std::collections::btree_map::Entry::Vacant(free) => {
                let entity = without_known_extension(&target.of.entity);
                let name = format!("{entity}-{}.{}", self.name, target.kind.name());
                Table::begin(target, &self.folder, &name).and_then(|table| free.insert(table).write(changes))
            }
        };
        match written {
            Ok(rejected) => Ok(rejected),
            Err(error) if error.kind() == ErrorKind::Internal => Err(error),
            Err(error) => {
                let reason = error.to_string();
                let mut outcomes = self.give_up(&reason);
                let known: std::collections::BTreeSet<RowId> = outcomes.iter().map(|(id, _)| *id).collect();
                outcomes.extend(refused(&changes.ids, &reason).into_iter().filter(|(id, _)| !known.contains(id)));
                Ok(outcomes)
            }
        }
    }

    /// Removes everything and settles it as refused for now.
    fn give_up(&mut self, reason: &str) -> Vec<(RowId, Outcome)> {
        self.broken = Some(reason.to_owned());
        let tables = std::mem::take(&mut self.tables);
        tables.into_values().flat_map(|table| refused(&table.ids, reason)).collect()
    }

    /// Gives every file its final name, in the order of the targets, and settles its rows.
    fn publish(&mut self) -> Vec<(RowId, Outcome)> {
        let mut outcomes = Vec::new();
        for mut table in std::mem::take(&mut self.tables).into_values() {
            let published = table.publish(&self.folder);
            let outcome =
                published.unwrap_or_else(|error| Outcome::rejected(RejectClass::Temporary, error.to_string()));
            outcomes.extend(table.ids.iter().map(|id| (*id, outcome.clone())));
        }
        outcomes
    }
}

/// Rows that did not leave, to be tried again.
pub(super) fn refused(ids: &[RowId], reason: &str) -> Vec<(RowId, Outcome)> {
    ids.iter().map(|id| (*id, Outcome::rejected(RejectClass::Temporary, reason))).collect()
}

fn without_known_extension(entity: &str) -> &str {
    if obmen_formats::Kind::of_name(entity).is_some() { without_extension(entity) } else { entity }
}
