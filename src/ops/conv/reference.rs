//! Convolutions and their gradients as sums over all products, for the CPU.

use crate::ops::patches::geometry::{ConvOptions, Geometry};
use crate::tape::Array;

/// Calls `visit(x index, w index, y index)` for every product of the convolution.
fn products(g: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
    let (per_group, outs) = (g.c / g.options.groups, g.o / g.options.groups);
    for (n, o, i, j) in indices4(g.n, g.o, g.oh, g.ow) {
        let y = ((n * g.o + o) * g.oh + i) * g.ow + j;
        for u in 0..g.kh {
            for v in 0..g.kw {
                let Some((h, w)) = g.input_at(i, j, u, v) else { continue };
                for c in 0..per_group {
                    let channel = o / outs * per_group + c;
                    let x = ((n * g.c + channel) * g.h + h) * g.w + w;
                    visit(x, ((o * per_group + c) * g.kh + u) * g.kw + v, y);
                }
            }
        }
    }
}

fn indices4(a: usize, b: usize, c: usize, d: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
}

/// The sizes; a launch has been type-checked, so they exist.
fn geometry_of(x: &[usize], w: &[usize], options: ConvOptions) -> Geometry {
    Geometry::new("conv2d", x, w, options).unwrap_or_else(|e| unreachable!("checked by infer: {e}"))
}

pub(super) fn forward([x, w]: [&Array; 2], bias: Option<&Array>, added: Option<&Array>, options: ConvOptions) -> Array {
    let g = geometry_of(&x.shape, &w.shape, options);
    let shape = if x.shape.len() == 2 { vec![g.n, g.o] } else { vec![g.n, g.o, g.oh, g.ow] };
    let mut y = Array::zeros(&shape);
    if let Some(bias) = bias {
        for (i, v) in y.data.iter_mut().enumerate() {
            *v = bias.data[i / (g.oh * g.ow) % g.o];
        }
    }
    products(&g, |xi, wi, yi| y.data[yi] += x.data[xi] * w.data[wi]);
    let y = match added {
        Some(added) => y.zip(added, |sum, other| sum + other),
        None => y,
    };
    if options.relu { y.map(crate::ops::pointwise::unary::relu_of) } else { y }
}

pub(super) fn input_grad(gy: &Array, w: &Array, x: &[usize], options: ConvOptions) -> Array {
    let mut gx = Array::zeros(x);
    products(&geometry_of(x, &w.shape, options), |xi, wi, yi| gx.data[xi] += gy.data[yi] * w.data[wi]);
    gx
}

pub(super) fn weight_grad(x: &Array, gy: &Array, w: &[usize], options: ConvOptions) -> Array {
    let mut gw = Array::zeros(w);
    products(&geometry_of(&x.shape, w, options), |xi, wi, yi| gw.data[wi] += x.data[xi] * gy.data[yi]);
    gw
}

/// For each element of a row-major weight of this shape: its feature among those of all groups, its output and its
/// place.
pub(super) fn features(shape: &[usize], groups: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
    let (outputs, features): (usize, usize) = (shape[0], shape[1..].iter().product());
    let owner = move |output: usize| output / (outputs / groups);
    (0..outputs * features).map(move |at| {
        let (output, feature) = (at / features, at % features);
        (owner(output) * features + feature, output, at)
    })
}

/// The bias that takes the mean of the patches off.
pub(super) fn shifted_bias(w: &Array, mean: &Array, bias: Option<&Array>, groups: usize) -> Array {
    let mut shifted = bias.cloned().unwrap_or_else(|| Array::zeros(&w.shape[..1]));
    for (feature, output, at) in features(&w.shape, groups) {
        shifted.data[output] -= w.data[at] * mean.data[feature];
    }
    shifted
}

/// Takes the share of the mean of the patches off a weight's gradient.
pub(super) fn center_weight_grad(gw: &mut Array, mean: &Array, gy: &Array, groups: usize) {
    let [n, o, h, w] = gy.nchw();
    let mut sums = vec![0.0; o];
    (0..n * o * h * w).for_each(|i| sums[i / (h * w) % o] += gy.data[i]);
    for (feature, output, at) in features(&gw.shape.clone(), groups) {
        gw.data[at] -= mean.data[feature] * sums[output];
    }
}
