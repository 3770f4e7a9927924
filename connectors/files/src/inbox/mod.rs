//! A folder where files arrive (`changes: inbox`): each is read once, then moved away.
//!
//! A file is in the inbox until what it brought is durable with the engine, which says so by
//! [`confirm`](Inbox::confirm). The hash of its content is written down, synced, before it is moved: a
//! crash in between leaves a file that is known, and is moved the next time without being read again.

mod memory;
mod ready;
mod shelf;

use crate::folder::{Folder, FoundFile, Opened, explain};
use crate::settings::InboxSettings;
use crate::source::{Expected, Files};
use crate::{reader, stopped};
use arrow::record_batch::RecordBatch;
use memory::{Entry, Memory};
use obmen_formats::{Kind, Reading};
use obmen_sdk::{Batch, Context, Cursor, Error, ErrorKind, Result, Scan};
use obmen_spec::Node;
use obmen_storage::Version;
use serde::{Deserialize, Serialize};
use shelf::Shelf;
use std::collections::BTreeMap;
use std::io::Read as _;
use xxhash_rust::xxh3::Xxh3;

/// Files one run takes at most; the rest waits for the next one.
const MAX_FILES: usize = 1_000;

/// An inbox.
#[derive(Debug)]
pub(crate) struct Inbox {
    folder: Folder,
    settings: InboxSettings,
    memory: Memory,
    shelf: Shelf,
    now: chrono::DateTime<chrono::Utc>,
}

/// A file that was read: a line of the cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    name: String,
    /// xxh3, 128 bits, of the content.
    hash: String,
}

