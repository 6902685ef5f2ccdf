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

thread_local! {
    /// What JavaScript owns cannot go to another thread, and the readers of data sets may: they have a number in its place.
    static BLOBS: RefCell<Vec<Blob>> = const { RefCell::new(Vec::new()) };
}

/// A file with a place at which it is read next.
pub struct Reader {
    number: usize,
    at: u64,
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

impl Reader {
    pub fn new(number: usize) -> Self {
        Self { number, at: 0 }
    }
}

impl Read for Reader {
    fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let end = size(self.number).min(self.at + to.len() as u64);
        if self.at >= end {
            return Ok(0);
        }
        let part = BLOBS.with_borrow(|blobs| blobs[self.number].slice(self.at as f64, end as f64));
        // A file that has gone or changed since it was chosen.
        let gone = |_| Error::other("the browser cannot read it any more; choose it again");
        let bytes: ArrayBuffer = FileReaderSync::new().whole(&part).map_err(gone)?;
        let bytes = Uint8Array::new(&bytes);
        let count = bytes.length() as usize;
        bytes.copy_to(&mut to[..count]);
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
