//! `schema.yaml`: which entities the folder holds, their columns and keys.

use super::cell::Edm;
use obmen_diagnostics::{Files, Problems};
use obmen_sdk::{Error, ErrorKind, Result};
use obmen_spec::{ColumnType, decode, yaml};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// All entities of a folder, by path.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    entities: BTreeMap<String, Arc<Entity>>,
}

/// One entity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entity {
    /// `Catalog_Номенклатура`, or `InformationRegister_ЦеныНоменклатуры/SliceLast` for a virtual table.
    pub(crate) name: String,
    /// Columns in the order of `schema.yaml`.
    pub(crate) columns: Vec<Field>,
    /// Columns of the key, as positions.
    pub(crate) key: Vec<usize>,
    /// The file; none for a set that exists only because its virtual table does.
    pub(crate) file: Option<PathBuf>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) edm: Edm,
    /// A string of fixed width in characters: shorter values are padded with spaces.
    pub(crate) fixed: Option<usize>,
}

/// How the rows of an entity are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// One by one.
    Rows,
    /// All rows of one recorder together.
    RecordSets,
}

/// A mapping in the order it was written.
#[derive(Debug)]
struct Ordered<T>(Vec<(String, T)>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaFile {
    entities: Ordered<EntityFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntityFile {
    columns: Ordered<String>,
    key: Vec<String>,
    #[serde(default)]
    fixed: Option<Ordered<usize>>,
}

impl Schema {
    /// Reads `schema.yaml` of a folder.
    ///
    /// # Errors
    /// `NotFound` without the file; `InvalidData` with all its mistakes and their places.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("schema.yaml");
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Error::new(ErrorKind::NotFound, "the folder of a 1C needs a schema.yaml")
                .with("file", path.display())
                .because(error)
        })?;
        let mut files = Files::new();
        let id = files.add("schema.yaml", text.clone());
        let mut problems = Problems::new();
        let decoded =
            yaml::parse(id, &text, &mut problems).and_then(|node| decode::decode::<SchemaFile>(&node, &mut problems));
        let Some(file) = decoded.filter(|_| !problems.has_errors()) else {
            let mistakes: Vec<String> = problems
                .sorted()
                .iter()
                .map(|mistake| match mistake.span() {
                    Some(span) => {
                        let at = files.line_column(span.file, span.start);
                        format!("schema.yaml:{}:{}: {}", at.line, at.column, mistake.message)
                    }
                    None => format!("schema.yaml: {}", mistake.message),
                })
                .collect();
            return Err(Error::invalid_data(mistakes.join("; ")).with("file", path.display()));
        };
        Self::of(folder, file).map_err(|mistake| Error::invalid_data(mistake).with("file", path.display()))
    }

    fn of(folder: &Path, file: SchemaFile) -> Result<Self, String> {
        let mut entities = BTreeMap::new();
        for (name, entity) in file.entities.0 {
            let entity = Entity::of(folder, &name, entity)?;
            entities.insert(name, Arc::new(entity));
        }
        let bases: Vec<Entity> = entities.values().filter_map(|entity| entity.base()).collect();
        for base in bases {
            entities.entry(base.name.clone()).or_insert_with(|| Arc::new(base));
        }
        Ok(Self { entities })
    }

    /// The entity of a name in a URL, and how its rows are given out.
    pub(crate) fn find(&self, name: &str) -> Option<(Arc<Entity>, Shape)> {
        if let Some(entity) = self.entities.get(name) {
            return Some((Arc::clone(entity), entity.shape()));
        }
        let owner = self.entities.get(name.strip_suffix("_RecordType")?)?;
        (owner.shape() == Shape::RecordSets).then(|| (Arc::clone(owner), Shape::Rows))
    }

    /// All entities, by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Entity>> {
        self.entities.values()
    }
}

impl Entity {
    fn of(folder: &Path, name: &str, file: EntityFile) -> Result<Self, String> {
        let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !name.split('/').all(plain) || name.split('/').count() > 2 {
            return Err(format!(
                "entity `{name}`: expected a name like `Catalog_X` or `InformationRegister_X/SliceLast`"
            ));
        }
        let fixed = file.fixed.map(|fixed| fixed.0).unwrap_or_default();
        let mut columns: Vec<Field> = Vec::new();
        for (column, kind) in file.columns.0 {
            let kind =
                ColumnType::parse(&kind).map_err(|mistake| format!("entity `{name}`, column `{column}`: {mistake}"))?;
            let width = fixed.iter().find(|(of, _)| *of == column).map(|(_, width)| *width);
            columns.push(Field { name: column, edm: Edm::of(kind), fixed: width });
        }
        let position = |column: &str| columns.iter().position(|field| field.name == column);
        let known = |column: &str| position(column).ok_or_else(|| format!("entity `{name}`: no column `{column}`"));
        for (column, _) in &fixed {
            known(column)?;
        }
        let mut key = file.key.iter().map(|column| known(column)).collect::<Result<Vec<usize>, String>>()?;
        if key.is_empty() {
            return Err(format!("entity `{name}`: the key is empty"));
        }
        let line = position("LineNumber").filter(|_| recorder(name, &columns).is_some());
        key.extend(line.filter(|line| !key.contains(line)));
        let path = name.split('/').fold(folder.to_owned(), |path, part| path.join(part));
        let mut file_name = path.file_name().unwrap_or_default().to_owned();
        file_name.push(".csv");
        Ok(Self { name: name.to_owned(), columns, key, file: Some(path.with_file_name(file_name)) })
    }

