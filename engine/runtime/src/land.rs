//! Reading sources: each once per run, however many steps use it; small ones stay in memory, large ones go to a scratch file.

use crate::ahead::Ahead;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use futures::stream::BoxStream;
use obmen_sdk::{BadRow, Cursor, Error, ErrorKind, Result, Scan, Snapshot, Source, Stop};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bad rows that are remembered with their text; all are counted.
const BAD_SAMPLES: usize = 100;

/// The rows of a source as read in this run.
#[derive(Debug)]
pub(crate) struct Landed {
    /// The rows.
    pub(crate) rows: LandedRows,
    /// How many.
    pub(crate) count: u64,
    /// Rows that could not be read: how many, and the first of them.
    pub(crate) bad_count: u64,
    /// The first bad rows.
    pub(crate) bad: Vec<BadRow>,
    /// Whether the rows belong to one moment, so that absence means something.
    pub(crate) exact: bool,
    /// The last position, to be confirmed.
    pub(crate) cursor: Option<Cursor>,
}

/// Where landed rows are.
#[derive(Clone, Debug)]
pub(crate) enum LandedRows {
    /// In memory.
    Memory(Vec<RecordBatch>),
    /// In a scratch file of the run.
    File(PathBuf),
}

/// Reads what `scan` asks of a source to its end. Up to `budget` bytes stay in memory; more goes to `file`.
///
/// # Errors
/// Those of the source; `Cancelled` when the run should stop.
pub(crate) async fn land(
    source: &dyn Source,
    scan: Scan,
    budget: usize,
    file: &Path,
    stop: &Stop,
    mut progress: impl FnMut(u64),
) -> Result<Landed> {
    let schema = match &scan.columns {
        Some(columns) => Arc::new(source.schema().project(columns)?),
        None => source.schema(),
    };
    let filters = if source.abilities().filter { Vec::new() } else { scan.filter.clone() };
    let mut exact = source.abilities().snapshot == Snapshot::Exact;
    let mut place = Place::Memory(Vec::new(), 0);
    let (mut count, mut bad_count, mut bad, mut cursor) = (0, 0, Vec::new(), None);
    let mut stream = source.read(scan).await?;
    while let Some(batch) = stream.next().await {
        if stop.is_set() {
            return Err(Error::new(ErrorKind::Cancelled, "stopped while reading; nothing was sent"));
        }
        let mut batch = batch?;
        for filter in &filters {
            batch.rows = filter_record_batch(&batch.rows, &filter.holds(&batch.rows)?)?;
        }
        count += batch.rows.num_rows() as u64;
        bad_count += batch.bad.len() as u64;
        bad.extend(batch.bad.into_iter().take(BAD_SAMPLES.saturating_sub(bad.len())));
        cursor = batch.cursor.or(cursor);
        exact = batch.exact.unwrap_or(exact);
        if batch.rows.num_rows() > 0 {
            place.push(batch.rows, budget, file, &schema)?;
        }
        progress(count);
    }
    Ok(Landed { rows: place.finish(file)?, count, bad_count, bad, exact, cursor })
}

/// Rows that are kept while they come: up to `budget` bytes in memory, more in `file`.
pub(crate) fn keep(budget: usize, file: &Path) -> Keeping {
    Keeping { place: Place::Memory(Vec::new(), 0), budget, file: file.to_owned() }
}

/// Rows on their way to be kept.
pub(crate) struct Keeping {
    place: Place,
    budget: usize,
    file: PathBuf,
}

impl Keeping {
    /// Adds rows.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn add(&mut self, batch: RecordBatch) -> Result<()> {
        let schema = batch.schema();
        self.place.push(batch, self.budget, &self.file, &schema)
    }

    /// All of them.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn rows(self) -> Result<LandedRows> {
        self.place.finish(&self.file)
    }
}

enum Place {
    Memory(Vec<RecordBatch>, usize),
    File(Box<FileWriter<BufWriter<File>>>),
}

impl Place {
    fn push(&mut self, batch: RecordBatch, budget: usize, path: &Path, schema: &SchemaRef) -> Result<()> {
        match self {
            Self::File(writer) => writer.write(&batch)?,
            Self::Memory(batches, bytes) => {
                *bytes += batch.get_array_memory_size();
                batches.push(batch);
                if *bytes > budget {
                    let file = File::create(path).map_err(|error| Error::from(error).with("file", path.display()))?;
                    let mut writer = FileWriter::try_new(BufWriter::new(file), schema)?;
                    for batch in batches.drain(..) {
                        writer.write(&batch)?;
                    }
                    *self = Self::File(Box::new(writer));
                }
            }
        }
        Ok(())
    }

    fn finish(self, path: &Path) -> Result<LandedRows> {
        match self {
            Self::Memory(batches, _) => Ok(LandedRows::Memory(batches)),
            Self::File(mut writer) => {
                writer.finish()?;
                Ok(LandedRows::File(path.to_owned()))
            }
        }
    }
}

impl LandedRows {
    /// Whether there are none.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn is_empty(&self) -> Result<bool> {
        for batch in self.batches()? {
            if batch?.num_rows() > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Batch by batch.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn batches(&self) -> Result<Box<dyn Iterator<Item = Result<RecordBatch>> + '_>> {
        Ok(match self {
            Self::Memory(batches) => Box::new(batches.iter().map(|batch| Ok(batch.clone()))),
            Self::File(path) => {
                let file = File::open(path).map_err(|error| Error::from(error).with("file", path.display()))?;
                let reader = FileReader::try_new(BufReader::new(file), None)?;
                Box::new(reader.map(|batch| batch.map_err(Error::from)))
            }
        })
    }

    /// Some of the columns; a file stays a file, `name` in `folder`.
    ///
    /// # Errors
    /// Those of the disk; for a column that is not there.
    pub(crate) fn project(&self, columns: &[String], folder: &Path, name: &str) -> Result<Self> {
        let project = |batch: &RecordBatch| {
            let indices =
                columns.iter().map(|name| Ok(batch.schema_ref().index_of(name)?)).collect::<Result<Vec<_>>>()?;
            Ok::<_, Error>(batch.project(&indices)?)
        };
        if let Self::Memory(batches) = self {
            return Ok(Self::Memory(batches.iter().map(project).collect::<Result<_>>()?));
        }
        let file = folder.join(format!("{name}.columns"));
        let mut place = Place::Memory(Vec::new(), 0);
        for batch in self.batches()? {
            let batch = project(&batch?)?;
            let schema = batch.schema();
            place.push(batch, 0, &file, &schema)?;
        }
        place.finish(&file)
    }

    /// As the SQL session reads them, any number of times.
    pub(crate) fn for_sql(&self) -> crate::sql::Rows {
        match self {
            Self::Memory(batches) => crate::sql::Rows::Memory(batches.clone()),
            Self::File(path) => {
                let path = path.clone();
                crate::sql::Rows::Stream(Arc::new(move |columns: Option<Vec<usize>>| read_file(&path, columns)))
            }
        }
    }
}

fn read_file(path: &Path, columns: Option<Vec<usize>>) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let file = File::open(path).map_err(|error| Error::from(error).with("file", path.display()))?;
    let reader = FileReader::try_new(BufReader::new(file), columns)?;
    // texts are checked while they are read, which keeps a core busy
    Ok(futures::stream::iter(Ahead::start(reader.map(|batch| batch.map_err(Error::from)))?).boxed())
}
