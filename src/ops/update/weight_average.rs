//! Moving averages of weights over the steps.

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::vectors;
use crate::tape::{Array, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct WeightAverageParams { vectors: u32 }
}

static WEIGHT_AVERAGE: Shader = Shader::new::<WeightAverageParams>("update/weight_average.wgsl", 2, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&WEIGHT_AVERAGE];

/// `average <- average + share (value - average)`, where `share`, 1 - decay, is [`Tape::scalars`]' ninth: PyTorch's
/// `lerp`, as its `AveragedModel` has it. What does not change, as a frozen layer, is its own average to the bit.
///
/// # Errors
/// `average` is not a state tensor of the value's shape and layout.
pub fn weight_average(tape: &mut Tape, average: Var, value: Var) -> Result<()> {
    let scalars = tape.scalars();
    tape.update(WeightAverage, &[value, scalars], &[average])
}

#[derive(Debug)]
struct WeightAverage;

impl Op for WeightAverage {
    fn name(&self) -> &'static str {
        "weight_average"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        let params = WeightAverageParams { vectors: count as u32 };
        launch.flat(Kernel::new(&WEIGHT_AVERAGE, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let share = inputs[1].data[8];
        vec![inputs[2].zip(inputs[0], |average, value| average + share * (value - average))]
    }
}
