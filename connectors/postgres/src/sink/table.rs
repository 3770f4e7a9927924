//! A table that rows are written to, settled against the catalogue before anything is sent.

use crate::copy::Slot;
use crate::kind::Kind;
use crate::relation::{Origin, Relation, Wanted, find_table};
use crate::server::Session;
use crate::settings::{SinkOptions, options_of};
use crate::sql::{Name, identifier, literal};
use arrow::datatypes::{DataType, SchemaRef};
use obmen_diagnostics::Problems;
use obmen_sdk::{Error, ErrorKind, Result, SinkTarget, types};
use obmen_spec::ColumnType;
use obmen_spec::name::{listed, suggest};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A table that rows are written to.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: Name,
    /// Rows that are gone are deleted; otherwise they are marked, where there is a column for it.
    pub(super) delete: bool,
    pub(super) deleted_column: Option<String>,
    /// What is mapped, the key included.
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<Column>,
    /// Positions of the key's columns.
    pub(super) key: Vec<usize>,
    /// The same columns, to be looked up.
    pub(super) relation: Arc<Relation>,
}

/// A column that is written.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) slot: Slot,
    /// What a text is cast to on its way from the staging table.
    pub(super) cast: Option<String>,
}

/// What the catalogue says of a column.
struct Found {
    name: String,
    kind: Kind,
    /// The type without limits, as SQL.
    cast: String,
    /// PostgreSQL makes its values itself.
    made: bool,
}

impl Table {
    /// Settles a target against the catalogue.
    ///
    /// # Errors
    /// `NotFound`, `SchemaMismatch` (with the statement that helps), `PermissionDenied`, `Unsupported` for children.
    pub(super) async fn settle(session: &Session, target: &SinkTarget) -> Result<Self> {
        let place = |error: Error| error.with("sink", &target.name).with("entity", &target.entity);
        Self::settled(session, target).await.map_err(place)
    }

    async fn settled(session: &Session, target: &SinkTarget) -> Result<Self> {
        let mut problems = Problems::new();
        let options = options_of::<SinkOptions>(&target.options, &mut problems);
        let options = options.ok_or_else(|| Error::internal("a sink was opened with options that were not checked"))?;
        let name = Name::parse(&target.entity)
            .map_err(|phrase| Error::new(ErrorKind::NotFound, format!("no name of a table: {phrase}")))?;
        find_table(session, &name).await?;
        let found = found_columns(session, &name).await?;
        let columns = columns(target, &found)?;
        let position = |column: &String| columns.iter().position(|known| known.name == *column);
        let key: Option<Vec<usize>> = target.key.iter().map(position).collect();
        let key = key.ok_or_else(|| Error::internal("a key that is not among the columns"))?;
        check_deleted(options.deleted_column.as_deref(), &columns, &found)?;
        check_unique(session, &name, &target.key).await?;
        check_privileges(session, &name, target.delete).await?;
        let wanted = Wanted { entity: &target.entity, columns: Some(&target.schema), key: &target.key, lenient: true };
        let relation = Relation::resolve(session, Origin::Table(name.clone()), &wanted).await?;
        Ok(Self {
            name,
            delete: target.delete,
            deleted_column: options.deleted_column,
            schema: Arc::clone(&target.schema),
            columns,
            key,
            relation: Arc::new(relation),
        })
    }

    /// The staging table of a part of a load.
    pub(super) fn create_stage(&self, stage: &str) -> String {
        let columns = self.columns.iter().enumerate().map(|(at, column)| format!(", c{at} {}", sql_type(column.slot)));
        format!("CREATE TEMP TABLE {stage} (gone bool NOT NULL{}) ON COMMIT DROP", columns.collect::<String>())
    }

    /// Deletes rows that are gone.
    pub(super) fn delete_rows(&self, stage: &str) -> String {
        format!("DELETE FROM {} AS t USING {stage} AS s WHERE s.gone AND {}", self.name.sql(), self.same_key())
    }

    /// Counts rows that should be gone and are not.
    pub(super) fn count_left(&self, stage: &str) -> String {
        format!("SELECT count(*) FROM {} AS t, {stage} AS s WHERE s.gone AND {}", self.name.sql(), self.same_key())
    }

    /// Marks rows that are gone.
    pub(super) fn mark_rows(&self, stage: &str, deleted: &str) -> String {
        let (table, deleted, same) = (self.name.sql(), identifier(deleted), self.same_key());
        format!("UPDATE {table} AS t SET {deleted} = true FROM {stage} AS s WHERE s.gone AND {same}")
    }

    /// Writes the values of rows that are there. Rows come first to this statement, so that a table with columns that
    /// are not ours and must not be empty takes updates too.
    pub(super) fn update_rows(&self, stage: &str) -> String {
        let (table, values, same) = (self.name.sql(), self.assignments(|at| self.staged(at)), self.same_key());
        // Where nothing but the key is mapped a row is written by being there.
        let values = if values.is_empty() {
            self.key.first().map_or_else(String::new, |at| format!("{} = {}", self.column(*at), self.staged(*at)))
        } else {
            values
        };
        format!("UPDATE {table} AS t SET {values} FROM {stage} AS s WHERE NOT s.gone AND {same}")
    }

