//! A folder of this machine, and saying in words why something there cannot be done.

use object_store::local::LocalFileSystem;
use object_store::{GetResultPayload, ObjectStoreExt as _, path::Path as StorePath};
use obmen_sdk::{Error, ErrorKind, Outcome, RejectClass, Result};
use obmen_storage::Version;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// How old a temporary file is when no load can be writing to it any more.
const LEFTOVER_AGE: Duration = Duration::from_hours(24);

/// A folder of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// Absolute, symbolic links resolved as far as it exists.
    root: PathBuf,
}

impl Disk {
    /// The folder at a path relative to the project.
    pub(super) fn new(project: &Path, path: &str) -> Self {
        let joined = project.join(path);
        let absolute = std::path::absolute(&joined).unwrap_or(joined);
        Self { root: canonical(&absolute) }
    }

    pub(super) fn below(&self, path: &str) -> Self {
        Self::new(&self.root, path)
    }

    /// As [`new`](Self::new), or relative to where the person is if there is no such folder beside the project file.
    pub(super) fn named(project: &Path, path: &str) -> Self {
        let here = Path::new(path);
        match std::path::absolute(here) {
            Ok(absolute) if !project.join(here).exists() && absolute.exists() => Self::new(&absolute, "."),
            _ => Self::new(project, path),
        }
    }

    pub(super) fn parent(&self) -> Option<(Self, String)> {
        let name = self.root.file_name().and_then(|name| name.to_str()).unwrap_or("").to_owned();
        self.root.parent().map(|parent| (Self::new(parent, "."), name))
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a name of this folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        name.split('/').fold(self.root.clone(), |path, part| path.join(part))
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<(String, bool)>> {
        let path = if prefix.is_empty() { self.root.clone() } else { self.path(prefix) };
        let entries = std::fs::read_dir(&path).map_err(|error| unreadable(&path, error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(&path, error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with('.') {
                continue;
            }
            // Links are followed; what they do not lead to is a file that cannot be opened, said when it is read.
            let is_folder = std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
            names.push((if prefix.is_empty() { name } else { format!("{prefix}/{name}") }, is_folder));
        }
        names.sort();
        Ok(names)
    }

    pub(super) fn open(&self, name: &str) -> Result<File> {
        let runtime = tokio::runtime::Handle::try_current().map_err(Error::internal)?;
        let opened = runtime.block_on(async {
            let store = LocalFileSystem::new_with_prefix(&self.root)?;
            // `parse` takes the name as it is; `from` would write percent signs into names with brackets.
            let result = store.get(&StorePath::parse(name)?).await?;
            Ok(result.payload)
        });
        match opened {
            Ok(GetResultPayload::File(file, _)) => Ok(file),
            Ok(GetResultPayload::Stream(_)) => Err(Error::internal("a local file came as a stream").with("file", name)),
            Err(error) => Err(explain_store(error).with("file", name)),
        }
    }

    pub(super) fn remove(&self, name: &str, what: &'static str) -> Result<()> {
        match std::fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(explain(error, what).with("file", name)),
            _ => Ok(()),
        }
    }

    pub(super) fn rename(&self, name: &str, to: &Self, new_name: &str) -> Result<()> {
        let failed =
            |error| explain(error, &format!("the file cannot be moved to `{}`", to.root.display())).with("file", name);
        std::fs::create_dir_all(&to.root).map_err(failed)?;
        let old = self.path(name);
        std::fs::rename(&old, to.path(new_name)).map_err(failed)?;
        sync_folder(&to.root).map_err(failed)?;
        sync_folder(old.parent().unwrap_or(Path::new("."))).map_err(failed)
    }

    pub(super) fn note(&self, name: &str, text: &str) -> Result<()> {
        let failed = |error| explain(error, "a note cannot be written").with("file", name);
        std::fs::create_dir_all(&self.root).map_err(failed)?;
        std::fs::write(self.path(name), text).map_err(failed)
    }

    /// Creates the folder.
    pub(super) fn prepare(&self) -> Result<()> {
        std::fs::create_dir_all(&self.root)
            .and_then(|()| clear_leftovers(&self.root))
            .map_err(|error| explain(error, "the folder cannot be prepared").with("file", self.root.display()))
    }

    /// A temporary, hidden name beside the final one.
    pub(super) fn draft(&self, name: &str) -> Result<PathBuf> {
        let temporary = self.path(&format!(".{}.tmp", name.replace('/', "~")));
        if let Some(folder) = self.path(name).parent() {
            let failed = |error| explain(error, "the file cannot be written").with("file", temporary.display());
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        Ok(temporary)
    }

    /// Renames a draft that is synced to the disk already.
    pub(super) fn publish(&self, draft: &Path, name: &str) -> Outcome {
        let path = self.path(name);
        match std::fs::rename(draft, &path) {
            Ok(()) => settled(path.parent().unwrap_or(Path::new("."))),
            Err(error) => {
                let error = explain(error, "the file cannot be written").with("file", path.display());
                Outcome::rejected(RejectClass::Temporary, error.to_string())
            }
        }
    }

    /// Renames a folder whose files are synced to the disk already.
    pub(super) fn publish_package(&self, draft: &Path, name: &str) -> Outcome {
        if let Err(error) = sync_folder(draft) {
            let error = explain(error, "the package cannot be written").with("file", draft.display());
            return Outcome::rejected(RejectClass::Temporary, error.to_string());
        }
        self.publish(draft, name)
    }
}

/// What was renamed is there; whether it survives a power cut depends on the folder.
fn settled(folder: &Path) -> Outcome {
    match sync_folder(folder) {
        Ok(()) => Outcome::acked(),
        Err(error) => Outcome::Unknown { reason: format!("the folder could not be synced: {error}") },
    }
}

/// Makes folder entries durable: after this a renamed file survives a power cut. Windows has no such call and
/// does not need one.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _: &Path = path;
    Ok(())
}

/// Removes what loads left under temporary names when the machine went down in their middle. Young ones may
/// belong to a load that is still going on in another process.
pub(super) fn clear_leftovers(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let ours = name.starts_with('.') && name.ends_with(".tmp");
        if ours && Version::at(&path).is_ok_and(|version| version.rested(LEFTOVER_AGE)) {
            tracing::info!(file = %path.display(), "what an interrupted load left is removed");
            if path.is_dir() {
                std::fs::remove_dir_all(&path)?;
            } else {
                std::fs::remove_file(&path)?;
            }
        }
    }
    Ok(())
}

/// Says in words what the disk says.
pub(crate) fn explain(error: io::Error, what: &str) -> Error {
    // Windows: 32 sharing violation, 33 a part is locked.
    if cfg!(windows) && matches!(error.raw_os_error(), Some(32 | 33)) {
        let message = format!("{what}: another program holds it; it is taken when that lets go");
        return Error::new(ErrorKind::Conflict, message).because(error);
    }
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => "the account obmen runs under may not; give it the right".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full; make room and run again".to_owned(),
        io::ErrorKind::QuotaExceeded => "the disk quota is used up; make room and run again".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the disk can only be read".to_owned(),
        io::ErrorKind::CrossesDevices => "it would move to another disk; keep both folders on one".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    };
    let kind = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        io::ErrorKind::CrossesDevices | io::ErrorKind::IsADirectory => ErrorKind::Unsupported,
        _ => Error::from(io::Error::from(error.kind())).kind(),
    };
    Error::new(kind, format!("{what}: {why}")).because(error)
}

