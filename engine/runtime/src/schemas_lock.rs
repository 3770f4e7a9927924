//! `schemas.lock`: columns of entities as `obmen check` found them, so that `validate` works offline.

use arrow::datatypes::{Schema, SchemaRef};
use obmen_sdk::{Error, Result, types};
use obmen_spec::ColumnType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The file's name, beside `obmen.yaml`.
pub const FILE: &str = "schemas.lock";

/// Columns by connection and entity, in the order of the other side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemasLock {
    #[serde(flatten)]
    connections: BTreeMap<String, BTreeMap<String, Vec<(String, String)>>>,
}

impl SchemasLock {
    /// The file of a project; empty if there is none or it cannot be read (`obmen check` writes it anew).
    pub fn load(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The columns of an entity.
    pub fn schema(&self, connection: &str, entity: &str) -> Option<SchemaRef> {
        let columns = self.connections.get(connection)?.get(entity)?;
        let fields = columns.iter().map(|(name, kind)| Some(types::arrow_field(name, ColumnType::parse(kind).ok()?)));
        Some(Arc::new(Schema::new(fields.collect::<Option<Vec<_>>>()?)))
    }

    /// Remembers the columns of an entity. Columns of types that cannot be declared are left out.
    pub fn set(&mut self, connection: &str, entity: &str, schema: &SchemaRef) {
        let columns = schema
            .fields()
            .iter()
            .filter_map(|field| types::column_type(field).map(|kind| (field.name().clone(), kind.to_string())));
        self.connections.entry(connection.to_owned()).or_default().insert(entity.to_owned(), columns.collect());
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(Error::internal)?;
        std::fs::write(folder.join(FILE), text + "\n").map_err(|error| Error::from(error).with("file", FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_back_as_they_were_found() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            types::arrow_field("Ref_Key", ColumnType::Uuid),
            types::arrow_field("Цена", ColumnType::Decimal { precision: 15, scale: 2 }),
        ]));
        let folder = tempfile::tempdir().unwrap();
        let mut lock = SchemasLock::default();
        lock.set("trade", "Catalog_Номенклатура", &schema);
        lock.save(folder.path()).unwrap();
        assert_eq!(SchemasLock::load(folder.path()).schema("trade", "Catalog_Номенклатура"), Some(schema));
    }
}
