//! Deep for its size: nine convolutions of 3x3 in three stages of 8, 8 and 16 channels, one linear layer. Without a
//! norm it hardly learns.

use super::ModelOptions;
use crate::nn::{Conv, Network};

pub(super) fn deep(net: &mut Network, options: &ModelOptions) {
    for (stage, channels) in [8, 8, 16].into_iter().enumerate() {
        for layer in 0..3 {
            let conv = Conv::new(channels, 3);
            let first = stage + layer == 0;
            net.conv(if first { conv.whitening(options.first(false)) } else { conv }).relu();
        }
        net.max_pool(2);
    }
    net.flatten().linear(options.classes);
}
