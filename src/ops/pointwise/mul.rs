//! `y = scale a b`, element by element.

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::{expect_same, vectors};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct MulParams { vectors: u32, scale: f32 }
}

static MUL: Shader = Shader::new::<MulParams>("pointwise/mul.wgsl", 2, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&MUL];

/// `scale * a * b` of two tensors of one shape; two reads and one write per element.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (a, b) = (tape.leaf("a", &[1, 2]), tape.leaf("b", &[1, 2]));
/// let y = f::mul(&mut tape, a, b, 0.5)?;
/// assert_eq!(tape.compute(y, &[&[2.0, 3.0], &[4.0, 5.0]])?, [4.0, 7.5]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// The shapes differ.
pub fn mul(tape: &mut Tape, a: Var, b: Var, scale: f32) -> Result<Var> {
    tape.apply1(Mul { scale }, &[a, b])
}

#[derive(Clone, Copy, Debug)]
struct Mul {
    scale: f32,
}

impl Op for Mul {
    fn name(&self) -> &'static str {
        "mul"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_same(self.name(), inputs[0], inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (a, b, gy) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        Ok(vec![context.when(0, *self, &[gy, b])?, context.when(1, *self, &[gy, a])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let params = MulParams { vectors: count as u32, scale: self.scale };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&MUL, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![inputs[0].zip(inputs[1], |a, b| f64::from(self.scale) * a * b)]
    }
}
