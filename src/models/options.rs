//! What an architecture is written down for.

use crate::nn::{Norm, Whitening};

/// What a network is built for.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Normalisation.
    pub norm: Norm,
    /// Whitening of convolutions, first layer aside.
    pub whitening: Whitening,
    /// Newton-Schulz iterations of the first layer, where the architecture does not say otherwise.
    pub first_iterations: usize,
    /// Features per block of linear layers.
    pub block_fc: usize,
    /// (C, H, W) of one image.
    pub input: [usize; 3],
    /// Outputs.
    pub classes: usize,
    /// Seed of the initial values.
    pub seed: u64,
}

impl ModelOptions {
    /// The usual whitening of a first layer: more iterations, and frozen most of the time when `freeze`.
    pub(super) fn first(&self, freeze: bool) -> Whitening {
        Whitening { iterations: self.first_iterations, freeze, ..self.whitening }
    }
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            norm: Norm::Deconv,
            whitening: Whitening::default(),
            first_iterations: 15,
            block_fc: 512,
            input: [1, 28, 28],
            classes: 10,
            seed: 0,
        }
    }
}
