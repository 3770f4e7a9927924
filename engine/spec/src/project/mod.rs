//! The project file `obmen.yaml`, typed.

mod read;

use crate::Node;
use crate::decode::Named;
use crate::schema::shapes::{Anything, Changing};
use obmen_diagnostics::{Span, Spanned};
use schemars::JsonSchema;

/// `obmen.yaml`: profiles with their connections, feeds, crosswalks, defaults. Paths in it are relative to it.
#[derive(Clone, Debug, JsonSchema)]
pub struct Project {
    /// The project's name; part of what state belongs to.
    pub project: Spanned<String>,
    /// The profile used without `--profile`.
    pub profile: Option<Spanned<String>>,
    /// Memory the process may use, like `512MB` (default).
    #[schemars(with = "Option<String>")]
    pub memory: Option<Spanned<u64>>,
    /// Change feeds by name. They can be declared; using one is not available yet.
    #[schemars(default, with = "Named<Anything>")]
    pub feeds: Named<Node>,
    /// Tables of which id here is which id there. They can be declared; using one is not available yet.
    #[schemars(default, with = "Named<Anything>")]
    pub crosswalks: Named<Node>,
    /// Sets of connections by name.
    pub profiles: Named<Profile>,
}

/// A set of connections. State is kept per profile.
#[derive(Clone, Debug, JsonSchema)]
pub struct Profile {
    /// A real target: an empty baseline is a hold, not a first load.
    #[schemars(default)]
    pub production: bool,
    /// An object store that keeps the files of baselines, mirrors and plans; the state's folder holds copies of them then,
    /// which may be removed at any time. `state.db` stays in the folder. Without it the files are kept in the folder.
    #[schemars(with = "Option<Anything>")]
    pub segments: Option<Node>,
    /// Connections by name.
    #[schemars(skip)]
    pub connections: Named<Connection>,
    /// The whole entry.
    #[schemars(skip)]
    pub span: Span,
}

/// A named outside system.
#[derive(Clone, Debug, JsonSchema)]
pub struct Connection {
    /// The connector: `files`, `odata`, `commerceml`, …
    #[schemars(rename = "type")]
    pub kind: Spanned<String>,
    /// Overrides what the sources of this connection ask.
    #[schemars(with = "Option<Changing>")]
    pub changes: Option<crate::pipeline::Changes>,
    /// What must be found there for the connection to be the base it should be. Understood; not available yet.
    #[schemars(skip)]
    pub expect: Option<Node>,
    /// All other settings, decoded by the connector. Secrets are still `${env:…}` here.
    #[schemars(skip)]
    pub settings: Node,
    /// The whole entry.
    #[schemars(skip)]
    pub span: Span,
}
