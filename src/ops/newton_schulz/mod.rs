//! The inverse square root of covariances by Newton-Schulz iterations, and its exact gradient.
//!
//! Forward (method, section 5): `s = ||A||_F, M = A/s`, then the steps of `steps.rs`, `D = Z / sqrt(s)`:
//! at T = 3, 4 and 5, 5, 7 and 10 products of 2 d^3, and from d = 256 on 4, 5 and 6.
//! Backward (method, section 9.4): as the forward derivative in the direction of the symmetrised gradient, a pair of
//! products for each one forward. Up to T = 10 every result is symmetric to rounding and one triangle is computed,
//! which halves both; beyond, full products in the coupled order keep the accuracy (method, sections 5, 9.4).

mod fitted;
pub(super) mod large;
mod reference;
pub(super) mod small;
mod steps;

pub(crate) use reference::MOST_ITERATIONS;

use crate::Result;
use crate::ops::products::matrix::matrix;
use crate::tape::{Op, Tape, Var};
use large::{NewtonSchulz, STACK, Uncoupled};
use reference::MOST_SYMMETRIC;
use std::any::Any;
use std::sync::Arc;
use steps::{Step, converging, coupled, doubled, place_of_iterate};

/// `D ~ A^(-1/2)` of symmetric positive definite (S,d,d) matrices by `iterations` coupled steps.
///
/// The steps are a polynomial (method, section 5), which is computed from fewer products: exactly, or for 3 to 5
/// iterations and d >= 256 to f32 rounding wherever no eigenvalue is negative. Of a matrix that is not positive
/// semidefinite those give something else.
///
/// # Errors
/// The matrices are not square, or `iterations` is 0.
pub fn newton_schulz(tape: &mut Tape, a: Var, iterations: usize) -> Result<Var> {
    let [_, d, _] = matrix("newton_schulz", tape.ty(a))?;
    #[cfg(not(target_arch = "wasm32"))]
    if tape.profile().is_some_and(|profile| small::suits(profile, d)) {
        return Ok(tape.apply(small::SmallNewtonSchulz { iterations }, &[a])?[0]);
    }
    let steps = fewest_steps(iterations.min(MOST_ITERATIONS), d).into();
    Ok(tape.apply(NewtonSchulz { iterations, steps }, &[a])?[0])
}

/// The steps of fewest products for matrices of side `d`.
fn fewest_steps(iterations: usize, d: usize) -> Vec<Step> {
    let fitted = if d >= fitted::SMALLEST { fitted::fitted(iterations) } else { None };
    match iterations {
        _ if fitted.is_some() => fitted.unwrap_or_default(),
        2..=MOST_SYMMETRIC => doubled(iterations),
        _ => coupled(iterations),
    }
}

/// `A^(-1/2)` of symmetric positive definite (S,d,d) matrices whose eigenvalues are at least `lower ||A||_F`, as far as
/// f32 can tell (method, section 5): smaller ones are amplified by less. The smaller `lower`, from 1e-6 to 1, the more
/// steps.
///
/// # Errors
/// The matrices are not square.
pub fn newton_schulz_converged(tape: &mut Tape, a: Var, lower: f32) -> Result<Var> {
    let steps: Arc<[Step]> = converging(lower.clamp(LOWEST, 1.0)).into();
    // No triangles: these go as far as many iterations do.
    let iterations = MOST_SYMMETRIC + 1;
    Ok(tape.apply(NewtonSchulz { iterations, steps }, &[a])?[0])
}

/// Eigenvalues below this share of the norm are lost in the rounding of the matrix.
const LOWEST: f32 = 1e-6;

/// Whether `op` is that of [`newton_schulz`], whichever way it computes.
pub(crate) fn is_newton_schulz(op: &dyn Op) -> bool {
    let op: &dyn Any = op;
    #[cfg(not(target_arch = "wasm32"))]
    if op.is::<small::SmallNewtonSchulz>() {
        return true;
    }
    op.is::<NewtonSchulz>()
}

/// Results of [`newton_schulz_all`].
#[derive(Clone, Debug)]
pub struct NewtonSchulzVars {
    /// `D`, (S,d,d).
    pub deconv: Var,
    /// `||A||_F^2`, (S).
    pub squared_norm: Var,
    /// `Z_1 .. Z_T`, each (S,d,d); `Z_t / sqrt(||A||_F)` is `D` after t iterations.
    pub z: Vec<Var>,
}

/// As [`newton_schulz`], with every iterate.
pub fn newton_schulz_all(tape: &mut Tape, a: Var, iterations: usize) -> Result<NewtonSchulzVars> {
    let steps = coupled(iterations.min(MOST_ITERATIONS)).into();
    let outputs = tape.apply(NewtonSchulz { iterations, steps }, &[a])?;
    let z = (1..=iterations).map(|t| outputs[STACK + place_of_iterate(t)]).collect();
    Ok(NewtonSchulzVars { deconv: outputs[0], squared_norm: outputs[1], z })
}

/// The textbook iteration `P <- (3 P - P^3 A/s)/2`, which loses its accuracy (method, section 5, Fig. 7): `D` after
/// each of
/// `iterations` steps, without a gradient. 3 products of 2 d^3 each.
pub fn newton_schulz_uncoupled(tape: &mut Tape, a: Var, iterations: usize) -> Result<Vec<Var>> {
    tape.apply(Uncoupled { iterations }, &[a])
}

#[cfg(test)]
mod tests {
    use super::steps::Step;
    use super::*;

    #[test]
    fn large_matrices_take_fewer_products_at_three_to_five_iterations() {
        let large = [(3, 576, 4), (4, 576, 5), (5, 576, 6), (5, 256, 6), (2, 576, 2), (6, 576, 12), (15, 576, 42)];
        for (iterations, d, expected) in large.into_iter().chain([(3, 255, 5), (4, 255, 7), (5, 255, 10)]) {
            let steps = fewest_steps(iterations, d);
            let products = steps.iter().filter(|step| matches!(step, Step::Product { .. })).count();
            assert_eq!(products, expected, "{iterations} iterations, d = {d}");
        }
    }
}
