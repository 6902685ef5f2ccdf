//! [`newton_schulz`](crate::ops::newton_schulz()) of small matrices: all iterations in one launch, and the gradient in
//! another, a workgroup for each matrix.
//!
//! The same numbers as in `large.rs`, product for product; what differs is that a product of small matrices is too
//! little work for a launch of its own. The iterates that the gradient needs lie in one stack, in the order of the
//! coupled steps: `Y_0, U_0`, then `Y_t, U_t, Z_(t+1)` for each t, all (S,d,d).

// No browser runs these kernels, since its compiler may be slow: one took minutes over them, and gave wrong results
// with some.
#![cfg(not(target_arch = "wasm32"))]

use super::reference::{MOST_SYMMETRIC, forward, gradient, square};
use super::steps::coupled;
use crate::Result;
use crate::gpu::{Kernel, Profile, Shader};
use crate::kernel_params;
use crate::ops::products::matrix::{dims, matrix};
use crate::tape::{Array, Backward, Launch, Op, Type, Var};

kernel_params! {
    struct SmallParams { d: u32, d4: u32, batches: u32, iterations: u32, symmetric: u32 }
}

static SMALL: Shader = Shader::new::<SmallParams>("newton_schulz/newton_schulz_small.wgsl", 1, 3);
static SMALL_GRAD: Shader = Shader::new::<SmallParams>("newton_schulz/newton_schulz_small_grad.wgsl", 4, 2);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&SMALL, &SMALL_GRAD];

/// Whether an adapter of this profile is to run these kernels for matrices of side `d`.
pub(super) fn suits(profile: Profile, d: usize) -> bool {
    profile.whole_newton_schulz && d <= LARGEST
}

/// Sides up to this one are small: nine blocks of four, as of 3x3 patches of 4 channels.
const LARGEST: usize = 36;

/// Matrices besides D that are kept: T of Y, T of U, T - 1 of Z.
fn kept(iterations: usize) -> usize {
    3 * iterations - 1
}

fn params([s, d, _]: [usize; 3], iterations: usize) -> SmallParams {
    SmallParams {
        d: d as u32,
        d4: d.div_ceil(4) as u32,
        batches: s as u32,
        iterations: iterations as u32,
        symmetric: u32::from(iterations <= MOST_SYMMETRIC),
    }
}

/// Outputs D (S,d,d), `||A||_F^2` (S), and the stack of iterates ((3T-1) S,d,d).
#[derive(Debug)]
pub(super) struct SmallNewtonSchulz {
    pub iterations: usize,
}

impl Op for SmallNewtonSchulz {
    fn name(&self) -> &'static str {
        "newton_schulz"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let [s, d, _] = square(self.name(), inputs[0], self.iterations)?;
        Ok(vec![inputs[0].clone(), Type::plain(&[s]), Type::vec4(&[kept(self.iterations) * s, d, d])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let inputs = [context.inputs[0], context.grad(0)?, context.outputs[1], context.outputs[2]];
        Ok(vec![context.when(0, SmallNewtonSchulzGrad { iterations: self.iterations }, &inputs)?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let shape @ [s, ..] = dims(launch.inputs[0]);
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.dispatch(Kernel::new(&SMALL, 0), &params(shape, self.iterations), &reads, &writes, [s as u32, 1, 1]);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let mut found = forward(inputs[0], &coupled(self.iterations));
        let stack = found.split_off(2);
        let [s, d, d2] = [0, 1, 2].map(|i| inputs[0].shape[i]);
        let data = stack.into_iter().flat_map(|matrices| matrices.data).collect();
        found.push(Array { shape: vec![kept(self.iterations) * s, d, d2], data });
        found
    }
}

/// Inputs: A, gD, squared norm, the stack of iterates; output: the symmetric gradient of A.
#[derive(Debug)]
struct SmallNewtonSchulzGrad {
    iterations: usize,
}

impl Op for SmallNewtonSchulzGrad {
    fn name(&self) -> &'static str {
        "newton_schulz_grad"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        matrix(self.name(), inputs[0])?;
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let shape @ [s, d, _] = dims(launch.inputs[0]);
        let (reads, write) = (launch.reads.clone(), launch.writes[0]);
        // dU, and two generations of dY and of dZ.
        let work = launch.scratch("work", 5 * s * d * d.next_multiple_of(4));
        launch.dispatch(
            Kernel::new(&SMALL_GRAD, 0),
            &params(shape, self.iterations),
            &reads,
            &[write, work],
            [s as u32, 1, 1],
        );
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (a, stack) = (inputs[0], inputs[3]);
        let matrices =
            stack.data.chunks(a.data.len()).map(|data| Array { shape: a.shape.clone(), data: data.to_vec() });
        let matrices: Vec<Array> = matrices.collect();
        let stack: Vec<&Array> = matrices.iter().collect();
        vec![gradient([a, inputs[1]], &inputs[2].data, &stack, &coupled(self.iterations))]
    }
}
