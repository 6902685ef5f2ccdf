//! ResNeXt-29 (32x4d) for 32x32 images: residual blocks around convolutions in 32 groups.

use super::ModelOptions;
use crate::nn::{Conv, Network, Whitening};

const GROUPS: usize = 32;

pub(super) fn resnext29(net: &mut Network, options: &ModelOptions) {
    let grouped = Whitening { iterations: 3, ..options.whitening };
    net.conv(Conv::new(64, 1).whitening(options.frozen(10))).relu();
    for (stage, width) in [128, 256, 512].into_iter().enumerate() {
        for index in 0..3 {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            net.residual_with(
                |body| {
                    body.conv(Conv::new(width, 1)).relu();
                    body.conv(Conv::new(width, 3).stride(stride).groups(GROUPS).whitening(grouped)).relu();
                    body.conv(Conv::new(2 * width, 1))
                },
                |shortcut| {
                    if index == 0 {
                        shortcut.conv(Conv::new(2 * width, 1).stride(stride)).named("shortcut");
                    }
                    shortcut
                },
            )
            .named(format!("layer{}.{index}", stage + 1))
            .relu();
        }
    }
    net.global_avg_pool().flatten().linear(options.classes).named("fc");
}
