//! Convolution.
//!
//! ```no_run
//! # use mexhat::{nn::Conv2d, ops::ConvOptions, rng::Rng, tape::State};
//! let mut state = State::new();
//! let conv = Conv2d::new(&mut state, "conv1", 3, 64, 3, ConvOptions { padding: 1, ..Default::default() }, true, Rng::new(0));
//! ```

use super::init::weight_and_bias;
use super::{Forward, Module};
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
    /// A convolution of `channels` to `outputs` channels with a square kernel.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        state: &mut State,
        name: &str,
        channels: usize,
        outputs: usize,
        kernel: usize,
        options: ConvOptions,
        bias: bool,
        rng: Rng,
    ) -> Self {
        let shape = [outputs, channels / options.groups.max(1), kernel, kernel];
        let (weight, bias) = weight_and_bias(state, name, &shape, bias, rng);
        Self { weight, bias, options }
    }
}

impl Conv2d {
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

    fn forward_added(&self, ctx: &mut Forward<'_>, x: Var, added: Var) -> Result<Var> {
        self.convolve(ctx, x, Some(added), ConvOptions { relu: true, ..self.options })
    }
}
