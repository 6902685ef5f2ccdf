//! A network without deconvolution that computes the same.

use super::walk::Named;
use crate::nn::{ChannelWhitening, Conv, Layer, Layers, Linear, Network, Norm, Whitening, named};
use crate::ops::{self, BlockLayout};
use crate::tape::{State, Tape, Values, interpret};
use crate::{Error, Result};

/// The network with every deconvolution and every iterative norm folded into ordinary layers of the same names, and its
/// tensors: evaluation computes the same, up to rounding. Batch, group and layer norm stay as they are.
///
/// # Errors
/// The tensors are not the network's.
pub fn plain(network: &Network, state: &State) -> Result<(Network, State)> {
    let mut folding = Folding { network, named: Named::of(network, state)?, state: State::new() };
    let layers = folding.layers(&network.layers, "", "", &network.input)?;
    let plain = left(network.norm);
    let found = Network { layers, norm: plain, whitening: Whitening::default(), ..network.clone() };
    // In the order in which the network is built.
    let mut ordered = State::new();
    found.build(&mut ordered)?;
    let ids: Vec<_> = ordered.iter().map(|(id, _)| id).collect();
    for id in ids {
        let tensor = ordered.get_mut(id);
        let values = folding.state.find(&tensor.name).map(|at| folding.state.get(at).values.clone());
        let missing = || Error::Usage(format!("the tensor '{}' is missing", tensor.name));
        let values = values.or_else(|| state.find(&tensor.name).map(|at| state.get(at).values.clone()));
        tensor.values = values.ok_or_else(missing)?;
    }
    Ok((found, ordered))
}

/// The channels that one channel is mixed from, and their factors.
type Mixed = Vec<(usize, f64)>;

/// What is left of a norm.
fn left(norm: Norm) -> Norm {
    if matches!(norm, Norm::Deconv | Norm::Iterative) { Norm::None } else { norm }
}

struct Folding<'a> {
    network: &'a Network,
    named: Named<'a>,
    /// Tensors that changed.
    state: State,
}

