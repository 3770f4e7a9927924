//! `obmen preview`: rows of a relation, or of an entity of a connection.

use crate::cells;
use crate::exit::{Exit, Failure};
use crate::project::{Equipment, Project, options, unknown};
use crate::session::Session;
use crate::words;
use arrow::array::RecordBatch;
use futures::StreamExt;
use obmen_diagnostics::{FileId, Span};
use obmen_runtime::connections::Connections;
use obmen_sdk::{BadRow, Connection, Scan, SourceTarget};
use obmen_spec::{Map, Node, Value};
use serde_json::json;
use std::sync::Arc;

/// Shows rows: of a source or step of a pipeline, or of an entity of a connection. Nothing is sent or remembered.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  obmen preview site_offers offer_prices
  obmen preview trade:                                # what can be read there
  obmen preview trade:Catalog_Номенклатура --limit 5
  obmen preview site_offers offers --output json      # a line of JSON per row")]
pub(crate) struct Arguments {
    /// A pipeline; or `CONNECTION:` for the entities of a connection; or `CONNECTION:ENTITY`
    #[arg(value_name = "PIPELINE|CONNECTION:ENTITY")]
    what: String,

    /// The source or step of the pipeline
    #[arg(value_name = "RELATION")]
    relation: Option<String>,

    /// Show at most so many rows
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// Shows rows.
pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    match (arguments.what.split_once(':'), &arguments.relation) {
        (Some(_), Some(relation)) => {
            Err(Failure::usage(format!("`{relation}` is one word too many after a connection")))
        }
        (Some((connection, "")), None) => entities(session, &project, connection).await,
        (Some((connection, entity)), None) => {
            Box::pin(entity_rows(session, &project, connection, entity, arguments.limit)).await
        }
        (None, Some(relation)) => {
            Box::pin(relation_rows(session, &project, &arguments.what, relation, arguments.limit)).await
        }
        (None, None) => {
            project.file(&arguments.what)?;
            let names = relations(&project, &arguments.what);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            Err(Failure::usage("which relation?").help(format!("name {}", obmen_spec::name::listed(&names))))
        }
    }
}

async fn relation_rows(
    session: &Session,
    project: &Project,
    pipeline: &str,
    relation: &str,
    limit: usize,
) -> Result<Exit, Failure> {
    let written = project.pipeline(session, pipeline).await?;
    let names = relations(project, pipeline);
    if !names.iter().any(|name| name == relation) {
        return Err(unknown("relation", relation, &names.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    let options = options(session, written)?;
    let equipment = Equipment::new(session, project)?;
    let rows = equipment
        .with_engine(async |engine| Box::pin(engine.preview(written, &options, relation, limit)).await)
        .await
        .map_err(Failure::reading)?;
    show(session, &[rows], limit)
}

/// Sources, matches and steps of a pipeline, as written.
fn relations(project: &Project, pipeline: &str) -> Vec<String> {
    let Some(pipeline) = project.workspace.pipeline(pipeline).and_then(|file| file.pipeline.as_ref()) else {
        return Vec::new();
    };
    let names = pipeline.sources.names().chain(pipeline.steps.names()).chain(pipeline.matches.names());
    names.map(str::to_owned).collect()
}

fn open(project: &Project, equipment: &Equipment<'_>, name: &str) -> Result<Arc<dyn Connection>, Failure> {
    let names: Vec<&str> = project.settings()?.connections.names().collect();
    if !names.contains(&name) {
        return Err(unknown("connection", name, &names));
    }
    equipment.connections().open(name).map_err(Failure::reading)
}

async fn entities(session: &Session, project: &Project, name: &str) -> Result<Exit, Failure> {
    let equipment = Equipment::new(session, project)?;
    let connection = open(project, &equipment, name)?;
    session.stop_on_interrupt();
    let entities = connection.entities().await.map_err(Failure::reading)?;
    if session.console.is_json() {
        session.console.json(&json!({ "connection": name, "entities": entities }))?;
    } else {
        let lines: String = entities.iter().map(|entity| words::plain(entity) + "\n").collect();
        session.console.result(&lines)?;
        if entities.is_empty() {
            session.console.say("there is nothing to read");
        }
    }
    Ok(Exit::Done)
}

async fn entity_rows(
    session: &Session,
    project: &Project,
    connection: &str,
    entity: &str,
    limit: usize,
) -> Result<Exit, Failure> {
    let equipment = Equipment::new(session, project)?;
    let connection = open(project, &equipment, connection)?;
    session.stop_on_interrupt();
    let nowhere = Span::new(FileId(u32::MAX), 0..0);
    let target = SourceTarget {
        name: "preview".to_owned(),
        entity: entity.to_owned(),
        columns: None,
        key: Vec::new(),
        inbox: None,
        options: Node { span: nowhere, value: Value::Map(Map::default()) },
    };
    let source = connection.source(target).await.map_err(Failure::reading)?;
    let scan = Scan { batch_rows: limit.clamp(1, 8192), ..Scan::default() };
    let mut stream = source.read(scan).await.map_err(Failure::reading)?;
    let (mut batches, mut found) = (Vec::new(), 0);
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(Failure::reading)?;
        batch.bad.iter().for_each(|row| session.console.insist(&bad_row(row)));
        let wanted = batch.rows.num_rows().min(limit - found);
        found += wanted;
        batches.push(batch.rows.slice(0, wanted));
        if found >= limit {
            break;
        }
    }
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(source.schema()));
    }
    show(session, &batches, limit)
}

fn bad_row(row: &BadRow) -> String {
    let column = row.column.as_deref().map(|column| format!("{column}: ")).unwrap_or_default();
    words::plain(&format!("cannot be read: {}: {column}{}", row.place, row.reason))
}

fn show(session: &Session, batches: &[RecordBatch], limit: usize) -> Result<Exit, Failure> {
    if session.console.is_json() {
        let lines = batches.iter().flat_map(cells::objects).map(|row| format!("{row}\n"));
        session.console.result(&lines.collect::<String>())?;
        return Ok(Exit::Done);
    }
    let Some(first) = batches.first() else { return Ok(Exit::Done) };
    let rows = arrow::compute::concat_batches(first.schema_ref(), batches).map_err(obmen_sdk::Error::from)?;
    session.console.result(&cells::table(&rows).text(0))?;
    match rows.num_rows() {
        0 => session.console.say("no rows"),
        shown if shown >= limit => session.console.say(&format!("the first {shown} rows; --limit shows more")),
        _ => {}
    }
    Ok(Exit::Done)
}
