//! Which column of each target means what.

use super::abilities::{Known, decode_options, findings, quoted, unknown_entity};
use super::entity::{Child, Column, Entity, Kind};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use obmen_diagnostics::Problems;
use obmen_sdk::types::column_type;
use obmen_sdk::{Error, ErrorKind, Result, SinkTarget, TargetAbilities};
use obmen_spec::ColumnType;

/// The targets of a bundle, understood and found right.
#[derive(Clone, Debug)]
pub struct Layout {
    targets: Vec<TargetLayout>,
}

/// One target: where its columns are.
#[derive(Clone, Debug)]
pub(super) struct TargetLayout {
    pub(super) entity: Entity,
    /// The columns every batch of the target has.
    schema: SchemaRef,
    /// The key's column.
    id: usize,
    /// Per column of the entity.
    columns: Vec<Option<usize>>,
    /// Per child of the entity.
    children: Vec<Option<ChildLayout>>,
    /// Columns sent as requisites, with the names of those.
    pub(super) requisites: Vec<(usize, String)>,
}

/// Where a child is: its column, and its fields per column of the child.
type ChildLayout = (usize, Vec<Option<usize>>);

/// Where a child of a target is, and what its columns may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChildPlace<'a> {
    /// Its name.
    pub(super) name: &'static str,
    /// The `List<Struct>` column.
    pub(super) column: usize,
    /// Per column of the child: the field of the struct.
    pub(super) fields: &'a [Option<usize>],
    /// The columns of the child.
    pub(super) columns: &'static [Column],
}

impl Layout {
    /// Understands the targets of a bundle.
    ///
    /// # Errors
    /// `SchemaMismatch` listing everything that is wrong with all targets; see [`abilities`](super::abilities()).
    pub fn of(targets: &[SinkTarget]) -> Result<Self> {
        let mut wrong = Vec::new();
        let understood: Vec<TargetLayout> = targets
            .iter()
            .filter_map(|target| {
                let mut own = Vec::new();
                let layout = understand(target, &mut own);
                wrong.extend(own.into_iter().map(|reason| format!("sink `{}`: {reason}", target.name)));
                layout
            })
            .collect();
        if wrong.is_empty() {
            return Ok(Self { targets: understood });
        }
        Err(Error::new(ErrorKind::SchemaMismatch, wrong.join("; ")))
    }

    /// What each target can do.
    pub fn abilities(&self) -> Vec<TargetAbilities> {
        self.targets.iter().map(|target| target.entity.abilities()).collect()
    }

    /// The order in which targets are to be sent.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.targets.len()).collect();
        order.sort_by_key(|target| self.targets.get(*target).map(|target| target.entity));
        order
    }

    /// Whether a target of this entity is in the bundle.
    pub(super) fn has(&self, entity: Entity) -> bool {
        self.targets.iter().any(|target| target.entity == entity)
    }

    pub(super) fn target(&self, index: usize) -> Result<&TargetLayout> {
        self.targets.get(index).ok_or_else(|| Error::internal(format!("there is no target {index} in this bundle")))
    }
}

impl TargetLayout {
    /// Whether a batch has the target's columns and types.
    pub(super) fn is_of(&self, batch: &RecordBatch) -> bool {
        let (ours, theirs) = (self.schema.fields(), batch.columns());
        let same = |(ours, theirs): (&arrow::datatypes::FieldRef, &arrow::array::ArrayRef)| {
            ours.data_type().equals_datatype(theirs.data_type())
        };
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
    }

    /// The column of the id.
    pub(super) fn id(&self) -> usize {
        self.id
    }

    /// Where a column of the entity is, and its limits.
    pub(super) fn column(&self, name: &str) -> Option<(usize, &'static Column)> {
        let at = self.entity.columns().iter().position(|column| column.name == name)?;
        Some((self.columns.get(at).copied().flatten()?, self.entity.columns().get(at)?))
    }

    /// Where a child is.
    pub(super) fn child(&self, name: &str) -> Option<ChildPlace<'_>> {
        let at = self.entity.children().iter().position(|child| child.name == name)?;
        let (column, fields) = self.children.get(at)?.as_ref()?;
        let Child { name, columns } = self.entity.children().get(at)?;
        Some(ChildPlace { name, column: *column, fields, columns })
    }
}

