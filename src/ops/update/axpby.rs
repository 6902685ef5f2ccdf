//! `y <- a x + b y` in place, with two of the step's scalars: sums of gradients over the parts of a batch, and moving
//! averages of weights over the steps.

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::vectors;
use crate::tape::{Array, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct AxpbyParams { vectors: u32, a: u32, b: u32 }
}

static AXPBY: Shader = Shader::new::<AxpbyParams>("update/axpby.wgsl", 2, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&AXPBY];

/// `total <- keep total + share gradient`, where `share`, the part's share of the images, and `keep`, 0 for the first
/// part and 1 for the others, are [`Tape::scalars`]' seventh and eighth. Operations after it on the tape see the new
/// `total`. What is not kept need not be finite.
///
/// # Errors
/// `total` is not a state tensor of the gradient's shape and layout.
pub fn accumulate(tape: &mut Tape, total: Var, gradient: Var) -> Result<()> {
    axpby(tape, Axpby { name: "accumulate", a: 6, b: 7 }, gradient, total)
}

/// `average <- decay average + (1 - decay) value`, where `decay` and `1 - decay` are [`Tape::scalars`]' ninth and
/// tenth: near 1 a difference in f32 would lose the second.
///
/// # Errors
/// `average` is not a state tensor of the value's shape and layout.
pub fn weight_average(tape: &mut Tape, average: Var, value: Var) -> Result<()> {
    axpby(tape, Axpby { name: "weight_average", a: 9, b: 8 }, value, average)
}

fn axpby(tape: &mut Tape, op: Axpby, x: Var, y: Var) -> Result<()> {
    let scalars = tape.scalars();
    tape.update(op, &[x, scalars], &[y])
}

/// The places of `a` and `b` among the scalars.
#[derive(Debug)]
struct Axpby {
    name: &'static str,
    a: usize,
    b: usize,
}

impl Op for Axpby {
    fn name(&self) -> &'static str {
        self.name
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        let params = AxpbyParams { vectors: count as u32, a: self.a as u32, b: self.b as u32 };
        launch.flat(Kernel::new(&AXPBY, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [a, b] = [self.a, self.b].map(|at| inputs[1].data[at]);
        vec![inputs[2].zip(inputs[0], |y, x| a * x + if b == 0.0 { 0.0 } else { b * y })]
    }
}
