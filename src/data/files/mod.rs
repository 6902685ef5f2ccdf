//! Named files to read, be they in a folder, a zip or a tar; what the readers of data sets see of the disk.

mod archive;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
#[cfg(not(target_arch = "wasm32"))]
mod open;
mod tar;
mod zip;

use std::path::{Path, PathBuf};

use crate::error::Result;

pub use self::archive::{Union, archive, is_archive, zip_of_split};
#[cfg(not(target_arch = "wasm32"))]
pub use self::folder::Folder;
#[cfg(not(target_arch = "wasm32"))]
pub use self::open::open;
pub use self::zip::Zip;

/// Most bytes of one file of a data set.
pub(super) const MAX_FILE: u64 = 1 << 31;
/// Most files of a data set.
const MAX_FILES: usize = 1_000_000;

/// Most bytes that `packed` bytes of an archive may unpack to, all together: no published set comes near, and a small
/// file cannot ask for gigabytes.
pub(super) fn unpack_limit(packed: u64) -> u64 {
    (256 << 20) + packed.saturating_mul(50).min(1 << 34)
}

/// A set of files. Names are relative, with `/` between folders, sorted; hidden ones are left out.
pub trait Files: Send + Sync {
    /// Where the files are, for messages.
    fn path(&self) -> &Path;
    /// All names.
    fn names(&self) -> &[String];
    /// The contents of the file `names()[i]`, if they are at most `most` bytes.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) naming the file when it cannot be read or is larger, or an archive unpacks
    /// to more than it may.
    fn read(&self, i: usize, most: u64) -> Result<Vec<u8>>;

    /// Bytes that the file takes in the archive or on the disk.
    fn packed(&self, i: usize) -> u64;

    /// Names that are no files to read, each with the reason: pipes, devices, links that lead upwards, empty folders.
    fn left_out(&self) -> &[(String, &'static str)] {
        &[]
    }

    /// Path of `names()[i]` for messages.
    fn path_of(&self, i: usize) -> PathBuf {
        self.path().join(&self.names()[i])
    }
}

/// Whether a file of this name is left out.
pub fn hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.') || part == "__MACOSX")
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    /// A zip in memory; for the tests of the readers.
    pub(crate) fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut to = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            to.start_file(*name, ::zip::write::SimpleFileOptions::default()).unwrap();
            to.write_all(bytes).unwrap();
        }
        to.finish().unwrap().into_inner()
    }

    fn contents(files: &dyn Files) -> Vec<(String, Vec<u8>)> {
        files.names().iter().enumerate().map(|(i, name)| (name.clone(), files.read(i, MAX_FILE).unwrap())).collect()
    }

    #[test]
    fn folder_zip_and_pair_of_zips_look_alike() {
        let root = tempfile::tempdir().unwrap();
        let entries: [(&str, &[u8]); 3] = [("train/b/1", b"x"), ("train/a/2", b"yy"), ("test/a/1", b"")];
        for (name, bytes) in entries {
            let path = root.path().join("folder").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        std::fs::write(root.path().join("folder/.DS_Store"), b"junk").unwrap();
        std::fs::write(root.path().join("one.zip"), zip_of(&[&entries[..], &[("__MACOSX/x", b"j")]].concat())).unwrap();
        let pair = root.path().join("pair");
        std::fs::create_dir(&pair).unwrap();
        std::fs::write(pair.join("train.zip"), zip_of(&entries[..2])).unwrap();
        std::fs::write(pair.join("test.zip"), zip_of(&[("a/1", b"")])).unwrap();

        let folder = contents(&*open(root.path().join("folder")).unwrap());
        assert_eq!(folder.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["test/a/1", "train/a/2", "train/b/1"]);
        assert_eq!(folder[1].1, b"yy");
        assert_eq!(contents(&*open(root.path().join("one.zip")).unwrap()), folder);
        assert_eq!(contents(&*open(&pair).unwrap()), folder);
    }

    #[test]
    fn a_cut_or_damaged_zip_is_named() {
        let bytes = zip_of(&[("a", &[7; 400])]);
        let cut = Zip::new("some.zip", Cursor::new(&bytes[..bytes.len() - 30])).err().unwrap().to_string();
        assert!(cut.contains("some.zip: expected a whole zip"), "{cut}");
        let mut damaged = bytes;
        damaged[34] ^= 0xff;
        let read = Zip::new("some.zip", Cursor::new(damaged)).unwrap().read(0, MAX_FILE).unwrap_err().to_string();
        assert!(read.contains("cannot be read from the zip"), "{read}");
    }
}
