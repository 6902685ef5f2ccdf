//! DPN-92 for 32x32 images: blocks whose first channels are added, as in ResNets, and whose others are kept, as in
//! DenseNets.

use super::ModelOptions;
use crate::nn::{Conv, Layer, Layers, Network};

/// Width of the bottleneck, channels that are added, blocks, channels that each block keeps, stride of the first.
const STAGES: [(usize, usize, usize, usize, usize); 4] =
    [(96, 256, 3, 16, 1), (192, 512, 4, 32, 2), (384, 1024, 20, 24, 2), (768, 2048, 3, 128, 2)];

const GROUPS: usize = 32;

pub(super) fn dpn92(net: &mut Network, options: &ModelOptions) {
    net.conv(Conv::new(64, 3).whitening(options.frozen(10))).relu();
    for (stage, (width, sum, blocks, kept, first)) in STAGES.into_iter().enumerate() {
        for index in 0..blocks {
            let stride = if index == 0 { first } else { 1 };
            let body = Layers::of(|b| {
                b.conv(Conv::new(width, 1)).relu();
                b.conv(Conv::new(width, 3).stride(stride).groups(GROUPS)).relu();
                b.conv(Conv::new(sum + kept, 1))
            });
            let shortcut = Layers::of(|s| match index {
                0 => s.conv(Conv::new(sum + kept, 1).stride(stride)).named("shortcut"),
                _ => s,
            });
            net.push(Layer::DualPath { sum, body, shortcut }).named(format!("layer{}.{index}", stage + 1));
        }
    }
    net.global_avg_pool().flatten().linear(options.classes).named("fc");
}
