//! `obmen init`: a small project that works at once.

use crate::console::STRONG;
use crate::exit::{Exit, Failure};
use crate::session::Session;
use obmen_sdk::Error;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The files of a new project: where they go and what is in them.
const FILES: &[(&str, &str)] = &[
    ("pipelines/obmen.yaml", include_str!("../../init/obmen.yaml")),
    ("pipelines/price_changes.yaml", include_str!("../../init/price_changes.yaml")),
    ("pipelines/price_changes.test.yaml", include_str!("../../init/price_changes.test.yaml")),
    ("exports/yesterday.csv", include_str!("../../init/yesterday.csv")),
    ("exports/today.csv", include_str!("../../init/today.csv")),
];

/// Makes a small project: two exports of a price list as CSV files, a pipeline that says what changed between them, and
/// its tests. It works at once; nothing that is there is overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  obmen init\n  obmen init exchange && cd exchange && obmen test")]
pub(crate) struct Arguments {
    /// Folder of the project; made if it is not there
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// Makes the project, or nothing at all.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let folder = &arguments.folder;
    let there: Vec<String> =
        FILES.iter().map(|(name, _)| folder.join(name)).filter(|path| path.exists()).map(|path| shown(&path)).collect();
    if !there.is_empty() {
        let message = format!("nothing is overwritten, and this is there already: {}", there.join(", "));
        return Err(Failure::usage(message).help("name another folder: `obmen init DIR`"));
    }
    for (name, text) in FILES {
        let path = folder.join(name);
        write(&path, text).map_err(|error| Error::from(error).with("file", path.display()))?;
    }
    let files: Vec<String> = FILES.iter().map(|(name, _)| shown(&folder.join(name))).collect();
    if session.console.is_json() {
        session.console.json(&json!({ "files": files }))?;
        return Ok(Exit::Done);
    }
    let made = files.join("\n  ");
    let step = if folder == Path::new(".") { String::new() } else { format!("  cd {}\n", folder.display()) };
    session.console.result(&format!(
        "made\n  {made}\n\n{STRONG}next:{STRONG:#}\n{step}  obmen test                  # the pipeline's tests\n  \
         obmen plan price_changes    # what would be written\n  obmen run price_changes     # .obmen/reports has it then\n"
    ))?;
    Ok(Exit::Done)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn shown(path: &Path) -> String {
    obmen_runtime::workspace::shown(path)
}
