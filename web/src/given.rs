//! Data of the visitor's, as the reader's wasm has found it.

use crate::race::RaceOptions;
use js_sys::{Array, Reflect, Uint8Array, Uint32Array};
use mexhat::data::{Augment, Dataset, Splits, glyphs};
use mexhat::{Error, Result};
use wasm_bindgen::prelude::*;

/// The splits to race on: drawn digits, or those of `{ name, classes, shape, normalize, reading, train, test }`.
///
/// # Errors
/// More digits are asked for than are drawn, or the parts of what is given do not fit together.
pub fn splits(given: &JsValue, options: &mut RaceOptions) -> Result<Splits> {
    if given.is_null() || given.is_undefined() {
        return Ok(glyphs::splits(&options.run.load()));
    }
    let text = |name| Ok(part::<JsValue>(given, name)?.as_string().unwrap_or_default());
    let broken = |e: serde_json::Error| Error::Usage(format!("the data that was read: {e}"));
    options.run.prepare.reading = serde_json::from_str(&text("reading")?).map_err(broken)?;
    let (train, test) = (dataset(given, "train")?, dataset(given, "test")?);
    Ok(Splits::new(train, test, serde_json::from_str(&text("normalize")?).map_err(broken)?, Augment::NONE))
}

fn dataset(given: &JsValue, split: &str) -> Result<Dataset> {
    let classes: Vec<String> =
        part::<Array>(given, "classes")?.iter().map(|name| name.as_string().unwrap_or_default()).collect();
    let shape: Vec<usize> =
        part::<Array>(given, "shape")?.iter().map(|side| side.as_f64().unwrap_or_default() as usize).collect();
    let shape = shape.try_into().map_err(|_| Error::Usage("the data that was read has no shape (C,H,W)".into()))?;
    let name = part::<JsValue>(given, "name")?.as_string().unwrap_or_default();
    let arrays = part::<JsValue>(given, split)?;
    let images = part::<Uint8Array>(&arrays, "images")?.to_vec();
    let labels = part::<Uint32Array>(&arrays, "labels")?.to_vec();
    // The reader has composed and compared the names; the tables for that would be downloaded here once more.
    Ok(Dataset { class_names: classes.clone(), ..Dataset::new(name, classes.len(), shape, images, labels)? })
}

fn part<T: JsCast>(object: &JsValue, name: &str) -> Result<T> {
    let found = Reflect::get(object, &name.into()).ok().and_then(|value| value.dyn_into::<T>().ok());
    found.ok_or_else(|| Error::Usage(format!("the data that was read has no `{name}`")))
}
