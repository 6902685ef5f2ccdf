//! What both ways of launching share: bounds, and the iterations and their gradient on the CPU.

use super::steps::{Step, reverse, run};
use crate::ops::products::matrix::{matrix, transposed};
use crate::tape::{Array, Type};
use crate::{Error, Result};

/// Beyond this many iterations one-triangle products lose all accuracy (method, section 9.4).
pub(super) const MOST_SYMMETRIC: usize = 10;

/// Most iterations: each adds launches to every step, and 20 are as exact as f32 can tell. Figure 7 looks at 120.
pub(crate) const MOST_ITERATIONS: usize = 200;

pub(super) fn square(op: &'static str, ty: &Type, iterations: usize) -> Result<[usize; 3]> {
    let [s, d, d2] = matrix(op, ty)?;
    if d != d2 || !(1..=MOST_ITERATIONS).contains(&iterations) {
        let what =
            format!("expected square matrices and 1 to {MOST_ITERATIONS} iterations, found {ty} and {iterations}");
        return Err(Error::shape(op, what));
    }
    Ok([s, d, d.div_ceil(4)])
}

/// D, squared norm, M and the result of each step on the CPU.
pub(super) fn forward(a: &Array, steps: &[Step]) -> Vec<Array> {
    let squared = squared_norms(a);
    let stack = run(steps, scaled(a, |batch| 1.0 / squared[batch].sqrt()));
    let deconv = scaled(&stack[steps.len()], |batch| squared[batch].powf(-0.25));
    let norm = Array { shape: vec![a.shape[0]], data: squared };
    [deconv, norm].into_iter().chain(stack).collect()
}

pub(super) fn squared_norms(a: &Array) -> Vec<f64> {
    a.data.chunks(a.shape[1] * a.shape[2]).map(|m| m.iter().map(|v| v * v).sum()).collect()
}

pub(super) fn scaled(a: &Array, factor: impl Fn(usize) -> f64) -> Array {
    let per_batch = a.shape[1] * a.shape[2];
    let data = a.data.iter().enumerate().map(|(i, v)| v * factor(i / per_batch)).collect();
    Array { shape: a.shape.clone(), data }
}

/// The gradient of A on the CPU from `g` of D, the squared norms, and M with the results of the steps (method, section
/// 9.2), symmetrised.
pub(super) fn gradient([a, g]: [&Array; 2], squared: &[f64], stack: &[&Array], steps: &[Step]) -> Array {
    let z = stack[steps.len()];
    let gb = reverse(steps, stack, scaled(g, |batch| squared[batch].powf(-0.25)));
    let per_batch = a.shape[1] * a.shape[2];
    let sum = |x: &Array, y: &Array, batch: usize| -> f64 {
        let range = batch * per_batch..(batch + 1) * per_batch;
        x.data[range.clone()].iter().zip(&y.data[range]).map(|(p, q)| p * q).sum()
    };
    let gs: Vec<f64> = (0..a.shape[0])
        .map(|batch| {
            let s = squared[batch].sqrt();
            -0.5 * s.powf(-1.5) * sum(g, z, batch) - sum(&gb, a, batch) / (s * s)
        })
        .collect();
    let direct = scaled(&gb, |batch| 1.0 / squared[batch].sqrt());
    let through_norm = scaled(a, |batch| gs[batch] / squared[batch].sqrt());
    let ga = direct.zip(&through_norm, |p, q| p + q);
    ga.zip(&transposed(&ga), |p, q| 0.5 * (p + q))
}
