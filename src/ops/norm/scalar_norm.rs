//! One scalar mean and variance over the last channels of an activation, and the normalisation with them: what
//! `ChannelDeconv` does to the channels that fill no block (method, section 8).
//!
//! `y = (x - mu) / sqrt(var + eps)` over the channels `first..C`. The statistics see every `step`-th value of each
//! image's flat (channel, h, w) list. They are reduced by one workgroup: the channels left over are few.

use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::expect_activation;
use crate::tape::{Array, Backward, Launch, Layout, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct StatisticsParams { count: u32, per_image: u32, step: u32, area: u32, first: u32, stride: u32 }
}
kernel_params! {
    struct StatisticsGradParams {
        vectors: u32, count: u32, step: u32, area: u32, first: u32, channels: u32, channels4: u32,
    }
}
kernel_params! {
    struct NormParams { vectors: u32, first: u32, channels: u32, channels4: u32, eps: f32 }
}
kernel_params! {
    struct NormGradParams { count: u32, per_image: u32, area: u32, first: u32, stride: u32, eps: f32 }
}

static STATISTICS: Shader = Shader::new::<StatisticsParams>("norm/scalar_statistics.wgsl", 1, 2);
static STATISTICS_GRAD: Shader = Shader::new::<StatisticsGradParams>("norm/scalar_statistics_grad.wgsl", 4, 1);
static NORM: Shader =
    Shader::with_variants::<NormParams>("norm/scalar_norm.wgsl", 3, 1, &[&[("CENTER", 0)], &[("CENTER", 1)]]);
static NORM_GRAD: Shader = Shader::new::<NormGradParams>("norm/scalar_norm_grad.wgsl", 4, 2);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&STATISTICS, &STATISTICS_GRAD, &NORM, &NORM_GRAD];

/// What [`scalar_statistics`] finds, each (1).
#[derive(Clone, Copy, Debug)]
pub struct ScalarStatistics {
    /// Mean.
    pub mean: Var,
    /// Unbiased variance.
    pub variance: Var,
}

/// Mean and unbiased variance of all channels from `first` on of `x` (N,C,H,W) or (N,F), together; every `step`-th
/// value of each image's flat (channel, h, w) list.
///
/// # Errors
/// Fewer than two values are sampled, or `step` is 0.
pub fn scalar_statistics(tape: &mut Tape, x: Var, first: usize, step: usize) -> Result<ScalarStatistics> {
    let outputs = tape.apply(Statistics { first, step }, &[x])?;
    Ok(ScalarStatistics { mean: outputs[0], variance: outputs[1] })
}

/// `(x - mean) / sqrt(variance + eps)` in the channels from `first` on, 0 in the others. Reads and writes each element
/// once.
///
/// # Errors
/// `x` is not an activation, or `mean` or `variance` not one row-major number.
pub fn scalar_norm(tape: &mut Tape, x: Var, statistics: ScalarStatistics, first: usize, eps: f32) -> Result<Var> {
    tape.apply1(Norm { first, eps }, &[x, statistics.mean, statistics.variance])
}

/// Places of the channels from `first` on: `per_image` sampled values in each of `n` images.
struct Leftover {
    n: usize,
    channels: usize,
    area: usize,
    first: usize,
    step: usize,
    per_image: usize,
}

impl Leftover {
    fn new([n, channels, h, w]: [usize; 4], first: usize, step: usize) -> Self {
        let (area, left) = (h * w, channels.saturating_sub(first));
        Self { n, channels, area, first, step, per_image: (left * area).div_ceil(step.max(1)) }
    }

    fn count(&self) -> usize {
        self.n * self.per_image
    }

    fn vectors(&self) -> usize {
        self.n * self.area * self.channels.div_ceil(4)
    }

    fn stride(&self) -> usize {
        self.channels.next_multiple_of(4)
    }

    /// Places in the row-major activation.
    fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let at = |k: usize| {
            let (image, flat) = (k / self.per_image, k % self.per_image * self.step);
            (image * self.channels + self.first) * self.area + flat
        };
        (0..self.count()).map(at)
    }
}

#[derive(Debug)]
struct Statistics {
    first: usize,
    step: usize,
}

impl Op for Statistics {
    fn name(&self) -> &'static str {
        "scalar_statistics"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), inputs[0])?;
        let count = Leftover::new(inputs[0].nchw(), self.first, self.step).count();
        if self.step == 0 || count < 2 {
            let what = format!(
                "an unbiased variance needs two values: expected more images or pixels, found {count} sampled in {} from channel {} by step {}",
                inputs[0], self.first, self.step
            );
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![Type::plain(&[1]); 2])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        if !context.needs(0) {
            return Ok(vec![None]);
        }
        let mut inputs = vec![context.inputs[0], context.outputs[0]];
        for grad in context.grads {
            inputs.push(match grad {
                Some(grad) => *grad,
                None => crate::ops::constant(context.tape, Type::plain(&[1]), 0.0)?,
            });
        }
        let op = StatisticsGrad { first: self.first, step: self.step };
        Ok(vec![Some(context.tape.apply1(op, &inputs)?)])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let left = Leftover::new(launch.inputs[0].nchw(), self.first, self.step);
        let params = StatisticsParams {
            count: left.count() as u32,
            per_image: left.per_image as u32,
            step: self.step as u32,
            area: left.area as u32,
            first: self.first as u32,
            stride: left.stride() as u32,
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.dispatch(Kernel::new(&STATISTICS, 0), &params, &reads, &writes, [1, 1, 1]);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let left = Leftover::new(inputs[0].nchw(), self.first, self.step);
        let count = left.count() as f64;
        let mean = left.places().map(|at| inputs[0].data[at]).sum::<f64>() / count;
        let squares: f64 = left.places().map(|at| (inputs[0].data[at] - mean).powi(2)).sum();
        [mean, squares / (count - 1.0)].map(|v| Array { shape: vec![1], data: vec![v] }).to_vec()
    }
}

