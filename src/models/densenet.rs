//! DenseNet-121 for 32x32 images: every layer sees the channels of all layers before it in its block.

use super::ModelOptions;
use crate::nn::{Conv, Layers, Network};

/// Channels that each layer adds.
const GROWTH: usize = 32;

/// The bottleneck's 1x1 and 3x3 convolutions; their channels stand before the old ones.
fn dense(net: &mut Network, options: &ModelOptions, name: String) {
    let body = Layers::of(|body| {
        options.joint_norm(body, "bn1");
        body.relu().conv(Conv::new(4 * GROWTH, 1)).relu().conv(options.bare(Conv::new(GROWTH, 3)))
    });
    net.concat([body, Layers::default()]).named(name);
}

/// Half the channels, half the map.
fn transition(net: &mut Network, options: &ModelOptions, channels: usize, name: &str) {
    options.joint_norm(net, &format!("{name}.bn"));
    net.relu().conv(options.bare(Conv::new(channels / 2, 1))).named(format!("{name}.conv")).avg_pool(2);
}

pub(super) fn densenet121(net: &mut Network, options: &ModelOptions) {
    let mut channels = 2 * GROWTH;
    net.conv(options.bare(Conv::new(channels, 3)));
    for (block, layers) in [6, 12, 24, 16].into_iter().enumerate() {
        if block > 0 {
            transition(net, options, channels, &format!("trans{block}"));
            channels /= 2;
        }
        for layer in 0..layers {
            dense(net, options, format!("dense{}.{layer}", block + 1));
            channels += GROWTH;
        }
    }
    options.joint_norm(net, "bn");
    net.relu().global_avg_pool().flatten().linear(options.classes).named("fc");
}
