//! A scratch file in which bytes of several ranges are written as they come and read range by range.

use obmen_sdk::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Runs of bytes by range. The file appears with the first run and goes with this.
#[derive(Debug)]
pub(super) struct Runs {
    path: PathBuf,
    file: Mutex<Option<File>>,
    end: u64,
    /// Per range: where each of its runs starts, and its length.
    ranges: Vec<Vec<(u64, usize)>>,
}

impl Runs {
    /// No runs yet; they will stand in `path`.
    pub(super) fn new(path: &Path, ranges: usize) -> Self {
        Self { path: path.to_owned(), file: Mutex::new(None), end: 0, ranges: vec![Vec::new(); ranges] }
    }

    /// Adds a run to a range.
    pub(super) fn append(&mut self, range: usize, bytes: &[u8]) -> Result<()> {
        let file = match self.file.get_mut().map_err(|_| poisoned())? {
            Some(file) => file,
            empty => {
                let options = File::options().read(true).write(true).create(true).truncate(true).open(&self.path);
                empty.insert(options.map_err(|error| Error::from(error).with("file", self.path.display()))?)
            }
        };
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(bytes).map_err(|error| Error::from(error).with("file", self.path.display()))?;
        self.ranges[range].push((self.end, bytes.len()));
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// The runs of a range, in the order they came.
    pub(super) fn read(&self, range: usize) -> Result<Vec<Vec<u8>>> {
        let mut file = self.file.lock().map_err(|_| poisoned())?;
        let Some(file) = file.as_mut() else { return Ok(Vec::new()) };
        let mut runs = Vec::with_capacity(self.ranges[range].len());
        for (start, length) in &self.ranges[range] {
            let mut bytes = vec![0; *length];
            file.seek(SeekFrom::Start(*start))?;
            file.read_exact(&mut bytes).map_err(|error| Error::from(error).with("file", self.path.display()))?;
            runs.push(bytes);
        }
        Ok(runs)
    }

    /// Bytes of a range.
    pub(super) fn bytes(&self, range: usize) -> usize {
        self.ranges[range].iter().map(|(_, length)| length).sum()
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        if self.file.get_mut().is_ok_and(|file| file.take().is_some())
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(%error, file = %self.path.display(), "a scratch file stays until the run ends");
        }
    }
}

fn poisoned() -> Error {
    Error::internal("work with a scratch file broke off")
}
