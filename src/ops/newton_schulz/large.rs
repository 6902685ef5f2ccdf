//! The inverse square root of covariances by Newton-Schulz iterations, and its exact gradient.
//!
//! Forward (method, section 5): `s = ||A||_F, M = A/s`, then the steps of `steps.rs`, `D = Z / sqrt(s)`:
//! at T = 5, 10 products of 2 d^3, and in native programs 6 from d = 256 on.
//! Backward (method, section 9.4): as the forward derivative in the direction of the symmetrised gradient, a pair of
//! products for each one forward. Up to T = 10 every result is symmetric to rounding and one triangle is computed,
//! which halves both; beyond, full products in the coupled order keep the accuracy (method, sections 5, 9.4).

use super::fitted::{self, fitted};
use super::small::{self, SmallNewtonSchulz};
use super::steps::{MOST_ADDED, Step, coupled, doubled, place_of_iterate, reverse, run, uncoupled};
use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::products::matmul::{Product, dims, matrix};
use crate::ops::products::transpose::transposed;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct DotParams { vectors: u32, splits: u32, vectors_per_split: u32 }
}
kernel_params! {
    struct AffineParams { vectors: u32, d: u32, d4: u32, beta: f32, diagonal: f32 }
}
kernel_params! {
    struct SumParams { vectors: u32, beta0: f32, beta1: f32, beta2: f32, beta3: f32 }
}
kernel_params! {
    struct GradStartParams { items: u32, d: u32, d4: u32 }
}
kernel_params! {
    struct ScaleParams { vectors: u32, per_batch: u32 }
}

static DOT: Shader =
    Shader::with_variants::<DotParams>("newton_schulz/batch_dot.wgsl", 2, 1, &[&[("TOTAL", 0)], &[("TOTAL", 1)]]);
static SCALE: Shader = Shader::with_variants::<ScaleParams>(
    "newton_schulz/newton_schulz_scale.wgsl",
    2,
    1,
    &[&[("ROOT", 0)], &[("ROOT", 1)]],
);
static AFFINE: Shader = Shader::new::<AffineParams>("newton_schulz/newton_schulz_affine.wgsl", 1, 1);
static SUM: Shader = Shader::new::<SumParams>("newton_schulz/newton_schulz_sum.wgsl", MOST_ADDED as u32, 1);
static GRAD_START: Shader = Shader::new::<GradStartParams>("newton_schulz/newton_schulz_grad_start.wgsl", 2, 1);
static GRAD_FINISH: Shader = Shader::new::<ScaleParams>("newton_schulz/newton_schulz_grad_finish.wgsl", 5, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&DOT, &SCALE, &AFFINE, &GRAD_START, &GRAD_FINISH];
pub(in crate::ops) const SUM_SHADERS: &[&Shader] = &[&SUM];

/// Beyond this many iterations one-triangle products lose all accuracy (method, section 9.4).
pub(in crate::ops) const MOST_SYMMETRIC: usize = 10;

/// `D ~ A^(-1/2)` of symmetric positive definite (S,d,d) matrices by `iterations` coupled steps.
///
/// The steps are a polynomial (method, section 5), which native programs compute from fewer products: exactly, or for 5
/// iterations and d >= 256 to f32 rounding wherever no eigenvalue is negative. Of a matrix that is not positive
/// semidefinite those give something else.
///
/// # Errors
/// The matrices are not square, or `iterations` is 0.
pub fn newton_schulz(tape: &mut Tape, a: Var, iterations: usize) -> Result<Var> {
    let [s, d, _] = matrix("newton_schulz", tape.ty(a))?;
    if small::suits(tape.profile(), [s, d]) {
        return Ok(tape.apply(SmallNewtonSchulz { iterations }, &[a])?[0]);
    }
    Ok(tape.apply(NewtonSchulz { iterations, steps_of: fewest_steps(iterations, d) }, &[a])?[0])
}

/// How a number of iterations becomes steps.
type StepsOf = fn(usize) -> Vec<Step>;

/// The steps of fewest products for matrices of side `d`.
fn fewest_steps(iterations: usize, d: usize) -> StepsOf {
    match iterations {
        fitted::ITERATIONS if d >= fitted::SMALLEST => |_| fitted(),
        2..=MOST_SYMMETRIC => doubled,
        _ => coupled,
    }
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
    let outputs = tape.apply(NewtonSchulz { iterations, steps_of: coupled }, &[a])?;
    let z = (1..=iterations).map(|t| outputs[STACK + place_of_iterate(t)]).collect();
    Ok(NewtonSchulzVars { deconv: outputs[0], squared_norm: outputs[1], z })
}

