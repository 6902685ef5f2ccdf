//! Gradients in half precision: what keeps small ones from vanishing and large ones from doing harm.
//!
//! As PyTorch's `torch.amp.GradScaler`: the loss is scaled before the backward pass, so that the gradients of
//! activations lie within f16, and the gradients of parameters are unscaled before anything is done with them. Where
//! one of those is not finite, the step changes no parameter and no moment, and the scale is halved; it is doubled
//! after 2000 steps in a row that are. The device decides all of that within the step; the scale comes back with the
//! loss, for a run in which no scale helps.

use super::Update;
#[cfg(not(target_arch = "wasm32"))]
use crate::ops::{self, GradScaler};
use crate::tape::{Gradients, SCALARS, State, StateId, Tape, Var};
use crate::{Error, Result};

/// As PyTorch's begins.
const SCALE: f32 = 65536.0;

/// Below this it is not the scale that makes gradients overflow: 26 steps in a row were skipped from the first scale
/// on.
const LEAST: f32 = 1.0 / 1024.0;

/// The tensors of a gradient scaler.
#[derive(Clone, Copy)]
pub(super) struct Scaler([StateId; 4]);

impl Scaler {
    /// Of an update in half precision; `state` is given what it does not have yet.
    #[inline(always)]
    pub fn of(update: &Update, state: &mut State) -> Option<Self> {
        update.precision.is_half().then(|| {
            let mut add = |name: &str, values, lasting| state.helper(&format!("grad_scaler.{name}"), values, lasting);
            let scale = add("scale", vec![SCALE], true);
            let [growth_tracker, skipped] = ["growth_tracker", "skipped"].map(|name| add(name, vec![0.0], true));
            Self([scale, growth_tracker, skipped, add("step", vec![0.0; SCALARS], false)])
        })
    }

    /// The scale on a tape.
    pub fn scale(self, tape: &mut Tape, state: &State) -> Var {
        tape.state(state, self.0[0])
    }

    /// Appends the gradient of the scaled loss.
    pub fn backward(self, tape: &mut Tape, state: &State, loss: Var) -> Result<Gradients> {
        let scale = self.scale(tape, state);
        tape.backward_from(&[(loss, scale)])
    }

    /// Appends what unscales `gradients`, and decides on the step.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn unscale(self, tape: &mut Tape, state: &State, gradients: &[Var]) -> Result<Vec<Var>> {
        let [scale, growth_tracker, skipped, step] = self.0.map(|id| tape.state(state, id));
        ops::unscale(tape, gradients, GradScaler { scale, growth_tracker, skipped, step })
    }

    /// Refuses to go on with the scale that came back of step `step`.
    pub fn check(scale: f32, step: u64) -> Result<()> {
        if scale >= LEAST {
            return Ok(());
        }
        Err(Error::Run(format!(
            "gradients are not finite at step {step}, however small the loss scale ({scale:.1e}): activations go beyond f16's 65504, or \
             training has diverged. No step was made of them; train with `precision` f32, or with a smaller learning rate"
        )))
    }
}
