//! The network on which engines are compared: two 3x3 convolutions of 32 and 64 channels, linear 128, linear 10.

use super::ModelOptions;
use crate::nn::{Conv, Network};

pub(super) fn yardstick(net: &mut Network, options: &ModelOptions) {
    net.conv(Conv::new(32, 3)).relu().max_pool(2);
    net.conv(Conv::new(64, 3)).relu().max_pool(2).flatten();
    net.linear(128).relu().linear(options.classes);
}
