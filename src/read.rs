//! Files that came from anywhere, read whole: what is no ordinary file, or too large for what it should be, is refused.

use crate::{Error, Result};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// The bytes of an ordinary file of at most `most` bytes; pipes and devices, which may never end, are refused.
/// `expected` says what it should be.
///
/// # Errors
/// It is no such file, or cannot be read.
pub(crate) fn read_file(path: &Path, most: u64, expected: &str) -> Result<Vec<u8>> {
    let unreadable = |e: std::io::Error| Error::input(path, format!("cannot be read: {e}"));
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(Error::input(path, format!("is no ordinary file; expected {expected}")));
    }
    let too_large = |bytes: u64| {
        let what = format!("has {bytes} bytes; expected {expected}, which has at most {most}");
        Err(Error::input(path, what))
    };
    if found.len() > most {
        return too_large(found.len());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(found.len() as usize).map_err(|e| Error::input(path, format!("does not fit: {e}")))?;
    // Some that call themselves ordinary, as in /proc, have no length.
    File::open(path).map_err(unreadable)?.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return too_large(bytes.len() as u64);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ordinary_files_of_some_size_are_read() {
        let refused = |path: &Path| read_file(path, 100, "a note").unwrap_err().to_string();
        let dir = tempfile::tempdir().unwrap();
        assert!(refused(dir.path()).contains("no ordinary file; expected a note"));
        #[cfg(unix)]
        assert!(refused(Path::new("/dev/zero")).contains("no ordinary file"));
        let file = dir.path().join("sparse");
        File::create(&file).unwrap().set_len(101).unwrap();
        assert!(refused(&file).contains("101 bytes"));
        File::create(&file).unwrap().set_len(100).unwrap();
        assert_eq!(read_file(&file, 100, "a note").unwrap(), [0; 100]);
    }
}
