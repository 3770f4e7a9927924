//! The files of a baseline as one SELECT, beside them, for other programs.

use super::baseline::Baseline;
use super::write::unwritten;
use super::{GONE, KEY, disk};
use crate::state::{Durability, ScopeId, State};
use obmen_sdk::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// Writes the list of a scope's files after they changed. The rows are safe already: a list that
/// cannot be written is written by the next run.
pub(crate) fn publish(state: &State, scope: ScopeId) {
    if state.durability() == Durability::Scratch {
        return;
    }
    let written = names(state).and_then(|names| match names.iter().find(|(named, _)| *named == scope) {
        Some((_, name)) => write_list(state, scope, name),
        None => remove_list(state, scope, &names),
    });
    if let Err(error) = written {
        tracing::warn!("the list of files for other programs is not written: {error}");
    }
}

/// Writes the lists that are missing or of other files than there are now. Gives the names of all lists.
pub(super) fn refresh(state: &State) -> Result<BTreeSet<String>> {
    let names = names(state)?;
    if state.durability() == Durability::Scratch {
        return Ok(BTreeSet::new());
    }
    for (scope, name) in &names {
        // a list is of files that are here: none is fetched for it
        if !state.is_here(*scope)? {
            continue;
        }
        let path = state.folder().join(name);
        let first = std::fs::read_to_string(&path).ok();
        let first = first.as_deref().and_then(|text| text.lines().next());
        if first != Some(heading(state, *scope)?.as_str()) {
            publish(state, *scope);
        }
    }
    Ok(names.into_iter().map(|(_, name)| name).collect())
}

/// The scopes that have files, and the names of their lists. Of several targets of one sink the newest
/// has the plain name.
fn names(state: &State) -> Result<Vec<(ScopeId, String)>> {
    let mut names: Vec<(ScopeId, String)> = Vec::new();
    for (scope, pipeline, sink, _) in state.scopes()?.into_iter().rev() {
        if state.segments(scope)?.is_empty() {
            continue;
        }
        let plain = plain_name(&pipeline, &sink);
        let name = format!("{plain}.sql");
        let taken = names.iter().any(|(_, other)| other.to_lowercase() == name.to_lowercase());
        names.push((scope, if taken { format!("{plain}.{}.sql", scope.0) } else { name }));
    }
    Ok(names)
}

fn plain_name(pipeline: &str, sink: &str) -> String {
    let pipeline = if pipeline.is_empty() { "mirror" } else { pipeline };
    format!("baseline/{}.{}", safe(pipeline), safe(sink))
}

/// Letters and digits of any alphabet, `-` and `_`; anything else could mean something to a file system.
fn safe(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}

/// The first line: changes when the files do.
fn heading(state: &State, scope: ScopeId) -> Result<String> {
    let files: Vec<String> = state.segments(scope)?.into_iter().map(|segment| segment.file).collect();
    Ok(format!("-- obmen: {}", files.join(" ")))
}

/// A baseline that was forgotten has no files any more.
fn remove_list(state: &State, scope: ScopeId, names: &[(ScopeId, String)]) -> Result<()> {
    let scopes = state.scopes()?;
    let Some((_, pipeline, sink, _)) = scopes.iter().find(|(known, ..)| *known == scope) else { return Ok(()) };
    let plain = plain_name(pipeline, sink);
    for name in [format!("{plain}.sql"), format!("{plain}.{}.sql", scope.0)] {
        let path = state.folder().join(&name);
        if path.is_file() && names.iter().all(|(_, other)| *other != name) {
            disk::remove(&path).map_err(|error| unwritten(error, &path))?;
        }
    }
    Ok(())
}

fn write_list(state: &State, scope: ScopeId, name: &str) -> Result<()> {
    let folder = state.folder();
    let text = format!("{}\n{}\n", heading(state, scope)?, select(&Baseline::open(state, scope)?, folder)?);
    let path = folder.join(name);
    let part = path.with_extension("sql.part");
    let mut file = disk::create(&part).map_err(|error| unwritten(error, &part))?;
    disk::write(&mut file, text.as_bytes()).map_err(|error| unwritten(error, &part))?;
    disk::sync(&file).map_err(|error| unwritten(error, &part))?;
    drop(file);
    disk::rename(&part, &path).map_err(|error| unwritten(error, &path))?;
    disk::sync_folder(path.parent()).map_err(|error| unwritten(error, &path))
}

/// One SELECT of the rows that are there, without our columns: of each file those that no newer file has.
fn select(baseline: &Baseline, folder: &Path) -> Result<String> {
    let schema = baseline.value_schema();
    let read = |file: &str| {
        let path = std::path::absolute(folder.join(file)).map_err(|error| unwritten(error, folder))?;
        Ok::<_, obmen_sdk::Error>(format!("read_parquet('{}')", literal_path(&path.to_string_lossy())))
    };
    let mut parts = Vec::new();
    for (index, (segment, file)) in baseline.files.iter().enumerate() {
        let columns: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| {
                let name = quoted(field.name());
                if file.schema().index_of(field.name()).is_ok() { name } else { format!("NULL AS {name}") }
            })
            .collect();
        let mut part =
            vec![format!("SELECT {}\nFROM {} AS f\nWHERE NOT {GONE}", columns.join(", "), read(&segment.file)?)];
        for (newer, _) in baseline.files.iter().skip(index + 1) {
            let newer = read(&newer.file)?;
            part.push(format!("  AND NOT EXISTS (SELECT 1 FROM {newer} AS n WHERE n.{KEY} = f.{KEY})"));
        }
        parts.push(part.join("\n"));
    }
    // the newest file first: its types are those of the result
    parts.reverse();
    Ok(parts.join("\nUNION ALL\n"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A path as it stands in a text of SQL, where `*`, `?` and `[` would mean other files.
fn literal_path(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '\'' => text.push_str("''"),
            '*' | '?' | '[' => text.extend(['[', c, ']']),
            _ => text.push(c),
        }
    }
    text
}
