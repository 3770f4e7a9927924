//! Hashes with row numbers, sorted within a memory budget: sorted runs go to files, which are merged.

use crate::hash::Hash;
use obmen_sdk::{Error, Result};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// A hash and the row that has it.
pub(super) type Entry = (Hash, u64);

/// Bytes of an entry in a file.
const ENTRY_BYTES: usize = 24;
/// Entries of a run at least: fewer files.
const LEAST_ENTRIES: usize = 1 << 16;

/// Entries on their way to be sorted.
pub(super) struct Sorter {
    entries: Vec<Entry>,
    most: usize,
    runs: Vec<PathBuf>,
    folder: tempfile::TempDir,
}

impl Sorter {
    /// Keeps about `budget` bytes in memory, the rest in a folder of its own under `work`.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn new(budget: usize, work: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("index-").tempdir_in(work)?;
        let most = (budget / size_of::<Entry>()).max(LEAST_ENTRIES);
        Ok(Self { entries: Vec::new(), most, runs: Vec::new(), folder })
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn push(&mut self, entry: Entry) -> Result<()> {
        self.entries.push(entry);
        if self.entries.len() < self.most { Ok(()) } else { self.spill() }
    }

    /// Gives the entries in order to `each`, some at a time.
    ///
    /// # Errors
    /// Those of the disk and of `each`.
    pub(super) fn drain(mut self, rows: usize, mut each: impl FnMut(&[Entry]) -> Result<()>) -> Result<()> {
        if self.runs.is_empty() {
            self.entries.sort_unstable();
            return self.entries.chunks(rows).try_for_each(each);
        }
        self.spill()?;
        self.entries = Vec::with_capacity(rows);
        let mut runs = self.runs.iter().map(|run| Run::open(run)).collect::<Result<Vec<_>>>()?;
        let mut heap = BinaryHeap::new();
        for (index, run) in runs.iter_mut().enumerate() {
            heap.extend(run.next()?.map(|entry| Reverse((entry, index))));
        }
        while let Some(Reverse((entry, index))) = heap.pop() {
            self.entries.push(entry);
            heap.extend(runs[index].next()?.map(|entry| Reverse((entry, index))));
            if self.entries.len() == rows {
                each(&self.entries)?;
                self.entries.clear();
            }
        }
        if self.entries.is_empty() { Ok(()) } else { each(&self.entries) }
    }

    fn spill(&mut self) -> Result<()> {
        self.entries.sort_unstable();
        let path = self.folder.path().join(self.runs.len().to_string());
        let mut file = BufWriter::new(File::create(&path)?);
        for (hash, row) in self.entries.drain(..) {
            file.write_all(&hash.to_le_bytes())?;
            file.write_all(&row.to_le_bytes())?;
        }
        file.into_inner().map_err(|error| Error::from(error.into_error()))?;
        self.runs.push(path);
        Ok(())
    }
}

/// A sorted run being read.
struct Run {
    file: BufReader<File>,
    left: u64,
}

impl Run {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let left = file.metadata()?.len() / ENTRY_BYTES as u64;
        Ok(Self { file: BufReader::with_capacity(64 << 10, file), left })
    }

    fn next(&mut self) -> Result<Option<Entry>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (mut hash, mut row) = ([0; 16], [0; 8]);
        self.file.read_exact(&mut hash)?;
        self.file.read_exact(&mut row)?;
        Ok(Some((Hash::from_le_bytes(hash), u64::from_le_bytes(row))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_sorted_whether_they_fit_in_memory_or_not() {
        let entries: Vec<Entry> =
            (0..200_000_u64).map(|n| (Hash::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40), n)).collect();
        let mut expected = entries.clone();
        expected.sort_unstable();
        for budget in [0, usize::MAX] {
            let work = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::new(budget, work.path()).unwrap();
            for entry in &entries {
                sorter.push(*entry).unwrap();
            }
            assert_eq!(sorter.runs.is_empty(), budget > 0);
            let mut found = Vec::new();
            let keep = |some: &[Entry]| {
                found.extend_from_slice(some);
                Ok(())
            };
            sorter.drain(1000, keep).unwrap();
            assert_eq!(found, expected);
            assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0, "nothing is left behind");
        }
    }
}
