//! The tape: a flat list of operations over [`Var`] indices, plain data that needs no GPU to be built, printed,
//! differentiated, planned or (slowly, exactly) interpreted.
//!
//! * [`Tape`] records; [`Tape::backward`] appends the gradient operations to the same tape.
//! * [`interpret`] runs a tape on the CPU in `f64` through each operation's reference.
//! * [`lower`] asks every operation for its launches; [`plan`] assigns buffers by lifetime.
//! * [`Session`] holds the [`State`] on a GPU and replays tapes.

mod array;
mod backward;
#[cfg(reference)]
mod interpret;
mod layout;
mod lower;
mod op;
pub(crate) mod plan;
mod precision;
mod session;
mod state;
mod types;

pub use array::Array;
pub use backward::{Backward, Gradients};
#[cfg(reference)]
pub use interpret::{Values, interpret};
pub use lower::{Launch, lower};
pub use op::Op;
pub use plan::{Plan, plan};
pub use precision::Precision;
pub use session::{Compiled, MemoryUse, Session, planned_pool, planned_pool_bytes, state_buffers, used_state};
pub use state::{State, StateId, StateTensor};
pub use types::{DType, Layout, Type};

use crate::gpu::Profile;
use crate::{Error, Result};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

/// A value on a tape.
///
/// ```
/// use mexhat::nn::{Tape, Var};
/// let mut tape = Tape::new();
/// let x: Var = tape.leaf("x", &[2, 3, 8, 8]);
/// assert_eq!(tape.shape(x), [2, 3, 8, 8]); // its values are nobody's before the tape runs
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub usize);

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the host, anew for every step.
    Input,
    /// A tensor of the [`State`], read and updated across steps.
    State(StateId),
    /// An operation of this tape.
    Computed,
    /// The same storage as another value under another shape.
    View(Var),
}

/// What the tape knows of a value.
#[derive(Clone, Debug)]
pub struct VarInfo {
    /// Shape, layout and element type.
    pub ty: Type,
    /// Where it comes from.
    pub source: Source,
    /// True when a gradient has to flow back to it.
    pub needs_grad: bool,
    /// For people.
    pub label: String,
}

/// One operation on a tape.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is done.
    pub op: Rc<dyn Op>,
    /// Values read.
    pub inputs: Vec<Var>,
    /// Values written; for an update these are state values.
    pub outputs: Vec<Var>,
}

/// Length of the step-dependent scalars; see [`Tape::scalars`].
pub const SCALARS: usize = 12;

/// A flat list of operations.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (x, target) = (tape.leaf("x", &[1, 2]), tape.leaf("target", &[1, 2]));
/// let x4 = f::to_vec4(&mut tape, x)?;
/// let loss = f::mse_loss(&mut tape, x4, target)?;
/// let gradient = tape.backward(loss)?.get(x).expect("x is a leaf");
/// // Nothing has been computed so far.
/// let values: [&[f32]; 2] = [&[3.0, 1.0], &[1.0, 1.0]];
/// assert_eq!(tape.compute(loss, &values)?, [2.0]);
/// assert_eq!(tape.compute(gradient, &values)?, [2.0, 0.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tape {
    vars: Vec<VarInfo>,
    nodes: Vec<Node>,
    outputs: Vec<Var>,
    scalars: Option<Var>,
    /// What updates read in their place.
    guarded: Option<Var>,
    profile: Option<Profile>,
    precision: Precision,
    retained: Vec<Var>,
    auxiliary: Vec<(Var, f32)>,
    stand_ins: HashMap<StateId, StateId>,
}

impl Tape {
    /// An empty tape, of operations that run on any adapter.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty tape whose operations are chosen for adapters of one profile; [`lower`] refuses it for others.
    pub fn for_adapter(profile: Profile) -> Self {
        Self { profile: Some(profile), ..Self::default() }
    }

    /// The adapter that operations are chosen for, if it is known.
    pub(crate) fn profile(&self) -> Option<Profile> {
        self.profile
    }

    /// How many processes train as one on what is recorded.
    pub(crate) fn processes(&self) -> usize {
        self.profile.map_or(1, |profile| profile.processes)
    }

    /// Operations in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Values in order.
    pub fn vars(&self) -> &[VarInfo] {
        &self.vars
    }

    /// Values that are read back after a step, in order.
    pub fn outputs(&self) -> &[Var] {
        &self.outputs
    }

    /// Inputs in the order in which they are uploaded.
    pub fn inputs(&self) -> Vec<Var> {
        (0..self.vars.len()).map(Var).filter(|var| self.vars[var.0].source == Source::Input).collect()
    }

