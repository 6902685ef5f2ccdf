//! Named files to read, be they in a folder, a zip or a tar; what the readers of data sets see of the disk.

mod archive;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
#[cfg(not(target_arch = "wasm32"))]
mod open;
mod tar;
mod zip;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::picture::is_picture;
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

    /// Names that are no files to read, each with the reason: pipes, devices, links that lead upwards, empty folders,
    /// and hidden folders that hold pictures.
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

/// Why a hidden folder is told of.
const HIDDEN: &str = "a hidden folder of pictures";

/// Names of hidden folders that hold pictures, each once. What systems write beside pictures is not told of: files
/// whose own names begin with a dot, and `__MACOSX`.
pub fn hidden_folders<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<(String, &'static str)> {
    let folders: BTreeSet<String> = names.into_iter().filter_map(hidden_folder).collect();
    folders.into_iter().map(|folder| (folder, HIDDEN)).collect()
}

/// The first name of those that are left out, to stand behind an error that it may explain.
pub(super) fn note_left_out(files: &dyn Files) -> String {
    files.left_out().first().map_or_else(String::new, |(name, why)| format!("; left out: {name} ({why})"))
}

/// The outermost hidden folder of a picture.
fn hidden_folder(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('/').collect();
    let (file, folders) = parts.split_last()?;
    let at = folders.iter().position(|part| hidden(part))?;
    let told = is_picture(file) && !hidden(file) && !folders.contains(&"__MACOSX");
    told.then(|| format!("{}/", folders[..=at].join("/")))
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
    fn hidden_folders_of_pictures_are_told_of_wherever_they_are() {
        let root = tempfile::tempdir().unwrap();
        let names =
            ["a/1.png", "a/.DS_Store", "a/.hidden.png", ".b/c/1.png", ".b/2.png", ".git/index", "__MACOSX/.b/1.png"];
        let mut tar = ::tar::Builder::new(Vec::new());
        for name in names {
            let path = root.path().join("folder").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
            let mut header = ::tar::Header::new_ustar();
            header.set_size(1);
            tar.append_data(&mut header, name, &b"x"[..]).unwrap();
        }
        let entries = names.map(|name| (name, &b"x"[..]));
        std::fs::write(root.path().join("one.zip"), zip_of(&entries)).unwrap();
        std::fs::write(root.path().join("one.tar"), tar.into_inner().unwrap()).unwrap();
        for name in ["folder", "one.zip", "one.tar"] {
            let files = open(root.path().join(name)).unwrap();
            assert_eq!(files.names(), ["a/1.png"], "{name}");
            assert_eq!(files.left_out(), [(".b/".to_owned(), HIDDEN)], "{name}");
        }
        std::fs::create_dir(root.path().join("pair")).unwrap();
        std::fs::write(root.path().join("pair/train.zip"), zip_of(&entries)).unwrap();
        let files = open(root.path().join("pair")).unwrap();
        assert_eq!((files.names()[0].as_str(), files.left_out()[0].0.as_str()), ("train/a/1.png", "train/.b/"));
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
