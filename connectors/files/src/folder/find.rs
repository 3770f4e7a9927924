//! Which file of a folder an entity is.

use super::Folder;
use glob::{MatchOptions, Pattern};
use obmen_formats::{Format, Kind};
use obmen_sdk::{Error, ErrorKind, Result};
use std::path::{Component, Path};
use unicode_normalization::UnicodeNormalization as _;

/// Folders below the connection's that are looked into, at most.
const MAX_DEPTH: usize = 8;

/// Extensions that say a format, as people write them.
const EXTENSIONS: [&str; 7] = ["csv", "txt", "tsv", "jsonl", "ndjson", "json", "parquet"];

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FoundFile {
    /// Its name relative to the folder, with `/` between folders.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

impl Folder {
    /// All files of the folder and those below, by name. Hidden ones (a leading point) and those whose name
    /// is no text are passed over.
    pub(crate) fn all_files(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        let mut folders = vec![(String::new(), 0)];
        while let Some((prefix, depth)) = folders.pop() {
            for (name, is_folder) in self.list(&prefix)? {
                if !is_folder {
                    files.push(name);
                } else if depth < MAX_DEPTH {
                    folders.push((name, depth + 1));
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// Entities of the folder: names of files without their extension, or with it where it takes that to tell files apart.
    pub(crate) fn entities(&self, format: &Format) -> Result<Vec<String>> {
        let files: Vec<String> = self.all_files()?.into_iter().filter(|name| format.kind(name).is_ok()).collect();
        let alone = |stem: &str| files.iter().filter(|name| without_extension(name) == stem).count() == 1;
        let entity = |name: &String| {
            let stem = without_extension(name);
            if Kind::of_name(name).is_some() && alone(stem) { stem.to_owned() } else { name.clone() }
        };
        Ok(files.iter().map(entity).collect())
    }

    /// The files of an entity: one, or for a pattern all that match, by name. May be none for a pattern.
    ///
    /// # Errors
    /// `NotFound`, with what is there; `InvalidData` when the entity could be several files.
    pub(crate) fn find(&self, entity: &str, format: &Format) -> Result<Vec<FoundFile>> {
        check_entity(entity).map_err(Error::invalid_data)?;
        let (prefix, wanted) = entity.rsplit_once('/').map_or(("", entity), |(prefix, name)| (prefix, name));
        let files: Vec<String> = if self.lists() {
            self.list(prefix)?.into_iter().filter(|(_, is_folder)| !is_folder).map(|(name, _)| name).collect()
        } else {
            self.asked_for(entity, format)?
        };
        let found = |name: &String| Ok(FoundFile { kind: format.kind(name)?, name: name.clone() });
        if let Some(exact) = files.iter().find(|name| same(last(name), wanted)) {
            return Ok(vec![found(exact)?]);
        }
        if is_pattern(wanted) {
            let pattern = pattern(wanted)?;
            let options = MatchOptions { case_sensitive: true, ..MatchOptions::new() };
            let matching = files.iter().filter(|name| pattern.matches_with(&nfc(last(name)), options));
            return matching.map(found).collect();
        }
        let fits = |name: &&String| {
            let kind = Kind::of_name(name);
            same(without_extension(last(name)), wanted)
                && kind.is_some()
                && format.format.is_none_or(|wanted| kind == Some(wanted))
        };
        let candidates: Vec<&String> = files.iter().filter(fits).collect();
        match candidates.as_slice() {
            [one] => Ok(vec![found(one)?]),
            [] => Err(self.not_found(entity, wanted, &files)),
            several => {
                let names: Vec<String> = several.iter().map(|name| format!("`{name}`")).collect();
                let message =
                    format!("`{entity}` could be {}; write the entity with its extension", names.join(" or "));
                Err(Error::invalid_data(message).with("entity", entity))
            }
        }
    }

    /// The files an entity may be, where no list says which there are: each is asked for by name.
    fn asked_for(&self, entity: &str, format: &Format) -> Result<Vec<String>> {
        if is_pattern(entity) {
            let message =
                format!("`{entity}` is a pattern, but a web server does not say which files it has; name one");
            return Err(Error::new(ErrorKind::Unsupported, message).with("entity", entity));
        }
        let mut names = vec![entity.to_owned()];
        if Kind::of_name(entity).is_none() {
            let fits = |extension: &&&str| {
                let kind = Kind::of_name(&format!("x.{extension}"));
                format.format.is_none_or(|wanted| kind == Some(wanted))
            };
            names.extend(EXTENSIONS.iter().filter(fits).map(|extension| format!("{entity}.{extension}")));
        }
        let mut there = Vec::new();
        for name in names.into_iter().filter(|name| format.kind(name).is_ok()) {
            if self.version(&name)?.is_some() {
                there.push(name);
            }
        }
        Ok(there)
    }

    fn not_found(&self, entity: &str, wanted: &str, files: &[String]) -> Error {
        let stems: Vec<&str> = files.iter().map(|name| without_extension(last(name))).collect();
        let names = files.iter().map(|name| last(name));
        let hint = match obmen_spec::name::suggest(wanted, stems.iter().copied().chain(names)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if !self.lists() => "the server does not say which files it has".to_owned(),
            None if files.is_empty() => "the folder is empty".to_owned(),
            None => {
                let some: Vec<String> = files.iter().take(10).map(|name| format!("`{name}`")).collect();
                format!("there is {}{}", some.join(", "), if files.len() > 10 { ", …" } else { "" })
            }
        };
        let extensions = "csv, txt, tsv, jsonl, ndjson, json or parquet";
        let message = format!("there is no file `{wanted}` with an extension {extensions}; {hint}");
        Error::new(ErrorKind::NotFound, message).with("entity", entity).with("file", self.identity())
    }
}

/// Says what is wrong with the name of an entity. Only `/` separates folders; the name stays inside the folder.
pub(crate) fn check_entity(entity: &str) -> Result<(), String> {
    if entity.trim().is_empty() {
        return Err("the entity is empty, expected a file's name".to_owned());
    }
    if entity.contains('\\') {
        return Err(format!("`{entity}` has a backslash; write `/` between folders"));
    }
    let inside = Path::new(entity).components().all(|part| matches!(part, Component::Normal(_)));
    let drive =
        entity.as_bytes().get(1) == Some(&b':') && entity.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    if !inside || drive || entity.ends_with('/') || entity.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(format!("`{entity}` leads out of the connection's folder, or is no file's name"));
    }
    if entity.rsplit_once('/').is_some_and(|(prefix, _)| is_pattern(prefix)) {
        return Err(format!("`{entity}` has a pattern in the folder's name; only the file's name may have one"));
    }
    if entity.chars().any(char::is_control) {
        return Err("the entity has a control character".to_owned());
    }
    Ok(())
}

/// Whether a name stands for several: `*` is any text, `?` any character.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// A pattern of `*` and `?`; brackets stand for themselves, they are common in names of files.
pub(crate) fn pattern(name: &str) -> Result<Pattern> {
    let text: String = nfc(name)
        .chars()
        .map(|mark| match mark {
            '[' => "[[]".to_owned(),
            ']' => "[]]".to_owned(),
            other => other.to_string(),
        })
        .collect();
    Pattern::new(&text).map_err(|error| Error::invalid_data(format!("`{name}` is not a pattern: {}", error.msg)))
}

/// The name without its last extension.
pub(crate) fn without_extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.contains('/') => stem,
        _ => name,
    }
}

/// The name without its folders.
pub(crate) fn last(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, last)| last)
}

