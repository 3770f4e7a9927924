//! The sink: tables of one database, a load in one transaction.

mod load;
mod loads;
mod table;

use crate::read::{read, read_all};
use crate::server::Server;
use crate::sql::{Name, identifier};
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use async_trait::async_trait;
use load::Transaction;
use loads::Loads;
use obmen_sdk::{
    Error, Filter, Found, Load, LoadId, Operations, Repetition, Result, Scan, Sink, SinkAbilities, SinkTarget,
    TargetAbilities,
};
use std::collections::HashMap;
use std::sync::Arc;
use table::Table;

/// All targets of a run in one database.
#[derive(Debug)]
pub(crate) struct Tables {
    server: Arc<Server>,
    targets: Arc<Vec<Table>>,
    portion: usize,
    loads: Loads,
}

impl Tables {
    /// Settles all targets against the catalogue.
    ///
    /// # Errors
    /// Those of the session and of [`Table::settle`].
    pub(crate) async fn open(
        server: Arc<Server>,
        targets: Vec<SinkTarget>,
        portion: usize,
        loads_table: Name,
    ) -> Result<Self> {
        let session = server.connect().await?;
        let mut tables = Vec::with_capacity(targets.len());
        for target in &targets {
            tables.push(Table::settle(&session, target).await?);
        }
        Ok(Self { server, targets: Arc::new(tables), portion, loads: Loads::new(loads_table) })
    }
}

#[async_trait]
impl Sink for Tables {
    fn abilities(&self) -> SinkAbilities {
        let target = |table: &Table| TargetAbilities {
            operations: Operations { mark: table.deleted_column.is_some(), delete: true, children: false },
            whole: false,
        };
        SinkAbilities {
            targets: self.targets.iter().map(target).collect(),
            order: (0..self.targets.len()).collect(),
            portion_rows: self.portion,
            repetition: Repetition::Harmless,
            exclusive: false,
            find: true,
        }
    }

    async fn begin(&self, load: &LoadId) -> Result<Box<dyn Load>> {
        let (server, tables) = (Arc::clone(&self.server), Arc::clone(&self.targets));
        Ok(Box::new(Transaction::begin(server, tables, self.loads.clone(), &load.0).await?))
    }

    async fn find(&self, target: usize, keys: &RecordBatch) -> Result<Vec<Found>> {
        let table = self.targets.get(target).ok_or_else(|| Error::internal("no such target"))?;
        let scan = Scan { filter: vec![Filter::OneOf(keys.clone())], ..Scan::default() };
        // A row that is marked as deleted is not there.
        let deleted = table
            .deleted_column
            .as_ref()
            .map(|column| format!("{}.{} IS NOT TRUE", crate::condition::RELATION, identifier(column)));
        let conditions: Vec<String> = deleted.into_iter().collect();
        let batches = read_all(read(&self.server, &table.relation, &scan, &conditions).await?).await?;
        let rows = concat_batches(&table.relation.schema, batches.iter().map(|batch| &batch.rows))?;
        matched(&rows, keys)
    }
}

/// The row of each key.
fn matched(rows: &RecordBatch, keys: &RecordBatch) -> Result<Vec<Found>> {
    let fields = keys.columns().iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let converter = RowConverter::new(fields)?;
    let schema = keys.schema();
    let columns = schema.fields().iter().map(|field| rows.column_by_name(field.name()).cloned());
    let columns: Option<Vec<_>> = columns.collect();
    let columns = columns.ok_or_else(|| Error::internal("a key that is not among the columns"))?;
    let there = converter.convert_columns(&columns)?;
    let places: HashMap<&[u8], usize> = there.iter().enumerate().map(|(at, row)| (row.data(), at)).collect();
    let wanted = converter.convert_columns(keys.columns())?;
    let found = |row: arrow::row::Row<'_>| match places.get(row.data()) {
        Some(at) => Found::Present(rows.slice(*at, 1)),
        None => Found::Absent,
    };
    Ok(wanted.iter().map(found).collect())
}
