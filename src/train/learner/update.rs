//! Update rules as a program writes them down: with a learning rate and defaults.

use super::scaler::Scaler;
use crate::ops;
use crate::optim::Optimizer;
use crate::tape::{Gradients, Precision, State, Tape, Var};
use crate::{Error, Result};

/// An update rule and its learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// The rule with its constants.
    pub rule: Optimizer,
    /// Learning rate, on which a schedule acts.
    pub lr: f64,
    /// Largest norm of all gradients together; larger ones are scaled down to it ([`ops::clip_grad_norm`]).
    pub clip_grad_norm: Option<f32>,
    /// Batches of a step: their gradients are added up one after the other, so that only one needs memory.
    pub accumulate: usize,
    /// Share that averages of the weights over the steps keep at each; the network is then judged and saved with the
    /// averages.
    pub average: Option<f64>,
    /// How steps store activations and their gradients.
    pub precision: Precision,
}

impl Update {
    fn new(rule: Optimizer, lr: f64) -> Self {
        Self { rule, lr, clip_grad_norm: None, accumulate: 1, average: None, precision: Precision::F32 }
    }

    /// With the gradients of each step scaled down to this norm over all parameters where theirs is larger, as
    /// `torch.nn.utils.clip_grad_norm_`.
    ///
    /// ```
    /// use mexhat::train::{Sgd, Update};
    /// let update = Update::from(Sgd::new(0.1)).clip_grad_norm(1.0);
    /// # assert_eq!(update.clip_grad_norm, Some(1.0));
    /// ```
    pub fn clip_grad_norm(self, norm: f32) -> Self {
        Self { clip_grad_norm: Some(norm), ..self }
    }

    /// With the gradients of so many batches added up for each step: without statistics over a batch (batch norm,
    /// deconvolution, class weights) and with labels that all count it is the step of one batch as large as all of
    /// them.
    ///
    /// ```
    /// use mexhat::train::{Sgd, Update};
    /// let update = Update::from(Sgd::new(0.1)).accumulate(4);
    /// # assert_eq!(update.accumulate, 4);
    /// ```
    pub fn accumulate(self, batches: usize) -> Self {
        Self { accumulate: batches, ..self }
    }

    /// With moving averages of weights and running statistics over the steps, of which each step keeps `decay`, such as
    /// 0.999. Predictions, evaluations and files take the averages; [`Learner::tensor`](super::Learner::tensor) tells
    /// what is trained. They begin without bias: after step `t` the weights of step `i` have a share of
    /// `decay^(t-i) (1 - decay) / (1 - decay^t)`.
    ///
    /// ```
    /// use mexhat::train::{Sgd, Update};
    /// let update = Update::from(Sgd::new(0.1)).average(0.999);
    /// # assert_eq!(update.average, Some(0.999));
    /// ```
    pub fn average(self, decay: f64) -> Self {
        Self { average: Some(decay), ..self }
    }

    /// With activations and their gradients stored in this precision while training; predictions and evaluations are of
    /// f32. With [`Precision::F16`] the loss is scaled, and a step whose gradients are not finite changes no parameter,
    /// as with PyTorch's `GradScaler`: [`Learner::tensor`](super::Learner::tensor) tells `grad_scaler.scale` and how
    /// many steps were `grad_scaler.skipped`. An activation beyond 65504 is infinite; what it reaches is no number, the
    /// loss as a rule among it, and a run ends.
    ///
    /// ```
    /// use mexhat::train::{Precision, Sgd, Update};
    /// let update = Update::from(Sgd::new(0.1)).precision(Precision::F16);
    /// # assert_eq!(update.precision, Precision::F16);
    /// ```
    pub fn precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// What averages keep at update `step`, counted from 1.
    pub(super) fn decay(&self, step: u64) -> f64 {
        let decay = self.average.unwrap_or(0.0);
        let unbiased = |step: u64| 1.0 - decay.powf(step as f64);
        decay * unbiased(step - 1) / unbiased(step)
    }

    pub(super) fn check(&self) -> Result<()> {
        let positive = |what: &str, value: f64, such_as: &str| {
            if value > 0.0 && value.is_finite() {
                return Ok(());
            }
            Err(Error::Usage(format!("the {what} is {value}; expected a number above 0, such as {such_as}")))
        };
        positive("learning rate", self.lr, "0.1")?;
        if self.accumulate == 0 {
            return Err(Error::Usage("a step of 0 batches changes nothing; expected at least 1".into()));
        }
        if let Some(decay) = self.average.filter(|decay| !(0.0..1.0).contains(decay)) {
            let what = format!("averages of weights keep {decay} of themselves; expected 0 to below 1, such as 0.999");
            return Err(Error::Usage(what));
        }
        if cfg!(target_arch = "wasm32") && self.precision != Precision::F32 {
            return Err(Error::Usage("a page has no `precision` f16; leave it out".into()));
        }
        self.clip_grad_norm.map_or(Ok(()), |norm| positive("norm to clip gradients to", f64::from(norm), "1"))
    }

    /// Adds to `state` what the update keeps of each tensor.
    pub(in crate::train) fn reserve(&self, state: &mut State) {
        let parameters = state.parameters();
        self.rule.reserve(state, &parameters);
        Scaler::of(self, state);
        if self.accumulate > 1 {
            parameters.iter().for_each(|id| {
                state.gradient(*id);
            });
        }
        if self.average.is_some() {
            let model: Vec<_> = state.iter().filter(|(_, tensor)| tensor.model).map(|(id, _)| id).collect();
            model.into_iter().for_each(|id| {
                state.average(id);
            });
        }
    }

