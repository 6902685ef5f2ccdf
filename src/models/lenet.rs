//! A good small network for 28x28 and 32x32 images: two 5x5 convolutions and two linear layers.

use super::ModelOptions;
use crate::nn::{Conv, Network};

pub(super) fn lenet(net: &mut Network, options: &ModelOptions) {
    net.conv(Conv::new(16, 5).whitening(options.first(false))).relu().max_pool(2);
    net.conv(Conv::new(32, 5)).relu().max_pool(2).flatten();
    net.linear(128).relu().linear(options.classes);
}
