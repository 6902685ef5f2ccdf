//! Losses that compare two activations element by element: mean squared error and binary cross-entropy.

use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::{expect_activation, expect_same, one_hot, to_vec4, vectors};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct PairLossParams { vectors: u32, inner: u32, inner4: u32, invocations: u32 }
}
kernel_params! {
    struct PairLossGradParams { vectors: u32, inner: u32, inner4: u32, scale: f32 }
}
kernel_params! {
    struct TotalParams { terms: u32, scale: f32 }
}

const KINDS: &[&[(&str, u32)]] = &[&[("KIND", 0)], &[("KIND", 1)]];
static FORWARD: Shader = Shader::with_variants::<PairLossParams>("loss/pair_loss.wgsl", 2, 1, KINDS);
static GRAD: Shader = Shader::with_variants::<PairLossGradParams>("loss/pair_loss_grad.wgsl", 3, 1, KINDS);
static TOTAL: Shader = Shader::new::<TotalParams>("loss/total.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&FORWARD, &GRAD, &TOTAL];

/// Terms of a sum: enough to occupy any GPU, few enough for the one workgroup that adds them.
const MOST_TERMS: usize = 16_384;

/// `mean (x - target)^2` (shape `[1]`) over all elements of an activation `x`; `target` has the same shape, in vectors
/// of four or row-major, and is a constant: no gradient flows to it.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (x, target) = (tape.leaf("x", &[1, 2]), tape.leaf("target", &[1, 2]));
/// let x = f::to_vec4(&mut tape, x)?;
/// let loss = f::mse_loss(&mut tape, x, target)?;
/// assert_eq!(tape.compute(loss, &[&[1.0, 2.0], &[1.0, 4.0]])?, [2.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// The shapes differ, or `x` is not an activation.
pub fn mse_loss(tape: &mut Tape, x: Var, target: Var) -> Result<Var> {
    pair_loss(tape, Kind::Square, 1.0, x, target)
}

/// `mean log(1 + exp(x)) - target x` (shape `[1]`): cross-entropy of `sigmoid(x)` with probabilities `target`, computed
/// without overflow. Shapes and errors as [`mse_loss`].
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (x, target) = (tape.leaf("x", &[1, 2]), tape.leaf("target", &[1, 2]));
/// let x = f::to_vec4(&mut tape, x)?;
/// let loss = f::binary_cross_entropy_with_logits(&mut tape, x, target)?;
/// // A logit of 0 is a probability of one half, whatever was right.
/// let loss = tape.compute(loss, &[&[0.0, 0.0], &[1.0, 0.0]])?[0];
/// assert!((loss - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn binary_cross_entropy_with_logits(tape: &mut Tape, x: Var, target: Var) -> Result<Var> {
    pair_loss(tape, Kind::Bce, 1.0, x, target)
}

/// `mean over rows of 1/2 |x - target|^2`, which is [`mse_loss`] times C/2: least squares for `target` rows with a
/// single 1.
/// Shapes and errors as [`mse_loss`].
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (x, target) = (tape.leaf("x", &[1, 2]), tape.leaf("target", &[1, 2]));
/// let x = f::to_vec4(&mut tape, x)?;
/// let loss = f::least_squares(&mut tape, x, target)?;
/// assert_eq!(tape.compute(loss, &[&[0.5, 0.5], &[1.0, 0.0]])?, [0.25]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn least_squares(tape: &mut Tape, x: Var, target: Var) -> Result<Var> {
    let scale = tape.ty(x).inner() as f32 / 2.0;
    pair_loss(tape, Kind::Square, scale, x, target)
}

