//! Convolution.
//!
//! ```no_run
//! # use mexhat::{nn::{Conv, Conv2d}, rng::Rng, tape::State};
//! let mut state = State::new();
//! let conv = Conv2d::new(&mut state, "conv1", 3, &Conv::new(64, 3), Rng::new(0));
//! ```

use super::init::weight_and_bias;
use super::{Conv, Forward, Module};
use crate::Result;
use crate::ops::{self, ConvOptions, Epilogue};
use crate::rng::Rng;
use crate::tape::{State, StateId, Var};

/// `y = w * x + b`: (N,C,H,W) to (N,O,Ho,Wo); tensors `NAME.weight` (O,C/g,k,k) and `NAME.bias` (O).
#[derive(Clone, Debug)]
pub struct Conv2d {
    /// Weight.
    pub weight: StateId,
    /// Bias.
    pub bias: Option<StateId>,
    options: ConvOptions,
}

impl Conv2d {
    /// A convolution of `channels` channels; its normalisation is others' affair.
    pub fn new(state: &mut State, name: &str, channels: usize, conv: &Conv, rng: Rng) -> Self {
        let shape = [conv.out_channels, channels / conv.groups.max(1), conv.kernel, conv.kernel];
        let (weight, bias) = weight_and_bias(state, name, &shape, conv.bias.unwrap_or(true), rng);
        Self { weight, bias, options: conv.options() }
    }

    fn convolve(&self, ctx: &mut Forward<'_>, x: Var, added: Option<Var>, options: ConvOptions) -> Result<Var> {
        let weight = ctx.tape.state(ctx.state, self.weight);
        let bias = self.bias.map(|id| ctx.tape.state(ctx.state, id));
        ops::conv2d(ctx.tape, x, weight, Epilogue { bias, added }, options)
    }
}

impl Module for Conv2d {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        self.convolve(ctx, x, None, self.options)
    }

    fn forward_relu(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        self.convolve(ctx, x, None, ConvOptions { relu: true, ..self.options })
    }

    fn forward_added(&self, ctx: &mut Forward<'_>, x: Var, added: Var) -> Result<Var> {
        self.convolve(ctx, x, Some(added), ConvOptions { relu: true, ..self.options })
    }
}
