//! From a path to the files there: a folder, an archive, or a folder of archives.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use super::tar::Tar;
use super::{Files, Folder, Zip, hidden};
use crate::data::layout::Split;
use crate::error::{Error, Result};

/// The files at `path`: a folder, a zip, a tar or tar.gz, a folder that holds one of these alone, or one with a zip for each
/// split (`train.zip`, `test.zip`). Folders of splits come before zips beside them.
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
        .filter_map(|(name, path)| {
            let (stem, ending) = name.rsplit_once('.')?;
            (ending.eq_ignore_ascii_case("zip") && Split::of(stem).is_some()).then_some((stem, path))
        })
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

fn is_archive(name: &str) -> bool {
    let name = name.to_lowercase();
    [".zip", ".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending))
}

/// A zip, a tar or a gzipped tar, told apart by its first bytes.
fn open_archive(path: &Path) -> Result<Box<dyn Files>> {
    let unreadable = |e: std::io::Error| Error::input(path, format!("cannot be read ({e})"));
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut head = Vec::new();
    file.by_ref().take(512).read_to_end(&mut head).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let from = BufReader::new(file);
    if head.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(Tar::new(path, flate2::read::MultiGzDecoder::new(from), size)?));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Ok(Box::new(Tar::new(path, from, size)?));
    }
    Ok(Box::new(Zip::new(path, from)?))
}

/// Several sets of files seen as folders of one.
struct Union {
    root: PathBuf,
    names: Vec<String>,
    /// Which part holds a name, and where in it.
    places: Vec<(usize, usize)>,
    parts: Vec<Box<dyn Files>>,
}

impl Union {
    fn new(root: &Path, parts: Vec<(&str, Box<dyn Files>)>) -> Self {
        let mut found = Vec::new();
        for (p, (folder, files)) in parts.iter().enumerate() {
            // Zips of a split come with and without the split's folder inside.
            let has_folder =
                files.names().iter().all(|n| n.split('/').any(|part| Split::of(part) == Split::of(folder)));
            let prefix = if has_folder { String::new() } else { format!("{folder}/") };
            found.extend(files.names().iter().enumerate().map(|(i, n)| (format!("{prefix}{n}"), (p, i))));
        }
        found.sort();
        let (names, places) = found.into_iter().unzip();
        Self { root: root.to_owned(), names, places, parts: parts.into_iter().map(|(_, files)| files).collect() }
    }
}

impl Files for Union {
    fn path(&self) -> &Path {
        &self.root
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&self, i: usize, most: u64) -> Result<Vec<u8>> {
        let (part, place) = self.places[i];
        self.parts[part].read(place, most)
    }

    fn packed(&self, i: usize) -> u64 {
        let (part, place) = self.places[i];
        self.parts[part].packed(place)
    }

    fn path_of(&self, i: usize) -> PathBuf {
        let (part, place) = self.places[i];
        self.parts[part].path_of(place)
    }
}
