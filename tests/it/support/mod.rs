//! A project in a folder of its own, the real program, and the other side simulated.

mod report;
mod sandbox;
mod table;

pub(crate) use report::{count, counters_balance, sink};
pub(crate) use sandbox::{NOTHING, Sandbox};
pub(crate) use table::{Row, Table};

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A folder with a project; the program runs in it. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Scene {
    folder: TempDir,
}

/// How the program ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Scene {
    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The pipelines and fixtures of this repository, to be changed at will.
    pub(crate) fn of_repository() -> Self {
        let scene = Self::empty();
        for folder in ["pipelines", "fixtures"] {
            copy(&repository().join(folder), &scene.path(folder));
        }
        scene
    }

    /// Where something of the scene is.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Reads a file.
    pub(crate) fn read(&self, relative: &str) -> String {
        std::fs::read_to_string(self.path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    /// Replaces the one place where a text stands.
    pub(crate) fn edit(&self, relative: &str, from: &str, to: &str) {
        let text = self.read(relative);
        assert_eq!(text.matches(from).count(), 1, "{relative} should have `{from}` once");
        self.write(relative, &text.replace(from, to));
    }

    /// A CSV file, to be looked into or changed.
    pub(crate) fn table(&self, relative: &str) -> Table {
        Table::read(&self.path(relative))
    }

    /// The program with these words (split at spaces), not started yet.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_obmen"));
        command.args(words.split_whitespace());
        self.prepare(&mut command);
        command
    }

    /// Lets a command run where the program runs, with the same environment.
    pub(crate) fn prepare(&self, command: &mut Command) {
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("TRADE_PASSWORD", sandbox::PASSWORD).env("SHOP_PASSWORD", sandbox::PASSWORD).env("NO_COLOR", "1");
    }

    /// Runs the program to its end.
    pub(crate) fn obmen(&self, words: &str) -> Said {
        Said::from(self.command(words).output().unwrap())
    }

    /// Runs the program, which should end with `code`, and reads the JSON document it writes.
    pub(crate) fn json(&self, code: i32, words: &str) -> Value {
        self.obmen(&format!("{words} --output json")).ends_with(code, words).json()
    }

    /// Runs a pipeline, which should end with `code`; the report's counters balance.
    pub(crate) fn run(&self, code: i32, words: &str) -> Value {
        let report = self.json(code, &format!("run {words}"));
        counters_balance(&report);
        report
    }
}

impl Said {
    /// Checks the exit code; `what` was asked.
    pub(crate) fn ends_with(self, code: i32, what: &str) -> Self {
        assert_eq!(self.code, Some(code), "obmen {what}\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr))
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// The checkout.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of a folder, those of folders below included.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(file, target).unwrap();
    }
}