/// The textbook iteration `P <- (3 P - P^3 A/s)/2`, which loses its accuracy (method, section 5, Fig. 7): `D` after
/// each of
/// `iterations` steps, without a gradient. 3 products of 2 d^3 each.
pub fn newton_schulz_uncoupled(tape: &mut Tape, a: Var, iterations: usize) -> Result<Vec<Var>> {
    tape.apply(Uncoupled { iterations }, &[a])
}

/// Most iterations: each adds launches to every step, and 20 are as exact as f32 can tell. Figure 7 looks at 120.
pub(crate) const MOST_ITERATIONS: usize = 200;

pub(in crate::ops) fn square(op: &'static str, ty: &Type, iterations: usize) -> Result<[usize; 3]> {
    let [s, d, d2] = matrix(op, ty)?;
    if d != d2 || !(1..=MOST_ITERATIONS).contains(&iterations) {
        let what =
            format!("expected square matrices and 1 to {MOST_ITERATIONS} iterations, found {ty} and {iterations}");
        return Err(Error::shape(op, what));
    }
    Ok([s, d, d.div_ceil(4)])
}

/// (S, d, vectors in a row) of the matrices that a launch reads first.
fn sizes(launch: &Launch<'_>) -> [usize; 3] {
    let [s, d, _] = dims(launch.inputs[0]);
    [s, d, d.div_ceil(4)]
}

fn dot(launch: &mut Launch<'_>, [s, d, d4]: [usize; 3], a: Slot, b: Slot, out: Slot) {
    let vectors = d * d4;
    // Chunks of 512 vectors, in whole vectors of four, whose empty chunks give 0.
    let splits = vectors.div_ceil(512).min(256).next_multiple_of(4);
    let grid = |splits: usize| [splits as u32, s as u32, 1];
    let sizes = |vectors: usize, splits: usize| DotParams {
        vectors: vectors as u32,
        splits: splits as u32,
        vectors_per_split: vectors.div_ceil(splits) as u32,
    };
    if splits <= 4 {
        return launch.dispatch(Kernel::new(&DOT, 0), &sizes(vectors, 1), &[a, b], &[out], grid(1));
    }
    let partial = launch.scratch("dots", s * splits);
    launch.dispatch(Kernel::new(&DOT, 0), &sizes(vectors, splits), &[a, b], &[partial], grid(splits));
    launch.dispatch(Kernel::new(&DOT, 1), &sizes(splits / 4, 1), &[partial, partial], &[out], grid(1));
}

/// `y = x / ||a||_F`, or `x / sqrt(||a||_F)` with `root`.
fn scale(launch: &mut Launch<'_>, [s, d, d4]: [usize; 3], root: bool, [x, norm]: [Slot; 2], y: Slot) {
    let params = ScaleParams { vectors: (s * d * d4) as u32, per_batch: (d * d4) as u32 };
    launch.flat(Kernel::new(&SCALE, usize::from(root)), &params, &[x, norm], &[y], s * d * d4);
}

/// `y = beta x + diagonal I`.
fn affine(launch: &mut Launch<'_>, [s, d, d4]: [usize; 3], [beta, diagonal]: [f32; 2], x: Slot, y: Slot) {
    let params = AffineParams { vectors: (s * d * d4) as u32, d: d as u32, d4: d4 as u32, beta, diagonal };
    launch.flat(Kernel::new(&AFFINE, 0), &params, &[x], &[y], s * d * d4);
}

/// What a product adds: nothing, a matrix times a number, or a sum launched before it.
fn sum_added(
    launch: &mut Launch<'_>,
    [s, d, d4]: [usize; 3],
    added: &[(usize, f32)],
    from: &[Slot],
) -> Option<(Slot, f32)> {
    if added.len() < 2 {
        return added.first().map(|(place, beta)| (from[*place], *beta));
    }
    // Of fewer matrices, the rest are the first times 0.
    let [beta0, beta1, beta2, beta3] = std::array::from_fn(|i| added.get(i).map_or(0.0, |term| term.1));
    let x: [Slot; MOST_ADDED] = std::array::from_fn(|i| from[added.get(i).unwrap_or(&added[0]).0]);
    let to = launch.scratch("added", s * d * d4 * 4);
    let params = SumParams { vectors: (s * d * d4) as u32, beta0, beta1, beta2, beta3 };
    launch.flat(Kernel::new(&SUM, 0), &params, &x, &[to], s * d * d4);
    Some((to, 1.0))
}

