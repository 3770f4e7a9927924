//! 128-bit hashes of rows by value: the same value gives the same hash however it is written.
//!
//! A row's hash is XXH3-128 over the concatenated encodings of its values, columns in the order of
//! their names. The encodings (numbers little-endian):
//!
//! | value | bytes |
//! |---|---|
//! | NULL | `00` |
//! | false, true | `01 00`, `01 01` |
//! | whole numbers and decimals | `02`, digits after the point (1 byte) after removing trailing zeros, unscaled value (16 bytes) |
//! | double | `03`, IEEE bits (8 bytes); −0 as 0, every NaN alike |
//! | text | `04`, length in bytes (4), UTF-8 in Unicode NFC |
//! | date | `05`, days since 1970-01-01 (4) |
//! | date and time | `06`, microseconds since 1970-01-01 (8); with a zone: in UTC |
//! | time of day | `07`, microseconds since midnight (8) |
//! | bytes | `08`, length (4), the bytes |
//!
//! A row with parts (children) is XXH3-128 over the hash of its other columns (16 bytes, big-endian) and,
//! for each list of parts in the order of the lists' names, how many there are (4 bytes, little-endian)
//! and the hashes of the parts, ascending (16 bytes each, big-endian). A part hashes like a row of its
//! own. So a row can be compared without putting its parts together.
//!
//! So `129.9`, `129.90` and `129.900` are one value, NULL is not the empty text, and the order of
//! columns does not matter.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, ListArray, StringArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, ErrorKind, Result};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use xxhash_rust::xxh3::xxh3_128;

/// A 128-bit hash of a key or a row.
pub type Hash = u128;

