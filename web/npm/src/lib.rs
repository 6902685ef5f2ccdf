//! What `package/mexhat.js` calls: a device, and networks on it that are trained on arrays.
//!
//! A thin door to `mexhat::train::Learner`. The page has a wasm of its own: what its races and chapters need and what
//! programs need are together a fifth larger than the page's own (605 KB gzipped against 511, November 2026), and the
//! page has to stay small. Nothing is compiled for other targets than browsers.

#![cfg(target_arch = "wasm32")]

mod described;
mod device;
mod given;
mod network;
mod training;

use mexhat::Error;
use mexhat_web_common::object;
use wasm_bindgen::prelude::*;

/// Once, before anything else.
#[wasm_bindgen(start)]
pub fn start() {
    mexhat_web_common::panics_to_console();
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
    object(&[("kind", kind.into()), ("message", error.to_string().into())]).into()
}

/// Plain data as text of JSON.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
