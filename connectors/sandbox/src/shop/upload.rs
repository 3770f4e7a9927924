//! The folder uploads arrive in: one for the whole shop, wiped by every `init`.

use obmen_sdk::Result;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// The most bytes an archive may hold once unpacked.
const UNPACKED_LIMIT: u64 = 8 << 30;

/// The upload folder.
#[derive(Clone, Debug)]
pub(crate) struct Area {
    folder: PathBuf,
}

impl Area {
    /// Makes the folder if it is not there. What a killed client left stays until the next `init`.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Throws everything away.
    pub(crate) fn wipe(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        Ok(())
    }

    /// Where a file of this name lies; `None` for names that lead out of the folder or would run on a web server.
    pub(crate) fn place(&self, name: &str) -> Option<PathBuf> {
        let name = name.trim_start_matches("/tmp/").trim_start_matches("upload/1c/webdata").replace('\\', "/");
        let inside = Path::new(name.trim_start_matches('/'));
        let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
        let script = inside.extension().and_then(|ext| ext.to_str()).is_some_and(is_script);
        let drive = name.contains(':');
        (plain && !script && !drive && !inside.as_os_str().is_empty()).then(|| self.folder.join(inside))
    }

    /// Unpacks an uploaded archive beside itself and removes it.
    ///
    /// # Errors
    /// What is wrong with the archive, in words for the answer.
    pub(crate) fn unpack(&self, archive: &Path) -> Result<(), String> {
        let broken = |error: &dyn std::fmt::Display| format!("Ошибка распаковки архива: {error}");
        let file = File::open(archive).map_err(|error| broken(&error))?;
        let mut zip = zip::ZipArchive::new(io::BufReader::new(file)).map_err(|error| broken(&error))?;
        let mut left = UNPACKED_LIMIT;
        for at in 0..zip.len() {
            let mut entry = zip.by_index(at).map_err(|error| broken(&error))?;
            if entry.is_dir() {
                continue;
            }
            let name = entry.name().map_err(|error| broken(&error))?.into_owned();
            let place = self.place(&name).ok_or_else(|| broken(&format!("недопустимое имя {name}")))?;
            left = write_entry(&mut entry, &place, left).map_err(|error| broken(&error))?;
        }
        drop(zip);
        fs::remove_file(archive).map_err(|error| broken(&error))
    }
}

fn write_entry(entry: &mut impl Read, place: &Path, left: u64) -> io::Result<u64> {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::create(place)?;
    let written = io::copy(&mut entry.take(left), &mut file)?;
    left.checked_sub(written)
        .filter(|left| *left > 0)
        .ok_or_else(|| io::Error::new(io::ErrorKind::StorageFull, "слишком большой архив"))
}

fn is_script(extension: &str) -> bool {
    ["php", "php3", "php4", "php5", "phtml", "pl", "asp", "aspx", "cgi", "exe"]
        .iter()
        .any(|script| extension.eq_ignore_ascii_case(script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let area = Area::open(folder.path()).unwrap();
        for good in ["import0_1.xml", "import_files/7b/7b0e.jpg", "/tmp/offers.xml"] {
            assert!(area.place(good).is_some_and(|place| place.starts_with(folder.path())), "{good}");
        }
        for bad in ["", "../x.xml", "a/../../x", "/", "shell.php", "a.PHP", "c:x.xml", "..\\x", "."] {
            assert_eq!(area.place(bad), None, "{bad}");
        }
    }
}
