//! Linear layers.

use super::init::weight_and_bias;
use super::{Forward, Module};
use crate::Result;
use crate::ops;
use crate::rng::Rng;
use crate::tape::{State, StateId, Var};

/// `y = x w^T + b`: (N,F) to (N,O); tensors `NAME.weight` (O,F) and `NAME.bias` (O).
#[derive(Clone, Debug)]
pub struct Linear {
    /// Weight.
    pub weight: StateId,
    /// Bias.
    pub bias: Option<StateId>,
}

impl Linear {
    /// A linear layer of `features` to `outputs`.
    pub fn new(state: &mut State, name: &str, features: usize, outputs: usize, bias: bool, rng: Rng) -> Self {
        let (weight, bias) = weight_and_bias(state, name, &[outputs, features], bias, rng);
        Self { weight, bias }
    }
}

impl Module for Linear {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let weight = ctx.tape.state(ctx.state, self.weight);
        let bias = self.bias.map(|id| ctx.tape.state(ctx.state, id));
        ops::linear(ctx.tape, x, weight, bias)
    }
}
