//! Newton-Schulz iterations as lists of products, each of the matrices before it.
//!
//! *Coupled* is the iteration as written (method, section 5): `U = (3I - Z Y)/2, Y <- Y U, Z <- U Z`, without the
//! products by the identity and the last Y. The order of the factors is part of the algorithm: it must not be changed.
//!
//! *Doubled* takes two iterations at a time. All iterates are polynomials of `M = A / ||A||_F`, so the iteration is
//! `P = (3I - M)/2, Z <- Z P, M <- M P P`, and two consecutive factors P make one polynomial of degree four in the
//! first one's M, which takes two products instead of three (after the adapted coefficients of Knuth, The Art of
//! Computer Programming 2, 4.6.4):
//!
//! ```text
//! R = M^2 - 9/2 M + 27/8 I,   Q = R^2 / 16 - 69/128 M + 1575/1024 I,   Z <- Z Q,   M <- M Q Q
//! ```
//!
//! T = 5 takes 10 products forward where the coupled iteration takes 12. In f32 it meets the reference vectors and
//! references within the tolerances of that.
//!
//! *Fitted* takes three to five iterations at once (`fitted.rs`).
//!
//! *Converging* is no paper's polynomial, but one that goes to the inverse root: the coupled iteration with
//! `U = b I + a Z Y`, whose numbers are the best for what each step meets. If the singular values of `Z M^(1/2)` lie in
//! [l, h], then among odd cubics `p = k ((l^2 + l h + h^2) x - x^3)` with `k = 2 / (2 e^3 + l h (l + h))`,
//! `e = ((l^2 + l h + h^2) / 3)^(1/2)` is nearest to 1 there, within `1 - p(l)` (Grishina, Smirnov & Rakhuba 2025), and
//! the next ones lie in [p(l), 2 - p(l)].

use crate::ops::products::matrix::{product, transposed};
use crate::tape::Array;

/// Matrices are known by their place: M first, then the result of each step. The last result is Z.
#[derive(Clone, Debug)]
pub(in crate::ops) enum Step {
    /// `to = beta x + diagonal I`.
    Affine { x: usize, beta: f32, diagonal: f32 },
    /// `to = alpha left right + sum of beta added + diagonal I`, of at most [`MOST_ADDED`] `(added, beta)`.
    Product { left: usize, right: usize, alpha: f32, added: Vec<(usize, f32)>, diagonal: f32 },
}

pub(in crate::ops) const MOST_ADDED: usize = 4;

/// Collects steps; each returns its place.
#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn push(&mut self, step: Step) -> usize {
        self.0.push(step);
        self.0.len()
    }

    /// `(3I - M) / 2`.
    fn first_factor(&mut self) -> usize {
        self.push(Step::Affine { x: 0, beta: -0.5, diagonal: 1.5 })
    }

    /// `alpha x^2 + beta y + diagonal I`.
    fn square(&mut self, x: usize, alpha: f32, added: (usize, f32), diagonal: f32) -> usize {
        self.push(Step::Product { left: x, right: x, alpha, added: vec![added], diagonal })
    }

    fn product(&mut self, left: usize, right: usize) -> usize {
        self.push(Step::Product { left, right, alpha: 1.0, added: vec![], diagonal: 0.0 })
    }

    /// `(3I - left right) / 2`.
    fn factor(&mut self, left: usize, right: usize) -> usize {
        self.push(Step::Product { left, right, alpha: -0.5, added: vec![], diagonal: 1.5 })
    }
}

/// Place of `Z_t` among the matrices of [`coupled`] and of `P_t` among those of [`uncoupled`], for t from 1.
pub(in crate::ops) fn place_of_iterate(t: usize) -> usize {
    3 * t - 2
}

/// Results in order: `U_0`, then `Y_t, U_t, Z_(t+1)` for each t from 1; `Z_1` is `U_0`.
pub(in crate::ops) fn coupled(iterations: usize) -> Vec<Step> {
    coupled_by(&vec![[1.5, -0.5]; iterations])
}

/// As [`coupled`], with `U = b I + a Z Y` for each `[b, a]`.
fn coupled_by(factors: &[[f32; 2]]) -> Vec<Step> {
    let mut steps = Steps::default();
    let [mut y, mut u, mut z] = [0; 3];
    for (t, [b, a]) in factors.iter().enumerate() {
        if t == 0 {
            u = steps.push(Step::Affine { x: 0, beta: *a, diagonal: *b });
            z = u;
            continue;
        }
        y = steps.product(y, u);
        u = steps.push(Step::Product { left: z, right: y, alpha: *a, added: vec![], diagonal: *b });
        z = steps.product(u, z);
    }
    steps.0
}

/// Steps after which `|l z^2 - 1|` is at most about twice [`CONVERGED`] for eigenvalues l of M from `lower` to 1, in
/// `f64`.
pub(in crate::ops) fn converging(lower: f32) -> Vec<Step> {
    let [mut l, mut h] = [f64::from(lower).sqrt(), 1.0];
    let mut factors = Vec::new();
    while factors.is_empty() || 1.0 - l > CONVERGED {
        let sum = l * l + l * h + h * h;
        let e = (sum / 3.0).sqrt();
        let k = 2.0 / (2.0 * e.powi(3) + l * h * (l + h));
        factors.push([(k * sum) as f32, -k as f32]);
        l = k * l * (sum - l * l);
        h = 2.0 - l;
    }
    coupled_by(&factors)
}

/// Where [`converging`] ends: of singular values of `Z M^(1/2)` from 1.
const CONVERGED: f64 = 1e-4;

