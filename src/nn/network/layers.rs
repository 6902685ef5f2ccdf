//! Layers one after the other, and how a program writes them down.

use super::{Conv, Custom, Init, Layer, Linear, Node};
use crate::Result;
use crate::nn::{AvgPool, ChannelWhitening, MaxPool, Module};
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
///
/// They are called as in PyTorch, without its `2d`:
///
/// ```
/// use mexhat::nn::{ChannelWhitening, Conv, MaxPool, Network, Norm};
/// let mut net = Network::new([3, 32, 32]).norm(Norm::None);
/// net.conv(Conv::new(8, 3)).group_norm().silu().max_pool(MaxPool::new(3).stride(2).padding(1));
/// net.conv(Conv::new(8, 3)).layer_norm().leaky_relu(0.1).conv(Conv::new(8, 3)).iter_norm().relu6();
/// net.channel_deconv(ChannelWhitening { block: 8, ..Default::default() }).tanh();
/// net.gate(|gate| gate.global_avg_pool().sigmoid());
/// net.dual_path(6, |body| body.conv(Conv::new(8, 3)), |x| x).sequence(|b| b.batch_norm().relu()).named("end");
/// net.interpolate([12, 12]).adaptive_avg_pool([4, 4]).flatten().linear(10);
/// assert_eq!(net.build(&mut mexhat::nn::State::new())?.output, [10]);
/// # Ok::<(), mexhat::Error>(())
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

    /// A convolution with the network's normalisation: (N,C,H,W) to (N,out_channels,H',W').
    pub fn conv(&mut self, conv: Conv) -> &mut Self {
        self.push(Layer::Conv(conv))
    }

    /// A linear layer of so many features, or a [`Linear`], with the network's normalisation: (N,F) to
    /// (N,out_features).
    pub fn linear(&mut self, linear: impl Into<Linear>) -> &mut Self {
        self.push(Layer::Linear(linear.into()))
    }

    /// Batch norm of its own: (N,C,H,W) or (N,C), kept.
    pub fn batch_norm(&mut self) -> &mut Self {
        self.push(Layer::BatchNorm)
    }

    /// Group norm of its own, in the network's [`num_groups`](super::Network::num_groups): (N,C,H,W) or (N,C), kept.
    pub fn group_norm(&mut self) -> &mut Self {
        self.push(Layer::GroupNorm)
    }

    /// Group norm of one group: (N,C,H,W) or (N,C), kept.
    pub fn layer_norm(&mut self) -> &mut Self {
        self.push(Layer::LayerNorm)
    }

    /// Iterative norm of its own, by the network's whitening: (N,C,H,W) or (N,C), kept.
    pub fn iter_norm(&mut self) -> &mut Self {
        self.push(Layer::IterNorm)
    }

    /// Whitening of activations without weights, in blocks of at most C: (N,C,H,W) or (N,C), kept.
    pub fn channel_deconv(&mut self, whitening: ChannelWhitening) -> &mut Self {
        self.push(Layer::ChannelDeconv(whitening))
    }

    /// `max(x, 0)`; any shape, kept.
    pub fn relu(&mut self) -> &mut Self {
        self.push(Layer::Relu)
    }

    /// `min(max(x, 0), 6)`; any shape, kept.
    pub fn relu6(&mut self) -> &mut Self {
        self.push(Layer::Relu6)
    }

    /// `x` above 0, `slope x` elsewhere; any shape, kept.
    pub fn leaky_relu(&mut self, slope: f32) -> &mut Self {
        self.push(Layer::LeakyRelu { slope })
    }

    /// `1 / (1 + exp(-x))`; any shape, kept.
    pub fn sigmoid(&mut self) -> &mut Self {
        self.push(Layer::Sigmoid)
    }

    /// `tanh(x)`; any shape, kept.
    pub fn tanh(&mut self) -> &mut Self {
        self.push(Layer::Tanh)
    }

    /// `x sigmoid(x)`; any shape, kept.
    pub fn silu(&mut self) -> &mut Self {
        self.push(Layer::Silu)
    }

    /// Maximum over windows of this side and step, or of a [`MaxPool`]: (N,C,H,W) to (N,C,H',W').
    pub fn max_pool(&mut self, pool: impl Into<MaxPool>) -> &mut Self {
        self.push(Layer::MaxPool(pool.into()))
    }

    /// Mean over windows of this side and step: (N,C,H,W) to (N,C,H',W'), the sides divided and rounded down.
    pub fn avg_pool(&mut self, kernel: usize) -> &mut Self {
        self.push(Layer::AvgPool(AvgPool { kernel }))
    }

    /// Mean over parts of the map, so many down and across: (N,C,H,W) to (N,C,`size[0]`,`size[1]`).
    pub fn adaptive_avg_pool(&mut self, size: [usize; 2]) -> &mut Self {
        self.push(Layer::AdaptiveAvgPool { size })
    }

    /// Mean over the whole map: (N,C,H,W) to (N,C,1,1).
    pub fn global_avg_pool(&mut self) -> &mut Self {
        self.push(Layer::GlobalAvgPool)
    }

    /// (N,C,H,W) to (N, C H W).
    pub fn flatten(&mut self) -> &mut Self {
        self.push(Layer::Flatten)
    }

    /// In training, zeroes each value with this probability and scales the others up; any shape, kept.
    pub fn dropout(&mut self, probability: f32) -> &mut Self {
        self.push(Layer::Dropout { probability })
    }

    /// `body(x) + x`: of the shape of `x`, which the body keeps.
    pub fn residual(&mut self, body: impl FnOnce(&mut Self) -> &mut Self) -> &mut Self {
        self.push(Layer::Residual { body: Self::of(body), shortcut: Self::default() })
    }

    /// `body(x) + shortcut(x)`, where the shape changes: of the shape that both leave.
    pub fn residual_with(
        &mut self,
        body: impl FnOnce(&mut Self) -> &mut Self,
        shortcut: impl FnOnce(&mut Self) -> &mut Self,
    ) -> &mut Self {
        self.push(Layer::Residual { body: Self::of(body), shortcut: Self::of(shortcut) })
    }

    /// The channels of all branches one after the other, an empty branch being `x`: (N,C,H,W) to (N, sum of the
    /// branches' channels, H',W').
    pub fn concat(&mut self, branches: impl IntoIterator<Item = Self>) -> &mut Self {
        self.push(Layer::Concat { branches: branches.into_iter().collect() })
    }

    /// `x gate(x)`: (N,C,H,W), kept; the gate ends in (N,C,1,1).
    pub fn gate(&mut self, gate: impl FnOnce(&mut Self) -> &mut Self) -> &mut Self {
        self.push(Layer::Gate { gate: Self::of(gate) })
    }

    /// Adds the first `sum` channels of `body(x)` and `shortcut(x)` and stands the others behind them, the shortcut's
    /// first; then `max(y, 0)` ([`Layer::DualPath`]): of C and C' channels (N, C + C' - sum, H',W').
    pub fn dual_path(
        &mut self,
        sum: usize,
        body: impl FnOnce(&mut Self) -> &mut Self,
        shortcut: impl FnOnce(&mut Self) -> &mut Self,
    ) -> &mut Self {
        self.push(Layer::DualPath { sum, body: Self::of(body), shortcut: Self::of(shortcut) })
    }

    /// A block of layers under one name ([`Layers::named`]).
    pub fn sequence(&mut self, layers: impl FnOnce(&mut Self) -> &mut Self) -> &mut Self {
        self.push(Layer::Sequence { layers: Self::of(layers) })
    }

    /// `x` times one value per channel, from the map's mean through two 1x1 convolutions with `hidden` channels between
    /// them; (N,C,H,W), kept, `channels` being C.
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
