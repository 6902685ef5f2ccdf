//! Newton-Schulz iterations and their gradient, a launch for each product.

use super::reference::{MOST_SYMMETRIC, forward, gradient, scaled, square, squared_norms};
use super::steps::{MOST_ADDED, Step, place_of_iterate, run, uncoupled};
use crate::Result;
use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::products::matrix::dims;
use crate::ops::products::product::Product;
use crate::tape::{Array, Backward, Launch, Op, Type, Var};
use std::sync::Arc;

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
pub(in crate::ops) const SHADERS: &[&Shader] = &[&DOT, &SCALE, &AFFINE, &SUM, &GRAD_START, &GRAD_FINISH];

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
pub(super) struct NewtonSchulz {
    /// They stand for so many coupled iterations.
    pub iterations: usize,
    pub steps: Arc<[Step]>,
}

/// Where M stands among the outputs.
pub(super) const STACK: usize = 2;

impl Op for NewtonSchulz {
    fn name(&self) -> &'static str {
        "newton_schulz"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let [s, ..] = square(self.name(), inputs[0], self.iterations)?;
        let mut types = vec![inputs[0].clone(); STACK + 1 + self.steps.len()];
        types[1] = Type::plain(&[s]);
        Ok(types)
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let mut inputs = vec![context.inputs[0], context.grad(0)?];
        inputs.extend(&context.outputs[1..]);
        let grad = NewtonSchulzGrad { iterations: self.iterations, steps: Arc::clone(&self.steps) };
        Ok(vec![context.when(0, grad, &inputs)?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let shape = sizes(launch);
        let (a, out) = (launch.reads[0], launch.writes.clone());
        let (norm, stack) = (out[1], &out[STACK..]);
        let symmetric = self.iterations <= MOST_SYMMETRIC;
        dot(launch, shape, a, a, norm);
        scale(launch, shape, false, [a, norm], stack[0]);
        for (step, to) in self.steps.iter().zip(&stack[1..]) {
            advance(launch, shape, step, symmetric, stack, *to);
        }
        scale(launch, shape, true, [stack[stack.len() - 1], norm], out[0]);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        forward(inputs[0], &self.steps)
    }
}

/// Inputs: A, gD, squared norm, then M and the results of the steps; output: the symmetric gradient of A.
#[derive(Debug)]
struct NewtonSchulzGrad {
    iterations: usize,
    steps: Arc<[Step]>,
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
        for step in self.steps.iter() {
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

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![gradient([inputs[0], inputs[1]], &inputs[2].data, &inputs[3..], &self.steps)]
    }
}

/// Outputs D after each iteration, (S,d,d).
#[derive(Debug)]
pub(super) struct Uncoupled {
    pub iterations: usize,
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

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let squared = squared_norms(inputs[0]);
        let stack = run(&uncoupled(self.iterations), scaled(inputs[0], |batch| 1.0 / squared[batch].sqrt()));
        let deconv = |t| scaled(&stack[place_of_iterate(t)], |batch| squared[batch].powf(-0.25));
        (1..=self.iterations).map(deconv).collect()
    }
}