/// The hashes of the rows of `batch` over the columns `names`.
///
/// # Errors
/// `Unsupported` for a column type that cannot be a value of a row; `Internal` for an unknown column.
pub fn hash_rows(batch: &RecordBatch, names: &[String]) -> Result<Vec<Hash>> {
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    let columns = sorted.iter().map(|name| column(batch, name)).collect::<Result<Vec<_>>>()?;
    let (lists, own): (Vec<&ArrayRef>, Vec<&ArrayRef>) =
        columns.into_iter().partition(|array| matches!(array.data_type(), DataType::List(_)));
    let own = hash_columns(&own, batch.num_rows())?;
    if lists.is_empty() {
        return Ok(own);
    }
    let mut parts = lists
        .into_iter()
        .map(|list| Ok((list.as_list::<i32>(), hash_parts(list.as_list::<i32>())?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(own
        .into_iter()
        .enumerate()
        .map(|(row, own)| {
            let mut all = WithParts::new(own);
            for (list, hashes) in &mut parts {
                let (start, end) = part_range(list, row);
                all.add(hashes.get_mut(start..end).unwrap_or_default());
            }
            all.hash()
        })
        .collect())
}

/// The hash of a row whose parts are hashed apart from it.
pub(crate) struct WithParts(Vec<u8>);

impl WithParts {
    /// A row's own columns.
    pub(crate) fn new(own: Hash) -> Self {
        Self(own.to_be_bytes().to_vec())
    }

    /// The parts of one list, which this sorts; lists come in the order of their names.
    pub(crate) fn add(&mut self, parts: &mut [Hash]) {
        parts.sort_unstable();
        self.0.extend(u32::try_from(parts.len()).unwrap_or(u32::MAX).to_le_bytes());
        for part in parts {
            self.0.extend(part.to_be_bytes());
        }
    }

    /// The hash of all of it.
    pub(crate) fn hash(&self) -> Hash {
        xxh3_128(&self.0)
    }
}

/// The hashes of all parts of a list, in the order they stand in its values.
fn hash_parts(list: &ListArray) -> Result<Vec<Hash>> {
    let records: &StructArray =
        list.values().as_struct_opt().ok_or_else(|| Error::internal("parts of a row are not records"))?;
    let mut fields: Vec<(&str, &ArrayRef)> =
        records.fields().iter().map(|field| field.name().as_str()).zip(records.columns()).collect();
    fields.sort_by_key(|(name, _)| *name);
    hash_columns(&fields.into_iter().map(|(_, array)| array).collect::<Vec<_>>(), records.len())
}

/// The hashes of keys: as [`hash_rows`], but in the order of the key's columns instead of by name, so
/// that a reference to a key hashes like the key itself.
///
/// # Errors
/// As for [`hash_rows`].
pub fn hash_keys(batch: &RecordBatch, key: &[String]) -> Result<Vec<Hash>> {
    let columns = key.iter().map(|name| column(batch, name)).collect::<Result<Vec<_>>>()?;
    hash_columns(&columns, batch.num_rows())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::internal(format!("no column `{name}` to hash")))
}

fn hash_columns(columns: &[&ArrayRef], rows: usize) -> Result<Vec<Hash>> {
    let encoders = columns.iter().map(|array| Encoder::of(array)).collect::<Result<Vec<_>>>()?;
    let mut bytes = Vec::with_capacity(256);
    let mut hashes = Vec::with_capacity(rows);
    for row in 0..rows {
        bytes.clear();
        for encoder in &encoders {
            encoder.encode(row, &mut bytes);
        }
        hashes.push(xxh3_128(&bytes));
    }
    Ok(hashes)
}

/// A column, its type decided once.
enum Encoder<'a> {
    Null,
    Bool(&'a BooleanArray),
    Int(&'a Int32Array),
    Long(&'a Int64Array),
    Decimal(&'a Decimal128Array, i8),
    Double(&'a Float64Array),
    Text(&'a StringArray),
    Date(&'a Date32Array),
    Datetime(&'a TimestampMicrosecondArray),
    Time(&'a Time64MicrosecondArray),
    Binary(&'a BinaryArray),
}

impl<'a> Encoder<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Int32 => Self::Int(array.as_primitive()),
            DataType::Int64 => Self::Long(array.as_primitive()),
            DataType::Decimal128(_, scale) => Self::Decimal(array.as_primitive(), *scale),
            DataType::Float64 => Self::Double(array.as_primitive()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Date32 => Self::Date(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Datetime(array.as_primitive()),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(array.as_primitive()),
            DataType::Binary => Self::Binary(array.as_binary()),
            other => {
                return Err(Error::new(ErrorKind::Unsupported, format!("a column of type {other} cannot be compared")));
            }
        })
    }

    fn encode(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.push(0);
            return;
        }
        match self {
            Self::Null => out.push(0),
            Self::Bool(array) => out.extend([1, u8::from(array.value(row))]),
            Self::Int(array) => encode_number(i128::from(array.value(row)), 0, out),
            Self::Long(array) => encode_number(i128::from(array.value(row)), 0, out),
            Self::Decimal(array, scale) => encode_number(array.value(row), *scale, out),
            Self::Double(array) => encode_double(array.value(row), out),
            Self::Text(array) => encode_text(array.value(row), out),
            Self::Date(array) => encode_fixed(5, &array.value(row).to_le_bytes(), out),
            Self::Datetime(array) => encode_fixed(6, &array.value(row).to_le_bytes(), out),
            Self::Time(array) => encode_fixed(7, &array.value(row).to_le_bytes(), out),
            Self::Binary(array) => encode_bytes(8, array.value(row), out),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(array) => array.is_null(row),
            Self::Int(array) => array.is_null(row),
            Self::Long(array) => array.is_null(row),
            Self::Decimal(array, _) => array.is_null(row),
            Self::Double(array) => array.is_null(row),
            Self::Text(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Datetime(array) => array.is_null(row),
            Self::Time(array) => array.is_null(row),
            Self::Binary(array) => array.is_null(row),
        }
    }
}

fn encode_fixed(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend(bytes);
}

fn encode_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(bytes);
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    if is_plain(text.as_bytes()) || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        encode_bytes(4, text.as_bytes(), out);
    } else {
        encode_bytes(4, text.nfc().collect::<String>().as_bytes(), out);
    }
}

/// Whether UTF-8 consists of letters of blocks in which every letter is its own normal form: below
/// U+0300 (Latin) and from U+0400 to U+047F (Cyrillic). Nearly all texts are; the others are looked at letter by letter.
fn is_plain(text: &[u8]) -> bool {
    const FIRST_COMBINING: u8 = 0xcc;
    const CYRILLIC: [u8; 2] = [0xd0, 0xd1];
    // no early end: the whole text is looked at in wide steps
    let others = text.iter().map(|byte| u8::from(*byte >= FIRST_COMBINING && !CYRILLIC.contains(byte)));
    others.fold(0, |all, other| all | other) == 0
}

fn encode_double(value: f64, out: &mut Vec<u8>) {
    let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
    encode_fixed(3, &value.to_bits().to_le_bytes(), out);
}

fn encode_number(unscaled: i128, scale: i8, out: &mut Vec<u8>) {
    let (unscaled, scale) = strip_zeros(unscaled, scale);
    out.push(2);
    out.push(scale.to_le_bytes()[0]);
    out.extend(unscaled.to_le_bytes());
}

/// Removes trailing zeros after the point; whole numbers keep theirs.
fn strip_zeros(mut unscaled: i128, mut scale: i8) -> (i128, i8) {
    if let Ok(mut small) = i64::try_from(unscaled) {
        while scale > 0 && small % 10 == 0 {
            small /= 10;
            scale -= 1;
        }
        return (i128::from(small), if small == 0 { 0 } else { scale });
    }
    while scale > 0 && unscaled % 10 == 0 {
        unscaled /= 10;
        scale -= 1;
    }
    (unscaled, scale)
}

/// The rows of a list's values that are the parts of `row`.
pub(crate) fn part_range(list: &ListArray, row: usize) -> (usize, usize) {
    // no parts and NULL parts are the same thing
    if list.is_null(row) {
        return (0, 0);
    }
    let offsets = list.value_offsets();
    let at = |index: usize| offsets.get(index).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
    (at(row), at(row + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, StringArray};
    use arrow::datatypes::{Field, Schema};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect())
            .unwrap()
    }

    fn hash_one(array: ArrayRef) -> Hash {
        hash_rows(&batch(vec![("a", array)]), &["a".to_owned()]).unwrap()[0]
    }

    fn decimal(unscaled: i128, precision: u8, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![unscaled]).with_precision_and_scale(precision, scale).unwrap())
    }

    /// The published test vectors: whoever changes the encoding resends every catalogue.
    #[test]
    fn encoding_matches_its_test_vectors() {
        let vectors: Vec<(ArrayRef, &str)> = vec![
            (Arc::new(StringArray::from(vec![None::<&str>])), "00"),
            (Arc::new(BooleanArray::from(vec![true])), "0101"),
            (Arc::new(Int32Array::from(vec![7])), "0200 07000000000000000000000000000000"),
            (decimal(12990, 15, 2), "0201 13050000000000000000000000000000"),
            (Arc::new(StringArray::from(vec!["ё"])), "0402000000d191"),
        ];
        for (array, hex) in vectors {
            let mut bytes = Vec::new();
            Encoder::of(&array).unwrap().encode(0, &mut bytes);
            let written: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(written.concat(), hex.replace(' ', ""));
        }
        assert_eq!(hash_one(Arc::new(StringArray::from(vec!["ё"]))), xxh3_128(&[4, 2, 0, 0, 0, 0xd1, 0x91]));
    }

    #[test]
    fn equal_numbers_of_different_types_are_equal() {
        let five = hash_one(Arc::new(Int32Array::from(vec![5])));
        assert_eq!(five, hash_one(Arc::new(Int64Array::from(vec![5]))));
        assert_eq!(five, hash_one(decimal(500, 15, 2)));
        assert_eq!(five, hash_one(decimal(5_000_000_000_000_000_000_000, 38, 21)));
        assert_ne!(five, hash_one(decimal(501, 15, 2)));
    }

    #[test]
    fn null_differs_from_empty_text_and_zero() {
        let null = hash_one(Arc::new(StringArray::from(vec![None::<&str>])));
        assert_ne!(null, hash_one(Arc::new(StringArray::from(vec![""]))));
        assert_ne!(null, hash_one(Arc::new(Int32Array::from(vec![0]))));
    }

    #[test]
    fn composed_and_decomposed_letters_are_equal() {
        let composed = hash_one(Arc::new(StringArray::from(vec!["й"])));
        let decomposed = hash_one(Arc::new(StringArray::from(vec!["и\u{306}"])));
        assert_eq!(composed, decomposed);
    }

    #[test]
    fn zero_has_one_sign() {
        let plus = hash_one(Arc::new(Float64Array::from(vec![0.0])));
        assert_eq!(plus, hash_one(Arc::new(Float64Array::from(vec![-0.0]))));
    }

    #[test]
    fn column_order_does_not_matter() {
        let a: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let b: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let names = ["a".to_owned(), "b".to_owned()];
        let one = hash_rows(&batch(vec![("a", Arc::clone(&a)), ("b", Arc::clone(&b))]), &names).unwrap();
        let other = hash_rows(&batch(vec![("b", b), ("a", a)]), &names).unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn plain_letters_are_their_own_normal_form() {
        for letter in (0..0x1_0000).filter_map(char::from_u32) {
            let text = letter.to_string();
            if is_plain(text.as_bytes()) {
                assert!(text.nfc().eq(text.chars()), "U+{:04X}", u32::from(letter));
                assert!(!unicode_normalization::char::is_combining_mark(letter), "U+{:04X}", u32::from(letter));
            }
        }
        assert!(is_plain("Ёж №".trim_end_matches(" №").as_bytes()) && !is_plain("№".as_bytes()));
    }

    #[test]
    fn parts_hash_like_rows_of_their_own_in_any_order() {
        let part = |ids: Vec<i32>| {
            let array: ArrayRef = Arc::new(Int32Array::from(ids));
            StructArray::from(batch(vec![("n", array)]))
        };
        let list = |ids: Vec<i32>| {
            let parts = part(ids);
            let item = Arc::new(Field::new("item", parts.data_type().clone(), true));
            let offsets = arrow::buffer::OffsetBuffer::from_lengths([parts.len()]);
            Arc::new(ListArray::new(item, offsets, Arc::new(parts), None)) as ArrayRef
        };
        let own: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        let row = |ids| {
            let batch = batch(vec![("a", Arc::clone(&own)), ("parts", list(ids))]);
            hash_rows(&batch, &["parts".to_owned(), "a".to_owned()]).unwrap()[0]
        };
        assert_eq!(row(vec![1, 2]), row(vec![2, 1]));
        assert_ne!(row(vec![1, 2]), row(vec![1]));
        let hash = |array: &ArrayRef| hash_columns(&[array], array.len()).unwrap();
        let mut apart = WithParts::new(hash(&own)[0]);
        apart.add(&mut hash(&(Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef)));
        assert_eq!(apart.hash(), row(vec![1, 2]));
    }

    proptest! {
        #[test]
        fn decimals_hash_by_value(unscaled in -10_i128.pow(20)..10_i128.pow(20), scale in 0_i8..10, more in 0_u32..8) {
            let scaled = unscaled * 10_i128.pow(more);
            let wider = scale + i8::try_from(more).unwrap();
            prop_assert_eq!(hash_one(decimal(unscaled, 38, scale)), hash_one(decimal(scaled, 38, wider)));
        }

        #[test]
        fn texts_hash_alike_only_when_equal_in_nfc(a in "\\PC{0,6}", b in "\\PC{0,6}") {
            let same = a.nfc().eq(b.nfc());
            let hashes = hash_one(Arc::new(StringArray::from(vec![a]))) == hash_one(Arc::new(StringArray::from(vec![b])));
            prop_assert_eq!(same, hashes);
        }
    }
}
