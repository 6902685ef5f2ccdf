//! The inverse square root of covariances by coupled Newton-Schulz iterations, and its exact gradient.
//!
//! Forward (spec 5): `s = ||A||_F, Y_0 = A/s, Z_0 = I; U = (3I - Z Y)/2, Y <- Y U, Z <- U Z`, T times; `D = Z_T / sqrt(s)`.
//! The first step needs no product and the last none for Y: `3T - 3` products of 2 d^3. Backward (spec 9.4): as the
//! forward derivative in the direction of the symmetrised gradient, `6T - 6` products as `3T - 3` pairs. Up to
//! T = 10 every result is symmetric to rounding and one triangle is computed, which halves both; beyond, full products
//! keep the accuracy (spec 5, 9.4). The order of the factors is part of the algorithm: it must not be changed.
//!
//! Where only D is asked for and one triangle will do, `newton_schulz_doubled.rs` takes fewer products.

use super::matmul::{Product, dims, matrix, product};
use super::newton_schulz_doubled::{self, DoubledNewtonSchulz};
use super::newton_schulz_small::{self, SmallNewtonSchulz};
use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct DotParams { vectors: u32 }
}
kernel_params! {
    struct StartParams { items: u32, d: u32, d4: u32 }
}
kernel_params! {
    struct FinishParams { vectors: u32, per_batch: u32 }
}

static DOT: Shader = Shader::new::<DotParams>("batch_dot.wgsl", 2, 1);
static START: Shader = Shader::new::<StartParams>("newton_schulz_start.wgsl", 2, 2);
static FINISH: Shader = Shader::new::<FinishParams>("newton_schulz_finish.wgsl", 2, 1);
static GRAD_START: Shader = Shader::new::<StartParams>("newton_schulz_grad_start.wgsl", 2, 2);
static GRAD_FINISH: Shader = Shader::new::<FinishParams>("newton_schulz_grad_finish.wgsl", 5, 1);
pub(super) const SHADERS: &[&Shader] = &[&DOT, &START, &FINISH, &GRAD_START, &GRAD_FINISH];

/// Beyond this many iterations one-triangle products lose all accuracy (spec 9.4).
pub(super) const MOST_SYMMETRIC: usize = 10;

/// `D ~ A^(-1/2)` of symmetric positive definite (S,d,d) matrices by `iterations` coupled steps.
///
/// # Errors
/// The matrices are not square, or `iterations` is 0.
pub fn newton_schulz(tape: &mut Tape, a: Var, iterations: usize) -> Result<Var> {
    let [s, d, _] = matrix("newton_schulz", tape.ty(a))?;
    if newton_schulz_small::suits(tape.profile(), [s, d]) {
        return Ok(tape.apply(SmallNewtonSchulz { iterations }, &[a])?[0]);
    }
    if newton_schulz_doubled::suits(iterations) {
        return Ok(tape.apply(DoubledNewtonSchulz { iterations }, &[a])?[0]);
    }
    Ok(newton_schulz_all(tape, a, iterations)?.deconv)
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
    let outputs = tape.apply(NewtonSchulz { iterations }, &[a])?;
    let saved = Saved::new(iterations);
    let z = (1..=iterations).map(|t| outputs[saved.z(t)]).collect();
    Ok(NewtonSchulzVars { deconv: outputs[0], squared_norm: outputs[1], z })
}

/// The textbook iteration `P <- (3 P - P^3 A/s)/2`, which loses its accuracy (spec 5, Fig. 7): `D` after each of
/// `iterations` steps, without a gradient. 3 products of 2 d^3 each.
pub fn newton_schulz_uncoupled(tape: &mut Tape, a: Var, iterations: usize) -> Result<Vec<Var>> {
    tape.apply(Uncoupled { iterations }, &[a])
}

/// Places of the iterates among the outputs: D, norm, Y_0 .. Y_(T-1), U_0 .. U_(T-1), Z_2 .. Z_T; Z_1 is U_0.
#[derive(Clone, Copy)]
struct Saved {
    iterations: usize,
}

impl Saved {
    fn new(iterations: usize) -> Self {
        Self { iterations }
    }

    fn y(self, t: usize) -> usize {
        2 + t
    }

    fn u(self, t: usize) -> usize {
        2 + self.iterations + t
    }

