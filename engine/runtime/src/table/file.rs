//! Reading a file of rows: in order, or just some rows.

use super::pages::Minima;
use super::seal::size;
use super::sealed::{Ahead, CheckedPages, SealedFile, Spare};
use super::write::{FORMAT, FORMAT_NAME};
use crate::hash::Hash;
use crate::sql::taken_exactly;
use crate::state::FileMark;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use obmen_sdk::{Error, ErrorKind, Result};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelectionPolicy, RowSelector,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Rows per batch when a file is read.
const BATCH_ROWS: usize = 8192;

/// An open file of rows. Cheap to clone. It can be read as long as it is kept, also when another took its place.
#[derive(Clone, Debug)]
pub(crate) struct RowFile {
    path: PathBuf,
    source: Arc<SealedFile>,
    metadata: ArrowReaderMetadata,
    minima: Arc<OnceLock<Minima>>,
}

impl RowFile {
    /// Opens a file and reads its footer and where its pages are.
    ///
    /// # Errors
    /// Those of the state, which say what to do: the file is missing, damaged, or of a newer version.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        Self::load(&path).map_err(|error| unreadable(&error, &path))
    }

    /// Opens a file that must be the one that was marked.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and if it is another file or a shorter one.
    pub(crate) fn open_marked(folder: &Path, name: &str, mark: Option<FileMark>) -> Result<Self> {
        let file = Self::open(folder, name)?;
        match mark {
            Some(mark) if file.mark() != Some(mark) => {
                Err(damaged("it is not the file that was written here", &file.path))
            }
            _ => Ok(file),
        }
    }

    /// What tells the file from any other; none for files of older versions.
    pub(crate) fn mark(&self) -> Option<FileMark> {
        let (bytes, seal) = self.source.mark();
        seal.map(|seal| FileMark { bytes, seal })
    }

    /// Says where the file can be had anew if damage is found in it.
    pub(crate) fn with_spare(self, spare: Spare) -> Self {
        self.source.set_spare(spare);
        self
    }

    fn load(path: &Path) -> std::result::Result<Self, ParquetError> {
        let (source, footer) = SealedFile::new(File::open(path)?)?;
        let source = Arc::new(source);
        let metadata = ParquetMetaDataReader::decode_metadata(&footer)?;
        check_version(&metadata)?;
        let mut indexes = ParquetMetaDataReader::new_with_metadata(metadata)
            .with_offset_index_policy(PageIndexPolicy::Optional)
            .with_column_index_policy(PageIndexPolicy::Skip);
        indexes.read_page_indexes(&CheckedPages::new(Arc::clone(&source), Ahead::Nothing, 1))?;
        let metadata = ArrowReaderMetadata::try_new(Arc::new(indexes.finish()?), ArrowReaderOptions::new())?;
        Ok(Self { path: path.to_owned(), source, metadata, minima: Arc::default() })
    }

    /// The columns of the file.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// The rows of the columns `names` that the file has, in order.
    pub(crate) fn scan(&self, names: &[&str]) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        self.scan_by(names, BATCH_ROWS)
    }

    /// As [`scan`](Self::scan), in batches of `rows`.
    pub(super) fn scan_by(
        &self,
        names: &[&str],
        rows: usize,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let reader = self.reader(Some(names), None, rows)?;
        Ok(self.batches(reader))
    }

    /// The columns `names` of the rows from `first` to `last`, in order; pages outside are not read.
    pub(crate) fn range(
        &self,
        names: &[&str],
        first: u64,
        last: u64,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let reader = self.reader(Some(names), Some(std::slice::from_ref(&(first..last + 1))), BATCH_ROWS)?;
        Ok(self.batches(reader))
    }

    /// The columns `names` of some ranges of rows (ascending), in order; pages outside are not read.
    pub(super) fn ranges(
        &self,
        names: &[&str],
        ranges: &[Range<u64>],
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let reader = self.reader(Some(names), Some(ranges), BATCH_ROWS)?;
        Ok(self.batches(reader))
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
        self.rows_with(None, rows)
    }

    /// All columns of the rows at `rows` (ascending), in batches.
    pub(crate) fn batches_of(&self, rows: &[u64]) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<>> {
        let reader = self.reader(None, Some(&ranges_of(rows)), BATCH_ROWS)?;
        Ok(self.batches(reader))
    }

    /// The columns `names` that the file has, of the rows at `rows` (ascending), as one batch.
    pub(super) fn rows_with(&self, names: Option<&[&str]>, rows: &[u64]) -> Result<RecordBatch> {
        let reader = self.reader(names, Some(&ranges_of(rows)), BATCH_ROWS)?;
        let schema = parquet_schema(&reader);
        let mut batches = self.batches(reader).collect::<Result<Vec<_>>>()?;
        let batch = match batches.len() {
            1 => batches.remove(0),
            _ => concat_batches(&schema, &batches)?,
        };
        if batch.num_rows() == rows.len() {
            return Ok(batch);
        }
        Err(damaged("it has fewer rows than it should", &self.path))
    }

    /// The rows whose hash in the column `column`, by which the file is sorted, is one of `wanted`
    /// (ascending, distinct): hash and row number, ascending. Only pages that can hold one are read.
    pub(super) fn find(&self, column: &str, wanted: &[Hash]) -> Result<Vec<(Hash, u64)>> {
        let ranges = self.minima(column)?.ranges(wanted);
        let mut found = Vec::new();
        if ranges.is_empty() {
            return Ok(found);
        }
        let mut numbers = ranges.iter().cloned().flatten();
        let mut wanted = wanted.iter().copied().peekable();
        for batch in self.ranges(&[column], &ranges)? {
            let batch = batch?;
            let hashes = batch.column(0).as_fixed_size_binary_opt().filter(|hashes| hashes.value_length() == 16);
            let hashes = hashes.ok_or_else(|| damaged("its hashes are not hashes", &self.path))?;
            for hash in hashes.value_data().chunks_exact(16).map(super::hash_of) {
                let number = numbers.next().unwrap_or(u64::MAX);
                while wanted.next_if(|wanted| *wanted < hash).is_some() {}
                match wanted.peek() {
                    Some(wanted) if *wanted == hash => found.push((hash, number)),
                    Some(_) => {}
                    None => return Ok(found),
                }
            }
        }
        Ok(found)
    }

    /// The first hash of every page; read when it is needed first.
    fn minima(&self, column: &str) -> Result<&Minima> {
        if let Some(minima) = self.minima.get() {
            return Ok(minima);
        }
        let mut indexes = ParquetMetaDataReader::new_with_metadata(self.metadata.metadata().as_ref().clone())
            .with_offset_index_policy(PageIndexPolicy::Skip)
            .with_column_index_policy(PageIndexPolicy::Optional);
        let reader = CheckedPages::new(Arc::clone(&self.source), Ahead::Nothing, 1);
        let read = indexes.read_page_indexes(&reader).and_then(|()| indexes.finish());
        let with_index = read.map_err(|error| unreadable(&error, &self.path))?;
        let minima = Minima::of(&with_index, self.metadata.metadata(), column);
        Ok(self.minima.get_or_init(|| minima))
    }

    fn reader(
        &self,
        names: Option<&[&str]>,
        rows: Option<&[Range<u64>]>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader> {
        let mask = match names {
            None => ProjectionMask::all(),
            Some(names) => {
                let roots = names.iter().filter_map(|name| self.schema().index_of(name).ok());
                ProjectionMask::roots(self.metadata.parquet_schema(), roots)
            }
        };
        let leaves = self.metadata.parquet_schema().num_columns();
        let columns = (0..leaves).filter(|leaf| mask.leaf_included(*leaf)).count();
        let ahead = if rows.is_some_and(|rows| rows.len() > 1) { Ahead::Nothing } else { Ahead::Pages };
        let pages = CheckedPages::new(Arc::clone(&self.source), ahead, columns);
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(pages, self.metadata.clone())
            .with_projection(mask)
            .with_batch_size(batch_rows);
        if let Some(rows) = rows {
            let (groups, selection) = self.select(rows);
            builder = builder
                .with_row_groups(groups)
                .with_row_selection(selection)
                .with_row_selection_policy(RowSelectionPolicy::Selectors);
        }
        builder.build().map_err(|error| unreadable(&error, &self.path))
    }

    /// The row groups that hold some of the rows, and which rows of those groups.
    fn select(&self, rows: &[Range<u64>]) -> (Vec<usize>, RowSelection) {
        let (mut groups, mut selectors) = (Vec::new(), Vec::new());
        let mut rows = rows.iter().filter(|range| !range.is_empty()).cloned().peekable();
        let mut group_start = 0;
        for (index, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            let group_end = group_start + group.num_rows().unsigned_abs();
            let mut at = group_start;
            while let Some(range) = rows.peek_mut().filter(|range| range.start < group_end) {
                let end = range.end.min(group_end);
                selectors.push(RowSelector::skip(size(range.start - at)));
                selectors.push(RowSelector::select(size(end - range.start)));
                at = end;
                if range.end > group_end {
                    range.start = group_end;
                    break;
                }
                rows.next();
            }
            if at > group_start {
                selectors.push(RowSelector::skip(size(group_end - at)));
                groups.push(index);
            }
            group_start = group_end;
        }
        selectors.retain(|selector| selector.row_count > 0);
        (groups, RowSelection::from(selectors))
    }

    fn batches(&self, reader: ParquetRecordBatchReader) -> impl Iterator<Item = Result<RecordBatch>> + Send + use<> {
        let path = self.path.clone();
        reader.map(move |batch| batch.map_err(|error| unread(&error, &path)))
    }
}

