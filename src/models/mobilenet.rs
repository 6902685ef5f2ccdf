//! MobileNetV2 for 32x32 images: units that widen, convolve each channel by itself, and narrow without a ReLU. Plain
//! ReLU, not ReLU6.

use super::ModelOptions;
use crate::nn::{Conv, Layer, Layers, Network, Whitening};

/// Expansion, outputs, units, stride of the first.
const UNITS: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

fn body(options: &ModelOptions, channels: usize, expansion: usize, outputs: usize, stride: usize) -> Layers {
    let wide = expansion * channels;
    let depthwise = Whitening { iterations: 1, ..options.whitening };
    let projection = Whitening { block: channels, ..depthwise };
    Layers::of(|unit| {
        unit.conv(Conv::new(wide, 1)).relu();
        unit.conv(Conv::new(wide, 3).stride(stride).groups(wide).whitening(depthwise)).relu();
        unit.conv(Conv::new(outputs, 1).whitening(projection))
    })
}

pub(super) fn mobilenetv2(net: &mut Network, options: &ModelOptions) {
    net.conv(Conv::new(32, 3).whitening(options.frozen(10))).relu();
    let mut channels = 32;
    for (stage, (expansion, outputs, units, first)) in UNITS.into_iter().enumerate() {
        for index in 0..units {
            let stride = if index == 0 { first } else { 1 };
            let unit = body(options, channels, expansion, outputs, stride);
            if stride == 1 {
                let shortcut = Layers::of(|s| match channels == outputs {
                    true => s,
                    false => s.conv(Conv::new(outputs, 1)).named("shortcut"),
                });
                net.push(Layer::Residual { body: unit, shortcut });
            } else {
                net.push(Layer::Sequence { layers: unit });
            }
            net.named(format!("layer{}.{index}", stage + 1));
            channels = outputs;
        }
    }
    net.conv(Conv::new(1280, 1)).relu().global_avg_pool().flatten().linear(options.classes).named("fc");
}