impl Inbox {
    /// The inbox of a source.
    ///
    /// # Errors
    /// `InvalidData` for settings that are wrong.
    pub(crate) fn new(files: &Files, settings: &Node, context: &Context) -> Result<Self> {
        let settings = InboxSettings::decode(settings)?;
        let folder = settings.path.as_deref().map_or_else(|| files.folder.clone(), |path| files.folder.below(path));
        folder.writable()?;
        let done = folder.below(settings.done.as_deref().unwrap_or("done"));
        let bad = folder.below(settings.bad.as_deref().unwrap_or("bad"));
        if done.identity() == folder.identity() || bad.identity() == folder.identity() {
            return Err(Error::invalid_data("`done` and `bad` of an inbox cannot be the inbox itself"));
        }
        let memory = Memory::new(&context.scratch, &format!("{}\n{}", folder.identity(), files.entity));
        let shelf = Shelf::new(done, bad, context.now);
        Ok(Self { folder, settings, memory, shelf, now: context.now })
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Reads the files that are ready, by name. The last batch of each has a cursor with all files so far.
    ///
    /// # Errors
    /// Those of the disk; a file that cannot be read for its content is put away and is no error.
    pub(crate) fn read(&self, files: &Files, scan: &Scan, emit: &mut dyn FnMut(Batch) -> Result<()>) -> Result<()> {
        let found = match files.find() {
            // Nothing arrived. A folder that is not there is another matter.
            Err(error) if error.kind() == ErrorKind::NotFound && self.folder.stands()? => return Ok(()),
            other => other?,
        };
        let mut ready = ready::select(&self.folder, found, &self.settings, &files.stop)?;
        if ready.len() > MAX_FILES {
            tracing::info!(files = ready.len(), "more files than one run takes: {MAX_FILES} are read, the rest waits");
            ready.truncate(MAX_FILES);
        }
        let known = self.memory.load()?;
        let mut taken = Vec::new();
        for file in ready {
            if files.stop.is_set() {
                return Err(stopped());
            }
            self.take(files, &file, scan, &known, &mut taken, emit)?;
        }
        Ok(())
    }

    /// Moves the files of a cursor away. Can be repeated: what is moved already is left alone, and so
    /// is a file of the same name with another content.
    ///
    /// # Errors
    /// Those of the disk; `Conflict` while another program holds a file.
    pub(crate) fn confirm(&self, cursor: &Cursor) -> Result<()> {
        let taken: Vec<Taken> = serde_json::from_slice(&cursor.0)
            .map_err(|error| Error::internal("the cursor is not of an inbox").because(error))?;
        let mut known = self.memory.load()?;
        let mut fresh = Vec::new();
        for file in &taken {
            if !known.contains_key(&file.hash) {
                let done = self.shelf.free_done(&file.name, &fresh)?;
                let entry = Entry::new(&file.hash, &file.name, done, self.now);
                known.insert(file.hash.clone(), entry.clone());
                fresh.push(entry);
            }
        }
        self.memory.append(&fresh)?;
        for file in &taken {
            if hash_there(&self.folder, &file.name)?.is_some_and(|hash| hash == file.hash) {
                let Some(entry) = known.get(&file.hash) else { continue };
                self.remove_marker(&file.name)?;
                if entry.name == file.name && !self.shelf.is_done(&entry.done)? {
                    self.shelf.done(&self.folder, &file.name, &entry.done)?;
                } else {
                    self.put_away(&file.name, entry)?;
                }
            }
        }
        if let Some(keep) = self.settings.keep {
            self.shelf.clear(known.values(), keep.duration())?;
        }
        Ok(())
    }

    fn take(
        &self,
        files: &Files,
        file: &FoundFile,
        scan: &Scan,
        known: &BTreeMap<String, Entry>,
        taken: &mut Vec<Taken>,
        emit: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<()> {
        let (hash, version) = match hash_of(&self.folder, &file.name) {
            Ok(found) => found,
            Err(error) if waits(&error) => {
                tracing::info!(file = file.name, %error, "the file waits for the next run");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(entry) = known.get(&hash) {
            self.remove_marker(&file.name)?;
            return self.put_away(&file.name, entry);
        }
        let twin = taken.iter().any(|other| other.hash == hash);
        taken.push(Taken { name: file.name.clone(), hash });
        let cursor = Some(cursor(taken)?);
        if twin {
            let reading = reading(files, file, scan);
            return emit(Batch { cursor, ..Batch::of(RecordBatch::new_empty(reading.projected()?)) });
        }
        let mut handed_over = false;
        let expected = Expected { version: Some(version), cursor };
        let result = self.readable(files, file, scan).and_then(|()| {
            files.read_file(file, scan, &expected, &mut |batch| {
                handed_over = true;
                emit(batch)
            })
        });
        match result {
            Err(error) if !handed_over && is_unreadable(&error) => {
                taken.pop();
                self.remove_marker(&file.name)?;
                self.shelf.bad(&self.folder, &file.name, &error)
            }
            Err(error) if !handed_over && waits(&error) => {
                taken.pop();
                tracing::info!(file = file.name, %error, "the file waits for the next run");
                Ok(())
            }
            other => other,
        }
    }

    /// Reads a file of a format that can break in its middle to its end, before any of its rows leave.
    fn readable(&self, files: &Files, file: &FoundFile, scan: &Scan) -> Result<()> {
        if !matches!(file.kind, Kind::Json | Kind::Parquet) {
            return Ok(());
        }
        let opened = self.folder.read(&file.name)?;
        let (_, watch) = opened.watch().map_err(|error| explain(error, "the file cannot be read"))?;
        let reading = reading(files, file, scan);
        watch.settle(reader::read(file.kind, opened, &files.entity, &files.format, reading, &mut |_| {
            if files.stop.is_set() { Err(stopped()) } else { Ok(()) }
        }))
    }

    /// Puts away a file with a content that was taken before. In a store it may be one whose move broke off between
    /// the copy and the removal: that is brought to its end.
    fn put_away(&self, name: &str, entry: &Entry) -> Result<()> {
        let broken_off = !self.folder.moves_in_one_step()
            && entry.name == name
            && hash_there(self.shelf.done_folder(), &entry.done)?.is_some_and(|hash| hash == entry.hash);
        if broken_off {
            return self.folder.remove(name, "the file cannot be removed");
        }
        self.shelf.duplicate(&self.folder, name, entry)
    }

    /// A marker goes before its file: one that stayed would vouch for the next file of that name.
    fn remove_marker(&self, name: &str) -> Result<()> {
        let Some(marker) = ready::marker(&self.settings, name) else { return Ok(()) };
        self.folder.remove(&marker, "the marker cannot be removed")
    }
}

fn reading<'a>(files: &'a Files, file: &'a FoundFile, scan: &'a Scan) -> Reading<'a> {
    Reading { file: &file.name, schema: &files.schema, columns: scan.columns.as_deref(), batch_rows: scan.batch_rows }
}

fn cursor(taken: &[Taken]) -> Result<Cursor> {
    let bytes =
        serde_json::to_vec(taken).map_err(|error| Error::internal("a cursor cannot be written").because(error))?;
    Ok(Cursor(bytes))
}

/// The hash of a file, and what it looked like.
fn hash_of(folder: &Folder, name: &str) -> Result<(String, Version)> {
    let mut opened = folder.read(name)?;
    let failed = |error| explain(error, "the file cannot be read").with("file", name);
    let (version, watch) = opened.watch().map_err(failed)?;
    let hash = watch.settle(hash(&mut opened).map_err(failed));
    if watch.changed(&hash).map_err(failed)? {
        return Err(Error::new(ErrorKind::Conflict, "the file is still being written").with("file", name));
    }
    Ok((hash?, version))
}

/// The hash of a file; `None` if it is not there.
fn hash_there(folder: &Folder, name: &str) -> Result<Option<String>> {
    match hash_of(folder, name) {
        Ok((hash, _)) => Ok(Some(hash)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn hash(file: &mut Opened) -> std::io::Result<String> {
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(format!("{:032x}", hasher.digest128()));
        }
        hasher.update(buffer.get(..count).unwrap_or(&[]));
    }
}

/// The content is at fault: no later run could read it.
fn is_unreadable(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::SchemaMismatch)
}

/// Somebody still works on it.
fn waits(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound)
}
