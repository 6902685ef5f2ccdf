//! Group and layer normalisation: each image by itself.

use super::batch_norm::EPS;
use super::{Forward, Module};
use crate::Result;
use crate::ops::{self, NormOptions};
use crate::tape::{State, StateId, Var};

/// `y = (x - mean) / sqrt(var + eps) w + b` with the statistics of groups of channels of each image, PyTorch's eps
/// 1e-5. Tensors `NAME.weight` and `.bias`, each (C); evaluation does as training does.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    weight: StateId,
    bias: StateId,
    groups: usize,
}

impl GroupNorm {
    /// A normalisation of `channels` channels in the most groups that divide them, up to `num_groups`.
    pub fn new(state: &mut State, name: &str, channels: usize, num_groups: usize) -> Self {
        Self {
            weight: state.parameter(&format!("{name}.weight"), &[channels], vec![1.0; channels]),
            bias: state.parameter(&format!("{name}.bias"), &[channels], vec![0.0; channels]),
            groups: ops::groups_that_fit(channels, num_groups),
        }
    }

    fn normalize(&self, ctx: &mut Forward<'_>, x: Var, relu: bool) -> Result<Var> {
        let affine = [self.weight, self.bias].map(|id| ctx.tensor(id));
        ops::group_norm(ctx.tape, x, self.groups, affine, NormOptions { eps: EPS, relu, own: true })
    }
}

impl Module for GroupNorm {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        self.normalize(ctx, x, false)
    }

    fn forward_relu(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        self.normalize(ctx, x, true)
    }
}
