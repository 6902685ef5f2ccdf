//! PNASNet-A for 32x32 images: cells that add a depthwise 7x7 convolution and a 3x3 maximum.

use super::ModelOptions;
use crate::nn::{Conv, MaxPool, Network};

/// `relu(depthwise(x) + max(x))`; where the cell widens, each channel has two kernels, and a 1x1 convolution follows
/// the maximum.
fn cell(net: &mut Network, channels: usize, outputs: usize, name: String) {
    let stride = if outputs > channels { 2 } else { 1 };
    net.residual_with(
        |body| body.conv(Conv::new(outputs, 7).stride(stride).groups(channels)),
        |pooled| {
            pooled.max_pool(MaxPool::new(3).stride(stride).padding(1));
            if outputs > channels { pooled.conv(Conv::new(outputs, 1)).named("shortcut") } else { pooled }
        },
    )
    .named(name)
    .relu();
}

pub(super) fn pnasnet_a(net: &mut Network, options: &ModelOptions) {
    net.conv(Conv::new(44, 3).whitening(options.frozen(10))).relu();
    let mut channels = 44;
    for (stage, outputs) in [44, 88, 176].into_iter().enumerate() {
        let reductions = usize::from(stage > 0);
        for index in 0..6 + reductions {
            cell(net, channels, outputs, format!("layer{}.{index}", stage + 1));
            channels = outputs;
        }
    }
    net.global_avg_pool().flatten().linear(options.classes).named("fc");
}
