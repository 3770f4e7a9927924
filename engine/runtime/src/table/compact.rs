//! Merging the files of a baseline, so that reading many commits costs what reading one does.

use super::baseline::Baseline;
use super::{FileWriter, baseline_fields};
use crate::state::{ScopeId, State};
use arrow::datatypes::{Schema, SchemaRef};
use obmen_sdk::Result;
use std::sync::Arc;

/// An older file is merged with the newer ones when they together have reached this part of it.
const MERGE_RATIO: u64 = 4;
/// Rows merged at a time: with their values they are in memory.
const MERGE_ROWS: usize = 8192;

impl State {
    /// Merges files of a baseline that are of similar size, newest first. Rows that are gone stay, as
    /// older files may still have them. Readers that opened the old files keep them; the files are
    /// removed by the next run. It may be left out or cut off at any time: nothing depends on it.
    pub(crate) fn compact(&self, scope: ScopeId) -> Result<()> {
        let rows: Vec<u64> = self.segments(scope)?.iter().map(|segment| segment.rows).collect();
        let start = merge_from(&rows);
        if rows.len() - start < 2 {
            return Ok(());
        }
        let mut merged = Baseline::open(self, scope)?;
        merged.files.drain(..start);
        let ids: Vec<i64> = merged.files.iter().map(|(segment, _)| segment.id).collect();
        let name = format!("baseline/{}-{}.parquet", scope.0, ulid::Ulid::generate());
        let rows = merged.write_merged(self, &name)?;
        self.replace_segments(scope, &ids, Some((&name, rows)))
    }
}

impl Baseline {
    fn write_merged(&self, state: &State, name: &str) -> Result<u64> {
        let mut fields = baseline_fields();
        fields.extend(self.value_schema().fields().iter().map(|field| field.as_ref().clone()));
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let mut writer = FileWriter::create(state.folder(), name, Arc::clone(&schema), state.durability())?;
        let mut cursor = self.cursor()?;
        loop {
            let rows = cursor.take(MERGE_ROWS)?;
            if rows.is_empty() {
                return writer.finish();
            }
            writer.write(&self.values(&rows, &schema)?)?;
        }
    }
}

/// The first file of the run of newest files that are worth merging.
fn merge_from(rows: &[u64]) -> usize {
    let mut start = rows.len().saturating_sub(1);
    let mut newer = rows.last().copied().unwrap_or(0);
    while start > 0 && rows[start - 1] <= newer.saturating_mul(MERGE_RATIO) {
        start -= 1;
        newer += rows[start];
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_similar_size_are_merged_and_large_ones_left_alone() {
        assert_eq!(merge_from(&[1_000_000, 10, 10]), 1);
        assert_eq!(merge_from(&[30, 10]), 0);
        assert_eq!(merge_from(&[1_000_000, 100, 10]), 2);
        assert_eq!(merge_from(&[5]), 0);
        assert_eq!(merge_from(&[]), 0);
    }
}
