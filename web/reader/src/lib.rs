//! Files of the page's visitor, read by the readers of `mexhat train`. It is no part of the page's own wasm: few
//! visitors give it files, and what a damaged one does to this memory is nothing to a race.
//!
//! Nothing is compiled for other targets than browsers.

#![cfg(target_arch = "wasm32")]

mod blob;
mod given;

use js_sys::{Array, Function, Uint8Array, Uint32Array};
use mexhat::data::{self, Dataset, LoadOptions};
use mexhat::{Error, Result};
use mexhat_web_common::{numbers, object, thrown};
use wasm_bindgen::prelude::*;

/// Most classes: the page shows each of them.
const MOST_CLASSES: usize = 100;
/// Most bytes of pixels, which the page has three times while a race begins.
const MOST_PIXELS: usize = 256 << 20;

/// Once, before anything else.
#[wasm_bindgen(start)]
pub fn start() {
    mexhat_web_common::panics_to_console();
}

/// The data set in `files`, `[[path, File]]`, whose name for messages is `name`; `options` is JSON: `seed`,
/// `limit_train`, `limit_test`. `tell(done, all)` hears of files that were read.
///
/// Returns `{ name, shape, classes, normalize, reading, lines, train: { images, labels }, test: { images, labels } }`:
/// images are (N,C,H,W), bytes; `normalize` and `reading` are JSON; `lines` say what was found and decided.
///
/// # Errors
/// `{ kind, message }`: the files are no data set, or one with more classes or pixels than the page takes.
#[wasm_bindgen]
pub fn read(name: &str, files: &Array, options: &str, tell: Function) -> Result<JsValue, JsValue> {
    found(name, files, options, tell).map_err(thrown)
}

fn found(name: &str, files: &Array, options: &str, tell: Function) -> Result<JsValue> {
    let options: LoadOptions =
        serde_json::from_str(options).map_err(|e| Error::Usage(format!("the page's options: {e}")))?;
    let files = given::open(name, files, tell)?;
    let (splits, reading) = data::load_given(&files, name, &options)?;
    let classes = &splits.train.class_names;
    if classes.len() > MOST_CLASSES {
        let what = format!("has {} classes; the page takes at most {MOST_CLASSES}", classes.len());
        return Err(Error::input(name, what));
    }
    let pixels = splits.train.images.len() + splits.test.images.len();
    if pixels > MOST_PIXELS {
        let what = format!(
            "has {} MiB of pixels; the page takes at most {}: take fewer training images in Settings",
            pixels >> 20,
            MOST_PIXELS >> 20
        );
        return Err(Error::input(name, what));
    }
    // Plain values are always written.
    let json = |text: serde_json::Result<String>| JsValue::from(text.unwrap_or_default());
    Ok(object(&[
        ("name", name.into()),
        ("shape", numbers(splits.train.shape.map(|side| side as f64))),
        ("classes", classes.iter().map(|name| JsValue::from(name.as_str())).collect::<Array>().into()),
        ("normalize", json(serde_json::to_string(&splits.normalize))),
        ("reading", json(serde_json::to_string(&reading))),
        ("lines", splits.report.lines().into_iter().map(JsValue::from).collect::<Array>().into()),
        ("train", part(&splits.train)),
        ("test", part(&splits.test)),
    ])
    .into())
}

fn part(data: &Dataset) -> JsValue {
    let (images, labels) = (Uint8Array::from(&data.images[..]), Uint32Array::from(&data.labels[..]));
    object(&[("images", images.into()), ("labels", labels.into())]).into()
}