    fn z(self, t: usize) -> usize {
        if t == 1 { self.u(0) } else { 2 + 2 * self.iterations + t - 2 }
    }

    fn len(self) -> usize {
        2 + 3 * self.iterations - 1
    }
}

pub(super) fn square(op: &'static str, ty: &Type, iterations: usize) -> Result<[usize; 3]> {
    let [s, d, d2] = matrix(op, ty)?;
    if d != d2 || iterations == 0 {
        let what = format!("expected square matrices and at least 1 iteration, found {ty} and {iterations}");
        return Err(Error::shape(op, what));
    }
    Ok([s, d, d.div_ceil(4)])
}

pub(super) fn dot(launch: &mut Launch<'_>, [s, d, d4]: [usize; 3], a: Slot, b: Slot, out: Slot) {
    let params = DotParams { vectors: (d * d4) as u32 };
    launch.dispatch(Kernel::new(&DOT, 0), &params, &[a, b], &[out], [s as u32, 1, 1]);
}

/// `y = a / ||a||_F` and `u = (3I - y) / 2`.
pub(super) fn start(launch: &mut Launch<'_>, [s, d, d4]: [usize; 3], [a, norm]: [Slot; 2], [y, u]: [Slot; 2]) {
    let items = s * d * d4;
    let params = StartParams { items: items as u32, d: d as u32, d4: d4 as u32 };
    launch.flat(Kernel::new(&START, 0), &params, &[a, norm], &[y, u], items);
}

/// `dy`, the direction of the derivative, which is g made symmetric and scaled, and `du = -dy / 2`.
pub(super) fn grad_start(launch: &mut Launch<'_>, [s, d, d4]: [usize; 3], [g, norm]: [Slot; 2], [dy, du]: [Slot; 2]) {
    let items = s * d4 * d4;
    let params = StartParams { items: items as u32, d: d as u32, d4: d4 as u32 };
    launch.flat(Kernel::new(&GRAD_START, 0), &params, &[g, norm], &[dy, du], items);
}

/// `D = z / sqrt(||a||_F)`.
pub(super) fn finish(launch: &mut Launch<'_>, [s, d, d4]: [usize; 3], [z, norm]: [Slot; 2], deconv: Slot) {
    let params = FinishParams { vectors: (s * d * d4) as u32, per_batch: (d * d4) as u32 };
    launch.flat(Kernel::new(&FINISH, 0), &params, &[z, norm], &[deconv], s * d * d4);
}

/// The gradient of a from the derivative `dz` of the last z, with the share of the scaling.
pub(super) fn grad_finish(
    launch: &mut Launch<'_>,
    shape @ [s, d, d4]: [usize; 3],
    [a, g, norm, z, dz]: [Slot; 5],
    ga: Slot,
) {
    let (g_dot_z, gb_dot_a) = (launch.scratch("g.z", s), launch.scratch("gb.a", s));
    dot(launch, shape, g, z, g_dot_z);
    dot(launch, shape, dz, a, gb_dot_a);
    let params = FinishParams { vectors: (s * d * d4) as u32, per_batch: (d * d4) as u32 };
    launch.flat(Kernel::new(&GRAD_FINISH, 0), &params, &[dz, a, norm, g_dot_z, gb_dot_a], &[ga], s * d * d4);
}

#[derive(Debug)]
struct NewtonSchulz {
    iterations: usize,
}

impl Op for NewtonSchulz {
    fn name(&self) -> &'static str {
        "newton_schulz"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let [s, ..] = square(self.name(), inputs[0], self.iterations)?;
        let mut types = vec![inputs[0].clone(); Saved::new(self.iterations).len()];
        types[1] = Type::plain(&[s]);
        Ok(types)
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let mut inputs = vec![context.inputs[0], context.grad(0)?];
        inputs.extend(&context.outputs[1..]);
        Ok(vec![context.when(0, NewtonSchulzGrad { iterations: self.iterations }, &inputs)?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let [s, d, _] = dims(launch.inputs[0]);
        let shape = [s, d, d.div_ceil(4)];
        let (a, out, saved) = (launch.reads[0], launch.writes.clone(), Saved::new(self.iterations));
        dot(launch, shape, a, a, out[1]);
        start(launch, shape, [a, out[1]], [out[saved.y(0)], out[saved.u(0)]]);
        let symmetric = self.iterations <= MOST_SYMMETRIC;
        let multiply = |launch: &mut Launch<'_>, a: usize, b: usize, c: usize, alpha: f32, diagonal: f32| {
            Product { alpha, diagonal, symmetric, ..Product::new(out[a], out[b]) }.launch(launch, [s, d, d, d], out[c]);
        };
        for t in 1..self.iterations {
            multiply(launch, saved.y(t - 1), saved.u(t - 1), saved.y(t), 1.0, 0.0);
            multiply(launch, saved.z(t), saved.y(t), saved.u(t), -0.5, 1.5);
            multiply(launch, saved.u(t), saved.z(t), saved.z(t + 1), 1.0, 0.0);
        }
        finish(launch, shape, [out[saved.z(self.iterations)], out[1]], out[0]);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        iterates(inputs[0], self.iterations)
    }
}