impl Folding<'_> {
    /// Layers whose input has the shape `input` without N.
    fn layers(&mut self, layers: &Layers, prefix: &str, path: &str, input: &[usize]) -> Result<Layers> {
        let mut plain = layers.clone();
        let mut input = input.to_vec();
        for ((name, node), plain) in named(layers, prefix, path).zip(&mut plain.nodes) {
            plain.layer = self.layer(&node.layer, &name, &input)?;
            // Kinds change their automatic names.
            let own = name.strip_prefix(prefix).map_or(name.as_str(), |own| own.trim_start_matches('.'));
            plain.name = Some(own.to_owned());
            input = self.named.shape(&name)?.to_vec();
        }
        Ok(plain)
    }

    fn layer(&mut self, layer: &Layer, name: &str, input: &[usize]) -> Result<Layer> {
        Ok(match layer {
            Layer::Conv(conv) => self.conv(conv, name)?,
            Layer::Linear(linear) => Layer::Linear(self.linear(linear, name)?),
            Layer::ChannelDeconv(options) => self.channel_deconv(*options, name, input)?,
            Layer::IterNorm => self.iter_norm(name, name, input)?,
            Layer::Residual { body, shortcut } => Layer::Residual {
                body: self.layers(body, name, "", input)?,
                shortcut: self.layers(shortcut, name, "shortcut_", input)?,
            },
            Layer::DualPath { sum, body, shortcut } => Layer::DualPath {
                sum: *sum,
                body: self.layers(body, name, "", input)?,
                shortcut: self.layers(shortcut, name, "shortcut_", input)?,
            },
            Layer::Concat { branches } => {
                let branches = branches.iter().enumerate();
                let plain = branches.map(|(i, branch)| self.layers(branch, &format!("{name}.{i}"), "", input));
                Layer::Concat { branches: plain.collect::<Result<_>>()? }
            }
            Layer::Gate { gate } => Layer::Gate { gate: self.layers(gate, name, "", input)? },
            Layer::Auxiliary { head, weight } => {
                Layer::Auxiliary { head: self.layers(head, name, "", input)?, weight: *weight }
            }
            Layer::Sequence { layers } => Layer::Sequence { layers: self.layers(layers, name, "", input)? },
            other => other.clone(),
        })
    }

    fn conv(&mut self, conv: &Conv, name: &str) -> Result<Layer> {
        match conv.norm.unwrap_or(self.network.norm) {
            Norm::Deconv => {}
            Norm::Iterative => return self.whitened(conv, name),
            norm => return Ok(Layer::Conv(Conv { norm: Some(norm), whitening: None, ..conv.clone() })),
        }
        let Whitening { mode, block, .. } = conv.whitening.unwrap_or(self.network.whitening);
        let channels = self.named.need(&format!("{name}.weight"))?.0[1] * conv.groups;
        let layout = BlockLayout::conv(mode, channels, conv.kernel, conv.groups, block)?;
        self.fold(name, conv.out_channels, layout)?;
        Ok(Layer::Conv(Conv { norm: Some(Norm::None), whitening: None, bias: Some(true), ..conv.clone() }))
    }

    fn linear(&mut self, linear: &Linear, name: &str) -> Result<Linear> {
        match linear.norm.unwrap_or(self.network.norm) {
            Norm::Deconv => {}
            norm => return Ok(Linear { norm: Some(left(norm)), whitening: None, ..linear.clone() }),
        }
        let mode = linear.whitening.map_or(self.network.whitening.mode, |whitening| whitening.mode);
        let block = linear.whitening.map_or(self.network.block_fc, |whitening| whitening.block);
        let features = self.named.need(&format!("{name}.weight"))?.0[1];
        self.fold(name, linear.out_features, BlockLayout::linear(mode, features, block)?)?;
        Ok(Linear { norm: Some(Norm::None), whitening: None, bias: Some(true), ..linear.clone() })
    }

    /// As the layer folds in evaluation, by the references of the same operations in `f64`.
    fn fold(&mut self, name: &str, outputs: usize, layout: BlockLayout) -> Result<()> {
        let (state, mut tape) = (self.named.state, Tape::new());
        let mut tensor = |key: &str| state.find(&format!("{name}.{key}")).map(|id| tape.state(state, id));
        let [weight, mean, deconv, bias] = ["weight", "running_mean", "running_deconv", "bias"].map(&mut tensor);
        let (Some(weight), Some(mean), Some(deconv)) = (weight, mean, deconv) else {
            return Err(Error::Usage(format!("the layer '{name}' lacks a weight, a mean or a D")));
        };
        let shape = tape.shape(weight).to_vec();
        let columns = ops::fold_weight(&mut tape, weight, deconv, layout)?;
        let mean = ops::feature_mean(&mut tape, mean, layout)?;
        let bias = ops::shifted_bias(&mut tape, [columns, mean], bias, &shape, layout.groups)?;
        let weight = ops::weight_rows(&mut tape, columns, &shape, layout.groups)?;
        let mut values = Values::default();
        interpret(&tape, state, &mut values);
        let of = |var| values.get(&tape, var).data.iter().map(|v| *v as f32).collect();
        self.state.parameter(&format!("{name}.weight"), &shape, of(weight));
        self.state.parameter(&format!("{name}.bias"), &[outputs], of(bias));
        Ok(())
    }

    /// A convolution with the iterative norm behind it in its weight and bias; one in groups, whose outputs the norm
    /// may mix, stays and has the norm's product behind it.
    fn whitened(&mut self, conv: &Conv, name: &str) -> Result<Layer> {
        let norm = format!("{name}{}", Norm::Iterative.behind().unwrap_or_default());
        let plain = Conv { norm: Some(Norm::None), whitening: None, bias: Some(true), ..conv.clone() };
        let (shape, weight) = self.named.need(&format!("{name}.weight"))?;
        let given = self.named.tensor(&format!("{name}.bias")).map_or(&[][..], |(_, bias)| bias);
        if conv.groups > 1 {
            let bias = (0..conv.out_channels).map(|o| given.get(o).copied().unwrap_or(0.0)).collect();
            let inside = format!("{name}.conv");
            self.state.parameter(&format!("{inside}.weight"), shape, weight.to_vec());
            self.state.parameter(&format!("{inside}.bias"), &shape[..1], bias);
            let mixing = self.iter_norm(&norm, &format!("{name}.norm"), &[conv.out_channels, 1, 1])?;
            let layers = Layers::of(|l| l.push(Layer::Conv(plain)).named("conv").push(mixing).named("norm"));
            return Ok(Layer::Sequence { layers });
        }
        let features = weight.len() / conv.out_channels;
        let (mixed, mut bias) = self.mixture(&norm)?;
        let mut folded = vec![0.0f64; weight.len()];
        for (o, row) in mixed.iter().enumerate() {
            for (from, factor) in row {
                bias[o] += factor * given.get(*from).map_or(0.0, |b| f64::from(*b));
                let (to, of) = (&mut folded[o * features..][..features], &weight[from * features..][..features]);
                to.iter_mut().zip(of).for_each(|(to, w)| *to += factor * f64::from(*w));
            }
        }
        self.parameters(name, shape, folded, bias);
        Ok(Layer::Conv(plain))
    }

    /// The iterative norm `name` by itself, as a product at each pixel called `to`.
    fn iter_norm(&mut self, name: &str, to: &str, input: &[usize]) -> Result<Layer> {
        let (mixed, bias) = self.mixture(name)?;
        let channels = input[0];
        let mut weight = vec![0.0f64; channels * channels];
        for (o, row) in mixed.iter().enumerate() {
            row.iter().for_each(|(from, factor)| weight[o * channels + from] = *factor);
        }
        Ok(self.product(to, input, weight, bias))
    }

    /// What an iterative norm makes of its channels: for each output the channels that it takes and their factors, and
    /// what is added.
    fn mixture(&self, name: &str) -> Result<(Vec<Mixed>, Vec<f64>)> {
        let need = |key: &str| self.named.need(&format!("{name}.{key}"));
        let (shape, deconv) = need("running_wm")?;
        let [(_, weight), (_, bias), (_, mean)] = [need("weight")?, need("bias")?, need("running_mean")?];
        let d = shape[2];
        let row = |o: usize| -> Mixed {
            let first = o / d * d;
            let factor = |i| f64::from(weight[o]) * f64::from(deconv[o * d + i]);
            (0..d).map(|i| (first + i, factor(i))).collect()
        };
        let rows: Vec<_> = (0..weight.len()).map(row).collect();
        let off = |row: &[(usize, f64)]| row.iter().map(|(i, factor)| factor * f64::from(mean[*i])).sum::<f64>();
        let shift = rows.iter().zip(bias).map(|(row, b)| f64::from(*b) - off(row)).collect();
        Ok((rows, shift))
    }

    fn parameters(&mut self, name: &str, shape: &[usize], weight: Vec<f64>, bias: Vec<f64>) {
        let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<_>>();
        self.state.parameter(&format!("{name}.weight"), shape, single(weight));
        self.state.parameter(&format!("{name}.bias"), &shape[..1], single(bias));
    }

    /// A layer that multiplies the channels of each pixel by a matrix.
    fn product(&mut self, name: &str, input: &[usize], weight: Vec<f64>, bias: Vec<f64>) -> Layer {
        let channels = input[0];
        if input.len() == 3 {
            self.parameters(name, &[channels, channels, 1, 1], weight, bias);
            Layer::Conv(Conv::new(channels, 1).norm(Norm::None))
        } else {
            self.parameters(name, &[channels, channels], weight, bias);
            Layer::Linear(Linear::new(channels).norm(Norm::None))
        }
    }

    /// As a product of all channels at each pixel: `D (x - mean)` in whole blocks, `(x - mean) / sqrt(var + eps)` in
    /// the rest.
    fn channel_deconv(&mut self, options: ChannelWhitening, name: &str, input: &[usize]) -> Result<Layer> {
        let channels = input[0];
        let tensor = |key: &str| self.named.need(&format!("{name}.{key}")).map(|(_, values)| values);
        let (mean, deconv) = (tensor("running_mean1")?, tensor("running_deconv")?);
        let (scalar_mean, variance) = (tensor("running_mean2")?[0], tensor("running_var")?[0]);
        let (b, blocks) = (options.block, channels / options.block);
        let mut weight = vec![0.0f64; channels * channels];
        let mut bias = vec![0.0f64; channels];
        // Entry i of block j is channel `i blocks + j`; rows times D, which is symmetric up to rounding.
        for j in 0..blocks {
            for (k, i) in (0..b).flat_map(|k| (0..b).map(move |i| (k, i))) {
                let (to, from, entry) = (k * blocks + j, i * blocks + j, f64::from(deconv[i * b + k]));
                weight[to * channels + from] = entry;
                bias[to] -= entry * f64::from(mean[i]);
            }
        }
        let scale = 1.0 / (f64::from(variance) + f64::from(options.eps)).sqrt();
        for c in b * blocks..channels {
            weight[c * channels + c] = scale;
            bias[c] = -scale * f64::from(scalar_mean);
        }
        Ok(self.product(name, input, weight, bias))
    }
}
