//! Reading the relations of a target: what their rows are compared by, and their values.

use super::flaw::{check_column, failed_checks, has_null};
use super::marks::{self, KEYLESS};
use super::seen::Seen;
use super::values::{keyed, keyed_schema, with_key};
use crate::hash::{Hash, hash_keys, hash_rows};
use crate::sql::{Query, Sql};
use crate::target::{Target, TargetCheck};
use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use obmen_sdk::types::column_type;
use obmen_sdk::{Error, Result};
use obmen_spec::{ColumnType, SqlText};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// Batches looked at side by side.
const AT_A_TIME: usize = 2;
const SCOPE_COLUMN: &str = "obmen_scope";

/// Which relation of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The sink's own.
    Owners,
    /// That of a child.
    Child(usize),
}

/// What is wanted of a relation.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// Marks of the rows, and counts of failed checks.
    pub(super) marks: bool,
    /// The rows behind their key hashes.
    pub(super) values: Keep,
    /// Only rows of these keys; `None`: of all.
    pub(super) only: Option<Arc<KeySet>>,
}

/// Which rows are kept with their values.
#[derive(Clone, Debug)]
pub(super) enum Keep {
    /// None.
    Nothing,
    /// All that are read.
    Everything,
    /// Those of the sink's own relation that are not known as they are.
    Unless(Arc<Seen>),
}

/// Some keys, by hash.
pub(super) type KeySet = HashSet<Hash, BuildHasherDefault<AsItIs>>;

/// A hash is its own hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = u64::try_from(hash & u128::from(u64::MAX)).unwrap_or_default();
    }
}

/// A batch that was looked at.
#[derive(Debug)]
pub(super) struct Looked {
    /// Marks, one after the other: see [`rows`](super::rows).
    pub(super) marks: Vec<u8>,
    /// Rows behind their key hashes.
    pub(super) values: Option<RecordBatch>,
    /// Rows without a key.
    pub(super) keyless: u64,
    /// Per check of the relation: rows that failed.
    pub(super) failed: Vec<u64>,
}

/// Reads a relation of a target; batches come in the relation's order, some are worked on at a time.
///
/// # Errors
/// Those of SQL and of checks that say `stop`; also as items.
pub(super) async fn read(
    sql: &Sql,
    target: &Arc<Target>,
    side: Side,
    wish: Wish,
) -> Result<BoxStream<'static, Result<Looked>>> {
    let rows = sql.stream(side.query(target)).await?;
    let target = Arc::clone(target);
    let looked = rows.map(move |batch| {
        let (target, wish) = (Arc::clone(&target), wish.clone());
        async move {
            let batch = batch?;
            let work = tokio::task::spawn_blocking(move || side.look(&target, &wish, batch));
            work.await.map_err(|error| Error::internal(format!("comparing broke off: {error}")))?
        }
    });
    Ok(looked.buffered(AT_A_TIME).boxed())
}

impl Side {
    /// The name of its relation.
    pub(super) fn relation(self, target: &Target) -> &str {
        match self {
            Self::Owners => &target.from,
            Self::Child(index) => &target.children[index].from,
        }
    }

    /// Its checks.
    pub(super) fn checks(self, target: &Target) -> &[TargetCheck] {
        match self {
            Self::Owners => &target.checks,
            Self::Child(index) => &target.children[index].checks,
        }
    }

    /// The columns that say whose row it is.
    fn key(self, target: &Target) -> &[String] {
        match self {
            Self::Owners => &target.key,
            Self::Child(index) => &target.children[index].by,
        }
    }

    fn query(self, target: &Target) -> Query {
        let mut flags: Vec<(String, SqlText)> = self
            .checks(target)
            .iter()
            .enumerate()
            .map(|(index, check)| (check_column(index), check.expect.clone()))
            .collect();
        let (columns, casts) = match self {
            Self::Owners => {
                if let Some(condition) = &target.condition {
                    flags.push((SCOPE_COLUMN.to_owned(), condition.clone()));
                }
                let values = target.values().map(str::to_owned);
                (target.key.iter().cloned().chain(values).collect(), target.casts.clone())
            }
            Self::Child(index) => {
                let child = &target.children[index];
                (child.by.iter().chain(&child.columns).cloned().collect(), part_types(target, &child.name))
            }
        };
        Query { relation: self.relation(target).to_owned(), columns: Some(columns), flags, casts }
    }

    /// The columns of values read, behind their key hash: for a relation that brought nothing.
    pub(super) fn schema(self, sql: &Sql, target: &Target) -> SchemaRef {
        let mut fields: Vec<Field> = match self {
            Self::Owners => {
                let is_child = |name: &str| target.children.iter().any(|child| child.name == name);
                let own = target.schema.fields().iter().filter(|field| !is_child(field.name()));
                own.map(|field| field.as_ref().clone()).collect()
            }
            Self::Child(index) => {
                let child = &target.children[index];
                let all = sql.schema(&child.from).unwrap_or_else(|| Arc::new(Schema::empty()));
                let wanted = child.by.iter().chain(&child.columns);
                wanted.filter_map(|name| all.field_with_name(name).ok().cloned()).collect()
            }
        };
        fields.extend(flag_fields(self.checks(target)));
        keyed_schema(&Arc::new(Schema::new(fields)))
    }

