//! What a layer is, and the layers without parameters.

use super::network::Watch;
use crate::ops::{self, Activation};
use crate::tape::{State, StateId, Tape, Var};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// For what a tape is being recorded.
///
/// ```
/// use mexhat::nn::{Forward, Mode, Module, Var, functional as f};
///
/// /// Dropout, which is for training only.
/// #[derive(Debug)]
/// struct Half;
///
/// impl Module for Half {
///     fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> mexhat::Result<Var> {
///         if ctx.mode.training() { f::dropout(ctx.tape, x, 0.5) } else { Ok(x) }
///     }
/// }
/// assert!(Mode::Train.training() && Mode::Frozen.training() && !Mode::Eval.training());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A training step.
    Train,
    /// A training step in which the layers that freeze use their running statistics (method, section 7).
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
///
/// ```
/// use mexhat::nn::{Forward, Mode, Module, Tape, Var, functional as f};
/// use mexhat::nn::State;
///
/// /// Each channel times its own mean.
/// #[derive(Debug)]
/// struct Loud;
///
/// impl Module for Loud {
///     fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> mexhat::Result<Var> {
///         let mean = f::global_avg_pool(ctx.tape, x)?;
///         f::mul_channels(ctx.tape, x, mean)
///     }
/// }
///
/// // A network makes this by itself; by hand a module can be tried out without a GPU.
/// let (mut tape, state) = (Tape::new(), State::new());
/// let x = tape.leaf("x", &[1, 1, 1, 2]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = Loud.forward(&mut Forward { tape: &mut tape, state: &state, mode: Mode::Eval }, x)?;
/// assert_eq!(tape.compute(y, &[&[1.0, 3.0]])?, [2.0, 6.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub struct Forward<'a> {
    /// The tape.
    pub tape: &'a mut Tape,
    /// The tensors.
    pub state: &'a State,
    /// For what.
    pub mode: Mode,
}

impl Forward<'_> {
    /// A tensor of the state on the tape.
    pub fn tensor(&mut self, id: StateId) -> Var {
        self.tape.state(self.state, id)
    }
}

/// A layer or a network.
///
/// ```
/// use mexhat::{nn::{Forward, Module}, ops, tape::Var, Result};
///
/// /// `x` times itself.
/// #[derive(Debug)]
/// struct Square;
///
/// impl Module for Square {
///     fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
///         ops::mul(ctx.tape, x, x, 1.0)
///     }
/// }
/// ```
pub trait Module: Debug {
    /// Appends the forward pass on the activation `x`.
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var>;

    /// `max(forward(x), 0)`: in one kernel where the layer can do that.
    ///
    /// # Errors
    /// As `forward`.
    fn forward_relu(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let y = self.forward(ctx, x)?;
        ops::relu(ctx.tape, y)
    }

    /// As `forward`, telling `watch` the names and values of the layers inside, each of which is a value of its own
    /// then.
    ///
    /// # Errors
    /// As `forward`.
    fn forward_watched(&self, ctx: &mut Forward<'_>, x: Var, watch: &mut Watch<'_>) -> Result<Var> {
        let _ = watch;
        self.forward(ctx, x)
    }

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

    fn forward_relu(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        (**self).forward_relu(ctx, x)
    }

    fn forward_watched(&self, ctx: &mut Forward<'_>, x: Var, watch: &mut Watch<'_>) -> Result<Var> {
        (**self).forward_watched(ctx, x, watch)
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

    fn forward_relu(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let Some((last, head)) = self.layers.split_last() else { return ops::relu(ctx.tape, x) };
        let x = head.iter().try_fold(x, |x, layer| layer.forward(ctx, x))?;
        last.forward_relu(ctx, x)
    }

    fn forward_added(&self, ctx: &mut Forward<'_>, x: Var, added: Var) -> Result<Var> {
        let Some((last, head)) = self.layers.split_last() else { return ops::add_relu(ctx.tape, x, added) };
        let x = head.iter().try_fold(x, |x, layer| layer.forward(ctx, x))?;
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

/// Maximum over windows: (N,C,H,W) to (N,C,H',W'), `H' = floor((H + 2 padding - kernel) / stride) + 1`.
///
/// ```
/// use mexhat::nn::{MaxPool, Network};
/// let mut net = Network::new([3, 32, 32]);
/// net.max_pool(MaxPool::new(3).stride(2).padding(1)); // .max_pool(2) where windows do not overlap
/// let model = net.build(&mut mexhat::nn::State::new())?;
/// assert_eq!(model.output, [3, 16, 16]);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "MaxPoolFields")]
pub struct MaxPool {
    /// Window side.
    pub kernel: usize,
    /// Step; files may leave it out when it is the window's side.
    pub stride: usize,
    /// Border that never wins.
    pub padding: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaxPoolFields {
    kernel: usize,
    stride: Option<usize>,
    #[serde(default)]
    padding: usize,
}

impl From<MaxPoolFields> for MaxPool {
    fn from(fields: MaxPoolFields) -> Self {
        let MaxPoolFields { kernel, stride, padding } = fields;
        Self { kernel, stride: stride.unwrap_or(kernel), padding }
    }
}

impl MaxPool {
    /// Windows side by side.
    pub fn new(kernel: usize) -> Self {
        Self { kernel, stride: kernel, padding: 0 }
    }

    /// Step between windows.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Border around the map, which never wins.
    pub fn padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }
}

impl From<usize> for MaxPool {
    fn from(kernel: usize) -> Self {
        Self::new(kernel)
    }
}

impl Module for MaxPool {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        ops::max_pool2d(ctx.tape, x, self.kernel, self.stride, self.padding)
    }
}

/// Mean over windows.
///
/// ```
/// use mexhat::nn::{AvgPool, Layer, Network};
/// let mut net = Network::new([3, 32, 32]);
/// net.avg_pool(4);
/// assert_eq!(net.nodes[0].layer, Layer::AvgPool(AvgPool { kernel: 4 }));
/// assert_eq!(net.build(&mut mexhat::nn::State::new())?.output, [3, 8, 8]);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// Mean over parts of the map, so many down and across.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool {
    /// (H,W) of the result.
    pub size: [usize; 2],
}

impl Module for AdaptiveAvgPool {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        ops::adaptive_avg_pool2d(ctx.tape, x, self.size)
    }
}

/// Bilinear resampling of the map.
#[derive(Clone, Copy, Debug)]
pub struct Interpolate {
    /// (H,W) of the result.
    pub size: [usize; 2],
}

impl Module for Interpolate {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        ops::interpolate(ctx.tape, x, self.size)
    }
}

/// In training, zeroes each value with a probability and scales the others up.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// 0 to below 1.
    pub probability: f32,
}

impl Module for Dropout {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        if !(0.0..1.0).contains(&self.probability) {
            let what = format!("expected a probability from 0 to below 1, found {}", self.probability);
            return Err(Error::shape("dropout", what));
        }
        if ctx.mode.training() { ops::dropout(ctx.tape, x, self.probability) } else { Ok(x) }
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
