//! `mexhat bench`.

mod kernels;
mod step;

use crate::bench::Repeats;
use crate::{Error, Result};
use clap::{Args, Subcommand};

/// Measures.
#[derive(Args)]
#[command(after_help = "Examples:\n  mexhat bench step --model yardstick --norm batch --batch-size 64\n  \
    mexhat bench matmul --size 512\n  mexhat bench conv --shape 32x64x32x32 --outputs 64 --json")]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Whole training steps on random images
    Step(step::StepArgs),
    /// Matrix products
    Matmul(kernels::MatmulArgs),
    /// Convolutions and their gradients
    Conv(kernels::ConvArgs),
    /// Covariances of a layer's patches
    Covariance(kernels::CovarianceArgs),
    /// Inverse square roots by Newton-Schulz iterations
    NewtonSchulz(kernels::NewtonSchulzArgs),
    /// Launches, submissions, read-back, copies
    Dispatch(kernels::DispatchArgs),
}

pub(super) fn run(args: &BenchArgs) -> Result<()> {
    match &args.what {
        What::Step(args) => step::run(args),
        What::Matmul(args) => kernels::matmul(args),
        What::Conv(args) => kernels::conv(args),
        What::Covariance(args) => kernels::covariance(args),
        What::NewtonSchulz(args) => kernels::newton_schulz(args),
        What::Dispatch(args) => kernels::dispatch(args),
    }
}

/// Most runs: each keeps its time.
const MOST_RUNS: usize = 1_000_000;

/// How often.
#[derive(Args)]
struct RepeatArgs {
    /// Runs that count
    #[arg(long, default_value_t = 20, value_name = "N")]
    runs: usize,
    /// Runs before them
    #[arg(long, default_value_t = 3, value_name = "N")]
    warm_up: usize,
}

impl RepeatArgs {
    fn repeats(&self) -> Result<Repeats> {
        if !(1..=MOST_RUNS).contains(&self.runs) || self.warm_up > MOST_RUNS {
            let found = format!("found {} and {}", self.runs, self.warm_up);
            return Err(Error::Usage(format!("--runs is 1 to {MOST_RUNS} and --warm-up at most as many; {found}")));
        }
        Ok(Repeats { warm_up: self.warm_up, counted: self.runs })
    }
}

/// `2x3x4` as numbers, of which there must be `N`, each at least 1; `meaning` says which.
fn sizes<const N: usize>(text: &str, meaning: &str) -> Result<[usize; N]> {
    let sizes: Option<Vec<usize>> = text.split('x').map(|size| size.parse().ok().filter(|size| *size > 0)).collect();
    sizes.and_then(|sizes| <[usize; N]>::try_from(sizes).ok()).ok_or_else(|| {
        Error::Usage(format!("--shape is '{text}'; expected {meaning}, {N} whole numbers from 1 with 'x' between them"))
    })
}
