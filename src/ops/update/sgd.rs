//! Stochastic gradient descent, in place.

use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct SgdParams { len: u32, weight_decay: f32 }
}
kernel_params! {
    struct SgdMomentumParams { len: u32, momentum: f32, weight_decay: f32 }
}

static SGD: Shader = Shader::new::<SgdParams>("update/sgd.wgsl", 2, 1);
static SGD_MOMENTUM: Shader = Shader::with_variants::<SgdMomentumParams>(
    "update/sgd_momentum.wgsl",
    2,
    2,
    &[&[("NESTEROV", 0)], &[("NESTEROV", 1)]],
);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&SGD, &SGD_MOMENTUM];

/// Constants of [`sgd`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SgdOptions {
    /// Share of the previous direction that is kept.
    pub momentum: f32,
    /// Pull towards zero, added to the gradient.
    pub weight_decay: f32,
    /// Look ahead along the new direction.
    pub nesterov: bool,
}

/// `d = g + weight_decay p; b = momentum b + d; p -= lr b` (Nesterov: `p -= lr (d + momentum b)`), as `torch.optim.SGD`
/// without dampening; a `buffer` of zeros makes the first step PyTorch's. The learning rate is [`Tape::scalars`]'
/// first; a 1 among them skips the step.
///
/// # Errors
/// Gradient and parameter differ in shape, or there is momentum without a buffer.
pub fn sgd(tape: &mut Tape, parameter: Var, gradient: Var, buffer: Option<Var>, options: SgdOptions) -> Result<()> {
    if options.momentum == 0.0 {
        let scalars = tape.scalars();
        return tape.update(Sgd { weight_decay: options.weight_decay }, &[gradient, scalars], &[parameter]);
    }
    let Some(buffer) = buffer else {
        return Err(Error::shape("sgd", "momentum needs a buffer of the parameter's shape"));
    };
    let scalars = tape.scalars();
    tape.update(SgdMomentum { options }, &[gradient, scalars], &[parameter, buffer])
}

#[derive(Debug)]
struct Sgd {
    weight_decay: f32,
}

impl Op for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let len = launch.outputs[0].stored();
        let params = SgdParams { len: len as u32, weight_decay: self.weight_decay };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&SGD, 0), &params, &reads, &writes, len.div_ceil(4));
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [gradient, scalars, parameter] = inputs else { return Vec::new() };
        if scalars.data[9] == 1.0 {
            return vec![(*parameter).clone()];
        }
        let (lr, decay) = (scalars.data[0], f64::from(self.weight_decay));
        vec![parameter.zip(gradient, |p, g| p - lr * (g + decay * p))]
    }
}

#[derive(Debug)]
struct SgdMomentum {
    options: SgdOptions,
}

impl Op for SgdMomentum {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone(); 2])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let len = launch.outputs[0].stored();
        let SgdOptions { momentum, weight_decay, nesterov } = self.options;
        let params = SgdMomentumParams { len: len as u32, momentum, weight_decay };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&SGD_MOMENTUM, usize::from(nesterov)), &params, &reads, &writes, len.div_ceil(4));
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [gradient, scalars, parameter, buffer] = inputs else { return Vec::new() };
        if scalars.data[9] == 1.0 {
            return vec![(*parameter).clone(), (*buffer).clone()];
        }
        let (lr, momentum) = (scalars.data[0], f64::from(self.options.momentum));
        let decay = f64::from(self.options.weight_decay);
        let d = parameter.zip(gradient, |p, g| g + decay * p);
        let buffer = buffer.zip(&d, |b, d| momentum * b + d);
        let direction = if self.options.nesterov { d.zip(&buffer, |d, b| d + momentum * b) } else { buffer.clone() };
        vec![parameter.zip(&direction, |p, d| p - lr * d), buffer]
    }
}
