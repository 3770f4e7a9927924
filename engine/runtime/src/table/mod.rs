//! Keyed tables: rows by key in immutable Parquet files, each sorted by the key's hash.
//!
//! A commit writes one file, syncs it, and only then names it in the state; later files win over
//! earlier ones, key by key. Where a plan was acked as a whole, its file is that file. When the newer
//! files together have reached a quarter of an older one they are merged with it, where that changes no
//! value (a column may have been of another type). The columns of a baseline file, which any Parquet reader opens:
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
//!
//! **Version.** The metadata of every file says `obmen.format` = 2; a newer one is refused. Files of 1 differ in
//! how plans keep values ([`plan_file`](crate::plan_file)); those without it are older, and have no checksums.
//!
//! **Looking up.** Pages are small, and the page index says the first hash of each page: a key is found
//! in one page of `obmen_key`, and only the pages with that row are read of the other columns.
//!
//! **Other columns than the key** are found through an index: a file per baseline file and list of
//! columns, with `obmen_index` (16 bytes: hash of the columns, in their order; the file is sorted by it)
//! and `obmen_at` (the number of the row in the baseline file). Gone rows and NULLs are not in it. It is
//! made when it is asked for first; a damaged one is made again.
//!
//! **Damage.** Between page index and footer stand checksums of all blocks of the file, and over the
//! footer ([`seal`]). The state knows the length and the seal of every baseline file. So a file that is
//! missing, cut off, another one, or changed in a single bit is an error, never a wrong row.
//!
//! **Other programs** find `baseline/<pipeline>.<sink>.sql` (of a mirror: `mirror.<source>.sql`) beside
//! the files: one SELECT of the rows that are there now, without our columns.
//!
//! **Open files.** A reader has its files open as long as it reads. Compaction leaves the old files in
//! their place, and the next run removes them: on Linux and macOS the reader keeps what it opened, on
//! Windows too, as files are opened for shared deletion. Where another program forbids that, the file
//! stays until a later run.

mod baseline;
mod compact;
mod cursor;
pub(crate) mod disk;
mod file;
mod index;
mod pages;
mod published;
mod seal;
mod sealed;
mod sort;
mod take;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use baseline::{Baseline, Known};
pub(crate) use cursor::BaselineCursor;
pub(crate) use file::{RowFile, align, damaged};
pub(crate) use published::publish;
pub(crate) use sealed::Spare;
pub(crate) use take::{sweep, take};
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
const INDEX: &str = "obmen_index";
const AT: &str = "obmen_at";

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
    hash_of(array.value(row))
}

fn hash_of(bytes: &[u8]) -> Hash {
    <[u8; 16]>::try_from(bytes).map_or(0, Hash::from_be_bytes)
}
