//! Which contents were taken before: a small file that only grows.

use crate::folder::explain;
use chrono::{DateTime, Utc};
use obmen_sdk::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind as Io, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A content that was taken: a line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) hash: String,
    /// What the file was called in the inbox.
    pub(super) name: String,
    /// What it is called in `done`.
    pub(super) done: String,
    /// When, in seconds since 1970.
    at_seconds: i64,
}

impl Entry {
    pub(super) fn new(hash: &str, name: &str, done: String, at: DateTime<Utc>) -> Self {
        Self { hash: hash.to_owned(), name: name.to_owned(), done, at_seconds: at.timestamp() }
    }

    /// When it was taken.
    pub(super) fn at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.at_seconds, 0).unwrap_or_default()
    }
}

/// The file of one inbox and entity.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    path: PathBuf,
}

impl Memory {
    /// The memory of an inbox in a folder of our own.
    pub(super) fn new(scratch: &Path, inbox: &str) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_64(inbox.as_bytes());
        Self { path: scratch.join(format!("inbox-{hash:016x}.jsonl")) }
    }

    /// Everything taken so far, by hash; the first time counts. A line torn by a crash was never confirmed and is passed over.
    pub(super) fn load(&self) -> Result<BTreeMap<String, Entry>> {
        let bytes = match std::fs::read(&self.path) {
            Err(error) if error.kind() == Io::NotFound => return Ok(BTreeMap::new()),
            other => other.map_err(|error| self.failed(error, "read"))?,
        };
        let mut entries = BTreeMap::new();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<Entry>(line) {
                Ok(entry) => drop(entries.entry(entry.hash.clone()).or_insert(entry)),
                Err(error) => {
                    tracing::warn!(file = %self.path.display(), %error, "a line of the inbox's memory is torn");
                }
            }
        }
        Ok(entries)
    }

    /// Adds entries; they are on the disk when this returns.
    pub(super) fn append(&self, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.write(entries).map_err(|error| self.failed(error, "written"))
    }

    fn write(&self, entries: &[Entry]) -> std::io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
        let mut lines = Vec::new();
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                lines.push(b'\n');
            }
        }
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        file.write_all(&lines)?;
        file.sync_all()?;
        self.path.parent().map_or(Ok(()), crate::folder::sync_folder)
    }

    fn failed(&self, error: std::io::Error, what: &str) -> Error {
        explain(error, &format!("the inbox's memory cannot be {what}")).with("file", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(hash: &str) -> Entry {
        Entry::new(hash, "x.csv", "x.csv".to_owned(), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_line_torn_by_a_crash_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(folder.path(), "inbox");
        assert!(memory.load().unwrap().is_empty());
        memory.append(&[entry("a")]).unwrap();
        let mut bytes = std::fs::read(&memory.path).unwrap();
        bytes.extend(b"{\"hash\":\"b\",\"na");
        std::fs::write(&memory.path, bytes).unwrap();
        memory.append(&[entry("c"), entry("a")]).unwrap();
        let loaded = memory.load().unwrap();
        assert_eq!(loaded.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "c"]);
    }
}
