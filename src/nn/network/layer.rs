//! What a network is made of, as plain data: it is written to files and read from them.

use super::{Custom, Layers};
use crate::nn::{AvgPool, ChannelWhitening, MaxPool, Norm, Whitening};
use crate::ops::{Activation, ConvOptions};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// One layer under its name, which its tensors carry: `conv1` has `conv1.weight` and `conv1.bias`.
///
/// ```
/// use mexhat::nn::{Conv, Layer, Network, Node};
/// let mut net = Network::new([3, 32, 32]);
/// net.conv(Conv::new(16, 3)).named("stem").relu();
/// assert_eq!(net.nodes[0].name.as_deref(), Some("stem")); // its tensors: stem.weight, stem.bias, ...
/// assert_eq!(net.nodes[1], Node { name: None, layer: Layer::Relu });
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// Name within its block; without one, the kind with a number: `conv1`, `conv2`, `fc1`, and `shortcut_conv1` in a
    /// shortcut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The layer.
    #[serde(flatten)]
    pub layer: Layer,
}

/// A layer. Every one takes and gives (N,C,H,W) or, after [`Layer::Flatten`], (N,F).
///
/// ```
/// use mexhat::nn::{Conv, Layer};
/// let text = r#"{ "type": "conv", "out_channels": 16, "kernel": 5 }"#;
/// assert_eq!(serde_json::from_str::<Layer>(text)?, Layer::Conv(Conv::new(16, 5)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Layer {
    /// A convolution with the network's normalisation.
    Conv(Conv),
    /// A linear layer with the network's normalisation.
    Linear(Linear),
    /// Batch norm, wherever the network's own normalisation does not put it.
    BatchNorm,
    /// Group norm in the network's number of groups, wherever its own normalisation does not put it.
    GroupNorm,
    /// Group norm of one group.
    LayerNorm,
    /// Iterative norm with the block, iterations and eps of the network's whitening.
    IterNorm,
    /// Whitening of activations without weights.
    ChannelDeconv(ChannelWhitening),
    /// `max(x, 0)`, in the kernel of the layer before it where that is possible.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` above 0, `slope x` elsewhere.
    LeakyRelu {
        /// Slope at and below 0.
        slope: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `tanh(x)`.
    Tanh,
    /// `x sigmoid(x)`, also called swish.
    Silu,
    /// Maximum over windows.
    MaxPool(MaxPool),
    /// Mean over windows.
    AvgPool(AvgPool),
    /// Mean over parts of the map, so many down and across.
    AdaptiveAvgPool {
        /// (H,W) of the result.
        size: [usize; 2],
    },
    /// Mean over the whole map, to (N,C,1,1).
    GlobalAvgPool,
    /// (N,C,H,W) to (N, C H W).
    Flatten,
    /// Bilinear resampling of the map, (N,C,H,W) to (N,C,`size[0]`,`size[1]`) (PyTorch's `align_corners=False`).
    Interpolate {
        /// (H,W) of the result.
        size: [usize; 2],
    },
    /// In training, zeroes each value with this probability and scales the others up.
    Dropout {
        /// 0 to below 1.
        probability: f32,
    },
    /// `body(x) + shortcut(x)`; an empty shortcut is `x`.
    Residual {
        /// The layers whose result is added.
        body: Layers,
        /// What it is added to.
        #[serde(skip_serializing_if = "Layers::is_empty")]
        shortcut: Layers,
    },
    /// The branches' channels one after the other; an empty branch is `x`.
    Concat {
        /// At least one.
        branches: Vec<Layers>,
    },
    /// `x gate(x)`, the gate (N,C,1,1): squeeze and excitation.
    Gate {
        /// The layers that end in one value per channel.
        gate: Layers,
    },
    /// Dual path: the first `sum` channels of `body(x)` and `shortcut(x)` are added, the others stand behind them, the
    /// shortcut's first; then `max(y, 0)`.
    DualPath {
        /// Channels that are added.
        sum: usize,
        /// One path.
        body: Layers,
        /// The other; empty, it is `x`.
        #[serde(skip_serializing_if = "Layers::is_empty")]
        shortcut: Layers,
    },
    /// `x` as it is. In training what the head makes of `x` has a loss of its own, times `weight`, against the same
    /// targets; in evaluation it is not computed.
    #[cfg(reference)]
    Auxiliary {
        /// Ends in what the network puts out.
        head: Layers,
        /// Of its loss.
        weight: f32,
    },
    /// A block of layers under one name.
    Sequence {
        /// One after the other.
        layers: Layers,
    },
    /// A module of the user's.
    Custom(Custom),
}

