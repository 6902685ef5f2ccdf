//! Network deconvolution as layers: the input's whitening, folded into the weights (method, sections 2-8).
//!
//! `W' = W D`, `y = conv(x - mean, W') + b` with `D ~ Cov^(-1/2)` of the layer's own patches. Gradients flow through
//! the mean, the covariance and every Newton-Schulz iteration; they are skipped where they vanish by definition: in
//! evaluation, in frozen layers, and towards an input that needs none (method, section 9.1).

use super::init::weight_and_bias;
use super::room::room_for_d;
use super::{Conv, Forward, Linear, Mode, Module};
use crate::ops::{self, BlockLayout, BlockMode, ConvOptions, Epilogue, Sampling};
use crate::rng::Rng;
use crate::tape::{State, StateId, Tape, Type, Var};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How a layer whitens its input; the defaults are the authors' (method, section 10.1).
///
/// ```
/// use mexhat::nn::{Conv, Network, Whitening};
/// let strong = Whitening { iterations: 15, ..Default::default() };
/// let mut net = Network::new([3, 32, 32]).whitening(Whitening { block: 16, ..Default::default() });
/// net.conv(Conv::new(64, 3).whitening(strong)).relu(); // this layer alone
/// net.conv(Conv::new(64, 3)).relu();
/// assert_eq!((net.whitening.block, net.whitening.iterations), (16, 5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Whitening {
    /// Which features share a covariance.
    pub mode: BlockMode,
    /// Channels per block, B.
    pub block: usize,
    /// Newton-Schulz iterations, T; few of them regularise. [`CONVERGE`](Self::CONVERGE), "converge" in files, goes to
    /// the inverse root.
    #[serde(with = "crate::nn::iterations")]
    pub iterations: usize,
    /// Added to the diagonal of the covariance.
    pub eps: f32,
    /// Statistics use every q-th position per direction.
    pub sampling_stride: usize,
    /// Share of the present step in the running statistics.
    pub momentum: f32,
    /// Use running statistics most of the time (method, section 7).
    pub freeze: bool,
}

impl Default for Whitening {
    fn default() -> Self {
        Self {
            mode: BlockMode::Reference,
            block: 64,
            iterations: 5,
            eps: 1e-5,
            sampling_stride: 3,
            momentum: 0.1,
            freeze: false,
        }
    }
}

/// Most positions between those that statistics look at: sides of maps are at most as long.
const MOST_STRIDE: usize = 32_768;

impl Whitening {
    /// As many `iterations` as take D to the inverse root of the covariance, as far as f32 can tell: another method
    /// than the paper's, whose few iterations regularise; it wants a larger `eps`.
    ///
    /// ```
    /// use mexhat::nn::{Network, Whitening};
    /// let whole = Whitening { iterations: Whitening::CONVERGE, eps: 1e-2, ..Default::default() };
    /// let text = serde_json::to_string(&whole)?;
    /// assert!(text.contains(r#""iterations":"converge""#));
    /// assert_eq!(serde_json::from_str::<Whitening>(&text)?, whole);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub const CONVERGE: usize = usize::MAX;

    /// Refuses numbers that no layer can be built from.
    pub(super) fn check(&self) -> Result<()> {
        let Self { iterations, eps, sampling_stride, momentum, .. } = *self;
        let fits = [
            (
                "iterations",
                iterations as f32,
                (1..=ops::MOST_ITERATIONS).contains(&iterations) || iterations == Self::CONVERGE,
            ),
            ("sampling_stride", sampling_stride as f32, (1..=MOST_STRIDE).contains(&sampling_stride)),
            ("eps", eps, eps > 0.0 && eps.is_finite()),
            ("momentum", momentum, (0.0..=1.0).contains(&momentum)),
        ];
        let Some((key, found, _)) = fits.into_iter().find(|(_, _, fits)| !fits) else { return Ok(()) };
        let expected = match key {
            "iterations" => format!("1 to {}, or converge", ops::MOST_ITERATIONS),
            "sampling_stride" => format!("1 to {MOST_STRIDE}"),
            "eps" => "a number above 0, such as 1e-5".into(),
            _ => "0 to 1".into(),
        };
        Err(Error::Usage(format!("{key} is {found}; expected {expected}")))
    }

    /// D of a covariance (S,d,d) that `eps` has been added to.
    pub(super) fn inverse_root(&self, tape: &mut Tape, covariance: Var) -> Result<Var> {
        if self.iterations != Self::CONVERGE {
            return ops::newton_schulz(tape, covariance, self.iterations);
        }
        // Of features that vary by 1 the trace, which is more than the norm, is about d.
        let d = tape.shape(covariance)[2];
        ops::newton_schulz_converged(tape, covariance, self.eps / d as f32)
    }
}

