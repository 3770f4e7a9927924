//! Files as a relation.

use crate::commerceml::Packages;
use crate::folder::{Folder, FoundFile, explain};
use crate::inbox::Inbox;
use crate::settings::{Settings, as_error, decode_format, split_path};
use crate::{blocking, reader, stopped};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::StreamExt as _;
use obmen_diagnostics::Problems;
use obmen_formats::{Format, Kind, Reading};
use obmen_sdk::{
    Batch, BatchStream, Context, Cursor, Error, ErrorKind, Result, Scan, Snapshot, Source, SourceAbilities,
    SourceTarget, Stop,
};
use obmen_storage::Version;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Batches that wait for the engine at most, besides the one held back in [`read_file`].
const WAITING_BATCHES: usize = 2;

/// What is needed to read the files of an entity.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) folder: Folder,
    pub(crate) entity: String,
    pub(crate) format: Format,
    /// Set for CommerceML, where the entity is a relation and not a file.
    packages: Option<Packages>,
    pub(crate) schema: SchemaRef,
    pub(crate) stop: Stop,
}

/// What a file is expected to be, and the cursor its last batch gets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) version: Option<Version>,
    pub(crate) cursor: Option<Cursor>,
}

/// The rows of an entity.
#[derive(Debug)]
struct FileSource {
    files: Files,
    inbox: Option<Arc<Inbox>>,
}

/// Opens a source: finds its files and their columns.
///
/// # Errors
/// `NotFound`, `SchemaMismatch`, those of the disk.
pub(crate) async fn open(
    folder: &Folder,
    settings: &Settings,
    context: &Context,
    target: SourceTarget,
) -> Result<Arc<dyn Source>> {
    let mut problems = Problems::new();
    let (path, options) = split_path(&target.options);
    let folder = &path.map_or_else(|| Ok(folder.clone()), |path| folder.named(&context.project, &path))?;
    let format = decode_format(&options, &mut problems).ok_or_else(|| as_error(&problems))?;
    let format = format.or(&settings.format);
    let packages = (format.format == Some(Kind::Commerceml)).then(|| Packages::new(folder));
    let folder = packages.as_ref().map_or_else(|| folder.clone(), |packages| packages.folder.clone());
    let (stop, schema) = (context.stop.clone(), Arc::new(Schema::empty()));
    let files = Files { folder, entity: target.entity, format, packages, schema, stop };
    let Some(inbox) = &target.inbox else {
        let files = blocking(move || files.with_schema(target.columns)).await?;
        return Ok(Arc::new(FileSource { files, inbox: None }));
    };
    if files.packages.is_some() {
        let message = "a CommerceML package holds several relations, an inbox gives each file to one; read it with `changes: full`";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let schema = target.columns.ok_or_else(|| {
        Error::new(ErrorKind::SchemaMismatch, "an inbox needs declared `columns`: there may be no file to look at")
    })?;
    let inbox = Arc::new(Inbox::new(&files, inbox, context)?);
    let files = Files { folder: inbox.folder().clone(), schema, ..files };
    Ok(Arc::new(FileSource { files, inbox: Some(inbox) }))
}

#[async_trait]
impl Source for FileSource {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.files.schema)
    }

    fn abilities(&self) -> SourceAbilities {
        SourceAbilities { snapshot: Snapshot::Exact, projection: true, resume: false, filter: false }
    }

    async fn read(&self, scan: Scan) -> Result<BatchStream> {
        let files = self.files.clone();
        let inbox = self.inbox.clone();
        let (send, receive) = mpsc::channel(WAITING_BATCHES);
        let thread = tokio::task::spawn_blocking(move || {
            let mut emit = |batch| send.blocking_send(Ok(batch)).map_err(|_| stopped());
            let result = match inbox {
                None => files.read_all(&scan, &mut emit),
                Some(inbox) => inbox.read(&files, &scan, &mut emit),
            };
            if let Err(error) = result {
                // Nobody listens any more when this fails.
                drop(send.blocking_send(Err(error)));
            }
        });
        // A thread that broke off must not look like a file that came to its end.
        let ended = futures::stream::once(async move {
            thread.await.err().map(|error| Err(Error::internal("the thread that reads files broke off").because(error)))
        });
        let batches =
            futures::stream::unfold(receive, async |mut receive| receive.recv().await.map(|item| (item, receive)));
        Ok(batches.chain(ended.filter_map(futures::future::ready)).boxed())
    }

    async fn confirm(&self, cursor: &Cursor) -> Result<()> {
        match self.inbox.clone() {
            None => Ok(()),
            Some(inbox) => {
                let cursor = cursor.clone();
                blocking(move || inbox.confirm(&cursor)).await
            }
        }
    }
}

