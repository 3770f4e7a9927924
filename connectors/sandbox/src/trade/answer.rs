//! One request, from resource and options to a page of entries.

use super::balance;
use super::condition::{self, Test};
use super::filter::{self, Operator};
use super::lexer::Literal;
use super::metadata;
use super::refusal::{Answered, Refusal};
use super::render::Page;
use super::request::{Argument, Format, Options, Resource, Tail, literal};
use super::schema::{Entity, Shape};
use super::table::Table;
use super::view::{By, View, ViewKey};
use super::{Limits, Trade};
use axum::http::StatusCode;
use std::sync::Arc;

/// What is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A whole text and its type.
    Text(&'static str, String),
    /// Entries, piece by piece.
    Page(Box<Page>),
}

/// A request that was let in.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) resource: Resource,
    pub(crate) options: Options,
    pub(crate) format: Format,
    /// `http://host/trade/odata/standard.odata`.
    pub(crate) root: String,
    /// The base suddenly serves nothing.
    pub(crate) empty: bool,
    /// How many requests came before.
    pub(crate) turn: usize,
}

/// A set of entries that is being asked for.
struct Asked {
    name: String,
    entity: Arc<Entity>,
    shape: Shape,
    table: Arc<Table>,
}

/// Options every collection understands.
const KNOWN: [&str; 8] = ["$format", "$select", "$filter", "$orderby", "$top", "$skip", "$inlinecount", "$expand"];

/// Answers a request. Reads files: not for an async thread.
///
/// # Errors
/// Everything 1C refuses.
pub(crate) fn answer(trade: &Trade, call: &Call) -> Answered<Answer> {
    if let Some(option) = call.options.names().find(|name| name.starts_with('$') && !KNOWN.contains(name)) {
        return Err(Refusal::unknown_option(option));
    }
    match &call.resource {
        Resource::Service => {
            let text = metadata::service_document(&trade.schema, &call.root, call.format);
            Ok(Answer::Text(if call.format.is_json() { JSON } else { "application/atomsvc+xml;charset=utf-8" }, text))
        }
        Resource::Metadata => Ok(Answer::Text("application/xml;charset=utf-8", metadata::edmx(&trade.schema))),
        Resource::Set { name, key, tail } => set(trade, call, name, key.as_deref(), tail.as_ref()),
    }
}

/// The content type of JSON.
pub(crate) const JSON: &str = "application/json;odata=minimalmetadata;charset=utf-8";

fn set(trade: &Trade, call: &Call, name: &str, key: Option<&[Argument]>, tail: Option<&Tail>) -> Answered<Answer> {
    if name == "$batch" {
        return Err(Refusal::service(StatusCode::NOT_IMPLEMENTED, "-1", "Произошла ошибка сервиса"));
    }
    let (entity, shape) =
        trade.schema.find(name).filter(|(entity, _)| entity.function().is_none()).ok_or_else(Refusal::no_entity)?;
    match (key, tail) {
        (Some(key), None) => by_key(call, open(trade, name, entity, shape)?, key),
        (Some(_), Some(tail)) => Err(Refusal::unknown_path(&tail.name)),
        (None, None) => collection(trade, call, &open(trade, name, entity, shape)?),
        (None, Some(tail)) if tail.name == "$count" => {
            let asked = open(trade, name, entity, shape)?;
            let (view, _) = view(trade, call, &asked, Vec::new())?;
            // Some bases put a byte order mark before the number.
            let count = if call.empty { 0 } else { view.len() };
            Ok(Answer::Text("text/plain;charset=utf-8", format!("\u{feff}{count}")))
        }
        (None, Some(tail)) => virtual_table(trade, call, name, tail),
    }
}

fn open(trade: &Trade, name: &str, entity: Arc<Entity>, shape: Shape) -> Answered<Asked> {
    let table = trade.table(&entity).map_err(|error| Refusal::platform(error.to_string()))?;
    Ok(Asked { name: name.to_owned(), entity, shape, table })
}

