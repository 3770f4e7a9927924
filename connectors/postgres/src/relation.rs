//! A table, view or query as the analyst wrote it, settled against the catalogue: which columns, of which types, read
//! how. Everything that can be wrong is found here, before a row is asked for.

use crate::condition::{self, Column, RELATION};
use crate::copy::{Decoder, Wire};
use crate::kind::Kind;
use crate::server::Session;
use crate::sql::{Name, literal};
use arrow::datatypes::{Field, Schema, SchemaRef};
use obmen_sdk::{Error, ErrorKind, Filter, Result, Scan, types};
use obmen_spec::name::suggest;
use std::sync::Arc;
use tokio_postgres::Statement;

/// What rows are read from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A table or view.
    Table(Name),
    /// A query of the analyst's.
    Query(String),
}

impl Origin {
    /// As it stands after `FROM`.
    fn sql(&self) -> String {
        match self {
            Self::Table(name) => format!("{} AS {RELATION}", name.sql()),
            // The line ends in case the query ends with a comment.
            Self::Query(query) => format!("({query}\n) AS {RELATION}"),
        }
    }
}

/// What is read.
#[derive(Debug)]
pub(crate) struct Relation {
    /// The entity as the analyst wrote it.
    pub(crate) entity: String,
    /// All columns.
    pub(crate) schema: SchemaRef,
    origin: Origin,
    columns: Vec<Column>,
    key: Vec<String>,
}

/// What a relation should be.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    /// The entity as the analyst wrote it.
    pub(crate) entity: &'a str,
    /// Declared columns; `None`: whatever there is.
    pub(crate) columns: Option<&'a SchemaRef>,
    /// The key, by which bad rows are named.
    pub(crate) key: &'a [String],
    /// Types may hold more than is declared; each value is looked at.
    pub(crate) lenient: bool,
}

impl Relation {
    /// Settles what is wanted against what is there.
    ///
    /// # Errors
    /// `NotFound` for a table that is not there, `SchemaMismatch` for columns and types that do not fit (all of them at
    /// once), those of the session.
    pub(crate) async fn resolve(session: &Session, origin: Origin, wanted: &Wanted<'_>) -> Result<Self> {
        if let Origin::Table(name) = &origin {
            find_table(session, name).await?;
        }
        let statement = prepare(session, &format!("SELECT * FROM {}", origin.sql())).await?;
        let found = found_columns(&statement);
        let columns = match wanted.columns {
            Some(declared) => declared_columns(&found, declared, wanted.lenient)?,
            None => all_columns(&found)?,
        };
        let schema = match wanted.columns {
            Some(declared) => Arc::clone(declared),
            None => Arc::new(Schema::new(
                columns
                    .iter()
                    .map(|column| types::arrow_field(&column.name, column.reading.column))
                    .collect::<Vec<_>>(),
            )),
        };
        check_key(&schema, wanted.key)?;
        let (entity, key) = (wanted.entity.to_owned(), wanted.key.to_vec());
        Ok(Self { entity, schema, origin, columns, key })
    }

    /// The columns of a scan, in its order; `None` means all.
    ///
    /// # Errors
    /// `Internal` for a position that is not in the schema.
    pub(crate) fn selection(&self, wanted: Option<&[usize]>) -> Result<Selection<'_>> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let wanted = wanted.unwrap_or(&all);
        let schema = self.schema.project(wanted).map_err(|error| Error::internal("no such column").because(error))?;
        let columns = wanted.iter().filter_map(|at| self.columns.get(*at)).collect();
        Ok(Selection { relation: self, schema: Arc::new(schema), columns })
    }

    /// Conditions for `WHERE`.
    ///
    /// # Errors
    /// `Internal` for columns that are not there.
    pub(crate) fn conditions(&self, filter: &[Filter], utf8: bool) -> Result<Vec<String>> {
        filter.iter().map(|filter| condition::sql(filter, &self.columns, utf8)).collect()
    }
}

/// Columns of a relation on their way.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    relation: &'a Relation,
    schema: SchemaRef,
    columns: Vec<&'a Column>,
}

impl Selection<'_> {
    /// The query for rows that meet all conditions.
    pub(crate) fn sql(&self, conditions: &[String]) -> String {
        let selected: Vec<String> = self.columns.iter().map(|column| condition::selected(column)).collect();
        let condition =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        format!("SELECT {} FROM {}{condition}", selected.join(", "), self.relation.origin.sql())
    }

    /// Notices columns that have changed since the relation was settled.
    ///
    /// # Errors
    /// `SchemaMismatch`, those of the session.
    pub(crate) async fn check(&self, session: &Session, sql: &str) -> Result<()> {
        let statement = prepare(session, sql).await?;
        for (now, column) in statement.columns().iter().zip(&self.columns) {
            let kind = Kind::of(now.type_(), now.type_modifier());
            if column.reading.cast.is_none() && kind != column.kind {
                let message = format!("`{}` has changed its type since the run began", column.name);
                return Err(Error::new(ErrorKind::SchemaMismatch, message));
            }
        }
        Ok(())
    }

    /// What makes batches of the rows.
    ///
    /// # Errors
    /// `Internal` for types that do not go together.
    pub(crate) fn decoder(&self, scan: &Scan) -> Result<Decoder> {
        let wires: Vec<Wire> = self.columns.iter().map(|column| column.reading.wire).collect();
        let relation = self.relation;
        Decoder::new(Arc::clone(&self.schema), &wires, &relation.entity, &relation.key, scan.batch_rows)
    }
}