    /// Type of a value.
    pub fn ty(&self, var: Var) -> &Type {
        &self.vars[var.0].ty
    }

    /// Shape of a value.
    pub fn shape(&self, var: Var) -> &[usize] {
        &self.vars[var.0].ty.shape
    }

    /// True when a gradient has to flow back to `var`.
    pub fn needs_grad(&self, var: Var) -> bool {
        self.vars[var.0].needs_grad
    }

    fn var(&mut self, ty: Type, source: Source, needs_grad: bool, label: impl Into<String>) -> Var {
        self.vars.push(VarInfo { ty, source, needs_grad, label: label.into() });
        Var(self.vars.len() - 1)
    }

    /// A value that the host supplies for every step, row-major.
    pub fn input(&mut self, label: &str, shape: &[usize], dtype: DType) -> Var {
        self.var(Type { shape: shape.to_vec(), layout: Layout::Plain, dtype }, Source::Input, false, label)
    }

    /// As [`Tape::input`], but gradients flow back to it.
    pub fn leaf(&mut self, label: &str, shape: &[usize]) -> Var {
        self.var(Type::plain(shape), Source::Input, true, label)
    }

    /// As [`Tape::leaf`] for a value of any layout, which is uploaded as it lies on the device.
    pub fn resident(&mut self, label: &str, ty: Type, needs_grad: bool) -> Var {
        self.var(ty, Source::Input, needs_grad, label)
    }

    /// Has every later [`Tape::state`] of a key take the tensor of its value, which is of the same type.
    pub(crate) fn replace_states(&mut self, stand_ins: HashMap<StateId, StateId>) {
        self.stand_ins = stand_ins;
    }

    /// A tensor of `state`; trainable ones receive gradients.
    pub fn state(&mut self, state: &State, id: StateId) -> Var {
        let id = self.stand_ins.get(&id).copied().unwrap_or(id);
        let known = (0..self.vars.len()).map(Var).find(|var| self.vars[var.0].source == Source::State(id));
        known.unwrap_or_else(|| {
            let tensor = state.get(id);
            self.var(tensor.ty.clone(), Source::State(id), tensor.trainable, tensor.name.clone())
        })
    }

    /// The step-dependent scalars, `f32[12]`: learning rate, step number from 1, `1 - beta1^step`, `1 - beta2^step`,
    /// the random key as two 16-bit halves; this part's share of the batch, whether parts came before it (0 or 1); the
    /// share that averages take of the weights, 1 - decay; whether updates leave everything as it is (0 or 1), and what
    /// unscales gradients, of which the host knows nothing and gives 0, as for the last
    /// ([`ops::unscale`](crate::ops::unscale)).
    pub fn scalars(&mut self) -> Var {
        if let Some(var) = self.guarded.or(self.scalars) {
            return var;
        }
        let var = self.input("scalars", &[SCALARS], DType::F32);
        self.scalars = Some(var);
        var
    }

