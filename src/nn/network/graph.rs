//! Built layers with their names, and blocks of them.

use crate::Result;
use crate::nn::{Forward, Module};
use crate::ops;
use crate::tape::Var;

/// What is told the name and the value of every layer as a pass is recorded.
///
/// ```
/// use mexhat::nn::{Conv, Forward, Mode, Network, Tape};
/// let (mut net, mut state) = (Network::new([1, 8, 8]), mexhat::nn::State::new());
/// net.residual(|body| body.conv(Conv::new(1, 3))).relu();
/// let model = net.build(&mut state)?;
///
/// let (mut tape, mut names) = (Tape::new(), Vec::new());
/// let images = tape.leaf("images", &[4, 1, 8, 8]);
/// let mut ctx = Forward { tape: &mut tape, state: &state, mode: Mode::Eval };
/// model.forward_watched(&mut ctx, images, &mut |name, _value| names.push(name.to_owned()))?;
/// assert_eq!(names, ["block1.conv1", "block1", "relu1"]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub type Watch<'a> = dyn FnMut(&str, Var) + 'a;

#[derive(Debug)]
pub(super) struct Named {
    /// With the names of all blocks around it.
    pub name: String,
    pub module: Box<dyn Module>,
    /// Whether this is a ReLU, which the layer before it may do.
    pub relu: bool,
}

/// Layers one after the other.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub layers: Vec<Named>,
}

impl Graph {
    /// A pass through `layers`, every ReLU in the kernel of the layer before it.
    fn run(layers: &[Named], ctx: &mut Forward<'_>, mut x: Var) -> Result<Var> {
        let mut rest = layers.iter().peekable();
        while let Some(layer) = rest.next() {
            x = match rest.next_if(|next| next.relu) {
                Some(_) => layer.module.forward_relu(ctx, x)?,
                None => layer.module.forward(ctx, x)?,
            };
        }
        Ok(x)
    }
}

impl Module for Graph {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        Self::run(&self.layers, ctx, x)
    }

    fn forward_watched(&self, ctx: &mut Forward<'_>, mut x: Var, watch: &mut Watch<'_>) -> Result<Var> {
        for layer in &self.layers {
            x = layer.module.forward_watched(ctx, x, watch)?;
            watch(&layer.name, x);
        }
        Ok(x)
    }
}

/// `body(x) + shortcut(x)`.
#[derive(Debug)]
pub(super) struct Residual {
    pub body: Graph,
    pub shortcut: Graph,
}

impl Module for Residual {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let y = self.body.forward(ctx, x)?;
        let shortcut = self.shortcut.forward(ctx, x)?;
        ops::add(ctx.tape, y, shortcut)
    }

    /// The body's last layer adds the shortcut and rectifies where it can.
    fn forward_relu(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let Some((last, head)) = self.body.layers.split_last() else {
            let y = self.forward(ctx, x)?;
            return ops::relu(ctx.tape, y);
        };
        let y = Graph::run(head, ctx, x)?;
        let shortcut = self.shortcut.forward(ctx, x)?;
        last.module.forward_added(ctx, y, shortcut)
    }

    fn forward_watched(&self, ctx: &mut Forward<'_>, x: Var, watch: &mut Watch<'_>) -> Result<Var> {
        let y = self.body.forward_watched(ctx, x, watch)?;
        let shortcut = self.shortcut.forward_watched(ctx, x, watch)?;
        ops::add(ctx.tape, y, shortcut)
    }
}

/// The channels of all branches.
#[derive(Debug)]
pub(super) struct Concat(pub Vec<Graph>);

impl Module for Concat {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let parts = self.0.iter().map(|branch| branch.forward(ctx, x)).collect::<Result<Vec<_>>>()?;
        ops::concat(ctx.tape, &parts)
    }

    fn forward_watched(&self, ctx: &mut Forward<'_>, x: Var, watch: &mut Watch<'_>) -> Result<Var> {
        let parts = self.0.iter().map(|b| b.forward_watched(ctx, x, watch)).collect::<Result<Vec<_>>>()?;
        ops::concat(ctx.tape, &parts)
    }
}

/// `x gate(x)`, channel by channel.
#[derive(Debug)]
pub(super) struct Gate(pub Graph);

impl Module for Gate {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let gate = self.0.forward(ctx, x)?;
        ops::mul_channels(ctx.tape, x, gate)
    }

    fn forward_watched(&self, ctx: &mut Forward<'_>, x: Var, watch: &mut Watch<'_>) -> Result<Var> {
        let gate = self.0.forward_watched(ctx, x, watch)?;
        ops::mul_channels(ctx.tape, x, gate)
    }
}

/// The first channels of both paths added, the others behind them.
#[derive(Debug)]
pub(super) struct DualPath {
    pub sum: usize,
    pub body: Graph,
    pub shortcut: Graph,
}

impl Module for DualPath {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let y = self.body.forward(ctx, x)?;
        let shortcut = self.shortcut.forward(ctx, x)?;
        ops::dual_path_merge(ctx.tape, shortcut, y, self.sum)
    }

    fn forward_watched(&self, ctx: &mut Forward<'_>, x: Var, watch: &mut Watch<'_>) -> Result<Var> {
        let y = self.body.forward_watched(ctx, x, watch)?;
        let shortcut = self.shortcut.forward_watched(ctx, x, watch)?;
        ops::dual_path_merge(ctx.tape, shortcut, y, self.sum)
    }
}

/// `x`, and in training a head on it whose loss is recorded with the network's.
#[cfg(reference)]
#[derive(Debug)]
pub(super) struct Auxiliary {
    pub head: Graph,
    pub weight: f32,
}

#[cfg(reference)]
impl Module for Auxiliary {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        if ctx.mode.training() {
            let y = self.head.forward(ctx, x)?;
            ctx.tape.auxiliary(y, self.weight);
        }
        Ok(x)
    }

    fn forward_watched(&self, ctx: &mut Forward<'_>, x: Var, watch: &mut Watch<'_>) -> Result<Var> {
        let y = self.head.forward_watched(ctx, x, watch)?;
        if ctx.mode.training() {
            ctx.tape.auxiliary(y, self.weight);
        }
        Ok(x)
    }
}
