//! `$filter` against a set: what 1C refuses, what it answers wrongly, and what it evaluates.

use super::cell::Edm;
use super::filter::{Clause, Operand, Operator};
use super::lexer::Literal;
use super::refusal::{Answered, Refusal};
use super::schema::{Entity, Shape};
use super::table::Table;

/// A filter ready to be asked of entries. An entry is one row, or the rows of one recorder.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Always(bool),
    All(Vec<Test>),
    Some(Vec<Test>),
    Not(Box<Test>),
    /// The cell in the order of its type against a value.
    Order(usize, Operator, Vec<u8>),
    /// The cell, letter by letter.
    Same(usize, Operator, String),
    /// Both cells of a composite attribute: the type and the reference.
    Reference(usize, usize, Operator, String, String),
    Starts(usize, String),
    Ends(usize, String),
    Contains(usize, String),
    /// Some row of the record set.
    AnyRow(Box<Test>),
}

impl Test {
    /// Whether an entry satisfies it.
    pub(crate) fn holds(&self, entity: &Entity, table: &Table, rows: &[u32]) -> bool {
        let cell = |column: usize| rows.first().map_or("", |row| table.cell(*row, column));
        match self {
            Self::Always(truth) => *truth,
            Self::All(tests) => tests.iter().all(|test| test.holds(entity, table, rows)),
            Self::Some(tests) => tests.iter().any(|test| test.holds(entity, table, rows)),
            Self::Not(test) => !test.holds(entity, table, rows),
            Self::Order(column, operator, value) => {
                let mut own = Vec::with_capacity(value.len());
                if let Some(field) = entity.columns.get(*column) {
                    field.edm.write_order(cell(*column), &mut own);
                }
                operator.holds(own.cmp(value))
            }
            Self::Same(column, operator, value) => operator.holds(cell(*column).trim_end().cmp(value)),
            Self::Reference(reference, kind, operator, guid, wanted) => {
                let same = cell(*reference) == guid && cell(*kind) == wanted;
                operator.holds(if same { std::cmp::Ordering::Equal } else { std::cmp::Ordering::Less })
            }
            Self::Starts(column, text) => cell(*column).starts_with(text.as_str()),
            Self::Ends(column, text) => cell(*column).ends_with(text.as_str()),
            Self::Contains(column, text) => cell(*column).contains(text.as_str()),
            Self::AnyRow(test) => rows.iter().any(|row| test.holds(entity, table, &[*row])),
        }
    }
}

/// Makes a filter ready for a set.
///
/// # Errors
/// What 1C refuses: unknown fields, comparisons of references by order, fields of a record set.
pub(crate) fn bind(clause: &Clause, entity: &Entity, shape: Shape) -> Answered<Test> {
    Binder { entity, shape, variable: None }.clause(clause)
}

/// Refuses the reference comparisons of `1c-odata.md` §2.3 and remembers the lambda variable.
struct Binder<'a> {
    entity: &'a Entity,
    shape: Shape,
    variable: Option<&'a str>,
}

impl<'a> Binder<'a> {
    fn clause(&self, clause: &'a Clause) -> Answered<Test> {
        let several =
            |clauses: &'a [Clause]| clauses.iter().map(|inner| self.clause(inner)).collect::<Answered<Vec<Test>>>();
        match clause {
            Clause::Or(clauses) => Ok(Test::Some(several(clauses)?)),
            Clause::And(clauses) => Ok(Test::All(several(clauses)?)),
            Clause::Not(inner) => Ok(Test::Not(Box::new(self.clause(inner)?))),
            Clause::Truth(operand) => self.truth(operand),
            Clause::Compare(operator, Operand::Literal(left), right) if !matches!(right, Operand::Literal(_)) => {
                self.compare(operator.mirrored(), right, &Operand::Literal(left.clone()))
            }
            Clause::Compare(operator, left, right) => self.compare(*operator, left, right),
        }
    }

    fn truth(&self, operand: &'a Operand) -> Answered<Test> {
        match operand {
            Operand::Literal(Literal::Truth(truth)) => Ok(Test::Always(*truth)),
            Operand::Path(path) => {
                let column = self.column(path)?;
                if self.field(column) == Edm::Boolean {
                    Ok(Test::Same(column, Operator::Eq, "true".to_owned()))
                } else {
                    unreadable()
                }
            }
            Operand::Call(name, arguments) => self.function(name, arguments),
            Operand::Any(path, inner) => self.any(path, inner.as_ref()),
            Operand::Literal(_) => unreadable(),
        }
    }

    fn compare(&self, operator: Operator, left: &'a Operand, right: &Operand) -> Answered<Test> {
        match (left, right) {
            (Operand::Path(path), Operand::Literal(literal)) => self.field_against(operator, path, literal),
            (Operand::Path(path), Operand::Call(name, arguments)) if name == "cast" => {
                self.composite(operator, path, arguments)
            }
            (Operand::Call(..) | Operand::Any(..), Operand::Literal(Literal::Truth(truth))) => {
                let test = self.truth(left)?;
                let wanted = match operator {
                    Operator::Eq => *truth,
                    Operator::Ne => !*truth,
                    _ => return unreadable(),
                };
                Ok(if wanted { test } else { Test::Not(Box::new(test)) })
            }
            _ => unreadable(),
        }
    }

