//! Which pages of a file can hold a hash: found by the first hash of every page.

use crate::hash::Hash;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use std::ops::Range;

/// The first row and the smallest hash of every page of a sorted column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Minima {
    pages: Vec<(u64, Hash)>,
    rows: u64,
}

impl Minima {
    /// Those of the column `name`. A file that does not say them is one page, which can hold anything.
    pub(super) fn of(with_columns: &ParquetMetaData, with_offsets: &ParquetMetaData, name: &str) -> Self {
        let mut minima = Self::default();
        for (index, group) in with_columns.row_groups().iter().enumerate() {
            let leaf = group.columns().iter().position(|column| column.column_path().string() == name);
            let Some(pages) = leaf.and_then(|leaf| pages(with_columns, with_offsets, index, leaf)) else {
                let rows = with_columns.file_metadata().num_rows().unsigned_abs();
                return Self { pages: vec![(0, 0)], rows };
            };
            minima.pages.extend(pages.into_iter().map(|(row, hash)| (minima.rows + row, hash)));
            minima.rows += group.num_rows().unsigned_abs();
        }
        minima
    }

    /// The rows of the pages that can hold one of `wanted` (ascending), as ascending ranges.
    pub(super) fn ranges(&self, wanted: &[Hash]) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for hash in wanted {
            // equal hashes may begin in the page before the first one that begins with them
            let first = self.pages.partition_point(|(_, least)| least < hash).saturating_sub(1);
            let end = self.pages.partition_point(|(_, least)| least <= hash);
            if first >= end {
                continue;
            }
            let start = self.pages.get(first).map_or(self.rows, |(row, _)| *row);
            let end = self.pages.get(end).map_or(self.rows, |(row, _)| *row);
            match ranges.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => ranges.push(start..end),
            }
        }
        ranges
    }
}

fn pages(
    with_columns: &ParquetMetaData,
    with_offsets: &ParquetMetaData,
    group: usize,
    leaf: usize,
) -> Option<Vec<(u64, Hash)>> {
    let offsets = with_offsets.offset_index()?.get(group)?.get(leaf)?.page_locations();
    let ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index) = with_columns.column_index()?.get(group)?.get(leaf)? else {
        return None;
    };
    let mut pages = Vec::with_capacity(offsets.len());
    for (at, location) in offsets.iter().enumerate() {
        let least = (at < usize::try_from(index.num_pages()).ok()?).then(|| index.min_value(at))??;
        pages.push((location.first_row_index.unsigned_abs(), Hash::from_be_bytes(least.try_into().ok()?)));
    }
    Some(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_that_can_hold_a_hash_are_read() {
        let minima = Minima { pages: vec![(0, 10), (5, 20), (10, 20), (15, 30)], rows: 20 };
        assert_eq!(minima.ranges(&[9]), vec![]);
        assert_eq!(minima.ranges(&[10]), vec![0..5]);
        assert_eq!(minima.ranges(&[15]), vec![0..5]);
        assert_eq!(minima.ranges(&[20]), vec![0..15], "equal hashes may lie in several pages");
        assert_eq!(minima.ranges(&[25]), vec![10..15]);
        assert_eq!(minima.ranges(&[11, 31]), vec![0..5, 15..20]);
    }
}
