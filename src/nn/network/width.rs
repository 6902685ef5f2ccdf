//! Networks made narrower or wider as a whole.

use super::layer::{CLASSES, Layer};
use super::{Layers, Network};

/// So many of `width` times `n`, at least one.
pub(crate) fn scaled(n: usize, width: f64) -> usize {
    ((n as f64 * width).round() as usize).max(1)
}

impl Network {
    /// With `width` times the channels and features in every layer but the last with weights, whose outputs are the
    /// classes (so it is in an auxiliary head, too): the width multiplier of MobileNets
    /// ([Howard et al. 2017](https://arxiv.org/abs/1704.04861), section 3.3). Groups shrink along, so each keeps its
    /// number of channels, and so do blocks of whitening that a layer has of its own. Modules of the user's stay as
    /// they are.
    ///
    /// Numbers are rounded. Where sums or groups no longer fit after that, [`Network::build`] names the layer: halves,
    /// quarters and eighths fit most networks.
    ///
    /// ```
    /// use mexhat::nn::{Conv, Layer, Network};
    /// let mut net = Network::new([3, 32, 32]);
    /// net.conv(Conv::new(64, 3)).relu().conv(Conv::new(64, 3).groups(64)).flatten().linear(10);
    /// let narrow = net.scale_width(0.25);
    /// assert_eq!(narrow.nodes[2].layer, Layer::Conv(Conv::new(16, 3).groups(16)));
    /// ```
    pub fn scale_width(mut self, width: f64) -> Self {
        let block = self.whitening.block;
        scale_but_last(&mut self.layers, width, block);
        self
    }
}

/// Scales all but the last layer that has weights, if it is not within a block.
fn scale_but_last(layers: &mut Layers, width: f64, block: usize) {
    let without = |layer: &Layer| matches!(layer, Layer::Interpolate { .. } | Layer::Flatten | Layer::Dropout { .. });
    let last = layers.nodes.iter().rposition(|node| !without(&node.layer) && node.layer.activation().is_none());
    let behind = layers.nodes.split_off(last.unwrap_or(0));
    scale(layers, width, block);
    layers.nodes.extend(behind);
}

fn scale(layers: &mut Layers, width: f64, block: usize) {
    for layer in layers.nodes.iter_mut().map(|node| &mut node.layer) {
        match layer {
            Layer::Conv(conv) if conv.out_channels != CLASSES => {
                conv.out_channels = scaled(conv.out_channels, width);
                if conv.groups > 1 {
                    conv.groups = scaled(conv.groups, width);
                }
                if let Some(own) = conv.whitening.as_mut().filter(|own| own.block != block) {
                    own.block = scaled(own.block, width);
                }
            }
            Layer::Linear(linear) if linear.out_features != CLASSES => {
                linear.out_features = scaled(linear.out_features, width)
            }
            Layer::DualPath { sum, .. } => *sum = scaled(*sum, width),
            _ => {}
        }
        #[cfg(reference)]
        if let Layer::Auxiliary { head, .. } = layer {
            scale_but_last(head, width, block);
            continue;
        }
        layer.inner_mut().into_iter().for_each(|inner| scale(inner, width, block));
    }
}