    fn field_against(&self, operator: Operator, path: &[String], literal: &Literal) -> Answered<Test> {
        let column = self.column(path)?;
        let edm = self.field(column);
        let reference = edm == Edm::Guid || matches!(literal, Literal::Guid(_));
        if reference && operator.is_ordering() {
            return Err(Refusal::platform(
                "Операции сравнения на больше/меньше недопустимы для значений ссылочного типа",
            ));
        }
        if self.is_recorder(column) {
            // Measured on a live base: a GUID is a 500, the same value as text finds nothing.
            return match literal {
                Literal::Guid(_) => {
                    Err(Refusal::platform("Нельзя сравнивать поля неограниченной длины и поля несовместимых типов"))
                }
                _ => Ok(Test::Always(operator == Operator::Ne)),
            };
        }
        let composite = self.type_of(column).is_some();
        match (edm, literal) {
            // Without `cast` a composite attribute equals nothing, and nobody says so.
            (Edm::String, Literal::Guid(_)) if composite => Ok(Test::Always(operator == Operator::Ne)),
            (Edm::String, Literal::Text(text)) if !operator.is_ordering() => {
                Ok(Test::Same(column, operator, text.trim_end().to_owned()))
            }
            (Edm::Guid, Literal::Guid(guid)) => Ok(Test::Same(column, operator, guid.clone())),
            (Edm::Boolean, Literal::Truth(_)) => Ok(Test::Same(column, operator, literal.text().to_owned())),
            (Edm::DateTime, Literal::Moment(_)) | (Edm::String, Literal::Text(_)) => {
                Ok(self.order(column, operator, literal))
            }
            (_, Literal::Number(_)) if edm.is_number() => Ok(self.order(column, operator, literal)),
            // A literal of another type: 200 and no rows.
            _ => Ok(Test::Always(operator == Operator::Ne)),
        }
    }

    fn order(&self, column: usize, operator: Operator, literal: &Literal) -> Test {
        let mut value = Vec::new();
        self.field(column).write_order(literal.text(), &mut value);
        Test::Order(column, operator, value)
    }

    /// `Основание eq cast(guid'…','Document_Заказ')`.
    fn composite(&self, operator: Operator, path: &[String], arguments: &[Operand]) -> Answered<Test> {
        let column = self.column(path)?;
        let [Operand::Literal(Literal::Guid(guid)), Operand::Literal(Literal::Text(kind))] = arguments else {
            return unreadable();
        };
        let Some(type_column) = self.type_of(column) else { return unreadable() };
        if operator.is_ordering() {
            return Err(Refusal::platform(
                "Операции сравнения на больше/меньше недопустимы для значений ссылочного типа",
            ));
        }
        Ok(Test::Reference(column, type_column, operator, guid.clone(), format!("StandardODATA.{kind}")))
    }

    fn function(&self, name: &str, arguments: &[Operand]) -> Answered<Test> {
        match (name, arguments) {
            ("startswith", [Operand::Path(path), Operand::Literal(Literal::Text(text))]) => {
                Ok(Test::Starts(self.column(path)?, text.clone()))
            }
            ("endswith", [Operand::Path(path), Operand::Literal(Literal::Text(text))]) => {
                Ok(Test::Ends(self.column(path)?, text.clone()))
            }
            ("substringof", [Operand::Literal(Literal::Text(text)), Operand::Path(path)]) => {
                Ok(Test::Contains(self.column(path)?, text.clone()))
            }
            ("isof", [Operand::Path(path), Operand::Literal(Literal::Text(kind))]) => {
                let Some(type_column) = self.type_of(self.column(path)?) else { return unreadable() };
                Ok(Test::Same(type_column, Operator::Eq, format!("StandardODATA.{kind}")))
            }
            _ => unreadable(),
        }
    }

    fn any(&self, path: &[String], inner: Option<&'a (String, Box<Clause>)>) -> Answered<Test> {
        let of_record_set = self.shape == Shape::RecordSets && matches!(path, [only] if only == "RecordSet");
        if !of_record_set {
            return Err(Refusal::unknown_path(path.first().map_or("", String::as_str)));
        }
        let Some((variable, clause)) = inner else { return Ok(Test::AnyRow(Box::new(Test::Always(true)))) };
        let rows = Binder { entity: self.entity, shape: Shape::Rows, variable: Some(variable) };
        Ok(Test::AnyRow(Box::new(rows.clause(clause)?)))
    }

    /// The column of a path, or the refusal this path meets.
    fn column(&self, path: &[String]) -> Answered<usize> {
        let (path, first) = match (self.variable, path) {
            (Some(variable), [first, rest @ ..]) if first == variable && !rest.is_empty() => (rest, first),
            (Some(_), [first, ..]) => return Err(Refusal::unknown_path(first)),
            (None, [first, ..]) => (path, first),
            (_, []) => return unreadable(),
        };
        if self.shape == Shape::RecordSets {
            let recorder = self.entity.recorder().unwrap_or_default();
            return match path {
                [name] => self
                    .entity
                    .position(name)
                    .filter(|at| recorder.contains(at))
                    .ok_or_else(|| Refusal::unknown_path(name)),
                _ if first == "RecordSet" => Err(Refusal::platform("Произошла внутренняя ошибка OData сервиса")),
                _ => Err(Refusal::unknown_path(first)),
            };
        }
        match path {
            [name] => self.entity.position(name).ok_or_else(|| Refusal::unknown_path(name)),
            _ => Err(Refusal::unknown_path(&path.join("/"))),
        }
    }

    fn field(&self, column: usize) -> Edm {
        self.entity.columns.get(column).map_or(Edm::String, |field| field.edm)
    }

    /// The recorder of several possible types, in its record sets.
    fn is_recorder(&self, column: usize) -> bool {
        self.shape == Shape::RecordSets && self.entity.columns.get(column).is_some_and(|field| field.name == "Recorder")
    }

    fn type_of(&self, column: usize) -> Option<usize> {
        let name = &self.entity.columns.get(column)?.name;
        self.entity.position(&format!("{name}_Type"))
    }
}

fn unreadable<T>() -> Answered<T> {
    Err(Refusal::unreadable("$filter"))
}
