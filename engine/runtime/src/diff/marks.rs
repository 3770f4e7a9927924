//! Marks of rows: fixed-size records that begin with a key hash, grouped by ranges of it within a
//! memory budget. What a row is compared by, without its values: some tens of bytes a row.

use super::range_of;
use super::runs::Runs;
use crate::diff::RANGES;
use crate::hash::Hash;
use obmen_sdk::Result;
use std::path::Path;

/// No flaw.
pub(super) const FLAWLESS: u16 = 0;
/// A part without a key.
pub(super) const KEYLESS: u16 = u16::MAX;
const HASH: usize = 16;

/// Marks of one relation.
#[derive(Debug)]
pub(super) struct Marks {
    width: usize,
    ranges: Vec<Vec<u8>>,
    buffered: usize,
    budget: usize,
    spilled: Runs,
}

impl Marks {
    /// Marks of `width` bytes. Up to `budget` bytes stay in memory, more goes to the file `name` in `folder`.
    pub(super) fn new(width: usize, budget: usize, folder: &Path, name: &str) -> Self {
        let spilled = Runs::new(&folder.join(format!("{name}.marks")), RANGES);
        Self { width, ranges: vec![Vec::new(); RANGES], buffered: 0, budget, spilled }
    }

    /// Adds marks that stand one after the other.
    pub(super) fn push(&mut self, marks: &[u8]) -> Result<()> {
        for mark in marks.chunks_exact(self.width) {
            if let Some(range) = self.ranges.get_mut(range_of(hash_in(mark, 0))) {
                range.extend_from_slice(mark);
            }
        }
        self.buffered += marks.len();
        if self.buffered > self.budget {
            for (index, range) in self.ranges.iter_mut().enumerate().filter(|(_, range)| !range.is_empty()) {
                self.spilled.append(index, range)?;
                range.clear();
            }
            self.buffered = 0;
        }
        Ok(())
    }

    /// Bytes of a range.
    pub(super) fn bytes(&self, range: usize) -> usize {
        self.spilled.bytes(range) + self.ranges[range].len()
    }

    /// The marks of the ranges `from..to`, in the order they came within each range.
    pub(super) fn read(&self, from: usize, to: usize) -> Result<Vec<u8>> {
        let mut all = Vec::with_capacity((from..to).map(|range| self.bytes(range)).sum());
        for range in from..to {
            for run in self.spilled.read(range)? {
                all.extend_from_slice(&run);
            }
            all.extend_from_slice(&self.ranges[range]);
        }
        Ok(all)
    }
}

/// The hash that is number `index` in a mark.
pub(super) fn hash_in(mark: &[u8], index: usize) -> Hash {
    let bytes = mark.get(index * HASH..(index + 1) * HASH);
    bytes.and_then(|bytes| <[u8; HASH]>::try_from(bytes).ok()).map_or(0, Hash::from_be_bytes)
}

/// What stands in a mark behind `hashes` hashes: its flaw.
pub(super) fn flaw_in(mark: &[u8], hashes: usize) -> u16 {
    let bytes = mark.get(hashes * HASH..hashes * HASH + 2);
    bytes.and_then(|bytes| <[u8; 2]>::try_from(bytes).ok()).map_or(FLAWLESS, u16::from_be_bytes)
}

/// The bytes of a mark of `hashes` hashes and a flaw.
pub(super) const fn width(hashes: usize) -> usize {
    hashes * HASH + 2
}

/// Appends a mark.
pub(super) fn write(out: &mut Vec<u8>, hashes: impl IntoIterator<Item = Hash>, flaw: u16) {
    for hash in hashes {
        out.extend_from_slice(&hash.to_be_bytes());
    }
    out.extend_from_slice(&flaw.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::end_of;

    #[test]
    fn every_mark_comes_back_in_its_range_spilled_or_not() {
        for budget in [0, 3_000, usize::MAX] {
            let folder = tempfile::tempdir().unwrap();
            let mut marks = Marks::new(width(2), budget, folder.path(), "t");
            let hashes: Vec<Hash> =
                (0..5000_u128).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).collect();
            for part in hashes.chunks(700) {
                let mut bytes = Vec::new();
                for hash in part {
                    write(&mut bytes, [*hash, hash ^ 1], 7);
                }
                marks.push(&bytes).unwrap();
            }
            for _ in 0..2 {
                let mut found = Vec::new();
                let mut low = 0;
                for range in 0..RANGES {
                    for mark in marks.read(range, range + 1).unwrap().chunks_exact(width(2)) {
                        let hash = hash_in(mark, 0);
                        assert!(hash >= low && end_of(range).is_none_or(|end| hash < end));
                        assert_eq!((hash_in(mark, 1), flaw_in(mark, 2)), (hash ^ 1, 7));
                        found.push(hash);
                    }
                    low = end_of(range).unwrap_or(low);
                }
                found.sort_unstable();
                let mut expected = hashes.clone();
                expected.sort_unstable();
                assert_eq!(found, expected, "marks may be read again");
            }
        }
    }
}
