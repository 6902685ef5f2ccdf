//! Running statistics that the first step sets, instead of averaging it with an arbitrary start (method, section 8).

use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::vectors;
use crate::tape::{Array, Launch, Layout, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct FirstAverageParams { vectors: u32, momentum: f32 }
}
kernel_params! {
    struct CountStepParams { amount: f32 }
}

static FIRST_AVERAGE: Shader = Shader::new::<FirstAverageParams>("norm/first_average.wgsl", 2, 1);
static COUNT_STEP: Shader = Shader::new::<CountStepParams>("norm/count_step.wgsl", 0, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&FIRST_AVERAGE, &COUNT_STEP];

/// `target <- value` while the counter `steps` (1) is 0, afterwards `target <- (1 - momentum) target + momentum value`.
/// The counter lives on the device, so that a replayed tape stays the same; [`count_step`] advances it.
///
/// # Errors
/// `target` is not a state tensor of `value`'s shape and layout, or `steps` is not one number.
pub fn first_then_average(tape: &mut Tape, target: Var, value: Var, steps: Var, momentum: f32) -> Result<()> {
    tape.update(FirstAverage { momentum }, &[value, steps], &[target])
}

/// `steps <- steps + 1`, for the operations after it on the tape. Exact up to 2^24, where it stays.
///
/// # Errors
/// `steps` is not a state tensor of one row-major number.
pub fn count_step(tape: &mut Tape, steps: Var) -> Result<()> {
    tape.update(CountStep, &[], &[steps])
}

#[derive(Debug)]
struct FirstAverage {
    momentum: f32,
}

impl Op for FirstAverage {
    fn name(&self) -> &'static str {
        "first_average"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        if inputs[1].len() != 1 || inputs[1].layout != Layout::Plain {
            return Err(Error::shape(self.name(), format!("expected a row-major counter [1], found {}", inputs[1])));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let params = FirstAverageParams { vectors: count as u32, momentum: self.momentum };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&FIRST_AVERAGE, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let momentum = if inputs[1].data[0] == 0.0 { 1.0 } else { f64::from(self.momentum) };
        vec![inputs[2].zip(inputs[0], |average, value| (1.0 - momentum) * average + momentum * value)]
    }
}

#[derive(Debug)]
struct CountStep;

impl Op for CountStep {
    fn name(&self) -> &'static str {
        "count_step"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![Type::plain(&[1])])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = launch.writes[0];
        launch.dispatch(Kernel::new(&COUNT_STEP, 0), &CountStepParams { amount: 1.0 }, &[], &[count], [1, 1, 1]);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![inputs[0].map(|steps| steps + 1.0)]
    }
}
