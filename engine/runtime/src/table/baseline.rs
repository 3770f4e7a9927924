//! What a sink is known to have: the files of its baseline as one table.

use super::{ACKED, CREATED, FileWriter, GONE, KEY, RECIPE, ROW, RowFile, align, hash_at};
use crate::hash::Hash;
use crate::state::{ScopeId, SegmentRecord, State};
use arrow::array::{Array, AsArray, BooleanArray, FixedSizeBinaryArray, Int64Array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, Result};
use std::sync::Arc;

/// Files whose size is within this factor of the newer ones are merged with them.
const MERGE_RATIO: u64 = 4;
/// Rows merged at a time.
const MERGE_ROWS: usize = 50_000;

/// The files of a baseline, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Baseline {
    files: Vec<(SegmentRecord, RowFile)>,
}

/// What is known of one key, without its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) key: Hash,
    pub(crate) row: Hash,
    pub(crate) recipe: i64,
    pub(crate) gone: bool,
    pub(crate) created: i64,
    pub(crate) acked: i64,
    file: usize,
    at: u64,
}

impl Baseline {
    /// Opens the files of a scope.
    pub(crate) fn open(state: &State, scope: ScopeId) -> Result<Self> {
        let files = state
            .segments(scope)?
            .into_iter()
            .map(|segment| {
                let file = RowFile::open(state.folder(), &segment.file)?;
                Ok((segment, file))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { files })
    }

    /// Whether nothing was ever known.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether any row was compared under another recipe.
    pub(crate) fn has_other_recipes(&self, recipe: i64) -> Result<bool> {
        for (_, file) in &self.files {
            if !file.holds_only(RECIPE, recipe)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Starts reading in the order of key hashes.
    pub(crate) fn cursor(&self) -> Result<BaselineCursor> {
        let inputs = self.files.iter().map(|(_, file)| Input::open(file)).collect::<Result<Vec<_>>>()?;
        Ok(BaselineCursor { inputs })
    }

    /// The values of known keys, with the columns of `schema`, in the order given (ascending keys).
    pub(crate) fn values(&self, known: &[Known], schema: &SchemaRef) -> Result<RecordBatch> {
        let mut batches = Vec::with_capacity(self.files.len());
        for (index, (_, file)) in self.files.iter().enumerate() {
            let rows: Vec<u64> = known.iter().filter(|row| row.file == index).map(|row| row.at).collect();
            batches.push(if rows.is_empty() {
                RecordBatch::new_empty(Arc::clone(schema))
            } else {
                align(&file.rows(&rows)?, schema)?
            });
        }
        let mut next = vec![0_usize; batches.len()];
        let order: Vec<(usize, usize)> = known
            .iter()
            .map(|row| {
                let at = next[row.file];
                next[row.file] += 1;
                (row.file, at)
            })
            .collect();
        if order.is_empty() {
            return Ok(RecordBatch::new_empty(Arc::clone(schema)));
        }
        let batches: Vec<&RecordBatch> = batches.iter().collect();
        Ok(interleave_record_batch(&batches, &order)?)
    }

    /// The columns that any file has beside ours: the newest file's first.
    pub(crate) fn value_schema(&self) -> SchemaRef {
        let mut fields: Vec<arrow::datatypes::FieldRef> = Vec::new();
        for (_, file) in self.files.iter().rev() {
            for field in file.schema().fields() {
                let known = fields.iter().any(|other| other.name() == field.name());
                if !known && !field.name().starts_with(super::OURS) {
                    fields.push(Arc::clone(field));
                }
            }
        }
        Arc::new(Schema::new(fields))
    }
}

impl State {
    /// Merges files of a baseline that are of similar size, newest first. Readers that opened the old
    /// files before keep them; the files are removed when nobody names them any more.
    pub(crate) fn compact(&self, scope: ScopeId) -> Result<()> {
        let baseline = Baseline::open(self, scope)?;
        let start = merge_from(&baseline.files.iter().map(|(segment, _)| segment.rows).collect::<Vec<_>>());
        let merged = Baseline { files: baseline.files.get(start..).unwrap_or_default().to_vec() };
        if merged.files.len() < 2 {
            return Ok(());
        }
        let ids: Vec<i64> = merged.files.iter().map(|(segment, _)| segment.id).collect();
        let name = format!("baseline/{}-{}.parquet", scope.0, ulid::Ulid::generate());
        let rows = merged.write_merged(self, &name)?;
        self.replace_segments(scope, &ids, Some((&name, rows)))
    }
}

impl Baseline {
    fn write_merged(&self, state: &State, name: &str) -> Result<u64> {
        let mut fields = super::baseline_fields();
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

/// A baseline being read in the order of key hashes; of several files with a key the newest wins.
pub(crate) struct BaselineCursor {
    inputs: Vec<Input>,
}

impl BaselineCursor {
    /// The keys below `limit` (`None`: all that are left).
    pub(crate) fn below(&mut self, limit: Option<Hash>) -> Result<Vec<Known>> {
        self.collect(|key, _| limit.is_none_or(|limit| key < limit))
    }

    /// The next `rows` keys.
    pub(crate) fn take(&mut self, rows: usize) -> Result<Vec<Known>> {
        self.collect(|_, taken| taken < rows)
    }

    fn collect(&mut self, wanted: impl Fn(Hash, usize) -> bool) -> Result<Vec<Known>> {
        let mut found = Vec::new();
        while let Some(key) = self.inputs.iter().filter_map(Input::key).min() {
            if !wanted(key, found.len()) {
                break;
            }
            let mut newest = None;
            for (index, input) in self.inputs.iter_mut().enumerate() {
                if input.key() == Some(key) {
                    newest = input.known(index);
                    input.advance()?;
                }
            }
            found.extend(newest);
        }
        Ok(found)
    }
}

/// One file being read.
struct Input {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    current: Option<Columns>,
    row: usize,
    at: u64,
}

struct Columns {
    key: FixedSizeBinaryArray,
    row: FixedSizeBinaryArray,
    recipe: Int64Array,
    gone: BooleanArray,
    created: Int64Array,
    acked: Int64Array,
}

impl Input {
    fn open(file: &RowFile) -> Result<Self> {
        let batches = Box::new(file.scan(&[KEY, ROW, RECIPE, GONE, CREATED, ACKED])?);
        let mut input = Self { batches, current: None, row: 0, at: 0 };
        input.next_batch()?;
        Ok(input)
    }

    fn key(&self) -> Option<Hash> {
        self.current.as_ref().map(|columns| hash_at(&columns.key, self.row))
    }

    fn known(&self, file: usize) -> Option<Known> {
        self.current.as_ref().map(|columns| Known {
            key: hash_at(&columns.key, self.row),
            row: hash_at(&columns.row, self.row),
            recipe: columns.recipe.value(self.row),
            gone: columns.gone.value(self.row),
            created: columns.created.value(self.row),
            acked: columns.acked.value(self.row),
            file,
            at: self.at,
        })
    }

    fn advance(&mut self) -> Result<()> {
        self.row += 1;
        self.at += 1;
        match &self.current {
            Some(columns) if self.row < columns.key.len() => Ok(()),
            _ => self.next_batch(),
        }
    }

    fn next_batch(&mut self) -> Result<()> {
        self.row = 0;
        self.current = None;
        for batch in self.batches.by_ref() {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.current = Some(Columns::of(&batch)?);
                break;
            }
        }
        Ok(())
    }
}

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self> {
        let column = |name: &str| {
            batch
                .column_by_name(name)
                .ok_or_else(|| Error::invalid_data(format!("a baseline file has no column {name}")))
        };
        let long = |name: &str| column(name).map(|array| array.as_primitive::<Int64Type>().clone());
        Ok(Self {
            key: column(KEY)?.as_fixed_size_binary().clone(),
            row: column(ROW)?.as_fixed_size_binary().clone(),
            recipe: long(RECIPE)?,
            gone: column(GONE)?.as_boolean().clone(),
            created: long(CREATED)?,
            acked: long(ACKED)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Durability;
    use crate::table::{baseline_fields, hash_array};
    use arrow::array::{ArrayRef, StringArray};
    use arrow::datatypes::{DataType, Field};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn files_of_similar_size_are_merged_and_large_ones_left_alone() {
        assert_eq!(merge_from(&[1_000_000, 10, 10]), 1);
        assert_eq!(merge_from(&[30, 10]), 0);
        assert_eq!(merge_from(&[1_000_000, 100, 10]), 2);
        assert_eq!(merge_from(&[5]), 0);
        assert_eq!(merge_from(&[]), 0);
    }

    /// What a key is known to be: its value, or gone.
    type Naive = BTreeMap<Hash, (Option<String>, i64)>;

    fn values() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("value", DataType::Utf8, true)]))
    }

    fn commit(state: &State, scope: ScopeId, seq: i64, rows: &BTreeMap<Hash, Option<String>>) {
        let mut fields = baseline_fields();
        fields.extend(values().fields().iter().map(|field| field.as_ref().clone()));
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let keys: Vec<Hash> = rows.keys().copied().collect();
        let longs = |value: i64| Arc::new(Int64Array::from(vec![value; keys.len()])) as ArrayRef;
        let columns: Vec<ArrayRef> = vec![
            hash_array(&keys),
            hash_array(&keys),
            longs(1),
            Arc::new(rows.values().map(|value| Some(value.is_none())).collect::<BooleanArray>()),
            longs(seq),
            longs(seq),
            Arc::new(rows.values().cloned().collect::<StringArray>()),
        ];
        let name = format!("baseline/{seq}.parquet");
        let mut writer = FileWriter::create(state.folder(), &name, Arc::clone(&schema), Durability::Scratch).unwrap();
        writer.write(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
        let count = writer.finish().unwrap();
        state.add_segment(scope, &name, count, &[]).unwrap();
    }

    fn read(state: &State, scope: ScopeId, step: usize) -> Naive {
        let baseline = Baseline::open(state, scope).unwrap();
        let mut cursor = baseline.cursor().unwrap();
        let mut found = Naive::new();
        let mut last = None;
        loop {
            let known = cursor.take(step).unwrap();
            if known.is_empty() {
                return found;
            }
            let batch = baseline.values(&known, &values()).unwrap();
            let texts = batch.column(0).as_string::<i32>();
            for (at, known) in known.iter().enumerate() {
                assert!(last < Some(known.key), "ascending, each key once");
                last = Some(known.key);
                let value = (!known.gone).then(|| texts.value(at).to_owned());
                found.insert(known.key, (value, known.acked));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        /// Many commits, read as one table, compacted or not, are what a map would hold.
        #[test]
        fn a_baseline_is_the_last_word_on_every_key(
            commits in proptest::collection::vec(
                proptest::collection::btree_map(0_u8..40, proptest::option::of(0_u8..5), 1..30), 1..8),
            compact in any::<bool>(),
            step in 1_usize..50,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let state = State::open(folder.path(), Durability::Scratch).unwrap();
            let scope = state.scope("t", "shop", "here").unwrap();
            let mut naive = Naive::new();
            for (seq, rows) in (1_i64..).zip(&commits) {
                let rows: BTreeMap<Hash, Option<String>> = rows
                    .iter()
                    .map(|(key, value)| (Hash::from(*key) << 120 | 7, value.map(|value| value.to_string())))
                    .collect();
                commit(&state, scope, seq, &rows);
                naive.extend(rows.into_iter().map(|(key, value)| (key, (value, seq))));
                if compact {
                    state.compact(scope).unwrap();
                }
            }
            prop_assert_eq!(read(&state, scope, step), naive);
            if compact {
                prop_assert!(state.segments(scope).unwrap().len() <= commits.len());
            }
            crate::table::remove_orphans(&state).unwrap();
            prop_assert!(!read(&state, scope, 1000).is_empty());
        }
    }

    #[test]
    fn what_a_crash_left_half_written_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path(), Durability::Scratch).unwrap();
        let scope = state.scope("t", "shop", "here").unwrap();
        commit(&state, scope, 1, &BTreeMap::from([(1, Some("a".to_owned()))]));
        std::fs::write(folder.path().join("baseline/9.part"), b"half").unwrap();
        std::fs::write(folder.path().join("plans/unnamed.parquet"), b"whole, but nobody names it").unwrap();
        assert_eq!(crate::table::remove_orphans(&state).unwrap(), 2);
        assert_eq!(read(&state, scope, 10).len(), 1);
    }
}