fn understand(target: &SinkTarget, wrong: &mut Vec<String>) -> Option<TargetLayout> {
    let Some(entity) = Entity::find(&target.entity) else {
        let (message, help) = unknown_entity(&target.entity);
        wrong.push(format!("{message}: {help}"));
        return None;
    };
    let [key] = target.key.as_slice() else {
        wrong.push(format!("{entity} of CommerceML are known by one id, the key has {} columns", target.key.len()));
        return None;
    };
    let mut problems = Problems::new();
    let options = decode_options(&target.options, &mut problems);
    wrong.extend(problems.iter().map(|problem| problem.message.clone()));
    let options = options?;
    let schema = &target.schema;
    let is_child = |field: &Field| matches!(field.data_type(), DataType::List(_) | DataType::LargeList(_));
    let (children, columns): (Vec<_>, Vec<_>) = schema.fields().iter().partition(|field| is_child(field));
    let columns: Vec<String> = columns.iter().map(|field| field.name().clone()).collect();
    let children: Vec<&str> = children.iter().map(|field| field.name().as_str()).collect();
    let known =
        Known { entity, key: Some(&target.key), columns: Some(&columns), children: &children, options: &options };
    wrong.extend(findings(&known).into_iter().map(|finding| match finding.help {
        Some(help) => format!("{}: {help}", finding.message),
        None => finding.message,
    }));
    let Some((id, id_field)) = schema.column_with_name(key) else {
        wrong.push(format!("the key column `{key}` is not there"));
        return None;
    };
    check_type(id_field, Kind::Text(1, entity.id_length()), "", wrong);
    let requisites = requisites(schema, &options.requisites, wrong);
    let place = |column: &Column| place(schema.fields(), column, Some(key), "", wrong);
    let columns = entity.columns().iter().map(place).collect();
    let children = entity.children().iter().map(|child| child_place(schema, child, key, wrong)).collect();
    Some(TargetLayout { entity, schema: SchemaRef::clone(schema), id, columns, children, requisites })
}

/// Where a column is; the key's column is the id whatever it is called.
fn place(fields: &Fields, column: &Column, key: Option<&str>, owner: &str, wrong: &mut Vec<String>) -> Option<usize> {
    let (at, field) = fields.find(column.name).filter(|(_, field)| Some(field.name().as_str()) != key)?;
    check_type(field, column.kind, owner, wrong);
    Some(at)
}

fn child_place(schema: &Schema, child: &Child, key: &str, wrong: &mut Vec<String>) -> Option<ChildLayout> {
    let (column, field) = schema.column_with_name(child.name)?;
    let (DataType::List(item) | DataType::LargeList(item)) = field.data_type() else { return None };
    let DataType::Struct(fields) = item.data_type() else {
        wrong.push(format!("`{}` is not a list of rows", child.name));
        return None;
    };
    let names: Vec<&str> = child.columns.iter().map(|column| column.name).collect();
    for field in fields.iter().filter(|field| !names.contains(&field.name().as_str()) && field.name() != key) {
        let near = obmen_spec::name::suggest(field.name(), names.iter().copied());
        let help = near.map(|near| format!(": write `{near}`")).unwrap_or_default();
        let has = quoted(names.iter().copied());
        wrong.push(format!("`{}` of CommerceML have no column `{}`, they have {has}{help}", child.name, field.name()));
    }
    for column in child.columns.iter().filter(|column| column.required && fields.find(column.name).is_none()) {
        wrong.push(format!("`{}` of CommerceML need a column `{}`", child.name, column.name));
    }
    let places = child.columns.iter().map(|column| place(fields, column, None, child.name, wrong)).collect();
    Some((column, places))
}

fn requisites(
    schema: &Schema,
    asked: &std::collections::BTreeMap<String, String>,
    wrong: &mut Vec<String>,
) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (column, name) in asked {
        let Some((at, field)) = schema.column_with_name(column) else { continue };
        let fits = match column_type(field) {
            Some(ColumnType::Double | ColumnType::Time | ColumnType::Binary) | None => false,
            Some(ColumnType::Datetime) => *field.data_type() == obmen_sdk::types::arrow_type(ColumnType::Datetime),
            Some(_) => true,
        };
        if !fits {
            let is = type_name(field);
            wrong.push(format!(
                "`{column}` is {is}, a requisite takes string, bool, int, long, decimal, date or datetime"
            ));
        }
        found.push((at, name.clone()));
    }
    found
}

fn check_type(field: &Field, kind: Kind, owner: &str, wrong: &mut Vec<String>) {
    use ColumnType as Is;
    let is = column_type(field);
    let text = matches!(is, Some(Is::String | Is::Uuid | Is::Json | Is::Int | Is::Long));
    let number = matches!(is, Some(Is::Int | Is::Long | Is::Decimal { .. }));
    let (fits, expected) = match kind {
        Kind::Text(..) if field.name() == "vat_rate" => (text || number, "a string, int or decimal"),
        Kind::Text(..) => (text, "a string, uuid, int or long"),
        Kind::Number | Kind::Money => (number, "an exact number: int, long or decimal(15,2)"),
    };
    if !fits {
        let owner = if owner.is_empty() { String::new() } else { format!("{owner}.") };
        wrong.push(format!("`{owner}{}` is {}, expected {expected}", field.name(), type_name(field)));
    }
}

fn type_name(field: &Field) -> String {
    column_type(field).map_or_else(|| field.data_type().to_string(), |kind| kind.to_string())
}
