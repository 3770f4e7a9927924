//! One publication of one base.

use crate::link::Link;
use crate::query::Query;
use crate::read::{self, Sizes};
use crate::relation::Relation;
use crate::settings::{SUFFIX, Settings, publication, source_options};
use arrow::datatypes::SchemaRef;
use obmen_diagnostics::Problems;
use obmen_sdk::http::{Address, Client, Options};
use obmen_sdk::{
    BatchStream, Connection, Context, Error, ErrorKind, Result, Scan, Sink, SinkTarget, Snapshot, Source,
    SourceAbilities, SourceTarget,
};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// One publication of one base.
#[derive(Debug)]
pub(crate) struct Publication {
    address: Address,
    link: Arc<Link>,
    sizes: Sizes,
}

impl Publication {
    /// Makes a connection; asks nobody yet.
    ///
    /// # Errors
    /// `NotFound` for a secret or a file of certificates that is not there, `InvalidData` for an address that is none.
    pub(crate) fn open(settings: &Settings, context: &Context) -> Result<Self> {
        let url = context.secrets.resolve(&settings.url)?;
        let address =
            publication(url.expose()).map_err(|phrase| Error::invalid_data(format!("`url` is wrong: {phrase}")))?;
        let user = context.secrets.resolve(&settings.user)?;
        let password = context.secrets.resolve(&settings.password)?;
        let options = options(settings, context, &address)?;
        let root = address.extended(SUFFIX.trim_start_matches('/'))?;
        let client = Client::new(root, options, context.stop.clone())?.with_login(user, password);
        let link = Link::new(client, settings.parallel, settings.pause.duration(), context.stop.clone());
        let sizes = Sizes {
            first_rows: settings.first_page_rows,
            most_rows: settings.page_rows,
            bytes: settings.page_bytes.bytes(),
        };
        Ok(Self { address, link: Arc::new(link), sizes })
    }
}

fn options(settings: &Settings, context: &Context, address: &Address) -> Result<Options> {
    let certificates = match &settings.certificates {
        None => None,
        Some(path) => {
            let path = context.project.join(path);
            Some(std::fs::read(&path).map_err(|error| Error::from(error).with("file", path.display()))?)
        }
    };
    // Pauses differ between runs and bases, and are the same when a run is replayed.
    let seed = xxh3_64(format!("{address} {}", context.now.timestamp_micros()).as_bytes());
    Ok(Options {
        connect_timeout: settings.connect_timeout.duration(),
        read_timeout: settings.timeout.duration(),
        retries: settings.retries,
        body_limit: settings.page_bytes_max.bytes(),
        seed,
        certificates,
        ..Options::default()
    })
}

#[async_trait::async_trait]
impl Connection for Publication {
    fn identity(&self) -> String {
        self.address.to_string()
    }

    async fn check(&self) -> Result<String> {
        let names = self.link.names().await?;
        if names.is_empty() {
            return Err(self.link.nothing_published());
        }
        let published = format!("1C answers, {} entities are published", names.len());
        // Registers are left alone: 1C may load a whole one to give its first row.
        let cheap = ["Catalog_", "Document_", "ExchangePlan_", "Constant_"];
        let name = cheap.iter().find_map(|prefix| names.iter().find(|name| name.starts_with(prefix)));
        let Some(name) = name else {
            return Ok(format!("{published}; none of them is cheap to read, so no reading was tried"));
        };
        let rows = self.link.rows(&Query::json(&crate::query::encode(name)).page(1, 0)).await;
        let rows = rows.map_err(|error| error.with("entity", name))?;
        let found = if rows.is_empty() { "is empty or hidden from the user" } else { "can be read" };
        Ok(format!("{published}; `{name}` {found}"))
    }

    async fn entities(&self) -> Result<Vec<String>> {
        self.link.names().await
    }

    async fn source(&self, target: SourceTarget) -> Result<Arc<dyn Source>> {
        if target.inbox.is_some() {
            let message = "a base of 1C is no folder: `changes: inbox` cannot be used with it";
            return Err(Error::new(ErrorKind::Unsupported, message).with("source", &target.name));
        }
        let mut problems = Problems::new();
        let options = source_options(&target.options, &mut problems);
        let wrong =
            || Error::internal("a source was opened with options that were not checked").with("source", &target.name);
        let options = options.ok_or_else(wrong)?;
        let metadata = self.link.metadata().await?;
        let relation = Relation::resolve(&metadata, &target, &options)?;
        if relation.record_set {
            let advice = "1C loads a whole register to give its record sets; the entity with `_RecordType` is cheaper";
            tracing::warn!(entity = %target.entity, "{advice}");
        }
        Ok(Arc::new(Entity { link: Arc::clone(&self.link), relation: Arc::new(relation), sizes: self.sizes }))
    }

    async fn sink(&self, _targets: Vec<SinkTarget>) -> Result<Arc<dyn Sink>> {
        Err(Error::new(ErrorKind::Unsupported, crate::NO_SINK))
    }
}

/// One entity of a publication.
#[derive(Debug)]
struct Entity {
    link: Arc<Link>,
    relation: Arc<Relation>,
    sizes: Sizes,
}

#[async_trait::async_trait]
impl Source for Entity {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.relation.schema)
    }

    fn abilities(&self) -> SourceAbilities {
        let snapshot = if self.relation.whole { Snapshot::Exact } else { Snapshot::Approximate };
        SourceAbilities { snapshot, projection: true, resume: false, filter: false }
    }

    async fn read(&self, scan: Scan) -> Result<BatchStream> {
        if scan.after.is_some() {
            return Err(Error::internal("a source that cannot go on was asked to"));
        }
        read::read(Arc::clone(&self.link), Arc::clone(&self.relation), self.sizes, &scan)
    }
}
