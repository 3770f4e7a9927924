//! An entity as the analyst wrote it, settled against what the publication has: which address, which columns, in which
//! order. Everything that can be wrong is found here, before 1C is asked for rows.

use crate::cell::Reading;
use crate::columns::Columns;
use crate::metadata::{Edm, EntityType, Metadata, Table};
use crate::query::{Query, encode, text_literal};
use crate::settings::{SourceOptions, Trim, moment, split_entity};
use arrow::datatypes::{Field, Schema, SchemaRef};
use obmen_sdk::{Error, ErrorKind, Result, SourceTarget, types};
use obmen_spec::ColumnType;
use obmen_spec::name::{listed, suggest};
use std::sync::Arc;

/// The longest `$select` that is written out, percent-encoded. Web servers refuse long queries: IIS above 2048 bytes.
const SELECT_BYTES: usize = 1400;

/// What columns with texts for people end with; such columns are not in `$metadata`.
const PRESENTATION: &str = "____Presentation";

/// What is read.
#[derive(Debug)]
pub(crate) struct Relation {
    /// The entity as the analyst wrote it.
    pub(crate) entity: String,
    /// All columns.
    pub(crate) schema: SchemaRef,
    /// Everything comes in one answer: a virtual table, which cannot be paged safely.
    pub(crate) whole: bool,
    /// Rows are record sets of a register that belongs to documents.
    pub(crate) record_set: bool,
    path: String,
    readings: Vec<Reading>,
    kinds: Vec<Edm>,
    identity: Vec<String>,
    parameters: Vec<(String, String)>,
}

impl Relation {
    /// Settles a source against the publication.
    ///
    /// # Errors
    /// `NotFound` for an entity that is not published, `SchemaMismatch` for columns, keys and parameters that it does
    /// not have or that have other types: all of them at once.
    pub(crate) fn resolve(metadata: &Metadata, target: &SourceTarget, options: &SourceOptions) -> Result<Self> {
        let (set, table) = split_entity(&target.entity);
        let place = |error: Error| error.with("source", &target.name).with("entity", &target.entity);
        let (path, kind, parameters) = match table {
            None => (encode(set), find_set(metadata, set).map_err(place)?, Vec::new()),
            Some(name) => {
                let (set, table) = find_table(metadata, set, name).map_err(place)?;
                let kind = metadata.rows(table).ok_or_else(|| {
                    place(Error::new(ErrorKind::SchemaMismatch, "`$metadata` does not say what its rows are"))
                })?;
                (format!("{}/{name}()", encode(set)), kind, literals(table, options).map_err(place)?)
            }
        };
        let (schema, kinds) = match &target.columns {
            Some(declared) => (Arc::clone(declared), check_columns(kind, declared).map_err(place)?),
            None => all_columns(kind),
        };
        check_key(&schema, &target.key).map_err(place)?;
        let readings = readings(&schema, target, options).map_err(place)?;
        let whole = table.is_some();
        let identity = if whole || kind.key.is_empty() { target.key.clone() } else { kind.key.clone() };
        let record_set = !whole && kind.is_record_set();
        Ok(Self {
            entity: target.entity.clone(),
            schema,
            whole,
            record_set,
            path,
            readings,
            kinds,
            identity,
            parameters,
        })
    }

    /// The columns of a scan, in its order; `None` means all.
    ///
    /// # Errors
    /// `Internal` for a position that is not in the schema.
    pub(crate) fn columns(&self, wanted: Option<&[usize]>) -> Result<Columns> {
        let Some(wanted) = wanted else {
            return Ok(Columns::new(Arc::clone(&self.schema), self.readings.clone(), &self.identity));
        };
        let schema = self.schema.project(wanted).map_err(|error| Error::internal("no such column").because(error))?;
        let readings = wanted.iter().filter_map(|at| self.readings.get(*at).copied()).collect();
        Ok(Columns::new(Arc::new(schema), readings, &self.identity))
    }

    /// The request for these columns, without a page.
    pub(crate) fn query(&self, columns: &Columns) -> Query {
        let mut query = Query::json(&self.path);
        if let Some(select) = self.select(columns) {
            query = query.with("$select", &select);
        }
        // Record sets ignore `$orderby`; virtual tables have no order to ask for.
        if !self.whole && !self.record_set {
            query = query.with("$orderby", &self.identity.join(","));
        }
        for (name, literal) in &self.parameters {
            query = query.with(name, literal);
        }
        query
    }

