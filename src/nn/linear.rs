//! Linear layers.

use super::init::weight_and_bias;
use super::{Forward, Linear, Module};
use crate::Result;
use crate::ops;
use crate::rng::Rng;
use crate::tape::{State, StateId, Var};

/// `y = x w^T + b`: (N,F) to (N,O); tensors `NAME.weight` (O,F) and `NAME.bias` (O).
#[derive(Clone, Debug)]
pub struct PlainLinear {
    /// Weight.
    pub weight: StateId,
    /// Bias.
    pub bias: Option<StateId>,
}

impl PlainLinear {
    /// A linear layer of `features`, which nothing normalises.
    pub fn new(state: &mut State, name: &str, features: usize, linear: &Linear, rng: Rng) -> Self {
        let (weight, bias) =
            weight_and_bias(state, name, &[linear.out_features, features], linear.bias.unwrap_or(true), rng);
        Self { weight, bias }
    }
}

impl Module for PlainLinear {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let weight = ctx.tape.state(ctx.state, self.weight);
        let bias = self.bias.map(|id| ctx.tape.state(ctx.state, id));
        ops::linear(ctx.tape, x, weight, bias)
    }
}