/// [`least_squares`] with u32 labels (N) or (N,H,W) in place of the targets.
///
/// ```
/// use mexhat::nn::{DType, Tape, functional as f};
/// let mut tape = Tape::new();
/// let (x, labels) = (tape.leaf("x", &[1, 2]), tape.input("labels", &[1], DType::U32));
/// let x = f::to_vec4(&mut tape, x)?;
/// let loss = f::least_squares_labels(&mut tape, x, labels)?;
/// assert_eq!(tape.compute(loss, &[&[0.5, 0.5], &[0.0]])?, [0.25]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn least_squares_labels(tape: &mut Tape, x: Var, labels: Var) -> Result<Var> {
    let like = tape.ty(x).clone();
    let target = one_hot(tape, labels, &like)?;
    least_squares(tape, x, target)
}

fn pair_loss(tape: &mut Tape, kind: Kind, scale: f32, x: Var, target: Var) -> Result<Var> {
    let target = if tape.shape(x) == tape.shape(target) { to_vec4(tape, target)? } else { target };
    tape.apply1(PairLoss { kind, scale }, &[x, target])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Square,
    Bce,
}

impl Kind {
    fn value(self, x: f64, target: f64) -> f64 {
        match self {
            Self::Square => (x - target).powi(2),
            Self::Bce => x.max(0.0) - target * x + (-x.abs()).exp().ln_1p(),
        }
    }

    fn slope(self, x: f64, target: f64) -> f64 {
        match self {
            Self::Square => 2.0 * (x - target),
            Self::Bce => 1.0 / (1.0 + (-x).exp()) - target,
        }
    }
}

/// `scale * mean f(x, target)`.
#[derive(Clone, Copy, Debug)]
struct PairLoss {
    kind: Kind,
    scale: f32,
}

impl Op for PairLoss {
    fn name(&self) -> &'static str {
        if self.kind == Kind::Square { "mse_loss" } else { "binary_cross_entropy_with_logits" }
    }

    fn exact(&self) -> bool {
        true
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), inputs[0])?;
        expect_same(self.name(), inputs[0], inputs[1])?;
        if inputs[0].is_empty() {
            return Err(Error::shape(self.name(), format!("expected at least one element, found {}", inputs[0])));
        }
        Ok(vec![Type::plain(&[1])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (x, target, gy) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        Ok(vec![context.when(0, PairLossGrad(*self), &[x, target, gy])?, None])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ty = launch.inputs[0];
        let count = vectors(ty).min(MOST_TERMS);
        let params = PairLossParams {
            vectors: vectors(ty) as u32,
            inner: ty.inner() as u32,
            inner4: ty.inner4() as u32,
            invocations: count as u32,
        };
        let total = TotalParams { terms: count as u32, scale: self.scale / ty.len() as f32 };
        let terms = launch.scratch("terms", count);
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&FORWARD, self.kind as usize), &params, &reads, &[terms], count);
        launch.dispatch(Kernel::new(&TOTAL, 0), &total, &[terms], &writes, [1, 1, 1]);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let terms = inputs[0].zip(inputs[1], |x, target| self.kind.value(x, target));
        let mean = terms.data.iter().sum::<f64>() / terms.data.len() as f64;
        vec![Array { shape: vec![1], data: vec![f64::from(self.scale) * mean] }]
    }
}

#[derive(Debug)]
struct PairLossGrad(PairLoss);

impl Op for PairLossGrad {
    fn name(&self) -> &'static str {
        if self.0.kind == Kind::Square { "mse_grad" } else { "bce_with_logits_grad" }
    }

    fn exact(&self) -> bool {
        true
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ty = launch.inputs[0];
        let count = vectors(ty);
        let params = PairLossGradParams {
            vectors: count as u32,
            inner: ty.inner() as u32,
            inner4: ty.inner4() as u32,
            scale: self.0.scale / ty.len() as f32,
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&GRAD, self.0.kind as usize), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let scale = f64::from(self.0.scale) / inputs[0].data.len() as f64 * inputs[2].data[0];
        vec![inputs[0].zip(inputs[1], |x, target| scale * self.0.kind.slope(x, target))]
    }
}