    /// `$select` of the columns and the identity. Where it would be too long: everything but tabular sections (`**`, an
    /// extension of 1C), or everything at all.
    fn select(&self, columns: &Columns) -> Option<String> {
        let mut names: Vec<&str> = columns.schema.fields().iter().map(|field| field.name().as_str()).collect();
        for name in &self.identity {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let select = names.join(",");
        let presentation = names.iter().any(|name| name.ends_with(PRESENTATION));
        if presentation || encode(&select).len() <= SELECT_BYTES {
            return Some(select);
        }
        let wants = |kind: &Edm| {
            let mut fields = self.schema.fields().iter().zip(&self.kinds);
            fields.any(|(field, found)| found == kind && names.contains(&field.name().as_str()))
        };
        (!self.whole && !wants(&Edm::Collection)).then(|| "**".to_owned())
    }
}

fn find_set<'a>(metadata: &'a Metadata, name: &str) -> Result<&'a EntityType> {
    metadata.set(name).ok_or_else(|| {
        let meant = suggest(name, metadata.set_names());
        let help = meant.map_or_else(
            || "add it to the OData composition of the base, or correct the name".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        Error::new(ErrorKind::NotFound, format!("1C publishes no `{name}`; {help}"))
    })
}

fn find_table<'a>(metadata: &'a Metadata, register: &'a str, name: &str) -> Result<(&'a str, &'a Table)> {
    if let Some(found) = metadata.tables(register).find(|(_, table)| table.name == name) {
        return Ok(found);
    }
    find_set(metadata, register)?;
    let names: Vec<&str> = metadata.tables(register).map(|(_, table)| table.name.as_str()).collect();
    let help =
        if names.is_empty() { "it has no virtual tables".to_owned() } else { format!("it has {}", listed(&names)) };
    Err(Error::new(ErrorKind::NotFound, format!("`{register}` has no virtual table `{name}`; {help}")))
}

/// Parameters of a virtual table as literals of 1C.
fn literals(table: &Table, options: &SourceOptions) -> Result<Vec<(String, String)>> {
    let mismatch = |message: String| Error::new(ErrorKind::SchemaMismatch, message);
    let literal = |(name, value): (&String, &String)| {
        let Some(parameter) = table.parameters.iter().find(|parameter| parameter.name == *name) else {
            let names: Vec<&str> = table.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            return Err(mismatch(format!("`{}` takes no `{name}`; it takes {}", table.name, listed(&names))));
        };
        let literal = match parameter.kind {
            Edm::DateTime => {
                let moment = moment(value)
                    .ok_or_else(|| mismatch(format!("`{name}` is not a date like `2024-01-31T23:59:59`")))?;
                format!("datetime'{moment}'")
            }
            _ => text_literal(value),
        };
        Ok((name.clone(), literal))
    };
    options.parameters.iter().map(literal).collect()
}

/// Checks declared columns; gives the properties' types, in the columns' order.
fn check_columns(kind: &EntityType, declared: &Schema) -> Result<Vec<Edm>> {
    let mut kinds = Vec::new();
    let mut wrong = Vec::new();
    for field in declared.fields() {
        match find_property(kind, field.name()) {
            None => {
                let meant = suggest(field.name(), kind.properties.iter().map(|property| property.name.as_str()));
                let help = meant.map_or_else(String::new, |meant| format!(", did you mean `{meant}`?"));
                wrong.push(format!("1C has no `{}`{help}", field.name()));
            }
            Some(found) => {
                if !types::column_type(field).is_some_and(|declared| found.fits(declared)) {
                    wrong.push(format!("`{}` does not fit its declared type, declare {}", field.name(), found.suits()));
                }
                kinds.push(found);
            }
        }
    }
    if wrong.is_empty() { Ok(kinds) } else { Err(Error::new(ErrorKind::SchemaMismatch, wrong.join("; "))) }
}

fn find_property(kind: &EntityType, name: &str) -> Option<Edm> {
    if let Some(property) = kind.property(name) {
        return Some(property.kind.clone());
    }
    let of = name.strip_suffix(PRESENTATION)?;
    let known = kind.property(of).is_some() || kind.property(&format!("{of}_Key")).is_some();
    known.then_some(Edm::Text)
}

