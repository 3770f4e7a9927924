//! The connectors a program knows.

use crate::Connector;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The connectors a program knows, by the word after `type:`.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    connectors: BTreeMap<&'static str, Arc<dyn Connector>>,
}

impl Registry {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a connector.
    #[must_use]
    pub fn with(mut self, connector: impl Connector + 'static) -> Self {
        self.connectors.insert(connector.name(), Arc::new(connector));
        self
    }

    /// The connector of a word.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Connector>> {
        self.connectors.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Connector>> {
        self.connectors.values()
    }
}
