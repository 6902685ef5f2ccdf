//! The visitor's files, read piece by piece where they lie: a worker may wait for them.

use js_sys::{ArrayBuffer, Uint8Array};
use std::cell::RefCell;
use std::io::{Error, Read, Result, Seek, SeekFrom};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// A file of the browser's.
    #[derive(Clone)]
    pub type Blob;
    #[wasm_bindgen(method, getter)]
    fn size(this: &Blob) -> f64;
    #[wasm_bindgen(method)]
    fn slice(this: &Blob, from: f64, to: f64) -> Blob;

    type FileReaderSync;
    #[wasm_bindgen(constructor)]
    fn new() -> FileReaderSync;
    #[wasm_bindgen(method, catch, js_name = readAsArrayBuffer)]
    fn whole(this: &FileReaderSync, blob: &Blob) -> std::result::Result<ArrayBuffer, JsValue>;
}

/// Bytes that are asked for at once, and how many such parts are kept: pictures of many classes are read in turns, each
/// class from its own place of an archive.
const PART: u64 = 256 << 10;
const PARTS: usize = 128;

thread_local! {
    /// What JavaScript owns cannot go to another thread, and the readers of data sets may: they have a number in its
    /// place.
    static BLOBS: RefCell<Vec<Blob>> = const { RefCell::new(Vec::new()) };
}

/// A file with a place at which it is read next.
pub struct Reader {
    number: usize,
    at: u64,
    /// Parts of the file by their number, those used last at the end.
    parts: Vec<(u64, Vec<u8>)>,
}

/// Keeps a file for as long as this wasm is there, and tells its number.
pub fn keep(blob: Blob) -> usize {
    BLOBS.with_borrow_mut(|blobs| {
        blobs.push(blob);
        blobs.len() - 1
    })
}

/// Bytes of a file.
pub fn size(number: usize) -> u64 {
    BLOBS.with_borrow(|blobs| blobs[number].size() as u64)
}

/// The bytes from `from` up to `end`.
pub fn bytes(number: usize, from: u64, end: u64) -> Result<Vec<u8>> {
    let part = BLOBS.with_borrow(|blobs| blobs[number].slice(from as f64, end as f64));
    // A file that has gone or changed since it was chosen.
    let gone = |_| Error::other("the browser cannot read it any more; choose it again");
    let whole: ArrayBuffer = FileReaderSync::new().whole(&part).map_err(gone)?;
    Ok(Uint8Array::new(&whole).to_vec())
}

impl Reader {
    pub fn new(number: usize) -> Self {
        Self { number, at: 0, parts: Vec::new() }
    }

    /// Part `wanted` of the file.
    fn part(&mut self, wanted: u64) -> Result<&[u8]> {
        let found = match self.parts.iter().position(|(number, _)| *number == wanted) {
            Some(place) => self.parts.remove(place),
            None => {
                let end = size(self.number).min((wanted + 1) * PART);
                (wanted, bytes(self.number, (wanted * PART).min(end), end)?)
            }
        };
        if self.parts.len() == PARTS {
            self.parts.remove(0);
        }
        self.parts.push(found);
        Ok(self.parts.last().map_or(&[], |(_, bytes)| bytes))
    }
}

impl Read for Reader {
    fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let (wanted, start) = (self.at / PART, (self.at % PART) as usize);
        let rest = self.part(wanted)?.get(start..).unwrap_or_default();
        let count = rest.len().min(to.len());
        to[..count].copy_from_slice(&rest[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::End(by) => (size(self.number), by),
            SeekFrom::Current(by) => (self.at, by),
        };
        self.at = from.checked_add_signed(by).ok_or_else(|| Error::other("a place before the file"))?;
        Ok(self.at)
    }
}
