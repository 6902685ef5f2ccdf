//! Every operation of the engine, one line each: how to build it on a tape from sizes. The reference test, the
//! finite-difference test, the coverage check and `mexhat doctor` run this table; a new operation joins by its line.

use super::{Bench, Sizes};
use crate::Result;
use crate::ops::{
    self, Activation, AdamOptions, BlockLayout, ConvOptions, CrossEntropyOptions, Epilogue, NormOptions, PatchOptions,
    ScalarStatistics, SgdOptions,
};
use crate::tape::{Array, Type, Var};

/// Builds the operation and returns its outputs; those with a gradient are differentiated.
pub type Build = fn(&mut Bench, Sizes) -> Result<Vec<Var>>;

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Name of the line.
    pub name: &'static str,
    /// Records it.
    pub build: Build,
    /// Of the GPU against the reference, over the largest value of the output.
    pub tolerance: f64,
    /// Sizes that reach the kernel variants which random small sizes do not.
    pub corners: fn() -> Vec<Sizes>,
}

const fn op(name: &'static str, build: Build) -> Operation {
    Operation { name, build, tolerance: 1e-4, corners: Vec::new }
}

impl Operation {
    /// For operations that amplify rounding.
    const fn within(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// Runs these sizes always, besides the random ones.
    const fn at(self, corners: fn() -> Vec<Sizes>) -> Self {
        Self { corners, ..self }
    }
}

/// Output channels on both sides of every tile, at a stride whose adjoint is a plain convolution and at one whose is not.
fn channel_corners() -> Vec<Sizes> {
    let channels = [(1, 1), (2, 5), (3, 9), (4, 17), (5, 33), (9, 64), (18, 6), (33, 2), (70, 3), (64, 70)];
    let at = |stride: usize| channels.map(|(c, o)| Sizes { c, o, stride, ..Sizes::SMALL });
    // Few pixels take the same tile whatever the channels.
    let channels = [(140, 2), (33, 5), (17, 9), (9, 17), (5, 33), (2, 140)];
    let many = |stride: usize| channels.map(|(c, o)| Sizes { c, o, h: 17, w: 17, stride, ..Sizes::SMALL });
    [&at(1)[..], &at(2), &many(1), &many(2)].concat()
}

/// Enough pixels for one tap to be a product of matrices, which channels in whole vectors are and others are not.
fn pixel_corners() -> Vec<Sizes> {
    let channels = [(1, 1), (4, 1), (8, 5), (12, 9), (5, 17), (36, 33), (64, 70), (140, 2), (2, 140)];
    let corner = |(i, (c, o))| Sizes { n: 3, c, o, h: 9, w: 11, choice: i, ..Sizes::SMALL };
    channels.into_iter().enumerate().map(corner).collect()
}

/// Rows of more vectors than one invocation reads, and more rows and fewer or more columns than a workgroup sums.
fn reduction_corners() -> Vec<Sizes> {
    let sizes =
        [(1, 65, 1, 1), (3, 70, 1, 1), (5, 261, 1, 1), (2, 258, 3, 1), (3, 2, 33, 17), (1, 5, 41, 29), (1, 4101, 3, 7)];
    sizes.iter().map(|(n, c, h, w)| Sizes { n: *n, c: *c, h: *h, w: *w, ..Sizes::SMALL }).collect()
}

/// Matrices on both sides of every tile.
fn matrix_corners() -> Vec<Sizes> {
    let sizes = [(1, 1), (3, 4), (4, 9), (13, 17), (19, 40), (17, 70), (70, 13), (67, 67), (35, 130), (40, 35)];
    sizes.iter().map(|(c, o)| Sizes { c: *c, o: *o, h: 9, ..Sizes::SMALL }).collect()
}

/// Windows that have a kernel variant of their own.
fn window_corners() -> Vec<Sizes> {
    [(2, 2, 0), (3, 2, 1), (2, 1, 1), (5, 3, 2)]
        .map(|(k, stride, padding)| Sizes { k, stride, padding, h: 7, ..Sizes::SMALL })
        .to_vec()
}

/// Kernels 1, 2 and 3 with blocks that divide and that do not, in both modes.
fn block_corners() -> Vec<Sizes> {
    let corner =
        |i: usize| Sizes { c: [4, 8, 6, 12, 24][i % 5], k: 1 + i % 3, stride: 1 + i % 2, choice: i, ..Sizes::SMALL };
    (0..10).map(corner).collect()
}

fn unary(b: &mut Bench, s: Sizes, f: Activation) -> Result<Vec<Var>> {
    // Up to 8: both kinks of relu6 lie between values.
    let x = b.scaled(&s.map(), 8.0)?;
    Ok(vec![ops::activation(&mut b.tape, x, f)?])
}

fn cross_entropy(b: &mut Bench, s: Sizes, logits: Var, labels: Var) -> Result<Vec<Var>> {
    let options = CrossEntropyOptions {
        ignore_index: if s.choice % 2 == 1 { Some(0) } else { None },
        label_smoothing: [0.0, 0.1, 0.5][s.choice % 3],
    };
    let found = ops::cross_entropy_hits(&mut b.tape, logits, labels, options)?;
    b.observed.extend([found.count, found.hits]);
    Ok(vec![found.loss])
}

fn sgd(b: &mut Bench, s: Sizes, options: SgdOptions) -> Result<Vec<Var>> {
    let shape = [s.o, s.c, s.k];
    let (parameter, buffer, gradient) = (b.state(&shape), b.state(&shape), b.leaf(&shape));
    ops::sgd(&mut b.tape, parameter, gradient, (options.momentum != 0.0).then_some(buffer), options)?;
    b.observed.extend([parameter, buffer]);
    Ok(Vec::new())
}

/// Iterations of Newton-Schulz: below and above the bound of the one-triangle products.
fn iterations(s: Sizes) -> usize {
    [5, 3, 12, 1, 7, 2, 10, 4][s.choice % 8]
}

/// A ReLU's output, its covariance and mean, and how they are cut.
fn covariance_of_relu(b: &mut Bench, s: Sizes) -> Result<(Var, [Var; 2], BlockLayout)> {
    let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
    let x = ops::relu(&mut b.tape, x)?;
    let (layout, sampling) = s.layout(1)?;
    let found = ops::covariance(&mut b.tape, x, layout, sampling, 1e-2)?;
    Ok((x, [found.covariance, found.mean], layout))
}

fn batch_norm(b: &mut Bench, s: Sizes, relu: bool) -> Result<Vec<Var>> {
    let x = b.activation(&s.map())?;
    let (weight, bias) = (b.leaf(&[s.c]), b.leaf(&[s.c]));
    let norm = ops::batch_norm(&mut b.tape, x, weight, bias, NormOptions { eps: 1e-3, relu })?;
    b.observed.extend([norm.mean, norm.variance]);
    Ok(vec![norm.y])
}

fn batch_norm_eval(b: &mut Bench, s: Sizes, relu: bool) -> Result<Vec<Var>> {
    let x = b.activation(&s.map())?;
    let (weight, bias) = (b.leaf(&[s.c]), b.leaf(&[s.c]));
    let statistics = [b.state(&[s.c]), b.state(&[s.c])];
    let options = NormOptions { eps: 1e-3, relu };
    Ok(vec![ops::batch_norm_eval(&mut b.tape, x, weight, bias, statistics, options)?])
}

fn grouped(b: &mut Bench, s: Sizes, inputs: usize, outputs: usize, groups: usize) -> Result<Vec<Var>> {
    let x = b.activation(&s.map_for_kernel(inputs, s.dilation))?;
    let (w, bias) = (b.leaf(&[outputs, inputs / groups, s.k, s.k]), b.leaf(&[outputs]));
    let options = ConvOptions { relu: s.choice % 5 == 4, ..s.conv_options(groups) };
    Ok(vec![ops::conv2d(&mut b.tape, x, w, Some(bias), options)?])
}

fn on_columns(b: &mut Bench, s: Sizes, x: Var, w: Var, bias: Var, groups: usize) -> Result<Vec<Var>> {
    let (shape, options) = (b.tape.shape(w).to_vec(), s.conv_options(groups));
    let columns = ops::weight_columns(&mut b.tape, w, groups)?;
    Ok(vec![ops::conv2d_columns(&mut b.tape, x, columns, &shape, Some(bias), options)?])
}

fn centered(b: &mut Bench, s: Sizes, x: Var, w: Var, bias: Option<Var>, groups: usize) -> Result<Vec<Var>> {
    let (shape, options) = (b.tape.shape(w).to_vec(), s.conv_options(groups));
    let columns = ops::weight_columns(&mut b.tape, w, groups)?;
    let mean = b.activation(&[1, groups * shape[1..].iter().product::<usize>()])?;
    Ok(vec![ops::conv2d_centered(&mut b.tape, [x, mean], columns, &shape, bias, options)?])
}

/// More vectors and rows than one pass over the terms of a loss takes.
fn long_corner() -> Vec<Sizes> {
    vec![Sizes { n: 3, c: 5, h: 83, w: 71, ..Sizes::SMALL }]
}

fn patch_options(s: Sizes) -> PatchOptions {
    let mut kernel = [s.k, 1 + s.choice % s.k];
    if s.seed % 2 == 1 {
        kernel.reverse();
    }
    PatchOptions { kernel, stride: s.stride, padding: s.padding, dilation: s.dilation }
}

/// Every operation.
pub const OPERATIONS: &[Operation] = &[
    op("add", |b, s| {
        let (x, y) = (b.activation(&s.map())?, b.activation(&s.map())?);
        Ok(vec![ops::add(&mut b.tape, x, y)?])
    }),
    op("add a value to itself", |b, s| {
        let x = b.activation(&[s.n, s.c])?;
        Ok(vec![ops::add(&mut b.tape, x, x)?])
    }),
    op("constant", |b, s| {
        Ok(vec![
            ops::constant(&mut b.tape, Type::vec4(&s.map()), 1.5)?,
            ops::constant(&mut b.tape, Type::plain(&[s.c, s.k]), -2.0)?,
            ops::constant(&mut b.tape, Type::plain(&[s.c]), 0.25)?,
        ])
    }),
    op("to_plain", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::to_plain(&mut b.tape, x)?])
    }),
    op("column_sum", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::column_sum(&mut b.tape, x)?])
    })
    .at(reduction_corners),
    op("relu", |b, s| unary(b, s, Activation::Relu)),
    op("relu6", |b, s| unary(b, s, Activation::Relu6)),
    op("sigmoid", |b, s| unary(b, s, Activation::Sigmoid)),
    op("tanh", |b, s| unary(b, s, Activation::Tanh)),
    op("swish", |b, s| unary(b, s, Activation::Swish)),
    op("leaky_relu", |b, s| unary(b, s, Activation::LeakyRelu { slope: 0.125 })),
    op("conv2d", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let w = b.leaf(&[s.o, s.c, s.k, s.k]);
        let bias = if s.choice.is_multiple_of(2) { Some(b.leaf(&[s.o])) } else { None };
        Ok(vec![ops::conv2d(&mut b.tape, x, w, bias, s.conv_options(1))?])
    })
    .at(channel_corners),
    op("conv2d with relu", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let (w, bias) = (b.leaf(&[s.o, s.c, s.k, s.k]), b.leaf(&[s.o]));
        let options = ConvOptions { relu: true, ..s.conv_options(1) };
        Ok(vec![ops::conv2d(&mut b.tape, x, w, Some(bias), options)?])
    })
    .at(channel_corners),
    op("conv2d of a ReLU that is used twice", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let x = ops::relu(&mut b.tape, x)?;
        let w = b.leaf(&[s.o, s.c, s.k, s.k]);
        // The other use comes first in the gradient, and the convolution's adds and masks.
        Ok(vec![ops::conv2d(&mut b.tape, x, w, None, s.conv_options(1))?, ops::sigmoid(&mut b.tape, x)?])
    })
    .at(channel_corners),
    op("conv2d of one tap", |b, s| {
        let (x, w) = (b.activation(&s.map())?, b.leaf(&[s.o, s.c, 1, 1]));
        let bias = if s.choice.is_multiple_of(3) { None } else { Some(b.leaf(&[s.o])) };
        let options = ConvOptions { relu: s.choice % 2 == 1, ..Default::default() };
        Ok(vec![ops::conv2d(&mut b.tape, x, w, bias, options)?])
    })
    .at(pixel_corners),
    op("conv2d of a residual block", |b, s| {
        let (x, kernel, groups) = (b.activation(&s.map())?, s.k | 1, if s.choice % 5 == 4 { s.c } else { 1 });
        let w = b.leaf(&[s.c, s.c / groups, kernel, kernel]);
        let bias = if s.choice.is_multiple_of(2) { Some(b.leaf(&[s.c])) } else { None };
        let options = ConvOptions { padding: kernel / 2, groups, relu: s.choice % 3 > 0, ..Default::default() };
        let epilogue = Epilogue { bias, added: Some(x) };
        let y = if s.choice % 4 < 2 {
            ops::conv2d(&mut b.tape, x, w, epilogue, options)?
        } else {
            let (shape, columns) = (b.tape.shape(w).to_vec(), ops::weight_columns(&mut b.tape, w, groups)?);
            ops::conv2d_columns(&mut b.tape, x, columns, &shape, epilogue, options)?
        };
        // What this gives to x is there when the convolution's gradient comes.
        Ok(vec![ops::add(&mut b.tape, y, x)?])
    })
    .at(channel_corners),
    op("conv2d in groups", |b, s| {
        let inputs = [1, 2, 3, 4][s.choice % 4] * s.groups;
        let outputs = [1, 2, 3, 4][s.choice / 3] * s.groups;
        grouped(b, s, inputs, outputs, s.groups)
    }),
    op("conv2d in many groups", |b, s| grouped(b, s, s.c, s.c * (1 + s.choice % 3), s.c)),
    op("conv2d in groups of whole vectors", |b, s| {
        let groups = s.groups + 1;
        grouped(b, s, 4 * groups * (1 + s.choice % 2), 4 * groups * (1 + s.choice / 6), groups)
    }),
    op("conv2d of single channels", |b, s| {
        let s = Sizes { k: [3, 5][s.choice % 2], stride: 1, dilation: 1, ..s };
        grouped(b, s, s.c, s.c, s.c)
    })
    .at(|| {
        // More than one strip of rows, and more than one tile of columns to a split; without a ReLU behind it, and with one.
        let strips = Sizes { c: 6, h: 70, w: 5, ..Sizes::SMALL };
        let splits = Sizes { n: 3, c: 509, h: 4, w: 13, ..Sizes::SMALL };
        [strips, splits].into_iter().flat_map(|s| [0, 1, 4, 9].map(|choice| Sizes { choice, ..s })).collect()
    }),
    op("linear", |b, s| {
        let x = b.activation(&[s.n, s.c])?;
        let (w, bias) = (b.leaf(&[s.o, s.c]), b.leaf(&[s.o]));
        Ok(vec![ops::linear(&mut b.tape, x, w, Some(bias))?])
    })
    .at(channel_corners),
    op("max_pool2d", |b, s| {
        // Values far apart, so that no step of a difference changes the winner.
        let x = b.scaled(&s.map_for_window(), 100.0)?;
        Ok(vec![ops::max_pool2d(&mut b.tape, x, s.k, s.stride, s.window_padding())?])
    })
    .at(window_corners),
    op("avg_pool2d", |b, s| {
        let x = b.activation(&s.map_for_window())?;
        Ok(vec![ops::avg_pool2d(&mut b.tape, x, s.k, s.stride, s.window_padding())?])
    })
    .at(window_corners),
    op("adaptive_avg_pool2d", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::adaptive_avg_pool2d(&mut b.tape, x, [s.o, s.k])?])
    }),
    op("global_avg_pool", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::global_avg_pool(&mut b.tape, x)?])
    }),
    op("bilinear", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::bilinear(&mut b.tape, x, [s.o, 2 * s.k])?])
    }),
    op("batch_norm", |b, s| batch_norm(b, s, false)).at(reduction_corners),
    op("batch_norm with relu", |b, s| batch_norm(b, s, true)).at(reduction_corners),
    op("batch_norm_eval", |b, s| batch_norm_eval(b, s, false)),
    op("batch_norm_eval with relu", |b, s| batch_norm_eval(b, s, true)),
    op("running_average", |b, s| {
        let (target, value) = (b.state(&[s.c]), b.leaf(&[s.c]));
        ops::running_average(&mut b.tape, target, value, 0.1, 1.25)?;
        b.observed.push(target);
        Ok(Vec::new())
    }),
    op("sgd", |b, s| sgd(b, s, SgdOptions { weight_decay: 0.01, ..SgdOptions::default() })),
    op("sgd with momentum", |b, s| {
        sgd(b, s, SgdOptions { momentum: 0.9, weight_decay: 0.01, nesterov: s.choice % 2 == 1 })
    }),
    op("clip_grad_norm", |b, s| {
        // One parameter beyond one workgroup; bounds well below and above the norm.
        let gradients = [b.random(&[s.o, s.c, s.k]), b.random(&[s.o * 700 + s.c])].map(|values| b.given(values));
        let clipped = ops::clip_grad_norm(&mut b.tape, &gradients, [0.5, 1e4][s.choice % 2])?;
        b.observed.extend(clipped);
        Ok(Vec::new())
    }),
    op("adam", |b, s| {
        let shape = [s.o, s.c, s.k];
        let [parameter, first, second] = [0; 3].map(|_| b.state(&shape));
        let gradient = b.leaf(&shape);
        let decoupled = s.choice % 2 == 1;
        let options = AdamOptions { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, decoupled };
        ops::adam(&mut b.tape, parameter, gradient, [first, second], options)?;
        b.observed.extend([parameter, first, second]);
        Ok(Vec::new())
    }),
    op("first_then_average", |b, s| {
        let (target, value) = (b.state(&[s.c]), b.leaf(&[s.c]));
        let steps = b.state_of(&[1], vec![(s.choice % 2) as f32]);
        ops::first_then_average(&mut b.tape, target, value, steps, 0.25)?;
        ops::count_step(&mut b.tape, steps)?;
        b.observed.extend([target, steps]);
        Ok(Vec::new())
    }),
    op("cross_entropy of rows", |b, s| {
        let logits = b.scaled(&[s.n, s.c], 3.0)?;
        let labels = b.labels(&[s.n], s.c);
        cross_entropy(b, s, logits, labels)
    })
    .at(reduction_corners),
    op("cross_entropy of pixels", |b, s| {
        let logits = b.scaled(&s.map(), 3.0)?;
        let labels = b.labels(&[s.n, s.h, s.w], s.c);
        cross_entropy(b, s, logits, labels)
    })
    .at(reduction_corners),
    op("cross_entropy of ties", |b, s| {
        // Whole numbers, of which none is a negative zero.
        let logits = b.random(&[s.n, s.c]).map(|v| (2.0 * v).round() + 0.0);
        let logits = b.given(logits);
        let (logits, labels) = (ops::to_vec4(&mut b.tape, logits)?, b.labels(&[s.n], s.c.min(3)));
        let loss = cross_entropy(b, s, logits, labels)?;
        b.observed.extend(loss);
        Ok(Vec::new())
    })
    .at(reduction_corners),
    op("l2_onehot", |b, s| {
        let (x, target) = (b.activation(&s.map())?, b.random(&s.map()));
        let target = b.given(target);
        Ok(vec![ops::l2_onehot(&mut b.tape, x, target)?])
    }),
    op("slice of a slice", |b, s| {
        let x = b.activation(&s.map())?;
        let start = s.choice % s.c;
        let end = start + 1 + s.o % (s.c - start);
        let y = ops::slice(&mut b.tape, x, start..end)?;
        // Once more, so that either direction meets the other's padding.
        Ok(vec![ops::slice(&mut b.tape, y, (end - start) / 2..end - start)?])
    }),
    op("im2col", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        Ok(vec![ops::im2col(&mut b.tape, x, patch_options(s))?])
    }),
    op("col2im", |b, s| {
        let [n, c, h, w] = s.map_for_kernel(s.c, s.dilation);
        let options = patch_options(s);
        let [kh, kw] = options.kernel;
        let along = |size: usize, k: usize| (size + 2 * s.padding - s.dilation * (k - 1) - 1) / s.stride + 1;
        let columns = b.leaf(&[n, c * kh * kw, along(h, kh) * along(w, kw)]);
        Ok(vec![ops::col2im(&mut b.tape, columns, [h, w], options)?])
    }),
    op("flatten", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::flatten(&mut b.tape, x)?])
    }),
    op("row_mean and center_rows", |b, s| {
        let rows = b.activation(&[s.n, s.h, s.c])?;
        let mean = ops::row_mean(&mut b.tape, rows)?;
        let centred = ops::center_rows(&mut b.tape, rows, mean)?;
        Ok(vec![mean, centred])
    }),
    op("second_moment", |b, s| {
        let rows = b.activation(&[s.n, s.h * s.w, s.c])?;
        Ok(vec![ops::second_moment(&mut b.tape, rows, 1e-2)?])
    })
    .at(matrix_corners),
    op("every_row", |b, s| {
        let rows = b.activation(&[s.n, s.h * s.w, s.c])?;
        Ok(vec![ops::every_row(&mut b.tape, rows, s.k)?])
    }),
    op("scalar_statistics", |b, s| {
        let x = b.activation(&[s.n, s.c + 1, s.h + 1, s.w + 1])?;
        let found = ops::scalar_statistics(&mut b.tape, x, s.choice % (s.c + 1), s.stride)?;
        Ok(vec![found.mean, found.variance])
    }),
    op("scalar_norm", |b, s| {
        let x = b.activation(&s.map())?;
        let mean = b.leaf(&[1]);
        let variance = b.leaf_of(Array { shape: vec![1], data: vec![0.75] });
        let statistics = ScalarStatistics { mean, variance };
        Ok(vec![ops::scalar_norm(&mut b.tape, x, statistics, s.choice % s.c, 1e-3)?])
    }),
    op("add_relu", |b, s| {
        let (x, y) = (b.activation(&s.map())?, b.activation(&s.map())?);
        Ok(vec![ops::add_relu(&mut b.tape, x, y)?])
    }),
    op("mul", |b, s| {
        let (x, y) = (b.activation(&s.map())?, b.activation(&s.map())?);
        Ok(vec![ops::mul(&mut b.tape, x, y, 1.5)?])
    }),
    op("mul_channels", |b, s| {
        let (x, scale) = (b.activation(&s.map())?, b.activation(&[s.n, s.c])?);
        Ok(vec![ops::mul_channels(&mut b.tape, x, scale)?])
    }),
    op("concat", |b, s| {
        let parts = [s.c, s.o, s.k].map(|channels| b.activation(&[s.n, channels, s.h, s.w]));
        let parts = parts.into_iter().collect::<Result<Vec<Var>>>()?;
        Ok(vec![ops::concat(&mut b.tape, &parts)?])
    }),
    op("slice", |b, s| {
        let x = b.activation(&[s.n, s.c + s.choice, s.h, s.w])?;
        Ok(vec![ops::slice(&mut b.tape, x, s.choice..s.choice + s.c)?])
    }),
    op("dual_path_merge", |b, s| {
        let (x, o) = (b.activation(&s.map())?, b.activation(&[s.n, s.o, s.h, s.w])?);
        Ok(vec![ops::dual_path_merge(&mut b.tape, x, o, 1 + s.choice % s.c.min(s.o))?])
    }),
    op("se_block", |b, s| {
        let x = b.activation(&s.map())?;
        let squeeze = [b.leaf(&[s.o, s.c, 1, 1]), b.leaf(&[s.o])];
        let excite = [b.leaf(&[s.c, s.o, 1, 1]), b.leaf(&[s.c])];
        Ok(vec![ops::se_block(&mut b.tape, x, squeeze, excite)?])
    }),
    op("dropout", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::dropout(&mut b.tape, x, 0.25)?])
    }),
    op("dropout_with_mask", |b, s| {
        let (x, mask) = (b.activation(&s.map())?, b.random(&s.map()).map(|v| f64::from(u8::from(v > 0.0))));
        let mask = b.given(mask);
        let mask = ops::to_vec4(&mut b.tape, mask)?;
        Ok(vec![ops::dropout_with_mask(&mut b.tape, x, mask, 0.5)?])
    }),
    op("softmax", |b, s| {
        let x = b.scaled(&s.map(), 3.0)?;
        Ok(vec![ops::softmax(&mut b.tape, x)?])
    })
    .at(reduction_corners),
    op("log_softmax", |b, s| {
        let x = b.scaled(&s.map(), 3.0)?;
        Ok(vec![ops::log_softmax(&mut b.tape, x)?])
    })
    .at(reduction_corners),
    op("one_hot", |b, s| {
        let labels = b.labels(&[s.n, s.h, s.w], s.c + 1);
        Ok(vec![ops::one_hot(&mut b.tape, labels, &Type::vec4(&s.map()))?])
    }),
    op("mse", |b, s| {
        let (x, target) = (b.activation(&s.map())?, b.random(&s.map()));
        let target = b.given(target);
        Ok(vec![ops::mse(&mut b.tape, x, target)?])
    })
    .at(long_corner),
    op("bce_with_logits", |b, s| {
        let (x, target) = (b.scaled(&s.map(), 3.0)?, b.random(&s.map()).map(f64::abs));
        let target = b.given(target);
        Ok(vec![ops::bce_with_logits(&mut b.tape, x, target)?])
    })
    .at(long_corner),
    op("l2_onehot_labels", |b, s| {
        let (x, labels) = (b.activation(&[s.n, s.c])?, b.labels(&[s.n], s.c));
        Ok(vec![ops::l2_onehot_labels(&mut b.tape, x, labels)?])
    }),
    op("matmul", |b, s| {
        let (x, y) = (b.activation(&[s.n, s.h, s.c])?, b.activation(&[s.n, s.c, s.o])?);
        Ok(vec![ops::matmul(&mut b.tape, x, y)?])
    })
    .at(matrix_corners),
    op("matmul_nt", |b, s| {
        let (x, y) = (b.activation(&[s.n, s.h, s.c])?, b.activation(&[s.n, s.o, s.c])?);
        Ok(vec![ops::matmul_nt(&mut b.tape, x, y)?])
    })
    .at(matrix_corners),
    op("gram of wide", |b, s| {
        let (x, y) = (b.activation(&[s.n, s.h, s.c])?, b.activation(&[s.n, s.h, s.h + s.o])?);
        Ok(vec![ops::gram(&mut b.tape, x, y)?])
    })
    .at(matrix_corners),
    op("gram", |b, s| {
        // More rows than columns: sums in parts.
        let rows = 4 * s.h * s.w;
        let (x, y) = (b.activation(&[s.n, rows, s.c])?, b.activation(&[s.n, rows, s.o])?);
        Ok(vec![ops::gram(&mut b.tape, x, y)?])
    })
    .at(matrix_corners),
    op("transpose", |b, s| {
        let x = b.activation(&[s.n, s.c, s.o])?;
        Ok(vec![ops::transpose(&mut b.tape, x)?])
    }),
    op("im2col_blocks", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let (layout, sampling) = s.layout(1)?;
        Ok(vec![ops::im2col_blocks(&mut b.tape, x, layout, sampling)?])
    })
    .at(block_corners),
    op("col2im_blocks", |b, s| {
        let shape = s.map_for_kernel(s.c, s.dilation);
        let x = b.activation(&shape)?;
        let (layout, sampling) = s.layout(1)?;
        let rows = ops::im2col_blocks(&mut b.tape, x, layout, sampling)?;
        Ok(vec![ops::col2im_blocks(&mut b.tape, rows, Type::vec4(&shape), layout, sampling)?])
    })
    .at(block_corners),
    op("covariance", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let (layout, sampling) = s.layout(1)?;
        let found = ops::covariance(&mut b.tape, x, layout, sampling, 1e-2)?;
        Ok(vec![found.covariance, found.mean])
    })
    .at(block_corners),
    op("max_pool2d of a ReLU", |b, s| {
        let x = b.scaled(&s.map_for_window(), 100.0)?;
        let x = ops::relu(&mut b.tape, x)?;
        ops::max_pool2d(&mut b.tape, x, s.k, s.stride, s.window_padding()).map(|y| vec![y])
    })
    .at(|| {
        // Row 127 of column 1 lies below the only window; as its tap it would be 127 * 2 + 1 = 255, which says that there is no winner.
        let apart = Sizes { c: 33, h: 128, w: 2, k: 2, stride: 128, padding: 0, ..Sizes::SMALL };
        [window_corners(), vec![apart]].concat()
    }),
    op("covariance of a ReLU", |b, s| {
        let (x, [covariance, mean], _) = covariance_of_relu(b, s)?;
        // What others have gathered is masked once, with what is folded.
        Ok(vec![covariance, mean, ops::sigmoid(&mut b.tape, x)?])
    })
    .at(block_corners),
    op("covariance and conv2d of a ReLU", |b, s| {
        let (x, [covariance, mean], _) = covariance_of_relu(b, s)?;
        let w = b.leaf(&[s.o, s.c, s.k, s.k]);
        let options = ConvOptions { stride: 1, ..s.conv_options(1) };
        Ok(vec![covariance, mean, ops::conv2d(&mut b.tape, x, w, None, options)?])
    })
    .at(block_corners),
    op("covariance of groups", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c * s.groups, s.dilation))?;
        let (layout, sampling) = s.layout(s.groups)?;
        let found = ops::covariance(&mut b.tape, x, layout, sampling, 1e-2)?;
        Ok(vec![found.covariance, found.mean])
    }),
    op("newton_schulz", |b, s| {
        let a = b.positive_definite(s.n, s.c)?;
        Ok(vec![ops::newton_schulz(&mut b.tape, a, iterations(s))?])
    })
    .within(1e-3)
    .at(|| {
        let sides = [1, 9, 19, 36, 37, 65, 126, 210].into_iter().flat_map(|c| [0, 2].map(|choice| (c, choice)));
        let numbers = [1, 4, 5, 6, 7].into_iter().map(|choice| (42, choice));
        let fitted = [(259, 0)];
        let all = sides.chain(numbers).chain(fitted);
        all.map(|(c, choice)| Sizes { c, choice, n: 1 + c % 2, ..Sizes::SMALL }).collect()
    }),
    op("newton_schulz_all", |b, s| {
        let a = b.positive_definite(s.n, s.c)?;
        let all = ops::newton_schulz_all(&mut b.tape, a, iterations(s))?;
        b.observed.push(all.z[all.z.len() - 1]);
        Ok(vec![all.deconv])
    })
    .within(1e-3)
    .at(|| {
        let sides = [1, 9, 19, 35, 37].into_iter().flat_map(|c| [0, 2].map(|choice| (c, choice)));
        sides.map(|(c, choice)| Sizes { c, choice, n: 1 + c % 2, ..Sizes::SMALL }).collect()
    }),
    op("newton_schulz_uncoupled", |b, s| {
        let a = b.positive_definite(s.n, s.c)?;
        ops::newton_schulz_uncoupled(&mut b.tape, a, 3)
    })
    .within(1e-3),
    op("weight_columns", |b, s| {
        let w = b.leaf(&[s.o * s.groups, s.c, s.k, s.k]);
        Ok(vec![ops::weight_columns(&mut b.tape, w, s.groups)?])
    })
    .at(block_corners),
    op("weight_columns and back", |b, s| {
        let shape = [s.o * s.groups, s.c, s.k, s.k];
        let w = b.leaf(&shape);
        let columns = ops::weight_columns(&mut b.tape, w, s.groups)?;
        Ok(vec![ops::weight_rows(&mut b.tape, columns, &shape, s.groups)?])
    })
    .at(block_corners),
    op("conv2d_columns", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let (w, bias) = (b.leaf(&[s.o, s.c, s.k, s.k]), b.leaf(&[s.o]));
        on_columns(b, s, x, w, bias, 1)
    })
    .at(channel_corners),
    op("conv2d_columns of one tap", |b, s| {
        let (x, w, bias) = (b.activation(&s.map())?, b.leaf(&[s.o, s.c, 1, 1]), b.leaf(&[s.o]));
        on_columns(b, Sizes { stride: 1, padding: 0, ..s }, x, w, bias, 1)
    })
    .at(pixel_corners),
    op("conv2d_columns of groups", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c * s.groups, s.dilation))?;
        let (w, bias) = (b.leaf(&[s.o * s.groups, s.c, s.k, s.k]), b.leaf(&[s.o * s.groups]));
        on_columns(b, s, x, w, bias, s.groups)
    }),
    op("linear_columns", |b, s| {
        let (x, w, bias) = (b.activation(&[s.n, s.c])?, b.leaf(&[s.o, s.c]), b.leaf(&[s.o]));
        let columns = ops::weight_columns(&mut b.tape, w, 1)?;
        Ok(vec![ops::linear_columns(&mut b.tape, x, columns, &[s.o, s.c], Some(bias))?])
    }),
    op("conv2d_centered", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let (w, bias) = (b.leaf(&[s.o, s.c, s.k, s.k]), b.leaf(&[s.o]));
        centered(b, s, x, w, Some(bias), 1)
    })
    .at(channel_corners),
    op("conv2d_centered of one tap", |b, s| {
        let (x, w) = (b.activation(&s.map())?, b.leaf(&[s.o, s.c, 1, 1]));
        centered(b, Sizes { stride: 1, padding: 0, ..s }, x, w, None, 1)
    })
    .at(pixel_corners),
    op("conv2d_centered in groups", |b, s| {
        let (inputs, outputs) = ([1, 2, 3, 4][s.choice % 4], [1, 2, 3, 4][s.choice / 3]);
        let x = b.activation(&s.map_for_kernel(inputs * s.groups, s.dilation))?;
        let (w, bias) = (b.leaf(&[outputs * s.groups, inputs, s.k, s.k]), b.leaf(&[outputs * s.groups]));
        centered(b, s, x, w, Some(bias), s.groups)
    }),
    op("conv2d_centered in groups of whole vectors", |b, s| {
        let groups = s.groups + 1;
        let x = b.activation(&s.map_for_kernel(4 * groups, s.dilation))?;
        let w = b.leaf(&[8 * groups, 4, s.k, s.k]);
        centered(b, s, x, w, None, groups)
    }),
    op("conv2d_centered of single channels", |b, s| {
        let s = Sizes { k: [3, 5][s.choice % 2], stride: 1, dilation: 1, ..s };
        let (x, w) = (b.activation(&s.map_for_kernel(s.c, 1))?, b.leaf(&[s.c, 1, s.k, s.k]));
        centered(b, s, x, w, None, s.c)
    }),
    op("shifted_bias", |b, s| {
        // More features than one invocation adds up.
        let w = b.activation(&[9 * s.c * s.groups, s.o.next_multiple_of(4)])?;
        let mean = b.activation(&[1, 9 * s.c * s.groups])?;
        let shape = [s.o.next_multiple_of(4) * s.groups, s.c, 3, 3];
        let bias = if s.choice % 3 == 0 { None } else { Some(b.leaf(&shape[..1])) };
        let shifted = ops::shifted_bias(&mut b.tape, [w, mean], bias, &shape, s.groups)?;
        b.observed.push(shifted);
        Ok(Vec::new())
    })
    .at(|| vec![Sizes { c: 17, ..Sizes::SMALL }]),
    op("feature_mean", |b, s| {
        let (layout, _) = s.layout(s.groups)?;
        let mean = b.activation(&[layout.statistics(), layout.d])?;
        Ok(vec![ops::feature_mean(&mut b.tape, mean, layout)?])
    })
    .at(block_corners),
    op("center_rows of an activation", |b, s| {
        let (x, mean) = (b.activation(&[s.n, s.c])?, b.activation(&[1, s.c])?);
        Ok(vec![ops::center_rows(&mut b.tape, x, mean)?])
    }),
    op("fold_weight", |b, s| {
        let (layout, _) = s.layout(s.groups)?;
        let w = b.leaf(&[s.o * s.groups, s.c, s.k, s.k]);
        let deconv = b.activation(&[layout.statistics(), layout.d, layout.d])?;
        Ok(vec![ops::fold_weight(&mut b.tape, w, deconv, layout)?])
    })
    .at(block_corners),
    op("fold_weight of pooled features", |b, s| {
        let layout = BlockLayout::linear(ops::BlockMode::Reference, 4 * s.c, s.c)?;
        let w = b.leaf(&[s.o, 4 * s.c]);
        let deconv = b.activation(&[1, layout.d, layout.d])?;
        let mean = b.activation(&[1, layout.d])?;
        let features = ops::feature_mean(&mut b.tape, mean, layout)?;
        Ok(vec![ops::fold_weight(&mut b.tape, w, deconv, layout)?, features])
    }),
];
