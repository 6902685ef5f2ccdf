//! What a layer is, and the layers without parameters.

use crate::Result;
use crate::ops::{self, Activation};
use crate::tape::{State, Tape, Var};
use std::fmt::Debug;

/// For what a tape is being recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A training step.
    Train,
    /// A training step in which the layers that freeze use their running statistics (spec 7).
    Frozen,
    /// Running statistics everywhere, nothing updated.
    Eval,
}

impl Mode {
    /// True for both kinds of training step.
    pub fn training(self) -> bool {
        self != Self::Eval
    }
}

/// Where a forward pass is recorded.
pub struct Forward<'a> {
    /// The tape.
    pub tape: &'a mut Tape,
    /// The tensors.
    pub state: &'a State,
    /// For what.
    pub mode: Mode,
}

/// A layer or a network.
pub trait Module: Debug {
    /// Appends the forward pass on the activation `x`.
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var>;

    /// `max(forward(x) + added, 0)`, the end of a residual block: in one kernel where the layer can do that.
    ///
    /// # Errors
    /// As `forward`, or `added` has not the result's shape.
    fn forward_added(&self, ctx: &mut Forward<'_>, x: Var, added: Var) -> Result<Var> {
        let y = self.forward(ctx, x)?;
        ops::add_relu(ctx.tape, y, added)
    }
}

impl<M: Module + ?Sized> Module for Box<M> {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        (**self).forward(ctx, x)
    }

    fn forward_added(&self, ctx: &mut Forward<'_>, x: Var, added: Var) -> Result<Var> {
        (**self).forward_added(ctx, x, added)
    }
}

/// Layers one after the other.
#[derive(Debug, Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Module>>,
}

impl Sequential {
    /// No layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a layer.
    pub fn push(&mut self, layer: impl Module + 'static) -> &mut Self {
        self.layers.push(Box::new(layer));
        self
    }
}

impl Module for Sequential {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        self.layers.iter().try_fold(x, |x, layer| layer.forward(ctx, x))
    }

    fn forward_added(&self, ctx: &mut Forward<'_>, x: Var, added: Var) -> Result<Var> {
        let Some((last, before)) = self.layers.split_last() else { return ops::add_relu(ctx.tape, x, added) };
        let x = before.iter().try_fold(x, |x, layer| layer.forward(ctx, x))?;
        last.forward_added(ctx, x, added)
    }
}

/// An activation function as a layer.
#[derive(Clone, Copy, Debug)]
pub struct Activate(pub Activation);

impl Module for Activate {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        ops::activation(ctx.tape, x, self.0)
    }
}

/// Maximum over windows.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool {
    /// Window side.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Border that never wins.
    pub padding: usize,
}

impl Module for MaxPool {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        ops::max_pool2d(ctx.tape, x, self.kernel, self.stride, self.padding)
    }
}

/// Mean over windows.
#[derive(Clone, Copy, Debug)]
pub struct AvgPool {
    /// Window side and step.
    pub kernel: usize,
}

impl Module for AvgPool {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        ops::avg_pool2d(ctx.tape, x, self.kernel, self.kernel, 0)
    }
}

/// Mean over the whole map: (N,C,H,W) to (N,C,1,1).
#[derive(Clone, Copy, Debug)]
pub struct GlobalAvgPool;

impl Module for GlobalAvgPool {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        ops::global_avg_pool(ctx.tape, x)
    }
}

/// (N,C,H,W) to (N, C H W) in PyTorch's order.
#[derive(Clone, Copy, Debug)]
pub struct Flatten;

impl Module for Flatten {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        ops::flatten(ctx.tape, x)
    }
}
