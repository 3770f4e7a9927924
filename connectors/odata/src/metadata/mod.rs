//! What a publication says it has: entity sets, their properties and keys, virtual tables.

mod edmx;

pub(crate) use edmx::{Unreadable, read};

use obmen_spec::ColumnType;
use std::collections::BTreeMap;

/// The part of `$metadata` that reading needs.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// Types of entity sets, by the set's name.
    sets: BTreeMap<String, String>,
    /// Types of entities and of rows, by name without the namespace.
    types: BTreeMap<String, EntityType>,
    /// Virtual tables, by the name of the type they are called on.
    tables: BTreeMap<String, Vec<Table>>,
}

/// An entity or row type.
#[derive(Debug, Default)]
pub(crate) struct EntityType {
    /// Properties that identify an entity; empty for rows.
    pub(crate) key: Vec<String>,
    /// All properties, as declared.
    pub(crate) properties: Vec<Property>,
}

/// A property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    /// Its name.
    pub(crate) name: String,
    /// Its type.
    pub(crate) kind: Edm,
}

/// A virtual table: a function of a register that gives rows.
#[derive(Debug)]
pub(crate) struct Table {
    /// `SliceLast`, `Balance`, …
    pub(crate) name: String,
    /// What it can be given.
    pub(crate) parameters: Vec<Property>,
    /// The type of its rows.
    pub(crate) rows: String,
}

/// Types of properties. 1C names no lengths, precisions or scales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edm {
    Guid,
    /// A text, an enumeration value, or a value of several types beside a `…_Type`.
    Text,
    DateTime,
    Boolean,
    Int16,
    Int32,
    Int64,
    Double,
    Decimal,
    Binary,
    /// Content that is read on its own, never inside a row.
    Stream,
    /// A tabular section or record set.
    Collection,
    /// A structure, such as a type description.
    Complex,
    /// A type this connector does not know.
    Other(String),
}

impl Edm {
    /// The type of a `Type` attribute.
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "Edm.Guid" => Self::Guid,
            "Edm.String" => Self::Text,
            "Edm.DateTime" => Self::DateTime,
            "Edm.Boolean" => Self::Boolean,
            "Edm.Byte" | "Edm.SByte" | "Edm.Int16" => Self::Int16,
            "Edm.Int32" => Self::Int32,
            "Edm.Int64" => Self::Int64,
            "Edm.Double" | "Edm.Single" => Self::Double,
            "Edm.Decimal" => Self::Decimal,
            "Edm.Binary" => Self::Binary,
            "Edm.Stream" => Self::Stream,
            _ if text.starts_with("Collection(") => Self::Collection,
            _ if text.starts_with("Edm.") => Self::Other(text.to_owned()),
            _ => Self::Complex,
        }
    }

    /// The column type a property has when nobody declares one; `None`: it is left out.
    pub(crate) fn column_type(&self) -> Option<ColumnType> {
        Some(match self {
            Self::Guid => ColumnType::Uuid,
            Self::Text | Self::Other(_) => ColumnType::String,
            Self::DateTime => ColumnType::Datetime,
            Self::Boolean => ColumnType::Bool,
            Self::Int16 | Self::Int32 => ColumnType::Int,
            Self::Int64 => ColumnType::Long,
            Self::Double | Self::Decimal => ColumnType::Double,
            Self::Complex => ColumnType::Json,
            Self::Binary | Self::Stream | Self::Collection => return None,
        })
    }

    /// Whether its values can become values of a declared type.
    pub(crate) fn fits(&self, kind: ColumnType) -> bool {
        use ColumnType as C;
        match self {
            // A composite attribute is declared as a text and holds anything.
            Self::Text | Self::Other(_) => true,
            Self::Guid => matches!(kind, C::Uuid | C::String),
            Self::DateTime => matches!(kind, C::Datetime | C::Date | C::Time | C::String),
            Self::Boolean => matches!(kind, C::Bool | C::String),
            Self::Int16 | Self::Int32 | Self::Int64 | Self::Double | Self::Decimal => {
                matches!(kind, C::Int | C::Long | C::Decimal { .. } | C::Double | C::String)
            }
            Self::Binary => matches!(kind, C::Binary | C::String),
            Self::Collection | Self::Complex => kind == C::Json,
            Self::Stream => false,
        }
    }

    /// Declared types that suit, for a message.
    pub(crate) fn suits(&self) -> &'static str {
        match self {
            Self::Text | Self::Other(_) => "`string`",
            Self::Guid => "`uuid`",
            Self::DateTime => "`datetime`, `date` or `time`",
            Self::Boolean => "`bool`",
            Self::Int16 | Self::Int32 | Self::Int64 => "`long`, `int` or `decimal(…)`",
            Self::Double | Self::Decimal => "`decimal(…)` or `double`",
            Self::Binary => "`binary`",
            Self::Collection | Self::Complex => "`json`",
            Self::Stream => "the column with `_Base64Data` after its name",
        }
    }
}

