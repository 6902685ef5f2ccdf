//! The networks of the paper's Table 2, for images of about 224x224: a 7x7 convolution and a pooling before the stages,
//! but in VGG.
//!
//! Convolutions are those of torchvision's networks of the same names, so that a `state_dict` of the same order of
//! layers fits by shape. Linear layers whiten in blocks of at most 64 features, as the authors' script for ImageNet
//! asks.

use super::ModelOptions;
use crate::nn::{Conv, Layers, Linear, MaxPool, Network, Norm, Whitening};

/// Features per block of linear layers in the authors' script for ImageNet.
const BLOCK_FC: usize = 64;

fn linear(options: &ModelOptions, outputs: usize) -> Linear {
    let block = options.block_fc.min(BLOCK_FC);
    Linear::new(outputs).whitening(Whitening { block, ..options.whitening })
}

/// conv 7x7, relu, maxima: a quarter of the side.
pub(super) fn stem(net: &mut Network, options: &ModelOptions) {
    net.conv(Conv::new(64, 7).stride(2).whitening(options.first(true))).relu();
    net.max_pool(MaxPool::new(3).stride(2).padding(1));
}

fn head(net: &mut Network, options: &ModelOptions) {
    net.global_avg_pool().flatten().linear(linear(options, options.classes)).named("fc");
}

/// What is added to a block that changes the shape. Batch norm stands behind it beside deconvolution, too, as in the
/// authors' code.
pub(super) fn shortcut<'a>(
    layers: &'a mut Layers,
    options: &ModelOptions,
    outputs: usize,
    stride: usize,
) -> &'a mut Layers {
    layers.conv(Conv::new(outputs, 1).stride(stride)).named("shortcut");
    if options.norm == Norm::Deconv {
        layers.batch_norm().named("shortcut_bn");
    }
    layers
}

/// Two 3x3 convolutions.
fn basic(body: &mut Layers, width: usize, stride: usize) -> &mut Layers {
    body.conv(Conv::new(width, 3).stride(stride)).relu().conv(Conv::new(width, 3))
}

/// A 3x3 convolution between 1x1 convolutions, of which the last has four times the width.
fn bottleneck(body: &mut Layers, width: usize, stride: usize) -> &mut Layers {
    body.conv(Conv::new(width, 1)).relu().conv(Conv::new(width, 3).stride(stride)).relu().conv(Conv::new(4 * width, 1))
}

/// Four stages of so many blocks, each of `expansion` times its width in channels.
fn resnet(
    net: &mut Network,
    options: &ModelOptions,
    (blocks, expansion): ([usize; 4], usize),
    body: fn(&mut Layers, usize, usize) -> &mut Layers,
) {
    stem(net, options);
    let mut channels = 64;
    for (stage, (count, width)) in blocks.into_iter().zip([64, 128, 256, 512]).enumerate() {
        for index in 0..count {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let outputs = expansion * width;
            if stride > 1 || channels != outputs {
                net.residual_with(|b| body(b, width, stride), |s| shortcut(s, options, outputs, stride));
            } else {
                net.residual(|b| body(b, width, 1));
            }
            net.named(format!("layer{}.{index}", stage + 1)).relu();
            channels = outputs;
        }
    }
    head(net, options);
}

pub(super) fn resnet18(net: &mut Network, options: &ModelOptions) {
    resnet(net, options, ([2, 2, 2, 2], 1), basic);
}

pub(super) fn resnet50(net: &mut Network, options: &ModelOptions) {
    resnet(net, options, ([3, 4, 6, 3], 4), bottleneck);
}

/// Batch norm stands before every ReLU, the new channels behind the old ones.
pub(super) fn densenet121(net: &mut Network, options: &ModelOptions) {
    const GROWTH: usize = 32;
    stem(net, options);
    let mut channels = 2 * GROWTH;
    for (block, layers) in [6, 12, 24, 16].into_iter().enumerate() {
        if block > 0 {
            options.joint_norm(net, &format!("trans{block}.bn"));
            channels /= 2;
            net.relu().conv(options.bare(Conv::new(channels, 1))).named(format!("trans{block}.conv")).avg_pool(2);
        }
        for layer in 0..layers {
            let body = Layers::of(|body| {
                options.joint_norm(body, "bn1");
                body.relu().conv(Conv::new(4 * GROWTH, 1)).relu().conv(options.bare(Conv::new(GROWTH, 3)))
            });
            net.concat([Layers::default(), body]).named(format!("dense{}.{layer}", block + 1));
            channels += GROWTH;
        }
    }
    options.joint_norm(net, "bn");
    net.relu();
    head(net, options);
}

/// Eight convolutions and three linear layers, with dropout between these.
pub(super) fn vgg11(net: &mut Network, options: &ModelOptions) {
    for (count, width) in [1, 1, 2, 2, 2].into_iter().zip([64, 128, 256, 512, 512]) {
        for _ in 0..count {
            // A bias stands before batch norm, too.
            let conv = Conv::new(width, 3).bias(true);
            let first = net.is_empty();
            net.conv(if first { conv.whitening(options.first(true)) } else { conv }).relu();
        }
        net.max_pool(2);
    }
    net.adaptive_avg_pool([7, 7]).flatten();
    for _ in 0..2 {
        net.linear(linear(options, 4096)).relu().dropout(0.5);
    }
    net.linear(linear(options, options.classes));
}