    fn look(self, target: &Target, wish: &Wish, batch: RecordBatch) -> Result<Looked> {
        let batch = in_scope(batch)?;
        let (mut batch, keyless) = with_key(&batch, self.key(target))?;
        let mut keys = hash_keys(&batch, self.key(target))?;
        if let Some(only) = &wish.only {
            let kept: BooleanArray = keys.iter().map(|key| Some(only.contains(key))).collect();
            batch = filter_record_batch(&batch, &kept)?;
            keys.retain(|key| only.contains(key));
        }
        let mut looked = Looked { marks: Vec::new(), values: None, keyless, failed: Vec::new() };
        if wish.marks {
            looked.failed = count_failed(self.checks(target), &batch);
            looked.marks = match self {
                Self::Owners => owner_marks(target, &batch, &keys)?,
                Self::Child(index) => part_marks(target, index, &batch, &keys)?,
            };
        }
        match &wish.values {
            Keep::Nothing => return Ok(looked),
            Keep::Everything => {}
            Keep::Unless(seen) => {
                let kept = unlike(seen, &looked.marks, super::rows::owner_width(target));
                let mut each = kept.iter();
                keys.retain(|_| each.next().flatten().unwrap_or(false));
                batch = filter_record_batch(&batch, &kept)?;
            }
        }
        if batch.num_rows() > 0 {
            let schema = keyed_schema(batch.schema_ref());
            looked.values = Some(keyed(&batch, &keys, &schema)?);
        }
        Ok(looked)
    }
}

/// Which of some marked rows are not known as they are.
fn unlike(seen: &Seen, marks: &[u8], width: usize) -> BooleanArray {
    marks.chunks_exact(width).map(|mark| Some(!seen.has(marks::hash_in(mark, 0), marks::hash_in(mark, 1)))).collect()
}

fn owner_marks(target: &Target, batch: &RecordBatch, keys: &[Hash]) -> Result<Vec<u8>> {
    let is_child = |name: &String| target.children.iter().any(|child| child.name == *name);
    let own: Vec<String> = target.compare.iter().filter(|name| !is_child(name)).cloned().collect();
    let hashes = hash_rows(batch, &own)?;
    let parents = target.after.iter().map(|link| hash_keys(batch, &link.by)).collect::<Result<Vec<_>>>()?;
    let flaws = failed_checks(&target.checks, batch)?;
    let mut all = Vec::with_capacity(batch.num_rows() * super::rows::owner_width(target));
    for (row, ((key, hash), flaw)) in keys.iter().zip(&hashes).zip(flaws).enumerate() {
        let parents = parents.iter().map(|hashes| hashes[row]);
        marks::write(&mut all, [*key, *hash].into_iter().chain(parents), flaw);
    }
    Ok(all)
}

fn part_marks(target: &Target, index: usize, batch: &RecordBatch, owners: &[Hash]) -> Result<Vec<u8>> {
    let child = &target.children[index];
    let keys = hash_keys(batch, &child.key)?;
    let hashes = hash_rows(batch, &child.columns)?;
    let flaws = failed_checks(&child.checks, batch)?;
    let key_columns: Vec<&ArrayRef> = child.key.iter().filter_map(|name| batch.column_by_name(name)).collect();
    let mut all = Vec::with_capacity(batch.num_rows() * super::rows::PART_WIDTH);
    for (row, (((owner, key), hash), flaw)) in owners.iter().zip(&keys).zip(&hashes).zip(flaws).enumerate() {
        let flaw = if flaw == marks::FLAWLESS && has_null(&key_columns, row) { KEYLESS } else { flaw };
        marks::write(&mut all, [*owner, *key, *hash], flaw);
    }
    Ok(all)
}

fn in_scope(batch: RecordBatch) -> Result<RecordBatch> {
    match batch.column_by_name(SCOPE_COLUMN) {
        Some(flags) => {
            let inside: BooleanArray = flags.as_boolean().iter().map(|inside| Some(inside.unwrap_or(false))).collect();
            Ok(filter_record_batch(&batch, &inside)?)
        }
        None => Ok(batch),
    }
}

/// The types that the parts of a child have in the target.
fn part_types(target: &Target, child: &str) -> Vec<(String, ColumnType)> {
    let Ok(DataType::List(item)) = target.schema.field_with_name(child).map(Field::data_type) else {
        return Vec::new();
    };
    let DataType::Struct(fields) = item.data_type() else { return Vec::new() };
    fields.iter().filter_map(|field| Some((field.name().clone(), column_type(field)?))).collect()
}

fn flag_fields(checks: &[TargetCheck]) -> impl Iterator<Item = Field> {
    (0..checks.len()).map(|index| Field::new(check_column(index), DataType::Boolean, true))
}

fn count_failed(checks: &[TargetCheck], batch: &RecordBatch) -> Vec<u64> {
    let failed = |index: usize| {
        let flags = batch.column_by_name(&check_column(index)).and_then(|column| column.as_boolean_opt());
        // NULL fails
        flags.map_or(0, |flags| (flags.len() - flags.true_count()) as u64)
    };
    (0..checks.len()).map(failed).collect()
}

/// Per check of a relation that goes to no sink: rows that failed.
///
/// # Errors
/// Those of SQL.
pub(super) async fn failures(sql: &Sql, relation: &str, checks: &[TargetCheck]) -> Result<Vec<u64>> {
    let flags = checks.iter().enumerate().map(|(index, check)| (check_column(index), check.expect.clone())).collect();
    let query = Query { relation: relation.to_owned(), columns: Some(Vec::new()), flags, casts: Vec::new() };
    let mut stream = sql.stream(query).await?;
    let mut all = vec![0; checks.len()];
    while let Some(batch) = stream.try_next().await? {
        for (sum, failed) in all.iter_mut().zip(count_failed(checks, &batch)) {
            *sum += failed;
        }
    }
    Ok(all)
}
