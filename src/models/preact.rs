//! PreAct-18 and SENet-18 for 32x32 images: residual blocks that rectify before they convolve, without a ReLU at the
//! end of the network.

use super::ModelOptions;
use crate::nn::{Conv, Network};

/// Four stages of two blocks. The shortcut of a block that changes the shape starts from the rectified input.
fn stages(net: &mut Network, options: &ModelOptions, gated: bool) {
    let mut channels = 64;
    for (stage, outputs) in [64, 128, 256, 512].into_iter().enumerate() {
        for index in 0..2 {
            let name = format!("layer{}.{index}", stage + 1);
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let changes = stride > 1 || channels != outputs;
            if changes {
                options.joint_norm(net, &format!("{name}.bn1"));
                net.relu();
            }
            net.residual_with(
                |body| {
                    if !changes {
                        options.joint_norm(body, "bn1");
                        body.relu();
                    }
                    // Batch norm stands before each ReLU: behind the first convolution, but not behind the second.
                    body.conv(Conv::new(outputs, 3).stride(stride)).relu().conv(options.bare(Conv::new(outputs, 3)));
                    if gated {
                        options.squeeze_excitation(body, outputs, outputs / 16);
                    }
                    body
                },
                |shortcut| {
                    if changes {
                        let conv = Conv::new(outputs, 1).stride(stride);
                        shortcut.conv(options.bare(conv)).named("shortcut");
                    }
                    shortcut
                },
            )
            .named(name);
            channels = outputs;
        }
    }
    net.global_avg_pool().flatten().linear(options.classes).named("fc");
}

pub(super) fn preact18(net: &mut Network, options: &ModelOptions) {
    net.conv(Conv::new(64, 3).whitening(options.frozen(10)));
    stages(net, options, false);
}

pub(super) fn senet18(net: &mut Network, options: &ModelOptions) {
    net.conv(Conv::new(64, 3).whitening(options.first(true))).relu();
    stages(net, options, true);
}
