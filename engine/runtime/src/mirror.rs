//! Our copy of a source that brings only changes, so that SQL always sees the whole relation.
//!
//! Rows are kept by the source's key in the same keyed tables as baselines; what a read brought is compared
//! with them like the rows of a sink with its baseline, so that a row that came again unchanged is none. Only when the rows
//! are durable here is the source told that it may forget them.

use crate::commit::baseline_file;
use crate::diff::{About, Approved, Diff, Difference, Judge};
use crate::hash::{Hash, hash_keys};
use crate::land::LandedRows;
use crate::plan_file::{Origin, PlanFile, PlanRow, Why};
use crate::sql::{Options, Rows, Sql};
use crate::state::{MirrorWrite, ScopeId, State};
use crate::table::{Baseline, Known};
use crate::target::{Limits, Target};
use arrow::array::{Array, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use obmen_sdk::{Error, Op, Result};
use obmen_spec::SqlText;
use obmen_spec::pipeline::Deletes;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// Rows read at a time.
const READ_ROWS: usize = 8192;
/// Changes that are kept for pipelines to look at.
const DELTA_ROWS: u64 = 200_000;

/// The mirror of a source: shared by all pipelines that read the entity through the connection in one way.
#[derive(Clone)]
pub(crate) struct Mirror<'a> {
    pub(crate) state: &'a State,
    pub(crate) scope: ScopeId,
    /// The source's name, for messages.
    pub(crate) name: &'a str,
    pub(crate) key: &'a [String],
    pub(crate) schema: SchemaRef,
}

/// What a read means for a mirror.
#[derive(Clone)]
pub(crate) struct Reading<'r> {
    /// The rows that came.
    pub(crate) rows: &'r LandedRows,
    /// Which keys they are about.
    pub(crate) about: About,
    /// Of the keys that did not come, only rows that meet this are gone.
    pub(crate) condition: Option<SqlText>,
    /// Why nothing is gone although it did not come.
    pub(crate) deletes_suspended: Option<String>,
    /// How far the source is read now.
    pub(crate) position: Option<Vec<u8>>,
}

/// What a write of a mirror did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// Rows that are new, different or gone.
    pub(crate) changes: u64,
    /// Rows that came without a key.
    pub(crate) keyless: u64,
    /// Rows that came with a key that a later row has too.
    pub(crate) repeated: u64,
}

impl Written {
    /// The same with so many changes.
    pub(crate) fn with(self, changes: u64) -> Self {
        Self { changes, ..self }
    }
}

/// What a read changes, on disk but not kept yet.
pub(crate) struct Compared {
    /// A plan's file with the changes; none if there are none.
    pub(crate) file: Option<String>,
    /// Rows of the file.
    rows: u64,
    live: u64,
    /// What keeping it writes.
    pub(crate) written: Written,
    position: Option<Vec<u8>>,
}

impl Compared {
    /// The key columns of rows that changed so, and the hashes of the keys, ascending.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn keys(
        &self,
        state: &State,
        key: &[String],
        so: impl Fn(&PlanRow) -> bool,
    ) -> Result<(Vec<RecordBatch>, Vec<Hash>)> {
        let (mut batches, mut hashes) = (Vec::new(), Vec::new());
        let Some(file) = &self.file else { return Ok((batches, hashes)) };
        for rows in PlanFile::open(state, file)?.scan_values()? {
            let rows = rows?;
            let indices =
                key.iter().map(|name| Ok(rows.new.schema_ref().index_of(name)?)).collect::<Result<Vec<_>>>()?;
            let wanted: BooleanArray = rows.rows.iter().map(|row| Some(so(row))).collect();
            batches.push(filter_record_batch(&rows.new.project(&indices)?, &wanted)?);
            hashes.extend(rows.rows.iter().filter(|row| so(row)).map(|row| row.key));
        }
        Ok((batches, hashes))
    }

    /// Forgets it.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn discard(self, state: &State) -> Result<()> {
        Ok(self.file.map_or(Ok(()), |file| std::fs::remove_file(state.folder().join(file)))?)
    }
}

