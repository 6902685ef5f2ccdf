//! Update rules as a program writes them down: with a learning rate and defaults.

use crate::ops;
use crate::optim::Optimizer;
use crate::tape::{Gradients, State, Tape, Var};
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
}

impl Update {
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

    pub(super) fn check(&self) -> Result<()> {
        let positive = |what: &str, value: f64, such_as: &str| {
            if value > 0.0 && value.is_finite() {
                return Ok(());
            }
            Err(Error::Usage(format!("the {what} is {value}; expected a number above 0, such as {such_as}")))
        };
        positive("learning rate", self.lr, "0.1")?;
        self.clip_grad_norm.map_or(Ok(()), |norm| positive("norm to clip gradients to", f64::from(norm), "1"))
    }

    /// Appends the update of all parameters that `gradients` reach.
    pub(super) fn record(&self, tape: &mut Tape, state: &mut State, mut gradients: Gradients) -> Result<()> {
        let parameters = state.parameters();
        average_gradients(tape, state, &mut gradients)?;
        if let Some(norm) = self.clip_grad_norm {
            let reached = parameters.iter().filter_map(|id| {
                let parameter = tape.state(state, *id);
                gradients.get(parameter).map(|gradient| (parameter, gradient))
            });
            let (reached, found): (Vec<Var>, Vec<Var>) = reached.unzip();
            let clipped = ops::clip_grad_norm(tape, &found, norm)?;
            reached.into_iter().zip(clipped).for_each(|(parameter, gradient)| gradients.set(parameter, gradient));
        }
        self.rule.apply(tape, state, &parameters, &gradients)
    }
}

/// Puts the means over all processes that train as one in the place of the gradients of one.
fn average_gradients(tape: &mut Tape, state: &State, gradients: &mut Gradients) -> Result<()> {
    if tape.processes() == 1 {
        return Ok(());
    }
    let found = state.parameters().into_iter().filter_map(|id| {
        let parameter = tape.state(state, id);
        gradients.get(parameter).map(|gradient| (parameter, gradient))
    });
    let (reached, own): (Vec<Var>, Vec<Var>) = found.unzip();
    let means = ops::average(tape, &own)?;
    reached.into_iter().zip(means).for_each(|(parameter, mean)| gradients.set(parameter, mean));
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
        Self { rule: Optimizer::Sgd { momentum, weight_decay, nesterov }, lr, clip_grad_norm: None }
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
        Self { rule, lr, clip_grad_norm: None }
    }
}