fn parquet_schema(reader: &ParquetRecordBatchReader) -> SchemaRef {
    arrow::record_batch::RecordBatchReader::schema(reader)
}

/// Files say the version they are of; those of the first versions say nothing.
fn check_version(metadata: &ParquetMetaData) -> std::result::Result<(), ParquetError> {
    let said = metadata.file_metadata().key_value_metadata().into_iter().flatten();
    let version = said.filter(|pair| pair.key == FORMAT_NAME).find_map(|pair| pair.value.as_deref());
    match version {
        Some(version) if version.parse::<u32>().map_or(true, |version| version > FORMAT) => {
            Err(ParquetError::NYI(format!("it has format {version}, this obmen reads {FORMAT}")))
        }
        _ => Ok(()),
    }
}

/// Ascending row numbers as ranges.
fn ranges_of(rows: &[u64]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for &row in rows {
        match ranges.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => ranges.push(row..row + 1),
        }
    }
    ranges
}

fn unread(error: &ArrowError, path: &Path) -> Error {
    damaged(&error.to_string(), path)
}

fn unreadable(error: &ParquetError, path: &Path) -> Error {
    if let ParquetError::NYI(text) = error {
        let message = format!("a file of the state is newer than this program: {text}; use the obmen that wrote it");
        return Error::new(ErrorKind::Conflict, message).with("state", path.display());
    }
    let io = match error {
        ParquetError::External(source) => source.downcast_ref::<std::io::Error>(),
        _ => None,
    };
    match io.map(std::io::Error::kind) {
        Some(std::io::ErrorKind::NotFound) => damaged("it is missing", path),
        Some(std::io::ErrorKind::UnexpectedEof) => damaged("it is too short", path),
        Some(std::io::ErrorKind::PermissionDenied) => {
            Error::new(ErrorKind::PermissionDenied, "a file of the state may not be read").with("state", path.display())
        }
        _ => match io {
            Some(io) => damaged(&io.to_string(), path),
            None => damaged(&error.to_string(), path),
        },
    }
}

