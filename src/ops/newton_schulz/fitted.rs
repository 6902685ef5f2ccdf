//! Five Newton-Schulz iterations at once, from 6 products where the coupled iteration takes 12 and the doubled one 10.
//!
//! `Z_5` is a polynomial of `M = A / ||A||_F`. A is positive semidefinite, so M's eigenvalues lie in [0, 1], and there that polynomial of
//! degree 121 is one of degree 26 to f32 rounding. These steps are fitted, in `2 M - I`, to its values and its derivative, which is what the
//! gradient takes: over [0, 1] they are within 1.3e-7 of the largest value and 6e-7 of the largest slope. No result exceeds 1.7
//! before the last, nor a coefficient 2.5, so rounding is not amplified: `tests/newton_schulz.rs` compares them with the coupled steps in f64.
//!
//! Coefficients are by least squares at Chebyshev nodes, of values and slopes, from random starts with a penalty on large ones that shrinks
//! to nothing. Of the sequences of 6 products that were tried, each adding all results before it, the best was taken, and what it lost
//! nothing by was dropped.

use super::steps::Step;

pub(in crate::ops) const ITERATIONS: usize = 5;

/// Sides from this one on take these steps. Smaller matrices keep exact ones: what they would gain has not been measured.
pub(in crate::ops) const SMALLEST: usize = 256;

/// `(left, right, alpha, added, diagonal)` of each product; 1 is `2 M - I`, 2 the first product.
type Row = (usize, usize, f32, &'static [(usize, f32)], f32);
const PRODUCTS: [Row; 6] = [
    (1, 1, 1.0, &[(1, -0.031_466_32)], -0.198_714_23),
    (1, 2, 1.0, &[(1, -0.385_814_8)], -0.145_463_11),
    (3, 3, 1.0, &[(1, -0.224_939_76), (2, 0.122_328_26)], 0.096_752_08),
    (4, 4, 1.0, &[(1, -0.187_134_73), (2, 0.299_785_17), (3, -0.234_797_55)], 0.114_541_97),
    (2, 5, 1.0, &[(1, -0.238_716_19), (3, -0.060_802_456), (4, 0.170_002_77)], 0.098_541_75),
    (5, 6, 2.498_820_3, &[(1, -0.694_885_1), (2, 0.377_169_6), (3, -0.112_079_51), (4, -0.031_348_933)], 1.450_392_8),
];

pub(in crate::ops) fn fitted() -> Vec<Step> {
    let products = PRODUCTS.iter().map(|&(left, right, alpha, added, diagonal)| {
        let added = added.to_vec();
        Step::Product { left, right, alpha, added, diagonal }
    });
    [Step::Affine { x: 0, beta: 2.0, diagonal: -1.0 }].into_iter().chain(products).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::newton_schulz::steps::{coupled, reverse, run};
    use crate::tape::Array;

    /// Values and slopes of the polynomial that `steps` make, at eigenvalues from 0 to 1: matrices of one entry.
    fn polynomial(steps: &[Step]) -> [Vec<f64>; 2] {
        let last = 4000;
        let shape = vec![last + 1, 1, 1];
        let eigenvalues = Array { shape: shape.clone(), data: (0..=last).map(|i| i as f64 / last as f64).collect() };
        let stack = run(steps, eigenvalues);
        let ones = Array { shape, data: vec![1.0; last + 1] };
        let slopes = reverse(steps, &stack.iter().collect::<Vec<_>>(), ones);
        [stack[steps.len()].data.clone(), slopes.data]
    }

    #[test]
    fn fitted_steps_make_the_coupled_polynomial_and_its_slope_to_rounding() {
        let (found, expected) = (polynomial(&fitted()), polynomial(&coupled(ITERATIONS)));
        for (i, (what, within)) in [("values", 1.3e-7), ("slopes", 6e-7)].into_iter().enumerate() {
            let largest = expected[i].iter().fold(0.0_f64, |most, v| most.max(v.abs()));
            let errors = found[i].iter().zip(&expected[i]).map(|(f, e)| (f - e).abs() / largest);
            let error = errors.fold(0.0_f64, f64::max);
            assert!(error < within, "{what}: {error}");
        }
    }
}
