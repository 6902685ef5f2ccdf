//! How fast kernels and launches are, beside what the adapter itself reaches in the same run.
//!
//! Nothing is uploaded or read back while the clock runs: a measurement lasts from a submission until the device
//! reports it done, as other engines are timed by their `sync`. Kernel and adapter take turns, so that a load from
//! elsewhere slows both. Whole training steps are measured by [`train::bench_step`](crate::train::bench_step).

mod dispatch;
mod kernels;
mod peak;
mod runner;

pub use dispatch::{DispatchBench, bench_dispatch};
pub use kernels::{ConvPass, ConvShape, CovarianceShape, KernelBench, NewtonSchulzShape};
pub use kernels::{bench_conv, bench_covariance, bench_matmul, bench_newton_schulz};
pub use peak::Peak;
pub use runner::{Repeats, Runner, median};

use crate::gpu::Shader;

/// Kernels that measuring alone needs.
pub const SHADERS: &[&Shader] = peak::SHADERS;
