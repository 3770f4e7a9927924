//! Kinds of outside systems, and one such system with its settings.

use crate::{Result, Secret, Sink, Source};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use obmen_diagnostics::Problems;
use obmen_spec::Node;
use std::path::PathBuf;
use std::sync::Arc;

/// A kind of outside system: the word after `type:`.
pub trait Connector: std::fmt::Debug + Send + Sync {
    /// The word after `type:`.
    fn name(&self) -> &'static str;

    /// One paragraph for `obmen docs`.
    fn about(&self) -> &'static str;

    /// JSON Schemas of the settings of a connection, a source and a sink; descriptions are the manual.
    /// `None` where there is none (a sink-only system has no source settings).
    fn schemas(&self) -> Schemas;

    /// Reports settings that are wrong. Pure: no network, no files, no clock, no environment; secrets
    /// are still `${env:NAME}`.
    fn check(&self, settings: &Node, problems: &mut Problems);

    /// Reports source options (and the entity) that are wrong. Pure.
    fn check_source(&self, settings: &Node, entity: &str, options: &Node, problems: &mut Problems);

    /// Reports sink options (and the entity) that are wrong. Pure.
    fn check_sink(&self, settings: &Node, target: &SinkCheck<'_>, problems: &mut Problems);

    /// Whether opening a source only looks at files of this machine, so that `validate` may ask it for
    /// columns that are not declared. Default: no.
    fn is_local(&self, _settings: &Node) -> bool {
        false
    }

    /// Makes a connection of settings that passed `check`. Cheap; touches nothing outside yet.
    ///
    /// # Errors
    /// `NotFound` for a secret that is not set.
    fn open(&self, settings: &Node, context: &Context) -> Result<Arc<dyn Connection>>;
}

/// JSON Schemas of a connector's settings.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    /// Of a connection in `obmen.yaml`.
    pub connection: Option<schemars::Schema>,
    /// Of what a source may say beside the common keys.
    pub source: Option<schemars::Schema>,
    /// Of what a sink may say beside the common keys.
    pub sink: Option<schemars::Schema>,
}

/// What is known of a sink without touching the world.
#[derive(Clone, Copy, Debug)]
pub struct SinkCheck<'a> {
    /// The entity.
    pub entity: &'a str,
    /// Where the sink is written.
    pub span: obmen_diagnostics::Span,
    /// Names of children.
    pub children: &'a [&'a str],
    /// Columns of the relation, where they are known.
    pub columns: Option<&'a [String]>,
    /// Options of the sink.
    pub options: &'a Node,
}

/// One outside system with its settings. Lives as long as a run.
#[async_trait]
pub trait Connection: std::fmt::Debug + Send + Sync {
    /// What state belongs to: the address of the system without user, password and query. Two
    /// connections with the same identity are the same target.
    fn identity(&self) -> String;

    /// Proves that the system answers and lets us in. For `obmen check`.
    ///
    /// # Errors
    /// What stands in the way.
    async fn check(&self) -> Result<String>;

    /// Entities that can be read, for `obmen preview CONNECTION:` and suggestions.
    ///
    /// # Errors
    /// Those of the connection; `Unsupported` where there is no list.
    async fn entities(&self) -> Result<Vec<String>>;

    /// Opens a source.
    ///
    /// # Errors
    /// `NotFound`, `SchemaMismatch`, `Unsupported` (a sink-only system), those of the connection.
    async fn source(&self, target: SourceTarget) -> Result<Arc<dyn Source>>;

    /// Opens the sink for all targets a run delivers to on this connection.
    ///
    /// # Errors
    /// `Unsupported` (a source-only system, an unknown entity), those of the connection.
    async fn sink(&self, targets: Vec<SinkTarget>) -> Result<Arc<dyn Sink>>;
}

/// What to read.
#[derive(Clone, Debug)]
pub struct SourceTarget {
    /// The source's name, for messages.
    pub name: String,
    /// The entity.
    pub entity: String,
    /// Declared columns; `None`: whatever the other side has.
    pub columns: Option<SchemaRef>,
    /// Columns of the key.
    pub key: Vec<String>,
    /// Files arrive in a folder and are taken one by one (`changes: inbox`): its settings.
    pub inbox: Option<Node>,
    /// Options of the source, as checked.
    pub options: Node,
}

/// What to deliver.
#[derive(Clone, Debug)]
pub struct SinkTarget {
    /// The sink's name, for messages.
    pub name: String,
    /// The entity.
    pub entity: String,
    /// Columns: the key, all mapped columns, one `List<Struct>` per child.
    pub schema: SchemaRef,
    /// Columns of the key.
    pub key: Vec<String>,
    /// Keys that are gone are deleted, not marked.
    pub delete: bool,
    /// Options of the sink, as checked.
    pub options: Node,
}

/// What the other side has of a key.
#[derive(Clone, Debug)]
pub enum Found {
    /// Nothing.
    Absent,
    /// This row, with the target's columns.
    Present(RecordBatch),
}

/// What the engine lends a connection.
#[derive(Clone, Debug)]
pub struct Context {
    /// The folder of `obmen.yaml`: relative paths start here.
    pub project: PathBuf,
    /// A folder of this connection's own, kept between runs (an inbox remembers hashes there).
    pub scratch: PathBuf,
    /// The run's clock.
    pub now: chrono::DateTime<chrono::Utc>,
    /// Reads `${env:NAME}` and `${secret:name}`.
    pub secrets: Arc<dyn Secrets>,
    /// Set when the run should stop: connectors end the request under way and start no other.
    pub stop: Stop,
}

/// Where secrets come from.
pub trait Secrets: std::fmt::Debug + Send + Sync {
    /// Replaces every `${env:NAME}` and `${secret:name}` in a text.
    ///
    /// # Errors
    /// `NotFound`, naming the variable or secret that is not set.
    fn resolve(&self, text: &str) -> Result<Secret>;
}

/// A wish to stop, shared by everything in a run.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<std::sync::atomic::AtomicBool>);

impl Stop {
    /// Asks everything to stop after what is under way.
    pub fn set(&self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}
