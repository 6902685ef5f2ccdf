//! Convolutions with 1x1 kernels, stride 1 and no padding, and linear layers (on CPUs those of many rows): products of
//! pixels, as rows of channels, with the weight.
//!
//! `y = x w^T + b`, `gx = gy w`, `gw = gy^T x`. A row-major weight (O,C) is a matrix in vectors of four as it lies
//! where four divides C, and so are columns (C,O): nothing is packed or unpacked.

use super::weight::Weight;
use crate::gpu::Slot;
use crate::ops::patches::geometry::{FEW_PIXELS, Geometry};
use crate::ops::products::gram::launch_gram;
use crate::ops::products::product::Product;
use crate::ops::sums::row_mean::launch_broadcast;
use crate::tape::Launch;

/// Whether a convolution is such a product.
pub(super) fn fits(g: &Geometry, weight: &Weight) -> bool {
    let plain = g.taps() == 1 && g.options.stride == 1 && g.options.padding == 0 && g.options.groups == 1;
    let whole = !weight.lies_in_rows() || g.c.is_multiple_of(4);
    plain && whole
}

/// Whether it is one, and worth kernels that others may not need.
pub(super) fn suits(g: &Geometry, weight: &Weight) -> bool {
    fits(g, weight) && pixels(g) > FEW_PIXELS
}

fn pixels(g: &Geometry) -> usize {
    g.n * g.h * g.w
}

/// Of x and weight, and perhaps a bias.
pub(super) fn launch_forward(launch: &mut Launch<'_>, g: &Geometry, rows: bool, bias: Option<Slot>) {
    let ([x, w], y) = ([0, 1].map(|i| launch.reads[i]), launch.writes[0]);
    let added = bias.map(|bias| (bias, 1.0));
    let product = Product { transposed: rows, added, relu: g.options.relu, ..Product::new(x, w) };
    product.launch(launch, [1, pixels(g), g.o, g.c], y);
}

/// Of gy and weight.
pub(super) fn launch_input_grad(launch: &mut Launch<'_>, g: &Geometry, rows: bool) {
    let ([gy, w], gx) = ([0, 1].map(|i| launch.reads[i]), launch.writes[0]);
    Product { transposed: !rows, ..Product::new(gy, w) }.launch(launch, [1, pixels(g), g.c, g.o], gx);
}

/// Of x and gy, and perhaps the mean.
pub(super) fn launch_weight_grad(launch: &mut Launch<'_>, g: &Geometry, rows: bool) {
    let ([mut x, gy], gw) = ([0, 1].map(|i| launch.reads[i]), launch.writes[0]);
    if let Some(mean) = launch.reads.get(2).copied() {
        let centered = launch.scratch("centered", pixels(g) * g.c.next_multiple_of(4));
        launch_broadcast(launch, [1, pixels(g), g.c], -1.0, [mean, x], centered);
        x = centered;
    }
    let (factors, [m, n]) = if rows { ([gy, x], [g.o, g.c]) } else { ([x, gy], [g.c, g.o]) };
    launch_gram(launch, [1, pixels(g), m, n], factors, gw);
}