/// Composed letters: archives made on a Mac spell `й` as two.
fn nfc(name: &str) -> String {
    name.nfc().collect()
}

fn same(one: &str, other: &str) -> bool {
    one == other || nfc(one) == nfc(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> (tempfile::TempDir, Folder) {
        let temporary = tempfile::tempdir().unwrap();
        for name in names {
            let path = temporary.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "a\n1\n").unwrap();
        }
        let folder = Folder::new(temporary.path(), ".");
        (temporary, folder)
    }

    fn names(folder: &Folder, entity: &str) -> Vec<String> {
        folder.find(entity, &Format::default()).unwrap().into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn an_entity_is_found_with_and_without_its_extension() {
        let (_kept, folder) = folder(&[
            "goods.csv",
            "цены [новые].CSV",
            "sub/x.y.jsonl",
            "InformationRegister_Цены/SliceLast.csv",
            "50% #1.csv",
            "notes.md",
        ]);
        for (entity, name) in [
            ("goods", "goods.csv"),
            ("goods.csv", "goods.csv"),
            ("цены [новые]", "цены [новые].CSV"),
            ("sub/x.y", "sub/x.y.jsonl"),
            ("InformationRegister_Цены/SliceLast", "InformationRegister_Цены/SliceLast.csv"),
            ("50% #1", "50% #1.csv"),
        ] {
            assert_eq!(names(&folder, entity), [name], "{entity}");
        }
    }

    #[test]
    fn patterns_give_all_that_match_by_name() {
        let (_kept, folder) = folder(&["a2.csv", "a1.csv", "b[1].csv", "b1.csv", ".a0.csv", "a.csv/x.csv"]);
        assert_eq!(names(&folder, "a*.csv"), ["a1.csv", "a2.csv"]);
        assert_eq!(names(&folder, "b[?].csv"), ["b[1].csv"]);
        assert!(names(&folder, "z*.csv").is_empty());
    }

    #[test]
    fn several_candidates_are_named() {
        let (_kept, folder) = folder(&["goods.csv", "goods.jsonl"]);
        let error = folder.find("goods", &Format::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains("`goods.csv` or `goods.jsonl`"), "{error}");
        let jsonl: Format = serde_json::from_str(r#"{"format":"jsonl"}"#).unwrap();
        assert_eq!(folder.find("goods", &jsonl).unwrap().len(), 1);
        assert_eq!(folder.entities(&Format::default()).unwrap(), ["goods.csv", "goods.jsonl"]);
    }

    #[test]
    fn what_is_missing_is_said_with_help() {
        let (_kept, folder) = folder(&["goods.csv"]);
        let error = folder.find("good", &Format::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("did you mean `goods`?"), "{error}");
        let error = folder.below("nowhere").find("x", &Format::default()).unwrap_err();
        assert!(error.to_string().contains("the folder does not exist"), "{error}");
    }

    #[test]
    fn names_do_not_lead_out() {
        for entity in ["", "..", "../x", "/etc/passwd", "a/../b", "c:\\x", "C:x", "a//b", "a/", "*/x.csv", "x\n"] {
            assert!(check_entity(entity).is_err(), "{entity}");
        }
        for entity in ["x", "a/b", "x.y.csv", "*.csv", "цены", "a..b"] {
            assert!(check_entity(entity).is_ok(), "{entity}");
        }
    }

    #[test]
    fn two_spellings_of_a_letter_are_one() {
        let (_kept, folder) = folder(&["и\u{306}од.csv"]);
        assert_eq!(names(&folder, "йод").len(), 1);
    }
}
