//! DeepLabV3 on ResNet-50 ([Chen et al. 2017](https://arxiv.org/abs/1706.05587)), the network of the paper's Figure 6:
//! a map of classes as large as the image.
//!
//! Layers are those of torchvision's `deeplabv3_resnet50`. Batch norm stands behind the shortcuts beside deconvolution,
//! too, as in the authors' code, whose auxiliary head counts half; theirs is off unless it is asked for.

use super::ModelOptions;
use super::imagenet::{shortcut, stem};
use crate::nn::{BlockMode, Conv, Layers, Network, Norm, Whitening};

/// Channels of the head.
const HEAD: usize = 256;
/// Steps between taps of its wide convolutions.
const RATES: [usize; 3] = [12, 24, 36];
/// What the loss of the auxiliary head counts.
const AUXILIARY: f32 = 0.5;

/// Of each stage: blocks, width, stride, and the steps between taps of its first block and of the others. In the last
/// two stages steps take the place of strides, so that the map keeps an eighth of the image's side.
const STAGES: [(usize, usize, usize, [usize; 2]); 4] =
    [(3, 64, 1, [1, 1]), (4, 128, 2, [1, 1]), (6, 256, 1, [1, 2]), (3, 512, 1, [2, 4])];

/// A 3x3 convolution between 1x1 convolutions, of which the last has four times the width.
fn bottleneck(body: &mut Layers, width: usize, stride: usize, dilation: usize) -> &mut Layers {
    body.conv(Conv::new(width, 1)).relu();
    body.conv(Conv::new(width, 3).stride(stride).dilation(dilation)).relu();
    body.conv(Conv::new(4 * width, 1))
}

/// A stage of ResNet-50.
fn stage(net: &mut Network, options: &ModelOptions, number: usize) {
    let (blocks, width, stride, [first, others]) = STAGES[number];
    for index in 0..blocks {
        if index == 0 {
            let outputs = 4 * width;
            net.residual_with(|b| bottleneck(b, width, stride, first), |s| shortcut(s, options, outputs, stride));
        } else {
            net.residual(|b| bottleneck(b, width, 1, others));
        }
        net.named(format!("layer{}.{index}", number + 1)).relu();
    }
}

/// Height and width of the map behind the stages: the stem and the second stage halve three times, up.
fn eighth(options: &ModelOptions) -> [usize; 2] {
    let [_, height, width] = options.input;
    [height, width].map(|side| (0..3).fold(side, |side, _| side.div_ceil(2)))
}

/// 1x1 to the classes, and up to the image's size.
fn classify<'a>(layers: &'a mut Layers, options: &ModelOptions) -> &'a mut Layers {
    let conv = Conv::new(options.classes, 1);
    let conv = match options.norm {
        Norm::Deconv => conv.whitening(Whitening { block: HEAD, ..options.whitening }),
        _ => conv.norm(Norm::None),
    };
    let [_, height, width] = options.input;
    layers.conv(conv).named("classes").interpolate([height, width])
}

/// Atrous spatial pyramid pooling: what is here, around here in three widths, and in the whole image.
fn pyramid(net: &mut Network, options: &ModelOptions) {
    let narrow = Layers::of(|b| b.conv(Conv::new(HEAD, 1)).relu());
    let wide = RATES.map(|rate| Layers::of(|b| b.conv(Conv::new(HEAD, 3).dilation(rate)).relu()));
    // Of one value an image the authors' code takes every ninth, in a batch of 8 one alone. Its 32 blocks, pooled, are
    // rows enough; without pooling, or in a narrow network, one row has no covariance, and all are taken.
    let authors = options.whitening.mode == BlockMode::Reference && options.width >= 1.0;
    let whole = Conv::new(HEAD, 1);
    let whole = match options.norm {
        Norm::Deconv if !authors => whole.whitening(Whitening { sampling_stride: 1, ..options.whitening }),
        _ => whole,
    };
    let whole = Layers::of(|b| b.global_avg_pool().conv(whole).relu().interpolate(eighth(options)));
    net.concat([narrow].into_iter().chain(wide).chain([whole])).named("aspp");
    net.conv(Conv::new(HEAD, 1)).named("project").relu().dropout(0.5);
}

fn deeplab(net: &mut Network, options: &ModelOptions, auxiliary: bool) {
    stem(net, options);
    (0..3).for_each(|number| stage(net, options, number));
    if auxiliary {
        net.auxiliary(AUXILIARY, |head| {
            head.conv(Conv::new(HEAD, 3)).relu().dropout(0.1);
            classify(head, options)
        });
        net.named("auxiliary");
    }
    stage(net, options, 3);
    pyramid(net, options);
    net.conv(Conv::new(HEAD, 3)).relu();
    classify(net, options);
}

pub(super) fn deeplabv3(net: &mut Network, options: &ModelOptions) {
    deeplab(net, options, false);
}

pub(super) fn deeplabv3_aux(net: &mut Network, options: &ModelOptions) {
    deeplab(net, options, true);
}
