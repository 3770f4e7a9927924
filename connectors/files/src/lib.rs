//! `type: files`: files in a folder or object store as relations, an inbox of arriving files, and changes written as
//! files.
//!
//! The README of this folder says what is guaranteed and what `acked` means here.

mod commerceml;
mod folder;
mod inbox;
mod reader;
mod settings;
mod sink;
mod source;

use async_trait::async_trait;
use folder::Folder;
use obmen_diagnostics::{Problems, code};
use obmen_formats::{Kind, commerceml as packages};
use obmen_sdk::{
    Connection, Connector, Context, Error, ErrorKind, Result, Schemas, Sink, SinkCheck, SinkTarget, Source,
    SourceTarget,
};
use obmen_spec::{Node, Value};
use settings::{Manual, Settings, SinkManual, SourceManual};
use std::sync::Arc;

/// The connector: files in a folder.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files;

impl Connector for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn is_local(&self, settings: &Node) -> bool {
        let Value::Map(map) = &settings.value else { return true };
        match map.get("path").map(|path| &path.value) {
            Some(Value::Scalar(path)) => !path.text.contains("://"),
            _ => true,
        }
    }

    fn about(&self) -> &'static str {
        "Reads files of a folder as relations (CSV, JSON, Parquet, CommerceML packages), takes files that arrive in an \
         inbox one by one, and writes changes as files (JSON lines, CSV, Parquet, CommerceML packages), one per load. The \
         folder may be on this machine or in an object store (S3, Azure, Google); a web server can be read. A row counts \
         as delivered when its file stands in the folder under its final name, synced to the disk; in a store, when the \
         store has confirmed the object and shows it."
    }

    fn schemas(&self) -> Schemas {
        Schemas {
            connection: Some(schemars::schema_for!(Manual)),
            source: Some(schemars::schema_for!(SourceManual)),
            sink: Some(schemars::schema_for!(SinkManual)),
        }
    }

    fn check(&self, settings: &Node, problems: &mut Problems) {
        Settings::decode(settings, problems);
    }

    fn check_source(&self, settings: &Node, entity: &str, options: &Node, problems: &mut Problems) {
        let span = settings::place(options, settings);
        let (_, options) = &settings::split_path(options);
        let format = settings::decode_format(options, problems);
        let connection = Settings::decode(settings, &mut Problems::new());
        let (Some(format), Some(connection)) = (format, connection) else { return };
        let format = format.or(&connection.format);
        settings::check_format(&format, options, span, problems);
        if format.format == Some(Kind::Commerceml) {
            if packages::schema(entity).is_none() {
                let problem =
                    problems.error(code::UNKNOWN_ENTITY, span, format!("CommerceML has no relation `{entity}`"));
                problem.help(match obmen_spec::name::suggest(entity, packages::relations().iter().copied()) {
                    Some(near) => format!("write `{near}`"),
                    None => format!("write one of {}", packages::relations().join(", ")),
                });
            }
        } else if let Err(message) = folder::check_entity(entity) {
            problems
                .error(code::UNKNOWN_ENTITY, span, message)
                .help("write the file's name, with or without its extension");
        }
    }

    fn check_sink(&self, settings: &Node, target: &SinkCheck<'_>, problems: &mut Problems) {
        if let Some(connection) = Settings::decode(settings, &mut Problems::new()) {
            sink::check(&connection, target, problems);
        }
    }

    fn open(&self, settings: &Node, context: &Context) -> Result<Arc<dyn Connection>> {
        let mut problems = Problems::new();
        let settings = Settings::decode(settings, &mut problems).ok_or_else(|| settings::as_error(&problems))?;
        let path = context.secrets.resolve(&settings.path)?;
        let options = settings.store.resolve(&*context.secrets)?;
        let folder = Folder::open(path.expose(), &options, context)?;
        Ok(Arc::new(FilesConnection { folder, settings, context: context.clone() }))
    }
}

/// One folder.
#[derive(Debug)]
struct FilesConnection {
    folder: Folder,
    settings: Settings,
    context: Context,
}

#[async_trait]
impl Connection for FilesConnection {
    fn identity(&self) -> String {
        self.folder.identity()
    }

    async fn check(&self) -> Result<String> {
        let folder = self.folder.clone();
        blocking(move || folder.check()).await
    }

    async fn entities(&self) -> Result<Vec<String>> {
        if self.settings.format.format == Some(Kind::Commerceml) {
            return Ok(packages::relations().iter().map(|name| (*name).to_owned()).collect());
        }
        let (folder, format) = (self.folder.clone(), self.settings.format.clone());
        blocking(move || folder.entities(&format)).await
    }

    async fn source(&self, target: SourceTarget) -> Result<Arc<dyn Source>> {
        let name = target.name.clone();
        let source = source::open(&self.folder, &self.settings, &self.context, target).await;
        source.map_err(|error| error.with("source", name))
    }

    async fn sink(&self, targets: Vec<SinkTarget>) -> Result<Arc<dyn Sink>> {
        sink::open(&self.folder, &self.settings, &self.context, targets)
    }
}

/// Runs file work on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal("a thread that reads files broke off").because(error)),
    }
}

/// The run is to stop.
fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "stopped before the file was read to its end")
}
