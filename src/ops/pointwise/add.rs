//! `y = a + b`, shape by shape, with or without a relu behind it: the end of a residual block in one pass.

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::{expect_same, vectors};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct AddParams { vectors: u32 }
}

static ADD: Shader = Shader::with_variants::<AddParams>("pointwise/add.wgsl", 2, 1, &[&[("RELU", 0)], &[("RELU", 1)]]);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&ADD];

/// `a + b` of two tensors of one shape.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (a, b) = (tape.leaf("a", &[1, 2]), tape.leaf("b", &[1, 2]));
/// let y = f::add(&mut tape, a, b)?;
/// assert_eq!(tape.compute(y, &[&[1.0, 2.0], &[10.0, 20.0]])?, [11.0, 22.0]);
/// let c = tape.leaf("c", &[2, 1]);
/// let error = f::add(&mut tape, a, c).unwrap_err().to_string();
/// assert_eq!(error, "add: expected two equal shapes, found [1, 2] and [2, 1]");
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn add(tape: &mut Tape, a: Var, b: Var) -> Result<Var> {
    tape.apply1(Add { relu: false }, &[a, b])
}

/// `max(a + b, 0)`: the end of a residual block.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (a, b) = (tape.leaf("a", &[1, 2]), tape.leaf("b", &[1, 2]));
/// let y = f::add_relu(&mut tape, a, b)?;
/// assert_eq!(tape.compute(y, &[&[1.0, 2.0], &[-3.0, 3.0]])?, [0.0, 5.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// The shapes differ.
pub fn add_relu(tape: &mut Tape, a: Var, b: Var) -> Result<Var> {
    tape.apply1(Add { relu: true }, &[a, b])
}

#[derive(Debug)]
struct Add {
    relu: bool,
}

impl Op for Add {
    fn name(&self) -> &'static str {
        if self.relu { "add_relu" } else { "add" }
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_same(self.name(), inputs[0], inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn rectified(&self) -> bool {
        self.relu
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let mut grad = context.grad(0)?;
        if self.relu {
            grad = super::unary::relu_grad(context, grad)?;
        }
        Ok(vec![Some(grad), Some(grad)])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        let kernel = Kernel::new(&ADD, usize::from(self.relu));
        launch.flat(kernel, &AddParams { vectors: count as u32 }, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let sum = inputs[0].zip(inputs[1], |a, b| a + b);
        vec![if self.relu { sum.map(super::unary::relu_of) } else { sum }]
    }
}
