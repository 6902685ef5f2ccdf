//! The scale of gradients that lie in f16 on their way, and what it takes that one too large ruins nothing. All of it
//! is decided on the device.
#![cfg(not(target_arch = "wasm32"))]

use super::clip::squared_norm;
use super::unscale::Unscale;
use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Launch, Op, SCALARS, Tape, Type, Var};

kernel_params! {
    struct GradScalerParams { interval: f32 }
}

static GRAD_SCALER: Shader = Shader::new::<GradScalerParams>("update/grad_scaler.wgsl", 2, 4);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&GRAD_SCALER];

/// Steps in a row with finite gradients after which the scale is doubled, PyTorch's `growth_interval`.
const INTERVAL: f32 = 2000.0;

/// State tensors of a gradient scaler.
#[derive(Clone, Copy, Debug)]
pub struct GradScaler {
    /// What the loss is multiplied by, [1].
    pub scale: Var,
    /// Steps with finite gradients since the scale last changed, [1].
    pub growth_tracker: Var,
    /// Steps that left everything as it was, [1].
    pub skipped: Var,
    /// The step's scalars as updates find them, [12].
    pub step: Var,
}

/// Each of `gradients`, of a loss times `scaler.scale`, divided by that, as `torch.amp.GradScaler.unscale_`. Where one
/// of them is not finite, the updates behind this on the tape leave parameters and moments as they are, and the scale
/// is halved for the next step; after 2000 steps in a row without it is doubled. Two reads and one write per element;
/// for updates, without a gradient of its own.
///
/// # Errors
/// A tensor of the scaler is no state tensor of its shape.
pub fn unscale(tape: &mut Tape, gradients: &[Var], scaler: GradScaler) -> Result<Vec<Var>> {
    let Some(norm) = squared_norm(tape, gradients)? else { return Ok(Vec::new()) };
    let GradScaler { scale, growth_tracker, skipped, step } = scaler;
    let scalars = tape.scalars();
    tape.update(Scaler, &[norm, scalars], &[step, scale, growth_tracker, skipped])?;
    tape.guard(step);
    gradients.iter().map(|gradient| tape.apply1(Unscale, &[*gradient, step])).collect()
}

#[derive(Debug)]
struct Scaler;

impl Op for Scaler {
    fn name(&self) -> &'static str {
        "grad_scaler"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok([SCALARS, 1, 1, 1].map(|len| Type::plain(&[len])).to_vec())
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        let params = GradScalerParams { interval: INTERVAL };
        launch.dispatch(Kernel::new(&GRAD_SCALER, 0), &params, &reads, &writes, [1, 1, 1]);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [norm, scalars, _, scale, growth_tracker, skipped] = inputs else { return Vec::new() };
        // Of an f32, whatever these numbers are.
        let (finite, good) = ((norm.data[0] as f32).is_finite(), growth_tracker.data[0] + 1.0);
        let grows = good >= f64::from(INTERVAL);
        let mut step = (*scalars).clone();
        (step.data[9], step.data[10]) = (f64::from(u8::from(!finite)), 1.0 / scale.data[0]);
        let factor = match (finite, grows) {
            (false, _) => 0.5,
            (true, true) => 2.0,
            (true, false) => 1.0,
        };
        let good = if finite && !grows { good } else { 0.0 };
        vec![
            step,
            scale.map(|v| v * factor),
            growth_tracker.map(|_| good),
            skipped.map(|v| v + f64::from(u8::from(!finite))),
        ]
    }
}
