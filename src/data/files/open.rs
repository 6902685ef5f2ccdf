//! From a path to the files there: a folder, an archive, or a folder of archives.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::archive::{Union, archive, is_archive, zip_of_split};
use super::{Files, Folder, hidden};
use crate::data::split::Split;
use crate::error::{Error, Result};

/// The files at `path`: a folder, a zip, a tar or tar.gz, a folder that holds one of these alone, or one with a zip for
/// each split (`train.zip`, `test.zip`). Folders of splits come before zips beside them.
///
/// # Errors
/// [`Error::Input`] when there is nothing at `path` or it cannot be read.
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn Files>> {
    let path = path.as_ref();
    let unreadable = |e: std::io::Error| Error::input(path, format!("cannot be read ({e})"));
    let meta = fs::metadata(path).map_err(unreadable)?;
    if meta.is_file() {
        return open_archive(path);
    }
    if !meta.is_dir() {
        return Err(Error::input(path, "is neither a folder nor a file; expected a data set"));
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !hidden(&name) {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    let split_folder = |(name, path): &(String, PathBuf)| Split::of(name).is_some() && path.is_dir();
    if entries.iter().any(split_folder) {
        return Ok(Box::new(Folder::new(path)?));
    }
    let zips: Vec<(&str, &PathBuf)> = entries
        .iter()
        .filter(|(_, path)| path.is_file())
        .filter_map(|(name, path)| Some((zip_of_split(name)?, path)))
        .collect();
    if !zips.is_empty() {
        let parts = zips.into_iter().map(|(split, zip)| Ok((split, open_archive(zip)?)));
        return Ok(Box::new(Union::new(path, parts.collect::<Result<_>>()?)));
    }
    match entries.as_slice() {
        [(name, archive)] if archive.is_file() && is_archive(name) => open_archive(archive),
        _ => Ok(Box::new(Folder::new(path)?)),
    }
}

fn open_archive(path: &Path) -> Result<Box<dyn Files>> {
    archive(path, File::open(path).map_err(|e| Error::input(path, format!("cannot be read ({e})")))?)
}
