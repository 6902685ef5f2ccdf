//! The files under a folder.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Files, MAX_FILES, hidden, hidden_folders};
use crate::data::picture::is_picture;
use crate::error::{Error, Result};

/// Deep enough for every layout that is read.
const MAX_DEPTH: usize = 8;

/// The regular files under a folder. Links are followed, save to a folder that they lie in.
pub struct Folder {
    root: PathBuf,
    names: Vec<String>,
    left_out: Vec<(String, &'static str)>,
}

impl Folder {
    /// Lists a folder and its sub-folders.
    ///
    /// # Errors
    /// [`Error::Input`] when a folder cannot be listed, or there are more than a million files.
    pub fn new(root: impl AsRef<Path>) -> Result<Self> {
        let mut folder = Self { root: root.as_ref().to_owned(), names: Vec::new(), left_out: Vec::new() };
        folder.list(root.as_ref(), "", MAX_DEPTH)?;
        folder.names.sort();
        folder.left_out.sort();
        Ok(folder)
    }

    /// Lists `folder`; whether anything is in it.
    fn list(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<()> {
        let unreadable = |e: std::io::Error| Error::input(folder, format!("cannot be listed ({e})"));
        let mut empty = true;
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            empty = false;
            let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
                self.left_out.push((format!("{prefix}{}", entry.file_name().display()), "its name is no Unicode"));
                continue;
            };
            if hidden(&name) {
                // Of what is under a hidden folder nothing is read, but a class must not be lost without a word.
                let inside = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    first_picture(&entry.path(), depth)
                } else {
                    None
                };
                let picture = inside.map(|inside| format!("{name}/{inside}"));
                self.left_out.extend(hidden_folders(picture.as_deref()));
                continue;
            }
            let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            // Follows links, unlike the entry's own type; the kind of most entries needs no further call.
            let kind =
                if link { fs::metadata(entry.path()).map(|target| target.file_type()) } else { entry.file_type() };
            let why = match kind {
                Err(_) => "a link that leads nowhere",
                Ok(kind) if kind.is_file() => {
                    self.names.push(name);
                    if self.names.len() > MAX_FILES {
                        return Err(Error::input(&self.root, format!("holds more than {MAX_FILES} files")));
                    }
                    continue;
                }
                Ok(kind) if !kind.is_dir() => "a pipe or a device",
                Ok(_) if link && leads_up(folder, &entry.path()) => "a link to a folder that it lies in",
                Ok(_) if depth == 0 => "more than eight folders deep",
                Ok(_) => {
                    self.list(&entry.path(), &format!("{name}/"), depth - 1)?;
                    continue;
                }
            };
            self.left_out.push((name, why));
        }
        if empty && !prefix.is_empty() {
            self.left_out.push((prefix.to_owned(), "an empty folder"));
        }
        Ok(())
    }
}

/// A picture below `folder` whose name is not hidden.
fn first_picture(folder: &Path, depth: usize) -> Option<String> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let name = entry.file_name().to_str()?.to_owned();
        let kind = entry.file_type().ok()?;
        if kind.is_dir() && depth > 0 {
            return first_picture(&entry.path(), depth - 1).map(|inside| format!("{name}/{inside}"));
        }
        (kind.is_file() && is_picture(&name) && !hidden(&name)).then_some(name)
    })
}

/// Whether `link`, in `folder`, leads to `folder` or one above it.
fn leads_up(folder: &Path, link: &Path) -> bool {
    match (folder.canonicalize(), link.canonicalize()) {
        (Ok(folder), Ok(target)) => folder.starts_with(target),
        _ => true,
    }
}

impl Files for Folder {
    fn path(&self) -> &Path {
        &self.root
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&self, i: usize, most: u64) -> Result<Vec<u8>> {
        let path = self.path_of(i);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
        read.map_err(|e| Error::input(&path, format!("cannot be read ({e})")))?;
        if bytes.len() as u64 > most {
            return Err(Error::input(&path, format!("is larger than the {most} bytes that are allowed")));
        }
        Ok(bytes)
    }

    fn packed(&self, i: usize) -> u64 {
        fs::metadata(self.path_of(i)).map_or(0, |meta| meta.len())
    }

    fn left_out(&self) -> &[(String, &'static str)] {
        &self.left_out
    }
}
