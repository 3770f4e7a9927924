//! Mistakes the planner finds, in the words of an analyst.

use super::exact::{Fault, find};
use super::functions;
use super::place::{Places, tokens};
use datafusion::common::{Column, DataFusionError, Diagnostic, SchemaError, TableReference};
use datafusion::sql::sqlparser::tokenizer::Span as TokenSpan;
use obmen_diagnostics::{Code, Problems, code};
use obmen_spec::name;

/// Columns listed in a help line at most.
const LISTED: usize = 20;

/// One mistake.
#[derive(Clone, Debug)]
pub(super) enum Mistake {
    /// A column that is not there.
    Column {
        /// As it was written.
        column: Column,
        /// What there is.
        known: Vec<Column>,
        /// Where, if the planner knows.
        at: Option<TokenSpan>,
    },
    /// A column that several relations have.
    Ambiguous {
        /// As it was written.
        column: Column,
        /// Where, if the planner knows.
        at: Option<TokenSpan>,
    },
    /// Anything else.
    Other {
        /// Its kind.
        code: Code,
        /// What is wrong.
        message: String,
        /// What to do.
        help: Option<String>,
        /// Where, if the planner knows.
        at: Option<TokenSpan>,
    },
}

/// The mistakes in an error of the planner.
pub(super) fn of_planning(error: &DataFusionError) -> Vec<Mistake> {
    let mut found = Vec::new();
    unfold(error, None, &mut found);
    found
}

fn unfold(error: &DataFusionError, diagnostic: Option<&Diagnostic>, found: &mut Vec<Mistake>) {
    let at = diagnostic.and_then(|diagnostic| diagnostic.span).map(tokens);
    match error {
        DataFusionError::Collection(errors) => errors.iter().for_each(|error| unfold(error, diagnostic, found)),
        DataFusionError::Context(_, inner) => unfold(inner, diagnostic, found),
        DataFusionError::Shared(inner) => unfold(inner, diagnostic, found),
        DataFusionError::Diagnostic(own, inner) => {
            // The innermost one that knows a place is the most exact.
            let keep = if own.span.is_some() || diagnostic.is_none() { Some(&**own) } else { diagnostic };
            unfold(inner, keep, found);
        }
        DataFusionError::SchemaError(schema, _) => found.push(match &**schema {
            SchemaError::FieldNotFound { field, valid_fields } => Mistake::Column {
                at: at.or_else(|| field.spans().first().map(tokens)),
                column: (**field).clone(),
                known: valid_fields.clone(),
            },
            SchemaError::AmbiguousReference { field } => {
                Mistake::Ambiguous { at: at.or_else(|| field.spans().first().map(tokens)), column: (**field).clone() }
            }
            SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
                twice(name)
            }
        }),
        other => found.push(phrase(other, diagnostic, at)),
    }
}

/// A result with two columns of one name.
pub(super) fn twice(name: &str) -> Mistake {
    Mistake::Other {
        code: code::AMBIGUOUS_COLUMN,
        message: format!("the result has two columns `{name}`"),
        help: Some("give one of them another name with AS".to_owned()),
        at: None,
    }
}

fn phrase(error: &DataFusionError, diagnostic: Option<&Diagnostic>, at: Option<TokenSpan>) -> Mistake {
    if let Some(fault) = find::<Fault>(error) {
        return Mistake::Other { code: code::SQL_TYPE, message: fault.0.clone(), help: None, at };
    }
    let text = error.strip_backtrace();
    if let Some(name) = between(&text, "expression \"", "\" at position").filter(|_| text.contains("unique expression"))
    {
        return twice(last_part(name));
    }
    let (code, message, help) = in_words(&clean(&text), diagnostic);
    Mistake::Other { code, message, help, at }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map(|(found, _)| found)
}

fn last_part(name: &str) -> &str {
    let name = name.rsplit_once(" AS ").map_or(name, |(_, alias)| alias);
    name.rsplit('.').next().unwrap_or(name)
}