/// What both deconvolution layers have: weights, a cut into blocks, running statistics.
#[derive(Clone, Debug)]
struct Core {
    /// Of the weight.
    shape: Vec<usize>,
    weight: StateId,
    bias: Option<StateId>,
    running_mean: StateId,
    running_deconv: StateId,
    layout: BlockLayout,
    sampling: Sampling,
    whitening: Whitening,
}

/// The values of one forward pass; those that nobody asks for cost nothing.
#[derive(Clone, Copy, Debug)]
pub struct Folded {
    /// Weight with D folded in, as [columns](ops::weight_columns).
    pub columns: Var,
    /// Weight with D folded in, shape of the weight.
    pub weight: Var,
    /// Bias with the mean folded in, (O).
    pub bias: Var,
    /// Mean, (S,d).
    pub mean: Var,
    /// Mean of each feature, (1,F).
    pub feature_mean: Var,
    /// D, (S,d,d).
    pub deconv: Var,
    /// Covariance, (S,d,d), where it was computed.
    pub covariance: Option<Var>,
}

impl Core {
    fn new(
        state: &mut State,
        name: &str,
        shape: &[usize],
        bias: bool,
        (layout, sampling, whitening): (BlockLayout, Sampling, Whitening),
        rng: Rng,
    ) -> Result<Self> {
        whitening.check()?;
        let (s, d) = (layout.statistics(), layout.d);
        room_for_d(state, name, &layout)?;
        let (weight, bias) = weight_and_bias(state, name, shape, bias, rng);
        let identity = (0..s * d * d).map(|i| if i / d % d == i % d { 1.0 } else { 0.0 }).collect();
        let (mean, deconv) = (format!("{name}.running_mean"), format!("{name}.running_deconv"));
        let saved: &[usize] = if s == 1 { &[d, d] } else { &[s, d, d] };
        let running_mean = state.buffer_saved_as(&[s * d], &mean, Type::vec4(&[s, d]), vec![0.0; s * d]);
        let running_deconv = state.buffer_saved_as(saved, &deconv, Type::vec4(&[s, d, d]), identity);
        Ok(Self { shape: shape.to_vec(), weight, bias, running_mean, running_deconv, layout, sampling, whitening })
    }

    fn fold(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Folded> {
        let frozen = ctx.mode == Mode::Eval || (ctx.mode == Mode::Frozen && self.whitening.freeze);
        let running_mean = ctx.tape.state(ctx.state, self.running_mean);
        let running_deconv = ctx.tape.state(ctx.state, self.running_deconv);
        let (mean, deconv, covariance) = if frozen {
            (running_mean, running_deconv, None)
        } else {
            let own = ops::covariance(ctx.tape, x, self.layout, self.sampling, self.whitening.eps)?;
            let statistics = ops::average_covariance(ctx.tape, own)?;
            let deconv = self.whitening.inverse_root(ctx.tape, statistics.covariance)?;
            let momentum = self.whitening.momentum;
            ops::running_average(ctx.tape, running_mean, statistics.mean, momentum, 1.0)?;
            ops::running_average(ctx.tape, running_deconv, deconv, momentum, 1.0)?;
            (statistics.mean, deconv, Some(statistics.covariance))
        };
        let weight = ctx.tape.state(ctx.state, self.weight);
        let bias = self.bias.map(|id| ctx.tape.state(ctx.state, id));
        let columns = ops::fold_weight(ctx.tape, weight, deconv, self.layout)?;
        let feature_mean = ops::feature_mean(ctx.tape, mean, self.layout)?;
        let bias = ops::shifted_bias(ctx.tape, [columns, feature_mean], bias, &self.shape, self.layout.groups)?;
        let weight = ops::weight_rows(ctx.tape, columns, &self.shape, self.layout.groups)?;
        Ok(Folded { columns, weight, bias, mean, feature_mean, deconv, covariance })
    }

    /// The bias as it is, for a product of what has lost its mean.
    fn own_bias(&self, ctx: &mut Forward<'_>) -> Option<Var> {
        self.bias.map(|id| ctx.tape.state(ctx.state, id))
    }
}

/// A convolution on whitened input; tensors `NAME.weight`, `NAME.bias`, `NAME.running_mean` (S,d),
/// `NAME.running_deconv` (S,d,d). In files they have the shapes of the authors' layer: (Sd) and, of one D, (d,d).
#[derive(Clone, Debug)]
pub struct FastDeconv {
    core: Core,
    options: ConvOptions,
}

impl FastDeconv {
    /// A convolution of `channels` channels that whitens with `whitening`.
    ///
    /// # Errors
    /// The whitening's numbers are out of range or the groups do not divide the channels.
    pub fn new(
        state: &mut State,
        name: &str,
        channels: usize,
        conv: &Conv,
        whitening: Whitening,
        rng: Rng,
    ) -> Result<Self> {
        whitening.check()?;
        let (options, kernel) = (conv.options(), conv.kernel);
        let layout = BlockLayout::conv(whitening.mode, channels, kernel, options.groups, whitening.block)?;
        let step = whitening.sampling_stride.saturating_mul(options.stride);
        let sampling = if kernel == 1 {
            Sampling::Pixels { step: step.saturating_mul(step) }
        } else {
            Sampling::Grid { step, padding: options.padding, dilation: options.dilation }
        };
        let shape = [conv.out_channels, channels / options.groups, kernel, kernel];
        let (bias, cut) = (conv.bias.unwrap_or(true), (layout, sampling, whitening));
        Ok(Self { core: Core::new(state, name, &shape, bias, cut, rng)?, options })
    }

