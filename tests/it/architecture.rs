//! The house as `design.md` draws it: who may know whom, one version of what must be one, and what lies where.

use crate::support::{files, repository};
use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Lines a Rust file may have.
const LONGEST: usize = 700;

/// What stands at the top of the repository, beside names that begin with a dot.
const TOP: [&str; 10] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "connectors",
    "engine",
    "fixtures",
    "pipelines",
    "tests",
];

/// Where a crate stands in `diagnostics ← spec ← sdk ← storage ← { connectors, runtime ← { server, cli } } ← main`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Diagnostics,
    Spec,
    Sdk,
    Storage,
    Formats,
    Connector,
    Runtime,
    Server,
    Cli,
    Testkit,
    Main,
}

impl Room {
    fn of(package: &Package) -> Self {
        let folder = package.manifest_path.parent().unwrap();
        let folder = folder.as_std_path().strip_prefix(repository()).unwrap();
        let mut parts = folder.iter().map(|part| part.to_str().unwrap());
        match (parts.next(), parts.next()) {
            (None, _) => Self::Main,
            (Some("connectors"), Some("formats")) => Self::Formats,
            (Some("connectors"), Some(_)) => Self::Connector,
            (Some("engine"), Some("diagnostics")) => Self::Diagnostics,
            (Some("engine"), Some("spec")) => Self::Spec,
            (Some("engine"), Some("sdk")) => Self::Sdk,
            (Some("engine"), Some("storage")) => Self::Storage,
            (Some("engine"), Some("runtime")) => Self::Runtime,
            (Some("engine"), Some("server")) => Self::Server,
            (Some("engine"), Some("cli")) => Self::Cli,
            (Some("engine"), Some("testkit")) => Self::Testkit,
            other => panic!("design.md has no room for {other:?}"),
        }
    }

    /// Whom a crate of this room may use.
    fn may_know(self, other: Self) -> bool {
        use Room::{Cli, Connector, Diagnostics, Formats, Main, Runtime, Sdk, Server, Spec, Storage, Testkit};
        match self {
            Diagnostics => false,
            Spec => other == Diagnostics,
            Sdk => matches!(other, Diagnostics | Spec),
            Storage | Formats | Testkit => matches!(other, Diagnostics | Spec | Sdk),
            Runtime => matches!(other, Diagnostics | Spec | Sdk | Storage),
            Connector => matches!(other, Diagnostics | Spec | Sdk | Storage | Formats),
            Server => matches!(other, Diagnostics | Spec | Sdk | Runtime),
            Cli => matches!(other, Diagnostics | Spec | Sdk | Runtime | Server),
            Main => other != Main,
        }
    }
}

#[test]
fn crates_know_only_whom_the_design_lets_them_know() {
    let packages = MetadataCommand::new().current_dir(repository()).no_deps().exec().unwrap().packages;
    let rooms: BTreeMap<String, Room> =
        packages.iter().map(|package| (package.name.to_string(), Room::of(package))).collect();
    assert!(rooms.len() >= 11, "{rooms:?}");
    let mut wrong = Vec::new();
    for package in &packages {
        let room = rooms[package.name.as_str()];
        for dependency in &package.dependencies {
            let test_only = dependency.kind == DependencyKind::Development;
            let allowed = match rooms.get(&dependency.name) {
                Some(other) => room.may_know(*other) || (test_only && (*other == Room::Testkit || room == Room::Main)),
                None if dependency.name.starts_with("datafusion") => room == Room::Runtime,
                None => true,
            };
            if !allowed {
                wrong.push(format!("{} → {} ({})", package.name, dependency.name, dependency.kind));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that design.md §5 does not draw: {wrong:#?}");
}

#[test]
fn libraries_whose_types_cross_crates_have_one_version() {
    let lock = std::fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let value = |line: &'static str, text: &str| -> bool { text.starts_with(line) };
    let mut name = "";
    for line in lock.lines() {
        let quoted = line.split('"').nth(1).unwrap_or("");
        if value("name = ", line) {
            name = quoted;
        } else if value("version = ", line) {
            versions.entry(name).or_default().insert(quoted);
        }
    }
    for library in ["arrow", "arrow-array", "arrow-schema", "datafusion", "object_store", "parquet", "reqwest"] {
        let found = versions.get(library).unwrap_or_else(|| panic!("{library} is not in Cargo.lock"));
        assert_eq!(found.len(), 1, "{library} has versions {found:?}");
    }
}

#[test]
fn the_top_of_the_repository_holds_what_the_design_names() {
    let entries =
        std::fs::read_dir(repository()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // `target` is the build's and not part of the repository.
    let found: BTreeSet<String> = entries.filter(|name| !name.starts_with('.') && name != "target").collect();
    let expected: BTreeSet<String> = TOP.map(str::to_owned).into();
    assert_eq!(found, expected);
}

#[test]
fn rust_files_fit_in_a_head() {
    let sources = ["engine", "connectors", "tests"].into_iter().flat_map(|folder| files(&repository().join(folder)));
    let rust = sources.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
    let long: Vec<String> = rust
        .map(|path| (lines(&path), path))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, path)| format!("{lines} lines: {}", path.strip_prefix(repository()).unwrap().display()))
        .collect();
    assert!(long.is_empty(), "files over {LONGEST} lines: {long:#?}");
}
