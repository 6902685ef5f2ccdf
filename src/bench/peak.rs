//! The adapter's own peaks: multiply-adds without memory, and copies without arithmetic.

use super::runner::Runner;
use crate::Result;
use crate::gpu::{Dispatch, Gpu, Kernel, Program, Shader, Slot, SlotInfo, SlotKind, flat_grid};
use crate::kernel_params;
use crate::ops::{COPY, CopyParams};

kernel_params! {
    struct FmaParams { rounds: u32, factor: f32 }
}

static FMA: Shader = Shader::new::<FmaParams>("bench/peak_fma.wgsl", 0, 1);
pub(super) const SHADERS: &[&Shader] = &[&FMA];

/// Rounds of `peak_fma.wgsl`, each of 4 multiply-adds on 12 chains.
const ROUNDS: u32 = 512;
const FLOPS_PER_INVOCATION: f64 = 2.0 * 4.0 * 12.0 * ROUNDS as f64;

/// A measurement shorter than this says more about the submission.
const LEAST_MS: f64 = 10.0;

/// Vectors that are copied: 32 MiB there and 32 MiB back.
const VECTORS: usize = 2 << 20;

/// Measures an adapter's peaks, run by run.
pub struct Peak {
    fma: Runner,
    flops: f64,
    copy: Runner,
}

fn slot(bytes: u64) -> SlotInfo {
    SlotInfo::new(bytes, SlotKind::Transient, "peak")
}

fn dispatch(kernel: Kernel, params: Vec<u8>, reads: Vec<Slot>, writes: Vec<Slot>, items: usize) -> Dispatch {
    Dispatch { op: "peak", kernel, copies: vec![], params, reads, writes, grid: flat_grid(items), average: None }
}

fn fma(gpu: &Gpu, groups: usize) -> Result<Runner> {
    let params = crate::gpu::params_bytes(&FmaParams { rounds: ROUNDS, factor: 0.999 });
    let mut program = Program {
        slots: vec![slot(groups as u64 * 64 * 4)],
        dispatches: vec![dispatch(Kernel::new(&FMA, 0), params, vec![], vec![Slot(0)], groups * 64)],
        ..Default::default()
    };
    (gpu.profile().program)(&mut program);
    Runner::of_program(gpu, &program)
}

fn copy(gpu: &Gpu) -> Result<Runner> {
    let params = crate::gpu::params_bytes(&CopyParams::new(VECTORS));
    let bytes = VECTORS as u64 * 16;
    let mut program = Program {
        slots: vec![slot(bytes), slot(bytes)],
        dispatches: vec![dispatch(Kernel::new(&COPY, 0), params, vec![Slot(0)], vec![Slot(1)], VECTORS)],
        ..Default::default()
    };
    (gpu.profile().program)(&mut program);
    Runner::of_program(gpu, &program)
}

impl Peak {
    /// Compiles the two kernels and finds a size of the first that takes the adapter long enough to be timed.
    ///
    /// # Errors
    /// The device fails.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        let mut copy = copy(gpu)?;
        copy.once()?;
        let mut groups = 256;
        loop {
            let mut fma = fma(gpu, groups)?;
            fma.once()?;
            if fma.once()? >= LEAST_MS || groups >= 32_768 {
                return Ok(Self { fma, flops: (groups * 64) as f64 * FLOPS_PER_INVOCATION, copy });
            }
            groups *= 2;
        }
    }

    /// One run of multiply-adds, in GFLOP/s.
    ///
    /// # Errors
    /// The device fails.
    pub fn gflops(&mut self) -> Result<f64> {
        Ok(self.flops / self.fma.once()? * 1e-6)
    }

    /// Floating-point operations of one run of multiply-adds.
    pub fn flops(&self) -> f64 {
        self.flops
    }

    /// One copy, in GB/s: bytes read plus bytes written.
    ///
    /// # Errors
    /// The device fails.
    pub fn copy_gb_per_s(&mut self) -> Result<f64> {
        Ok(2.0 * 16.0 * VECTORS as f64 / self.copy.once()? * 1e-6)
    }
}