/// D, squared norm and iterates on the CPU, at the places of [`Saved`].
pub(super) fn iterates(a: &Array, iterations: usize) -> Vec<Array> {
    let saved = Saved::new(iterations);
    let squared = squared_norms(a);
    let mut out = vec![Array::zeros(&a.shape); saved.len()];
    out[saved.y(0)] = scaled(a, |batch| 1.0 / squared[batch].sqrt());
    out[saved.u(0)] = three_halves_minus_half(&out[saved.y(0)]);
    for t in 1..iterations {
        out[saved.y(t)] = product(&out[saved.y(t - 1)], &out[saved.u(t - 1)]);
        out[saved.u(t)] = three_halves_minus_half(&product(&out[saved.z(t)], &out[saved.y(t)]));
        out[saved.z(t + 1)] = product(&out[saved.u(t)], &out[saved.z(t)]);
    }
    out[0] = scaled(&out[saved.z(iterations)], |batch| squared[batch].powf(-0.25));
    out[1] = Array { shape: vec![a.shape[0]], data: squared };
    out
}

pub(super) fn squared_norms(a: &Array) -> Vec<f64> {
    a.data.chunks(a.shape[1] * a.shape[2]).map(|m| m.iter().map(|v| v * v).sum()).collect()
}

pub(super) fn scaled(a: &Array, factor: impl Fn(usize) -> f64) -> Array {
    let per_batch = a.shape[1] * a.shape[2];
    let data = a.data.iter().enumerate().map(|(i, v)| v * factor(i / per_batch)).collect();
    Array { shape: a.shape.clone(), data }
}

/// `(3 I - x) / 2`.
fn three_halves_minus_half(x: &Array) -> Array {
    let d = x.shape[1];
    let mut y = x.map(|v| -0.5 * v);
    for i in 0..x.shape[0] * d {
        y.data[i * d + i % d] += 1.5;
    }
    y
}

/// Inputs: A, gD, squared norm, then Y, U, Z as saved; output: the symmetric gradient of A.
#[derive(Debug)]
struct NewtonSchulzGrad {
    iterations: usize,
}

impl Op for NewtonSchulzGrad {
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
        let (a, g, norm) = (reads[0], reads[1], reads[2]);
        // The saved iterates follow A at the places they had among the outputs.
        let (saved, at) = (Saved::new(self.iterations), |place: usize| reads[place + 1]);
        let [mut dy, mut dz] = ["dy", "dz"].map(|label| launch.scratch(label, vectors * 4));
        grad_start(launch, shape, [g, norm], [dy, dz]);
        // After step t: dy is dY_(t+1), dz is dZ_(t+1); at t = 0 dz = dU_0.
        let symmetric = self.iterations <= MOST_SYMMETRIC;
        let pair = |launch: &mut Launch<'_>, [a, b, a2, b2]: [Slot; 4], alpha: f32| {
            let c = launch.scratch("iterate", vectors * 4);
            Product { pair: Some((a2, b2)), alpha, symmetric, ..Product::new(a, b) }.launch(launch, [s, d, d, d], c);
            c
        };
        for t in 0..self.iterations {
            let (y, u) = (at(saved.y(t)), at(saved.u(t)));
            let du = if t == 0 { dz } else { pair(launch, [dz, y, at(saved.z(t)), dy], -0.5) };
            let last = t + 1 == self.iterations;
            let next_dy = if last { dy } else { pair(launch, [dy, u, y, du], 1.0) };
            dz = if t == 0 { du } else { pair(launch, [du, at(saved.z(t)), u, dz], 1.0) };
            dy = next_dy;
        }
        grad_finish(launch, shape, [a, g, norm, at(saved.z(self.iterations)), dz], ga);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![gradient(inputs[0], inputs[1], &inputs[2].data, &inputs[3..], self.iterations)]
    }
}

