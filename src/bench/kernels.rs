//! Matrix products, convolutions, covariances and Newton-Schulz iterations, each beside the adapter's peak.

use super::peak::Peak;
use super::runner::{Repeats, Runner, median};
use crate::gpu::Gpu;
use crate::ops::{self, BlockLayout, BlockMode, ConvOptions, RowGeometry, Sampling};
use crate::tape::{Tape, Type, Var};
use crate::{Error, Result};
use serde::Serialize;

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct KernelBench {
    /// `matmul`, `conv`, `covariance` or `newton-schulz`.
    pub bench: &'static str,
    /// Side of a square matrix, where that says all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Everything that was chosen, for people.
    pub shape: String,
    /// Median over the runs, from submission to completion.
    pub median_ms: f64,
    /// Fastest run.
    pub min_ms: f64,
    /// GFLOP/s by the median; what is counted as an operation is said with each function.
    pub gflops: f64,
    /// GFLOP/s of the fastest run.
    pub best_gflops: f64,
    /// The adapter's multiply-adds without memory, median, in turn with the runs.
    pub peak_gflops: f64,
    /// `gflops / peak_gflops`.
    pub share_of_peak: f64,
    /// Runs that counted.
    pub runs: usize,
    /// Launches of one run.
    pub dispatches: usize,
    /// The profile by which kernels were chosen.
    pub profile: &'static str,
    /// Adapter.
    pub device: String,
}

/// What is run, and what it counts as.
struct Case {
    bench: &'static str,
    size: Option<usize>,
    shape: String,
    flops: f64,
    tape: Tape,
    given: Vec<(Var, Vec<f32>)>,
}

impl Case {
    fn measure(self, gpu: &Gpu, repeats: Repeats) -> Result<KernelBench> {
        let mut runner = Runner::new(gpu, &self.tape, &self.given)?;
        let mut peak = Peak::new(gpu)?;
        for _ in 0..repeats.warm_up.max(1) {
            runner.once()?;
        }
        let (mut times, mut peaks) = (Vec::new(), Vec::new());
        for _ in 0..repeats.counted.max(1) {
            times.push(runner.once()?);
            peaks.push(peak.gflops()?);
        }
        let (median_ms, min_ms) = (median(&times), times.iter().copied().fold(f64::INFINITY, f64::min));
        let (gflops, peak_gflops) = (self.flops / median_ms * 1e-6, median(&peaks));
        Ok(KernelBench {
            bench: self.bench,
            size: self.size,
            shape: self.shape,
            median_ms,
            min_ms,
            gflops,
            best_gflops: self.flops / min_ms * 1e-6,
            peak_gflops,
            share_of_peak: gflops / peak_gflops,
            runs: times.len(),
            dispatches: runner.dispatches(),
            profile: gpu.profile().name,
            device: gpu.adapter().name.clone(),
        })
    }
}

/// Largest side, and most values of one tensor (4 GiB), so that products of sizes are numbers.
const MOST: (usize, usize) = (1 << 20, 1 << 30);

/// Refuses sizes of 0, and tensors that nothing could hold.
fn check(what: &str, sizes: &[usize], tensors: &[&[usize]]) -> Result<()> {
    if let Some(size) = sizes.iter().find(|size| !(1..=MOST.0).contains(*size)) {
        let most = MOST.0;
        return Err(Error::Usage(format!("bench {what}: every size must be 1 to {most}, found {size} in {sizes:?}")));
    }
    for tensor in tensors {
        let values = tensor.iter().try_fold(1usize, |n, side| n.checked_mul(*side));
        if values.is_none_or(|values| values > MOST.1) {
            return Err(Error::Usage(format!(
                "bench {what}: a tensor of {tensor:?} has more than {} values; choose smaller sizes",
                MOST.1
            )));
        }
    }
    Ok(())
}