fn virtual_table(trade: &Trade, call: &Call, register: &str, tail: &Tail) -> Answered<Answer> {
    let function = tail.name.as_str();
    let owner = register.strip_suffix("_RecordType").unwrap_or(register);
    let path = format!("{owner}/{function}");
    let (entity, shape) = trade.schema.find(&path).ok_or_else(Refusal::no_method)?;
    let mut arguments: Vec<(String, Literal)> = Vec::new();
    for (name, value) in &tail.arguments {
        let name = name.clone().ok_or_else(Refusal::no_method)?;
        arguments.push((name, value.clone()));
    }
    for name in call.options.names().filter(|name| !name.starts_with('$') && *name != "allowedOnly") {
        known_parameter(owner, function, name)?;
        let value = call.options.get(name).and_then(literal);
        arguments.push((name.to_owned(), value.ok_or_else(|| bad_argument(name))?));
    }
    for (name, _) in &arguments {
        known_parameter(owner, function, name)?;
    }
    let asked = open(trade, &path, entity, shape)?;
    let mut tests = Vec::new();
    let mut dimensions = None;
    for (name, value) in &arguments {
        match (name.as_str(), value) {
            ("Condition", Literal::Text(text)) => tests.push((format!("condition {text}"), read_filter(text, &asked)?)),
            ("Dimensions", Literal::Text(text)) => dimensions = Some(text.as_str()),
            ("Period" | "EndPeriod", Literal::Moment(moment)) => tests.extend(until(&asked, Operator::Le, moment)),
            ("StartPeriod", Literal::Moment(moment)) => tests.extend(until(&asked, Operator::Ge, moment)),
            (name, _) => return Err(bad_argument(name)),
        }
    }
    let Some(dimensions) = dimensions else {
        return page(trade, call, &asked, tests);
    };
    let test = Test::All(tests.into_iter().map(|(_, test)| test).collect());
    let rows: Vec<u32> = asked.table.rows().filter(|row| test.holds(&asked.entity, &asked.table, &[*row])).collect();
    let (entity, table) = balance::by(&asked.entity, &asked.table, &rows, dimensions)?;
    page(
        trade,
        call,
        &Asked { name: asked.name, entity, shape, table },
        vec![(format!("by {dimensions}"), Test::Always(true))],
    )
}

fn known_parameter(register: &str, function: &str, name: &str) -> Answered<()> {
    let known = metadata::parameters(register, function).iter().any(|(parameter, _)| *parameter == name);
    if known { Ok(()) } else { Err(Refusal::unknown_argument(name)) }
}

fn bad_argument(name: &str) -> Refusal {
    Refusal::service(StatusCode::BAD_REQUEST, "21", format!("Неверное значение параметра {name}"))
}

/// Rows up to or from a moment, for virtual tables whose file has a `Period`.
fn until(asked: &Asked, operator: Operator, moment: &str) -> Option<(String, Test)> {
    let period = asked.entity.position("Period")?;
    let field = asked.entity.columns.get(period)?;
    let mut value = Vec::new();
    field.edm.write_order(moment, &mut value);
    Some((format!("period {operator:?} {moment}"), Test::Order(period, operator, value)))
}

fn collection(trade: &Trade, call: &Call, asked: &Asked) -> Answered<Answer> {
    let Limits { register_rows, .. } = trade.limits;
    let unfiltered = asked.shape == Shape::RecordSets && call.options.get("$filter").is_none();
    if unfiltered && register_rows.is_some_and(|limit| asked.table.len() > limit) {
        // Measured: all rows of all sets are loaded before `$top` is looked at.
        return Err(Refusal::platform("Недостаточно памяти для получения результата запроса к базе данных"));
    }
    page(trade, call, asked, Vec::new())
}

fn page(trade: &Trade, call: &Call, asked: &Asked, tests: Vec<(String, Test)>) -> Answered<Answer> {
    let columns = select(call, asked)?;
    if call.options.get("$expand").is_some() {
        return Err(Refusal::unknown_path(call.options.get("$expand").unwrap_or("")));
    }
    let counted = match call.options.get("$inlinecount") {
        None | Some("none") => false,
        Some("allpages") => true,
        Some(_) => return Err(Refusal::unreadable("$inlinecount")),
    };
    let skip = call.options.number("$skip")?.unwrap_or(0);
    let top = call.options.number("$top")?.unwrap_or(usize::MAX);
    if skip > 0 && asked.name.ends_with("/RecordsWithExtDimensions") {
        return Err(Refusal::unknown_option("$skip"));
    }
    let (view, total) = view(trade, call, asked, tests)?;
    let entries = if call.empty { Vec::new() } else { view.page(skip, top, call.turn) };
    if trade.limits.page_entries.is_some_and(|limit| entries.len() > limit) {
        return Err(Refusal::platform("The device is full '/tmp/v8_BC1A_1f.tmp'"));
    }
    Ok(Answer::Page(Box::new(Page {
        entity: Arc::clone(&asked.entity),
        table: Arc::clone(&asked.table),
        shape: asked.shape,
        name: asked.name.clone(),
        entries,
        columns,
        count: counted.then_some(if call.empty { 0 } else { total }),
        single: false,
        format: call.format,
        root: call.root.clone(),
    })))
}

