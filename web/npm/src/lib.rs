//! What `package/mexhat.js` calls: a device, and networks on it that are trained on arrays.
//!
//! A thin door to `mexhat::train::Learner`. The page has a wasm of its own: what its races and chapters need and what programs need
//! are together over 605 KB gzipped, where the page's own is 511 and this one 447, and the page has to stay below 590 with all its files.
//! Nothing is compiled for other targets than browsers.

#![cfg(target_arch = "wasm32")]

mod described;
mod device;
mod given;
mod network;
mod training;

use js_sys::Reflect;
use mexhat::Error;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(text: &str);
}

/// Once, before anything else: a panic leaves its text in the console.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| console_error(&panic.to_string())));
}

/// An error as `mexhat.js` takes it: `{ kind, message }`.
fn thrown(error: Error) -> JsValue {
    let kind = match error {
        Error::NoAdapter(_) => "no-adapter",
        Error::DeviceLost(_) => "device-lost",
        Error::Usage(_) | Error::Shape { .. } => "usage",
        Error::Input { .. } => "input",
        Error::Limit { .. } | Error::Memory { .. } => "memory",
        Error::Run(_) => "diverged",
        _ => "gpu",
    };
    let object = js_sys::Object::new();
    for (name, value) in [("kind", kind.into()), ("message", JsValue::from(error.to_string()))] {
        // A plain object takes any property.
        let _ = Reflect::set(&object, &name.into(), &value);
    }
    object.into()
}

/// Plain data as text of JSON.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
