//! What every wasm gives to JavaScript, and a pause that only the page takes.

pub use mexhat_web_common::{numbers, object, thrown};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(done: &js_sys::Function, ms: u32);
}

/// Lets the browser do other things for a while.
pub async fn pause(ms: u32) {
    let promise = js_sys::Promise::new(&mut |done, _| set_timeout(&done, ms));
    // A timer does not fail.
    let _ = wasm_bindgen_futures::JsFuture::from(promise).await;
}

/// Once, before anything else.
#[wasm_bindgen(start)]
pub fn start() {
    mexhat_web_common::panics_to_console();
}
