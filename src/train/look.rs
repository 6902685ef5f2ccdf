//! Looks at a run from outside while it goes on: the deconvolutions of all layers, and what the network says to each
//! test image.

use super::{Tensor, Trainer};
use crate::Result;
use std::sync::Arc;

/// The running D of one layer.
#[derive(Clone, Debug)]
pub struct LayerDeconv {
    /// Name of the layer.
    pub name: String,
    /// Shape of its weight: (O,C,k,k) of a convolution, (O,F) of a linear layer.
    pub weight: Vec<usize>,
    /// Blocks with a D of their own.
    pub statistics: usize,
    /// Side of each D.
    pub d: usize,
    /// D of the first block, (d,d).
    pub deconv: Vec<f32>,
}

/// What the network says to one test image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    /// What it is.
    pub label: u32,
    /// The most probable class.
    pub guess: u32,
    /// Its probability.
    pub share: f32,
}

impl Trainer {
    /// The running deconvolution of every layer that has one, in the order of the network. Waits for the device.
    ///
    /// # Errors
    /// The device failed.
    pub async fn layers(&mut self) -> Result<Vec<LayerDeconv>> {
        const SUFFIX: &str = ".running_deconv";
        let ids: Vec<_> =
            self.learner.state.iter().filter(|(_, t)| t.name.ends_with(SUFFIX)).map(|(id, _)| id).collect();
        self.learner.session.download_some(&mut self.learner.state, &ids).await?;
        let layer = |id| {
            let tensor = self.learner.state.get(id);
            let name = tensor.name.trim_end_matches(SUFFIX).to_owned();
            let weight = self
                .learner
                .state
                .find(&format!("{name}.weight"))
                .map(|id| self.learner.state.get(id).ty.shape.clone());
            // Stand-alone whitening has a single D, without a dimension for blocks.
            let (statistics, d) = match tensor.ty.shape[..] {
                [d, _] => (1, d),
                ref shape => (shape[0], shape[1]),
            };
            let deconv = tensor.values[..d * d].to_vec();
            LayerDeconv { name, weight: weight.unwrap_or_default(), statistics, d, deconv }
        };
        Ok(ids.into_iter().map(layer).collect())
    }

    /// The first `count` test images (fewer if there are fewer), normalised, and their number.
    pub fn samples(&self, count: usize) -> Result<(Vec<f32>, usize)> {
        let dataset = self.test.dataset();
        let count = count.min(dataset.len());
        let mut images = Vec::new();
        crate::data::fill(dataset, self.learner.normalize(), &(0..count).collect::<Vec<_>>(), &mut images)?;
        Ok((images, count))
    }

    /// What the network as it is now says to each test image, in order.
    ///
    /// # Errors
    /// The device failed.
    pub async fn guesses(&mut self) -> Result<Vec<Guess>> {
        self.guesses_of(usize::MAX).await
    }

    /// As [`Trainer::guesses`], of the first `count` test images only: a quick estimate.
    ///
    /// # Errors
    /// The device failed.
    pub async fn guesses_of(&mut self, count: usize) -> Result<Vec<Guess>> {
        let test = Arc::clone(self.test.dataset());
        let count = count.min(test.len());
        let shares = self.learner.shares(test.images[..count * test.pixels()].into()).await?;
        let best = |(share, label): (&[f32], &u32)| {
            let (guess, share) =
                share.iter().enumerate().fold((0, 0.0), |best, (i, v)| if *v > best.1 { (i, *v) } else { best });
            Guess { label: *label, guess: guess as u32, share }
        };
        Ok(shares.values.chunks(shares.shape[1]).zip(&test.labels).map(best).collect())
    }

    /// What each layer makes of one image (C,H,W), bytes, in the order of the layers.
    ///
    /// # Errors
    /// The image is not of the network's size, or the device failed.
    pub async fn activations(&mut self, image: &[u8]) -> Result<Vec<(String, Tensor)>> {
        self.learner.all_activations_async(image).await
    }

    /// The bytes of test image `index`, (C,H,W).
    pub fn test_image(&self, index: usize) -> Option<&[u8]> {
        let dataset = self.test.dataset();
        (index < dataset.len()).then(|| dataset.image(index))
    }
}
