//! Activations, element by element.

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::vectors;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct UnaryParams { vectors: u32, inner: u32, inner4: u32, slope: f32 }
}
kernel_params! {
    struct UnaryGradParams { vectors: u32, slope: f32 }
}

const KINDS: &[&[(&str, u32)]] =
    &[&[("KIND", 0)], &[("KIND", 1)], &[("KIND", 2)], &[("KIND", 3)], &[("KIND", 4)], &[("KIND", 5)]];
static UNARY: Shader = Shader::with_variants::<UnaryParams>("pointwise/unary.wgsl", 1, 1, KINDS);
static UNARY_GRAD: Shader = Shader::with_variants::<UnaryGradParams>("pointwise/unary_grad.wgsl", 2, 1, KINDS);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&UNARY, &UNARY_GRAD];

/// An activation function.
///
/// ```
/// use mexhat::nn::{Tape, functional::{self as f, Activation}};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 3]);
/// let y = f::activation(&mut tape, x, Activation::Relu6)?;
/// assert_eq!(tape.compute(y, &[&[-1.0, 4.0, 9.0]])?, [0.0, 4.0, 6.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`; the gradient at 0 is 0.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `tanh(x)`.
    Tanh,
    /// `x sigmoid(x)`, also called swish.
    Silu,
    /// `x` above 0, `slope x` at and below it.
    LeakyRelu {
        /// Slope at and below 0.
        slope: f32,
    },
}

impl Activation {
    fn kind(self) -> usize {
        match self {
            Self::Relu => 0,
            Self::Relu6 => 1,
            Self::Sigmoid => 2,
            Self::Tanh => 3,
            Self::Silu => 4,
            Self::LeakyRelu { .. } => 5,
        }
    }

    fn slope(self) -> f32 {
        if let Self::LeakyRelu { slope } = self { slope } else { 0.0 }
    }

    fn value(self, x: f64) -> f64 {
        let sigmoid = 1.0 / (1.0 + (-x).exp());
        match self {
            Self::Relu => relu_of(x),
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::Sigmoid => sigmoid,
            Self::Tanh => x.tanh(),
            Self::Silu => x * sigmoid,
            Self::LeakyRelu { slope } => {
                if x > 0.0 {
                    x
                } else {
                    f64::from(slope) * x
                }
            }
        }
    }

    fn derivative(self, x: f64) -> f64 {
        let step = |on: bool| f64::from(u8::from(on));
        let sigmoid = 1.0 / (1.0 + (-x).exp());
        match self {
            Self::Relu => step(x > 0.0),
            Self::Relu6 => step(x > 0.0 && x < 6.0),
            Self::Sigmoid => sigmoid * (1.0 - sigmoid),
            Self::Tanh => 1.0 - x.tanh().powi(2),
            Self::Silu => sigmoid * (1.0 + x * (1.0 - sigmoid)),
            Self::LeakyRelu { slope } => {
                if x > 0.0 {
                    1.0
                } else {
                    f64::from(slope)
                }
            }
        }
    }
}

/// `f(x)` element by element. One read and one write per element; the gradient reads two.
///
/// ```
/// use mexhat::nn::{Tape, functional::{self as f, Activation}};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 2]);
/// let y = f::activation(&mut tape, x, Activation::LeakyRelu { slope: 0.5 })?;
/// assert_eq!(tape.compute(y, &[&[-2.0, 4.0]])?, [-1.0, 4.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn activation(tape: &mut Tape, x: Var, f: Activation) -> Result<Var> {
    tape.apply1(Unary { f }, &[x])
}

/// `max(x, 0)`.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 1, 2, 2]);
/// let y = f::relu(&mut tape, x)?;
/// assert_eq!(tape.compute(y, &[&[1.0, -2.0, -3.0, 4.0]])?, [1.0, 0.0, 0.0, 4.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn relu(tape: &mut Tape, x: Var) -> Result<Var> {
    activation(tape, x, Activation::Relu)
}

/// `1 / (1 + exp(-x))`.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 2]);
/// let y = f::sigmoid(&mut tape, x)?;
/// assert_eq!(tape.compute(y, &[&[0.0, 100.0]])?, [0.5, 1.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn sigmoid(tape: &mut Tape, x: Var) -> Result<Var> {
    activation(tape, x, Activation::Sigmoid)
}

#[derive(Debug)]
struct Unary {
    f: Activation,
}

impl Op for Unary {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn rectified(&self) -> bool {
        self.f == Activation::Relu
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        if self.f == Activation::Relu {
            return Ok(vec![Some(relu_grad(context, grad)?)]);
        }
        let x = context.inputs[0];
        Ok(vec![context.when(0, UnaryGrad { f: self.f }, &[x, grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ty = launch.outputs[0];
        let count = vectors(ty);
        let params = UnaryParams {
            vectors: count as u32,
            inner: ty.inner() as u32,
            inner4: ty.inner4() as u32,
            slope: self.f.slope(),
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&UNARY, self.f.kind()), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![inputs[0].map(|x| self.f.value(x))]
    }
}

/// A NaN passes, unlike through `f64::max`: a diverged value must not look harmless.
pub(in crate::ops) fn relu_of(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

/// The gradient `g` where a ReLU's output `x` is above 0, and 0 elsewhere.
pub(in crate::ops) fn masked(g: f64, x: f64) -> f64 {
    if x > 0.0 { g } else { 0.0 }
}

/// The gradient of the first output where that, the output of a ReLU, is above 0: its sign can be read from it, which
/// spares the input its memory.
pub(in crate::ops) fn relu_grad(context: &mut Backward<'_>, gy: Var) -> Result<Var> {
    if context.masked(0) {
        return Ok(gy);
    }
    context.tape.apply1(UnaryGrad { f: Activation::Relu }, &[context.outputs[0], gy])
}

#[derive(Debug)]
struct UnaryGrad {
    f: Activation,
}

impl Op for UnaryGrad {
    fn name(&self) -> &'static str {
        "activation_grad"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        crate::ops::expect_same(self.name(), inputs[0], inputs[1])?;
        Ok(vec![inputs[1].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let params = UnaryGradParams { vectors: count as u32, slope: self.f.slope() };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&UNARY_GRAD, self.f.kind()), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![inputs[0].zip(inputs[1], |x, g| g * self.f.derivative(x))]
    }
}