/// All properties that can stand in a row and are cheap: not tabular sections, not contents of files.
fn all_columns(kind: &EntityType) -> (SchemaRef, Vec<Edm>) {
    let (fields, kinds): (Vec<Field>, Vec<Edm>) = kind
        .properties
        .iter()
        .filter_map(|property| {
            let column = property.kind.column_type()?;
            Some((types::arrow_field(&property.name, column), property.kind.clone()))
        })
        .unzip();
    (Arc::new(Schema::new(fields)), kinds)
}

fn check_key(schema: &Schema, key: &[String]) -> Result<()> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    match key.iter().find(|column| !names.contains(&column.as_str())) {
        None => Ok(()),
        Some(missing) => {
            let help = suggest(missing, names).map_or_else(String::new, |meant| format!(", did you mean `{meant}`?"));
            Err(Error::new(ErrorKind::SchemaMismatch, format!("the key's `{missing}` is not a column{help}")))
        }
    }
}

fn readings(schema: &Schema, target: &SourceTarget, options: &SourceOptions) -> Result<Vec<Reading>> {
    let reading = |field: &arrow::datatypes::FieldRef| {
        let kind = types::column_type(field)
            .ok_or_else(|| Error::internal(format!("column `{}` has a type no column can have", field.name())))?;
        let key = target.key.contains(field.name());
        let trim = match options.trim {
            Trim::Key => key,
            Trim::All => true,
            Trim::Nothing => false,
        };
        let exact = target.columns.is_none() && kind == ColumnType::Double;
        Ok(Reading { kind, keep_empty: key, trim, exact })
    };
    schema.fields().iter().map(reading).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata;
    use obmen_diagnostics::{FileId, Span};
    use obmen_spec::{Node, Value};

    /// A catalog with so many columns of long Cyrillic names, and a section.
    fn wide(columns: usize) -> Metadata {
        let properties: String = (0..columns)
            .map(|at| format!(r#"<Property Name="ДлинноеИмяКолонки{at}" Type="Edm.Int64"/>"#))
            .collect::<Vec<_>>()
            .concat();
        let text = format!(
            r#"<Edmx><Schema><EntityType Name="Catalog_X"><Key><PropertyRef Name="Ref_Key"/></Key><Property Name="Ref_Key" Type="Edm.Guid"/>
            <Property Name="Строки" Type="Collection(StandardODATA.Y)"/>{properties}</EntityType><EntitySet Name="Catalog_X" EntityType="StandardODATA.Catalog_X"/></Schema></Edmx>"#
        );
        metadata::read(text.as_bytes()).unwrap()
    }

    fn query(columns: usize, declared: Option<Vec<Field>>) -> String {
        let value = Value::Null;
        let target = SourceTarget {
            name: "x".to_owned(),
            entity: "Catalog_X".to_owned(),
            columns: declared.map(|fields| Arc::new(Schema::new(fields))),
            key: vec!["Ref_Key".to_owned()],
            inbox: None,
            options: Node { span: Span::new(FileId(0), 0..0), value },
        };
        let relation = Relation::resolve(&wide(columns), &target, &SourceOptions::default()).unwrap();
        relation.query(&relation.columns(None).unwrap()).into_text()
    }

    #[test]
    fn a_short_select_names_the_columns_and_a_long_one_does_not() {
        assert!(query(2, None).contains(&format!("&$select=Ref_Key%2C{}0", encode("ДлинноеИмяКолонки"))));
        let long = query(60, None);
        assert_eq!(long, "Catalog_X?$format=json&$select=%2A%2A&$orderby=Ref_Key");
    }

    #[test]
    fn a_long_select_with_a_section_asks_for_everything() {
        let mut fields: Vec<Field> =
            (0..60).map(|at| types::arrow_field(&format!("ДлинноеИмяКолонки{at}"), ColumnType::Long)).collect();
        fields.push(types::arrow_field("Ref_Key", ColumnType::Uuid));
        fields.push(types::arrow_field("Строки", ColumnType::Json));
        assert_eq!(query(60, Some(fields)), "Catalog_X?$format=json&$orderby=Ref_Key");
    }

    #[test]
    fn texts_for_people_can_be_named() {
        let fields = ["Ref_Key____Presentation", "ДлинноеИмяКолонки0____Presentation", "Ref_Key"].map(|name| {
            types::arrow_field(name, if name == "Ref_Key" { ColumnType::Uuid } else { ColumnType::String })
        });
        assert!(query(1, Some(fields.to_vec())).contains("Ref_Key____Presentation"));
    }
}
