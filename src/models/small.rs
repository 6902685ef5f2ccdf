//! The smallest network with convolutions, for adapters that are software: 8 and 16 channels of 5x5, one linear layer.

use super::ModelOptions;
use crate::nn::{Conv, Network};

pub(super) fn small(net: &mut Network, options: &ModelOptions) {
    net.conv(Conv::new(8, 5).whitening(options.first(false))).relu().max_pool(2);
    net.conv(Conv::new(16, 5)).relu().max_pool(2).flatten().linear(options.classes);
}
