//! `$metadata` and the service document (`1c-odata.md` §1.1, §8.1).

use super::request::Format;
use super::schema::{Entity, Field, Schema, Shape};
use crate::reply::put;

/// The list of sets, as JSON or Atom.
pub(crate) fn service_document(schema: &Schema, root: &str, format: Format) -> String {
    let mut names: Vec<String> =
        schema.iter().filter(|entity| entity.function().is_none()).flat_map(|entity| sets(entity)).collect();
    names.sort();
    if format == Format::Atom {
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<service xmlns=\"http://www.w3.org/2007/app\" xmlns:atom=\"http://www.w3.org/2005/Atom\" xml:base=\"{root}/\"><workspace><atom:title>Default</atom:title>"
        );
        for name in names {
            put(&mut out, format_args!("<collection href=\"{name}\"><atom:title>{name}</atom:title></collection>"));
        }
        out.push_str("</workspace></service>\n");
        return out;
    }
    let listed: Vec<String> =
        names.iter().map(|name| format!("{{\n\"name\": \"{name}\",\n\"url\": \"{name}\"\n}}")).collect();
    let metadata = if format == Format::Json { format!("\"odata.metadata\": \"{root}\",\n") } else { String::new() };
    format!("{{\n{metadata}\"value\": [{}]\n}}\n", listed.join(",\n"))
}

/// The EDMX of all entities.
pub(crate) fn edmx(schema: &Schema) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<edmx:Edmx xmlns:edmx=\"http://schemas.microsoft.com/ado/2007/06/edmx\" Version=\"1.0\">\n\
<edmx:DataServices xmlns:m=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\" m:DataServiceVersion=\"3.0\" m:MaxDataServiceVersion=\"3.0\">\n\
<Schema xmlns=\"http://schemas.microsoft.com/ado/2009/11/edm\" Namespace=\"StandardODATA\">\n",
    );
    for entity in schema.iter() {
        match entity.function() {
            Some((register, function)) => {
                if let Some(row) = row_type(register, function) {
                    complex(&mut out, &row, &entity.columns);
                }
            }
            None => entity_types(&mut out, entity),
        }
    }
    // Real metadata declares this one twice.
    for _ in 0..2 {
        out.push_str("<EnumType Name=\"AllowedLength\" UnderlyingType=\"Edm.Int32\"><Member Name=\"Variable\"/><Member Name=\"Fixed\"/></EnumType>\n");
    }
    out.push_str("<EntityContainer Name=\"EnterpriseV8\" m:IsDefaultEntityContainer=\"true\">\n");
    for entity in schema.iter().filter(|entity| entity.function().is_none()) {
        for name in sets(entity) {
            put(&mut out, format_args!("<EntitySet Name=\"{name}\" EntityType=\"StandardODATA.{name}\"/>\n"));
        }
    }
    for entity in schema.iter() {
        if let Some((register, function)) = entity.function() {
            function_import(&mut out, schema, register, function);
        }
    }
    out.push_str("</EntityContainer>\n</Schema>\n</edmx:DataServices>\n</edmx:Edmx>\n");
    out
}

/// Parameters of a virtual table (`1c-odata.md` §5).
pub(crate) fn parameters(register: &str, function: &str) -> &'static [(&'static str, &'static str)] {
    const CONDITION: (&str, &str) = ("Condition", "Edm.String");
    const DIMENSIONS: (&str, &str) = ("Dimensions", "Edm.String");
    const PERIOD: (&str, &str) = ("Period", "Edm.DateTime");
    const FROM: (&str, &str) = ("StartPeriod", "Edm.DateTime");
    const TO: (&str, &str) = ("EndPeriod", "Edm.DateTime");
    match (register.starts_with("AccountingRegister_"), function) {
        (_, "SliceLast" | "SliceFirst") => &[CONDITION, PERIOD],
        (false, "Balance") => &[CONDITION, DIMENSIONS, PERIOD],
        (true, "Balance") => {
            &[("AccountCondition", "Edm.String"), CONDITION, ("ExtraDimensions", "Edm.String"), PERIOD]
        }
        (false, _) => &[CONDITION, DIMENSIONS, TO, FROM],
        (true, _) => &[("AccountCondition", "Edm.String"), CONDITION, TO, ("ExtraDimensions", "Edm.String"), FROM],
    }
}