    /// How the features are cut.
    pub fn layout(&self) -> BlockLayout {
        self.core.layout
    }

    /// Where the statistics are sampled.
    pub fn sampling(&self) -> Sampling {
        self.core.sampling
    }

    /// Running `(mean, D)`.
    pub fn running(&self) -> (StateId, StateId) {
        (self.core.running_mean, self.core.running_deconv)
    }

    /// Appends the statistics and the folding without the convolution.
    ///
    /// # Errors
    /// In training, `x` has other channels than the layer, or no patch of it fits.
    pub fn fold(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Folded> {
        self.core.fold(ctx, x)
    }

    /// As `forward`, with what was folded.
    ///
    /// # Errors
    /// `x` has other channels than the layer, or the kernel does not fit into the map.
    pub fn forward_folded(&self, ctx: &mut Forward<'_>, x: Var) -> Result<(Var, Folded)> {
        let folded = self.core.fold(ctx, x)?;
        Ok((self.convolve(ctx, x, folded, None, self.options)?, folded))
    }

    fn convolve(
        &self,
        ctx: &mut Forward<'_>,
        x: Var,
        folded: Folded,
        added: Option<Var>,
        options: ConvOptions,
    ) -> Result<Var> {
        let epilogue = Epilogue { bias: self.core.own_bias(ctx), added };
        let x = [x, folded.feature_mean];
        ops::conv2d_centered(ctx.tape, x, folded.columns, &self.core.shape, epilogue, options)
    }
}

impl Module for FastDeconv {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        Ok(self.forward_folded(ctx, x)?.0)
    }

    fn forward_relu(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let folded = self.core.fold(ctx, x)?;
        self.convolve(ctx, x, folded, None, ConvOptions { relu: true, ..self.options })
    }

    fn forward_added(&self, ctx: &mut Forward<'_>, x: Var, added: Var) -> Result<Var> {
        let folded = self.core.fold(ctx, x)?;
        self.convolve(ctx, x, folded, Some(added), ConvOptions { relu: true, ..self.options })
    }
}

/// A linear layer on whitened input: contiguous blocks, all rows (method, section 8); tensors as [`FastDeconv`].
#[derive(Clone, Debug)]
pub struct Delinear {
    core: Core,
}

impl Delinear {
    /// A linear layer of `features` that whitens with `whitening`, whose block is in features.
    ///
    /// # Errors
    /// The whitening's numbers are out of range.
    pub fn new(
        state: &mut State,
        name: &str,
        features: usize,
        linear: &Linear,
        whitening: Whitening,
        rng: Rng,
    ) -> Result<Self> {
        let layout = BlockLayout::linear(whitening.mode, features, whitening.block)?;
        let cut = (layout, Sampling::Pixels { step: 1 }, whitening);
        let (shape, bias) = ([linear.out_features, features], linear.bias.unwrap_or(true));
        Ok(Self { core: Core::new(state, name, &shape, bias, cut, rng)? })
    }

    /// Running `(mean, D)`.
    pub fn running(&self) -> (StateId, StateId) {
        (self.core.running_mean, self.core.running_deconv)
    }

