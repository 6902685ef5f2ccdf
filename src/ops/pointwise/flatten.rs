//! (N,C,H,W) to (N, C H W) in PyTorch's order. Free for one pixel per image; otherwise one read and one write per
//! element.

use super::relayout::launch_relayout;
use crate::Result;
use crate::ops::expect_activation;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};

/// (N,C,H,W) to (N, C H W); (N,F) stays as it is.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[2, 3, 4, 4]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::flatten(&mut tape, x)?;
/// assert_eq!(tape.shape(y), [2, 48]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// `x` is not an activation.
pub fn flatten(tape: &mut Tape, x: Var) -> Result<Var> {
    let ty = tape.ty(x).clone();
    expect_activation("flatten", &ty)?;
    let [n, c, h, w] = ty.nchw();
    match (ty.shape.len(), h * w) {
        (2, _) => Ok(x),
        (_, 1) => tape.view(x, &[n, c]),
        _ => tape.apply1(Flatten { to: vec![n, c * h * w] }, &[x]),
    }
}

/// One of the two shapes has four dimensions, the other two.
#[derive(Debug)]
struct Flatten {
    to: Vec<usize>,
}

impl Op for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![Type::vec4(&self.to)])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (grad, to) = (context.grad(0)?, context.tape.shape(context.inputs[0]).to_vec());
        Ok(vec![context.when(0, Self { to }, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let [x, y] = [launch.inputs[0], launch.outputs[0]];
        match self.to.len() {
            2 => launch_relayout(launch, false, x, 4 * y.inner4()),
            _ => launch_relayout(launch, true, y, 4 * x.inner4()),
        }
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![Array { shape: self.to.clone(), data: inputs[0].data.clone() }]
    }
}