impl Layer {
    /// What unnamed layers of this kind are called, without their number.
    pub(super) fn stem(&self) -> &str {
        match self {
            Self::Conv(_) => "conv",
            Self::Linear(_) => "fc",
            Self::BatchNorm => "bn",
            Self::GroupNorm => "gn",
            Self::LayerNorm => "ln",
            Self::IterNorm => "iter_norm",
            Self::ChannelDeconv(_) => "channel_deconv",
            Self::MaxPool(_) => "max_pool",
            Self::AvgPool(_) | Self::AdaptiveAvgPool { .. } | Self::GlobalAvgPool => "avg_pool",
            Self::Flatten => "flatten",
            Self::Interpolate { .. } => "interpolate",
            Self::Dropout { .. } => "dropout",
            Self::Residual { .. } | Self::DualPath { .. } | Self::Sequence { .. } => "block",
            Self::Concat { .. } => "concat",
            Self::Gate { .. } => "gate",
            #[cfg(reference)]
            Self::Auxiliary { .. } => "auxiliary",
            Self::Custom(custom) => &custom.kind,
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Silu => "silu",
        }
    }

    pub(super) fn activation(&self) -> Option<Activation> {
        Some(match self {
            Self::Relu => Activation::Relu,
            Self::Relu6 => Activation::Relu6,
            Self::LeakyRelu { slope } => Activation::LeakyRelu { slope: *slope },
            Self::Sigmoid => Activation::Sigmoid,
            Self::Tanh => Activation::Tanh,
            Self::Silu => Activation::Silu,
            _ => return None,
        })
    }

    /// What `norm` puts behind other layers, where it puts something.
    pub(crate) fn of_norm(norm: Norm) -> Option<Self> {
        Some(match norm {
            Norm::Deconv | Norm::None => return None,
            Norm::Batch => Self::BatchNorm,
            Norm::Group => Self::GroupNorm,
            Norm::Layer => Self::LayerNorm,
            Norm::Iterative => Self::IterNorm,
        })
    }

    /// The lists of layers inside this one.
    pub(crate) fn inner(&self) -> Vec<&Layers> {
        match self {
            Self::Residual { body, shortcut } | Self::DualPath { body, shortcut, .. } => vec![body, shortcut],
            Self::Concat { branches } => branches.iter().collect(),
            Self::Gate { gate: layers } | Self::Sequence { layers } => vec![layers],
            #[cfg(reference)]
            Self::Auxiliary { head, .. } => vec![head],
            _ => Vec::new(),
        }
    }

    /// As [`Layer::inner`], to be changed.
    pub(crate) fn inner_mut(&mut self) -> Vec<&mut Layers> {
        match self {
            Self::Residual { body, shortcut } | Self::DualPath { body, shortcut, .. } => vec![body, shortcut],
            Self::Concat { branches } => branches.iter_mut().collect(),
            Self::Gate { gate: layers } | Self::Sequence { layers } => vec![layers],
            #[cfg(reference)]
            Self::Auxiliary { head, .. } => vec![head],
            _ => Vec::new(),
        }
    }
}

fn one() -> usize {
    1
}

/// Outputs of a layer that has as many as there are classes, which a file calls "classes".
pub(crate) const CLASSES: usize = usize::MAX;

/// A number of outputs, or "classes".
fn outputs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let given = Value::deserialize(deserializer)?;
    match given.as_u64().map(usize::try_from) {
        Some(Ok(outputs)) => Ok(outputs),
        _ if given == "classes" => Ok(CLASSES),
        _ => Err(D::Error::custom("expected a number of outputs, or \"classes\"")),
    }
}