/// The sets an entity is published as.
fn sets(entity: &Entity) -> Vec<String> {
    match entity.recorder() {
        Some(_) => vec![entity.name.clone(), format!("{}_RecordType", entity.name)],
        None => vec![entity.name.clone()],
    }
}

fn row_type(register: &str, function: &str) -> Option<String> {
    let suffix = match function {
        "SliceLast" | "SliceFirst" => return None,
        "Turnovers" => "Turnover",
        "BalanceAndTurnovers" => "BalanceAndTurnover",
        "DrCrTurnovers" => "DrCrTurnover",
        other => other,
    };
    Some(format!("{register}_{suffix}"))
}

fn entity_types(out: &mut String, entity: &Entity) {
    let Some(recorder) = entity.recorder() else {
        return entity_type(out, &entity.name, entity, &entity.key_of(Shape::Rows), &all(entity), "");
    };
    let rows = format!(
        "<Property Name=\"RecordSet\" Type=\"Collection(StandardODATA.{}_RowType)\" Nullable=\"false\"/>\n",
        entity.name
    );
    entity_type(out, &entity.name, entity, &recorder, &recorder, &rows);
    entity_type(out, &format!("{}_RecordType", entity.name), entity, &entity.key_of(Shape::Rows), &all(entity), "");
    complex(out, &format!("{}_RowType", entity.name), &entity.columns);
}

fn all(entity: &Entity) -> Vec<usize> {
    (0..entity.columns.len()).collect()
}

fn entity_type(out: &mut String, name: &str, entity: &Entity, key: &[usize], columns: &[usize], more: &str) {
    let fields = |places: &[usize]| places.iter().filter_map(|at| entity.columns.get(*at)).collect::<Vec<&Field>>();
    put(out, format_args!("<EntityType Name=\"{name}\">\n<Key>"));
    for field in fields(key) {
        put(out, format_args!("<PropertyRef Name=\"{}\"/>", field.name));
    }
    out.push_str("</Key>\n");
    let key_fields = fields(key);
    for field in fields(columns) {
        property(out, field, !key_fields.contains(&field));
    }
    put(out, format_args!("{more}</EntityType>\n"));
}

fn complex(out: &mut String, name: &str, columns: &[Field]) {
    put(out, format_args!("<ComplexType Name=\"{name}\">\n"));
    for field in columns {
        property(out, field, true);
    }
    out.push_str("</ComplexType>\n");
}

/// Only `Name`, `Type`, `Nullable`: real metadata has neither lengths nor scales.
fn property(out: &mut String, field: &Field, nullable: bool) {
    let (name, edm) = (&field.name, field.edm.name());
    put(out, format_args!("<Property Name=\"{name}\" Type=\"{edm}\" Nullable=\"{nullable}\"/>\n"));
}

fn function_import(out: &mut String, schema: &Schema, register: &str, function: &str) {
    let bound_by_rows =
        function.starts_with("Slice") && schema.find(register).is_some_and(|(_, shape)| shape == Shape::RecordSets);
    let owner = if bound_by_rows { format!("{register}_RecordType") } else { register.to_owned() };
    let rows = row_type(register, function).unwrap_or_else(|| owner.clone());
    put(
        out,
        format_args!(
            "<FunctionImport Name=\"{function}\" IsBindable=\"true\" IsSideEffecting=\"false\" ReturnType=\"Collection(StandardODATA.{rows})\">\n<Parameter Name=\"bindingParameter\" Type=\"StandardODATA.{owner}\"/>\n"
        ),
    );
    for (name, edm) in parameters(register, function) {
        put(out, format_args!("<Parameter Name=\"{name}\" Type=\"{edm}\"/>\n"));
    }
    out.push_str("</FunctionImport>\n");
}