/// Filtered and ordered entries, and how many there are without paging.
fn view(trade: &Trade, call: &Call, asked: &Asked, mut tests: Vec<(String, Test)>) -> Answered<(Arc<View>, usize)> {
    if let Some(text) = call.options.get("$filter") {
        tests.push((format!("filter {text}"), read_filter(text, asked)?));
    }
    let ordered = call.options.get("$orderby").unwrap_or("");
    // Recorder-bound sets accept any order, even of fields that are not there, and ignore it.
    let order = if asked.shape == Shape::RecordSets { Vec::new() } else { order(ordered, &asked.entity)? };
    let (names, tests): (Vec<String>, Vec<Test>) = tests.into_iter().unzip();
    let key = ViewKey {
        entity: asked.name.clone(),
        version: asked.table.version,
        shape: asked.shape,
        filter: names.join("\n"),
        order: if order.is_empty() { String::new() } else { ordered.to_owned() },
    };
    let test = Test::All(tests);
    let view = trade.views.get(key, || View::make(&asked.entity, &asked.table, asked.shape, &test, &order));
    let total = view.len();
    Ok((view, total))
}

fn read_filter(text: &str, asked: &Asked) -> Answered<Test> {
    let clause = filter::parse(text).ok_or_else(|| Refusal::unreadable("$filter"))?;
    condition::bind(&clause, &asked.entity, asked.shape)
}

fn order(text: &str, entity: &Entity) -> Answered<Vec<By>> {
    let mut order = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let mut words = part.split_whitespace();
        let name = words.next().unwrap_or("");
        let descending = match (words.next(), words.next()) {
            (None | Some("asc"), None) => false,
            (Some("desc"), None) => true,
            _ => return Err(Refusal::unreadable("$orderby")),
        };
        let column = entity.position(name).ok_or_else(|| Refusal::unknown_path(name))?;
        order.push(By { column, descending });
    }
    Ok(order)
}

/// The columns to show, in the order of the declaration.
fn select(call: &Call, asked: &Asked) -> Answered<Vec<usize>> {
    let all = || (0..asked.entity.columns.len()).collect::<Vec<usize>>();
    let Some(text) = call.options.get("$select") else { return Ok(all()) };
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    if names.iter().any(|name| matches!(*name, "*" | "**")) {
        return Ok(all());
    }
    let mut columns = Vec::new();
    for name in names {
        let of_set = asked.shape == Shape::RecordSets;
        let name = if of_set { name.strip_prefix("RecordSet/").unwrap_or(name) } else { name };
        if of_set && name == "RecordSet" {
            return Ok(all());
        }
        columns.push(asked.entity.position(name).ok_or_else(|| Refusal::unknown_path(name))?);
    }
    columns.sort_unstable();
    columns.dedup();
    Ok(columns)
}

fn by_key(call: &Call, asked: Asked, arguments: &[Argument]) -> Answered<Answer> {
    let key = asked.entity.key_of(asked.shape);
    let cells = key_cells(&asked.entity, &key, arguments)?;
    let wanted: Vec<&str> = cells.iter().map(String::as_str).collect();
    let found = match asked.shape {
        Shape::Rows => asked.table.find(&key, &wanted),
        Shape::RecordSets => {
            let same = |rows: &Vec<u32>| {
                let cell = |at: &usize| rows.first().map_or("", |row| asked.table.cell(*row, *at));
                key.iter().map(cell).eq(wanted.iter().copied())
            };
            asked.table.sets(&key).iter().position(same).and_then(|at| u32::try_from(at).ok())
        }
    };
    let entry = found.filter(|_| !call.empty).ok_or_else(Refusal::no_instance)?;
    let columns = select(call, &asked)?;
    Ok(Answer::Page(Box::new(Page {
        entity: asked.entity,
        table: asked.table,
        shape: asked.shape,
        name: asked.name,
        entries: vec![entry],
        columns,
        count: None,
        single: true,
        format: call.format,
        root: call.root.clone(),
    })))
}

/// The cells of the key in its order; all parts must be there, by name if there are several.
fn key_cells(entity: &Entity, key: &[usize], arguments: &[Argument]) -> Answered<Vec<String>> {
    let missing = |name: &str| Refusal::service(StatusCode::BAD_REQUEST, "7", format!("Не указана часть ключа {name}"));
    key.iter()
        .map(|at| {
            let Some(field) = entity.columns.get(*at) else { return Err(missing("")) };
            let named = arguments.iter().find(|(name, _)| name.as_deref() == Some(field.name.as_str()));
            let alone =
                || arguments.first().filter(|(name, _)| name.is_none() && key.len() == 1 && arguments.len() == 1);
            let (_, value) = named.or_else(alone).ok_or_else(|| missing(&field.name))?;
            if !field.edm.takes(value) {
                let text = format!("Недопустимое значение {} для свойства {}", value.text(), field.name);
                return Err(Refusal::service(StatusCode::BAD_REQUEST, "4", text));
            }
            let canonical = field.edm.canonical(value.text());
            canonical.map_err(|_| Refusal::service(StatusCode::BAD_REQUEST, "4", field.name.clone()))
        })
        .collect()
}
