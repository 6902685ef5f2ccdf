//! Batch normalisation (Ioffe & Szegedy 2015), with or without a relu behind it.
//!
//! `y = (x - mean_c) / sqrt(variance_c + eps) weight_c + bias_c`, with the mean and the biased variance of channel c
//! over the batch's M = N H W pixels, or with running ones given from outside.
//!
//! Launches: moments of chunks, their merge, and the normalisation: `x` is read twice and `y` written once. The
//! gradient, with `n = (x - mean) / deviation`,
//!
//! `gb = sum g`, `gw = sum g n`, `gx = weight / deviation (g - gb / M - n gw / M)`,
//!
//! reads `x` and `gy` twice and writes `gx` once; under constant statistics `gx = weight / deviation g`. With a relu
//! `g` is `gy` where `y > 0`, found again from `x`, so the relu costs no memory and no reads.

use crate::gpu::{Average, Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::expect_activation;
use crate::ops::sums::column_sum::{chunks, launch_column_sum};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct MomentsParams { rows: u32, columns4: u32, splits: u32, rows_per_split: u32 }
}
kernel_params! {
    struct NormParams { rows: u32, columns4: u32, spacing: u32, eps: f32 }
}
kernel_params! {
    struct SumsParams { rows: u32, columns4: u32, splits: u32, rows_per_split: u32, eps: f32 }
}
kernel_params! {
    struct CoefficientsParams { rows: u32, columns4: u32, splits: u32, eps: f32 }
}
kernel_params! {
    struct NormGradParams { rows: u32, columns4: u32, spacing: u32 }
}

const RELU: &[&[(&str, u32)]] = &[&[("RELU", 0)], &[("RELU", 1)]];
static MOMENTS: Shader = Shader::new::<MomentsParams>("norm/batch_norm_moments.wgsl", 1, 1);
static MERGE: Shader = Shader::new::<MomentsParams>("norm/batch_norm_merge.wgsl", 1, 2);
static NORM: Shader = Shader::with_variants::<NormParams>("norm/batch_norm.wgsl", 5, 1, RELU);
static SUMS: Shader = Shader::with_variants::<SumsParams>("norm/batch_norm_sums.wgsl", 6, 1, RELU);
static COEFFICIENTS: Shader = Shader::with_variants::<CoefficientsParams>(
    "norm/batch_norm_coefficients.wgsl",
    5,
    3,
    &[&[("FROZEN", 0)], &[("FROZEN", 1)]],
);
static NORM_GRAD: Shader = Shader::with_variants::<NormGradParams>("norm/batch_norm_grad.wgsl", 3, 1, RELU);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&MOMENTS, &MERGE, &NORM, &SUMS, &COEFFICIENTS, &NORM_GRAD];

/// Pixels that one invocation of the element-wise kernels walks.
const WALK: usize = 4;

/// What batch normalisation in training gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchNorm {
    /// The normalised activation.
    pub y: Var,
    /// Mean of each channel over the batch (C). Not differentiable by itself.
    pub mean: Var,
    /// Biased variance of each channel over the batch (C). Not differentiable by itself.
    pub variance: Var,
}

/// How a normalisation is carried out.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (x, weight, bias) = (tape.leaf("x", &[1, 2]), tape.leaf("weight", &[2]), tape.leaf("bias", &[2]));
/// let x = f::to_vec4(&mut tape, x)?;
/// let options = f::NormOptions { eps: 1e-12, relu: true, ..Default::default() };
/// let y = f::group_norm(&mut tape, x, 1, [weight, bias], options)?;
/// assert_eq!(tape.compute(y, &[&[1.0, 3.0], &[1.0, 1.0], &[0.0, 0.0]])?, [0.0, 1.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormOptions {
    /// Added to the variance; above 0.
    pub eps: f32,
    /// True to follow up with `max(y, 0)`.
    pub relu: bool,
    /// True where each of several processes has channels of its own, so that nothing is averaged over them.
    pub own: bool,
}

impl Default for NormOptions {
    fn default() -> Self {
        Self { eps: 1e-5, relu: false, own: false }
    }
}

/// Normalises `x` (N,C,H,W) or (N,C) by the statistics of this batch; `weight` and `bias` are (C).
///
/// # Errors
/// `weight` or `bias` has another length, or `eps` is not above 0.
pub fn batch_norm(tape: &mut Tape, x: Var, weight: Var, bias: Var, options: NormOptions) -> Result<BatchNorm> {
    let out = tape.apply(Train { options }, &[x, weight, bias])?;
    Ok(BatchNorm { y: out[0], mean: out[1], variance: out[2] })
}

/// Normalises `x` by the given `[mean, variance]`, each (C), which count as constants.
///
/// # Errors
/// As [`batch_norm`].
pub fn batch_norm_eval(
    tape: &mut Tape,
    x: Var,
    weight: Var,
    bias: Var,
    [mean, variance]: [Var; 2],
    options: NormOptions,
) -> Result<Var> {
    tape.apply1(Eval { options }, &[x, weight, bias, mean, variance])
}