/// A product of `batches` matrices (m,k) by (k,n); 2 S M N K operations.
///
/// # Errors
/// A size is 0, a matrix is too large, or the device fails.
pub fn bench_matmul(gpu: &Gpu, [batches, m, k, n]: [usize; 4], repeats: Repeats) -> Result<KernelBench> {
    check("matmul", &[batches, m, k, n], &[&[batches, m, k], &[batches, k, n], &[batches, m, n]])?;
    let mut tape = Tape::new();
    let a = tape.resident("a", Type::vec4(&[batches, m, k]), false);
    let b = tape.resident("b", Type::vec4(&[batches, k, n]), false);
    let c = ops::matmul(&mut tape, a, b)?;
    tape.output(c);
    let case = Case {
        bench: "matmul",
        size: (batches == 1 && m == k && k == n).then_some(m),
        shape: format!("{batches} x ({m},{k}) ({k},{n})"),
        flops: 2.0 * (batches * m * n * k) as f64,
        tape,
        given: Vec::new(),
    };
    case.measure(gpu, repeats)
}

/// Direction of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvPass {
    /// `y` of `x` and `w`.
    Forward,
    /// Gradient of `x`.
    InputGrad,
    /// Gradient of `w`.
    WeightGrad,
}

/// A convolution to measure.
#[derive(Clone, Copy, Debug)]
pub struct ConvShape {
    /// (N, C, H, W).
    pub input: [usize; 4],
    /// Output channels.
    pub outputs: usize,
    /// Kernel side.
    pub kernel: usize,
    /// Stride, padding, dilation, groups.
    pub options: ConvOptions,
    /// Direction.
    pub pass: ConvPass,
    /// Count the change from row-major to the engine's layout and back.
    pub row_major: bool,
}

/// A convolution; 2 N Ho Wo O (C/groups) k k operations in each direction.
///
/// # Errors
/// The kernel does not fit, a tensor is too large, or the device fails.
pub fn bench_conv(gpu: &Gpu, shape: ConvShape, repeats: Repeats) -> Result<KernelBench> {
    let ([n, c, h, w], ConvShape { outputs, kernel, options, pass, row_major, .. }) = (shape.input, shape);
    // A padding of 0 is one; the output is at most as large as the padded input.
    let padded = |side: usize| side.saturating_add(options.padding.saturating_mul(2));
    let (sizes, padding) = ([n, c, h, w, outputs, kernel, options.groups, options.stride], options.padding.max(1));
    let tensors: [&[usize]; 3] = [&[n, c, h, w], &[outputs, c, kernel, kernel], &[n, outputs, padded(h), padded(w)]];
    check("conv", &[&sizes[..], &[padding]].concat(), &tensors)?;
    let activation = |shape: &[usize]| if row_major { Type::plain(shape) } else { Type::vec4(shape) };
    let mut tape = Tape::new();
    let x = tape.resident("x", activation(&shape.input), pass == ConvPass::InputGrad);
    let weight = Type::plain(&[outputs, c / options.groups, kernel, kernel]);
    let weight = tape.resident("w", weight, pass == ConvPass::WeightGrad);
    let x4 = ops::to_vec4(&mut tape, x)?;
    let y = ops::conv2d(&mut tape, x4, weight, ops::Epilogue::default(), options)?;
    let [_, _, oh, ow] = tape.ty(y).nchw();
    let out = match pass {
        ConvPass::Forward => y,
        ConvPass::InputGrad | ConvPass::WeightGrad => {
            let wanted = if pass == ConvPass::InputGrad { x4 } else { weight };
            let gy = tape.resident("gy", activation(&[n, outputs, oh, ow]), false);
            let gy = ops::to_vec4(&mut tape, gy)?;
            let gradients = tape.backward_from(&[(y, gy)])?;
            gradients.get(wanted).ok_or_else(|| Error::Run("the convolution has no such gradient".into()))?
        }
    };
    let out = if row_major { ops::to_plain(&mut tape, out)? } else { out };
    tape.output(out);
    let direction = match pass {
        ConvPass::Forward => "forward",
        ConvPass::InputGrad => "input gradient",
        ConvPass::WeightGrad => "weight gradient",
    };
    let ConvOptions { stride, padding, dilation, groups, .. } = options;
    let case = Case {
        bench: "conv",
        size: None,
        shape: format!(
            "[{n},{c},{h},{w}] to {outputs}, {kernel}x{kernel}, stride {stride}, padding {padding}, dilation \
             {dilation}, groups {groups}, {direction}{}",
            if row_major { ", row-major" } else { "" }
        ),
        flops: 2.0 * (n * oh * ow * outputs * (c / groups) * kernel * kernel) as f64,
        tape,
        given: Vec::new(),
    };
    case.measure(gpu, repeats)
}

