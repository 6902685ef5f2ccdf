//! VGG for 32x32 images: 3x3 convolutions, maxima between stages, one linear layer.

use super::ModelOptions;
use crate::nn::{Conv, Network};

/// Stages of `convolutions` each, the widths doubling up to 512.
fn vgg(net: &mut Network, options: &ModelOptions, convolutions: [usize; 5]) {
    for (count, width) in convolutions.into_iter().zip([64, 128, 256, 512, 512]) {
        for _ in 0..count {
            // A bias stands before batch norm, too, as in the authors' code.
            let conv = Conv::new(width, 3).bias(true);
            let first = net.is_empty();
            net.conv(if first { conv.whitening(options.first(true)) } else { conv }).relu();
        }
        net.max_pool(2);
    }
    net.flatten().linear(options.classes).named("fc");
}

pub(super) fn vgg11(net: &mut Network, options: &ModelOptions) {
    vgg(net, options, [1, 1, 2, 2, 2]);
}

pub(super) fn vgg13(net: &mut Network, options: &ModelOptions) {
    vgg(net, options, [2, 2, 2, 2, 2]);
}

pub(super) fn vgg16(net: &mut Network, options: &ModelOptions) {
    vgg(net, options, [2, 2, 3, 3, 3]);
}

pub(super) fn vgg19(net: &mut Network, options: &ModelOptions) {
    vgg(net, options, [2, 2, 4, 4, 4]);
}