    /// As `forward`, with what was folded.
    ///
    /// # Errors
    /// `x` has other features than the layer.
    pub fn forward_folded(&self, ctx: &mut Forward<'_>, x: Var) -> Result<(Var, Folded)> {
        let folded = self.core.fold(ctx, x)?;
        let centered = ops::center_rows(ctx.tape, x, folded.feature_mean)?;
        let bias = self.core.own_bias(ctx);
        let y = ops::linear_columns(ctx.tape, centered, folded.columns, &self.core.shape, bias)?;
        Ok((y, folded))
    }
}

impl Module for Delinear {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        Ok(self.forward_folded(ctx, x)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Profile;
    use crate::tape::{Array, DType, Tape, Values, interpret, lower};

    /// Launches of Newton-Schulz, `[forward, backward]`, in a layer of 16 channels and a block of `block` of them.
    fn launches(block: usize) -> Result<[usize; 2]> {
        let mut state = State::new();
        let whitening = Whitening { mode: BlockMode::Paper, block, ..Default::default() };
        let layer = FastDeconv::new(&mut state, "layer", 16, &Conv::new(8, 3).padding(0), whitening, Rng::new(0))?;
        let mut tape = Tape::for_adapter(Profile::GPU);
        let x = tape.resident("x", Type::vec4(&[2, 16, 9, 9]), true);
        let y = layer.forward(&mut Forward { tape: &mut tape, state: &state, mode: Mode::Train }, x)?;
        let seed = tape.resident("seed", Type::vec4(&[2, 8, 7, 7]), false);
        let gradients = tape.backward_from(&[(y, seed)])?;
        gradients.get(x).into_iter().for_each(|gradient| tape.output(gradient));
        let program = lower(&tape, Profile::GPU)?;
        Ok(["newton_schulz", "newton_schulz_grad"]
            .map(|op| program.dispatches.iter().filter(|dispatch| dispatch.op == op).count()))
    }

    #[test]
    fn small_blocks_take_one_launch_each_way() -> Result<()> {
        // A launch costs microseconds that small blocks do not have to spare: one that comes back would slow every
        // step, and no result would tell. Those of large blocks are pinned so that the small way is seen to be taken
        // for what it saves. Norm in parts and their sum, start, 10 products and the scaling; 10 pairs and start, whose
        // sums are long enough for parts, and two scalar products, in parts and their sums, and the end.
        assert_eq!(launches(16)?, [14, 26]);
        assert_eq!(launches(4)?, [1, 1]);
        assert_eq!(launches(1)?, [1, 1]);
        Ok(())
    }

    /// Names of the operations launched for a step through two layers with ReLUs, the first of `channels`, on `side` x
    /// `side` pixels.
    fn operations([n, channels, side]: [usize; 3], profile: Profile) -> Result<Vec<&'static str>> {
        let mut state = State::new();
        let mut layer = |name: &str, channels, outputs| {
            let conv = Conv::new(outputs, 3);
            FastDeconv::new(&mut state, name, channels, &conv, Whitening::default(), Rng::new(0))
        };
        let (first, second) = (layer("first", channels, 64)?, layer("second", 64, 200)?);
        let mut tape = Tape::for_adapter(profile);
        let x = tape.resident("x", Type::vec4(&[n, channels, side, side]), true);
        let mut ctx = Forward { tape: &mut tape, state: &state, mode: Mode::Train };
        let hidden = first.forward_relu(&mut ctx, x)?;
        let y = second.forward_relu(&mut ctx, hidden)?;
        let ty = tape.ty(y).clone();
        let seed = ops::constant(&mut tape, ty, 1.0)?;
        let gradients = tape.backward_from(&[(y, seed)])?;
        gradients.get(x).into_iter().for_each(|gradient| tape.output(gradient));
        Ok(lower(&tape, profile)?.dispatches.iter().map(|dispatch| dispatch.op).collect())
    }

    #[test]
    fn gradients_of_hidden_relus_are_masked_where_they_are_folded() -> Result<()> {
        let found = operations([32, 32, 4], Profile::GPU)?;
        let count = |op: &str| found.iter().filter(|found| **found == op).count();
        // That of the last layer, whose gradient comes from outside.
        assert_eq!(count("activation_grad"), 1, "{found:?}");
        assert_eq!(count("col2im_blocks"), 2, "{found:?}");
        Ok(())
    }