/// Appends `step`, from matrices in their places.
fn advance(
    launch: &mut Launch<'_>,
    shape @ [s, d, _]: [usize; 3],
    step: &Step,
    symmetric: bool,
    from: &[Slot],
    to: Slot,
) {
    match step {
        Step::Affine { x, beta, diagonal } => affine(launch, shape, [*beta, *diagonal], from[*x], to),
        Step::Product { left, right, alpha, added, diagonal } => {
            let added = sum_added(launch, shape, added, from);
            let factors = Product::new(from[*left], from[*right]);
            let product = Product { alpha: *alpha, added, diagonal: *diagonal, symmetric, ..factors };
            product.launch(launch, [s, d, d, d], to);
        }
    }
}

/// Appends the derivative of `step`, from matrices and their derivatives.
fn derive(
    launch: &mut Launch<'_>,
    shape @ [s, d, _]: [usize; 3],
    step: &Step,
    symmetric: bool,
    [from, derivatives]: [&[Slot]; 2],
    to: Slot,
) {
    match step {
        Step::Affine { x, beta, .. } => affine(launch, shape, [*beta, 0.0], derivatives[*x], to),
        Step::Product { left, right, alpha, added, .. } => {
            let added = sum_added(launch, shape, added, derivatives);
            let pair = Some((from[*left], derivatives[*right]));
            let factors = Product::new(derivatives[*left], from[*right]);
            let product = Product { pair, alpha: *alpha, added, symmetric, ..factors };
            product.launch(launch, [s, d, d, d], to);
        }
    }
}

/// Outputs D (S,d,d), `||A||_F^2` (S), then M and the result of each step, (S,d,d).
#[derive(Debug)]
struct NewtonSchulz {
    iterations: usize,
    steps_of: StepsOf,
}

/// Where M stands among the outputs.
const STACK: usize = 2;