/// Inputs: x, mean, and the gradients of mean and variance.
#[derive(Debug)]
struct StatisticsGrad {
    first: usize,
    step: usize,
}

impl Op for StatisticsGrad {
    fn name(&self) -> &'static str {
        "scalar_statistics_grad"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let left = Leftover::new(launch.inputs[0].nchw(), self.first, self.step);
        let params = StatisticsGradParams {
            vectors: left.vectors() as u32,
            count: left.count() as u32,
            step: self.step as u32,
            area: left.area as u32,
            first: self.first as u32,
            channels: left.channels as u32,
            channels4: left.channels.div_ceil(4) as u32,
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&STATISTICS_GRAD, 0), &params, &reads, &writes, left.vectors());
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let left = Leftover::new(inputs[0].nchw(), self.first, self.step);
        let count = left.count() as f64;
        let [mean, g_mean, g_var] = [1, 2, 3].map(|i| inputs[i].data[0]);
        let mut gx = Array::zeros(&inputs[0].shape);
        for at in left.places() {
            gx.data[at] = g_mean / count + 2.0 * g_var * (inputs[0].data[at] - mean) / (count - 1.0);
        }
        vec![gx]
    }
}

#[derive(Debug)]
struct Norm {
    first: usize,
    eps: f32,
}

/// Appends `s (x - mean)` in the leftover channels, or `s x` without the mean; reads x, mean, variance.
fn launch_norm(launch: &mut Launch<'_>, first: usize, eps: f32, center: bool) {
    let left = Leftover::new(launch.inputs[0].nchw(), first, 1);
    let params = NormParams {
        vectors: left.vectors() as u32,
        first: first as u32,
        channels: left.channels as u32,
        channels4: left.channels.div_ceil(4) as u32,
        eps,
    };
    let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
    launch.flat(Kernel::new(&NORM, usize::from(center)), &params, &reads, &writes, left.vectors());
}

/// The same on the CPU.
fn normed(inputs: &[&Array], first: usize, eps: f32, center: bool) -> Array {
    let mean = if center { inputs[1].data[0] } else { 0.0 };
    let s = 1.0 / (inputs[2].data[0] + f64::from(eps)).sqrt();
    let mut y = Array::zeros(&inputs[0].shape);
    for at in Leftover::new(inputs[0].nchw(), first, 1).places() {
        y.data[at] = (inputs[0].data[at] - mean) * s;
    }
    y
}

impl Op for Norm {
    fn name(&self) -> &'static str {
        "scalar_norm"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), inputs[0])?;
        for statistic in &inputs[1..] {
            if statistic.len() != 1 || statistic.layout != Layout::Plain {
                let what = format!("expected a row-major mean [1] and variance [1], found {statistic}");
                return Err(Error::shape(self.name(), what));
            }
        }
        Ok(vec![inputs[0].clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (grad, [x, mean, variance]) = (context.grad(0)?, [0, 1, 2].map(|i| context.inputs[i]));
        let gx = context.when(0, NormGradX { first: self.first, eps: self.eps }, &[grad, mean, variance])?;
        if !context.needs(1) && !context.needs(2) {
            return Ok(vec![gx, None, None]);
        }
        let op = NormGrad { first: self.first, eps: self.eps };
        let grads = context.tape.apply(op, &[grad, x, mean, variance])?;
        Ok(vec![gx, Some(grads[0]), Some(grads[1])])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        launch_norm(launch, self.first, self.eps, true);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![normed(inputs, self.first, self.eps, true)]
    }
}

/// Inputs: g, mean, variance; output: gradient of x with the statistics held.
#[derive(Debug)]
struct NormGradX {
    first: usize,
    eps: f32,
}

impl Op for NormGradX {
    fn name(&self) -> &'static str {
        "scalar_norm_grad_x"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        launch_norm(launch, self.first, self.eps, false);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![normed(inputs, self.first, self.eps, false)]
    }
}

/// Inputs: g, x, mean, variance; outputs: gradients of mean and variance.
#[derive(Debug)]
struct NormGrad {
    first: usize,
    eps: f32,
}

impl Op for NormGrad {
    fn name(&self) -> &'static str {
        "scalar_norm_grad"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(inputs[2..].iter().map(|ty| (*ty).clone()).collect())
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let left = Leftover::new(launch.inputs[0].nchw(), self.first, 1);
        let params = NormGradParams {
            count: left.count() as u32,
            per_image: left.per_image as u32,
            area: left.area as u32,
            first: self.first as u32,
            stride: left.stride() as u32,
            eps: self.eps,
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.dispatch(Kernel::new(&NORM_GRAD, 0), &params, &reads, &writes, [1, 1, 1]);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (g, x, mean) = (inputs[0], inputs[1], inputs[2].data[0]);
        let s = 1.0 / (inputs[3].data[0] + f64::from(self.eps)).sqrt();
        let mut sums = [0.0, 0.0];
        for at in Leftover::new(g.nchw(), self.first, 1).places() {
            sums[0] -= s * g.data[at];
            sums[1] -= 0.5 * s.powi(3) * g.data[at] * (x.data[at] - mean);
        }
        sums.map(|v| Array { shape: vec![1], data: vec![v] }).to_vec()
    }
}