impl Files {
    /// The files the entity is now.
    pub(crate) fn find(&self) -> Result<Vec<FoundFile>> {
        match &self.packages {
            Some(packages) => packages.files(),
            None => self.folder.find(&self.entity, &self.format),
        }
    }

    /// With the declared columns, or those the files have.
    fn with_schema(self, declared: Option<SchemaRef>) -> Result<Self> {
        let found = self.find()?;
        if let Some(schema) = declared {
            return Ok(Self { schema, ..self });
        }
        if found.is_empty() {
            let message = format!("no file matches `{}`, so its columns are not known; declare `columns`", self.entity);
            return Err(Error::new(ErrorKind::NotFound, message).with("entity", &self.entity));
        }
        let mut fields: Vec<Field> = Vec::new();
        for file in &found {
            let opened = self.folder.read(&file.name)?;
            let (_, watch) = opened.watch().map_err(|error| explain(error, "the file cannot be read"))?;
            let schema = watch.settle(reader::schema(file.kind, opened, &file.name, &self.entity, &self.format))?;
            for field in schema.fields() {
                match fields.iter_mut().find(|known| known.name() == field.name()) {
                    None => fields.push(field.as_ref().clone()),
                    Some(known) => unite(known, field, file)?,
                }
            }
        }
        Ok(Self { schema: Arc::new(Schema::new(fields)), ..self })
    }

    fn read_all(&self, scan: &Scan, emit: &mut dyn FnMut(Batch) -> Result<()>) -> Result<()> {
        for file in self.find()? {
            self.read_file(&file, scan, &Expected::default(), emit)?;
        }
        Ok(())
    }

    /// Reads one file. The last batch, with the cursor if there is one, is handed over only when the
    /// file turned out not to have changed meanwhile; one that changed before anything was handed over
    /// is read again, once.
    ///
    /// # Errors
    /// `Conflict` for a file that changes while it is read; `Cancelled`; those of the format and of `emit`.
    pub(crate) fn read_file(
        &self,
        file: &FoundFile,
        scan: &Scan,
        expected: &Expected,
        emit: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let reading = Reading {
            file: &file.name,
            schema: &self.schema,
            columns: scan.columns.as_deref(),
            batch_rows: scan.batch_rows,
        };
        let failed = |error| explain(error, "the file cannot be read").with("file", &file.name);
        let mut again = true;
        loop {
            let opened = self.folder.read(&file.name)?;
            let (before, watch) = opened.watch().map_err(failed)?;
            if expected.version.as_ref().is_some_and(|version| *version != before) {
                return Err(changed(file));
            }
            let (mut held, mut handed_over) = (None, false);
            let result = reader::read(file.kind, opened, &self.entity, &self.format, reading, &mut |batch| {
                if self.stop.is_set() {
                    return Err(stopped());
                }
                match held.replace(batch) {
                    None => Ok(()),
                    Some(previous) => {
                        handed_over = true;
                        emit(previous)
                    }
                }
            });
            let result = watch.settle(result);
            if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Cancelled) {
                return result;
            }
            if watch.changed(&result).map_err(failed)? {
                if again && !handed_over {
                    again = false;
                    continue;
                }
                return Err(changed(file));
            }
            result?;
            if let Some(mut last) = held {
                last.cursor.clone_from(&expected.cursor);
                return emit(last);
            }
            if expected.cursor.is_none() {
                return Ok(());
            }
            let rows = RecordBatch::new_empty(reading.projected()?);
            return emit(Batch { cursor: expected.cursor.clone(), ..Batch::of(rows) });
        }
    }
}

fn changed(file: &FoundFile) -> Error {
    let message = "the file changed while it was read; run again when nobody writes to it";
    Error::new(ErrorKind::Conflict, message).with("file", &file.name)
}

/// One column of several files: `json` where a text in another file is nested, else the types must be the same.
fn unite(known: &mut Field, other: &Field, file: &FoundFile) -> Result<()> {
    if known == other {
        return Ok(());
    }
    if known.data_type() == other.data_type() {
        let json = [&*known, other].into_iter().find(|field| !field.metadata().is_empty()).cloned();
        *known = json.unwrap_or_else(|| known.clone());
        return Ok(());
    }
    let message =
        format!("the column `{}` has another type than in the files before it; declare `columns`", other.name());
    Err(Error::new(ErrorKind::SchemaMismatch, message).with("file", &file.name).with("column", other.name()))
}
