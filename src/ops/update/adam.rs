//! Adam and AdamW, in place.

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct AdamParams { len: u32, beta1: f32, rest1: f32, beta2: f32, rest2: f32, eps: f32, weight_decay: f32 }
}

static ADAM: Shader =
    Shader::with_variants::<AdamParams>("update/adam.wgsl", 2, 3, &[&[("DECOUPLED", 0)], &[("DECOUPLED", 1)]]);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&ADAM];

/// Constants of [`adam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// Decay of the mean of gradients; in `f64`, because `1 - beta` is what counts.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Keeps the division finite.
    pub eps: f32,
    /// Pull towards zero.
    pub weight_decay: f32,
    /// AdamW: the pull acts on the parameter itself rather than through the gradient.
    pub decoupled: bool,
}

/// `m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d^2; p -= lr (m / c1) / (sqrt(v / c2) + eps)`, where
/// `c = 1 - beta^step`, and `d = g + weight_decay p`; decoupled: `d = g` after `p -= lr weight_decay p`.
/// As `torch.optim.Adam` and `AdamW`. `moments` are m and v, zeros at first; `lr`, `c1` and `c2` are among
/// [`Tape::scalars`], and one that skips the step.
///
/// # Errors
/// Gradient, parameter and moments differ in shape.
pub fn adam(tape: &mut Tape, parameter: Var, gradient: Var, moments: [Var; 2], options: AdamOptions) -> Result<()> {
    let scalars = tape.scalars();
    tape.update(Adam { options }, &[gradient, scalars], &[parameter, moments[0], moments[1]])
}

#[derive(Debug)]
struct Adam {
    options: AdamOptions,
}

impl Op for Adam {
    fn name(&self) -> &'static str {
        if self.options.decoupled { "adamw" } else { "adam" }
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone(); 3])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let len = launch.outputs[0].stored();
        let AdamOptions { beta1, beta2, eps, weight_decay, decoupled } = self.options;
        let params = AdamParams {
            len: len as u32,
            beta1: beta1 as f32,
            rest1: (1.0 - beta1) as f32,
            beta2: beta2 as f32,
            rest2: (1.0 - beta2) as f32,
            eps,
            weight_decay,
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&ADAM, usize::from(decoupled)), &params, &reads, &writes, len.div_ceil(4));
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [gradient, scalars, parameter, first, second] = inputs else { return Vec::new() };
        if scalars.data[9] == 1.0 {
            return [parameter, first, second].map(|tensor| (*tensor).clone()).to_vec();
        }
        let AdamOptions { beta1, beta2, eps, weight_decay, decoupled } = self.options;
        let (lr, c1, c2) = (scalars.data[0], scalars.data[2], scalars.data[3]);
        let (eps, decay) = (f64::from(eps), f64::from(weight_decay));
        let shrunk = parameter.map(|p| if decoupled { p - lr * decay * p } else { p });
        let d = gradient.zip(parameter, |g, p| if decoupled { g } else { g + decay * p });
        let m = first.zip(&d, |m, d| beta1 * m + (1.0 - beta1) * d);
        let v = second.zip(&d, |v, d| beta2 * v + (1.0 - beta2) * d * d);
        let ratio = m.zip(&v, |m, v| (m / c1) / ((v / c2).sqrt() + eps));
        vec![shrunk.zip(&ratio, |p, r| p - lr * r), m, v]
    }
}
