//! Exponential averages of statistics across steps.

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::vectors;
use crate::tape::{Array, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct RunningAverageParams { vectors: u32, momentum: f32, gain: f32 }
}

static RUNNING_AVERAGE: Shader = Shader::new::<RunningAverageParams>("norm/running_average.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&RUNNING_AVERAGE];

/// `target <- (1 - momentum) target + momentum factor value`. Operations after it on the tape see the new `target`.
/// `factor` is `n / (n - 1)` where `value` is a biased variance of n values and the average shall be unbiased, else 1.
///
/// # Errors
/// `target` is not a state tensor of `value`'s shape and layout.
pub fn running_average(tape: &mut Tape, target: Var, value: Var, momentum: f32, factor: f32) -> Result<()> {
    tape.update(RunningAverage { momentum, factor }, &[value], &[target])
}

#[derive(Debug)]
struct RunningAverage {
    momentum: f32,
    factor: f32,
}

impl Op for RunningAverage {
    fn name(&self) -> &'static str {
        "running_average"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let gain = self.momentum * self.factor;
        let params = RunningAverageParams { vectors: count as u32, momentum: self.momentum, gain };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&RUNNING_AVERAGE, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (momentum, factor) = (f64::from(self.momentum), f64::from(self.factor));
        vec![inputs[1].zip(inputs[0], |average, value| (1.0 - momentum) * average + momentum * factor * value)]
    }
}