    /// The position of a column.
    pub(crate) fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|field| field.name == column)
    }

    /// The register and the function, for a virtual table.
    pub(crate) fn function(&self) -> Option<(&str, &str)> {
        self.name.split_once('/')
    }

    /// The columns that name the recorder, for a recorder-bound register.
    pub(crate) fn recorder(&self) -> Option<Vec<usize>> {
        recorder(&self.name, &self.columns)
    }

    /// The columns of the key of the set of this shape.
    pub(crate) fn key_of(&self, shape: Shape) -> Vec<usize> {
        match shape {
            Shape::Rows => self.key.clone(),
            Shape::RecordSets => self.recorder().unwrap_or_default(),
        }
    }

    fn shape(&self) -> Shape {
        if self.recorder().is_some() { Shape::RecordSets } else { Shape::Rows }
    }

    /// The register a virtual table belongs to, for folders that hold only the virtual table: the
    /// records of an information register are what the slice shows, a balance tells no movements.
    fn base(&self) -> Option<Self> {
        let (register, _) = self.function()?;
        if register.starts_with("InformationRegister_") {
            return Some(Self { name: register.to_owned(), ..self.clone() });
        }
        let field = |name: &str, edm: Edm| Field { name: name.to_owned(), edm, fixed: None };
        let mut columns = vec![
            field("Recorder", Edm::String),
            field("Recorder_Type", Edm::String),
            field("Period", Edm::DateTime),
            field("LineNumber", Edm::Int64),
            field("Active", Edm::Boolean),
        ];
        for column in &self.columns {
            let name = column.name.strip_suffix("Balance").unwrap_or(&column.name);
            columns.push(Field { name: name.to_owned(), ..column.clone() });
        }
        Some(Self { name: register.to_owned(), columns, key: vec![0, 1, 3], file: None })
    }
}

fn recorder(name: &str, columns: &[Field]) -> Option<Vec<usize>> {
    let register = ["InformationRegister_", "AccumulationRegister_", "AccountingRegister_", "CalculationRegister_"];
    if name.contains('/') || name.ends_with("_RecordType") || !register.iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    let position = |column: &str| columns.iter().position(|field| field.name == column);
    match (position("Recorder"), position("Recorder_Type"), position("Recorder_Key")) {
        (Some(recorder), Some(kind), _) => Some(vec![recorder, kind]),
        (_, _, Some(key)) => Some(vec![key]),
        _ => None,
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Result<Schema> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("schema.yaml"), text).unwrap();
        Schema::open(folder.path())
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        let message = |text: &str| open(text).unwrap_err().to_string();
        let unknown = message("entities:\n  A:\n    columns: { Ref_Key: uuid }\n    keys: [Ref_Key]\n");
        assert!(unknown.contains("schema.yaml:4:5"), "{unknown}");
        let kind = message("entities: { A: { columns: { Ref_Key: guid }, key: [Ref_Key] } }");
        assert!(kind.contains("entity `A`, column `Ref_Key`: unknown type `guid`"), "{kind}");
        let key = message("entities: { A: { columns: { Ref_Key: uuid }, key: [Code] } }");
        assert!(key.contains("entity `A`: no column `Code`"), "{key}");
        let name = message("entities: { ../A: { columns: { Ref_Key: uuid }, key: [Ref_Key] } }");
        assert!(name.contains("expected a name like"), "{name}");
    }

    #[test]
    fn columns_keep_their_order_and_registers_their_two_shapes() {
        let text = "entities:\n  AccumulationRegister_X: { columns: { Я: string, А: string, Recorder_Key: uuid, LineNumber: long }, key: [Recorder_Key] }\n";
        let schema = open(text).unwrap();
        let (entity, shape) = schema.find("AccumulationRegister_X").unwrap();
        let names: Vec<&str> = entity.columns.iter().map(|field| field.name.as_str()).collect();
        assert_eq!((names.as_slice(), shape), (["Я", "А", "Recorder_Key", "LineNumber"].as_slice(), Shape::RecordSets));
        assert_eq!(entity.key, [2, 3]);
        assert_eq!(schema.find("AccumulationRegister_X_RecordType").unwrap().1, Shape::Rows);
    }
}
