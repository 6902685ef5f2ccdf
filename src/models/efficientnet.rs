//! EfficientNet-B0, simplified as in the authors' code, for 32x32 images: ReLU, 3x3 kernels only, no dropout. With
//! deconvolution only the first convolution and the classifier whiten; the units keep batch norm.

use super::ModelOptions;
use crate::nn::{Conv, Layer, Layers, Network, Norm};

/// Expansion, outputs, units, stride of the first.
const UNITS: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 2), (6, 24, 2, 1), (6, 40, 2, 2), (6, 80, 3, 2), (6, 112, 3, 1), (6, 192, 4, 2), (6, 320, 1, 2)];

pub(super) fn efficientnet_b0(net: &mut Network, options: &ModelOptions) {
    let norm = if options.norm == Norm::None { Norm::None } else { Norm::Batch };
    let options = ModelOptions { norm, ..options.clone() };
    net.conv(Conv::new(32, 3).whitening(options.frozen(10))).relu();
    let mut channels = 32;
    for (stage, (expansion, outputs, units, first)) in UNITS.into_iter().enumerate() {
        for index in 0..units {
            let stride = if index == 0 { first } else { 1 };
            let wide = expansion * channels;
            let convolutions = |unit: &mut Layers| {
                unit.conv(Conv::new(wide, 1).norm(norm)).relu();
                unit.conv(Conv::new(wide, 3).stride(stride).groups(wide).norm(norm)).relu();
                unit.conv(Conv::new(outputs, 1).norm(norm));
            };
            let gate = |unit: &mut Layers| options.squeeze_excitation(unit, outputs, outputs / 16);
            let name = format!("layer{}.{index}", stage + 1);
            if stride == 1 {
                let body = Layers::of(|unit| {
                    convolutions(unit);
                    gate(unit);
                    unit
                });
                let shortcut = Layers::of(|s| match channels == outputs {
                    true => s,
                    false => s.conv(Conv::new(outputs, 1).norm(norm)).named("shortcut"),
                });
                net.push(Layer::Residual { body, shortcut });
            } else {
                // The gated map is added to the map itself.
                net.push(Layer::Sequence {
                    layers: Layers::of(|unit| {
                        convolutions(unit);
                        unit.residual(|body| {
                            gate(body);
                            body
                        })
                        .named("gated")
                    }),
                });
            }
            net.named(name);
            channels = outputs;
        }
    }
    net.flatten().linear(options.classes).named("fc");
}
