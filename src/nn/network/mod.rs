//! A network as plain data, and the modules that it becomes.

mod build;
mod custom;
mod graph;
mod layer;
mod layers;
mod read;
mod width;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use build::named;
pub use custom::{Custom, Init};
pub use graph::Watch;
pub(crate) use layer::CLASSES;
pub use layer::{Conv, Layer, Linear, Node};
pub use layers::Layers;
pub(crate) use width::scaled;

use super::{FastDeconv, Forward, Mode, Module, Norm, Whitening};
use crate::ops;
use crate::tape::{State, Var};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A network: its layers, and what all of them share. Plain data, so it can be printed, compared, kept in a file and
/// built as often as one likes. [`Layers`] has the methods that append layers.
///
/// ```
/// use mexhat::nn::{Conv, Network, Norm};
/// let mut net = Network::new([1, 28, 28]).seed(0).norm(Norm::Batch);
/// net.conv(Conv::new(16, 5)).relu().max_pool(2).flatten().linear(10);
/// let text = serde_json::to_string(&net)?;
/// assert_eq!(serde_json::from_str::<Network>(&text)?, net);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// What people call it.
    #[serde(default = "custom")]
    pub name: String,
    /// (C, H, W) of one image.
    pub input: [usize; 3],
    /// What every layer does for its statistics.
    #[serde(default)]
    pub norm: Norm,
    /// Whitening of convolutions.
    #[serde(default)]
    pub whitening: Whitening,
    /// Features per block of whitening in linear layers.
    #[serde(default = "block_fc")]
    pub block_fc: usize,
    /// Groups of channels of group norm; where they do not divide a layer's channels, the most below that do.
    #[serde(default = "num_groups", skip_serializing_if = "is_default")]
    pub num_groups: usize,
    /// Seed of the initial values; no file keeps it.
    #[serde(skip)]
    pub seed: u64,
    /// The layers.
    pub layers: Layers,
}

fn custom() -> String {
    "custom".into()
}

/// The authors' block of linear layers.
pub(crate) fn block_fc() -> usize {
    512
}

/// Wu & He's groups.
pub(crate) fn num_groups() -> usize {
    32
}

fn is_default(groups: &usize) -> bool {
    *groups == num_groups()
}

fn whitens(layers: &Layers, shared: Norm) -> Option<Norm> {
    layers.nodes.iter().find_map(|node| match &node.layer {
        Layer::Conv(conv) => {
            Some(conv.norm.unwrap_or(shared)).filter(|norm| matches!(norm, Norm::Deconv | Norm::Iterative))
        }
        // No other norm stands behind a linear layer.
        Layer::Linear(linear) => Some(linear.norm.unwrap_or(shared)).filter(|norm| *norm == Norm::Deconv),
        Layer::ChannelDeconv(_) => Some(Norm::Deconv),
        Layer::IterNorm => Some(Norm::Iterative),
        layer => layer.inner().into_iter().find_map(|inner| whitens(inner, shared)),
    })
}

impl Network {
    /// No layers yet, for images of (C, H, W); deconvolution with the authors' settings.
    pub fn new(input: [usize; 3]) -> Self {
        Self {
            name: custom(),
            input,
            norm: Norm::default(),
            whitening: Whitening::default(),
            block_fc: block_fc(),
            num_groups: num_groups(),
            seed: 0,
            layers: Layers::default(),
        }
    }

    /// With initial values of this seed.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// What takes the covariance of a batch, where a layer does: deconvolution or iterative norm.
    pub(crate) fn whitens(&self) -> Option<Norm> {
        whitens(&self.layers, self.norm)
    }

    /// With this normalisation in every layer that does not say otherwise.
    pub fn norm(self, norm: Norm) -> Self {
        Self { norm, ..self }
    }

    /// With this whitening in every layer that does not say otherwise; linear layers keep their own block.
    pub fn whitening(self, whitening: Whitening) -> Self {
        Self { whitening, ..self }
    }

    /// With so many groups of channels in group norm, or the most below that divide a layer's channels.
    pub fn num_groups(self, num_groups: usize) -> Self {
        Self { num_groups, ..self }
    }

