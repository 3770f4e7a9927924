//! `obmen docs`: the connectors' options, as Markdown.

use crate::exit::{Exit, Failure};
use crate::manual;
use crate::session::Session;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The page the tables stand in.
const PAGE: &str = "README.md";
/// Where the tables begin in it.
const BEGIN: &str = "<!-- options:begin -->";
/// Where they end.
const END: &str = "<!-- options:end -->";

/// Prints tables of the connectors' options, from the connectors themselves; or keeps them in a page.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  obmen docs                       # the tables on stdout
  obmen docs --write connectors    # into connectors/README.md, between the marks
  obmen docs --check connectors    # 1 if that page is not fresh")]
pub(crate) struct Arguments {
    /// Write the tables into README.md of this folder, between `<!-- options:begin -->` and `<!-- options:end -->`
    #[arg(long, value_name = "DIR", conflicts_with = "check")]
    write: Option<PathBuf>,

    /// Say whether the tables in README.md of this folder are fresh
    #[arg(long, value_name = "DIR")]
    check: Option<PathBuf>,
}

/// Prints, writes or checks the tables; 1 if they are not fresh.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let tables = manual::tables(&session.registry);
    let Some(folder) = arguments.write.as_ref().or(arguments.check.as_ref()) else {
        session.console.result(&tables)?;
        return Ok(Exit::Done);
    };
    let page = folder.join(PAGE);
    let old = read(&page)?;
    let new = replaced(&old, &tables).ok_or_else(|| {
        Failure::usage(format!("{} has no place for the tables", page.display()))
            .help(format!("write the lines `{BEGIN}` and `{END}` where they belong"))
    })?;
    let fresh = new == old;
    if arguments.write.is_some() && !fresh {
        std::fs::write(&page, &new).map_err(|error| obmen_sdk::Error::from(error).with("file", page.display()))?;
    }
    if session.console.is_json() {
        session.console.json(&json!({ "page": page, "fresh": fresh }))?;
    }
    match (&arguments.check, fresh) {
        (Some(folder), false) => {
            let message = format!("{} is not fresh", page.display());
            let help = format!("`{} docs --write {}` makes it so", session.obmen(), folder.display());
            Err(Failure::new(Exit::Troubled, message).help(help))
        }
        (Some(_), true) => Ok(Exit::Done),
        (None, _) => {
            session.console.say(&format!("{} {}", page.display(), if fresh { "was fresh" } else { "is written" }));
            Ok(Exit::Done)
        }
    }
}

fn read(page: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(page).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!("there is no page {}", page.display()))
            .help(format!("make one with the lines `{BEGIN}` and `{END}` in it")),
        _ => obmen_sdk::Error::from(error).with("file", page.display()).into(),
    })
}

/// A page with new tables between its marks; `None` if it has no marks.
fn replaced(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    // A page that was checked out on Windows keeps its line breaks.
    let line_break = if page.contains("\r\n") { "\r\n" } else { "\n" };
    let tables = tables.trim_end().replace('\n', line_break);
    Some(format!("{before}{BEGIN}{line_break}{line_break}{tables}{line_break}{line_break}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stand_between_their_marks_and_stay_fresh() {
        for line_break in ["\n", "\r\n"] {
            let page = format!("# Rooms{line_break}{BEGIN}{line_break}old{END}{line_break}after{line_break}");
            let once = replaced(&page, "### a\n\nnew\n").unwrap();
            assert!(once.contains("new") && !once.contains("old") && once.ends_with(&format!("after{line_break}")));
            assert_eq!(replaced(&once, "### a\n\nnew\n").unwrap(), once);
        }
        assert_eq!(replaced("# nothing", "x"), None);
    }
}