    /// Has later operations find the step's scalars in `var`.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn guard(&mut self, var: Var) {
        self.guarded = Some(var);
    }

    /// The scalars' input if any operation uses them.
    pub fn scalars_input(&self) -> Option<Var> {
        self.scalars
    }

    /// Asks for `var` to be read back after each step.
    pub fn output(&mut self, var: Var) {
        self.outputs.push(var);
    }

    /// Gives a loss of its own, times `weight`, to what a head in the middle of a network puts out, (N,C) or (N,C,H,W)
    /// as the network does: whoever records the loss of the network adds that of each.
    ///
    /// ```
    /// let mut tape = mexhat::nn::Tape::new();
    /// let head = tape.leaf("head", &[2, 10]);
    /// tape.auxiliary(head, 0.5);
    /// assert_eq!(tape.take_auxiliary(), [(head, 0.5)]);
    /// ```
    pub fn auxiliary(&mut self, head: Var, weight: f32) {
        self.auxiliary.push((head, weight));
    }

    /// The heads of [`Tape::auxiliary`] with their weights, in order; there are none afterwards.
    pub fn take_auxiliary(&mut self) -> Vec<(Var, f32)> {
        std::mem::take(&mut self.auxiliary)
    }

    /// Whether `var` is the output of a ReLU, whose own gradient rule zeroes its gradient where it is not above 0: what
    /// makes that gradient may do so, too, and [say it](Backward::mask).
    pub fn is_rectified(&self, var: Var) -> bool {
        !self.retained.contains(&var) && self.nodes.iter().any(|node| node.outputs[0] == var && node.op.rectified())
    }

    /// Keeps the gradient of the hidden value `var` for [`Gradients::get`], as PyTorch's `retain_grad`: what operations
    /// that read the output of a ReLU send back may otherwise be zeroed already where that ReLU lets nothing pass.
    ///
    /// # Errors
    /// An operation that reads `var` has been recorded already.
    pub fn retain_grad(&mut self, var: Var) -> Result<()> {
        if self.nodes.iter().any(|node| node.inputs.contains(&var)) {
            let label = &self.vars[var.0].label;
            let what = format!("'{label}' {} is read by an operation already; ask before recording that", self.ty(var));
            return Err(Error::shape("retain_grad", what));
        }
        self.retained.push(var);
        Ok(())
    }

    /// Appends an operation; its outputs take their types from the operation's own rule.
    ///
    /// # Errors
    /// The operation's shape rule refuses the inputs.
    pub fn apply(&mut self, op: impl Op + 'static, inputs: &[Var]) -> Result<Vec<Var>> {
        self.append(Rc::new(op), inputs)
    }

    /// [`Tape::apply`] for an operation with one output.
    pub fn apply1(&mut self, op: impl Op + 'static, inputs: &[Var]) -> Result<Var> {
        self.append1(Rc::new(op), inputs)
    }

    /// [`Tape::apply`] once for all operations, which a page downloads.
    fn append(&mut self, op: Rc<dyn Op>, inputs: &[Var]) -> Result<Vec<Var>> {
        let types: Vec<&Type> = inputs.iter().map(|var| self.ty(*var)).collect();
        let out_types = op.infer(&types)?;
        let needs_grad = op.differentiable() && inputs.iter().any(|var| self.needs_grad(*var));
        let name = op.name();
        let outputs =
            out_types.into_iter().map(|ty| self.var(ty, Source::Computed, needs_grad, name)).collect::<Vec<_>>();
        self.nodes.push(Node { op, inputs: inputs.to_vec(), outputs: outputs.clone() });
        Ok(outputs)
    }

    fn append1(&mut self, op: Rc<dyn Op>, inputs: &[Var]) -> Result<Var> {
        Ok(self.append(op, inputs)?[0])
    }

    /// Appends an operation that overwrites the state values `targets` (which it may also read).
    ///
    /// # Errors
    /// The operation's shape rule refuses the inputs or the targets.
    pub fn update(&mut self, op: impl Op + 'static, inputs: &[Var], targets: &[Var]) -> Result<()> {
        self.append_update(Rc::new(op), inputs, targets)
    }

    fn append_update(&mut self, op: Rc<dyn Op>, inputs: &[Var], targets: &[Var]) -> Result<()> {
        let types: Vec<&Type> = inputs.iter().map(|var| self.ty(*var)).collect();
        let wanted = op.infer(&types)?;
        for (target, ty) in targets.iter().zip(&wanted) {
            let found = self.ty(*target);
            if found != ty || !matches!(self.vars[target.0].source, Source::State(_)) {
                return Err(Error::shape(op.name(), format!("expected a state tensor {ty} to update, found {found}")));
            }
        }
        self.nodes.push(Node { op, inputs: inputs.to_vec(), outputs: targets.to_vec() });
        Ok(())
    }

    /// The same storage under another shape.
    ///
    /// # Errors
    /// The storage of the two shapes differs (see [`Layout`]).
    pub fn view(&mut self, var: Var, shape: &[usize]) -> Result<Var> {
        let from = self.ty(var).clone();
        let to = Type { shape: shape.to_vec(), ..from.clone() };
        if from.shape == to.shape {
            return Ok(var);
        }
        if !layout::same_storage(&from, &to) {
            return Err(Error::shape("view", format!("{from} cannot be seen as {to}: the elements lie elsewhere")));
        }
        let (needs_grad, label) = (self.needs_grad(var), self.vars[var.0].label.clone());
        Ok(self.var(to, Source::View(var), needs_grad, label))
    }

    /// The value whose storage `var` uses.
    pub fn root(&self, var: Var) -> Var {
        match self.vars[var.0].source {
            Source::View(of) => self.root(of),
            _ => var,
        }
    }
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            let list = |vars: &[Var]| {
                vars.iter().map(|var| format!("%{}:{}", var.0, self.ty(*var))).collect::<Vec<_>>().join(", ")
            };
            writeln!(f, "{} = {:?}({})", list(&node.outputs), node.op, list(&node.inputs))?;
        }
        Ok(())
    }
}
