//! What `mexhat doctor` checks, for the adapter of a browser. It is no part of the page's own wasm: few visitors ask
//! for it.
//!
//! Nothing is compiled for other targets than browsers.

#![cfg(target_arch = "wasm32")]

use js_sys::Function;
use mexhat::check::OPERATIONS;
use mexhat::doctor::{self, Finding, Report};
use mexhat::gpu::Gpu;
use serde::Serialize;
use wasm_bindgen::prelude::*;

/// Once, before anything else.
#[wasm_bindgen(start)]
pub fn start() {
    mexhat_web_common::panics_to_console();
}

/// A report with what a person reads first.
#[derive(Serialize)]
struct Told<'a> {
    summary: String,
    wrong: usize,
    report: &'a Report,
}

fn json(value: &impl Serialize) -> Result<String, JsValue> {
    serde_json::to_string(value).map_err(|error| error.to_string().into())
}

/// Opens a device of its own, so that nothing else on the page is touched, and checks it. Tells each check as it comes,
/// by `tell(share, json)` with the share of all checks that are done, and returns the whole as JSON:
/// `{ summary, wrong, report }`.
///
/// # Errors
/// The browser gives no device.
#[wasm_bindgen]
pub async fn examine(tell: Function) -> Result<String, JsValue> {
    let gpu = Gpu::open_async(None).await.map_err(|error| JsValue::from(error.to_string()))?;
    let (mut done, all) = (0, doctor::planned(OPERATIONS));
    let told = |finding: &Finding| {
        done += 1;
        let share = f64::from(done) / all as f64;
        // Whoever does not listen is not told.
        let _ = tell.call2(&JsValue::NULL, &share.into(), &json(finding).unwrap_or_default().into());
    };
    let report = doctor::examine(&gpu, OPERATIONS, told).await;
    json(&Told { summary: report.summary(), wrong: report.wrong().count(), report: &report })
}
