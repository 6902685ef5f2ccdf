//! The files in a tar, gzipped or not, unpacked into memory; nothing is written to the disk.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Files, MAX_FILES, hidden, hidden_folders, unpack_limit};
use crate::error::{Error, Result};

/// The regular files of a tar.
pub(super) struct Tar {
    path: PathBuf,
    names: Vec<String>,
    contents: Vec<Vec<u8>>,
    /// Bytes of the archive, and what they unpacked to.
    size: (u64, u64),
    left_out: Vec<(String, &'static str)>,
}

impl Tar {
    /// Reads a tar from `from`; `size` are the bytes of the file at `path`.
    pub(super) fn new(path: &Path, from: impl Read, size: u64) -> Result<Self> {
        let limit = unpack_limit(size);
        // The limit stands before the reader of the archive, which believes the sizes in it.
        let mut archive = ::tar::Archive::new(from.take(limit));
        let (mut found, mut others) = (Vec::new(), Vec::new());
        let read = unpack(&mut archive, &mut found, &mut others);
        let used = limit - archive.into_inner().limit();
        if used == limit {
            let what = "would unpack to more than 256 MiB and 50 times its size, which no set of images needs; if you \
                        trust it, unpack it and name the folder";
            return Err(Error::input(path, what));
        }
        read.map_err(|e| Error::input(path, format!("expected a whole tar archive ({e}); fetch it again")))?;
        found.sort();
        let (names, contents) = found.into_iter().unzip();
        let left_out = hidden_folders(others.iter().map(String::as_str));
        Ok(Self { path: path.to_owned(), names, contents, size: (size, used), left_out })
    }
}

/// Of the regular files those to read, with their contents, and the names of those that are hidden.
fn unpack<R: Read>(
    archive: &mut ::tar::Archive<R>,
    found: &mut Vec<(String, Vec<u8>)>,
    others: &mut Vec<String>,
) -> std::io::Result<()> {
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./").to_owned();
        if !entry.header().entry_type().is_file() || name.is_empty() {
            continue;
        }
        if found.len() + others.len() >= MAX_FILES {
            return Err(std::io::Error::other(format!("it holds more than {MAX_FILES} files")));
        }
        if hidden(&name) {
            others.push(name);
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        found.push((name, bytes));
    }
    Ok(())
}

impl Files for Tar {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&self, i: usize, most: u64) -> Result<Vec<u8>> {
        if self.contents[i].len() as u64 > most {
            return Err(Error::input(self.path_of(i), format!("is larger than the {most} bytes that are allowed")));
        }
        Ok(self.contents[i].clone())
    }

    fn packed(&self, i: usize) -> u64 {
        let (packed, unpacked) = self.size;
        (self.contents[i].len() as u64)
            .min((self.contents[i].len() as u128 * u128::from(packed) / u128::from(unpacked.max(1))) as u64)
    }

    fn left_out(&self) -> &[(String, &'static str)] {
        &self.left_out
    }
}
