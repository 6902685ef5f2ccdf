//! Batch normalisation, the baseline.

use super::{Forward, Module};
use crate::ops::{self, NormOptions};
use crate::tape::{State, StateId, Type, Var};
use crate::{Error, Result};

/// Added to the variance, PyTorch's default.
pub(crate) const EPS: f32 = 1e-5;
const MOMENTUM: f32 = 0.1;

/// `y = (x - mean) / sqrt(var + eps) w + b` per channel, with PyTorch's defaults: eps 1e-5, momentum 0.1, the running
/// variance unbiased. Tensors `NAME.weight`, `.bias`, `.running_mean`, `.running_var`, each (C).
#[derive(Clone, Debug)]
pub struct BatchNorm {
    weight: StateId,
    bias: StateId,
    running_mean: StateId,
    running_var: StateId,
    relu: bool,
}

impl BatchNorm {
    /// A normalisation of `channels` channels.
    pub fn new(state: &mut State, name: &str, channels: usize) -> Self {
        Self::with_relu(state, name, channels, false)
    }

    /// As [`BatchNorm::new`], followed by `max(y, 0)` in the same kernel when `relu`.
    pub fn with_relu(state: &mut State, name: &str, channels: usize, relu: bool) -> Self {
        let ty = Type::plain(&[channels]);
        Self {
            weight: state.parameter(&format!("{name}.weight"), &[channels], vec![1.0; channels]),
            bias: state.parameter(&format!("{name}.bias"), &[channels], vec![0.0; channels]),
            running_mean: state.buffer(&format!("{name}.running_mean"), ty.clone(), vec![0.0; channels]),
            running_var: state.buffer(&format!("{name}.running_var"), ty, vec![1.0; channels]),
            relu,
        }
    }
}

impl BatchNorm {
    fn normalize(&self, ctx: &mut Forward<'_>, x: Var, relu: bool) -> Result<Var> {
        let [weight, bias, running_mean, running_var] =
            [self.weight, self.bias, self.running_mean, self.running_var].map(|id| ctx.tape.state(ctx.state, id));
        let options = NormOptions { eps: EPS, relu, own: false };
        if !ctx.mode.training() {
            return ops::batch_norm_eval(ctx.tape, x, weight, bias, [running_mean, running_var], options);
        }
        let ty = ctx.tape.ty(x);
        let count = (ty.len() / ty.inner() * ctx.tape.processes()) as f32;
        if count < 2.0 {
            return Err(Error::Usage(
                "batch norm sees one value of each channel, whose deviation is 0; choose a batch size of at least 2, or no \
                 normalisation"
                    .into(),
            ));
        }
        let y = ops::batch_norm(ctx.tape, x, weight, bias, options)?;
        ops::running_average(ctx.tape, running_mean, y.mean, MOMENTUM, 1.0)?;
        ops::running_average(ctx.tape, running_var, y.variance, MOMENTUM, count / (count - 1.0).max(1.0))?;
        Ok(y.y)
    }
}

impl Module for BatchNorm {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        self.normalize(ctx, x, self.relu)
    }

    fn forward_relu(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        self.normalize(ctx, x, true)
    }
}
