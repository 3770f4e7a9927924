//! What goes together: the due rows of a plan, portion by portion, read from its files as they are needed.

use crate::ahead::Ahead;
use crate::plan_file::{PlanFile, PlanRow, Why};
use obmen_sdk::Result;
use std::collections::{BTreeSet, VecDeque};
use std::iter::Peekable;

/// Due rows of one target that go together.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Index of the target.
    pub(crate) target: usize,
    /// Numbers in the plan file, and the rows.
    pub(crate) rows: Vec<(u64, PlanRow)>,
    /// Numbers of due rows between them that do not go after all.
    pub(crate) left_out: BTreeSet<u64>,
}

impl Part {
    /// Rows of a target, none left out.
    pub(crate) fn of(target: usize, rows: Vec<(u64, PlanRow)>) -> Self {
        Self { target, rows, left_out: BTreeSet::new() }
    }

    /// The rows up to number `count`, and the others.
    pub(crate) fn split(mut self, count: usize) -> (Self, Self) {
        let rest = self.rows.split_off(count.min(self.rows.len()));
        let other = Self { target: self.target, rows: rest, left_out: self.left_out.clone() };
        (self, other)
    }

    /// Leaves rows out.
    pub(crate) fn leave_out(&mut self, numbers: BTreeSet<u64>) {
        self.rows.retain(|(at, _)| !numbers.contains(at));
        self.left_out.extend(numbers);
    }

    /// The first and the last row.
    pub(crate) fn ends(&self) -> (u64, u64) {
        (self.rows.first().map_or(0, |(at, _)| *at), self.rows.last().map_or(0, |(at, _)| *at))
    }
}

/// What one load carries.
pub(crate) type Portion = Vec<Part>;

/// The file of a target whose rows are to be sent.
pub(crate) struct DueFile {
    /// Index of the target.
    pub(crate) target: usize,
    /// Its part of the plan.
    pub(crate) file: PlanFile,
    /// It is written as a whole: its rows are not torn apart.
    pub(crate) whole: bool,
    /// Its rows wait for rows of other targets: it starts a portion of its own, so that those are settled before.
    pub(crate) waits: bool,
}

/// Portions of at most `size` rows, in the order of the files.
pub(crate) struct Portions {
    files: VecDeque<DueFile>,
    current: Option<(DueFile, Peekable<DueRows>)>,
    size: usize,
}

impl Portions {
    /// Nothing is read yet.
    pub(crate) fn new(files: impl IntoIterator<Item = DueFile>, size: usize) -> Self {
        Self { files: files.into_iter().collect(), current: None, size: size.max(1) }
    }

    /// The next portion; `None` after the last.
    ///
    /// # Errors
    /// Those of reading the plan.
    pub(crate) fn next(&mut self) -> Result<Option<Portion>> {
        let mut portion = Portion::new();
        let mut room = self.size;
        loop {
            if !self.has_rows()? {
                return Ok((!portion.is_empty()).then_some(portion));
            }
            let Some((file, rows)) = &mut self.current else { continue };
            let begins = portion.last().is_none_or(|part| part.target != file.target);
            if !portion.is_empty() && (room == 0 || (begins && file.waits)) {
                return Ok(Some(portion));
            }
            let Some(row) = rows.next().transpose()? else { continue };
            // a list that is written whole is not torn apart
            if !file.whole {
                room = room.saturating_sub(1);
            }
            match portion.last_mut() {
                Some(part) if part.target == file.target => part.rows.push(row),
                _ => portion.push(Part::of(file.target, vec![row])),
            }
        }
    }

    /// Goes on to the next file that has due rows left.
    fn has_rows(&mut self) -> Result<bool> {
        loop {
            if let Some((_, rows)) = &mut self.current
                && rows.peek().is_some()
            {
                return Ok(true);
            }
            let Some(file) = self.files.pop_front() else { return Ok(false) };
            let rows = DueRows::open(&file.file)?.peekable();
            self.current = Some((file, rows));
        }
    }
}

/// The due rows of a file with their numbers.
struct DueRows {
    batches: Ahead<Vec<PlanRow>>,
    rows: std::vec::IntoIter<PlanRow>,
    next: u64,
}

impl DueRows {
    fn open(file: &PlanFile) -> Result<Self> {
        Ok(Self { batches: Ahead::start(file.scan()?)?, rows: Vec::new().into_iter(), next: 0 })
    }
}

impl Iterator for DueRows {
    type Item = Result<(u64, PlanRow)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            for row in self.rows.by_ref() {
                let at = self.next;
                self.next += 1;
                if row.why == Why::Due {
                    return Some(Ok((at, row)));
                }
            }
            match self.batches.next()? {
                Ok(rows) => self.rows = rows.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
