//! [`newton_schulz`](super::newton_schulz()) by two iterations at a time: the same polynomial of A from fewer products.
//!
//! All iterates are polynomials of `M = A / ||A||_F` (spec 5), so the coupled iteration is `P = (3I - M)/2, Z <- Z P,
//! M <- M P P`. Two factors P of consecutive iterations make one polynomial of degree four in the first one's M, which takes two
//! products instead of three (after the adapted coefficients of Knuth, The Art of Computer Programming 2, 4.6.4):
//!
//! ```text
//! R = M^2 - 9/2 M + 27/8 I,   Q = R^2 / 16 - 69/128 M + 1575/1024 I,   Z <- Z Q,   M <- M Q Q
//! ```
//!
//! T = 5 takes 10 products forward where the iteration as written takes 12, and 10 pairs backward; of each, one triangle. In f32 it meets
//! the reference vectors and twins within the tolerances of the coupled iteration. Beyond 10 iterations one triangle does not do
//! (spec 9.4), and the coupled iteration is taken as it is written.

use super::matmul::{Product, dims, product};
use super::newton_schulz::{
    MOST_SYMMETRIC, dot, finish, grad_finish, grad_start, scaled, square, squared_norms, start, through_scaling,
};
use super::transpose::transposed;
use crate::Result;
use crate::gpu::Slot;
use crate::tape::{Array, Backward, Launch, Op, Type, Var};

/// Whether so many iterations are taken in twos.
pub(super) fn suits(iterations: usize) -> bool {
    (2..=MOST_SYMMETRIC).contains(&iterations)
}

/// `to = alpha left right [+ beta added] + diagonal I`. Matrices are known by their place: M first, then the result of each step.
#[derive(Clone, Copy)]
struct Step {
    left: usize,
    right: usize,
    alpha: f32,
    added: Option<(usize, f32)>,
    diagonal: f32,
}

/// What is done to M, in order; the last result is Z.
fn steps(iterations: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut push = |left, right, alpha, added, diagonal| {
        steps.push(Step { left, right, alpha, added, diagonal });
        steps.len()
    };
    let (mut m, mut z, mut left) = (0, None, iterations);
    loop {
        let r = push(m, m, 1.0, Some((m, -4.5)), 3.375);
        let q = push(r, r, 1.0 / 16.0, Some((m, -69.0 / 128.0)), 1575.0 / 1024.0);
        let product = z.map_or(q, |z| push(z, q, 1.0, None, 0.0));
        left -= 2;
        if left == 0 {
            return steps;
        }
        let half = push(m, q, 1.0, None, 0.0);
        if left == 1 {
            let p = push(half, q, -0.5, None, 1.5);
            push(product, p, 1.0, None, 0.0);
            return steps;
        }
        (m, z) = (push(half, q, 1.0, None, 0.0), Some(product));
    }
}

/// Outputs D (S,d,d), `||A||_F^2` (S), then M and the result of each step, (S,d,d).
#[derive(Debug)]
pub(super) struct DoubledNewtonSchulz {
    pub iterations: usize,
}

/// Where M stands among the outputs.
const STACK: usize = 2;