/// Lets PostgreSQL read a query without carrying it out.
async fn prepare(session: &Session, sql: &str) -> Result<Statement> {
    // The driver asks for types it does not know on the way, so this is boxed to stay small.
    let preparing = Box::pin(session.client.prepare(sql));
    session.patience.wait("the query", preparing).await
}

fn found_columns(statement: &Statement) -> Vec<(String, Kind)> {
    let column =
        |column: &tokio_postgres::Column| (column.name().to_owned(), Kind::of(column.type_(), column.type_modifier()));
    statement.columns().iter().map(column).collect()
}

/// `NotFound` with a suggestion, unless the table is there.
///
/// # Errors
/// `NotFound`, those of the session.
pub(crate) async fn find_table(session: &Session, name: &Name) -> Result<()> {
    let there = session.ask("looking for the table", &format!("SELECT to_regclass({})", literal(&name.sql()))).await?;
    if there.first().and_then(|row| row.first()).is_some_and(Option::is_some) {
        return Ok(());
    }
    let known = tables(session).await?;
    let meant = suggest(&name.to_string(), known.iter().map(String::as_str)).map(ToOwned::to_owned).or_else(|| {
        // The same name in a schema that was not said.
        let same = |known: &&String| Name::parse(known).is_ok_and(|known| known.table == name.table);
        known.iter().find(same).cloned()
    });
    let help = meant.map_or_else(
        || "correct the name, or let the role see it".to_owned(),
        |meant| format!("did you mean `{meant}`?"),
    );
    Err(Error::new(ErrorKind::NotFound, format!("there is no table or view `{name}`; {help}")))
}

/// Tables and views that the role may read.
///
/// # Errors
/// Those of the session.
pub(crate) async fn tables(session: &Session) -> Result<Vec<String>> {
    let sql = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
        AND n.nspname NOT LIKE 'pg\\_t%' AND has_schema_privilege(n.oid, 'USAGE') \
        AND (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT')) \
        ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";
    let rows = session.ask("listing tables", sql).await?;
    let name = |row: Vec<Option<String>>| {
        let mut parts = row.into_iter().flatten();
        let (schema, table) = (parts.next()?, parts.next()?);
        Some(Name { schema: Some(schema), table }.to_string())
    };
    Ok(rows.into_iter().filter_map(name).collect())
}

fn declared_columns(found: &[(String, Kind)], declared: &Schema, lenient: bool) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    let mut wrong = Vec::new();
    for field in declared.fields() {
        match declared_column(found, field, lenient) {
            Ok(column) => columns.push(column),
            Err(phrase) => wrong.push(phrase),
        }
    }
    if wrong.is_empty() { Ok(columns) } else { Err(Error::new(ErrorKind::SchemaMismatch, wrong.join("; "))) }
}

fn declared_column(found: &[(String, Kind)], field: &Field, lenient: bool) -> Result<Column, String> {
    let Some((name, kind)) = found.iter().find(|(name, _)| name == field.name()) else {
        let meant = suggest(field.name(), found.iter().map(|(name, _)| name.as_str()));
        let help = meant.map_or_else(String::new, |meant| format!(", did you mean `{meant}`?"));
        return Err(format!("there is no column `{}`{help}", field.name()));
    };
    let reading = types::column_type(field).and_then(|column| kind.reading(column, lenient));
    let reading = reading.ok_or_else(|| format!("`{name}` does not fit its declared type: {}", kind.advice()))?;
    Ok(Column { name: name.clone(), kind: *kind, reading })
}

fn all_columns(found: &[(String, Kind)]) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = Vec::new();
    let mut wrong = Vec::new();
    for (name, kind) in found {
        let reading = kind.natural().map(|column| kind.reading(column, false));
        if columns.iter().any(|column| column.name == *name) {
            wrong.push(format!("the query has two columns `{name}`, give one of them another name"));
            continue;
        }
        match reading {
            Ok(Some(reading)) => columns.push(Column { name: name.clone(), kind: *kind, reading }),
            Ok(None) => return Err(Error::internal(format!("{kind:?} is not read as itself"))),
            Err(advice) => wrong.push(format!("`{name}`: {advice}")),
        }
    }
    if wrong.is_empty() { Ok(columns) } else { Err(Error::new(ErrorKind::SchemaMismatch, wrong.join("; "))) }
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
