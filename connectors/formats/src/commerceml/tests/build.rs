//! Targets, rows and children for tests.

use arrow::array::{Array, ArrayRef, Decimal128Array, ListArray, StringArray, StructArray, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::record_batch::RecordBatch;
use obmen_diagnostics::{FileId, Span};
use obmen_sdk::{Changes, Op, RowId, SinkTarget};
use obmen_spec::{Node, Value};
use std::sync::Arc;

pub(super) fn texts<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

pub(super) fn decimals(scale: i8, values: impl IntoIterator<Item = Option<i128>>) -> ArrayRef {
    let array: Decimal128Array = values.into_iter().collect();
    Arc::new(array.with_precision_and_scale(18, scale).unwrap())
}

/// A `List<Struct>` of flat columns, `lengths` items per row.
pub(super) fn children(columns: Vec<(&str, ArrayRef)>, lengths: &[usize]) -> ArrayRef {
    let fields: Fields =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let items = StructArray::new(fields.clone(), columns.into_iter().map(|(_, array)| array).collect(), None);
    let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths.iter().copied()), Arc::new(items), None))
}

pub(super) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Fields =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

pub(super) fn no_options() -> Node {
    Node { span: Span::new(FileId(0), 0..0), value: Value::Null }
}

pub(super) fn options(yaml: &str) -> Node {
    let mut problems = obmen_diagnostics::Problems::new();
    let node = obmen_spec::yaml::parse(FileId(0), yaml, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    node.unwrap()
}

pub(super) fn target(entity: &str, rows: &RecordBatch) -> SinkTarget {
    SinkTarget {
        name: entity.to_owned(),
        entity: entity.to_owned(),
        schema: rows.schema(),
        key: vec![rows.schema().field(0).name().clone()],
        delete: false,
        options: no_options(),
    }
}

/// Changes of one operation; nothing is known of the other side.
pub(super) fn changes(target: usize, op: Op, first: u64, rows: RecordBatch) -> Changes {
    let count = rows.num_rows();
    let old = rows.columns().iter().map(|column| new_null_array(column.data_type(), count)).collect();
    let old = RecordBatch::try_new(rows.schema(), old).unwrap();
    Changes {
        target,
        ids: (first..).take(count).map(RowId).collect(),
        ops: vec![op; count],
        rows,
        old,
        unchanged: None,
    }
}