    /// Writes rows that are not there.
    pub(super) fn insert_rows(&self, stage: &str) -> String {
        let (table, same) = (self.name.sql(), self.same_key());
        let mut names: Vec<String> = (0..self.columns.len()).map(|at| self.column(at)).collect();
        let mut values: Vec<String> = (0..self.columns.len()).map(|at| self.staged(at)).collect();
        if let Some(deleted) = &self.deleted_column {
            names.push(identifier(deleted));
            values.push("false".to_owned());
        }
        let key: Vec<String> = self.key.iter().map(|at| self.column(*at)).collect();
        // Somebody else may insert the same key at the same time.
        let assignments = self.assignments(|at| format!("EXCLUDED.{}", self.column(at)));
        let conflict = if assignments.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {assignments}") };
        format!(
            "INSERT INTO {table} ({}) SELECT {} FROM {stage} AS s WHERE NOT s.gone AND NOT EXISTS \
             (SELECT 1 FROM {table} AS t WHERE {same}) ON CONFLICT ({}) DO {conflict}",
            names.join(", "),
            values.join(", "),
            key.join(", "),
        )
    }

    fn assignments(&self, value: impl Fn(usize) -> String) -> String {
        let mapped = (0..self.columns.len()).filter(|at| !self.key.contains(at));
        let mut all: Vec<String> = mapped.map(|at| format!("{} = {}", self.column(at), value(at))).collect();
        if let Some(deleted) = &self.deleted_column {
            all.push(format!("{} = false", identifier(deleted)));
        }
        all.join(", ")
    }

    fn same_key(&self) -> String {
        let same = self.key.iter().map(|at| format!("t.{} = {}", self.column(*at), self.staged(*at)));
        same.collect::<Vec<_>>().join(" AND ")
    }

    fn column(&self, at: usize) -> String {
        self.columns.get(at).map_or_else(String::new, |column| identifier(&column.name))
    }

    fn staged(&self, at: usize) -> String {
        let cast = self.columns.get(at).and_then(|column| column.cast.as_ref());
        cast.map_or_else(|| format!("s.c{at}"), |cast| format!("s.c{at}::{cast}"))
    }
}

/// The type of a staging column: without limits, so that nothing is rounded or cut on the way.
fn sql_type(slot: Slot) -> &'static str {
    match slot {
        Slot::Bool => "bool",
        Slot::Int(2) => "int2",
        Slot::Int(4) => "int4",
        Slot::Int(_) => "int8",
        Slot::Float4 => "float4",
        Slot::Float8 => "float8",
        Slot::Numeric(_) => "numeric",
        Slot::Text(_) | Slot::PaddedText(_) => "text",
        Slot::Date => "date",
        Slot::Time => "time",
        // Both are counted from the same moment in UTC, and sessions are in UTC.
        Slot::Timestamp => "timestamp",
        Slot::Bytea => "bytea",
    }
}

