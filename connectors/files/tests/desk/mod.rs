//! A temporary project folder with a `files` connection to its folder `data`.
#![expect(dead_code, reason = "each test binary uses a part of it")]

use obmen_diagnostics::{Files as Texts, Problems};
use obmen_files::Files;
use obmen_sdk::{Connection, Connector as _, Context, Result, Secret, Secrets, SinkTarget, SourceTarget, Stop};
use obmen_spec::{Map, Node, Value, yaml};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    context: Context,
}

#[derive(Debug)]
struct NoSecrets;

impl Secrets for NoSecrets {
    fn resolve(&self, text: &str) -> Result<Secret> {
        Ok(Secret::new(text))
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let context = Context {
            project: folder.path().to_owned(),
            scratch: folder.path().join("scratch"),
            now: chrono::DateTime::from_timestamp(1_795_000_000, 0).unwrap(),
            secrets: Arc::new(NoSecrets),
            stop: Stop::default(),
        };
        Self { folder, context }
    }

    /// The same folder, so many days later.
    pub(crate) fn later(mut self, days: i64) -> Self {
        self.context.now += chrono::Duration::days(days);
        self
    }

    pub(crate) fn stop(&self) -> Stop {
        self.context.stop.clone()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Names of files below the folder, hidden ones included.
    pub(crate) fn names(&self) -> Vec<String> {
        let root = self.path("");
        let mut names = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    names.push(path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/"));
                }
            }
        }
        names.sort();
        names
    }

    /// A connection with these settings besides `path: data`.
    pub(crate) fn connect(&self, settings: &str) -> Arc<dyn Connection> {
        let mut node = node(settings);
        if let Value::Map(map) = &mut node.value {
            map.entries.extend(node_map("{ path: data }").entries);
        }
        self.open_node(&node).unwrap()
    }

    /// A connection with exactly these settings.
    pub(crate) fn open(&self, settings: &str) -> Result<Arc<dyn Connection>> {
        self.open_node(&node(settings))
    }

    fn open_node(&self, node: &Node) -> Result<Arc<dyn Connection>> {
        let mut problems = Problems::new();
        Files.check(node, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        Files.open(node, &self.context)
    }
}

pub(crate) fn node(yaml: &str) -> Node {
    let mut problems = Problems::new();
    let file = Texts::new().add("x.yaml", yaml);
    yaml::parse(file, yaml, &mut problems).unwrap()
}

fn node_map(yaml: &str) -> Map {
    node(yaml).as_map().unwrap().clone()
}

pub(crate) fn settings<T: serde::de::DeserializeOwned>(yaml: &str) -> T {
    obmen_spec::decode::decode(&node(yaml), &mut Problems::new()).unwrap()
}

pub(crate) fn source(entity: &str) -> SourceTarget {
    SourceTarget {
        name: "source".to_owned(),
        entity: entity.to_owned(),
        columns: None,
        key: Vec::new(),
        inbox: None,
        options: node("{}"),
    }
}

pub(crate) fn sink(entity: &str) -> SinkTarget {
    SinkTarget {
        name: "sink".to_owned(),
        entity: entity.to_owned(),
        schema: Arc::new(arrow::datatypes::Schema::empty()),
        key: Vec::new(),
        delete: false,
        options: node("{}"),
    }
}

/// Everything a source gives, or its error.
pub(crate) async fn read(source: &dyn obmen_sdk::Source, batch_rows: usize) -> Result<Vec<obmen_sdk::Batch>> {
    use futures::TryStreamExt as _;
    source.read(obmen_sdk::Scan { batch_rows, ..obmen_sdk::Scan::default() }).await?.try_collect().await
}