    /// Gives the modules of kind `kind`, of which a file keeps only the name, what makes them.
    ///
    /// # Errors
    /// No layer is of that kind.
    pub fn define(
        &mut self,
        kind: &str,
        build: impl Fn(&mut Init<'_>, &[usize]) -> Result<Box<dyn Module>> + Send + Sync + 'static,
    ) -> Result<()> {
        let (mut found, build) = (0, Arc::new(build) as Arc<custom::Build>);
        define(&mut self.layers, kind, &build, &mut found);
        if found > 0 {
            return Ok(());
        }
        Err(Error::Usage(format!("the network '{}' has no layer of kind '{kind}'", self.name)))
    }

    /// The modules, their tensors added to `state`.
    ///
    /// # Errors
    /// A layer does not fit what comes before it, or its numbers are out of range; the layer is named.
    pub fn build(&self, state: &mut State) -> Result<Model> {
        build::build(self, state)
    }
}

fn define(layers: &mut Layers, kind: &str, build: &Arc<custom::Build>, found: &mut usize) {
    for node in &mut layers.nodes {
        match &mut node.layer {
            Layer::Custom(custom) if custom.kind == kind => {
                custom.build = Some(Arc::clone(build));
                *found += 1;
            }
            layer => layer.inner_mut().into_iter().for_each(|inner| define(inner, kind, build, found)),
        }
    }
}

impl Deref for Network {
    type Target = Layers;

    fn deref(&self) -> &Layers {
        &self.layers
    }
}

impl DerefMut for Network {
    fn deref_mut(&mut self) -> &mut Layers {
        &mut self.layers
    }
}

/// Training forwards between the freezing of the first layer and its next thaw.
const FREEZE_ITER: u64 = 100;

/// A built network.
///
/// ```
/// use mexhat::nn::{Conv, Forward, Mode, Network, Tape};
/// let (mut net, mut state) = (Network::new([1, 28, 28]), mexhat::nn::State::new());
/// net.conv(Conv::new(16, 5)).relu().max_pool(2);
/// let model = net.build(&mut state)?;
/// assert_eq!(model.output, [16, 14, 14]);
///
/// let mut tape = Tape::new();
/// let images = tape.leaf("images", &[4, 1, 28, 28]);
/// let y = model.forward(&mut Forward { tape: &mut tape, state: &state, mode: Mode::Eval }, images)?;
/// assert_eq!(tape.shape(y), [4, 16, 14, 14]);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Debug)]
pub struct Model {
    /// Name of the network.
    pub name: String,
    /// The layers.
    pub net: Box<dyn Module>,
    /// (C, H, W) of one image.
    pub input: [usize; 3],
    /// Shape of the output, without N.
    pub output: Vec<usize>,
    /// Channels or features of the output.
    pub classes: usize,
    /// True when some layer freezes.
    pub freezes: bool,
    /// The first convolution, when it whitens: its kernels are what people look at.
    pub first: Option<FastDeconv>,
}

impl Model {
    /// Appends the forward pass on row-major images (N,C,H,W); returns the output, logits (N,classes) for a classifier.
    ///
    /// # Errors
    /// The images do not have the model's size.
    pub fn forward(&self, ctx: &mut Forward<'_>, images: Var) -> Result<Var> {
        let x = self.enter(ctx, images)?;
        self.net.forward(ctx, x)
    }

    /// As [`Model::forward`], with every layer by itself: `watch` is told the name and the value of each.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn forward_watched(&self, ctx: &mut Forward<'_>, images: Var, watch: &mut Watch<'_>) -> Result<Var> {
        let x = self.enter(ctx, images)?;
        self.net.forward_watched(ctx, x, watch)
    }

    fn enter(&self, ctx: &mut Forward<'_>, images: Var) -> Result<Var> {
        let found = ctx.tape.shape(images);
        if found.len() != 4 || found[1..] != self.input {
            let what = format!("{} takes images of {:?}, found {found:?}", self.name, self.input);
            return Err(Error::shape("model", what));
        }
        ops::to_vec4(ctx.tape, images)
    }

    /// For which kind of step training forward number `forward` (from 0) is recorded: statistics are computed in
    /// forwards 0..=100 of every 1000 and taken from the buffers in the others.
    pub fn mode_at(&self, forward: u64) -> Mode {
        if self.freezes && forward % (10 * FREEZE_ITER) > FREEZE_ITER { Mode::Frozen } else { Mode::Train }
    }
}
