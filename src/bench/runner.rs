//! Programs whose inputs lie on the device already.

use crate::Result;
use crate::gpu::{Executable, Gpu, Pool, PoolSizes, Program};
use crate::rng::Rng;
use crate::tape::{DType, Tape, Var, lower, plan};
use std::time::Instant;

/// How often something is measured.
#[derive(Clone, Copy, Debug)]
pub struct Repeats {
    /// Runs that do not count, the first one (which compiles) included; at least 1.
    pub warm_up: usize,
    /// Runs that count; at least 1.
    pub counted: usize,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { warm_up: 3, counted: 20 }
    }
}

/// A program that is run again and again on the same data.
pub struct Runner {
    executable: Executable,
}

impl Runner {
    /// The forward operations that `tape`'s outputs need. Inputs are filled once: those in `given` with their values,
    /// others with normal random numbers. Outputs stay on the device.
    ///
    /// # Errors
    /// A buffer is too large, or the device fails.
    pub fn new(gpu: &Gpu, tape: &Tape, given: &[(Var, Vec<f32>)]) -> Result<Self> {
        let mut program = lower(tape, gpu.profile())?;
        let plan = plan(&program);
        let pool = Pool::new(gpu, &plan.sizes)?;
        let mut rng = Rng::new(0);
        for (var, slot) in tape.inputs().into_iter().zip(std::mem::take(&mut program.inputs)) {
            let ty = tape.ty(var);
            debug_assert_eq!(ty.dtype, DType::F32, "labels have no random values");
            let values = match given.iter().find(|(known, _)| *known == var) {
                Some((_, values)) => values.clone(),
                None => (0..ty.len()).map(|_| rng.normal()).collect(),
            };
            if let Some(buffer) = pool.buffer(plan.places[slot.0]) {
                gpu.write(buffer, bytemuck::cast_slice(&ty.encode(&values)));
            }
        }
        program.outputs.clear();
        Ok(Self { executable: Executable::new(gpu, &program, &plan.places, &pool, &[])? })
    }

    /// `program` without inputs, outputs and state, each slot in a buffer of its own.
    ///
    /// # Errors
    /// A buffer is too large, or the device fails.
    pub fn of_program(gpu: &Gpu, program: &Program) -> Result<Self> {
        let places: Vec<usize> = (0..program.slots.len()).collect();
        let pool = Pool::new(gpu, &PoolSizes::of_slots(program))?;
        Ok(Self { executable: Executable::new(gpu, program, &places, &pool, &[])? })
    }

    /// Launches of one run.
    pub fn dispatches(&self) -> usize {
        self.executable.dispatches()
    }

    /// Runs once; milliseconds from before the submission until the device is done.
    ///
    /// # Errors
    /// The device fails.
    pub fn once(&mut self) -> Result<f64> {
        let start = Instant::now();
        pollster::block_on(async {
            self.executable.submit(&[]).await?;
            self.executable.take().await
        })?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}

/// The median of at least one number.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}