/// Words for what the planner says often; its own, cleaned, for the rest.
fn in_words(text: &str, diagnostic: Option<&Diagnostic>) -> (Code, String, Option<String>) {
    let lower = text.to_lowercase();
    if lower.contains("must be in group by") || lower.contains("could not be resolved from available columns") {
        let column = between(text, "column \"", "\"").or_else(|| between(text, "'", "'")).map(last_part);
        let what = column.map_or_else(|| "a column".to_owned(), |column| format!("`{column}`"));
        let message = format!("{what} is neither in GROUP BY nor inside an aggregate");
        let help = "add it to GROUP BY, or say which of the values: `max(…)`, `min(…)`".to_owned();
        return (code::SQL_TYPE, message, Some(help));
    }
    if lower.contains("different number of columns") {
        let help = "both SELECTs must give the same columns in the same order".to_owned();
        return (code::SQL_TYPE, "the parts of UNION have different numbers of columns".to_owned(), Some(help));
    }
    if let Some(name) = function_name(text) {
        // Our own functions say themselves what they take.
        if let Some((_, ours)) = text.split_once(&format!("`{name}` takes")) {
            let ours = ours.split(". ").next().unwrap_or(ours).trim_end_matches('.');
            return (code::SQL_TYPE, format!("`{name}` takes{ours}"), None);
        }
        let counts = text.matches("arguments but received").count();
        if counts > 0 && counts == text.matches("but received").count() {
            let given = text.rsplit("but received ").next().and_then(|rest| rest.split(['.', ' ', ',']).next());
            let given = given.unwrap_or("that many");
            let plural = if given == "1" { "" } else { "s" };
            let message = format!("`{name}` does not take {given} argument{plural}");
            return (code::SQL_TYPE, message, Some(arguments_help(name)));
        }
        let given = between(text, "coercion from ", " to the signature").or_else(|| between(text, "types: (", ")"));
        let message = match given.map(|given| given.trim_matches(['(', ')', '[', ']'])) {
            Some("") => format!("`{name}` needs arguments"),
            Some(given) => format!("`{name}` does not take ({given})"),
            None => format!("`{name}` does not take these arguments"),
        };
        return (code::SQL_TYPE, message, Some(arguments_help(name)));
    }
    if let Some((left, operator, right)) = operands(text) {
        let message = format!("`{operator}` does not take {left} and {right}");
        return (code::SQL_TYPE, message, Some("cast one side: `CAST(x AS …)`".to_owned()));
    }
    if text.contains("OuterReferenceColumn") || lower.contains("correlated scalar subquery") {
        let message =
            "a query inside the query uses columns of the row outside in a way that is not available".to_owned();
        let help = "compute it in a query of its own and JOIN it, or take one value: `max(…)`".to_owned();
        return (code::SQL_NOT_ALLOWED, message, Some(help));
    }
    if lower.contains("aggregate functions are not allowed in the where") {
        let message = "WHERE sees single rows, and an aggregate many".to_owned();
        return (code::SQL_NOT_ALLOWED, message, Some("put the condition into HAVING".to_owned()));
    }
    if lower.contains("non-boolean predicate") || lower.contains("filter predicate must return boolean") {
        return (
            code::SQL_TYPE,
            "the condition is not true or false".to_owned(),
            Some("write a comparison".to_owned()),
        );
    }
    if lower.starts_with("unsupported") || lower.contains("not supported") || lower.contains("not implemented") {
        return (code::SQL_NOT_ALLOWED, text.to_owned(), None);
    }
    let help = diagnostic.and_then(|diagnostic| diagnostic.helps.first()).map(|help| help.message.clone());
    (code::SQL_TYPE, text.to_owned(), help)
}

fn arguments_help(name: &str) -> String {
    match functions::syntax(name) {
        Some(syntax) => format!("write `{syntax}`"),
        None => "look at the number and the types of its arguments".to_owned(),
    }
}

/// The function a message about arguments is about.
fn function_name(text: &str) -> Option<&str> {
    let name = |before, after| {
        let name = between(text, before, after)?;
        name.chars().all(|letter| letter.is_alphanumeric() || letter == '_').then_some(name)
    };
    name("satisfy a call to '", "' function")
        .or_else(|| name("name and argument types '", "("))
        .or_else(|| name("unction '", "' expect"))
        .or_else(|| name("'", "' does not support zero arguments"))
        .or_else(|| name("unction '", "' failed to match any signature"))
        .or_else(|| name("call to '", "'"))
}

/// `Cannot coerce arithmetic expression A + B to valid types`, `Cannot infer common argument type for comparison operation A = B`.
fn operands(text: &str) -> Option<(&str, &str, &str)> {
    let pair = between(text, "arithmetic expression ", " to valid types")
        .or_else(|| text.split_once("comparison operation ").map(|(_, rest)| rest))
        .or_else(|| text.split_once("logical boolean operation ").map(|(_, rest)| rest))?;
    let pair = pair.split(" to ").next().unwrap_or(pair);
    let operators = [" IS NOT DISTINCT FROM ", " IS DISTINCT FROM ", " AND ", " OR "];
    let operators =
        operators.into_iter().chain([" <= ", " >= ", " != ", " = ", " < ", " > ", " + ", " - ", " * ", " / ", " % "]);
    operators.into_iter().find_map(|operator| pair.split_once(operator).map(|(l, r)| (l, operator.trim(), r)))
}

/// An error's text without prefixes, traces, requests to report a bug, and names of Arrow types.
pub(super) fn clean(text: &str) -> String {
    const PREFIXES: &[&str] = &[
        "Error during planning: ",
        "This feature is not implemented: ",
        "Execution error: ",
        "Schema error: ",
        "Arrow error: ",
        "External error: ",
        "Internal error: ",
        "Cast error: ",
        "Compute error: ",
        "Parser error: ",
        "Invalid argument error: ",
        "Arithmetic overflow: ",
        "Optimizer rule failed",
    ];
    let text = text.split("\n\nbacktrace").next().unwrap_or(text);
    let mut text = text.rsplit("\ncaused by\n").next().unwrap_or(text).trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest.trim_start();
    }
    let text = text.split("This issue was likely caused by a bug").next().unwrap_or(text);
    let text = text.split("This was likely caused by a bug").next().unwrap_or(text);
    let text = text.lines().next().unwrap_or("").trim().trim_end_matches('.');
    let text = type_words(text);
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text,
    }
}