/// A file of the state that cannot be believed, and what to do.
pub(crate) fn damaged(how: &str, path: &Path) -> Error {
    let holds_rows = |folder: &Path| folder.ends_with("baseline") || folder.ends_with("plans");
    let advice = if path.parent().is_some_and(holds_rows) {
        "restore the state from a backup, or give this baseline up with `obmen baseline forget` and take over what \
         the other side has with `obmen baseline adopt`"
    } else {
        "restore the state from a backup"
    };
    Error::invalid_data(format!("a file of the state is damaged: {how}; {advice}")).with("state", path.display())
}

/// A batch with the columns of `schema`: those it has under the same name, cast exactly where the type
/// changed, NULL where it has none or the old value does not fit the new type.
pub(crate) fn align(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &FieldRef| match batch.column_by_name(field.name()) {
        Some(column) => aligned(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn aligned(column: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    let (DataType::List(item), Some(list)) = (kind, column.as_list_opt::<i32>()) else {
        let is_same = column.data_type() == kind;
        return Ok(if is_same { Arc::clone(column) } else { taken_exactly(column, kind) });
    };
    let (DataType::Struct(fields), Some(parts)) = (item.data_type(), list.values().as_struct_opt()) else {
        return Ok(taken_exactly(column, kind));
    };
    let parts = align(&RecordBatch::from(parts), &Arc::new(Schema::new(fields.clone())))?;
    let parts: ArrayRef = Arc::new(StructArray::from(parts));
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), parts, list.nulls().cloned())?))
}
