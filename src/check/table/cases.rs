//! What lines of the table share: sizes beside the random ones, and operations with a choice of options.

use super::super::{Bench, Sizes};
use crate::Result;
use crate::ops::{
    self, Activation, BlockLayout, ConvOptions, CrossEntropyOptions, NormOptions, PatchOptions, SgdOptions,
};
use crate::tape::Var;

/// Output channels on both sides of every tile, at a stride whose adjoint is a plain convolution and at one whose is
/// not.
pub(super) fn channel_corners() -> Vec<Sizes> {
    let channels = [(1, 1), (2, 5), (3, 9), (4, 17), (5, 33), (9, 64), (18, 6), (33, 2), (70, 3), (64, 70)];
    let at = |stride: usize| channels.map(|(c, o)| Sizes { c, o, stride, ..Sizes::SMALL });
    // Few pixels take the same tile whatever the channels.
    let channels = [(140, 2), (33, 5), (17, 9), (9, 17), (5, 33), (2, 140)];
    let many = |stride: usize| channels.map(|(c, o)| Sizes { c, o, h: 17, w: 17, stride, ..Sizes::SMALL });
    [&at(1)[..], &at(2), &many(1), &many(2)].concat()
}

/// Enough pixels for one tap to be a product of matrices, which channels in whole vectors are and others are not.
pub(super) fn pixel_corners() -> Vec<Sizes> {
    let channels = [(1, 1), (4, 1), (8, 5), (12, 9), (5, 17), (36, 33), (64, 70), (140, 2), (2, 140), (212, 66)];
    let corner = |(i, (c, o))| Sizes { n: 3, c, o, h: 9, w: 11, choice: i, ..Sizes::SMALL };
    channels.into_iter().enumerate().map(corner).collect()
}

/// Rows of more vectors than one invocation reads, and more rows and fewer or more columns than a workgroup sums.
pub(super) fn reduction_corners() -> Vec<Sizes> {
    let sizes =
        [(1, 65, 1, 1), (3, 70, 1, 1), (5, 261, 1, 1), (2, 258, 3, 1), (3, 2, 33, 17), (1, 5, 41, 29), (1, 4101, 3, 7)];
    sizes.iter().map(|(n, c, h, w)| Sizes { n: *n, c: *c, h: *h, w: *w, ..Sizes::SMALL }).collect()
}

/// Matrices on both sides of every tile, and few tiles with long sums: in parts of k on GPUs.
pub(super) fn matrix_corners() -> Vec<Sizes> {
    let sizes = [(1, 1), (3, 4), (4, 9), (13, 17), (19, 40), (17, 70), (70, 13), (67, 67), (35, 130), (40, 35)];
    let long = [(193, 70, 1), (210, 1, 70), (257, 66, 35), (330, 13, 67), (9, 17, 211)];
    let sizes = sizes.into_iter().map(|(c, o)| (c, o, 9)).chain(long);
    sizes.map(|(c, o, h)| Sizes { c, o, h, ..Sizes::SMALL }).collect()
}

/// Windows that have a kernel variant of their own.
pub(super) fn window_corners() -> Vec<Sizes> {
    [(2, 2, 0), (3, 2, 1), (2, 1, 1), (5, 3, 2)]
        .map(|(k, stride, padding)| Sizes { k, stride, padding, h: 7, ..Sizes::SMALL })
        .to_vec()
}

/// Kernels 1, 2 and 3 with blocks that divide and that do not, in both modes.
pub(super) fn block_corners() -> Vec<Sizes> {
    let corner =
        |i: usize| Sizes { c: [4, 8, 6, 12, 24][i % 5], k: 1 + i % 3, stride: 1 + i % 2, choice: i, ..Sizes::SMALL };
    (0..10).map(corner).collect()
}

pub(super) fn unary(b: &mut Bench, s: Sizes, f: Activation) -> Result<Vec<Var>> {
    // Up to 8: both kinks of relu6 lie between values.
    let x = b.scaled(&s.map(), 8.0)?;
    Ok(vec![ops::activation(&mut b.tape, x, f)?])
}

fn loss_options(s: Sizes) -> CrossEntropyOptions {
    CrossEntropyOptions {
        ignore_index: if s.choice % 2 == 1 { Some(0) } else { None },
        label_smoothing: [0.0, 0.1, 0.5][s.choice % 3],
    }
}

pub(super) fn cross_entropy(b: &mut Bench, s: Sizes, logits: Var, labels: Var) -> Result<Vec<Var>> {
    let found = ops::cross_entropy_hits(&mut b.tape, logits, labels, loss_options(s))?;
    b.observed.extend([found.count, found.hits]);
    Ok(vec![found.loss])
}

