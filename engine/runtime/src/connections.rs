//! Connections of a profile, opened when first used.

use chrono::{DateTime, Utc};
use obmen_sdk::{Connection, Context, Error, ErrorKind, Registry, Result, Secrets, Stop};
use obmen_spec::project::Profile;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a run gets its connections from: a profile, or the stand-ins of a test.
pub trait Connections: std::fmt::Debug + Send + Sync {
    /// The connection of a name; the same one every time within a run.
    ///
    /// # Errors
    /// `NotFound` for an unknown name or a secret that is not set.
    fn open(&self, name: &str) -> Result<Arc<dyn Connection>>;
}

/// The connections of a profile.
#[derive(Debug)]
pub struct ProfileConnections<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// The connectors.
    pub registry: &'a Registry,
    /// The folder of `obmen.yaml`.
    pub project: PathBuf,
    /// The state's folder: each connection gets one of its own below it.
    pub state: PathBuf,
    /// The run's clock.
    pub now: DateTime<Utc>,
    /// Where secrets come from.
    pub secrets: Arc<dyn Secrets>,
    /// The wish to stop.
    pub stop: Stop,
    /// What is open.
    pub opened: Mutex<BTreeMap<String, Arc<dyn Connection>>>,
}

impl Connections for ProfileConnections<'_> {
    fn open(&self, name: &str) -> Result<Arc<dyn Connection>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = opened.get(name) {
            return Ok(Arc::clone(connection));
        }
        let known = self.profile.connections.get(name);
        let settings =
            known.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("the profile has no connection `{name}`")))?;
        let connector = self.registry.get(&settings.kind).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("connection `{name}`: there is no connector `{}`", settings.kind))
        })?;
        let context = Context {
            project: self.project.clone(),
            scratch: scratch(&self.state, name),
            now: self.now,
            secrets: Arc::clone(&self.secrets),
            stop: self.stop.clone(),
        };
        let connection = connector.open(&settings.settings, &context)?;
        opened.insert(name.to_owned(), Arc::clone(&connection));
        Ok(connection)
    }
}

fn scratch(state: &Path, name: &str) -> PathBuf {
    state.join("connections").join(name)
}