impl Op for NewtonSchulz {
    fn name(&self) -> &'static str {
        "newton_schulz"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let [s, ..] = square(self.name(), inputs[0], self.iterations)?;
        let mut types = vec![inputs[0].clone(); STACK + 1 + (self.steps_of)(self.iterations).len()];
        types[1] = Type::plain(&[s]);
        Ok(types)
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let mut inputs = vec![context.inputs[0], context.grad(0)?];
        inputs.extend(&context.outputs[1..]);
        let grad = NewtonSchulzGrad { iterations: self.iterations, steps_of: self.steps_of };
        Ok(vec![context.when(0, grad, &inputs)?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let shape = sizes(launch);
        let (a, out) = (launch.reads[0], launch.writes.clone());
        let (norm, stack) = (out[1], &out[STACK..]);
        let symmetric = self.iterations <= MOST_SYMMETRIC;
        dot(launch, shape, a, a, norm);
        scale(launch, shape, false, [a, norm], stack[0]);
        for (step, to) in (self.steps_of)(self.iterations).iter().zip(&stack[1..]) {
            advance(launch, shape, step, symmetric, stack, *to);
        }
        scale(launch, shape, true, [stack[stack.len() - 1], norm], out[0]);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        forward(inputs[0], &(self.steps_of)(self.iterations))
    }
}

/// D, squared norm, M and the result of each step on the CPU.
pub(in crate::ops) fn forward(a: &Array, steps: &[Step]) -> Vec<Array> {
    let squared = squared_norms(a);
    let stack = run(steps, scaled(a, |batch| 1.0 / squared[batch].sqrt()));
    let deconv = scaled(&stack[steps.len()], |batch| squared[batch].powf(-0.25));
    let norm = Array { shape: vec![a.shape[0]], data: squared };
    [deconv, norm].into_iter().chain(stack).collect()
}

fn squared_norms(a: &Array) -> Vec<f64> {
    a.data.chunks(a.shape[1] * a.shape[2]).map(|m| m.iter().map(|v| v * v).sum()).collect()
}

fn scaled(a: &Array, factor: impl Fn(usize) -> f64) -> Array {
    let per_batch = a.shape[1] * a.shape[2];
    let data = a.data.iter().enumerate().map(|(i, v)| v * factor(i / per_batch)).collect();
    Array { shape: a.shape.clone(), data }
}

/// Inputs: A, gD, squared norm, then M and the results of the steps; output: the symmetric gradient of A.
#[derive(Debug)]
struct NewtonSchulzGrad {
    iterations: usize,
    steps_of: StepsOf,
}

impl Op for NewtonSchulzGrad {
    fn name(&self) -> &'static str {
        "newton_schulz_grad"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let shape @ [s, d, d4] = sizes(launch);
        let (reads, ga) = (launch.reads.clone(), launch.writes[0]);
        let (a, g, norm, stack) = (reads[0], reads[1], reads[2], &reads[3..]);
        let symmetric = self.iterations <= MOST_SYMMETRIC;
        let direction = launch.scratch("direction", s * d * d4 * 4);
        let params = GradStartParams { items: (s * d4 * d4) as u32, d: d as u32, d4: d4 as u32 };
        launch.flat(Kernel::new(&GRAD_START, 0), &params, &[g, norm], &[direction], s * d4 * d4);
        let mut derivatives = vec![direction];
        for step in &(self.steps_of)(self.iterations) {
            let to = launch.scratch("derivative", s * d * d4 * 4);
            derive(launch, shape, step, symmetric, [stack, &derivatives], to);
            derivatives.push(to);
        }
        let (z, dz) = (stack[stack.len() - 1], derivatives[derivatives.len() - 1]);
        let (g_dot_z, gb_dot_a) = (launch.scratch("g.z", s), launch.scratch("gb.a", s));
        dot(launch, shape, g, z, g_dot_z);
        dot(launch, shape, dz, a, gb_dot_a);
        let params = ScaleParams { vectors: (s * d * d4) as u32, per_batch: (d * d4) as u32 };
        launch.flat(Kernel::new(&GRAD_FINISH, 0), &params, &[dz, a, norm, g_dot_z, gb_dot_a], &[ga], s * d * d4);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![gradient([inputs[0], inputs[1]], &inputs[2].data, &inputs[3..], &(self.steps_of)(self.iterations))]
    }
}

/// The gradient of A on the CPU from `g` of D, the squared norms, and M with the results of the steps (method, section
/// 9.2), symmetrised.
pub(in crate::ops) fn gradient([a, g]: [&Array; 2], squared: &[f64], stack: &[&Array], steps: &[Step]) -> Array {
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

#[derive(Debug)]
struct Uncoupled {
    iterations: usize,
}

impl Op for Uncoupled {
    fn name(&self) -> &'static str {
        "newton_schulz_uncoupled"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        square(self.name(), inputs[0], self.iterations)?;
        Ok(vec![inputs[0].clone(); self.iterations])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let shape @ [s, d, d4] = sizes(launch);
        let (a, out) = (launch.reads[0], launch.writes.clone());
        let (norm, m) = (launch.scratch("norm", s), launch.scratch("m", s * d * d4 * 4));
        dot(launch, shape, a, a, norm);
        scale(launch, shape, false, [a, norm], m);
        let mut stack = vec![m];
        for step in &uncoupled(self.iterations) {
            let to = launch.scratch("result", s * d * d4 * 4);
            advance(launch, shape, step, false, &stack, to);
            stack.push(to);
        }
        for (t, out) in (1..).zip(&out) {
            scale(launch, shape, true, [stack[place_of_iterate(t)], norm], *out);
        }
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let squared = squared_norms(inputs[0]);
        let stack = run(&uncoupled(self.iterations), scaled(inputs[0], |batch| 1.0 / squared[batch].sqrt()));
        let deconv = |t| scaled(&stack[place_of_iterate(t)], |batch| squared[batch].powf(-0.25));
        (1..=self.iterations).map(deconv).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_matrices_take_six_products_at_five_iterations() {
        for (iterations, d, expected) in
            [(5, 576, 6), (5, 256, 6), (5, 255, 10), (4, 576, 7), (6, 576, 12), (15, 576, 42)]
        {
            let steps = fewest_steps(iterations, d)(iterations);
            let products = steps.iter().filter(|step| matches!(step, Step::Product { .. })).count();
            assert_eq!(products, expected, "{iterations} iterations, d = {d}");
        }
    }
}
