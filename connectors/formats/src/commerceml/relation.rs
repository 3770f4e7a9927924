//! The relations a file is read as, and how rows become batches.

use super::number;
use super::tree::Tree;
use super::xml::Place;
use crate::rows::BATCH_BYTES;
use arrow::array::{Array, ArrayRef, BooleanBuilder, Decimal128Builder, StringBuilder};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use obmen_sdk::{BadRow, Batch, Result};
use obmen_spec::ColumnType;
use std::sync::{Arc, LazyLock};

const TEXT: ColumnType = ColumnType::String;
/// Quantities and weights as 1C keeps them.
const QUANTITY: ColumnType = ColumnType::Decimal { precision: 15, scale: 3 };
/// Any sum of the XSD (18 digits, 2 of them after the point) and Bitrix's four decimals.
const PRICE: ColumnType = ColumnType::Decimal { precision: 20, scale: 4 };
const FACTOR: ColumnType = ColumnType::Decimal { precision: 18, scale: 6 };

type Columns = &'static [(&'static str, ColumnType)];

const RELATIONS: &[(&str, Columns)] = &[
    ("groups", &[("id", TEXT), ("parent", TEXT), ("name", TEXT)]),
    ("properties", &[("id", TEXT), ("name", TEXT), ("kind", TEXT)]),
    ("property_values", &[("property", TEXT), ("id", TEXT), ("value", TEXT)]),
    (
        "goods",
        &[
            ("id", TEXT),
            ("sku", TEXT),
            ("barcode", TEXT),
            ("name", TEXT),
            ("full_name", TEXT),
            ("unit_code", TEXT),
            ("unit_name", TEXT),
            ("group", TEXT),
            ("description", TEXT),
            ("vat_rate", TEXT),
            ("weight", QUANTITY),
            ("country", TEXT),
            ("manufacturer", TEXT),
            ("kind", TEXT),
            ("deleted", ColumnType::Bool),
        ],
    ),
    ("goods_properties", &[("good", TEXT), ("property", TEXT), ("value", TEXT)]),
    ("price_types", &[("id", TEXT), ("name", TEXT), ("currency", TEXT)]),
    ("warehouses", &[("id", TEXT), ("name", TEXT)]),
    (
        "offers",
        &[
            ("id", TEXT),
            ("good", TEXT),
            ("characteristic", TEXT),
            ("sku", TEXT),
            ("name", TEXT),
            ("barcode", TEXT),
            ("unit_code", TEXT),
            ("unit_name", TEXT),
            ("quantity", QUANTITY),
        ],
    ),
    (
        "prices",
        &[
            ("offer", TEXT),
            ("price_type", TEXT),
            ("price", PRICE),
            ("currency", TEXT),
            ("unit", TEXT),
            ("coefficient", FACTOR),
        ],
    ),
    ("stock", &[("offer", TEXT), ("warehouse", TEXT), ("quantity", QUANTITY)]),
];

static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| RELATIONS.iter().map(|(name, _)| *name).collect());

/// The names of all relations.
///
/// | relation | columns |
/// |---|---|
/// | `groups` | `id`, `parent` (NULL at the top), `name` |
/// | `properties` | `id`, `name`, `kind` (`Строка`, `Число`, `Время`, `Справочник`) |
/// | `property_values` | `property`, `id`, `value`: the variants of a `Справочник` |
/// | `goods` | `id`, `sku`, `barcode`, `name`, `full_name`, `unit_code`, `unit_name`, `group` (the first one listed), `description`, `vat_rate` (text: `20`, `Без НДС`), `weight` decimal(15,3) in kilograms, `country`, `manufacturer`, `kind` (`Товар`, `Услуга`), `deleted` bool |
/// | `goods_properties` | `good`, `property`, `value` as written: for a `Справочник` the id of the variant |
/// | `price_types` | `id`, `name`, `currency` |
/// | `warehouses` | `id`, `name` |
/// | `offers` | `id`, `good` (the id before `#`), `characteristic` (after it), `sku`, `name`, `barcode`, `unit_code`, `unit_name`, `quantity` decimal(15,3) |
/// | `prices` | `offer`, `price_type`, `price` decimal(20,4), `currency`, `unit`, `coefficient` decimal(18,6) |
/// | `stock` | `offer`, `warehouse`, `quantity` decimal(15,3) |
///
/// All columns not given a type are `string`. An absent element and an empty one are both NULL.
pub fn relations() -> &'static [&'static str] {
    &NAMES
}

/// The columns of a relation; `None` if there is no such relation.
pub fn schema(relation: &str) -> Option<SchemaRef> {
    let (_, columns) = RELATIONS.iter().find(|(name, _)| *name == relation)?;
    let fields: Vec<_> = columns.iter().map(|(name, kind)| obmen_sdk::types::arrow_field(name, *kind)).collect();
    Some(Arc::new(arrow::datatypes::Schema::new(fields)))
}

enum Builder {
    Text(StringBuilder),
    Decimal(Decimal128Builder),
    Bool(BooleanBuilder),
}

/// Rows of one relation on their way out, batch by batch.
pub(super) struct Rows<'o> {
    schema: SchemaRef,
    file: String,
    builders: Vec<Builder>,
    /// The numbers of the row under way.
    numbers: Vec<Option<i128>>,
    bad: Vec<BadRow>,
    waiting: usize,
    /// Bytes of text that wait.
    bytes: usize,
    most: usize,
    out: &'o mut dyn FnMut(Batch) -> Result<()>,
}

