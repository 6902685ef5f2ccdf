//! What the visitor gave, as the files of a data set: a folder, an archive, or a zip for each split.

use crate::blob::{self, Blob, Reader};
use js_sys::{Array, Function};
use mexhat::data::files::{Files, Union, archive, hidden, hidden_folders, is_archive, zip_of_split};
use mexhat::{Error, Result};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wasm_bindgen::prelude::*;

/// Most bytes of one file, which is in memory as a whole; archives are read piece by piece.
const MOST_BYTES: u64 = 512 << 20;

thread_local! {
    static TELL: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Whoever does not listen is not told.
fn tell(done: u32, all: usize) {
    TELL.with_borrow(|tell| tell.as_ref().map(|tell| tell.call2(&JsValue::NULL, &done.into(), &(all as u32).into())));
}

/// The files of a folder, or loose ones.
pub struct Given {
    path: PathBuf,
    names: Vec<String>,
    /// Numbers of the files.
    places: Vec<usize>,
    left_out: Vec<(String, &'static str)>,
}

/// Those of `[[path, File]]`; `tell(done, of how many)` hears of each that is read.
///
/// # Errors
/// [`Error::Input`] when an archive is none.
pub fn open(name: &str, files: &Array, tell: Function) -> Result<impl Files> {
    TELL.set(Some(tell));
    Ok(Told(Given::open(name, files)?, AtomicU32::new(0)))
}

impl Given {
    fn open(name: &str, files: &Array) -> Result<Box<dyn Files>> {
        let entry = |entry: JsValue| {
            let pair: Array = entry.unchecked_into();
            (pair.get(0).as_string().unwrap_or_default(), blob::keep(pair.get(1).unchecked_into::<Blob>()))
        };
        let (others, mut found): (Vec<_>, Vec<(String, usize)>) =
            files.iter().map(entry).partition(|(name, _)| hidden(name));
        found.sort();
        let base = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        if let [(only, number)] = &found[..]
            && is_archive(only)
        {
            return archive(Path::new(name), Reader::new(*number));
        }
        let zips: Vec<(String, usize)> =
            found.iter().filter_map(|(path, number)| Some((zip_of_split(&base(path))?.to_owned(), *number))).collect();
        if !zips.is_empty() {
            let open = |(split, number): &(String, usize)| archive(Path::new(split), Reader::new(*number));
            let parts = zips.iter().map(|zip| Ok((zip.0.as_str(), open(zip)?))).collect::<Result<_>>()?;
            return Ok(Box::new(Union::new(Path::new(name), parts)));
        }
        let (names, places) = found.into_iter().unzip();
        let left_out = hidden_folders(others.iter().map(|(name, _)| name.as_str()));
        Ok(Box::new(Self { path: name.into(), names, places, left_out }))
    }
}

impl Files for Given {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&self, i: usize, most: u64) -> Result<Vec<u8>> {
        let most = most.min(MOST_BYTES);
        let size = blob::size(self.places[i]);
        if size > most {
            let what = format!("has {size} bytes; expected at most {most} of one file");
            return Err(Error::input(self.path_of(i), what));
        }
        let read = blob::bytes(self.places[i], 0, size);
        read.map_err(|e| Error::input(self.path_of(i), format!("cannot be read ({e})")))
    }

    fn packed(&self, i: usize) -> u64 {
        blob::size(self.places[i])
    }

    fn left_out(&self) -> &[(String, &'static str)] {
        &self.left_out
    }
}

/// Files that tell how many of them were read.
struct Told(Box<dyn Files>, AtomicU32);

impl Files for Told {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn names(&self) -> &[String] {
        self.0.names()
    }

    fn read(&self, i: usize, most: u64) -> Result<Vec<u8>> {
        tell(self.1.fetch_add(1, Relaxed), self.names().len());
        self.0.read(i, most.min(MOST_BYTES))
    }

    fn packed(&self, i: usize) -> u64 {
        self.0.packed(i)
    }

    fn left_out(&self) -> &[(String, &'static str)] {
        self.0.left_out()
    }

    fn path_of(&self, i: usize) -> PathBuf {
        self.0.path_of(i)
    }
}
