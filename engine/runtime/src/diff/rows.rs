//! The rows of one range of key hashes: sorted, with their children, hashed.

use crate::hash::{Hash, hash_rows};
use crate::table::{KEY, hash_at};
use crate::target::{ChildTarget, Target, TargetCheck};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, StructArray, UInt32Array};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use obmen_sdk::{Error, Result};
use std::sync::Arc;

/// The rows of one range, ascending by key hash, each key once.
pub(super) struct Rows {
    /// Key hashes.
    pub(super) keys: Vec<Hash>,
    /// Row hashes over the compared columns.
    pub(super) hashes: Vec<Hash>,
    /// Why a row must not be sent; `None` if it may.
    pub(super) invalid: Vec<Option<String>>,
    /// The rows, with the target's columns.
    pub(super) values: RecordBatch,
    /// For each `after`, the hash of the parent's key.
    pub(super) parents: Vec<Vec<Hash>>,
    /// The key hashes the range is of: from, and up to but without.
    pub(super) range: (Hash, Option<Hash>),
}

/// The name of the flag column of a check.
pub(super) fn check_column(index: usize) -> String {
    format!("{}check_{index}", crate::table::OURS)
}

impl Rows {
    /// Sorts rows of the relation and its children and puts them together.
    pub(super) fn build(
        target: &Target,
        owners: &RecordBatch,
        children: &[RecordBatch],
        range: (Hash, Option<Hash>),
    ) -> Result<Self> {
        let (owners, keys, repeated) = distinct(owners)?;
        let mut invalid = failed_checks(&target.checks, &owners)?;
        for (reason, repeated) in invalid.iter_mut().zip(&repeated) {
            if *repeated {
                *reason = Some("the key is not unique".to_owned());
            }
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(target.schema.fields().len());
        for field in target.schema.fields() {
            let child = target.children.iter().zip(children).find(|(child, _)| child.name == *field.name());
            columns.push(match child {
                Some((child, parts)) => attach(child, parts, field, &keys, &mut invalid)?,
                None => owners
                    .column_by_name(field.name())
                    .map(Arc::clone)
                    .ok_or_else(|| Error::internal(format!("no column `{}` in `{}`", field.name(), target.from)))?,
            });
        }
        let values = RecordBatch::try_new(Arc::clone(&target.schema), columns)?;
        let hashes = hash_rows(&values, &target.compare)?;
        let parents =
            target.after.iter().map(|link| crate::hash::hash_keys(&values, &link.by)).collect::<Result<Vec<_>>>()?;
        Ok(Self { keys, hashes, invalid, values, parents, range })
    }
}

/// Rows ascending by key hash, each key once, and whether it stood there more than once.
fn distinct(batch: &RecordBatch) -> Result<(RecordBatch, Vec<Hash>, Vec<bool>)> {
    let hashes = batch.column(0).as_fixed_size_binary();
    let all: Vec<Hash> = (0..batch.num_rows()).map(|row| hash_at(hashes, row)).collect();
    let mut order: Vec<u32> = (0_u32..).take(all.len()).collect();
    order.sort_by_key(|row| all.get(*row as usize).copied());
    let mut keys: Vec<Hash> = Vec::with_capacity(all.len());
    let mut repeated: Vec<bool> = Vec::with_capacity(all.len());
    let mut kept: Vec<u32> = Vec::with_capacity(all.len());
    for row in order {
        let key = all[row as usize];
        if keys.last() == Some(&key) {
            if let Some(last) = repeated.last_mut() {
                *last = true;
            }
        } else {
            keys.push(key);
            repeated.push(false);
            kept.push(row);
        }
    }
    Ok((take_record_batch(batch, &UInt32Array::from(kept))?, keys, repeated))
}

fn failed_checks(checks: &[TargetCheck], rows: &RecordBatch) -> Result<Vec<Option<String>>> {
    let mut invalid: Vec<Option<String>> = vec![None; rows.num_rows()];
    for (index, check) in checks.iter().enumerate() {
        if check.otherwise != obmen_spec::pipeline::Otherwise::Reject {
            continue;
        }
        let name = check_column(index);
        let passed: &BooleanArray = rows
            .column_by_name(&name)
            .and_then(|column| column.as_boolean_opt())
            .ok_or_else(|| Error::internal(format!("no flag for the check `{}`", check.name)))?;
        for (row, reason) in invalid.iter_mut().enumerate() {
            if reason.is_none() && !(passed.is_valid(row) && passed.value(row)) {
                *reason = Some(format!("check `{}`", check.name));
            }
        }
    }
    Ok(invalid)
}

/// The parts of a child as a list per owner, ascending by the child's key. Parts without an owner stay out.
fn attach(
    child: &ChildTarget,
    parts: &RecordBatch,
    field: &FieldRef,
    owners: &[Hash],
    invalid: &mut [Option<String>],
) -> Result<ArrayRef> {
    let hashes = parts.column(0).as_fixed_size_binary();
    let part_keys = child
        .key
        .iter()
        .map(|name| {
            parts.column_by_name(name).map(Arc::clone).ok_or_else(|| Error::internal(format!("no column `{name}`")))
        })
        .collect::<Result<Vec<_>>>()?;
    let sort = part_keys.iter().map(|array| SortField::new(array.data_type().clone())).collect();
    let sortable = RowConverter::new(sort)?.convert_columns(&part_keys)?;
    let mut order: Vec<(Hash, u32)> =
        (0_u32..).zip(0..parts.num_rows()).map(|(at, row)| (hash_at(hashes, row), at)).collect();
    order.sort_unstable_by(|(one, a), (other, b)| {
        one.cmp(other).then_with(|| sortable.row(*a as usize).cmp(&sortable.row(*b as usize))).then(a.cmp(b))
    });
    let failed = failed_checks(&child.checks, parts)?;
    let mut kept: Vec<u32> = Vec::with_capacity(order.len());
    let mut offsets: Vec<i32> = Vec::with_capacity(owners.len() + 1);
    offsets.push(0);
    let mut next = order.iter().peekable();
    for (owner, reason) in owners.iter().zip(invalid) {
        while next.next_if(|(hash, _)| hash < owner).is_some() {}
        let mut before: Option<u32> = None;
        while let Some((_, at)) = next.next_if(|(hash, _)| hash == owner) {
            let row = *at as usize;
            if part_keys.iter().any(|array| array.is_null(row)) {
                *reason = Some(format!("a part of `{}` has no {}", child.name, child.key.join(", ")));
            }
            if before.is_some_and(|before| sortable.row(before as usize) == sortable.row(row)) {
                *reason = Some(format!("two parts of `{}` have the same {}", child.name, child.key.join(", ")));
            }
            if let Some(failed) = &failed[row] {
                *reason = Some(format!("{failed} (a part of `{}`)", child.name));
            }
            before = Some(*at);
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
    let columns = child
        .columns
        .iter()
        .map(|name| {
            let array = parts.column_by_name(name).ok_or_else(|| Error::internal(format!("no column `{name}`")))?;
            Ok(take(array, &rows, None)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let records = StructArray::try_new_with_length(fields.clone(), columns, None, rows.len())?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, Arc::new(records), None)?))
}

/// A batch with the key hash in front; rows whose key has a NULL are left out and counted.
pub(super) fn keyed(batch: &RecordBatch, key: &[String], schema: &SchemaRef) -> Result<(RecordBatch, u64)> {
    let columns: Vec<&ArrayRef> = key.iter().filter_map(|name| batch.column_by_name(name)).collect();
    let complete = |row: usize| columns.iter().all(|column| column.is_valid(row));
    let (batch, missing) = if columns.iter().all(|column| column.null_count() == 0) {
        (batch.clone(), 0)
    } else {
        let kept: BooleanArray = (0..batch.num_rows()).map(|row| Some(complete(row))).collect();
        let whole = arrow::compute::filter_record_batch(batch, &kept)?;
        let missing = batch.num_rows() - whole.num_rows();
        (whole, missing as u64)
    };
    let hashes = crate::hash::hash_keys(&batch, key)?;
    let mut arrays = vec![crate::table::hash_array(&hashes)];
    arrays.extend(batch.columns().iter().map(Arc::clone));
    Ok((RecordBatch::try_new(Arc::clone(schema), arrays)?, missing))
}

/// The schema of [`keyed`] batches.
pub(super) fn keyed_schema(schema: &SchemaRef) -> SchemaRef {
    let mut fields = vec![Arc::new(crate::table::hash_field(KEY))];
    fields.extend(schema.fields().iter().map(Arc::clone));
    Arc::new(arrow::datatypes::Schema::new(fields))
}
