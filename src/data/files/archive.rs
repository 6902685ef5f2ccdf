//! Archives wherever their bytes come from, and several of them seen as one set of files.

use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use super::tar::Tar;
use super::{Files, Zip};
use crate::data::split::Split;
use crate::error::{Error, Result};

/// Whether a file of this name is an archive, in whatever case.
pub fn is_archive(name: &str) -> bool {
    let name = name.to_lowercase();
    [".zip", ".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending))
}

/// The split that `name` says to be a zip of: `train.zip`, `test.zip`.
pub fn zip_of_split(name: &str) -> Option<&str> {
    let (stem, ending) = name.rsplit_once('.')?;
    (ending.eq_ignore_ascii_case("zip") && Split::of(stem).is_some()).then_some(stem)
}

/// The files in a zip, a tar or a gzipped tar, told apart by its first bytes; `path` is for messages.
///
/// # Errors
/// [`Error::Input`] when it cannot be read, or is no such archive.
pub fn archive(path: &Path, mut from: impl Read + Seek + Send + 'static) -> Result<Box<dyn Files>> {
    let unreadable = |e: std::io::Error| Error::input(path, format!("cannot be read ({e})"));
    let size = from.seek(std::io::SeekFrom::End(0)).map_err(unreadable)?;
    from.rewind().map_err(unreadable)?;
    let mut head = Vec::new();
    from.by_ref().take(512).read_to_end(&mut head).map_err(unreadable)?;
    from.rewind().map_err(unreadable)?;
    let from = BufReader::new(from);
    if head.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(Tar::new(path, flate2::read::MultiGzDecoder::new(from), size)?));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Ok(Box::new(Tar::new(path, from, size)?));
    }
    Ok(Box::new(Zip::new(path, from)?))
}

/// Several sets of files seen as folders of one.
pub struct Union {
    root: PathBuf,
    names: Vec<String>,
    /// Which part holds a name, and where in it.
    places: Vec<(usize, usize)>,
    parts: Vec<Box<dyn Files>>,
    left_out: Vec<(String, &'static str)>,
}

impl Union {
    /// Those of `parts`, each in the folder of its split, at `root` for messages.
    pub fn new(root: &Path, parts: Vec<(&str, Box<dyn Files>)>) -> Self {
        let (mut found, mut left_out) = (Vec::new(), Vec::new());
        for (p, (folder, files)) in parts.iter().enumerate() {
            // Zips of a split come with and without the split's folder inside.
            let has_folder =
                files.names().iter().all(|n| n.split('/').any(|part| Split::of(part) == Split::of(folder)));
            let prefix = if has_folder { String::new() } else { format!("{folder}/") };
            found.extend(files.names().iter().enumerate().map(|(i, n)| (format!("{prefix}{n}"), (p, i))));
            left_out.extend(files.left_out().iter().map(|(name, why)| (format!("{prefix}{name}"), *why)));
        }
        found.sort();
        let (names, places) = found.into_iter().unzip();
        let parts = parts.into_iter().map(|(_, files)| files).collect();
        Self { root: root.to_owned(), names, places, parts, left_out }
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

    fn left_out(&self) -> &[(String, &'static str)] {
        &self.left_out
    }
}
