//! Three, four or five Newton-Schulz iterations at once, from 4, 5 and 6 products, where the coupled iteration takes
//! 6, 9 and 12 and the doubled one 5, 7 and 10.
//!
//! `Z_T` is a polynomial of `M = A / ||A||_F`, of degree 13, 40 and 121. A is positive semidefinite, so M's eigenvalues
//! lie in [0, 1], and there that polynomial is one of degree 9, 15 and 26 to f32 rounding. These steps are fitted, in
//! `X = 2 M - I`, to its values and its derivative, which is what the gradient takes: over [0, 1] they are within
//! 1.5e-7, 4e-8 and 1.3e-7 of the largest value and 1e-6, 2.1e-7 and 6e-7 of the largest slope. No coefficient exceeds
//! 25, nor a result before the last 5.1, so rounding is not amplified: `tests/newton_schulz.rs` compares them with the
//! coupled steps in f64.
//!
//! For T = 3 the polynomial of degree 9 is the one whose largest error is least. It is written in powers of a cubic
//! `Q = X^3 + ..`, with quadratic coefficients (Paterson & Stockmeyer 1973): Q's own are chosen so that the coefficient
//! of `Q^2` is a number, and its leading number stands at the innermost power.
//!
//! For T = 4 and 5 coefficients are by least squares at Chebyshev nodes, of values and slopes, from random starts with
//! a penalty on large ones that shrinks to nothing. Of the sequences of 5 and 6 products that were tried, each adding
//! all results before it, the best was taken (for T = 4 nothing but squares), and what it lost nothing by was dropped.
//!
//! With one product less, T = 3 has no polynomial that is near enough: 3 products reach degree 8, whose best misses by
//! 1e-6 of the largest value. For T = 4 and 5 the best fits of 4 and 5 products that were found leave 3e-6 and 1.1e-6
//! of the largest value, and 1.7e-5 and 5e-6 of the largest slope.

use super::steps::Step;

/// Sides from this one on take these steps. Smaller matrices keep exact ones: what they would gain has not been
/// measured.
pub(in crate::ops) const SMALLEST: usize = 256;

/// `(left, right, alpha, added, diagonal)` of each product; 1 is `2 M - I`, 2 the first product.
type Row = (usize, usize, f32, &'static [(usize, f32)], f32);
const THREE: [Row; 4] = [
    (1, 1, 1.0, &[], 0.0),
    (1, 2, 1.0, &[(1, 3.346_207), (2, -1.747_59)], 1.873),
    (3, 3, -0.000_799_212_5, &[(1, 0.007_451_178), (2, -0.011_684_724)], -0.159_310_53),
    (3, 4, 1.0, &[(1, -0.216_071_28), (2, -0.130_585_76), (4, -24.833_796)], -2.308_855_3),
];
const FOUR: [Row; 5] = [
    (1, 1, 0.255_435, &[(1, -0.689_533_65)], 0.317_573_9),
    (2, 2, 0.502_04, &[(1, -0.141_649), (2, 0.282_899_65)], 0.375_466_2),
    (3, 3, 0.474_209_6, &[(1, -0.174_903_32), (2, 0.168_579_56), (3, 0.262_569_58)], 0.476_004_06),
    (4, 4, 0.406_710_42, &[(1, 0.529_588_64), (2, -0.226_175_5)], 0.611_647_1),
    (5, 5, 0.288_909_7, &[(1, -0.670_834_66), (4, 0.307_906), (5, 0.337_446_87)], 0.720_156_85),
];
const FIVE: [Row; 6] = [
    (1, 1, 1.0, &[(1, -0.031_466_32)], -0.198_714_23),
    (1, 2, 1.0, &[(1, -0.385_814_8)], -0.145_463_11),
    (3, 3, 1.0, &[(1, -0.224_939_76), (2, 0.122_328_26)], 0.096_752_08),
    (4, 4, 1.0, &[(1, -0.187_134_73), (2, 0.299_785_17), (3, -0.234_797_55)], 0.114_541_97),
    (2, 5, 1.0, &[(1, -0.238_716_19), (3, -0.060_802_456), (4, 0.170_002_77)], 0.098_541_75),
    (5, 6, 2.498_820_3, &[(1, -0.694_885_1), (2, 0.377_169_6), (3, -0.112_079_51), (4, -0.031_348_933)], 1.450_392_8),
];

/// The steps of so many iterations, where there are some.
pub(in crate::ops) fn fitted(iterations: usize) -> Option<Vec<Step>> {
    let rows: &[Row] = match iterations {
        3 => &THREE,
        4 => &FOUR,
        5 => &FIVE,
        _ => return None,
    };
    let products = rows.iter().map(|&(left, right, alpha, added, diagonal)| {
        let added = added.to_vec();
        Step::Product { left, right, alpha, added, diagonal }
    });
    Some([Step::Affine { x: 0, beta: 2.0, diagonal: -1.0 }].into_iter().chain(products).collect())
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
        for (iterations, values, slopes) in [(3, 1.5e-7, 1e-6), (4, 4e-8, 2.1e-7), (5, 1.3e-7, 6e-7)] {
            let found = polynomial(&fitted(iterations).expect("steps"));
            let expected = polynomial(&coupled(iterations));
            for (i, (what, within)) in [("values", values), ("slopes", slopes)].into_iter().enumerate() {
                let largest = expected[i].iter().fold(0.0_f64, |most, v| most.max(v.abs()));
                let errors = found[i].iter().zip(&expected[i]).map(|(f, e)| (f - e).abs() / largest);
                let error = errors.fold(0.0_f64, f64::max);
                assert!(error < within, "{what} of {iterations} iterations: {error}");
            }
        }
        assert!([1, 2, 6, 15].iter().all(|iterations| fitted(*iterations).is_none()));
    }
}