async fn found_columns(session: &Session, name: &Name) -> Result<Vec<Found>> {
    let table = literal(&name.sql());
    let sql = format!(
        "SELECT attname, format_type(atttypid, -1), attgenerated <> '' OR attidentity = 'a' FROM pg_attribute \
         WHERE attrelid = {table}::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    );
    let rows = session.ask("looking at the table", &sql).await?;
    let statement = Box::pin(session.client.prepare(&format!("SELECT * FROM {}", name.sql()))).await;
    let statement = statement.map_err(|error| crate::refusal::failed(error, "looking at the table"))?;
    let found = rows.into_iter().filter_map(|row| {
        let mut texts = row.into_iter().flatten();
        let (name, cast, made) = (texts.next()?, texts.next()?, texts.next()? == "t");
        let column = statement.columns().iter().find(|column| column.name() == name)?;
        let kind = Kind::of(column.type_(), column.type_modifier());
        Some(Found { name, kind, cast, made })
    });
    Ok(found.collect())
}

fn columns(target: &SinkTarget, found: &[Found]) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    let mut wrong = Vec::new();
    for field in target.schema.fields() {
        if let DataType::List(_) = field.data_type() {
            let message = format!("a row of a table has no children: write `{}` as a sink of its own", field.name());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let Some(known) = found.iter().find(|known| known.name == *field.name()) else {
            let meant = suggest(field.name(), found.iter().map(|known| known.name.as_str()));
            let help = meant.map_or_else(String::new, |meant| format!(", did you mean `{meant}`?"));
            wrong.push(format!("the table has no column `{}`{help}", field.name()));
            continue;
        };
        let kind = types::column_type(field);
        match kind.and_then(|kind| slot(known.kind, kind)) {
            _ if known.made => wrong.push(format!("`{}` is made by PostgreSQL itself, leave it out", known.name)),
            None => {
                let is = kind.map_or_else(|| "is of a type no column has".to_owned(), |kind| format!("is `{kind}`"));
                wrong.push(format!("`{}` {is}, its column takes another type: {}", known.name, known.kind.advice()));
            }
            Some(slot) => {
                let text = matches!(slot, Slot::Text(_)) && !matches!(known.kind, Kind::Text(_));
                let cast = text.then(|| known.cast.clone());
                columns.push(Column { name: known.name.clone(), slot, cast });
            }
        }
    }
    if wrong.is_empty() { Ok(columns) } else { Err(Error::new(ErrorKind::SchemaMismatch, wrong.join("; "))) }
}

/// How values of a declared type go into a column; `None` if they do not.
fn slot(kind: Kind, column: ColumnType) -> Option<Slot> {
    use ColumnType as C;
    Some(match (kind, column) {
        (Kind::Bool, C::Bool) => Slot::Bool,
        (Kind::Int2, C::Int | C::Long | C::Decimal { .. }) => Slot::Int(2),
        (Kind::Int4, C::Int | C::Long | C::Decimal { .. }) => Slot::Int(4),
        (Kind::Int8, C::Int | C::Long | C::Decimal { .. }) => Slot::Int(8),
        (Kind::Numeric(limits), C::Int | C::Long | C::Decimal { .. }) => Slot::Numeric(limits),
        (Kind::Float4, C::Double) => Slot::Float4,
        (Kind::Float8, C::Double) => Slot::Float8,
        (Kind::Text(most), C::String | C::Uuid | C::Json) => Slot::Text(most),
        (Kind::Char(most), C::String | C::Uuid) => Slot::PaddedText(most),
        (Kind::Uuid, C::Uuid)
        | (Kind::Json | Kind::Jsonb, C::Json)
        | (Kind::Uuid | Kind::Json | Kind::Jsonb | Kind::Enum | Kind::Other, C::String) => Slot::Text(None),
        (Kind::Date, C::Date) => Slot::Date,
        (Kind::Time, C::Time) => Slot::Time,
        (Kind::Timestamp | Kind::Timestamptz, C::Datetime) => Slot::Timestamp,
        (Kind::Bytea, C::Binary) => Slot::Bytea,
        _ => return None,
    })
}

fn check_deleted(deleted: Option<&str>, columns: &[Column], found: &[Found]) -> Result<()> {
    let Some(deleted) = deleted else { return Ok(()) };
    let wrong = |message: String| Err(Error::new(ErrorKind::SchemaMismatch, message));
    if columns.iter().any(|column| column.name == deleted) {
        return wrong(format!(
            "`{deleted}` is the `deleted_column` and a column of the relation: one of them too many"
        ));
    }
    match found.iter().find(|known| known.name == deleted) {
        Some(known) if known.kind == Kind::Bool => Ok(()),
        Some(_) => wrong(format!("the `deleted_column` `{deleted}` is no `boolean`")),
        None => wrong(format!("the table has no `deleted_column` `{deleted}`")),
    }
}

/// A row is found by its key, so PostgreSQL must know that there is one of each.
async fn check_unique(session: &Session, name: &Name, key: &[String]) -> Result<()> {
    let table = literal(&name.sql());
    let sql = format!(
        "SELECT i.indexrelid, a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid \
         AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) WHERE i.indrelid = {table}::regclass \
         AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL"
    );
    let mut indexes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in session.ask("looking at the table", &sql).await? {
        let mut texts = row.into_iter().flatten();
        if let (Some(index), Some(column)) = (texts.next(), texts.next()) {
            indexes.entry(index).or_default().push(column);
        }
    }
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    let wanted = sorted(key.to_vec());
    if indexes.into_values().any(|columns| sorted(columns) == wanted) {
        return Ok(());
    }
    let columns: Vec<String> = key.iter().map(|column| identifier(column)).collect();
    let help = format!("ALTER TABLE {} ADD UNIQUE ({})", name.sql(), columns.join(", "));
    let message = format!("nothing makes the key, {}, unique in `{name}`: `{help}` would", listed(key));
    Err(Error::new(ErrorKind::SchemaMismatch, message))
}

async fn check_privileges(session: &Session, name: &Name, delete: bool) -> Result<()> {
    let table = literal(&name.sql());
    let sql = format!(
        "SELECT has_any_column_privilege({table}, 'INSERT'), has_any_column_privilege({table}, 'UPDATE'), \
         has_any_column_privilege({table}, 'SELECT'), {} OR has_table_privilege({table}, 'DELETE')",
        !delete
    );
    let rows = session.ask("looking at the table", &sql).await?;
    let granted = rows.first().into_iter().flatten().map(|granted| granted.as_deref() == Some("t"));
    let missing = ["INSERT", "UPDATE", "SELECT", "DELETE"].into_iter().zip(granted).filter(|(_, granted)| !granted);
    let missing: Vec<&str> = missing.map(|(privilege, _)| privilege).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message =
        format!("the role may not write `{name}`: `GRANT {} ON {} TO …` would let it", missing.join(", "), name.sql());
    Err(Error::new(ErrorKind::PermissionDenied, message))
}
