//! All files of an exchange in one archive.

use obmen_sdk::{Error, Result};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Packs files under their names. Names are ASCII: Bitrix reads those inside an archive as cp866.
///
/// # Errors
/// `Internal` if an archive cannot be made of them.
pub(crate) fn pack<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Vec<u8>> {
    let broken = |error: zip::result::ZipError| Error::internal("cannot make an archive").because(error);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in files {
        archive.start_file(name, options).map_err(broken)?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish().map_err(broken)?.into_inner())
}
