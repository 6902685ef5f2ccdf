//! The GPU.

use crate::described;
use crate::network::Network;
use crate::thrown;
use mexhat::train::{Learner, Sgd};
use mexhat::{Error, Gpu};
use std::path::Path;
use wasm_bindgen::prelude::*;

/// An open GPU.
#[wasm_bindgen]
pub struct Device {
    gpu: Gpu,
}

#[wasm_bindgen]
impl Device {
    /// Opens the GPU that the browser gives.
    pub async fn open() -> Result<Device, JsValue> {
        Ok(Self { gpu: Gpu::open_async(None).await.map_err(thrown)? })
    }

    /// A network with fresh values, described as text of JSON; see [`described::network`].
    pub fn network(&self, description: &str) -> Result<Network, JsValue> {
        let (network, normalize) = described::network(description).map_err(thrown)?;
        // Every training says how it updates.
        let learner = Learner::new(&self.gpu, network, Sgd::new(1.0)).map_err(thrown)?;
        let learner = match normalize {
            Some(normalize) => learner.with_normalize(normalize).map_err(thrown)?,
            None => learner,
        };
        Ok(Network::new(learner))
    }

    /// A network from the bytes of a file.
    pub fn load(&self, bytes: &[u8]) -> Result<Network, JsValue> {
        let path = Path::new("the network's bytes");
        Learner::from_bytes(&self.gpu, path, bytes, |_| Ok(())).map(Network::new).map_err(thrown)
    }

    /// Gives the GPU back; what is on it is gone.
    pub fn close(&self) {
        self.gpu.destroy();
    }
}

/// What is behind a failure.
pub async fn explained(gpu: &Gpu, error: Error) -> JsValue {
    thrown(gpu.cause(error).await)
}