/// A layer's covariance to measure.
#[derive(Clone, Copy, Debug)]
pub struct CovarianceShape {
    /// (N, C, H, W).
    pub input: [usize; 4],
    /// Kernel side.
    pub kernel: usize,
    /// Step between patches.
    pub step: usize,
    /// Channels of a block.
    pub block: usize,
    /// How channels are cut into blocks.
    pub mode: BlockMode,
}

/// Mean and covariance of a layer's patches, from the feature map; 2 R d^2 operations for each of S statistics over R
/// rows, as if the whole matrix were computed, though one triangle is.
///
/// # Errors
/// The patches do not fit, a tensor is too large, or the device fails.
pub fn bench_covariance(gpu: &Gpu, shape: CovarianceShape, repeats: Repeats) -> Result<KernelBench> {
    let CovarianceShape { input: [n, c, h, w], kernel, step, block, mode } = shape;
    let side = block.min(c).saturating_mul(kernel).saturating_mul(kernel);
    check("covariance", &[n, c, h, w, kernel, step, block], &[&[n, c, h, w], &[c.div_ceil(block.max(1)), side, side]])?;
    let layout = BlockLayout::conv(mode, c, kernel, 1, block)?;
    let mut tape = Tape::for_adapter(gpu.profile());
    let ty = Type::vec4(&shape.input);
    let sampling = Sampling::Grid { step, padding: kernel / 2, dilation: 1 };
    let r = RowGeometry::new("covariance", ty.nchw(), layout, sampling)?.rows;
    let x = tape.resident("x", ty, false);
    let found = ops::covariance(&mut tape, x, layout, sampling, 1e-5)?;
    tape.output(found.mean);
    tape.output(found.covariance);
    let (s, d) = (layout.statistics(), layout.d);
    let case = Case {
        bench: "covariance",
        size: None,
        shape: format!("[{n},{c},{h},{w}], {kernel}x{kernel} every {step}: {s} x ({d},{d}) of {r} patches, {mode}"),
        flops: 2.0 * (s * r * d * d) as f64,
        tape,
        given: Vec::new(),
    };
    case.measure(gpu, repeats)
}

/// Newton-Schulz iterations to measure.
#[derive(Clone, Copy, Debug)]
pub struct NewtonSchulzShape {
    /// Matrices.
    pub batches: usize,
    /// Their side.
    pub size: usize,
    /// Iterations, T.
    pub iterations: usize,
    /// Also the gradient.
    pub backward: bool,
}

/// The inverse square root of S (d,d) matrices; counted as `3T - 3` full products of 2 d^3 operations forward and
/// `6T - 6` backward (method, sections 5, 9.4), whatever symmetry saves.
///
/// # Errors
/// A size is 0, a matrix is too large, or the device fails.
pub fn bench_newton_schulz(gpu: &Gpu, shape: NewtonSchulzShape, repeats: Repeats) -> Result<KernelBench> {
    let NewtonSchulzShape { batches, size: d, iterations, backward } = shape;
    check("newton-schulz", &[batches, d, iterations], &[&[batches, d, d]])?;
    let mut tape = Tape::new();
    let ty = Type::vec4(&[batches, d, d]);
    let a = tape.resident("a", ty.clone(), backward);
    let root = ops::newton_schulz(&mut tape, a, iterations)?;
    tape.output(root);
    if backward {
        let seed = tape.resident("seed", ty, false);
        let gradients = tape.backward_from(&[(root, seed)])?;
        let gradient = gradients.get(a).ok_or_else(|| Error::Run("Newton-Schulz has no gradient".into()))?;
        tape.output(gradient);
    }
    // Symmetric and well conditioned, so that the iterates stay finite: 1 on the diagonal, smooth decay beside it.
    let element = |i: usize| 0.5f32.powi((i / d % d).abs_diff(i % d).min(40) as i32);
    let products = (3 * iterations - 3) * if backward { 3 } else { 1 };
    let case = Case {
        bench: "newton-schulz",
        size: None,
        shape: format!(
            "{batches} x ({d},{d}), {iterations} iterations{}",
            if backward { ", with gradient" } else { "" }
        ),
        flops: 2.0 * (products * batches * d * d * d) as f64,
        tape,
        given: vec![(a, (0..batches * d * d).map(element).collect())],
    };
    case.measure(gpu, repeats)
}
