//! What crosses to JavaScript when things go wrong, and plain objects: the same in every wasm.
//!
//! Nothing is compiled for other targets than browsers.

#![cfg(target_arch = "wasm32")]

use js_sys::{Array, Object, Reflect};
use mexhat::Error;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(text: &str);
}

/// Once, before anything else: a panic leaves its text in the console.
pub fn panics_to_console() {
    std::panic::set_hook(Box::new(|panic| console_error(&panic.to_string())));
}

/// An error as JavaScript sees it: `{ kind, message }`.
pub fn thrown(error: Error) -> JsValue {
    let kind = match error {
        Error::NoAdapter(_) => "no-adapter",
        Error::DeviceLost(_) => "device-lost",
        Error::Usage(_) => "usage",
        Error::Input { .. } => "input",
        _ => "error",
    };
    object(&[("kind", kind.into()), ("message", error.to_string().into())]).into()
}

/// A plain JavaScript object.
pub fn object(entries: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in entries {
        // A plain object takes any property.
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    object
}

/// A JavaScript array of numbers.
pub fn numbers(values: impl IntoIterator<Item = f64>) -> JsValue {
    values.into_iter().map(JsValue::from).collect::<Array>().into()
}
