#![doc = include_str!("../README.md")]

mod cell;
mod columns;
mod connection;
mod elements;
#[doc(hidden)]
pub mod kernels;
mod link;
mod metadata;
mod number;
mod page;
mod pages;
mod query;
mod read;
mod refusal;
mod relation;
mod settings;

use connection::Publication;
use obmen_diagnostics::{Problems, code};
use obmen_sdk::{Connection, Connector, Context, Error, ErrorKind, Result, Schemas, SinkCheck};
use obmen_spec::Node;
use schemars::schema_for;
use settings::{Settings, SourceOptions};
use std::sync::Arc;

/// Why there is no sink.
const NO_SINK: &str = "writing to 1C over OData is not available yet";

/// Bases of 1C:Enterprise 8.3, read through their standard OData interface.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odata;

impl Connector for Odata {
    fn name(&self) -> &'static str {
        "odata"
    }

    fn about(&self) -> &'static str {
        "A base of 1C:Enterprise 8.3 that is published with its standard OData interface. Reads catalogs, documents, \
         tabular sections, registers and their virtual tables (`SliceLast`, `Balance`, …). Names of entities and \
         columns are those of 1C, checked against what the base publishes."
    }

    fn schemas(&self) -> Schemas {
        Schemas { connection: Some(schema_for!(Settings)), source: Some(schema_for!(SourceOptions)), sink: None }
    }

    fn check(&self, settings: &Node, problems: &mut Problems) {
        settings::check(settings, problems);
    }

    fn check_source(&self, _settings: &Node, entity: &str, options: &Node, problems: &mut Problems) {
        settings::check_source(entity, options, problems);
    }

    fn check_sink(&self, _settings: &Node, target: &SinkCheck<'_>, problems: &mut Problems) {
        problems.error(code::NOT_AVAILABLE_YET, target.span, NO_SINK);
    }

    fn open(&self, settings: &Node, context: &Context) -> Result<Arc<dyn Connection>> {
        let mut problems = Problems::new();
        let settings: Option<Settings> = obmen_spec::decode::decode(settings, &mut problems);
        let unchecked =
            || Error::new(ErrorKind::InvalidData, "the settings of a 1C base are wrong; `obmen validate` says where");
        Ok(Arc::new(Publication::open(&settings.ok_or_else(unchecked)?, context)?))
    }
}