impl EntityType {
    /// The property of a name.
    pub(crate) fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// Whether rows come as whole record sets of a document: such sets ignore `$orderby`, and 1C loads the whole
    /// register to give the first of them.
    pub(crate) fn is_record_set(&self) -> bool {
        self.property("RecordSet").is_some_and(|property| property.kind == Edm::Collection)
    }
}

impl Metadata {
    /// The type of an entity set.
    pub(crate) fn set(&self, name: &str) -> Option<&EntityType> {
        self.types.get(self.sets.get(name)?)
    }

    /// The names of entity sets.
    pub(crate) fn set_names(&self) -> impl Iterator<Item = &str> {
        self.sets.keys().map(String::as_str)
    }

    /// The type of a virtual table's rows.
    pub(crate) fn rows(&self, table: &Table) -> Option<&EntityType> {
        self.types.get(&table.rows)
    }

    /// The virtual tables of a register with the sets they are called on. A register that belongs to documents has
    /// some of them on `X_RecordType`, whatever set the analyst named.
    pub(crate) fn tables<'a>(&'a self, register: &'a str) -> impl Iterator<Item = (&'a str, &'a Table)> {
        let records = self.sets.get_key_value(format!("{register}_RecordType").as_str());
        let plain = self.sets.get_key_value(register);
        plain
            .into_iter()
            .chain(records)
            .flat_map(|(set, kind)| self.tables.get(kind).into_iter().flatten().map(move |table| (set.as_str(), table)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A publication with a catalog, a document with a section, registers of three kinds.
    pub(crate) const SMALL: &str = include_str!("../../tests/it/one_c/metadata.xml");

    pub(crate) fn small() -> Metadata {
        read(SMALL.as_bytes()).unwrap()
    }

    #[test]
    fn sets_types_keys_and_tables_are_found() {
        let metadata = small();
        let section = metadata.set("Document_Заказ_Товары").unwrap();
        assert_eq!(section.key, ["Ref_Key", "LineNumber"]);
        assert_eq!(section.property("LineNumber").unwrap().kind, Edm::Int64);
        assert!(metadata.set("AccumulationRegister_Запасы").unwrap().is_record_set());
        assert!(!metadata.set("AccumulationRegister_Запасы_RecordType").unwrap().is_record_set());
        assert!(metadata.set("Нет").is_none());
    }

    #[test]
    fn virtual_tables_are_bound_to_the_set_that_has_them() {
        let metadata = small();
        let found =
            |register| metadata.tables(register).map(|(set, table)| (set, table.name.as_str())).collect::<Vec<_>>();
        assert_eq!(found("InformationRegister_Цены"), [("InformationRegister_Цены", "SliceLast")]);
        assert_eq!(
            found("AccumulationRegister_Запасы"),
            [("AccumulationRegister_Запасы", "Balance"), ("AccumulationRegister_Запасы_RecordType", "SliceLast")]
        );
        let (_, balance) = metadata.tables("AccumulationRegister_Запасы").next().unwrap();
        let rows = metadata.rows(balance).unwrap();
        assert_eq!(rows.property("КоличествоBalance").unwrap().kind, Edm::Double);
        assert_eq!(balance.parameters.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["Condition", "Period"]);
    }

    #[test]
    fn the_recorded_metadata_of_a_real_base_is_read_whole() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/samples/1c-odata/metadata_ut_demo_8.5.xml");
        let Ok(file) = std::fs::File::open(path) else {
            println!("skipped: no samples beside the checkout");
            return;
        };
        let metadata = read(std::io::BufReader::new(file)).unwrap();
        assert_eq!(metadata.sets.len(), 38);
        assert_eq!(metadata.types.len(), 38 + 46);
        assert_eq!(metadata.types.values().map(|kind| kind.properties.len()).sum::<usize>(), 2004);
        assert_eq!(metadata.types.values().map(|kind| kind.key.len()).sum::<usize>(), 78);
        let of = |wanted: Edm| {
            metadata.types.values().flat_map(|kind| &kind.properties).filter(|property| property.kind == wanted).count()
        };
        assert_eq!(of(Edm::Guid), 454);
        let slice = metadata.tables("InformationRegister_СуммыДокументовВВалютахУчета").next().unwrap();
        assert_eq!(slice.0, "InformationRegister_СуммыДокументовВВалютахУчета_RecordType");
        let (set, balance) = metadata.tables("AccumulationRegister_ЗаказыКлиентов").next().unwrap();
        assert_eq!((set, balance.name.as_str()), ("AccumulationRegister_ЗаказыКлиентов", "Balance"));
        assert!(metadata.rows(balance).unwrap().property("КодСтроки").is_some());
    }
}