/// A convolution: (N,C,H,W) to (N,out_channels,H',W').
///
/// ```
/// use mexhat::nn::Conv;
/// let halved = Conv::new(64, 3).stride(2);
/// let depthwise = Conv::new(64, 7).groups(64).bias(false);
/// # assert!(halved != depthwise);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Channels of the result.
    #[serde(deserialize_with = "outputs")]
    pub out_channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step between positions.
    #[serde(default = "one")]
    pub stride: usize,
    /// Zeros around the map [default: what keeps the size at stride 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<usize>,
    /// Step between taps.
    #[serde(default = "one")]
    pub dilation: usize,
    /// Independent groups of channels.
    #[serde(default = "one")]
    pub groups: usize,
    /// Whether there is a bias [default: unless a norm follows that has one].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<bool>,
    /// Normalisation in place of the network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    /// Whitening in place of the network's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whitening: Option<Whitening>,
}

impl Conv {
    /// Stride 1, the size kept, the network's normalisation.
    pub fn new(out_channels: usize, kernel: usize) -> Self {
        Self {
            out_channels,
            kernel,
            stride: 1,
            padding: None,
            dilation: 1,
            groups: 1,
            bias: None,
            norm: None,
            whitening: None,
        }
    }

    /// Step between positions.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Zeros around the map.
    pub fn padding(self, padding: usize) -> Self {
        Self { padding: Some(padding), ..self }
    }

    /// Step between taps.
    pub fn dilation(self, dilation: usize) -> Self {
        Self { dilation, ..self }
    }

    /// Independent groups of channels; as many as channels is a depthwise convolution.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Whether there is a bias.
    pub fn bias(self, bias: bool) -> Self {
        Self { bias: Some(bias), ..self }
    }

    /// Normalisation in place of the network's.
    pub fn norm(self, norm: Norm) -> Self {
        Self { norm: Some(norm), ..self }
    }

    /// Whitening in place of the network's.
    pub fn whitening(self, whitening: Whitening) -> Self {
        Self { whitening: Some(whitening), ..self }
    }

    /// Side of the result of a map of this side, which fits.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn output_side(&self, side: usize) -> usize {
        let ConvOptions { padding, dilation, stride, .. } = self.options();
        (side + 2 * padding - dilation * (self.kernel - 1) - 1) / stride + 1
    }

    /// As the operation takes it.
    pub(crate) fn options(&self) -> ConvOptions {
        let padding = self.padding.unwrap_or((self.kernel / 2).saturating_mul(self.dilation));
        ConvOptions { stride: self.stride, padding, dilation: self.dilation, groups: self.groups, relu: false }
    }
}

/// A linear layer: (N,F) to (N,out_features).
///
/// ```
/// use mexhat::nn::{Linear, Norm};
/// assert_eq!(Linear::from(10), Linear::new(10));
/// let plain = Linear::new(128).norm(Norm::None);
/// # assert!(plain != Linear::new(128));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Features of the result.
    #[serde(deserialize_with = "outputs")]
    pub out_features: usize,
    /// Whether there is a bias [default: yes].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<bool>,
    /// Normalisation in place of the network's; only deconvolution is not plain here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<Norm>,
    /// Whitening in place of the network's; its `block` is in features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whitening: Option<Whitening>,
}

impl Linear {
    /// With bias and the network's normalisation.
    pub fn new(out_features: usize) -> Self {
        Self { out_features, bias: None, norm: None, whitening: None }
    }

    /// Whether there is a bias.
    pub fn bias(self, bias: bool) -> Self {
        Self { bias: Some(bias), ..self }
    }

    /// Normalisation in place of the network's.
    pub fn norm(self, norm: Norm) -> Self {
        Self { norm: Some(norm), ..self }
    }

    /// Whitening in place of the network's.
    pub fn whitening(self, whitening: Whitening) -> Self {
        Self { whitening: Some(whitening), ..self }
    }
}

impl From<usize> for Linear {
    fn from(out_features: usize) -> Self {
        Self::new(out_features)
    }
}