impl Mirror<'_> {
    /// A mirror of the key and some columns only, beside this one.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn narrow(&self, columns: &[String]) -> Result<Self> {
        let indices = columns.iter().map(|name| Ok(self.schema.index_of(name)?)).collect::<Result<Vec<_>>>()?;
        let scope = self.state.scope("", &format!("{} versions", self.name), &format!("of {}", self.scope.0))?;
        Ok(Self { scope, schema: Arc::new(self.schema.project(&indices)?), ..self.clone() })
    }

    /// Takes landed rows over; all of them, with the new position, or nothing.
    ///
    /// # Errors
    /// `InvalidData` for a source without a key; those of the disk.
    pub(crate) async fn update(&self, reading: Reading<'_>, options: Options) -> Result<Written> {
        let compared = self.compare(reading, options).await?;
        self.keep(compared)
    }

    /// Compares landed rows with those kept; nothing is kept yet.
    ///
    /// # Errors
    /// As for [`update`](Self::update).
    pub(crate) async fn compare(&self, reading: Reading<'_>, options: Options) -> Result<Compared> {
        if self.key.is_empty() {
            return Err(Error::invalid_data("a source that brings only changes needs a `key`"));
        }
        let work = options.spill.clone();
        let (budget, now) = (options.memory / 2, options.now);
        let mut sql = Sql::new(options)?;
        sql.add_source(self.name, Arc::clone(&self.schema), self.key, reading.rows.for_sql())?;
        let whole = matches!(reading.about, About::Everything);
        let mut diff = Diff {
            sql: &sql,
            state: self.state,
            target: &Arc::new(self.target(reading.condition)),
            judge: Judge {
                state: self.state,
                now,
                doubts: HashMap::new(),
                retries: HashMap::new(),
                parents: Vec::new(),
                approved: Approved::default(),
                deletes_suspended: reading.deletes_suspended,
                still_waiting: BTreeSet::new(),
                plan_files: HashMap::new(),
            },
            budget,
            work: &work,
            about: reading.about,
            file: format!("plans/mirror-{}-{}.parquet", self.scope.0, ulid::Ulid::generate()),
            seq: self.state.mirror(self.scope)?.seq + 1,
        };
        let Difference { file, rows, counts } = diff.run().await?;
        let before = if whole { counts.known } else { self.live()? };
        let live = (before + counts.creates).saturating_sub(counts.deletes);
        let written = Written { changes: counts.due, keyless: counts.keyless, repeated: counts.repeated };
        Ok(Compared { file, rows, live, written, position: reading.position })
    }

    /// Keeps what was compared.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn keep(&self, compared: Compared) -> Result<Written> {
        let Compared { file, rows, live, written, position } = compared;
        let file = file.as_deref();
        let changes = written.changes;
        let segment = file.filter(|_| changes > 0).map(|file| self.segment(file, rows, changes)).transpose()?;
        let seq = self.state.mirror(self.scope)?.seq;
        let kept = file.filter(|_| seq > 0 && changes > 0 && changes <= DELTA_ROWS.min(live / 4 + 1000));
        let write = MirrorWrite {
            segment: segment.as_ref().map(|(name, rows)| (name.as_str(), *rows)),
            delta: kept.map(|file| (file, changes)),
            position,
            live,
        };
        self.state.write_mirror(self.scope, &write)?;
        let is_segment = |file: &str| segment.as_ref().is_some_and(|(name, _)| name == file);
        if let Some(file) = file.filter(|file| kept.is_none() && !is_segment(file)) {
            std::fs::remove_file(self.state.folder().join(file))?;
        }
        self.state.compact(self.scope)?;
        Ok(written)
    }

    /// The changes among the rows of a plan as a file of the mirror: the plan's own if it has nothing else.
    fn segment(&self, file: &str, rows: u64, changes: u64) -> Result<(String, u64)> {
        if rows == changes {
            return Ok((file.to_owned(), rows));
        }
        let origin = Origin { recipe: 0, seq: self.state.mirror(self.scope)?.seq + 1 };
        let plan = PlanFile::open(self.state, file)?;
        baseline_file(self.state, self.scope, &plan, origin, |_, row| row.why == Why::Due)
    }

    /// Rows that are not gone.
    fn live(&self) -> Result<u64> {
        if let Some(live) = self.state.live(self.scope)? {
            return Ok(live);
        }
        let mut cursor = Baseline::open(self.state, self.scope)?.cursor()?;
        let mut live = 0;
        loop {
            let known = cursor.take(READ_ROWS)?;
            if known.is_empty() {
                return Ok(live);
            }
            live += known.iter().filter(|known| !known.gone).count() as u64;
        }
    }

    fn target(&self, condition: Option<SqlText>) -> Target {
        let others = self.schema.fields().iter().map(|field| field.name().clone());
        Target {
            name: self.name.to_owned(),
            connection: String::new(),
            scope: self.scope,
            from: self.name.to_owned(),
            key: self.key.to_vec(),
            schema: Arc::clone(&self.schema),
            casts: Vec::new(),
            children: Vec::new(),
            compare: others.filter(|name| !self.key.contains(name)).collect(),
            recipe: 0,
            deletes: Deletes::Delete,
            guard: Limits::of(None),
            condition,
            checks: Vec::new(),
            after: Vec::new(),
            whole: false,
            last_wins: true,
        }
    }

    /// The whole relation, for SQL.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn rows(&self) -> Result<Rows> {
        let baseline = Baseline::open(self.state, self.scope)?;
        let (schema, name) = (Arc::clone(&self.schema), self.name.to_owned());
        Ok(Rows::Stream(Arc::new(move |columns: Option<Vec<usize>>| {
            let wanted = match &columns {
                Some(columns) => Arc::new(schema.project(columns)?),
                None => Arc::clone(&schema),
            };
            let (baseline, mut cursor, name) = (baseline.clone(), baseline.cursor()?, name.clone());
            let batches = std::iter::from_fn(move || {
                let read = cursor.take(READ_ROWS).and_then(|mut known| {
                    if known.is_empty() {
                        return Ok(None);
                    }
                    known.retain(|known| !known.gone);
                    baseline.whole_values(&known, &wanted).map(Some)
                });
                read.map_err(|error| error.with("source", &name)).transpose()
            });
            Ok(futures::stream::iter(batches).boxed())
        })))
    }

    /// Where rows stand whose columns equal one of the rows of `values` (columns in the order of `columns`), ascending
    /// by key. NULL equals nothing.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn matching(
        &self,
        columns: &[String],
        values: &RecordBatch,
        (budget, work): (usize, &Path),
    ) -> Result<Vec<Known>> {
        let baseline = Baseline::open(self.state, self.scope)?;
        let in_key: Option<Vec<String>> = self
            .key
            .iter()
            .map(|key| {
                columns.iter().position(|column| column == key).map(|at| values.schema().field(at).name().clone())
            })
            .collect();
        if let Some(names) = in_key.filter(|_| columns.len() == self.key.len()) {
            let found = baseline.find(&wanted(values, &names)?)?;
            return Ok(found.into_iter().filter(|known| !known.gone).collect());
        }
        let names: Vec<String> = values.schema().fields().iter().map(|field| field.name().clone()).collect();
        baseline.by_columns(self.state, columns, &wanted(values, &names)?, budget, work)
    }

    /// Makes an index by columns that are not the key.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn index(&self, columns: &[String], (budget, work): (usize, &Path)) -> Result<()> {
        let is_key = columns.len() == self.key.len() && columns.iter().all(|column| self.key.contains(column));
        if !is_key {
            Baseline::open(self.state, self.scope)?.by_columns(self.state, columns, &[], budget, work)?;
        }
        Ok(())
    }

    /// Old and new rows of what changed after write number `seen`, all of them together; `None` if that is not known any more.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) fn changed(&self, seen: i64) -> Result<Option<RecordBatch>> {
        let Some(files) = self.state.deltas(self.scope, seen)? else { return Ok(None) };
        let mut batches = Vec::new();
        for (file, _) in files {
            for rows in PlanFile::open(self.state, &file)?.scan_values()? {
                let rows = rows?;
                let due = |op: fn(Op) -> bool| -> BooleanArray {
                    rows.rows.iter().map(|row| Some(row.why == Why::Due && op(row.op))).collect()
                };
                let (new, old) = (due(|op| op != Op::Delete), due(|op| op != Op::Create));
                for (batch, kept) in [(&rows.new, new), (&rows.old, old)] {
                    batches.push(crate::table::align(&filter_record_batch(batch, &kept)?, &self.schema)?);
                }
            }
        }
        Ok(Some(arrow::compute::concat_batches(&self.schema, &batches)?))
    }
}

/// The distinct hashes of rows without NULL, ascending.
fn wanted(values: &RecordBatch, names: &[String]) -> Result<Vec<Hash>> {
    let whole = |row: usize| values.columns().iter().all(|column| column.is_valid(row));
    let hashes = hash_keys(values, names)?.into_iter().enumerate();
    let mut hashes: Vec<Hash> = hashes.filter(|(row, _)| whole(*row)).map(|(_, hash)| hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    Ok(hashes)
}
