//! `obmen schema`: JSON Schemas for editors.

use crate::exit::{Exit, Failure};
use crate::session::Session;
use obmen_sdk::Schemas;
use obmen_spec::schema::{self, Options};
use schemars::Schema;
use serde_json::Value;

/// Prints the JSON Schema of a kind of file, with the options of all connectors: an editor that has it completes and
/// explains every key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  obmen schema pipeline > pipeline.schema.json
  obmen schema project > project.schema.json

In the first line of a file, for editors with a YAML language server:
  # yaml-language-server: $schema=pipeline.schema.json")]
pub(crate) struct Arguments {
    /// The kind of file
    #[arg(value_enum, default_value_t, value_name = "FILE")]
    file: File,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum File {
    /// A pipeline
    #[default]
    Pipeline,
    /// obmen.yaml
    Project,
    /// NAME.test.yaml
    Tests,
}

/// Prints a schema.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let schemas: Vec<(&str, Schemas)> =
        session.registry.iter().map(|connector| (connector.name(), connector.schemas())).collect();
    let document = match arguments.file {
        File::Pipeline => schema::pipeline(Options {
            sources: &pick(&schemas, |schemas| schemas.source.as_ref()),
            sinks: &pick(&schemas, |schemas| schemas.sink.as_ref()),
            ..Options::default()
        }),
        File::Project => schema::project(Options {
            connections: &pick(&schemas, |schemas| schemas.connection.as_ref()),
            segments: Some(&obmen_runtime::segments::schema()),
            ..Options::default()
        }),
        File::Tests => schema::tests(),
    };
    session.console.result(&pretty(&document)?)?;
    Ok(Exit::Done)
}

/// The schemas of one kind, by connector.
fn pick<'s>(schemas: &'s [(&'s str, Schemas)], one: fn(&Schemas) -> Option<&Schema>) -> Vec<(&'s str, &'s Schema)> {
    schemas.iter().filter_map(|(name, schemas)| Some((*name, one(schemas)?))).collect()
}

fn pretty(document: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document).map_err(obmen_sdk::Error::internal)?;
    Ok(text + "\n")
}