    /// Appends the addition of `gradients` to the sums of the step, and has the sums stand in their places.
    pub(super) fn gather(&self, tape: &mut Tape, state: &mut State, gradients: &mut Gradients) -> Result<()> {
        for id in state.parameters() {
            let parameter = tape.state(state, id);
            if let Some(gradient) = gradients.get(parameter) {
                let total = state.gradient(id);
                let total = tape.state(state, total);
                ops::accumulate(tape, total, gradient)?;
                gradients.set(parameter, total);
            }
        }
        Ok(())
    }

    /// Appends the update of all parameters that `gradients` reach.
    pub(super) fn record(&self, tape: &mut Tape, state: &mut State, mut gradients: Gradients) -> Result<()> {
        if self.accumulate > 1 {
            self.gather(tape, state, &mut gradients)?;
        }
        let parameters = state.parameters();
        if tape.processes() > 1 {
            replace(tape, state, &mut gradients, ops::average)?;
        }
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(scaler) = Scaler::of(self, state) {
            replace(tape, state, &mut gradients, |tape, found| scaler.unscale(tape, state, found))?;
        }
        if let Some(norm) = self.clip_grad_norm {
            replace(tape, state, &mut gradients, |tape, found| ops::clip_grad_norm(tape, found, norm))?;
        }
        self.rule.apply(tape, state, &parameters, &gradients)?;
        for (id, average) in state.averages() {
            let (value, average) = (tape.state(state, id), tape.state(state, average));
            ops::weight_average(tape, average, value)?;
        }
        Ok(())
    }
}

/// Puts in the place of the gradients of all parameters what `changed` makes of them.
fn replace(
    tape: &mut Tape,
    state: &State,
    gradients: &mut Gradients,
    changed: impl FnOnce(&mut Tape, &[Var]) -> Result<Vec<Var>>,
) -> Result<()> {
    let found = state.parameters().into_iter().filter_map(|id| {
        let parameter = tape.state(state, id);
        gradients.get(parameter).map(|gradient| (parameter, gradient))
    });
    let (reached, found): (Vec<Var>, Vec<Var>) = found.unzip();
    let changed = changed(tape, &found)?;
    reached.into_iter().zip(changed).for_each(|(parameter, gradient)| gradients.set(parameter, gradient));
    Ok(())
}

/// Stochastic gradient descent.
///
/// ```
/// use mexhat::train::Sgd;
/// let sgd = Sgd::new(0.1).momentum(0.9).weight_decay(1e-3);
/// # assert_eq!(sgd.lr, 0.1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Share of the previous direction that is kept.
    pub momentum: f32,
    /// Pull of every parameter towards zero, through the gradient.
    pub weight_decay: f32,
    /// Look ahead along the new direction.
    pub nesterov: bool,
}

impl Sgd {
    /// Plain gradient descent with this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, momentum: 0.0, weight_decay: 0.0, nesterov: false }
    }

    /// Share of the previous direction that is kept, 0 to below 1.
    pub fn momentum(self, momentum: f32) -> Self {
        Self { momentum, ..self }
    }

    /// Pull of every parameter towards zero.
    pub fn weight_decay(self, weight_decay: f32) -> Self {
        Self { weight_decay, ..self }
    }

    /// Nesterov's momentum.
    pub fn nesterov(self) -> Self {
        Self { nesterov: true, ..self }
    }
}

impl From<Sgd> for Update {
    fn from(sgd: Sgd) -> Self {
        let Sgd { lr, momentum, weight_decay, nesterov } = sgd;
        Self::new(Optimizer::Sgd { momentum, weight_decay, nesterov }, lr)
    }
}

/// Adam with PyTorch's constants; [`Adam::decoupled`] makes it AdamW.
///
/// ```
/// use mexhat::train::Adam;
/// let adamw = Adam::new(1e-3).weight_decay(1e-2).decoupled();
/// # assert_eq!(adamw.lr, 1e-3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decays of the two moments.
    pub betas: [f64; 2],
    /// Keeps the division finite.
    pub eps: f32,
    /// Pull of every parameter towards zero.
    pub weight_decay: f32,
    /// Whether the pull acts on the parameter itself, as in AdamW, and not through the gradient.
    pub decoupled: bool,
}

impl Adam {
    /// Adam with this learning rate.
    pub fn new(lr: f64) -> Self {
        Self { lr, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0, decoupled: false }
    }

    /// Pull of every parameter towards zero.
    pub fn weight_decay(self, weight_decay: f32) -> Self {
        Self { weight_decay, ..self }
    }

    /// AdamW.
    pub fn decoupled(self) -> Self {
        Self { decoupled: true, ..self }
    }
}

impl From<Adam> for Update {
    fn from(adam: Adam) -> Self {
        let Adam { lr, betas, eps, weight_decay, decoupled } = adam;
        let rule = if decoupled {
            Optimizer::AdamW { betas, eps, weight_decay }
        } else {
            Optimizer::Adam { betas, eps, weight_decay }
        };
        Self::new(rule, lr)
    }
}