fn check(op: &'static str, inputs: &[&Type], options: NormOptions) -> Result<()> {
    let x = inputs[0];
    expect_activation(op, x)?;
    if x.is_empty() {
        return Err(Error::shape(op, format!("expected at least one element to normalise, found {x}")));
    }
    let names = ["weight", "bias", "running mean", "running variance"];
    let per_channel = Type::plain(&[x.inner()]);
    for (name, ty) in names.iter().zip(&inputs[1..]) {
        if **ty != per_channel {
            return Err(Error::shape(
                op,
                format!("expected a {name} {per_channel} for the channels of {x}, found {ty}"),
            ));
        }
    }
    // The padding of the last vector of channels has variance 0 and must not divide by it.
    if options.eps <= 0.0 || !options.eps.is_finite() {
        return Err(Error::shape(op, format!("expected eps above 0, found {}", options.eps)));
    }
    Ok(())
}

/// Appends launches that put mean and biased variance of each channel of `x` at `from` into two vectors of channels.
fn launch_moments(
    launch: &mut Launch<'_>,
    [rows, columns4]: [usize; 2],
    own: bool,
    from: Slot,
    [mean, variance]: [Slot; 2],
) {
    let (splits, rows_per_split) = chunks(launch.profile, rows, columns4);
    launch.takes_rounds(2 * rows_per_split);
    let partial = launch.scratch("moments", 2 * splits * columns4 * 4);
    let params = MomentsParams {
        rows: rows as u32,
        columns4: columns4 as u32,
        splits: splits as u32,
        rows_per_split: rows_per_split as u32,
    };
    launch.flat(Kernel::new(&MOMENTS, 0), &params, &[from], &[partial], splits * columns4);
    launch.flat(Kernel::new(&MERGE, 0), &params, &[partial], &[mean, variance], 64 * columns4);
    if !own {
        launch.average(Average::Moments);
    }
}

/// Appends the normalisation itself; `reads` are x, weight, bias, mean, variance.
fn launch_norm(launch: &mut Launch<'_>, [rows, columns4]: [usize; 2], options: NormOptions, reads: &[Slot], y: Slot) {
    let spacing = rows.div_ceil(WALK);
    let params = NormParams { rows: rows as u32, columns4: columns4 as u32, spacing: spacing as u32, eps: options.eps };
    launch.flat(Kernel::new(&NORM, usize::from(options.relu)), &params, reads, &[y], spacing * columns4);
}

#[derive(Debug)]
struct Train {
    options: NormOptions,
}

impl Op for Train {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        check(self.name(), inputs, self.options)?;
        let per_channel = Type::plain(&[inputs[0].inner()]);
        Ok(vec![inputs[0].clone(), per_channel.clone(), per_channel])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        if context.grads[1].is_some() || context.grads[2].is_some() {
            return Err(Error::shape(self.name(), "the batch's mean and variance have no gradient of their own"));
        }
        let statistics = [context.outputs[1], context.outputs[2]];
        gradients(context, NormGrad { options: self.options, frozen: false }, statistics)
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let size = [launch.inputs[0].rows(), launch.inputs[0].inner4()];
        let (reads, [y, mean, variance]) = (launch.reads.clone(), [0, 1, 2].map(|i| launch.writes[i]));
        launch_moments(launch, size, self.options.own, reads[0], [mean, variance]);
        launch_norm(launch, size, self.options, &[reads[0], reads[1], reads[2], mean, variance], y);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [mean, variance] = reference_moments(inputs[0]);
        let y = reference_norm(&[inputs[0], inputs[1], inputs[2], &mean, &variance], self.options);
        vec![y, mean, variance]
    }
}

#[derive(Debug)]
struct Eval {
    options: NormOptions,
}