fn explain_store(error: object_store::Error) -> Error {
    if let object_store::Error::NotFound { .. } = &error {
        return Error::new(ErrorKind::NotFound, "the file is not there").because(error);
    }
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            let again = io.raw_os_error().map_or_else(|| io::Error::from(io.kind()), io::Error::from_raw_os_error);
            return explain(again, "the file cannot be opened");
        }
        cause = current.source();
    }
    let message = "the file cannot be opened by this name; rename it without control characters and without `#` and digits at its end";
    Error::new(ErrorKind::Unsupported, message).because(error)
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        let message = "the folder does not exist; create it or correct `path` of the connection";
        return Error::new(ErrorKind::NotFound, message).with("file", path.display());
    }
    if path.is_file() {
        let message = "`path` of the connection is a file, expected the folder it is in";
        return Error::new(ErrorKind::NotFound, message).with("file", path.display());
    }
    explain(error, "the folder cannot be listed").with("file", path.display())
}

/// The path with symbolic links resolved, as far as it exists.
fn canonical(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        if let Ok(found) = existing.canonicalize() {
            return missing.iter().rev().fold(found, |path, part| path.join(part));
        }
        // `..` below a folder that is not there cannot be resolved.
        let (Some(parent), Some(Component::Normal(name))) = (existing.parent(), existing.components().next_back())
        else {
            return path.to_owned();
        };
        missing.push(name.to_owned());
        existing = parent;
    }
}
