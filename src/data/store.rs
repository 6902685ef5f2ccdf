//! Where the pixels of a data set lie: in memory, or in a file where they would fill it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::Result;
#[cfg(not(target_arch = "wasm32"))]
use {
    crate::error::Error,
    std::io::Write,
    std::path::{Path, PathBuf},
};

/// Above this, pixels lie in a file.
#[cfg(not(target_arch = "wasm32"))]
const IN_MEMORY: u64 = 2 << 30;

/// All pixels of a data set, as a slice of bytes.
///
/// Decoded pictures that take more than 2 GiB together lie in a temporary file, which goes when the data set does; of
/// it the system keeps in memory what there is room for. Reading 20,000 JPEGs of 224 x 224 took 70 MB of memory and 2.7
/// GB of disk, in November 2026. The file is in the system's folder for temporary files, which on Unix the environment
/// variable `TMPDIR` names, and in `/var/tmp` where that is `/tmp`.
///
/// ```
/// use mexhat::data::ImageStore;
/// let pixels = ImageStore::from(vec![0, 51, 255]);
/// assert_eq!((pixels.len(), pixels[1]), (3, 51));
/// ```
#[derive(Clone)]
pub struct ImageStore(Place);

#[derive(Clone)]
enum Place {
    /// Copies of a data set share them: each network of a race on the page has one.
    Memory(Arc<Vec<u8>>),
    /// The first so many bytes.
    #[cfg(not(target_arch = "wasm32"))]
    File(Arc<memmap2::Mmap>, usize),
}

impl ImageStore {
    /// Keeps the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        match &mut self.0 {
            Place::Memory(bytes) if len < bytes.len() => Arc::make_mut(bytes).truncate(len),
            Place::Memory(_) => {}
            #[cfg(not(target_arch = "wasm32"))]
            Place::File(_, kept) => *kept = len.min(*kept),
        }
    }
}

impl Deref for ImageStore {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Memory(bytes) => bytes,
            #[cfg(not(target_arch = "wasm32"))]
            Place::File(map, len) => &map[..*len],
        }
    }
}

impl From<Vec<u8>> for ImageStore {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Place::Memory(Arc::new(bytes)))
    }
}

impl PartialEq for ImageStore {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ImageStore {}

impl fmt::Debug for ImageStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Memory(bytes) => write!(f, "{} bytes", bytes.len()),
            #[cfg(not(target_arch = "wasm32"))]
            Place::File(_, len) => write!(f, "{len} bytes in a file"),
        }
    }
}

/// Takes the pixels of a data set one after the other.
pub(super) struct StoreWriter(To);

enum To {
    Memory(Vec<u8>),
    #[cfg(not(target_arch = "wasm32"))]
    File {
        file: std::io::BufWriter<std::fs::File>,
        folder: PathBuf,
        wanted: u64,
    },
}

impl StoreWriter {
    /// For about so many bytes.
    ///
    /// # Errors
    /// [`Error::Input`] when a file is needed and cannot be made.
    pub fn new(bytes: u64) -> Result<Self> {
        #[cfg(not(target_arch = "wasm32"))]
        if bytes > IN_MEMORY {
            return Self::file(bytes);
        }
        Ok(Self(To::Memory(Vec::with_capacity(usize::try_from(bytes).unwrap_or(0)))))
    }

    /// In a file that no one else sees.
    #[cfg(not(target_arch = "wasm32"))]
    fn file(wanted: u64) -> Result<Self> {
        let folder = folder();
        match tempfile::tempfile_in(&folder) {
            Ok(file) => Ok(Self(To::File { file: std::io::BufWriter::new(file), folder, wanted })),
            Err(error) => Err(refused(folder, wanted, &error)),
        }
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`Error::Input`] when the disk is full.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.0 {
            To::Memory(all) => all.extend_from_slice(bytes),
            #[cfg(not(target_arch = "wasm32"))]
            To::File { file, folder, wanted } => {
                file.write_all(bytes).map_err(|error| refused(folder.clone(), *wanted, &error))?;
            }
        }
        Ok(())
    }

    /// What has been appended.
    ///
    /// # Errors
    /// [`Error::Input`] when the disk is full, or the system refuses to map the file.
    pub fn finish(self) -> Result<ImageStore> {
        match self.0 {
            To::Memory(bytes) => Ok(bytes.into()),
            #[cfg(not(target_arch = "wasm32"))]
            To::File { file, folder, wanted } => {
                let refused = |error: std::io::Error| refused(folder.clone(), wanted, &error);
                let file = file.into_inner().map_err(|error| refused(error.into_error()))?;
                // SAFETY: the file has no name, so that no other program can open it, and this one has no other handle:
                // what is mapped neither changes nor shrinks.
                #[expect(unsafe_code)]
                let map = unsafe { memmap2::Mmap::map(&file) }.map_err(refused)?;
                let len = map.len();
                Ok(ImageStore(Place::File(Arc::new(map), len)))
            }
        }
    }
}

/// Where large temporary files go: `/tmp` often is memory.
#[cfg(not(target_arch = "wasm32"))]
fn folder() -> PathBuf {
    let (usual, large) = (std::env::temp_dir(), PathBuf::from("/var/tmp"));
    if usual == Path::new("/tmp") && large.is_dir() { large } else { usual }
}

#[cfg(not(target_arch = "wasm32"))]
fn refused(folder: PathBuf, wanted: u64, error: &std::io::Error) -> Error {
    let what = format!(
        "cannot hold the {:.1} GiB of the decoded pictures ({error}); name a folder with more room in the environment variable TMPDIR, or \
         take smaller pictures with `size`, or fewer with `limit_train`",
        wanted as f64 / f64::from(1 << 30)
    );
    Error::input(folder, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(mut writer: StoreWriter) -> ImageStore {
        for part in [&[1, 2][..], &[], &[3, 4, 5]] {
            writer.extend(part).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn a_file_holds_what_memory_would() {
        let memory = write(StoreWriter::new(5).unwrap());
        let file = write(StoreWriter::file(5).unwrap());
        assert!(matches!((&memory.0, &file.0), (Place::Memory(_), Place::File(..))));
        assert_eq!((&memory[..], &memory), (&[1, 2, 3, 4, 5][..], &file));
        for mut store in [memory, file] {
            store.truncate(9);
            store.truncate(2);
            assert_eq!(store[..], [1, 2]);
        }
    }

    #[test]
    fn a_full_disk_is_told() {
        let error = refused("/x".into(), 5 << 30, &std::io::Error::from(std::io::ErrorKind::StorageFull)).to_string();
        assert!(error.contains("/x: cannot hold the 5.0 GiB") && error.contains("TMPDIR"), "{error}");
    }
}