/// At least two iterations.
pub(in crate::ops) fn doubled(iterations: usize) -> Vec<Step> {
    let mut steps = Steps::default();
    let (mut m, mut z, mut left) = (0, None, iterations);
    loop {
        let r = steps.square(m, 1.0, (m, -4.5), 3.375);
        let q = steps.square(r, 1.0 / 16.0, (m, -69.0 / 128.0), 1575.0 / 1024.0);
        let next = z.map_or(q, |z| steps.product(z, q));
        left -= 2;
        if left == 0 {
            return steps.0;
        }
        let half = steps.product(m, q);
        if left == 1 {
            let p = steps.factor(half, q);
            steps.product(next, p);
            return steps.0;
        }
        (m, z) = (steps.product(half, q), Some(next));
    }
}

/// The textbook iteration `P <- (3 P - P^3 M) / 2`, as `P ((3 I - P P M) / 2)`.
pub(in crate::ops) fn uncoupled(iterations: usize) -> Vec<Step> {
    let mut steps = Steps::default();
    let mut p = steps.first_factor();
    for _ in 1..iterations {
        let square = steps.product(p, p);
        let u = steps.factor(square, 0);
        p = steps.product(p, u);
    }
    steps.0
}

/// M and the result of each step, on the CPU.
pub(in crate::ops) fn run(steps: &[Step], m: Array) -> Vec<Array> {
    let d = m.shape[1];
    let mut stack = vec![m];
    for step in steps {
        let (mut to, diagonal) = match step {
            Step::Affine { x, beta, diagonal } => (stack[*x].map(|v| f64::from(*beta) * v), diagonal),
            Step::Product { left, right, alpha, added, diagonal } => {
                let to = product(&stack[*left], &stack[*right]).map(|v| f64::from(*alpha) * v);
                (added.iter().fold(to, |to, (place, beta)| plus(&to, &stack[*place], *beta)), diagonal)
            }
        };
        for i in 0..to.shape[0] * d {
            to.data[i * d + i % d] += f64::from(*diagonal);
        }
        stack.push(to);
    }
    stack
}

/// The gradient of M on the CPU from that of the last result: plain reverse mode over the steps, a derivation of its
/// own, so that the reference checks the forward form that the GPU takes.
pub(in crate::ops) fn reverse(steps: &[Step], stack: &[&Array], gz: Array) -> Array {
    let mut gradients = vec![Array::zeros(&gz.shape); stack.len()];
    gradients[steps.len()] = gz;
    for (i, step) in steps.iter().enumerate().rev() {
        let to = gradients[i + 1].clone();
        let added = match step {
            Step::Affine { x, beta, .. } => &[(*x, *beta)],
            Step::Product { left, right, alpha, added, .. } => {
                let of_left = product(&to, &transposed(stack[*right]));
                let of_right = product(&transposed(stack[*left]), &to);
                gradients[*left] = plus(&gradients[*left], &of_left, *alpha);
                gradients[*right] = plus(&gradients[*right], &of_right, *alpha);
                added.as_slice()
            }
        };
        for (place, beta) in added {
            gradients[*place] = plus(&gradients[*place], &to, *beta);
        }
    }
    gradients.swap_remove(0)
}

fn plus(x: &Array, y: &Array, factor: f32) -> Array {
    x.zip(y, |x, y| x + f64::from(factor) * y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::newton_schulz::reference::MOST_SYMMETRIC;
    use crate::rng::Rng;

    fn products(steps: &[Step]) -> usize {
        steps.iter().filter(|step| matches!(step, Step::Product { .. })).count()
    }

    #[test]
    fn converging_steps_reach_the_inverse_root_of_all_eigenvalues_above_the_bound() {
        for (lower, expected) in [(1e-2, 12), (1e-4, 21), (1e-6, 27)] {
            let steps = converging(lower);
            assert_eq!(products(&steps), expected, "from {lower}");
            let last = 2000;
            // Evenly in the logarithm.
            let at = |i: usize| f64::from(lower).powf(1.0 - i as f64 / last as f64);
            let l = Array { shape: vec![last + 1, 1, 1], data: (0..=last).map(at).collect() };
            let z = run(&steps, l.clone()).swap_remove(steps.len());
            let worst = l.data.iter().zip(&z.data).map(|(l, z)| (l * z * z - 1.0).abs()).fold(0.0, f64::max);
            assert!(worst < 2.0 * CONVERGED, "from {lower}: {worst}");
        }
    }

    #[test]
    fn doubled_steps_make_the_coupled_polynomial_from_fewer_products() {
        let (d, mut rng) = (12, Rng::new(1));
        let rows = Array { shape: vec![1, 7, d], data: (0..7 * d).map(|_| f64::from(rng.normal())).collect() };
        // Seven rows: the covariance is singular, so small eigenvalues are amplified most.
        let a = product(&transposed(&rows), &rows);
        let norm = a.data.iter().map(|v| v * v).sum::<f64>().sqrt();
        let last = |steps: &[Step]| run(steps, a.map(|v| v / norm)).swap_remove(steps.len());
        let expected = [2, 5, 7, 10, 12, 15, 17, 20, 22];
        for (iterations, expected) in (2..=MOST_SYMMETRIC).zip(expected) {
            let (one, two) = (coupled(iterations), doubled(iterations));
            assert_eq!([products(&one), products(&two)], [3 * iterations - 3, expected], "{iterations} iterations");
            let (found, coupled) = (last(&two), last(&one));
            let largest = coupled.data.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
            let error = found.data.iter().zip(&coupled.data).fold(0.0_f64, |most, (f, c)| most.max((f - c).abs()));
            assert!(error < 1e-11 * largest, "{iterations} iterations: {error} of {largest}");
        }
    }
}