pub(super) fn cross_entropy_weighted(b: &mut Bench, s: Sizes, logits: Var, labels: Var) -> Result<Vec<Var>> {
    let weights = b.random(&[s.c]).map(f64::abs);
    let weights = b.given(weights);
    let found = ops::cross_entropy_weighted(&mut b.tape, logits, labels, weights, loss_options(s))?;
    b.observed.extend([found.count, found.hits]);
    Ok(vec![found.loss])
}

pub(super) fn sgd(b: &mut Bench, s: Sizes, options: SgdOptions) -> Result<Vec<Var>> {
    let shape = [s.o, s.c, s.k];
    let (parameter, buffer, gradient) = (b.state(&shape), b.state(&shape), b.leaf(&shape));
    ops::sgd(&mut b.tape, parameter, gradient, (options.momentum != 0.0).then_some(buffer), options)?;
    b.observed.extend([parameter, buffer]);
    Ok(Vec::new())
}

/// Iterations of Newton-Schulz: below and above the bound of the one-triangle products.
pub(super) fn iterations(s: Sizes) -> usize {
    [5, 3, 12, 1, 7, 2, 10, 4][s.choice % 8]
}

/// A ReLU's output, its covariance and mean, and how they are cut.
pub(super) fn covariance_of_relu(b: &mut Bench, s: Sizes) -> Result<(Var, [Var; 2], BlockLayout)> {
    let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
    let x = ops::relu(&mut b.tape, x)?;
    let (layout, sampling) = s.layout(1)?;
    let found = ops::covariance(&mut b.tape, x, layout, sampling, 1e-2)?;
    Ok((x, [found.covariance, found.mean], layout))
}

pub(super) fn batch_norm(b: &mut Bench, s: Sizes, relu: bool) -> Result<Vec<Var>> {
    let x = b.activation(&s.map())?;
    let (weight, bias) = (b.leaf(&[s.c]), b.leaf(&[s.c]));
    let norm = ops::batch_norm(&mut b.tape, x, weight, bias, NormOptions { eps: 1e-3, relu, ..Default::default() })?;
    b.observed.extend([norm.mean, norm.variance]);
    Ok(vec![norm.y])
}

pub(super) fn batch_norm_eval(b: &mut Bench, s: Sizes, relu: bool) -> Result<Vec<Var>> {
    let x = b.activation(&s.map())?;
    let (weight, bias) = (b.leaf(&[s.c]), b.leaf(&[s.c]));
    let statistics = [b.state(&[s.c]), b.state(&[s.c])];
    let options = NormOptions { eps: 1e-3, relu, ..Default::default() };
    Ok(vec![ops::batch_norm_eval(&mut b.tape, x, weight, bias, statistics, options)?])
}

pub(super) fn grouped(b: &mut Bench, s: Sizes, inputs: usize, outputs: usize, groups: usize) -> Result<Vec<Var>> {
    let x = b.activation(&s.map_for_kernel(inputs, s.dilation))?;
    let (w, bias) = (b.leaf(&[outputs, inputs / groups, s.k, s.k]), b.leaf(&[outputs]));
    let options = ConvOptions { relu: s.choice % 5 == 4, ..s.conv_options(groups) };
    Ok(vec![ops::conv2d(&mut b.tape, x, w, Some(bias), options)?])
}

pub(super) fn on_columns(b: &mut Bench, s: Sizes, x: Var, w: Var, bias: Var, groups: usize) -> Result<Vec<Var>> {
    let (shape, options) = (b.tape.shape(w).to_vec(), s.conv_options(groups));
    let columns = ops::weight_columns(&mut b.tape, w, groups)?;
    Ok(vec![ops::conv2d_columns(&mut b.tape, x, columns, &shape, Some(bias), options)?])
}

pub(super) fn centered(b: &mut Bench, s: Sizes, x: Var, w: Var, bias: Option<Var>, groups: usize) -> Result<Vec<Var>> {
    let (shape, options) = (b.tape.shape(w).to_vec(), s.conv_options(groups));
    let columns = ops::weight_columns(&mut b.tape, w, groups)?;
    let mean = b.activation(&[1, groups * shape[1..].iter().product::<usize>()])?;
    Ok(vec![ops::conv2d_centered(&mut b.tape, [x, mean], columns, &shape, bias, options)?])
}

/// More vectors and rows than one pass over the terms of a loss takes.
pub(super) fn long_corner() -> Vec<Sizes> {
    vec![Sizes { n: 3, c: 5, h: 83, w: 71, ..Sizes::SMALL }]
}

pub(super) fn patch_options(s: Sizes) -> PatchOptions {
    let mut kernel = [s.k, 1 + s.choice % s.k];
    if s.seed % 2 == 1 {
        kernel.reverse();
    }
    PatchOptions { kernel, stride: s.stride, padding: s.padding, dilation: s.dilation }
}
