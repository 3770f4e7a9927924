#![doc = include_str!("../README.md")]

mod condition;
mod connection;
pub mod copy;
mod kind;
mod read;
mod refusal;
mod relation;
mod server;
mod settings;
mod sink;
mod sql;
mod tls;

use connection::Database;
use obmen_diagnostics::{Problems, code};
use obmen_sdk::{Connection, Connector, Context, Error, ErrorKind, Result, Schemas, SinkCheck};
use obmen_spec::Node;
use schemars::schema_for;
use settings::{Settings, SinkOptions, SourceOptions, options_of};
use std::sync::Arc;

/// PostgreSQL databases: tables, views and queries are read, tables are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Postgres;

impl Connector for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn about(&self) -> &'static str {
        "A PostgreSQL database. Reads tables, views and queries by binary `COPY`, each read one state of the database; \
         writes and deletes rows of tables by key, a load in one transaction. A row counts as delivered when the \
         transaction is committed."
    }

    fn schemas(&self) -> Schemas {
        Schemas {
            connection: Some(schema_for!(Settings)),
            source: Some(schema_for!(SourceOptions)),
            sink: Some(schema_for!(SinkOptions)),
        }
    }

    fn check(&self, settings: &Node, problems: &mut Problems) {
        settings::check(settings, problems);
    }

    fn check_source(&self, _settings: &Node, entity: &str, options: &Node, problems: &mut Problems) {
        settings::check_source(entity, options, problems);
    }

    fn check_sink(&self, _settings: &Node, target: &SinkCheck<'_>, problems: &mut Problems) {
        if options_of::<SinkOptions>(target.options, problems).is_none() {
            return;
        }
        settings::check_entity(target.entity, target.span, problems);
        for child in target.children {
            let message = format!("a row of a table has no children, `{child}` cannot be one");
            problems.error(code::INVALID_SETTING, target.span, message).help("write it as a sink of its own");
        }
    }

    fn open(&self, settings: &Node, context: &Context) -> Result<Arc<dyn Connection>> {
        let mut problems = Problems::new();
        let settings: Option<Settings> = obmen_spec::decode::decode(settings, &mut problems);
        let unchecked =
            || Error::new(ErrorKind::InvalidData, "the settings of a database are wrong; `obmen validate` says where");
        Ok(Arc::new(Database::open(&settings.ok_or_else(unchecked)?, context)?))
    }
}
