//! A baseline read in the order of key hashes, in runs of rows that one file has before the others.

use super::baseline::Known;
use super::{ACKED, CREATED, GONE, KEY, RECIPE, ROW, RowFile, hash_of};
use crate::hash::Hash;
use arrow::array::{Array, AsArray, BooleanArray, FixedSizeBinaryArray, Int64Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, Result};
use std::ops::Range;

/// Rows of a file in memory at a time.
const BATCH_ROWS: usize = 16 << 10;

/// A baseline being read; of several files with a key the newest wins.
pub(crate) struct BaselineCursor {
    inputs: Vec<Input>,
}

impl BaselineCursor {
    /// Starts with the first rows of files, oldest first.
    pub(super) fn open<'a>(files: impl Iterator<Item = &'a RowFile>) -> Result<Self> {
        Ok(Self { inputs: files.enumerate().map(|(index, file)| Input::open(index, file)).collect::<Result<_>>()? })
    }

    /// The keys below `limit` (`None`: all that are left).
    pub(crate) fn below(&mut self, limit: Option<Hash>) -> Result<Vec<Known>> {
        self.collect(limit, usize::MAX)
    }

    /// The next `rows` keys.
    pub(crate) fn take(&mut self, rows: usize) -> Result<Vec<Known>> {
        self.collect(None, rows)
    }

    fn collect(&mut self, limit: Option<Hash>, rows: usize) -> Result<Vec<Known>> {
        let mut found = Vec::new();
        while found.len() < rows {
            let Some((first, next)) = self.first() else { break };
            let input = &mut self.inputs[first];
            let Some(key) = input.key().filter(|key| limit.is_none_or(|limit| *key < limit)) else { break };
            if next == Some(key) {
                input.push_run(1, &mut found);
                for input in self.inputs.iter_mut().filter(|input| input.key() == Some(key)) {
                    input.advance(1)?;
                }
            } else {
                let end = [limit, next].into_iter().flatten().min();
                let run = input.run_below(end).min(rows - found.len());
                input.push_run(run, &mut found);
                input.advance(run)?;
            }
        }
        Ok(found)
    }

    /// The file with the smallest key, the newest of several, and the smallest key of the others.
    fn first(&self) -> Option<(usize, Option<Hash>)> {
        let mut keys = self.inputs.iter().enumerate().filter_map(|(index, input)| Some((input.key()?, index)));
        let (mut smallest, mut first) = keys.next()?;
        let mut next = None;
        for (key, index) in keys {
            if key <= smallest {
                next = Some(smallest);
                (smallest, first) = (key, index);
            } else if next.is_none_or(|next| key < next) {
                next = Some(key);
            }
        }
        Some((first, next))
    }
}

/// One file being read.
struct Input {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    /// Its number among the files.
    file: usize,
    columns: Option<HashColumns>,
    /// The next row in the batch.
    row: usize,
    /// The number of the batch's first row in the file.
    start: u64,
}

impl Input {
    fn open(index: usize, file: &RowFile) -> Result<Self> {
        let batches = Box::new(file.scan_by(&HashColumns::NAMES, BATCH_ROWS)?);
        let mut input = Self { batches, file: index, columns: None, row: 0, start: 0 };
        input.advance(0)?;
        Ok(input)
    }

    fn key(&self) -> Option<Hash> {
        self.columns.as_ref().map(|columns| columns.key(self.row))
    }

    /// How many of the rows in memory come before `end`: found by doubling steps, as runs are long or very short.
    fn run_below(&self, end: Option<Hash>) -> usize {
        let Some(columns) = &self.columns else { return 0 };
        let left = columns.len() - self.row;
        let Some(end) = end else { return left };
        let mut step = 1;
        while step < left && columns.key(self.row + step) < end {
            step *= 2;
        }
        let (mut low, mut high) = (step / 2, step.min(left));
        while low < high {
            let middle = low + (high - low) / 2;
            if columns.key(self.row + middle) < end {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn push_run(&self, rows: usize, out: &mut Vec<Known>) {
        if let Some(columns) = &self.columns {
            columns.push(self.row..self.row + rows, (self.file, self.start), out);
        }
    }

    fn advance(&mut self, rows: usize) -> Result<()> {
        self.row += rows;
        while self.columns.as_ref().is_none_or(|columns| self.row >= columns.len()) {
            self.start += self.columns.as_ref().map_or(0, HashColumns::len) as u64;
            self.row = 0;
            self.columns = None;
            let Some(batch) = self.batches.next() else { break };
            self.columns = Some(HashColumns::of(&batch?)?);
        }
        Ok(())
    }
}

/// The columns of a baseline file that say what is known, without values.
pub(super) struct HashColumns {
    key: FixedSizeBinaryArray,
    row: FixedSizeBinaryArray,
    recipe: Int64Array,
    gone: BooleanArray,
    created: Int64Array,
    acked: Int64Array,
}

impl HashColumns {
    pub(super) const NAMES: [&str; 6] = [KEY, ROW, RECIPE, GONE, CREATED, ACKED];

    pub(super) fn of(batch: &RecordBatch) -> Result<Self> {
        let missing = |name: &str| Error::invalid_data(format!("a baseline file has no proper column {name}"));
        let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
        let long = |name: &str| column(name)?.as_primitive_opt::<Int64Type>().cloned().ok_or_else(|| missing(name));
        let hash = |name: &str| {
            let array = column(name)?.as_fixed_size_binary_opt().filter(|array| array.value_length() == 16);
            array.cloned().ok_or_else(|| missing(name))
        };
        Ok(Self {
            key: hash(KEY)?,
            row: hash(ROW)?,
            recipe: long(RECIPE)?,
            gone: column(GONE)?.as_boolean_opt().cloned().ok_or_else(|| missing(GONE))?,
            created: long(CREATED)?,
            acked: long(ACKED)?,
        })
    }

    fn len(&self) -> usize {
        self.key.len()
    }

    fn key(&self, row: usize) -> Hash {
        super::hash_at(&self.key, row)
    }

    /// Adds what the rows `rows` say; `from`: the number of their file, and of row 0 in it.
    pub(super) fn push(&self, rows: Range<usize>, from: (usize, u64), out: &mut Vec<Known>) {
        let hashes = |array: &FixedSizeBinaryArray| array.slice(rows.start, rows.len());
        let (keys, hashes) = (hashes(&self.key), hashes(&self.row));
        let keys = keys.value_data().chunks_exact(16).map(hash_of);
        let hashes = hashes.value_data().chunks_exact(16).map(hash_of);
        let longs = |array: &Int64Array| array.slice(rows.start, rows.len());
        let (recipe, created, acked) = (longs(&self.recipe), longs(&self.created), longs(&self.acked));
        let longs = recipe.values().iter().zip(created.values()).zip(acked.values());
        let rest = longs.zip(rows.clone().zip(from.1 + rows.start as u64..));
        out.extend(keys.zip(hashes).zip(rest).map(|((key, row), (((recipe, created), acked), (in_batch, at)))| {
            Known {
                key,
                row,
                recipe: *recipe,
                gone: self.gone.value(in_batch),
                created: *created,
                acked: *acked,
                file: from.0,
                at,
            }
        }));
    }
}
