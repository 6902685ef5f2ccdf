//! Sums of gradients over the parts of a batch.

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::vectors;
use crate::tape::{Array, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct AccumulateParams { vectors: u32 }
}

static ACCUMULATE: Shader = Shader::new::<AccumulateParams>("update/accumulate.wgsl", 2, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&ACCUMULATE];

/// `total <- keep total + share gradient`, where `share`, the part's share of the images, and `keep`, 0 for the first
/// part and 1 for the others, are [`Tape::scalars`]' seventh and eighth. Operations after it on the tape see the new
/// `total`. What is not kept need not be finite.
///
/// # Errors
/// `total` is not a state tensor of the gradient's shape and layout.
pub fn accumulate(tape: &mut Tape, total: Var, gradient: Var) -> Result<()> {
    let scalars = tape.scalars();
    tape.update(Accumulate, &[gradient, scalars], &[total])
}

#[derive(Debug)]
struct Accumulate;

impl Op for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        let params = AccumulateParams { vectors: count as u32 };
        launch.flat(Kernel::new(&ACCUMULATE, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (share, keep) = (inputs[1].data[6], inputs[1].data[7]);
        vec![inputs[2].zip(inputs[0], |y, x| share * x + if keep == 0.0 { 0.0 } else { keep * y })]
    }
}