/// Arrow's names of types in a text, as analysts call them.
fn type_words(text: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("LargeUtf8", "string"),
        ("Utf8View", "string"),
        ("Utf8", "string"),
        ("UInt64", "long"),
        ("UInt32", "long"),
        ("UInt16", "int"),
        ("UInt8", "int"),
        ("Int64", "long"),
        ("Int32", "int"),
        ("Int16", "int"),
        ("Int8", "int"),
        ("Float64", "double"),
        ("Float32", "double"),
        ("Decimal128(", "decimal("),
        ("Decimal256(", "decimal("),
        ("Boolean", "bool"),
        ("Date32", "date"),
        ("Timestamp(Microsecond, None)", "datetime"),
        ("Timestamp(Nanosecond, None)", "datetime"),
        ("Timestamp(µs)", "datetime"),
        ("Timestamp(ns)", "datetime"),
        ("Time64(Microsecond)", "time"),
        ("Time64(µs)", "time"),
        ("Interval(MonthDayNano)", "interval"),
    ];
    WORDS.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

/// The column that was probably meant.
pub(super) fn meant<'a>(column: &Column, known: &'a [Column]) -> Option<&'a str> {
    let of_relation = known.iter().filter(|other| match (&column.relation, &other.relation) {
        (Some(one), Some(two)) => one.table() == two.table(),
        _ => true,
    });
    name::suggest(&column.name, of_relation.map(|other| other.name.as_str()))
}

/// Reports a mistake at a place.
pub(super) fn report(mistake: &Mistake, at: Option<TokenSpan>, places: Places<'_>, problems: &mut Problems) {
    let mut place = at.map_or_else(|| places.whole(), |at| places.of(at));
    if let (Some(at), Mistake::Other { message, .. }) = (at, mistake)
        && let Some(kind) = message.strip_prefix("unknown type `").or_else(|| message.strip_prefix("the type `"))
    {
        // The parser does not say where a type stands; it follows what is cast.
        place = kind.split_once('`').and_then(|(kind, _)| places.after(at, kind)).unwrap_or(place);
    }
    match mistake {
        Mistake::Column { column, known, .. } => {
            let relations: Vec<&str> =
                known.iter().filter_map(|other| other.relation.as_ref()).map(TableReference::table).collect();
            if let Some(relation) = column.relation.as_ref().map(TableReference::table)
                && !relations.contains(&relation)
            {
                let message = format!("the query reads no relation `{relation}`");
                let problem = problems.error(code::UNKNOWN_RELATION, place, message);
                match name::suggest(relation, relations.iter().copied()) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem.help(format!("it reads {}", listed(&relations))),
                };
                return;
            }
            let message = match &column.relation {
                Some(relation) => format!("`{}` has no column `{}`", relation.table(), column.name),
                None => format!("there is no column `{}`", column.name),
            };
            let problem = problems.error(code::UNKNOWN_COLUMN, place, message);
            match meant(column, known) {
                Some(near) => {
                    problem.help(format!("did you mean `{near}`?"));
                    if column.relation.is_none() && at.is_some() {
                        problem.fix(place, quoted(near));
                    }
                }
                None if places.is_quoted(place) => {
                    problem.help(format!("a text is written in single quotes: '{}'", column.name));
                }
                None if !known.is_empty() => {
                    problem.help(format!("columns here: {}", list(known)));
                }
                None => {}
            }
        }
        Mistake::Ambiguous { column, .. } => {
            let message = format!("several relations have a column `{}`", column.name);
            problems
                .error(code::AMBIGUOUS_COLUMN, place, message)
                .help(format!("say which one: `relation.{}`", quoted(&column.name)));
        }
        Mistake::Other { code, message, help, .. } => {
            let problem = problems.error(*code, place, message.clone());
            if let Some(help) = help {
                problem.help(help.clone());
            }
        }
    }
}

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || letter == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn list(columns: &[Column]) -> String {
    listed(&columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>())
}

/// Names in backticks, each once.
fn listed(all: &[&str]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in all {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let more = if names.len() > LISTED { ", …" } else { "" };
    let names: Vec<String> = names.into_iter().take(LISTED).map(|name| format!("`{name}`")).collect();
    names.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planners_texts_are_cleaned() {
        let text = "type_coercion\ncaused by\nError during planning: Cannot coerce arithmetic expression Utf8 + \
                    Boolean to valid types";
        assert_eq!(clean(text), "cannot coerce arithmetic expression string + bool to valid types");
        let (_, message, _) = in_words(&clean(text), None);
        assert_eq!(message, "`+` does not take string and bool");
        let text = "Internal error: Function 'upper' expected 1 arguments but received 2.\nThis issue was likely caused \
                    by a bug in DataFusion's code. Please help us to resolve this";
        assert!(!clean(text).contains("DataFusion"));
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert_eq!(quoted("Цена"), "Цена");
        assert_eq!(quoted("Цена, руб"), "\"Цена, руб\"");
    }
}