    /// Products of 2 d^3 that Newton-Schulz of two layers, of `[first, second]` iterations, takes
    /// `[forward, backward]`: a pair counts twice, one triangle half. The image needs no gradient.
    fn products(iterations: [usize; 2], mode: Mode, freeze: bool) -> Result<[f64; 2]> {
        let mut state = State::new();
        let mut layer = |name: &str, channels, iterations, freeze| {
            let whitening = Whitening { iterations, freeze, ..Default::default() };
            FastDeconv::new(&mut state, name, channels, &Conv::new(8, 3), whitening, Rng::new(0))
        };
        let (first, second) = (layer("first", 5, iterations[0], false)?, layer("second", 8, iterations[1], freeze)?);
        let mut tape = Tape::new();
        let image = tape.input("image", &[2, 5, 9, 9], DType::F32);
        let x = ops::to_vec4(&mut tape, image)?;
        let mut ctx = Forward { tape: &mut tape, state: &state, mode };
        let hidden = first.forward(&mut ctx, x)?;
        let y = second.forward(&mut ctx, hidden)?;
        let ty = tape.ty(y).clone();
        let seed = ops::constant(&mut tape, ty, 1.0)?;
        let gradients = tape.backward_from(&[(y, seed)])?;
        for id in state.parameters() {
            let parameter = tape.state(&state, id);
            gradients.get(parameter).into_iter().for_each(|gradient| tape.output(gradient));
        }
        let mut found = [0.0; 2];
        for dispatch in lower(&tape, Profile::GPU)?.dispatches {
            let place = ["newton_schulz", "newton_schulz_grad"].iter().position(|op| *op == dispatch.op);
            let (Some(place), true) = (place, dispatch.kernel.shader.file.starts_with("products/matmul")) else {
                continue;
            };
            let is = |name: &'static str| dispatch.kernel.constants.contains(&(name, 1));
            found[place] += if is("PAIR") { 2.0 } else { 1.0 } * if is("SYMMETRIC") { 0.5 } else { 1.0 };
        }
        Ok(found)
    }

    #[test]
    fn no_layer_multiplies_more_than_it_must() -> Result<()> {
        // 10 halves forward where the coupled iteration has 3T - 3, as many halves of pairs backward (method, section
        // 9.4), and none backward for the image's sake.
        assert_eq!(products([5, 5], Mode::Train, false)?, [5.0 + 5.0, 10.0]);
        assert_eq!(products([1, 2], Mode::Train, false)?, [1.0, 2.0]);
        // Beyond 10 iterations one triangle loses the accuracy: full products.
        assert_eq!(products([15, 11], Mode::Train, false)?, [42.0 + 30.0, 60.0]);
        // A frozen layer takes none, evaluation neither.
        assert_eq!(products([5, 5], Mode::Frozen, true)?, [5.0, 0.0]);
        assert_eq!(products([5, 5], Mode::Eval, false)?, [0.0, 0.0]);
        Ok(())
    }

    #[test]
    fn the_end_of_a_residual_block_is_the_sum_and_its_relu() -> Result<()> {
        for outputs in [4, 64] {
            let mut state = State::new();
            let whitening = Whitening { eps: 0.1, ..Default::default() };
            let layer = FastDeconv::new(&mut state, "layer", 2, &Conv::new(outputs, 3), whitening, Rng::new(0))?;
            let mut rng = Rng::new(1);
            let mut random = |channels: usize| {
                let values: Vec<f32> = (0..32 * channels).map(|_| rng.normal()).collect();
                Array::from_f32(&[2, channels, 4, 4], &values)
            };
            let arrays = [random(2), random(outputs), random(outputs)];
            let run = |at_once: bool| -> Result<Vec<Array>> {
                let mut tape = Tape::new();
                let vars = [true, true, false].into_iter().zip(&arrays);
                let vars: Vec<Var> =
                    vars.map(|(grad, array)| tape.resident("value", Type::vec4(&array.shape), grad)).collect();
                let mut ctx = Forward { tape: &mut tape, state: &state, mode: Mode::Train };
                let y = if at_once {
                    layer.forward_added(&mut ctx, vars[0], vars[1])?
                } else {
                    let y = layer.forward(&mut ctx, vars[0])?;
                    ops::add_relu(&mut tape, y, vars[1])?
                };
                let gradients = tape.backward_from(&[(y, vars[2])])?;
                let mut values = Values::default();
                vars.iter().zip(&arrays).for_each(|(var, array)| values.set(*var, array.clone()));
                interpret(&tape, &state, &mut values);
                let wanted = [Some(y), gradients.get(vars[0]), gradients.get(vars[1])];
                Ok(wanted.into_iter().flatten().map(|var| values.get(&tape, var)).collect())
            };
            let (found, expected) = (run(true)?, run(false)?);
            assert_eq!(found.len(), 3);
            for (found, expected) in found.iter().zip(&expected) {
                assert!(expected.data.iter().any(|v| *v != 0.0));
                assert!(found.data.iter().zip(&expected.data).all(|(f, e)| (f - e).abs() < 1e-9), "{outputs} outputs");
            }
        }
        Ok(())
    }
}
