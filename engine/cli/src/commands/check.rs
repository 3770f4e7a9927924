//! `obmen check`: do the outside systems answer, and what columns do they have?

use crate::console::{BAD, FAINT, GOOD, LOOK};
use crate::exit::{Exit, Failure};
use crate::project::{Equipment, Project, unknown};
use crate::session::Session;
use crate::text::line;
use crate::words;
use futures::future::join_all;
use obmen_runtime::connections::Connections;
use obmen_runtime::schemas_lock::{FILE, SchemasLock};
use obmen_runtime::vars::Vars;
use obmen_sdk::{Error, ErrorKind, Result as Answer, SourceTarget};
use obmen_spec::pipeline::Source;
use serde_json::json;
use std::collections::BTreeSet;

/// Asks every outside system of the profile whether it answers and lets us in. Nothing is changed there.
///
/// Columns of sources that are not declared are asked for too and written into schemas.lock beside obmen.yaml, so that
/// `obmen validate` works without a network; commit that file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  obmen check\n  obmen check trade --profile production")]
pub(crate) struct Arguments {
    /// Only these connections; `segments` is the store of the state
    #[arg(value_name = "CONNECTION")]
    connections: Vec<String>,
}

/// The setting of a profile that names the store of the state.
const SEGMENTS: &str = "segments";

/// What a question brought: whose it was, and the answer.
struct Asked {
    name: String,
    answer: Answer<String>,
}

/// Asks; 6 if any system does not answer as it should.
pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    let profile = project.settings()?;
    // the store of the state is asked like a connection, and no connection can have its name
    let store = project.segments()?;
    let all: Vec<&str> = profile.connections.names().chain(store.iter().map(|_| SEGMENTS)).collect();
    if let Some(odd) = arguments.connections.iter().find(|name| !all.contains(&name.as_str())) {
        return Err(unknown("connection", odd, &all));
    }
    let asked =
        |name: &str| arguments.connections.is_empty() || arguments.connections.iter().any(|asked| asked == name);
    let names: Vec<&str> = profile.connections.names().filter(|name| asked(name)).collect();
    let equipment = Equipment::new(session, &project)?;
    session.stop_on_interrupt();
    let mut connections = join_all(names.iter().map(|name| check_one(&equipment, name))).await;
    if let Some(store) = store.filter(|_| asked(SEGMENTS)) {
        connections.push(Asked { name: SEGMENTS.to_owned(), answer: store.check() });
    }
    let up: BTreeSet<&str> = connections.iter().filter(|one| one.answer.is_ok()).map(|one| one.name.as_str()).collect();
    let sources = learn_columns(session, &project, &equipment, &up).await?;
    show(session, &project, &connections, &sources)?;
    let stopped = |one: &Asked| one.answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Cancelled);
    let failed = connections.iter().chain(&sources).any(|one| one.answer.is_err());
    Ok(match failed {
        true if connections.iter().chain(&sources).any(stopped) => Exit::Interrupted,
        true => Exit::Source,
        false => Exit::Done,
    })
}

async fn check_one(equipment: &Equipment<'_>, name: &str) -> Asked {
    let answer = match equipment.connections().open(name) {
        Ok(connection) => connection.check().await,
        Err(error) => Err(error),
    };
    Asked { name: name.to_owned(), answer }
}

/// Asks for the columns of sources that declare none, and remembers them.
async fn learn_columns(
    session: &Session,
    project: &Project,
    equipment: &Equipment<'_>,
    up: &BTreeSet<&str>,
) -> Result<Vec<Asked>, Failure> {
    let profile = project.settings()?;
    let mut lock = SchemasLock::load(&project.workspace.folder);
    let before = lock.clone();
    let mut asked = Vec::new();
    for pipeline in project.workspace.pipelines.iter().filter_map(|file| file.pipeline.as_ref()) {
        let vars = Vars::placeholders(pipeline, session.now());
        for (name, source) in pipeline.sources.iter() {
            let connection = profile.connections.get(&source.connection);
            let connector = connection.and_then(|own| Some((session.registry.get(&own.kind)?, &own.settings)));
            // What lies on this machine is asked by `validate` itself.
            let local = connector.is_none_or(|(connector, settings)| connector.is_local(settings));
            if source.columns.is_some() || local || !up.contains(source.connection.as_str()) {
                continue;
            }
            let answer = columns(equipment, name, source, &vars).await.map(|schema| {
                lock.set(&source.connection, &source.entity, &schema);
                format!(
                    "{} of {}",
                    words::counted(schema.fields().len() as u64, "column", "columns"),
                    source.entity.value
                )
            });
            asked.push(Asked { name: format!("{}.{}", pipeline.pipeline.value, name.value), answer });
        }
    }
    if lock != before {
        lock.save(&project.workspace.folder)?;
    }
    Ok(asked)
}

async fn columns(
    equipment: &Equipment<'_>,
    name: &str,
    source: &Source,
    vars: &Vars,
) -> Answer<arrow::datatypes::SchemaRef> {
    let target = SourceTarget {
        name: name.to_owned(),
        entity: vars.replace(&source.entity),
        columns: None,
        key: source.key.iter().map(|column| column.value.clone()).collect(),
        inbox: None,
        options: source.options.clone(),
    };
    Ok(equipment.connections().open(&source.connection)?.source(target).await?.schema())
}

fn show(session: &Session, project: &Project, connections: &[Asked], sources: &[Asked]) -> Result<(), Failure> {
    if session.console.is_json() {
        let list = |asked: &[Asked], word: &str| -> Vec<serde_json::Value> {
            asked.iter().map(|one| one.json(word)).collect()
        };
        return session.console.json(&json!({
            "profile": project.profile,
            "connections": list(connections, "connection"),
            "sources": list(sources, "source"),
        }));
    }
    let mut text = String::new();
    connections.iter().chain(sources).for_each(|one| one.tell(&mut text));
    if !sources.is_empty() {
        line!(text, "{FAINT}columns are kept in {FILE}{FAINT:#}");
    }
    session.console.result(&text)
}

impl Asked {
    fn json(&self, word: &str) -> serde_json::Value {
        match &self.answer {
            Ok(answer) => json!({ word: self.name, "ok": true, "message": answer }),
            Err(error) => json!({ word: self.name, "ok": false, "message": error.to_string() }),
        }
    }

    fn tell(&self, text: &mut String) {
        match &self.answer {
            Ok(answer) => {
                line!(text, "{GOOD}ok{GOOD:#}      {}  {FAINT}{}{FAINT:#}", self.name, words::plain(answer));
            }
            Err(error) => {
                line!(text, "{BAD}failed{BAD:#}  {}  {}", self.name, words::plain(&error.to_string()));
                if let Some(help) = help(error) {
                    line!(text, "        {LOOK}help:{LOOK:#} {help}");
                }
            }
        }
    }
}

/// What a person can do about a failure.
fn help(error: &Error) -> Option<&'static str> {
    Some(match error.kind() {
        ErrorKind::Unauthenticated => "the name or the password is wrong: look at the secrets this connection names",
        ErrorKind::PermissionDenied => "the name is known, but may not do this: give the user the right there",
        ErrorKind::Unavailable | ErrorKind::Timeout => "is the address right, the system up, and a firewall open?",
        ErrorKind::SchemaMismatch => "the other side has other columns than were declared: mend the pipeline",
        _ => return None,
    })
}
