//! From a network's description to modules, tensors and shapes.

use super::custom::Init;
use super::graph::{Concat, DualPath, Gate, Graph, Named, Residual};
use super::{Conv, Layer, Layers, Linear, Model, Network, Node};
use crate::nn::{
    Activate, AdaptiveAvgPool, BatchNorm, ChannelDeconv, Conv2d, Delinear, Dropout, FastDeconv, Flatten, Forward,
    GlobalAvgPool, GroupNorm, Interpolate, IterNorm, Mode, Module, Norm, PlainLinear, Sequential, Whitening,
};
use crate::rng::Rng;
use crate::tape::{State, Tape, Var};
use crate::{Error, Result, ops};
use std::collections::{HashMap, HashSet};

/// Images on the tape that tells the shapes.
const IMAGES: usize = 2;
/// Most values of one tensor: 4 GiB.
const MOST_VALUES: usize = 1 << 30;

/// A network under construction. Each layer is recorded on a tape of its own as soon as it is built, which tells
/// whether it fits and what shape it leaves: the operations' own rules, said once.
struct Builder<'a> {
    network: &'a Network,
    state: &'a mut State,
    rng: Rng,
    tape: Tape,
    names: HashSet<String>,
    freezes: bool,
    first: Option<FastDeconv>,
    convolutions: usize,
    /// Auxiliary heads, and what they put out for an image.
    heads: Vec<(String, Vec<usize>)>,
}

pub(super) fn build(network: &Network, state: &mut State) -> Result<Model> {
    if network.input.contains(&0) {
        let what = format!("expected images of at least 1x1 with a channel, found {:?} (C,H,W)", network.input);
        return Err(Error::Usage(what));
    }
    let mut tape = Tape::new();
    let images = crate::nn::images(&mut tape, IMAGES, network.input);
    let x = ops::to_vec4(&mut tape, images)?;
    let rng = Rng::new(network.seed);
    let names = HashSet::new();
    let (freezes, first, heads) = (false, None, Vec::new());
    let mut builder = Builder { network, state, rng, tape, names, freezes, first, convolutions: 0, heads };
    let (graph, y) = builder.layers(&network.layers, "", x)?;
    let output = builder.tape.shape(y)[1..].to_vec();
    if let Some((name, found)) = builder.heads.iter().find(|(_, found)| *found != output) {
        let what =
            format!("the head '{name}' puts out {found:?} for an image; expected {output:?}, as the network does");
        return Err(Error::Usage(what));
    }
    builder.state.is_built();
    let (freezes, first) = (builder.freezes, builder.first);
    let (name, input, classes) = (network.name.clone(), network.input, output[0]);
    Ok(Model { name, net: Box::new(graph), input, output, classes, freezes, first })
}

