//! What `tests/golden` and `tests/reference` check natively, in a browser: the same tables, the same tolerances.
//!
//! Nothing is compiled for other targets than browsers.

#![cfg(target_arch = "wasm32")]

#[path = "../../../tests/golden/case.rs"]
mod case;
#[path = "../../../tests/golden/channel.rs"]
mod channel;
#[path = "../../../tests/golden/deconvolution.rs"]
mod deconvolution;
#[path = "../../../tests/golden/glue.rs"]
mod glue;
#[path = "../../../tests/golden/losses.rs"]
mod losses;
#[path = "../../../tests/golden/merge.rs"]
mod merge;
#[path = "../../../tests/golden/model.rs"]
mod model;
#[path = "../../../tests/golden/norm.rs"]
mod norm;
#[path = "../../../tests/golden/optim.rs"]
mod optim;
#[path = "../../../tests/golden/pooling.rs"]
mod pooling;
#[path = "../../../tests/golden/runners.rs"]
mod runners;
#[path = "../../../tests/golden/trace.rs"]
mod trace;

use case::Manifest;
use js_sys::{Reflect, Uint8Array};
use mexhat::check::{OPERATIONS, Sizes, engines, reference};
use mexhat::gpu::{Gpu, Kernel};
use mexhat::rng::Rng;
use mexhat::{ops, software};
use wasm_bindgen::prelude::*;

fn text(error: impl std::fmt::Display) -> JsValue {
    error.to_string().into()
}

fn kernels() -> impl Iterator<Item = Kernel> {
    let all = ops::SHADERS.iter().copied().flatten().chain(software::SHADERS);
    let shaders = all.filter(|shader| !shader.file.contains("subgroup"));
    shaders.flat_map(|shader| (0..shader.variants.len()).map(|variant| Kernel::new(shader, variant)))
}

/// Reference vectors and operations on one device.
#[wasm_bindgen]
pub struct Checks {
    gpu: Gpu,
    manifest: Manifest,
}

#[wasm_bindgen]
impl Checks {
    /// Opens the GPU; `files` is an object of bytes by file name, `manifest.json` among them.
    pub async fn open(files: JsValue) -> Result<Checks, JsValue> {
        let read = |file: &str| {
            let found = Reflect::get(&files, &file.into()).ok().and_then(|bytes| bytes.dyn_into::<Uint8Array>().ok());
            found.map(|bytes| bytes.to_vec()).ok_or_else(|| format!("{file}: not given"))
        };
        let manifest = Manifest::load(read).map_err(text)?;
        Ok(Self { gpu: Gpu::open_async(None).await.map_err(text)?, manifest })
    }

    /// Names of the shipped kernels that need no subgroups, which browsers do not hand to wgpu yet.
    pub fn kernels(&self) -> Vec<String> {
        kernels().map(|kernel| kernel.key()).collect()
    }

    /// Creates the pipeline of kernel `index` by the browser's own WGSL compiler, which knows nothing of naga; returns
    /// what is wrong, or nothing.
    #[wasm_bindgen(js_name = runKernel)]
    pub async fn run_kernel(&self, index: usize) -> Option<String> {
        let kernel = kernels().nth(index)?;
        self.gpu.try_pipeline(&kernel).await.err().map(|error| error.to_string())
    }

    /// Names of the cases with reference vectors.
    pub fn golden(&self) -> Vec<String> {
        self.manifest.cases.iter().map(|case| case.name.clone()).collect()
    }

    /// Runs reference case `index`; returns what is wrong, or nothing.
    #[wasm_bindgen(js_name = runGolden)]
    pub async fn run_golden(&self, index: usize) -> Option<String> {
        let case = &self.manifest.cases[index];
        match runners::runner(&case.op) {
            Some(runner) => case::check(&self.gpu, &self.manifest, case, runner).await.err(),
            None => Some(format!("no runner for the operation '{}'", case.op)),
        }
    }

    /// Names of the operations that have a reference.
    pub fn operations(&self) -> Vec<String> {
        OPERATIONS.iter().map(|operation| operation.name.to_owned()).collect()
    }

    /// Runs operation `index` against its reference at its corner sizes and at `random` others, under every way of
    /// choosing kernels; returns what is wrong, or nothing.
    #[wasm_bindgen(js_name = runOperation)]
    pub async fn run_operation(&self, index: usize, random: usize) -> Option<String> {
        let operation = OPERATIONS.iter().nth(index)?;
        let mut rng = Rng::new(index as u64);
        let mut sizes = (operation.corners)();
        sizes.extend((0..random).map(|_| Sizes::random(&mut rng)));
        let profiles = engines::profiles_of(&self.gpu);
        for (i, sizes) in sizes.into_iter().enumerate() {
            let profile = profiles[i % profiles.len()];
            if let Err(why) = reference::check(&self.gpu, operation, sizes, profile).await {
                return Some(why);
            }
        }
        None
    }
}
