//! Named files to read, be they in a folder or in a zip; what the readers of data sets see of the disk.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::error::{Error, Result};

/// No picture or published batch comes near; it stops a small zip from inflating into all memory.
const MAX_BYTES: u64 = 1 << 31;

/// A set of files. Names are relative, with `/` between folders, sorted; hidden ones are left out.
pub trait Files: Send + Sync {
    /// Where the files are, for messages.
    fn path(&self) -> &Path;
    /// All names.
    fn names(&self) -> &[String];
    /// The contents of the file `names()[i]`.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file when it cannot be read.
    fn read(&self, i: usize) -> Result<Vec<u8>>;

    /// Path of `names()[i]` for messages.
    fn path_of(&self, i: usize) -> PathBuf {
        self.path().join(&self.names()[i])
    }
}

fn hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.') || part == "__MACOSX")
}

/// The files in a zip, which is read from `R` (a file or bytes in memory).
pub struct Zip<R> {
    path: PathBuf,
    names: Vec<String>,
    /// Place of each name in the archive.
    places: Vec<usize>,
    archive: Mutex<zip::ZipArchive<R>>,
}

impl<R: Read + Seek + Send> Zip<R> {
    /// Opens a zip; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Input`] when this is no zip.
    pub fn new(path: impl AsRef<Path>, from: R) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let archive = zip::ZipArchive::new(from).map_err(|e| {
            Error::input(&path, format!("expected a whole zip archive, found none ({e}); fetch it again"))
        })?;
        let mut found = Vec::new();
        for i in 0..archive.len() {
            let name = archive.name_for_index(i).transpose();
            let name = name.map_err(|e| Error::input(&path, format!("holds a file whose name is damaged ({e})")))?;
            let name = name.unwrap_or_default().replace('\\', "/");
            if !name.is_empty() && !name.ends_with('/') && !hidden(&name) {
                found.push((name, i));
            }
        }
        found.sort();
        let (names, places) = found.into_iter().unzip();
        Ok(Self { path, names, places, archive: Mutex::new(archive) })
    }
}

impl<R: Read + Seek + Send> Files for Zip<R> {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&self, i: usize) -> Result<Vec<u8>> {
        let broken =
            |e: String| Error::input(self.path_of(i), format!("cannot be read from the zip ({e}); fetch it again"));
        // A reader that panicked leaves nothing half done that the next seek would not mend.
        let mut archive = self.archive.lock().unwrap_or_else(|e| e.into_inner());
        let file = archive.by_index(self.places[i]).map_err(|e| broken(e.to_string()))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|e| broken(e.to_string()))?;
        Ok(bytes)
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use super::{Error, Files, Path, PathBuf, Result, Zip, hidden};

    /// Deep enough for every layout that is read, and an end to links that form a ring.
    const MAX_DEPTH: usize = 5;

    /// The files under a folder.
    pub struct Folder {
        root: PathBuf,
        names: Vec<String>,
    }

    impl Folder {
        /// Lists a folder and its sub-folders.
        ///
        /// # Errors
        /// [`Error::Input`] when a folder cannot be listed.
        pub fn new(root: impl AsRef<Path>) -> Result<Self> {
            let root = root.as_ref().to_owned();
            let mut names = Vec::new();
            list(&root, "", MAX_DEPTH, &mut names)?;
            names.sort();
            Ok(Self { root, names })
        }
    }

    fn list(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) -> Result<()> {
        let unreadable = |e: std::io::Error| Error::input(folder, format!("cannot be listed ({e})"));
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if hidden(&name) {
                continue;
            }
            // Follows links, unlike the entry's own type; the kind of most entries needs no further call.
            let kind = match entry.file_type() {
                Ok(kind) if !kind.is_symlink() => kind,
                _ => match std::fs::metadata(entry.path()) {
                    Ok(target) => target.file_type(),
                    Err(_) => continue,
                },
            };
            if !kind.is_dir() {
                names.push(name);
            } else if depth > 0 {
                list(&entry.path(), &format!("{name}/"), depth - 1, names)?;
            }
        }
        Ok(())
    }

    impl Files for Folder {
        fn path(&self) -> &Path {
            &self.root
        }

        fn names(&self) -> &[String] {
            &self.names
        }

        fn read(&self, i: usize) -> Result<Vec<u8>> {
            let path = self.path_of(i);
            std::fs::read(&path).map_err(|e| Error::input(&path, format!("cannot be read ({e})")))
        }
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
                let has_folder = files.names().iter().all(|n| n.split('/').any(|part| part == *folder));
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

        fn read(&self, i: usize) -> Result<Vec<u8>> {
            let (part, place) = self.places[i];
            self.parts[part].read(place)
        }

        fn path_of(&self, i: usize) -> PathBuf {
            let (part, place) = self.places[i];
            self.parts[part].path_of(place)
        }
    }

    fn open_zip(path: &Path) -> Result<Box<dyn Files>> {
        let file = std::fs::File::open(path).map_err(|e| Error::input(path, format!("cannot be opened ({e})")))?;
        Ok(Box::new(Zip::new(path, std::io::BufReader::new(file))?))
    }

    /// The files at `path`: a folder, a zip, or a folder that holds the zips of both splits.
    ///
    /// # Errors
    /// [`Error::Input`] when there is nothing at `path`, it cannot be read, or one of the two zips is missing.
    pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn Files>> {
        let path = path.as_ref();
        let meta = std::fs::metadata(path).map_err(|e| Error::input(path, format!("cannot be read ({e})")))?;
        if !meta.is_dir() {
            return open_zip(path);
        }
        let zips = ["train", "test", "val"].map(|split| (split, path.join(format!("{split}.zip"))));
        let [train, test, val] = zips.clone().map(|(_, zip)| zip.is_file());
        match (train, test || val) {
            (true, true) => {
                let parts = zips.iter().filter(|(_, zip)| zip.is_file());
                Ok(Box::new(Union::new(path, parts.map(|(s, zip)| Ok((*s, open_zip(zip)?))).collect::<Result<_>>()?)))
            }
            (true, false) => Err(Error::input(path, "holds train.zip, expected a test.zip (or val.zip) beside it")),
            (false, true) => Err(Error::input(path, "holds the test split's zip, expected a train.zip beside it")),
            (false, false) => Ok(Box::new(Folder::new(path)?)),
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub use native::{Folder, open};

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    /// A zip in memory; for the tests of the readers.
    pub(crate) fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut to = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            to.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            to.write_all(bytes).unwrap();
        }
        to.finish().unwrap().into_inner()
    }

    fn contents(files: &dyn Files) -> Vec<(String, Vec<u8>)> {
        files.names().iter().enumerate().map(|(i, name)| (name.clone(), files.read(i).unwrap())).collect()
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
        let lonely = open(&pair).err().unwrap().to_string();
        assert!(lonely.contains("expected a test.zip"), "{lonely}");
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
        let read = Zip::new("some.zip", Cursor::new(damaged)).unwrap().read(0).unwrap_err().to_string();
        assert!(read.contains("cannot be read from the zip"), "{read}");
    }
}
