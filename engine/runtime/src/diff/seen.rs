//! What is known, small enough to be asked while a relation is read: so the values of rows that differ are kept the
//! first time, and the relation need not be read again for them.

use crate::hash::Hash;
use crate::table::{Baseline, Known};
use obmen_sdk::Result;

/// Rows taken from a baseline at a time.
const READ_ROWS: usize = 16 << 10;
/// Rows of a bucket, on the average.
const BUCKET_ROWS: u64 = 8;
/// Bytes a row takes: a print, and its share of a bucket's start.
const ROW_BYTES: u64 = 5;

/// Prints of the rows a baseline knows: 32 bits of key and row, in buckets by the first bits of the key.
/// A row that is known is always found; one that is not, once in half a billion.
#[derive(Debug)]
pub(super) struct Seen {
    prints: Vec<u32>,
    /// Where each bucket starts, and the end.
    starts: Vec<u32>,
    /// Bits of a key that say its bucket.
    bits: u32,
}

impl Seen {
    /// What a baseline knows; `None` if that takes more than `budget` bytes.
    ///
    /// # Errors
    /// Those of the state.
    pub(super) fn of(baseline: &Baseline, budget: usize) -> Result<Option<Self>> {
        let rows = baseline.rows();
        if rows * ROW_BYTES > budget as u64 || u32::try_from(rows).is_err() {
            return Ok(None);
        }
        let bits = (rows / BUCKET_ROWS).max(1).ilog2();
        // a vector that grows would hold twice as much for a moment
        let (mut starts, prints) =
            (Vec::with_capacity((1 << bits) + 1), Vec::with_capacity(usize::try_from(rows).unwrap_or(0)));
        starts.push(0);
        let mut seen = Self { prints, starts, bits };
        let mut cursor = baseline.cursor()?;
        loop {
            let known = cursor.take(READ_ROWS)?;
            if known.is_empty() {
                seen.begin_buckets(1 << seen.bits);
                return Ok(Some(seen));
            }
            known.iter().filter(|known| !known.gone).for_each(|known| seen.add(known));
        }
    }

    /// Whether a key is known with these values (or, rarely, another one).
    pub(super) fn has(&self, key: Hash, row: Hash) -> bool {
        let bucket = self.bucket(key);
        let ends = (self.starts.get(bucket), self.starts.get(bucket + 1));
        let (Some(start), Some(end)) = ends else { return false };
        let prints = self.prints.get(*start as usize..*end as usize).unwrap_or_default();
        prints.contains(&print(key, row))
    }

    /// Adds a row; keys ascend.
    fn add(&mut self, known: &Known) {
        self.begin_buckets(self.bucket(known.key));
        self.prints.push(print(known.key, known.row));
    }

    /// Begins all buckets up to one; there are no more rows of those before.
    fn begin_buckets(&mut self, bucket: usize) {
        let start = u32::try_from(self.prints.len()).unwrap_or(u32::MAX);
        while self.starts.len() <= bucket {
            self.starts.push(start);
        }
    }

    fn bucket(&self, key: Hash) -> usize {
        usize::try_from(key.checked_shr(Hash::BITS - self.bits).unwrap_or(0)).unwrap_or(0)
    }
}

/// Both hashes are random, so that any bits of them will do.
fn print(key: Hash, row: Hash) -> u32 {
    u32::try_from((key ^ row) & Hash::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen_of(mut rows: Vec<(Hash, Hash)>) -> Seen {
        rows.sort_unstable();
        let mut seen =
            Seen { prints: Vec::new(), starts: vec![0], bits: (rows.len() as u64 / BUCKET_ROWS).max(1).ilog2() };
        for (key, row) in rows {
            seen.begin_buckets(seen.bucket(key));
            seen.prints.push(print(key, row));
        }
        seen.begin_buckets(1 << seen.bits);
        seen
    }

    proptest! {
        #[test]
        fn every_known_row_is_found_and_another_one_is_not(
            rows in proptest::collection::vec((any::<u128>(), any::<u128>()), 0..300),
            others in proptest::collection::vec((any::<u128>(), any::<u128>()), 0..50),
        ) {
            let seen = seen_of(rows.clone());
            for (key, row) in &rows {
                prop_assert!(seen.has(*key, *row));
                prop_assert!(!seen.has(*key, row ^ 1), "a changed row");
            }
            for (key, row) in others.iter().filter(|other| !rows.contains(other)) {
                prop_assert!(!seen.has(*key, *row));
            }
        }
    }
}