impl Op for DoubledNewtonSchulz {
    fn name(&self) -> &'static str {
        "newton_schulz"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let [s, ..] = square(self.name(), inputs[0], self.iterations)?;
        let mut types = vec![inputs[0].clone(); STACK + 1 + steps(self.iterations).len()];
        types[1] = Type::plain(&[s]);
        Ok(types)
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let mut inputs = vec![context.inputs[0], context.grad(0)?];
        inputs.extend(&context.outputs[1..]);
        Ok(vec![context.when(0, DoubledNewtonSchulzGrad { iterations: self.iterations }, &inputs)?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let [s, d, _] = dims(launch.inputs[0]);
        let shape @ [_, _, d4] = [s, d, d.div_ceil(4)];
        let (a, out) = (launch.reads[0], launch.writes.clone());
        let stack = &out[STACK..];
        dot(launch, shape, a, a, out[1]);
        let unused = launch.scratch("unused", s * d * d4 * 4);
        start(launch, shape, [a, out[1]], [stack[0], unused]);
        for (step, to) in steps(self.iterations).into_iter().zip(&stack[1..]) {
            let product = Product {
                alpha: step.alpha,
                added: step.added.map(|(place, beta)| (stack[place], beta)),
                diagonal: step.diagonal,
                symmetric: true,
                ..Product::new(stack[step.left], stack[step.right])
            };
            product.launch(launch, [s, d, d, d], *to);
        }
        finish(launch, shape, [stack[stack.len() - 1], out[1]], out[0]);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let squared = squared_norms(inputs[0]);
        let mut stack = vec![scaled(inputs[0], |batch| 1.0 / squared[batch].sqrt())];
        for step in steps(self.iterations) {
            let mut to = product(&stack[step.left], &stack[step.right]).map(|v| f64::from(step.alpha) * v);
            if let Some((place, beta)) = step.added {
                to = to.zip(&stack[place], |v, added| v + f64::from(beta) * added);
            }
            let d = to.shape[1];
            for i in 0..to.shape[0] * d {
                to.data[i * d + i % d] += f64::from(step.diagonal);
            }
            stack.push(to);
        }
        let deconv = scaled(&stack[stack.len() - 1], |batch| squared[batch].powf(-0.25));
        let norm = Array { shape: vec![inputs[0].shape[0]], data: squared };
        [deconv, norm].into_iter().chain(stack).collect()
    }
}

/// Inputs: A, gD, squared norm, then M and the results of the steps; output: the symmetric gradient of A, as the derivative in
/// the direction of gD (spec 9.4).
#[derive(Debug)]
struct DoubledNewtonSchulzGrad {
    iterations: usize,
}

impl Op for DoubledNewtonSchulzGrad {
    fn name(&self) -> &'static str {
        "newton_schulz_grad"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let [s, d, _] = dims(launch.inputs[0]);
        let shape @ [_, _, d4] = [s, d, d.div_ceil(4)];
        let vectors = s * d * d4;
        let (reads, ga) = (launch.reads.clone(), launch.writes[0]);
        let (a, g, norm, stack) = (reads[0], reads[1], reads[2], &reads[3..]);
        let [direction, unused] = ["direction", "unused"].map(|label| launch.scratch(label, vectors * 4));
        grad_start(launch, shape, [g, norm], [direction, unused]);
        let mut derivatives: Vec<Slot> = vec![direction];
        for step in steps(self.iterations) {
            let to = launch.scratch("derivative", vectors * 4);
            let product = Product {
                pair: Some((stack[step.left], derivatives[step.right])),
                alpha: step.alpha,
                added: step.added.map(|(place, beta)| (derivatives[place], beta)),
                symmetric: true,
                ..Product::new(derivatives[step.left], stack[step.right])
            };
            product.launch(launch, [s, d, d, d], to);
            derivatives.push(to);
        }
        let (z, dz) = (stack[stack.len() - 1], derivatives[derivatives.len() - 1]);
        grad_finish(launch, shape, [a, g, norm, z, dz], ga);
    }

    /// Plain reverse mode over the steps, symmetrised: a derivation of its own.
    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let (a, g, squared, stack) = (inputs[0], inputs[1], &inputs[2].data, &inputs[3..]);
        let plus = |x: &Array, y: &Array, factor: f64| x.zip(y, |x, y| x + factor * y);
        let mut gradients = vec![Array::zeros(&a.shape); stack.len()];
        gradients[stack.len() - 1] = scaled(g, |batch| squared[batch].powf(-0.25));
        for (i, step) in steps(self.iterations).into_iter().enumerate().rev() {
            let (to, alpha) = (gradients[i + 1].clone(), f64::from(step.alpha));
            let of_left = product(&to, &transposed(stack[step.right]));
            let of_right = product(&transposed(stack[step.left]), &to);
            gradients[step.left] = plus(&gradients[step.left], &of_left, alpha);
            gradients[step.right] = plus(&gradients[step.right], &of_right, alpha);
            if let Some((place, beta)) = step.added {
                gradients[place] = plus(&gradients[place], &to, f64::from(beta));
            }
        }
        let (z, gb) = (stack[stack.len() - 1], &gradients[0]);
        vec![through_scaling([a, g, z, gb], squared)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::newton_schulz::iterates;
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn is_the_polynomial_of_the_coupled_iteration_from_fewer_products() {
        let (d, mut rng) = (12, Rng::new(1));
        let rows = Array { shape: vec![1, 7, d], data: (0..7 * d).map(|_| f64::from(rng.normal())).collect() };
        // Seven rows: the covariance is singular, so small eigenvalues are amplified most.
        let a = product(&transposed(&rows), &rows);
        let expected = [2, 5, 7, 10, 12, 15, 17, 20, 22];
        for (iterations, expected) in (2..=MOST_SYMMETRIC).zip(expected) {
            assert_eq!(steps(iterations).len(), expected, "{iterations} iterations");
            let found = &DoubledNewtonSchulz { iterations }.twin(&[&a])[0];
            let coupled = &iterates(&a, iterations)[0];
            let largest = coupled.data.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
            let error = found.data.iter().zip(&coupled.data).fold(0.0_f64, |most, (f, c)| most.max((f - c).abs()));
            assert!(error < 1e-11 * largest, "{iterations} iterations: {error} of {largest}");
        }
    }
}
