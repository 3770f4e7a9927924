//! Reading a file of rows: in order, or just some rows.

use super::write::parquet_error;
use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use obmen_sdk::{Error, Result};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::statistics::Statistics;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows per batch when a file is read in order.
const BATCH_ROWS: usize = 8192;

/// A file of rows. Cheap to clone; opened anew for every read, so that it can be replaced meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct RowFile {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
}

impl RowFile {
    /// Opens a file and reads its footer and page index.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let file = File::open(&path).map_err(|error| Error::from(error).with("file", path.display()))?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&file, options)
            .map_err(|error| parquet_error(error).with("file", path.display()))?;
        Ok(Self { path, metadata })
    }

    /// The columns of the file.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// The rows of the columns `names` that the file has, in order.
    pub(crate) fn scan(&self, names: &[&str]) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let reader = self.reader(Some(names), None)?;
        Ok(reader.map(|batch| batch.map_err(Error::from)))
    }

    /// The columns `names` of the rows from `first` to `last`, in order; pages outside are not read.
    pub(crate) fn range(
        &self,
        names: &[&str],
        first: u64,
        last: u64,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let mut selectors = vec![RowSelector::select(count(last - first + 1))];
        if first > 0 {
            selectors.insert(0, RowSelector::skip(count(first)));
        }
        let reader = self.reader(Some(names), Some(RowSelection::from(selectors)))?;
        Ok(reader.map(|batch| batch.map_err(Error::from)))
    }

    /// Whether a whole-number column is known to have nothing but `value` in it.
    pub(crate) fn holds_only(&self, name: &str, value: i64) -> Result<bool> {
        let column = self.schema().index_of(name)?;
        let leaf = self.metadata.parquet_schema().columns().iter().position(|leaf| leaf.path().parts() == [name]);
        let leaf = leaf.unwrap_or(column);
        Ok(self.metadata.metadata().row_groups().iter().all(|group| match group.column(leaf).statistics() {
            Some(Statistics::Int64(found)) => found.min_opt() == Some(&value) && found.max_opt() == Some(&value),
            _ => false,
        }))
    }

    /// All columns of the rows at `rows` (ascending), as one batch.
    pub(crate) fn rows(&self, rows: &[u64]) -> Result<RecordBatch> {
        let reader = self.reader(None, Some(selection(rows)))?;
        let schema = Arc::clone(self.schema());
        let batches = reader.collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(concat_batches(&schema, &batches)?)
    }

    fn reader(&self, names: Option<&[&str]>, rows: Option<RowSelection>) -> Result<ParquetRecordBatchReader> {
        let file = File::open(&self.path).map_err(|error| Error::from(error).with("file", self.path.display()))?;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        if let Some(names) = names {
            let roots: Vec<usize> = names.iter().filter_map(|name| self.schema().index_of(name).ok()).collect();
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
            builder = builder.with_projection(mask);
        }
        if let Some(rows) = rows {
            builder = builder.with_row_selection(rows);
        }
        builder.with_batch_size(BATCH_ROWS).build().map_err(parquet_error)
    }
}

/// Runs of ascending row numbers as skips and selects.
fn selection(rows: &[u64]) -> RowSelection {
    let mut selectors: Vec<RowSelector> = Vec::new();
    let mut next = 0_u64;
    for &row in rows {
        let skipped = usize::try_from(row - next).unwrap_or(usize::MAX);
        match selectors.last_mut() {
            Some(last) if skipped == 0 && !last.skip => last.row_count += 1,
            _ => {
                if skipped > 0 {
                    selectors.push(RowSelector::skip(skipped));
                }
                selectors.push(RowSelector::select(1));
            }
        }
        next = row + 1;
    }
    RowSelection::from(selectors)
}

/// A batch with the columns of `schema`: those it has under the same name, cast exactly where the type
/// changed, NULL where it has none or the old value does not fit the new type.
pub(crate) fn align(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns =
        schema
            .fields()
            .iter()
            .map(|field| match batch.column_by_name(field.name()) {
                Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
                Some(column) => Ok(cast(column, field.data_type())
                    .unwrap_or_else(|_| new_null_array(field.data_type(), batch.num_rows()))),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
