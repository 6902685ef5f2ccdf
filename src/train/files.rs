//! Files that are whole or as they were, whatever ends the program, and folders with one writer.

use crate::read::read_file;
use crate::{Error, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Largest file that is read as a saved network.
const MOST_BYTES: u64 = 4 << 30;
/// Name of the file whose lock tells who writes a folder.
pub(super) const LOCK: &str = "lock";
/// How long a killed process may hold its folder while the system and the GPU's driver take its memory back: who starts
/// it again at once is not refused.
const ENDING: Duration = Duration::from_secs(4);

/// Writes the whole file or leaves what was there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_rotating(path, bytes, None)
}

/// As [`write_whole`]; what was there is kept as `previous`. At every moment one of both names a whole file.
pub(super) fn write_rotating(path: &Path, bytes: &[u8], previous: Option<&Path>) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = write_new(&part, bytes).and_then(|()| {
        if let Some(previous) = previous.filter(|_| path.exists()) {
            fs::rename(path, previous)?;
        }
        fs::rename(&part, path)
    });
    if written.is_err() {
        // What is left of it takes room on a full disk.
        fs::remove_file(&part).ok();
    }
    written.and_then(|()| sync_folder(path))
}

/// A file of this name that was not there before: what a link of that name points to is not touched.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a rename outlast a power failure, where folders can be synchronised.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// The bytes of a file of a run.
///
/// # Errors
/// As [`read_file`].
pub(super) fn read_regular(path: &Path) -> Result<Vec<u8>> {
    read_file(path, MOST_BYTES, "one that `mexhat train` wrote")
}

/// Holds a folder for this process until it is dropped or the process ends, however that happens.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder.
    ///
    /// # Errors
    /// Another process holds it, or nothing can be written there.
    pub fn take(dir: &Path) -> Result<Self> {
        let path: PathBuf = dir.join(LOCK);
        let unwritable =
            |e: std::io::Error| Error::input(dir, format!("cannot be written ({e}); choose another folder with `out`"));
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(Error::input(&path, "is no ordinary file; remove it, or choose another run folder"));
        }
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(unwritable)?;
        match lock_soon(&file) {
            Ok(()) => {
                let id = format!("{}\n", std::process::id());
                // In this order it is never empty for others to read.
                let written = file.write_all(id.as_bytes());
                written.and_then(|()| file.set_len(id.len() as u64)).map_err(unwritable)?;
            }
            Err(TryLockError::WouldBlock) => {
                let mut id = String::new();
                file.take(20).read_to_string(&mut id).ok();
                let id =
                    Some(id.trim()).filter(|id| !id.is_empty()).map_or(String::new(), |id| format!(" (process {id})"));
                let what = format!(
                    "is being written by another run{id}, and a run has one writer; wait until that has ended, \
                     or choose another folder"
                );
                return Err(Error::input(dir, what));
            }
            // Some network file systems have no locks; the run is worth more than the guard.
            Err(TryLockError::Error(e)) => log::warn!("{}: has no locks ({e})", dir.display()),
        }
        Ok(Self { _file: file })
    }
}

/// Locks a file within [`ENDING`].
fn lock_soon(file: &File) -> std::result::Result<(), TryLockError> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < ENDING => std::thread::sleep(ENDING / 40),
            locked => return locked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("file"), dir.path().join("other"));
        fs::write(&other, "precious").unwrap();
        #[cfg(unix)]
        for name in ["file", "file.part"] {
            std::os::unix::fs::symlink(&other, dir.path().join(name)).unwrap();
        }
        write_whole(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["file", "other"]);
    }

    #[test]
    fn the_previous_file_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (file, previous) = (dir.path().join("a"), dir.path().join("b"));
        for (bytes, before) in [(b"1", None), (b"2", Some(b"1")), (b"3", Some(b"2"))] {
            write_rotating(&file, bytes, Some(&previous)).unwrap();
            assert_eq!(fs::read(&file).unwrap(), bytes);
            assert_eq!(fs::read(&previous).ok().as_deref(), before.map(|b| b.as_slice()));
        }
    }

    #[test]
    fn a_folder_has_one_writer() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        let refused = Lock::take(dir.path()).err().expect("a held folder").to_string();
        assert!(refused.contains("being written") && refused.contains(&std::process::id().to_string()), "{refused}");
        // A process that is ending is waited for.
        let ends = std::thread::spawn(move || {
            std::thread::sleep(ENDING / 8);
            drop(held);
        });
        Lock::take(dir.path()).unwrap();
        ends.join().unwrap();
    }
}