impl Op for Eval {
    fn name(&self) -> &'static str {
        "batch_norm_eval"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        check(self.name(), inputs, self.options)?;
        Ok(vec![inputs[0].clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let statistics = [context.inputs[3], context.inputs[4]];
        gradients(context, NormGrad { options: self.options, frozen: true }, statistics)
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let size = [launch.inputs[0].rows(), launch.inputs[0].inner4()];
        let (reads, y) = (launch.reads.clone(), launch.writes[0]);
        launch_norm(launch, size, self.options, &reads, y);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![reference_norm(inputs, self.options)]
    }
}

/// The gradients of x, weight and bias, and none for further inputs.
fn gradients(context: &mut Backward<'_>, op: NormGrad, [mean, variance]: [Var; 2]) -> Result<Vec<Option<Var>>> {
    let (grad, inputs) = (context.grad(0)?, context.inputs);
    let grads = context.tape.apply(op, &[inputs[0], grad, inputs[1], inputs[2], mean, variance])?;
    Ok(grads.into_iter().map(Some).chain(std::iter::repeat_n(None, inputs.len() - 3)).collect())
}

/// `gx`, `gw`, `gb` from x, gy, weight, bias, mean, variance; `frozen` statistics do not depend on x.
#[derive(Debug)]
struct NormGrad {
    options: NormOptions,
    frozen: bool,
}

impl Op for NormGrad {
    fn name(&self) -> &'static str {
        "batch_norm_grad"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        crate::ops::expect_same(self.name(), inputs[0], inputs[1])?;
        Ok(vec![inputs[0].clone(), inputs[2].clone(), inputs[3].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (rows, columns4) = (launch.inputs[0].rows(), launch.inputs[0].inner4());
        let (splits, rows_per_split) = chunks(launch.profile, rows, columns4);
        let partial = launch.scratch("sums", 2 * splits * columns4 * 4);
        let coefficients = launch.scratch("coefficients", 5 * columns4 * 4);
        let (reads, writes, relu) = (launch.reads.clone(), launch.writes.clone(), usize::from(self.options.relu));
        let (rows32, columns32, eps) = (rows as u32, columns4 as u32, self.options.eps);

        let (splits32, rows_per_split) = (splits as u32, rows_per_split as u32);
        let sums = SumsParams { rows: rows32, columns4: columns32, splits: splits32, rows_per_split, eps };
        launch.flat(Kernel::new(&SUMS, relu), &sums, &reads, &[partial], splits * columns4);

        // Several processes average one sum of each kind, not those of all chunks.
        let (partial, splits32) = if launch.profile.processes > 1 && !self.options.own {
            let total = launch.scratch("total", 2 * columns4 * 4);
            launch_column_sum(launch, [2, splits, columns4], 1.0, partial, total);
            launch.average(Average::Mean);
            (total, 1)
        } else {
            (partial, splits32)
        };

        let finish = CoefficientsParams { rows: rows32, columns4: columns32, splits: splits32, eps };
        let from = [partial, reads[2], reads[3], reads[4], reads[5]];
        let to = [coefficients, writes[1], writes[2]];
        launch.flat(Kernel::new(&COEFFICIENTS, usize::from(self.frozen)), &finish, &from, &to, 64 * columns4);

        let spacing = rows.div_ceil(WALK);
        let params = NormGradParams { rows: rows32, columns4: columns32, spacing: spacing as u32 };
        let from = [reads[0], reads[1], coefficients];
        launch.flat(Kernel::new(&NORM_GRAD, relu), &params, &from, &[writes[0]], spacing * columns4);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [x, gy, weight, bias, mean, variance] = [0, 1, 2, 3, 4, 5].map(|i| inputs[i]);
        let y = reference_norm(&[x, weight, bias, mean, variance], self.options);
        let g = gy.zip(&y, |g, y| if self.options.relu && y <= 0.0 { 0.0 } else { g });
        let channel = channel_of(x);
        let deviation = variance.map(|v| (v + f64::from(self.options.eps)).sqrt());
        let n = |i: usize| (x.data[i] - mean.data[channel(i)]) / deviation.data[channel(i)];
        let (mut gw, mut gb) = (Array::zeros(&weight.shape), Array::zeros(&bias.shape));
        for i in 0..x.data.len() {
            gw.data[channel(i)] += g.data[i] * n(i);
            gb.data[channel(i)] += g.data[i];
        }
        let part = if self.frozen { 0.0 } else { mean.data.len() as f64 / x.data.len() as f64 };
        let mut gx = Array::zeros(&x.shape);
        for i in 0..x.data.len() {
            let c = channel(i);
            let centred = g.data[i] - part * (gb.data[c] + n(i) * gw.data[c]);
            gx.data[i] = weight.data[c] / deviation.data[c] * centred;
        }
        vec![gx, gw, gb]
    }
}

/// The channel of each row-major element.
fn channel_of(x: &Array) -> impl Fn(usize) -> usize + use<> {
    let [_, c, h, w] = x.nchw();
    move |i| i / (h * w) % c
}

fn reference_moments(x: &Array) -> [Array; 2] {
    let [n, c, h, w] = x.nchw();
    let (channel, count) = (channel_of(x), (n * h * w) as f64);
    let (mut mean, mut variance) = (Array::zeros(&[c]), Array::zeros(&[c]));
    for (i, v) in x.data.iter().enumerate() {
        mean.data[channel(i)] += v / count;
    }
    for (i, v) in x.data.iter().enumerate() {
        variance.data[channel(i)] += (v - mean.data[channel(i)]).powi(2) / count;
    }
    [mean, variance]
}

/// Inputs: x, weight, bias, mean, variance.
fn reference_norm(inputs: &[&Array], options: NormOptions) -> Array {
    let [x, weight, bias, mean, variance] = [0, 1, 2, 3, 4].map(|i| inputs[i]);
    let channel = channel_of(x);
    let mut y = x.clone();
    for (i, v) in y.data.iter_mut().enumerate() {
        let c = channel(i);
        let deviation = (variance.data[c] + f64::from(options.eps)).sqrt();
        *v = (*v - mean.data[c]) / deviation * weight.data[c] + bias.data[c];
        if options.relu {
            *v = crate::ops::pointwise::unary::relu_of(*v);
        }
    }
    y
}
