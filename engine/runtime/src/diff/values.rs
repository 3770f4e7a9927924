//! The rows of one range with their values: sorted, each key once, their parts as lists.

use crate::hash::Hash;
use crate::table::{KEY, hash_at};
use crate::target::{ChildTarget, Target};
use arrow::array::{ArrayRef, AsArray, BooleanArray, ListArray, StructArray, UInt32Array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::{filter_record_batch, take, take_record_batch};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use obmen_sdk::{Error, Result};
use std::sync::Arc;

/// Values of rows by key hash.
#[derive(Debug)]
pub(super) struct ValuesOfRows {
    /// Key hashes, ascending.
    keys: Vec<Hash>,
    /// The rows, with the target's columns.
    pub(super) batch: RecordBatch,
}

impl ValuesOfRows {
    /// Sorts rows of the relation and of its children, both behind their key hashes, and puts them together.
    pub(super) fn build(target: &Target, owners: &RecordBatch, children: &[RecordBatch]) -> Result<Self> {
        let (owners, keys) = distinct(owners, target.last_wins)?;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(target.schema.fields().len());
        for field in target.schema.fields() {
            let child = target.children.iter().zip(children).find(|(child, _)| child.name == *field.name());
            columns.push(match child {
                Some((child, parts)) => lists(child, parts, field, &keys)?,
                None => owners
                    .column_by_name(field.name())
                    .map(Arc::clone)
                    .ok_or_else(|| Error::internal(format!("no column `{}` in `{}`", field.name(), target.from)))?,
            });
        }
        Ok(Self { keys, batch: RecordBatch::try_new(Arc::clone(&target.schema), columns)? })
    }

    /// Which row a key is.
    ///
    /// # Errors
    /// `InvalidData` if the key is not there, although it was when the relation was compared.
    pub(super) fn row(&self, key: Hash) -> Result<usize> {
        self.keys.binary_search(&key).map_err(|_| {
            let message = "a relation gave other rows when it was read again: look for SQL whose result depends on the \
                           order of rows (row_number, first_value, LIMIT without a complete ORDER BY)";
            Error::invalid_data(message)
        })
    }
}

/// Rows ascending by key hash, each key once: the first or the last of its rows.
fn distinct(batch: &RecordBatch, last: bool) -> Result<(RecordBatch, Vec<Hash>)> {
    let hashes = batch.column(0).as_fixed_size_binary();
    let mut order: Vec<(Hash, u32)> =
        (0_u32..).zip(0..batch.num_rows()).map(|(at, row)| (hash_at(hashes, row), at)).collect();
    order.sort_unstable();
    if last {
        order.reverse();
    }
    order.dedup_by_key(|(key, _)| *key);
    if last {
        order.reverse();
    }
    let rows: UInt32Array = order.iter().map(|(_, at)| *at).collect();
    Ok((take_record_batch(batch, &rows)?, order.into_iter().map(|(key, _)| key).collect()))
}

/// The parts of a child as a list per owner, ascending by the child's key. Parts without an owner stay out.
fn lists(child: &ChildTarget, parts: &RecordBatch, field: &FieldRef, owners: &[Hash]) -> Result<ArrayRef> {
    let column = |name: &String| {
        parts.column_by_name(name).map(Arc::clone).ok_or_else(|| Error::internal(format!("no column `{name}`")))
    };
    let part_keys = child.key.iter().map(column).collect::<Result<Vec<_>>>()?;
    let sort = part_keys.iter().map(|array| SortField::new(array.data_type().clone())).collect();
    let sortable = RowConverter::new(sort)?.convert_columns(&part_keys)?;
    let hashes = parts.column(0).as_fixed_size_binary();
    let mut order: Vec<(Hash, u32)> =
        (0_u32..).zip(0..parts.num_rows()).map(|(at, row)| (hash_at(hashes, row), at)).collect();
    order.sort_unstable_by(|(one, a), (other, b)| {
        one.cmp(other).then_with(|| sortable.row(*a as usize).cmp(&sortable.row(*b as usize))).then(a.cmp(b))
    });
    let mut kept: Vec<u32> = Vec::with_capacity(order.len());
    let mut offsets: Vec<i32> = Vec::with_capacity(owners.len() + 1);
    offsets.push(0);
    let mut next = order.iter().peekable();
    for owner in owners {
        while next.next_if(|(hash, _)| hash < owner).is_some() {}
        while let Some((_, at)) = next.next_if(|(hash, _)| hash == owner) {
            kept.push(*at);
        }
        offsets.push(i32::try_from(kept.len()).map_err(|_| Error::internal("too many parts in one range"))?);
    }
    let DataType::List(item) = field.data_type() else {
        return Err(Error::internal(format!("child `{}` is not a list", child.name)));
    };
    let DataType::Struct(fields) = item.data_type() else {
        return Err(Error::internal(format!("child `{}` is not a list of records", child.name)));
    };
    let rows = UInt32Array::from(kept);
    let taken = |name: &String| Ok::<_, Error>(take(&column(name)?, &rows, None)?);
    let columns = child.columns.iter().map(taken).collect::<Result<Vec<_>>>()?;
    let records = StructArray::try_new_with_length(fields.clone(), columns, None, rows.len())?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, Arc::new(records), None)?))
}

/// A batch without the rows whose key has a NULL, and how many those are.
pub(super) fn with_key(batch: &RecordBatch, key: &[String]) -> Result<(RecordBatch, u64)> {
    let columns: Vec<&ArrayRef> = key.iter().filter_map(|name| batch.column_by_name(name)).collect();
    if columns.iter().all(|column| column.null_count() == 0) {
        return Ok((batch.clone(), 0));
    }
    let kept: BooleanArray = (0..batch.num_rows()).map(|row| Some(!super::flaw::has_null(&columns, row))).collect();
    let whole = filter_record_batch(batch, &kept)?;
    let missing = batch.num_rows() - whole.num_rows();
    Ok((whole, missing as u64))
}

/// A batch behind the hashes of its keys.
pub(super) fn keyed(batch: &RecordBatch, hashes: &[Hash], schema: &SchemaRef) -> Result<RecordBatch> {
    let mut arrays = vec![crate::table::hash_array(hashes)];
    arrays.extend(batch.columns().iter().map(Arc::clone));
    Ok(RecordBatch::try_new(Arc::clone(schema), arrays)?)
}

/// The schema of [`keyed`] batches.
pub(super) fn keyed_schema(schema: &SchemaRef) -> SchemaRef {
    let mut fields = vec![Arc::new(crate::table::hash_field(KEY))];
    fields.extend(schema.fields().iter().map(Arc::clone));
    Arc::new(arrow::datatypes::Schema::new(fields))
}
