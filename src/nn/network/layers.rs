//! Layers one after the other, and how a program writes them down.

use super::{Conv, Custom, Init, Layer, Linear, Node};
use crate::Result;
use crate::nn::{AvgPool, MaxPool, Module};
use serde::{Deserialize, Serialize};

/// Layers one after the other. Nothing is checked before the network is built; then errors name the layer.
///
/// ```
/// use mexhat::nn::{Conv, Network};
/// let mut net = Network::new([3, 32, 32]);
/// net.conv(Conv::new(64, 3)).relu();
/// net.residual(|body| body.conv(Conv::new(64, 3)).relu().conv(Conv::new(64, 3))).relu();
/// net.global_avg_pool().flatten().linear(10);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layers {
    /// The layers in order.
    pub nodes: Vec<Node>,
}

impl Layers {
    /// Those that `write` appends to none.
    pub fn of(write: impl FnOnce(&mut Self) -> &mut Self) -> Self {
        let mut layers = Self::default();
        write(&mut layers);
        layers
    }

    /// Number of layers, those within blocks not counted.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no layer.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Appends any layer.
    pub fn push(&mut self, layer: Layer) -> &mut Self {
        self.nodes.push(Node { name: None, layer });
        self
    }

    /// Names the layer appended last.
    pub fn named(&mut self, name: impl Into<String>) -> &mut Self {
        if let Some(node) = self.nodes.last_mut() {
            node.name = Some(name.into());
        }
        self
    }

    /// A convolution with the network's normalisation.
    pub fn conv(&mut self, conv: Conv) -> &mut Self {
        self.push(Layer::Conv(conv))
    }

    /// A linear layer of so many outputs, or a [`Linear`].
    pub fn linear(&mut self, linear: impl Into<Linear>) -> &mut Self {
        self.push(Layer::Linear(linear.into()))
    }

    /// Batch norm of its own.
    pub fn batch_norm(&mut self) -> &mut Self {
        self.push(Layer::BatchNorm)
    }

    /// `max(x, 0)`.
    pub fn relu(&mut self) -> &mut Self {
        self.push(Layer::Relu)
    }

    /// `1 / (1 + exp(-x))`.
    pub fn sigmoid(&mut self) -> &mut Self {
        self.push(Layer::Sigmoid)
    }

    /// Maximum over windows of this side and step.
    pub fn max_pool(&mut self, kernel: usize) -> &mut Self {
        self.push(Layer::MaxPool(MaxPool { kernel, stride: kernel, padding: 0 }))
    }

    /// Mean over windows of this side and step.
    pub fn avg_pool(&mut self, kernel: usize) -> &mut Self {
        self.push(Layer::AvgPool(AvgPool { kernel }))
    }

    /// Mean over the whole map.
    pub fn global_avg_pool(&mut self) -> &mut Self {
        self.push(Layer::GlobalAvgPool)
    }

    /// (N,C,H,W) to (N, C H W).
    pub fn flatten(&mut self) -> &mut Self {
        self.push(Layer::Flatten)
    }

    /// In training, zeroes each value with this probability.
    pub fn dropout(&mut self, probability: f32) -> &mut Self {
        self.push(Layer::Dropout { probability })
    }

    /// `body(x) + x`.
    pub fn residual(&mut self, body: impl FnOnce(&mut Self) -> &mut Self) -> &mut Self {
        self.push(Layer::Residual { body: Self::of(body), shortcut: Self::default() })
    }

    /// `body(x) + shortcut(x)`, where the shape changes.
    pub fn residual_with(
        &mut self,
        body: impl FnOnce(&mut Self) -> &mut Self,
        shortcut: impl FnOnce(&mut Self) -> &mut Self,
    ) -> &mut Self {
        self.push(Layer::Residual { body: Self::of(body), shortcut: Self::of(shortcut) })
    }

    /// The channels of all branches one after the other; an empty branch is `x`.
    pub fn concat(&mut self, branches: impl IntoIterator<Item = Self>) -> &mut Self {
        self.push(Layer::Concat { branches: branches.into_iter().collect() })
    }

    /// `x` times one value per channel, from the map's mean through two 1x1 convolutions with `hidden` channels between
    /// them.
    pub fn squeeze_excitation(&mut self, channels: usize, hidden: usize) -> &mut Self {
        let gate =
            Self::of(|g| g.global_avg_pool().conv(Conv::new(hidden, 1)).relu().conv(Conv::new(channels, 1)).sigmoid());
        self.push(Layer::Gate { gate })
    }

    /// A head in the middle that learns along ([`Layer::Auxiliary`]): what it makes of `x` has a loss of its own, times
    /// `weight`.
    ///
    /// ```
    /// use mexhat::nn::{Conv, Network};
    /// let mut net = Network::new([3, 32, 32]);
    /// net.conv(Conv::new(16, 3)).relu().auxiliary(0.4, |head| head.global_avg_pool().flatten().linear(10));
    /// net.conv(Conv::new(32, 3)).relu().global_avg_pool().flatten().linear(10);
    /// assert_eq!(net.build(&mut mexhat::nn::State::new())?.output, [10]);
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    #[cfg(reference)]
    pub fn auxiliary(&mut self, weight: f32, head: impl FnOnce(&mut Self) -> &mut Self) -> &mut Self {
        self.push(Layer::Auxiliary { head: Self::of(head), weight })
    }

    /// The map stretched bilinearly: (N,C,H,W) to (N,C,`size[0]`,`size[1]`).
    pub fn interpolate(&mut self, size: [usize; 2]) -> &mut Self {
        self.push(Layer::Interpolate { size })
    }

    /// A module of the user's: `build` makes it for an input of this shape (without N). A file keeps `kind` only, so
    /// [`Network::define`](super::Network::define) gives `build` again after loading.
    ///
    /// # Errors
    /// None here: [`Network::build`](super::Network::build) returns those of `build`, and those of the module where the
    /// input does not fit it.
    pub fn custom(
        &mut self,
        kind: impl Into<String>,
        build: impl Fn(&mut Init<'_>, &[usize]) -> Result<Box<dyn Module>> + Send + Sync + 'static,
    ) -> &mut Self {
        self.push(Layer::Custom(Custom::new(kind, build)))
    }
}
