//! A project on disk: `obmen.yaml`, the pipelines beside and below it, and their tests.

use obmen_diagnostics::{FileId, Files, Problems};
use obmen_sdk::{Error, ErrorKind, Result};
use obmen_spec::pipeline::Pipeline;
use obmen_spec::project::{Profile, Project};
use obmen_spec::yaml;
use std::path::{Path, PathBuf};

/// The project file's name.
pub const PROJECT_FILE: &str = "obmen.yaml";

/// A project as read from disk, with everything wrong in its text.
#[derive(Debug)]
pub struct Workspace {
    /// The folder of `obmen.yaml`.
    pub folder: PathBuf,
    /// All texts read.
    pub files: Files,
    /// The project file; `None` if it is too broken.
    pub project: Option<Project>,
    /// Pipelines by file, ascending by name.
    pub pipelines: Vec<PipelineFile>,
    /// Files with tests, ascending by path.
    pub tests: Vec<TestFileRef>,
    /// What is wrong in the texts themselves.
    pub problems: Problems,
}

/// A pipeline and its file.
#[derive(Debug)]
pub struct PipelineFile {
    /// The file's name without `.yaml`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub file: FileId,
    /// The pipeline; `None` if it is too broken.
    pub pipeline: Option<Pipeline>,
}

/// A file with tests of a pipeline.
#[derive(Clone, Debug)]
pub struct TestFileRef {
    /// The file's name without `.test.yaml`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl Workspace {
    /// Reads a project. Mistakes in the texts are in `problems`, not errors.
    ///
    /// # Errors
    /// `NotFound` if there is no `obmen.yaml`; those of reading files.
    pub fn load(folder: &Path) -> Result<Self> {
        let mut files = Files::new();
        let mut problems = Problems::new();
        let path = folder.join(PROJECT_FILE);
        let text = read_text(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(
                ErrorKind::NotFound,
                format!(
                    "there is no {PROJECT_FILE} in {}: go to the project's folder, name it with --project, or make one with `obmen init`",
                    folder.display()
                ),
            ),
            _ => error,
        })?;
        let file = files.add(shown(&path), text.as_str());
        let node = yaml::parse(file, &text, &mut problems);
        let project = node.and_then(|node| Project::read(&node, &mut problems));
        let (mut pipelines, mut tests) = (Vec::new(), Vec::new());
        for path in yaml_files(folder)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if let Some(name) = name.strip_suffix(".test.yaml") {
                tests.push(TestFileRef { name: name.to_owned(), path });
            } else if let Some(name) = name.strip_suffix(".yaml") {
                let text = read_text(&path)?;
                let file = files.add(shown(&path), text.as_str());
                let node = yaml::parse(file, &text, &mut problems);
                let pipeline = node.and_then(|node| Pipeline::read(&node, &mut problems));
                pipelines.push(PipelineFile { name: name.to_owned(), path, file, pipeline });
            }
        }
        Ok(Self { folder: folder.to_owned(), files, project, pipelines, tests, problems })
    }

    /// A pipeline by its name.
    pub fn pipeline(&self, name: &str) -> Option<&PipelineFile> {
        self.pipelines.iter().find(|file| file.name == name)
    }

    /// The text of the project file.
    pub fn project_file(&self) -> Option<FileId> {
        self.project.as_ref().map(|project| project.project.span.file)
    }

    /// The profile to use: the one asked for, or the project's default.
    ///
    /// # Errors
    /// `NotFound` with the profiles there are.
    pub fn profile(&self, asked: Option<&str>) -> Result<(String, &Profile)> {
        let project = self
            .project
            .as_ref()
            .ok_or_else(|| Error::invalid_data(format!("{PROJECT_FILE} has mistakes: see `obmen validate`")))?;
        let names = || project.profiles.names().collect::<Vec<_>>().join(", ");
        let default = project.profile.as_ref().map(|profile| profile.value.as_str());
        let Some(name) = asked.or(default).or_else(|| project.profiles.names().next()) else {
            return Err(Error::new(ErrorKind::NotFound, format!("{PROJECT_FILE} has no profiles")));
        };
        match project.profiles.get(name) {
            Some(profile) => Ok((name.to_owned(), profile)),
            None => Err(Error::new(ErrorKind::NotFound, format!("there is no profile `{name}`, only {}", names()))),
        }
    }

    /// Memory the process may use, in bytes.
    pub fn memory(&self) -> usize {
        let written = self.project.as_ref().and_then(|project| project.memory.as_ref()).map(|memory| memory.value);
        usize::try_from(written.unwrap_or(512 << 20)).unwrap_or(512 << 20)
    }
}

/// Every `.yaml` beside and below a folder but the project file; folders called `fixtures` and hidden ones stay out.
fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        let entries =
            std::fs::read_dir(&current).map_err(|error| Error::from(error).with("file", current.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| Error::from(error).with("file", current.display()))?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                if !name.starts_with('.') && name != "fixtures" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == "yaml")
                && name != PROJECT_FILE
                && !name.starts_with('.')
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|error| Error::from(error).with("file", path.display()))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::invalid_data(format!("the file is not UTF-8 (byte {at}): save it as UTF-8")).with("file", path.display())
    })
}

/// A path as people see it: relative to where they are, with `/`.
pub fn shown(path: &Path) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.display().to_string().replace('\\', "/")
}
