//! The update of every parameter, appended to a training step.

use crate::Result;
use crate::ops::{self, AdamOptions, SgdOptions};
use crate::tape::{Gradients, SCALARS, State, StateId, Tape};
use serde::{Deserialize, Serialize};

/// An update rule with its constants. The learning rate is not among them: it changes by step, see [`Scalars`].
///
/// ```
/// use mexhat::train::{Optimizer, Sgd, Update};
/// let update = Update::from(Sgd::new(0.1).momentum(0.9));
/// let rule = Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0, nesterov: false };
/// assert_eq!((update.rule, update.lr), (rule, 0.1)); // an update is what Learner::new takes
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd {
        /// Share of the previous direction that is kept.
        momentum: f32,
        /// Pull of every parameter towards zero, through the gradient.
        weight_decay: f32,
        /// Look ahead along the new direction.
        nesterov: bool,
    },
    /// Adam; weight decay acts through the gradient.
    Adam {
        /// Decays of the two moments.
        betas: [f64; 2],
        /// Keeps the division finite.
        eps: f32,
        /// Pull towards zero.
        weight_decay: f32,
    },
    /// Adam with weight decay on the parameter itself.
    AdamW {
        /// Decays of the two moments.
        betas: [f64; 2],
        /// Keeps the division finite.
        eps: f32,
        /// Pull towards zero.
        weight_decay: f32,
    },
}

impl Optimizer {
    /// Appends the update of each of `parameters` that `gradients` reach. Adds the moments that it needs to `state`,
    /// under the parameter's name with `momentum.`, `first.` or `second.` before it.
    pub fn apply(
        &self,
        tape: &mut Tape,
        state: &mut State,
        parameters: &[StateId],
        gradients: &Gradients,
    ) -> Result<()> {
        for id in parameters {
            let parameter = tape.state(state, *id);
            if let Some(gradient) = gradients.get(parameter) {
                self.apply_one(tape, state, *id, gradient)?;
            }
        }
        Ok(())
    }

    /// Adds the moments of `parameters` to `state` before any step is recorded.
    pub fn reserve(&self, state: &mut State, parameters: &[StateId]) {
        let kinds: &[&str] = match self {
            Self::Sgd { momentum: 0.0, .. } => &[],
            Self::Sgd { .. } => &["momentum"],
            Self::Adam { .. } | Self::AdamW { .. } => &["first", "second"],
        };
        for id in parameters {
            for kind in kinds {
                state.moment(kind, *id);
            }
        }
    }

    fn apply_one(&self, tape: &mut Tape, state: &mut State, id: StateId, gradient: crate::tape::Var) -> Result<()> {
        let parameter = tape.state(state, id);
        let mut moment = |tape: &mut Tape, kind: &str| {
            let id = state.moment(kind, id);
            tape.state(state, id)
        };
        match *self {
            Self::Sgd { momentum, weight_decay, nesterov } => {
                let buffer = (momentum != 0.0).then(|| moment(tape, "momentum"));
                ops::sgd(tape, parameter, gradient, buffer, SgdOptions { momentum, weight_decay, nesterov })
            }
            Self::Adam { betas, eps, weight_decay } | Self::AdamW { betas, eps, weight_decay } => {
                let moments = [moment(tape, "first"), moment(tape, "second")];
                let decoupled = matches!(self, Self::AdamW { .. });
                let options = AdamOptions { beta1: betas[0], beta2: betas[1], eps, weight_decay, decoupled };
                ops::adam(tape, parameter, gradient, moments, options)
            }
        }
    }

    /// The scalars of update `step`, counted from 1, of a whole batch.
    pub fn scalars(&self, lr: f64, step: u64, seed: u64) -> Scalars {
        let correction = |beta: f64| (1.0 - beta.powf(step as f64)) as f32;
        let [c1, c2] = match self {
            Self::Sgd { .. } => [1.0, 1.0],
            Self::Adam { betas, .. } | Self::AdamW { betas, .. } => betas.map(correction),
        };
        let mut scalars = [0.0; SCALARS];
        scalars[..4].copy_from_slice(&[lr as f32, step as f32, c1, c2]);
        scalars[6] = 1.0;
        Scalars(scalars).with_key(crate::rng::Rng::new(seed).fork(step))
    }
}

/// What changes from step to step, in the order of [`Tape::scalars`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scalars(pub [f32; SCALARS]);

impl Scalars {
    /// A random key for each step; in halves, because an f32 holds 24 bits exactly.
    fn with_key(mut self, mut rng: crate::rng::Rng) -> Self {
        let key = rng.next_u32();
        (self.0[4], self.0[5]) = ((key & 0xffff) as f32, (key >> 16) as f32);
        self
    }

    /// Of part `part`, from 0, with this share of the images of step `step`.
    pub(crate) fn of_part(self, part: usize, share: f64, step: u64, seed: u64) -> Self {
        let mut scalars = self;
        if part > 0 {
            scalars = self.with_key(crate::rng::Rng::new(seed).fork(step).fork(part as u64));
        }
        (scalars.0[6], scalars.0[7]) = (share as f32, f32::from(u8::from(part > 0)));
        scalars
    }

    /// With averages of weights that keep this share of what they were.
    pub(crate) fn with_decay(mut self, decay: f64) -> Self {
        // In f64: near 1 a difference in f32 would lose it.
        self.0[8] = (1.0 - decay) as f32;
        self
    }

    /// As the step's input.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}
