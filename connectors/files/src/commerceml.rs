//! Which files of a folder belong to a CommerceML package.

use crate::folder::{Folder, FoundFile, is_pattern, last, pattern};
use obmen_formats::Kind;
use obmen_sdk::{Error, ErrorKind, Result};

/// How names of the files begin: all relations are looked for in all of them.
const BEGINNINGS: [&str; 4] = ["import", "offers", "prices", "rests"];

/// Where the files are: a folder, and a pattern of names if the path ended in one.
#[derive(Clone, Debug)]
pub(crate) struct Packages {
    pub(crate) folder: Folder,
    pattern: Option<String>,
}

impl Packages {
    /// What the path of the connection means: a folder, a file, or a pattern of files.
    pub(crate) fn new(folder: &Folder) -> Self {
        match folder.parent() {
            Some((parent, name)) if is_pattern(&name) || folder.is_file() => {
                Self { folder: parent, pattern: Some(name) }
            }
            _ => Self { folder: folder.clone(), pattern: None },
        }
    }

    /// The files, by name, those in folders below included.
    ///
    /// # Errors
    /// `NotFound` where there are none.
    pub(crate) fn files(&self) -> Result<Vec<FoundFile>> {
        let all = self.folder.all_files()?;
        let wanted = match &self.pattern {
            Some(wanted) => pattern(wanted)?,
            None => pattern("*.xml")?,
        };
        let fits = |name: &String| {
            if self.pattern.is_some() {
                return !name.contains('/') && wanted.matches(name);
            }
            let name = last(name).to_lowercase();
            wanted.matches(&name) && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        };
        let files: Vec<FoundFile> =
            all.into_iter().filter(fits).map(|name| FoundFile { name, kind: Kind::Commerceml }).collect();
        if files.is_empty() {
            let looked =
                self.pattern.clone().unwrap_or_else(|| "import*.xml, offers*.xml, prices*.xml, rests*.xml".to_owned());
            let message = format!("there is no CommerceML package in the folder: no file is called {looked}");
            return Err(Error::new(ErrorKind::NotFound, message).with("file", self.folder.identity()));
        }
        Ok(files)
    }
}