/// The gradient of A on the CPU from `g` of D, the squared norms and the iterates after those: plain reverse mode (spec 9.2),
/// symmetrised. A derivation of its own, so that the twin checks the forward form.
pub(super) fn gradient(a: &Array, g: &Array, squared: &[f64], stack: &[&Array], iterations: usize) -> Array {
    use super::transpose::transposed;
    // D and the norm come before the iterates among the outputs.
    let (saved, at) = (Saved::new(iterations), |place: usize| stack[place - 2]);
    let axpy = |x: &Array, y: &Array, f: f64| x.zip(y, |a, b| a + f * b);
    let mut gz = scaled(g, |batch| squared[batch].powf(-0.25));
    let mut gy = Array::zeros(&a.shape);
    let identity = three_halves_minus_half(&Array::zeros(&a.shape)).map(|v| v / 1.5);
    for t in (0..iterations).rev() {
        let z = if t == 0 { &identity } else { at(saved.z(t)) };
        let (y, u) = (at(saved.y(t)), at(saved.u(t)));
        let gu = axpy(&product(&transposed(y), &gy), &product(&gz, &transposed(z)), 1.0);
        gy = axpy(&product(&gy, &transposed(u)), &product(&transposed(z), &gu), -0.5);
        gz = axpy(&product(&transposed(u), &gz), &product(&gu, &transposed(y)), -0.5);
    }
    through_scaling([a, g, at(saved.z(iterations)), &gy], squared)
}

/// The gradient of A on the CPU from those of D and of `A / ||A||_F`, g and gb, symmetrised (spec 9.2).
pub(super) fn through_scaling([a, g, z, gb]: [&Array; 4], squared: &[f64]) -> Array {
    use super::transpose::transposed;
    let per_batch = a.shape[1] * a.shape[2];
    let sum = |x: &Array, y: &Array, batch: usize| -> f64 {
        let range = batch * per_batch..(batch + 1) * per_batch;
        x.data[range.clone()].iter().zip(&y.data[range]).map(|(p, q)| p * q).sum()
    };
    let gs: Vec<f64> = (0..a.shape[0])
        .map(|batch| {
            let s = squared[batch].sqrt();
            -0.5 * s.powf(-1.5) * sum(g, z, batch) - sum(gb, a, batch) / (s * s)
        })
        .collect();
    let direct = scaled(gb, |batch| 1.0 / squared[batch].sqrt());
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
        let [s, d, _] = dims(launch.inputs[0]);
        let layout = [s, d, d.div_ceil(4)];
        let (a, out, vectors) = (launch.reads[0], launch.writes.clone(), s * d * d.div_ceil(4));
        let norm = launch.scratch("norm", s);
        dot(launch, layout, a, a, norm);
        let [b, mut p] = ["b", "p"].map(|label| launch.scratch(label, vectors * 4));
        start(launch, layout, [a, norm], [b, p]);
        for (t, out) in out.iter().enumerate() {
            if t > 0 {
                // (3 P - P^3 B)/2 as P ((3 I - P P B)/2).
                let [square, u, next] = ["square", "u", "next"].map(|label| launch.scratch(label, vectors * 4));
                let shape = [s, d, d, d];
                Product::new(p, p).launch(launch, shape, square);
                Product { alpha: -0.5, diagonal: 1.5, ..Product::new(square, b) }.launch(launch, shape, u);
                Product::new(p, u).launch(launch, shape, next);
                p = next;
            }
            finish(launch, layout, [p, norm], *out);
        }
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let squared = squared_norms(inputs[0]);
        let b = scaled(inputs[0], |batch| 1.0 / squared[batch].sqrt());
        let mut p = three_halves_minus_half(&b);
        let mut out = Vec::new();
        for t in 0..self.iterations {
            if t > 0 {
                p = product(&p, &three_halves_minus_half(&product(&product(&p, &p), &b)));
            }
            out.push(scaled(&p, |batch| squared[batch].powf(-0.25)));
        }
        out
    }
}