/// A value of a row.
pub(super) enum Cell<'a> {
    /// A text, or NULL.
    Text(Option<&'a str>),
    /// A text that must be there: an id.
    Key(Option<&'a str>),
    /// A number as written, or NULL, and where it stands.
    Number(Option<(&'a str, Place)>),
    /// A truth value.
    Bool(bool),
}

impl<'a> Cell<'a> {
    /// The number an element says.
    pub(super) fn number(tree: Option<Tree<'a>>) -> Self {
        Self::Number(tree.and_then(|tree| tree.value().map(|text| (text, tree.place()))))
    }
}

impl<'o> Rows<'o> {
    /// No rows yet.
    pub(super) fn new(
        schema: SchemaRef,
        file: &str,
        batch_rows: usize,
        out: &'o mut dyn FnMut(Batch) -> Result<()>,
    ) -> Self {
        let most = batch_rows.max(1);
        let builders = schema.fields().iter().map(|field| Builder::new(field.data_type(), most)).collect();
        let (numbers, bad) = (Vec::new(), Vec::new());
        Self { schema, file: file.to_owned(), builders, numbers, bad, waiting: 0, bytes: 0, most, out }
    }

    /// Adds a row, one cell per column; `place` is where it stands. A value that does not fit makes it a bad row.
    pub(super) fn push(&mut self, place: Place, cells: &[Cell<'_>]) -> Result<()> {
        match self.check(place, cells) {
            Ok(()) => self.append(cells),
            Err(bad) => self.bad.push(bad),
        }
        self.waiting += 1;
        if self.waiting >= self.most || self.bytes >= BATCH_BYTES { self.flush(None) } else { Ok(()) }
    }

    /// Hands over what is left; `exact` as in [`Batch`].
    pub(super) fn finish(mut self, exact: Option<bool>) -> Result<()> {
        if self.waiting > 0 || exact.is_some() { self.flush(exact) } else { Ok(()) }
    }

    /// Looks whether a row can be added, and reads its numbers.
    fn check(&mut self, place: Place, cells: &[Cell<'_>]) -> std::result::Result<(), BadRow> {
        self.numbers.clear();
        for (cell, field) in cells.iter().zip(self.schema.fields()) {
            let bad = |place: Place, reason: String| BadRow {
                place: format!("{}:{place}", self.file),
                column: Some(field.name().clone()),
                reason,
            };
            match cell {
                Cell::Key(None) => return Err(bad(place, format!("`{}` is missing", field.name()))),
                Cell::Number(Some((text, place))) => {
                    let (precision, scale) = digits(field.data_type());
                    let value = number::parse(text, precision, scale).map_err(|reason| bad(*place, reason))?;
                    self.numbers.push(Some(value));
                }
                Cell::Number(None) => self.numbers.push(None),
                Cell::Key(Some(_)) | Cell::Text(_) | Cell::Bool(_) => {}
            }
        }
        Ok(())
    }

    fn append(&mut self, cells: &[Cell<'_>]) {
        let mut numbers = self.numbers.iter().copied();
        for (cell, builder) in cells.iter().zip(&mut self.builders) {
            match (builder, cell) {
                (Builder::Text(builder), Cell::Text(text) | Cell::Key(text)) => {
                    self.bytes += text.map_or(0, str::len);
                    builder.append_option(*text);
                }
                (Builder::Decimal(builder), Cell::Number(_)) => builder.append_option(numbers.next().flatten()),
                (Builder::Bool(builder), Cell::Bool(value)) => builder.append_value(*value),
                (builder, _) => builder.append_null(),
            }
        }
    }

    fn flush(&mut self, exact: Option<bool>) -> Result<()> {
        let arrays = self.builders.iter_mut().map(Builder::finish).collect();
        (self.waiting, self.bytes) = (0, 0);
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), arrays)?;
        (self.out)(Batch { rows, bad: std::mem::take(&mut self.bad), cursor: None, exact })
    }
}

impl Builder {
    /// A builder for a column of so many rows at most.
    fn new(kind: &DataType, rows: usize) -> Self {
        let rows = rows.min(1 << 13);
        match kind {
            DataType::Decimal128(..) => {
                Self::Decimal(Decimal128Builder::with_capacity(rows).with_data_type(kind.clone()))
            }
            DataType::Boolean => Self::Bool(BooleanBuilder::with_capacity(rows)),
            _ => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Text(builder) => builder.append_null(),
            Self::Decimal(builder) => builder.append_null(),
            Self::Bool(builder) => builder.append_null(),
        }
    }

    /// Takes the values; the next ones get as much room as these needed.
    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => {
                let values = builder.finish();
                *builder = StringBuilder::with_capacity(values.len(), values.value_data().len());
                Arc::new(values)
            }
            Self::Decimal(builder) => {
                let values = builder.finish();
                *builder = Decimal128Builder::with_capacity(values.len()).with_data_type(values.data_type().clone());
                Arc::new(values)
            }
            Self::Bool(builder) => Arc::new(builder.finish()),
        }
    }
}

fn digits(kind: &DataType) -> (u8, u8) {
    match kind {
        DataType::Decimal128(precision, scale) => (*precision, u8::try_from(*scale).unwrap_or(0)),
        _ => (38, 0),
    }
}
