//! Rows written in a test, as typed rows.

use crate::table::align;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, concat, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use obmen_diagnostics::{Span, Spanned};
use obmen_sdk::{Context, Error, Registry, Result, Scan, Secret, Secrets, SourceTarget, Stop, types};
use obmen_spec::pipeline::Source;
use obmen_spec::test_file::{Row, Rows};
use obmen_spec::{Map, Node, Scalar, ScalarStyle, Value};
use std::path::Path;
use std::sync::Arc;

/// The rows of a source: from a file, by the connector for files of this machine, or as written.
pub(super) async fn read(rows: &Rows, source: &Source, registry: &Registry, folder: &Path) -> Result<RecordBatch> {
    match rows {
        Rows::Inline(rows) => typed(rows, &inline_schema(rows, source)),
        Rows::File(path) => read_file(path, source, registry, folder).await,
    }
}

fn inline_schema(rows: &[Row], source: &Source) -> SchemaRef {
    if let Some(columns) = &source.columns {
        return types::arrow_schema(columns);
    }
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.columns) {
        if !names.contains(&name.value.as_str()) {
            names.push(name);
        }
    }
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

async fn read_file(path: &Spanned<String>, source: &Source, registry: &Registry, folder: &Path) -> Result<RecordBatch> {
    let file = folder.join(&path.value);
    let here = settings(".", path.span);
    let connector = registry
        .iter()
        .find(|connector| connector.is_local(&here))
        .ok_or_else(|| Error::internal("no connector reads fixtures"))?;
    let parent = file.parent().unwrap_or(folder).to_owned();
    let entity = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let context = Context {
        project: folder.to_owned(),
        scratch: std::env::temp_dir(),
        now: chrono::DateTime::UNIX_EPOCH,
        secrets: Arc::new(NoSecrets),
        stop: Stop::default(),
    };
    let parent = std::path::absolute(&parent)?;
    let connection = connector.open(&settings(&parent.to_string_lossy(), path.span), &context)?;
    let target = SourceTarget {
        name: entity.clone(),
        entity,
        columns: source.columns.as_deref().map(types::arrow_schema),
        key: source.key.iter().map(|key| key.value.clone()).collect(),
        inbox: None,
        // a fixture is a plain file, whatever the source itself is made of
        options: Node { span: path.span, value: Value::Null },
    };
    let reader = connection.source(target).await?;
    let schema = reader.schema();
    let batches: Vec<_> = reader.read(Scan::default()).await?.try_collect().await?;
    if let Some(bad) = batches.iter().flat_map(|batch| &batch.bad).next() {
        return Err(Error::invalid_data(format!("{}: {}", bad.place, bad.reason)));
    }
    let rows: Vec<RecordBatch> = batches.into_iter().map(|batch| batch.rows).collect();
    Ok(concat_batches(&schema, &rows)?)
}

/// `{ path: FOLDER }`, as if written where the fixture is named.
fn settings(folder: &str, span: Span) -> Node {
    let scalar = Scalar { text: folder.to_owned(), style: ScalarStyle::Quoted, pieces: Vec::new() };
    let value = Node { span, value: Value::Scalar(scalar) };
    Node { span, value: Value::Map(Map { entries: vec![(Spanned::new("path".to_owned(), span), value)] }) }
}

/// Rows as a batch; columns that are not mentioned are NULL.
pub(super) fn typed(rows: &[Row], schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let cells = rows.iter().map(|row| {
                let node = row.columns.iter().find(|(name, _)| name.value == *field.name()).map(|(_, node)| node);
                node.map_or_else(|| Ok(new_null_array(field.data_type(), 1)), |node| cell(node, field))
            });
            let cells = cells.collect::<Result<Vec<ArrayRef>>>()?;
            let arrays: Vec<&dyn Array> = cells.iter().map(AsRef::as_ref).collect();
            Ok(if arrays.is_empty() { new_null_array(field.data_type(), 0) } else { concat(&arrays)? })
        })
        .collect::<Result<Vec<_>>>()?;
    align(&RecordBatch::try_new(Arc::clone(schema), columns)?, schema)
}

/// A value as an array of one, of a field's type. What would lose something is an error.
pub(super) fn cell(node: &Node, field: &Field) -> Result<ArrayRef> {
    let text = match &node.value {
        Value::Null => return Ok(new_null_array(field.data_type(), 1)),
        Value::Scalar(scalar) => scalar.text.clone(),
        _ => return Err(Error::invalid_data(format!("column `{}` needs one value", field.name()))),
    };
    let wrong =
        || Error::invalid_data(format!("`{text}` is no value for column `{}` ({})", field.name(), field.data_type()));
    if let DataType::Decimal128(_, scale) = field.data_type() {
        let digits = text.split_once('.').map_or(0, |(_, after)| after.trim_end_matches('0').len());
        if digits > usize::try_from(*scale).unwrap_or(0) {
            return Err(wrong());
        }
    }
    let array: ArrayRef = match field.data_type() {
        DataType::Utf8 => {
            let uuid = field.metadata().get(types::TYPE_KEY).is_some_and(|kind| kind == "uuid");
            Arc::new(StringArray::from(vec![if uuid { text.to_lowercase() } else { text }]))
        }
        DataType::Binary => Arc::new(BinaryArray::from(vec![text.as_bytes()])),
        other => {
            let options = CastOptions { safe: false, ..CastOptions::default() };
            let texts: ArrayRef = Arc::new(StringArray::from(vec![text.as_str()]));
            cast_with_options(&texts, other, &options).map_err(|_| wrong())?
        }
    };
    Ok(array)
}

/// A row's value as it would be written: for messages and for finding rows by key.
pub(super) fn text(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) { "null".to_owned() } else { crate::value::text(array, row) }
}

/// The value of a var as `--var` would give it.
pub(super) fn var_text(node: &Node) -> String {
    match &node.value {
        Value::List(list) => list.iter().filter_map(Node::as_str).collect::<Vec<_>>().join(","),
        _ => node.as_str().unwrap_or_default().to_owned(),
    }
}

/// Whether two arrays of one value hold the same value.
pub(super) fn equal(one: &ArrayRef, other: &ArrayRef, row: usize) -> Result<bool> {
    let other = other.slice(row, 1);
    Ok(hash_of(one)? == hash_of(&other)?)
}

fn hash_of(array: &ArrayRef) -> Result<u128> {
    let schema = Schema::new(vec![Field::new("value", array.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(array)])?;
    Ok(crate::hash::hash_rows(&batch, &["value".to_owned()])?.first().copied().unwrap_or_default())
}

/// The parts of a row, as a batch of their own.
pub(super) fn parts(array: &ArrayRef, row: usize) -> Option<RecordBatch> {
    let list = array.as_list_opt::<i32>()?;
    if list.is_null(row) {
        return None;
    }
    let values = list.value(row);
    Some(RecordBatch::from(values.as_struct_opt()?.clone()))
}

#[derive(Debug)]
struct NoSecrets;

impl Secrets for NoSecrets {
    fn resolve(&self, text: &str) -> Result<Secret> {
        Ok(Secret::new(text))
    }
}