impl Builder<'_> {
    /// Layers one after the other within the block `prefix`, and what they make of `x`.
    fn layers(&mut self, layers: &Layers, prefix: &str, x: Var) -> Result<(Graph, Var)> {
        self.path(layers, prefix, "", x)
    }

    /// As `layers`, for one of several paths through a block: `path` stands before the names of layers that have none.
    fn path(&mut self, layers: &Layers, prefix: &str, path: &str, mut x: Var) -> Result<(Graph, Var)> {
        let mut graph = Graph::default();
        for (name, node) in named(layers, prefix, path) {
            if !self.names.insert(name.clone()) {
                return Err(Error::Usage(format!("two layers are called '{name}'; expected a name for each")));
            }
            let module = self.layer(&node.layer, &name, x)?;
            x = self.shape_after(&*module, &name, x)?;
            graph.layers.push(Named { name, module, relu: node.layer == Layer::Relu });
        }
        Ok((graph, x))
    }

    fn shape_after(&mut self, module: &dyn Module, name: &str, x: Var) -> Result<Var> {
        let input = self.tape.shape(x)[1..].to_vec();
        let mut ctx = Forward { tape: &mut self.tape, state: self.state, mode: Mode::Eval };
        module.forward(&mut ctx, x).map_err(|e| at(name, &input, e))
    }

    fn layer(&mut self, layer: &Layer, name: &str, x: Var) -> Result<Box<dyn Module>> {
        if let Some(activation) = layer.activation() {
            if let Layer::LeakyRelu { slope } = layer
                && !slope.is_finite()
            {
                return Err(Error::Usage(format!("layer '{name}' has a slope of {slope}; expected a number")));
            }
            return Ok(Box::new(Activate(activation)));
        }
        let input = self.tape.shape(x)[1..].to_vec();
        Ok(match layer {
            Layer::Conv(conv) => self.conv(conv, name, &input).map_err(|e| at(name, &input, e))?,
            Layer::Linear(linear) => self.linear(linear, name, &input).map_err(|e| at(name, &input, e))?,
            Layer::BatchNorm | Layer::GroupNorm | Layer::LayerNorm | Layer::IterNorm => {
                self.normalization(layer, name, input[0]).map_err(|e| at(name, &input, e))?
            }
            Layer::ChannelDeconv(options) => {
                let layer = ChannelDeconv::new(self.state, name, input[0], *options);
                Box::new(layer.map_err(|e| at(name, &input, e))?)
            }
            Layer::MaxPool(pool) => Box::new(*pool),
            Layer::AvgPool(pool) => Box::new(*pool),
            Layer::AdaptiveAvgPool { size } => Box::new(AdaptiveAvgPool { size: *size }),
            Layer::GlobalAvgPool => Box::new(GlobalAvgPool),
            Layer::Flatten => Box::new(Flatten),
            Layer::Interpolate { size } => Box::new(Interpolate { size: *size }),
            Layer::Dropout { probability } => Box::new(Dropout { probability: *probability }),
            Layer::Residual { body, shortcut } => {
                let body = self.layers(body, name, x)?.0;
                Box::new(Residual { body, shortcut: self.path(shortcut, name, "shortcut_", x)?.0 })
            }
            Layer::Concat { branches } => {
                let branches = branches.iter().enumerate();
                let built = branches.map(|(i, branch)| Ok(self.layers(branch, &format!("{name}.{i}"), x)?.0));
                Box::new(Concat(built.collect::<Result<_>>()?))
            }
            Layer::Gate { gate } => Box::new(Gate(self.layers(gate, name, x)?.0)),
            Layer::DualPath { sum, body, shortcut } => {
                let body = self.layers(body, name, x)?.0;
                Box::new(DualPath { sum: *sum, body, shortcut: self.path(shortcut, name, "shortcut_", x)?.0 })
            }
            Layer::Sequence { layers } => Box::new(self.layers(layers, name, x)?.0),
            #[cfg(reference)]
            Layer::Auxiliary { head, weight } => {
                let (head, y) = self.layers(head, name, x)?;
                self.heads.push((name.into(), self.tape.shape(y)[1..].to_vec()));
                Box::new(super::graph::Auxiliary { head, weight: *weight })
            }
            Layer::Custom(custom) => {
                let mut init = Init { state: self.state, name: name.into(), rng: self.rng };
                custom.module(&mut init, &input)?
            }
            // Activations have been dealt with.
            _ => return Err(Error::Usage(format!("layer '{name}' cannot be built"))),
        })
    }

    fn norm(&self, own: Option<Norm>) -> Norm {
        own.unwrap_or(self.network.norm)
    }

    fn conv(&mut self, conv: &Conv, name: &str, input: &[usize]) -> Result<Box<dyn Module>> {
        let &[channels, _, _] = input else {
            return Err(Error::Usage("a convolution takes maps (N,C,H,W), found features (N,F)".into()));
        };
        let sizes = [
            ("out_channels", conv.out_channels),
            ("kernel", conv.kernel),
            ("stride", conv.stride),
            ("dilation", conv.dilation),
            ("groups", conv.groups),
        ];
        if let Some((key, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(Error::Usage(format!("{key} is 0; expected at least 1")));
        }
        if !channels.is_multiple_of(conv.groups) || !conv.out_channels.is_multiple_of(conv.groups) {
            return Err(Error::Usage(format!(
                "groups is {}, which does not divide both {channels} channels and {} outputs; expected a divisor of both",
                conv.groups, conv.out_channels
            )));
        }
        let weight = [conv.out_channels, channels / conv.groups, conv.kernel, conv.kernel];
        fits(&weight)?;
        self.state.room_for(&weight)?;
        let (state, rng) = (&mut *self.state, self.rng);
        self.convolutions += 1;
        Ok(match conv.norm.unwrap_or(self.network.norm) {
            Norm::Deconv => {
                let whitening = conv.whitening.unwrap_or(self.network.whitening);
                let layer = FastDeconv::new(state, name, channels, conv, whitening, rng)?;
                self.freezes |= whitening.freeze;
                if self.convolutions == 1 {
                    self.first = Some(layer.clone());
                }
                Box::new(layer)
            }
            norm => {
                let Some((layer, ending)) = Layer::of_norm(norm).zip(norm.behind()) else {
                    return Ok(Box::new(Conv2d::new(state, name, channels, conv, rng)));
                };
                let conv = Conv { bias: Some(conv.bias.unwrap_or(false)), ..conv.clone() };
                let mut both = Sequential::new();
                both.push(Conv2d::new(state, name, channels, &conv, rng));
                both.push(self.normalization(&layer, &format!("{name}{ending}"), conv.out_channels)?);
                Box::new(both)
            }
        })
    }

    /// A layer that normalises `channels` channels.
    fn normalization(&mut self, layer: &Layer, name: &str, channels: usize) -> Result<Box<dyn Module>> {
        let (network, state) = (self.network, &mut *self.state);
        Ok(match layer {
            Layer::GroupNorm => Box::new(GroupNorm::new(state, name, channels, network.num_groups)),
            Layer::LayerNorm => Box::new(GroupNorm::new(state, name, channels, 1)),
            Layer::IterNorm => Box::new(IterNorm::new(state, name, channels, network.whitening)?),
            _ => Box::new(BatchNorm::new(state, name, channels)),
        })
    }

    fn linear(&mut self, linear: &Linear, name: &str, input: &[usize]) -> Result<Box<dyn Module>> {
        let &[features] = input else {
            return Err(Error::Usage("a linear layer takes features (N,F), found maps (N,C,H,W); flatten them".into()));
        };
        if linear.out_features == 0 {
            return Err(Error::Usage("out_features is 0; expected at least 1".into()));
        }
        fits(&[linear.out_features, features])?;
        self.state.room_for(&[linear.out_features, features])?;
        let norm = self.norm(linear.norm);
        let (state, rng) = (&mut *self.state, self.rng);
        if norm != Norm::Deconv {
            return Ok(Box::new(PlainLinear::new(state, name, features, linear, rng)));
        }
        let network = self.network;
        let shared = Whitening { block: network.block_fc, ..network.whitening };
        let whitening = linear.whitening.unwrap_or(shared);
        self.freezes |= whitening.freeze;
        Ok(Box::new(Delinear::new(state, name, features, linear, whitening, rng)?))
    }
}

