//! The files in a zip.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::{Files, MAX_FILES, hidden, hidden_folders, unpack_limit};
use crate::error::{Error, Result};

/// The files in a zip, which is read from `R` (a file or bytes in memory).
pub struct Zip<R> {
    path: PathBuf,
    names: Vec<String>,
    /// Place of each name in the archive, and its packed bytes.
    places: Vec<(usize, u64)>,
    left_out: Vec<(String, &'static str)>,
    archive: Mutex<Archive<R>>,
}

struct Archive<R> {
    zip: ::zip::ZipArchive<R>,
    /// Bytes that may still be unpacked.
    left: u64,
}

impl<R: Read + Seek + Send> Zip<R> {
    /// Opens a zip; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Input`] when this is no zip, or holds more than a million files.
    pub fn new(path: impl AsRef<Path>, mut from: R) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let size = from.seek(SeekFrom::End(0)).map_err(|e| Error::input(&path, format!("cannot be read ({e})")))?;
        let mut zip = ::zip::ZipArchive::new(from).map_err(|e| {
            Error::input(&path, format!("expected a whole zip archive, found none ({e}); fetch it again"))
        })?;
        if zip.len() > MAX_FILES {
            return Err(Error::input(&path, format!("holds {} files; expected at most {MAX_FILES}", zip.len())));
        }
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for i in 0..zip.len() {
            let broken = |e| Error::input(&path, format!("holds a file whose entry is damaged ({e}); fetch it again"));
            let entry = zip.by_index_raw(i).map_err(broken)?;
            let name = entry.name().map_err(broken)?.replace('\\', "/");
            if hidden(&name) {
                others.push(name);
            } else if !name.is_empty() && !name.ends_with('/') {
                found.push((name, (i, entry.compressed_size().min(size))));
            }
        }
        found.sort();
        let (names, places) = found.into_iter().unzip();
        let left_out = hidden_folders(others.iter().map(String::as_str));
        Ok(Self { path, names, places, left_out, archive: Mutex::new(Archive { zip, left: unpack_limit(size) }) })
    }
}

impl<R: Read + Seek + Send> Files for Zip<R> {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&self, i: usize, most: u64) -> Result<Vec<u8>> {
        let broken =
            |e: String| Error::input(self.path_of(i), format!("cannot be read from the zip ({e}); fetch it again"));
        // A reader that panicked leaves nothing half done that the next seek would not mend.
        let mut archive = self.archive.lock().unwrap_or_else(|e| e.into_inner());
        let limit = most.min(archive.left);
        let file = archive.zip.by_index(self.places[i].0).map_err(|e| broken(e.to_string()))?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| broken(e.to_string()))?;
        if bytes.len() as u64 > most {
            return Err(Error::input(self.path_of(i), format!("is larger than the {most} bytes that are allowed")));
        }
        if bytes.len() as u64 > limit {
            let what = "would unpack to more than 256 MiB and 50 times its size, which no set of images needs; if you \
                        trust it, unpack it and name the folder";
            return Err(Error::input(&self.path, what));
        }
        archive.left -= bytes.len() as u64;
        Ok(bytes)
    }

    fn packed(&self, i: usize) -> u64 {
        self.places[i].1
    }

    fn left_out(&self) -> &[(String, &'static str)] {
        &self.left_out
    }
}
