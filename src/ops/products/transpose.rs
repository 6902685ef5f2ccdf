//! Transposes of batched matrices, and sums of a matrix with its transpose.

use super::matrix::{dims, matrix, transposed};
use crate::Result;
use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct TransposeParams { items: u32, m: u32, n: u32, beta: f32, gamma: f32 }
}

static TRANSPOSE: Shader = Shader::new::<TransposeParams>("products/transpose.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&TRANSPOSE];

/// Appends `y = beta x + gamma x^T`; `[batches, m, n]` of x, square when beta is not 0.
pub(in crate::ops) fn launch_transpose(
    launch: &mut Launch<'_>,
    [batches, m, n]: [usize; 3],
    [beta, gamma]: [f32; 2],
    x: Slot,
    y: Slot,
) {
    let items = batches * n.div_ceil(4) * m.div_ceil(4);
    let params = TransposeParams { items: items as u32, m: m as u32, n: n as u32, beta, gamma };
    launch.flat(Kernel::new(&TRANSPOSE, 0), &params, &[x], &[y], items);
}

/// `x^T` of (S,M,N).
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 2, 3]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::transpose(&mut tape, x)?;
/// assert_eq!(tape.shape(y), [1, 3, 2]);
/// assert_eq!(tape.compute(y, &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn transpose(tape: &mut Tape, x: Var) -> Result<Var> {
    tape.apply1(Transpose, &[x])
}

#[derive(Debug)]
struct Transpose;

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let [s, m, n] = matrix(self.name(), inputs[0])?;
        Ok(vec![Type::vec4(&[s, n, m])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        Ok(vec![context.when(0, Self, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (x, y, shape) = (launch.reads[0], launch.writes[0], dims(launch.inputs[0]));
        launch_transpose(launch, shape, [0.0, 1.0], x, y);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![transposed(inputs[0])]
    }
}
