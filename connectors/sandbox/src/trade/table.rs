//! The rows of one CSV file, in memory, indexed once per change.

use super::schema::Entity;
use obmen_sdk::{Error, Result};
use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

/// How often a file that changes while it is read is read again.
const ATTEMPTS: u32 = 5;

/// What tells one state of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

/// The rows of an entity at one moment. Cells are canonical text, all in one string.
#[derive(Debug)]
pub(crate) struct Table {
    /// The state of the file these rows are of.
    pub(crate) stamp: Option<Stamp>,
    /// Different for every state that was read.
    pub(crate) version: u64,
    width: usize,
    text: String,
    ends: Vec<usize>,
    by_key: Vec<(u64, u32)>,
    sets: OnceLock<Vec<Vec<u32>>>,
}

impl Stamp {
    /// The present state of a file.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { modified: metadata.modified().ok(), length: metadata.len() })
    }
}

impl Table {
    /// Reads the file of an entity, whole and of one moment; a set without a file is empty.
    ///
    /// # Errors
    /// The file is not there, is not the CSV of this entity, or holds a value or key that cannot be:
    /// with line and column.
    pub(crate) fn read(entity: &Entity, version: u64) -> Result<Self> {
        let Some(path) = &entity.file else { return Self::parse(entity, "", None, version) };
        let located = |error: std::io::Error| Error::from(error).with("file", path.display());
        for attempt in 0..ATTEMPTS {
            let before = Stamp::of(path).map_err(located)?;
            let text = fs::read_to_string(path).map_err(located)?;
            let after = Stamp::of(path).map_err(located)?;
            if before == after {
                return Self::parse(entity, &text, Some(after), version)
                    .map_err(|error| error.with("file", path.display()));
            }
            std::thread::sleep(std::time::Duration::from_millis(20 << attempt));
        }
        Err(Error::new(obmen_sdk::ErrorKind::Conflict, "the file changes all the time").with("file", path.display()))
    }

    /// Rows made of cells, `width` cells a row.
    pub(crate) fn of_cells(width: usize, cells: impl Iterator<Item = String>) -> Self {
        let mut table = Self::empty(width, None, 0);
        for cell in cells {
            table.text.push_str(&cell);
            table.ends.push(table.text.len());
        }
        table
    }

    fn empty(width: usize, stamp: Option<Stamp>, version: u64) -> Self {
        let (text, ends, by_key) = (String::new(), Vec::new(), Vec::new());
        Self { stamp, version, width, text, ends, by_key, sets: OnceLock::new() }
    }

    fn parse(entity: &Entity, text: &str, stamp: Option<Stamp>, version: u64) -> Result<Self> {
        let mut table = Self::empty(entity.columns.len(), stamp, version);
        if stamp.is_none() {
            return Ok(table);
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let headers = reader.headers().map_err(|error| Error::invalid_data(error.to_string()))?;
        let places = entity
            .columns
            .iter()
            .map(|field| {
                let place = headers.iter().position(|header| header == field.name);
                place.ok_or_else(|| Error::invalid_data(format!("the header has no column `{}`", field.name)))
            })
            .collect::<Result<Vec<usize>>>()?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| Error::invalid_data(error.to_string()))? {
            for (field, place) in entity.columns.iter().zip(&places) {
                let cell = record.get(*place).unwrap_or("");
                let canonical = field.edm.canonical(cell).map_err(|expected| {
                    let line = record.position().map_or(0, csv::Position::line);
                    Error::invalid_data(format!("`{cell}` is not {expected}"))
                        .with("row", line)
                        .with("column", &field.name)
                })?;
                table.text.push_str(&canonical);
                table.ends.push(table.text.len());
            }
        }
        table.index(&entity.key)?;
        Ok(table)
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len().checked_div(self.width).unwrap_or(0)
    }

    /// A cell.
    pub(crate) fn cell(&self, row: u32, column: usize) -> &str {
        let at = row as usize * self.width + column;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(at).copied().unwrap_or(start);
        self.text.get(start..end).unwrap_or("")
    }

    /// The row whose key columns hold these cells.
    pub(crate) fn find(&self, key: &[usize], cells: &[&str]) -> Option<u32> {
        let wanted = hash(cells.iter().copied());
        let from = self.by_key.partition_point(|(hash, _)| *hash < wanted);
        let candidates = self.by_key.get(from..)?.iter().take_while(|(hash, _)| *hash == wanted);
        candidates
            .map(|(_, row)| *row)
            .find(|row| key.iter().zip(cells).all(|(at, cell)| self.cell(*row, *at) == *cell))
    }

    /// The rows of each recorder, recorders in the order of the file.
    pub(crate) fn sets(&self, recorder: &[usize]) -> &[Vec<u32>] {
        self.sets.get_or_init(|| {
            let mut places: HashMap<Vec<&str>, usize> = HashMap::new();
            let mut sets: Vec<Vec<u32>> = Vec::new();
            for row in self.rows() {
                let key: Vec<&str> = recorder.iter().map(|at| self.cell(row, *at)).collect();
                let place = *places.entry(key).or_insert(sets.len());
                match sets.get_mut(place) {
                    Some(set) => set.push(row),
                    None => sets.push(vec![row]),
                }
            }
            sets
        })
    }

    /// All rows.
    pub(crate) fn rows(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.len()).unwrap_or(u32::MAX)
    }

    fn index(&mut self, key: &[usize]) -> Result<()> {
        let mut by_key: Vec<(u64, u32)> =
            self.rows().map(|row| (hash(key.iter().map(|at| self.cell(row, *at))), row)).collect();
        by_key.sort_unstable();
        for pair in by_key.windows(2) {
            let [(first_hash, first), (second_hash, second)] = pair else { continue };
            let same = |at: &usize| self.cell(*first, *at) == self.cell(*second, *at);
            if first_hash == second_hash && key.iter().all(same) {
                let shown: Vec<&str> = key.iter().map(|at| self.cell(*second, *at)).collect();
                return Err(Error::invalid_data(format!("the key `{}` is there twice", shown.join(", "))));
            }
        }
        self.by_key = by_key;
        Ok(())
    }
}

fn hash<'a>(cells: impl Iterator<Item = &'a str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    cells.for_each(|cell| cell.hash(&mut hasher));
    hasher.finish()
}
