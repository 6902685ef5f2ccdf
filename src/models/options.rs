//! What an architecture is written down for.

#[cfg(zoo)]
use crate::nn::Conv;
use crate::nn::{Layer, Layers, Norm, Whitening};

/// What a network is built for.
///
/// ```
/// use mexhat::models::{self, ModelOptions};
/// use mexhat::nn::Norm;
/// let cifar100 = ModelOptions { norm: Norm::Batch, input: [3, 32, 32], classes: 100, ..Default::default() };
/// let net = models::network("vgg11", &cifar100)?;
/// assert_eq!((net.norm, net.input), (Norm::Batch, [3, 32, 32]));
/// # Ok::<(), mexhat::Error>(())
/// ```
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
    /// Times the channels of the architecture, as [`Network::scale_width`](crate::nn::Network::scale_width).
    pub width: f64,
    /// (C, H, W) of one image.
    pub input: [usize; 3],
    /// Groups of channels of group norm.
    pub num_groups: usize,
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

    /// The whitening of a first layer that the authors' code gives so many iterations, frozen most of the time.
    #[cfg(zoo)]
    pub(super) fn frozen(&self, iterations: usize) -> Whitening {
        Whitening { iterations, freeze: true, ..self.whitening }
    }

    /// A convolution that no norm follows, where the architecture has it elsewhere; deconvolution stays.
    #[cfg(zoo)]
    pub(super) fn bare(&self, conv: Conv) -> Conv {
        if self.norm.behind().is_some() { conv.norm(Norm::None).bias(false) } else { conv }
    }

    /// The norm between layers, in networks with one that follows layers: whichever it is, its name is batch norm's.
    pub(super) fn joint_norm(&self, layers: &mut Layers, name: &str) {
        if let Some(norm) = Layer::of_norm(self.norm) {
            layers.push(norm).named(name);
        }
    }

    /// Squeeze and excitation, whose convolutions whiten or else are plain: no norm stands behind them.
    #[cfg(zoo)]
    pub(super) fn squeeze_excitation(&self, layers: &mut Layers, channels: usize, hidden: usize) {
        let conv = |outputs| match self.norm {
            Norm::Deconv => Conv::new(outputs, 1),
            _ => Conv::new(outputs, 1).norm(Norm::None),
        };
        let gate = Layers::of(|g| g.global_avg_pool().conv(conv(hidden)).relu().conv(conv(channels)).sigmoid());
        layers.push(Layer::Gate { gate }).named("se");
    }
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            norm: Norm::Deconv,
            whitening: Whitening::default(),
            first_iterations: 15,
            block_fc: crate::nn::block_fc(),
            width: 1.0,
            num_groups: crate::nn::num_groups(),
            input: [1, 28, 28],
            classes: 10,
            seed: 0,
        }
    }
}
