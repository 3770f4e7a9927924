//! One database as a connection.

use crate::read::read;
use crate::relation::{Origin, Relation, Wanted, tables};
use crate::server::Server;
use crate::settings::{Settings, SourceOptions, options_of, trimmed};
use crate::sink::Tables;
use crate::sql::Name;
use arrow::datatypes::SchemaRef;
use obmen_diagnostics::Problems;
use obmen_sdk::{
    BatchStream, Connection, Context, Error, ErrorKind, Result, Scan, Sink, SinkTarget, Snapshot, Source,
    SourceAbilities, SourceTarget,
};
use std::sync::Arc;

/// One database.
#[derive(Debug)]
pub(crate) struct Database {
    server: Arc<Server>,
    portion: usize,
    loads_table: Name,
}

impl Database {
    /// Makes a connection; asks nobody yet.
    ///
    /// # Errors
    /// `NotFound` for a secret or file that is not there, `InvalidData` for settings that cannot be.
    pub(crate) fn open(settings: &Settings, context: &Context) -> Result<Self> {
        let loads_table = Name::parse(&settings.loads_table)
            .map_err(|phrase| Error::invalid_data(format!("`loads_table` is wrong: {phrase}")))?;
        Ok(Self { server: Arc::new(Server::new(settings, context)?), portion: settings.portion, loads_table })
    }

    async fn relation(&self, target: &SourceTarget) -> Result<Relation> {
        let mut problems = Problems::new();
        let options = options_of::<SourceOptions>(&target.options, &mut problems);
        let options =
            options.ok_or_else(|| Error::internal("a source was opened with options that were not checked"))?;
        let origin = match options.query {
            Some(query) => Origin::Query(trimmed(&query).to_owned()),
            None => Origin::Table(
                Name::parse(&target.entity)
                    .map_err(|phrase| Error::new(ErrorKind::NotFound, format!("no name of a table: {phrase}")))?,
            ),
        };
        let (entity, columns, key) = (target.entity.as_str(), target.columns.as_ref(), target.key.as_slice());
        let session = self.server.connect().await?;
        Relation::resolve(&session, origin, &Wanted { entity, columns, key, lenient: false }).await
    }
}

#[async_trait::async_trait]
impl Connection for Database {
    fn identity(&self) -> String {
        self.server.identity().to_owned()
    }

    async fn check(&self) -> Result<String> {
        let session = self.server.connect().await?;
        let sql = "SELECT current_setting('server_version'), current_user, current_setting('transaction_read_only'), \
            pg_is_in_recovery()";
        let rows = session.ask("a question", sql).await?;
        let texts: Vec<&str> = rows.first().into_iter().flatten().flatten().map(String::as_str).collect();
        let [version, user, read_only, standby] = texts[..] else {
            return Err(Error::internal("PostgreSQL does not say what it is"));
        };
        let writing = match (standby, read_only) {
            ("t", _) => "a standby: it can be read, not written",
            (_, "on") => "the role can only read",
            _ => "it can be written",
        };
        Ok(format!("PostgreSQL {version} answers `{user}`, {writing}"))
    }

    async fn entities(&self) -> Result<Vec<String>> {
        tables(&self.server.connect().await?).await
    }

    async fn source(&self, target: SourceTarget) -> Result<Arc<dyn Source>> {
        if target.inbox.is_some() {
            let message = "a database is no folder: `changes: inbox` cannot be used with it";
            return Err(Error::new(ErrorKind::Unsupported, message).with("source", &target.name));
        }
        let place = |error: Error| error.with("source", &target.name).with("entity", &target.entity);
        let relation = self.relation(&target).await.map_err(place)?;
        Ok(Arc::new(Table { server: Arc::clone(&self.server), relation: Arc::new(relation) }))
    }

    async fn sink(&self, targets: Vec<SinkTarget>) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(Tables::open(Arc::clone(&self.server), targets, self.portion, self.loads_table.clone()).await?))
    }
}

/// One table, view or query.
#[derive(Debug)]
struct Table {
    server: Arc<Server>,
    relation: Arc<Relation>,
}

#[async_trait::async_trait]
impl Source for Table {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.relation.schema)
    }

    fn abilities(&self) -> SourceAbilities {
        SourceAbilities { snapshot: Snapshot::Exact, projection: true, resume: false, filter: true }
    }

    async fn read(&self, scan: Scan) -> Result<BatchStream> {
        if scan.after.is_some() {
            return Err(Error::internal("a source that cannot go on was asked to"));
        }
        read(&self.server, &self.relation, &scan, &[]).await
    }
}
