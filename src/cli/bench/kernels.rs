//! `mexhat bench matmul`, `conv`, `covariance`, `newton-schulz` and `dispatch`.

use super::{RepeatArgs, sizes};
use crate::bench::{self, ConvPass, ConvShape, CovarianceShape, KernelBench, NewtonSchulzShape};
use crate::cli::{DeviceArgs, say, say_json};
use crate::ops::{BlockMode, ConvOptions, MOST_ITERATIONS};
use crate::plural::count;
use crate::{Error, Result};
use clap::{Args, ValueEnum};

/// What every kind takes.
#[derive(Args)]
struct Common {
    #[command(flatten)]
    repeats: RepeatArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
}

/// Measures matrix products.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  mexhat bench matmul --size 512 --json\n  mexhat bench matmul --shape 4x576x576x64\n\n\
    The environment variable MEXHAT_FAMILY (register, subgroup or shared) chooses other kernels than the adapter's own, and\n\
    MEXHAT_LOADS (buffers or textures) what they load from."
)]
pub(super) struct MatmulArgs {
    /// Side of two square matrices
    #[arg(long, default_value_t = 512, value_name = "N", conflicts_with = "shape")]
    size: usize,
    /// Batch x m x k x n: that many products of (m,k) and (k,n)
    #[arg(long, value_name = "SxMxKxN")]
    shape: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum Pass {
    /// The convolution itself
    Forward,
    /// Gradient of the input
    InputGrad,
    /// Gradient of the weight
    WeightGrad,
}

/// Measures convolutions.
#[derive(Args)]
#[command(after_help = "Example:\n  mexhat bench conv --shape 32x64x32x32 --outputs 64 --kernel 3 --row-major --json")]
pub(super) struct ConvArgs {
    /// Batch x channels x height x width of the input
    #[arg(long, default_value = "32x64x32x32", value_name = "NxCxHxW")]
    shape: String,
    /// Output channels
    #[arg(long, default_value_t = 64, value_name = "N")]
    outputs: usize,
    /// Kernel side
    #[arg(long, default_value_t = 3, value_name = "N")]
    kernel: usize,
    /// Step between outputs
    #[arg(long, default_value_t = 1, value_name = "N")]
    stride: usize,
    /// Zeros around the input [default: half the kernel]
    #[arg(long, value_name = "N")]
    padding: Option<usize>,
    /// Independent groups of channels
    #[arg(long, default_value_t = 1, value_name = "N")]
    groups: usize,
    /// Direction
    #[arg(long, value_enum, default_value = "forward")]
    pass: Pass,
    /// Count the change of tensors from row-major to the engine's layout and back
    #[arg(long)]
    row_major: bool,
    #[command(flatten)]
    common: Common,
}

/// Measures covariances.
#[derive(Args)]
#[command(after_help = "Example:\n  mexhat bench covariance --shape 32x64x32x32 --kernel 3 --step 3 --block 64\n\n\
    Operations are counted as if the whole matrix were computed.")]
pub(super) struct CovarianceArgs {
    /// Batch x channels x height x width of the layer's input
    #[arg(long, default_value = "32x64x32x32", value_name = "NxCxHxW")]
    shape: String,
    /// Kernel side
    #[arg(long, default_value_t = 3, value_name = "N")]
    kernel: usize,
    /// Step between patches
    #[arg(long, default_value_t = 3, value_name = "N")]
    step: usize,
    /// Channels of a block
    #[arg(long, default_value_t = 64, value_name = "N")]
    block: usize,
    /// How channels are cut into blocks: reference or paper
    #[arg(long, default_value = "reference", value_name = "MODE")]
    mode: BlockMode,
    #[command(flatten)]
    common: Common,
}

/// Measures Newton-Schulz iterations.
#[derive(Args)]
#[command(after_help = "Example:\n  mexhat bench newton-schulz --shape 1x576 --iterations 5 --backward\n\n\
    Operations are counted as 3T - 3 full products forward and 6T - 6 backward, as the plain iteration\n\
    takes, whatever is saved of them.")]
pub(super) struct NewtonSchulzArgs {
    /// Number x side of the matrices
    #[arg(long, default_value = "1x576", value_name = "SxD")]
    shape: String,
    /// Iterations
    #[arg(long, default_value_t = 5, value_name = "T")]
    iterations: usize,
    /// Also compute the gradient
    #[arg(long)]
    backward: bool,
    #[command(flatten)]
    common: Common,
}

/// Measures launches, submissions, read-back and copies.
#[derive(Args)]
#[command(after_help = "Example:\n  mexhat bench dispatch --json")]
pub(super) struct DispatchArgs {
    #[command(flatten)]
    common: Common,
}

pub(super) fn matmul(args: &MatmulArgs) -> Result<()> {
    let shape = match &args.shape {
        Some(text) => sizes(text, "batch, m, k and n")?,
        None => [1, args.size, args.size, args.size],
    };
    let repeats = args.common.repeats.repeats()?;
    show(&bench::bench_matmul(&args.common.device.open()?, shape, repeats)?, args.common.json)
}

pub(super) fn conv(args: &ConvArgs) -> Result<()> {
    let shape = ConvShape {
        input: sizes(&args.shape, "batch, channels, height and width")?,
        outputs: args.outputs,
        kernel: args.kernel,
        options: ConvOptions {
            stride: args.stride,
            padding: args.padding.unwrap_or(args.kernel / 2),
            groups: args.groups,
            ..ConvOptions::default()
        },
        pass: match args.pass {
            Pass::Forward => ConvPass::Forward,
            Pass::InputGrad => ConvPass::InputGrad,
            Pass::WeightGrad => ConvPass::WeightGrad,
        },
        row_major: args.row_major,
    };
    let repeats = args.common.repeats.repeats()?;
    show(&bench::bench_conv(&args.common.device.open()?, shape, repeats)?, args.common.json)
}

pub(super) fn covariance(args: &CovarianceArgs) -> Result<()> {
    let shape = CovarianceShape {
        input: sizes(&args.shape, "batch, channels, height and width")?,
        kernel: args.kernel,
        step: args.step,
        block: args.block,
        mode: args.mode,
    };
    let repeats = args.common.repeats.repeats()?;
    show(&bench::bench_covariance(&args.common.device.open()?, shape, repeats)?, args.common.json)
}

pub(super) fn newton_schulz(args: &NewtonSchulzArgs) -> Result<()> {
    let [batches, size] = sizes(&args.shape, "the number of matrices and their side")?;
    let shape = NewtonSchulzShape { batches, size, iterations: args.iterations, backward: args.backward };
    if !(1..=MOST_ITERATIONS).contains(&args.iterations) {
        let found = args.iterations;
        return Err(Error::Usage(format!("--iterations: expected 1 to {MOST_ITERATIONS}, found {found}")));
    }
    let repeats = args.common.repeats.repeats()?;
    show(&bench::bench_newton_schulz(&args.common.device.open()?, shape, repeats)?, args.common.json)
}

fn show(found: &KernelBench, json: bool) -> Result<()> {
    if json {
        return say_json(found);
    }
    say(&format!(
        "{} {}, kernels for {}, on {}\n\
         run          {:.2} ms median, {:.2} ms at best, of {}; {}\n\
         speed        {:.1} GFLOP/s median, {:.1} at best\n\
         peak         {:.1} GFLOP/s of multiply-adds without memory: {:.1} % of it",
        found.bench,
        found.shape,
        found.profile,
        found.device,
        found.median_ms,
        found.min_ms,
        found.runs,
        count(found.dispatches, "launch"),
        found.gflops,
        found.best_gflops,
        found.peak_gflops,
        100.0 * found.share_of_peak
    ));
    Ok(())
}

pub(super) fn dispatch(args: &DispatchArgs) -> Result<()> {
    let repeats = args.common.repeats.repeats()?;
    let found = bench::bench_dispatch(&args.common.device.open()?, repeats)?;
    if args.common.json {
        return say_json(&found);
    }
    say(&format!(
        "launches on {}, medians\n\
         launch       {:.1} us more for each in one submission\n\
         submission   {:.0} us with one launch\n\
         read-back    {:.0} us with one launch and 16 bytes\n\
         copy         {:.1} GB/s, read plus written\n\
         peak         {:.1} GFLOP/s of multiply-adds without memory",
        found.device,
        found.dispatch_us,
        found.submission_us,
        found.read_back_us,
        found.copy_gb_per_s,
        found.peak_gflops
    ));
    Ok(())
}
