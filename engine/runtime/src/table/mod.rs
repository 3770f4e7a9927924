//! Keyed tables: rows by key in immutable Parquet files, each sorted by the key's hash.
//!
//! A commit writes one file, syncs it, and only then names it in the state; later files win over
//! earlier ones, key by key. Files are merged when they are of similar size. The columns of a
//! baseline file, which any Parquet reader opens:
//!
//! | column | meaning |
//! |---|---|
//! | `obmen_key` | 16 bytes: hash of the key; the file is sorted by it |
//! | `obmen_row` | 16 bytes: hash of the compared columns under `obmen_recipe` |
//! | `obmen_recipe` | which set of compared columns `obmen_row` is of |
//! | `obmen_gone` | the other side is known to have it deleted or marked |
//! | `obmen_created` | number of the plan that created it there; 0 if it was there before us |
//! | `obmen_acked` | number of the plan whose evidence this row is |
//! | the others | the values: key, mapped columns, one list of records per child |

mod baseline;
mod file;
mod write;

pub(crate) use baseline::{Baseline, Known};
pub(crate) use file::{RowFile, align};
pub(crate) use write::{FileWriter, remove_orphans};

use arrow::array::{ArrayRef, FixedSizeBinaryArray};
use arrow::datatypes::{DataType, Field};
use std::sync::Arc;

use crate::hash::Hash;

/// Column names of ours begin so; no relation may use them.
pub(crate) const OURS: &str = "obmen_";
pub(crate) const KEY: &str = "obmen_key";
pub(crate) const ROW: &str = "obmen_row";
pub(crate) const RECIPE: &str = "obmen_recipe";
pub(crate) const GONE: &str = "obmen_gone";
pub(crate) const CREATED: &str = "obmen_created";
pub(crate) const ACKED: &str = "obmen_acked";

/// The fields before the values in a baseline file.
pub(crate) fn baseline_fields() -> Vec<Field> {
    vec![
        hash_field(KEY),
        hash_field(ROW),
        Field::new(RECIPE, DataType::Int64, false),
        Field::new(GONE, DataType::Boolean, false),
        Field::new(CREATED, DataType::Int64, false),
        Field::new(ACKED, DataType::Int64, false),
    ]
}

pub(crate) fn hash_field(name: &str) -> Field {
    Field::new(name, DataType::FixedSizeBinary(16), false)
}

pub(crate) fn hash_array(hashes: &[Hash]) -> ArrayRef {
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect();
    Arc::new(FixedSizeBinaryArray::new(16, bytes.into(), None))
}

pub(crate) fn hash_at(array: &FixedSizeBinaryArray, row: usize) -> Hash {
    <[u8; 16]>::try_from(array.value(row)).map_or(0, Hash::from_be_bytes)
}