/// The layers of one path through the block `prefix` with their whole names: the kind and its number where a layer has
/// none.
pub(crate) fn named<'a>(layers: &'a Layers, prefix: &str, path: &str) -> impl Iterator<Item = (String, &'a Node)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let inside = if prefix.is_empty() { String::new() } else { format!("{prefix}.") };
    layers.nodes.iter().map(move |node| {
        let count = counts.entry(node.layer.stem()).or_default();
        *count += 1;
        let own = node.name.clone().unwrap_or_else(|| format!("{path}{}{count}", node.layer.stem()));
        (format!("{inside}{own}"), node)
    })
}

/// An error of the layer `name`, whose input has this shape.
fn at(name: &str, input: &[usize], e: Error) -> Error {
    match e {
        // How much is missing decides what is advised.
        Error::Limit { .. } | Error::Memory { .. } => e,
        e => {
            let what = e.to_string();
            let own = what.strip_prefix(&format!("{name}: ")).unwrap_or(&what);
            Error::Usage(format!("layer '{name}', whose input is {input:?} without N: {own}"))
        }
    }
}

fn fits(shape: &[usize]) -> Result<()> {
    let values = shape.iter().try_fold(1usize, |n, side| n.checked_mul(*side));
    if values.is_some_and(|n| n <= MOST_VALUES) {
        return Ok(());
    }
    Err(Error::Usage(format!("a weight of {shape:?} has more than the {MOST_VALUES} values that a tensor may have")))
}
