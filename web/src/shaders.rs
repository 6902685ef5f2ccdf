//! Every shipped kernel through the browser's own WGSL compiler, which knows nothing of naga.

use crate::thrown::{plain, thrown};
use mexhat::gpu::{Gpu, Kernel};
use mexhat::ops::SHADERS;
use wasm_bindgen::prelude::*;

/// Creates the pipeline of every variant of every shader that needs no subgroups, which browsers do not hand to wgpu yet.
/// Returns `{ created, refused: [text] }`.
#[wasm_bindgen(js_name = checkShaders)]
pub async fn check_shaders() -> Result<JsValue, JsValue> {
    let gpu = Gpu::open(None).await.map_err(thrown)?;
    let (mut created, mut refused) = (0, Vec::new());
    for shader in SHADERS.iter().copied().flatten().filter(|shader| !shader.file.contains("subgroup")) {
        for variant in 0..shader.variants.len() {
            let kernel = Kernel::new(shader, variant);
            match gpu.try_pipeline(&kernel).await {
                Ok(()) => created += 1,
                Err(error) => refused.push(format!("{}: {error}", kernel.key())),
            }
        }
    }
    Ok(plain(&serde_json::json!({ "created": created, "refused": refused })))
}
