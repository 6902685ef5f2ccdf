//! Iterative normalisation (Huang et al. 2019): batch norm that decorrelates channels, too.

use super::{Forward, Module, Whitening};
use crate::ops::{self, BlockLayout, BlockMode, ConvOptions, Epilogue, Sampling};
use crate::tape::{State, StateId, Type, Var};
use crate::{Error, Result};

/// `y = w D (x - mean) + b` with `D ~ Cov^(-1/2)` of each group of channels over all pixels of the batch, by
/// Newton-Schulz iterations.
///
/// What deconvolution does to patches of a layer's input stands here behind a layer, for the channels of a pixel: so it
/// is the same statistics and the same iterations, with D in the weight of a 1x1 convolution, whose rows the learned
/// `w` scales. As published but for one thing: the covariance is divided by its Frobenius norm, as everywhere in this
/// crate, where Huang et al. take the trace, which is larger; so the same number of iterations comes nearer to
/// whitening. Tensors `NAME.weight` and `.bias` (C), `NAME.running_mean` (S,d) and `NAME.running_wm` (S,d,d) for S
/// groups of d channels.
#[derive(Clone, Debug)]
pub struct IterNorm {
    weight: StateId,
    bias: StateId,
    running_mean: StateId,
    running_wm: StateId,
    layout: BlockLayout,
    whitening: Whitening,
}

/// All of them.
const PIXELS: Sampling = Sampling::Pixels { step: 1 };

impl IterNorm {
    /// A normalisation of `channels` channels in groups of `whitening.block`; of the rest, iterations, eps and momentum
    /// matter.
    ///
    /// # Errors
    /// The whitening's numbers are out of range.
    pub fn new(state: &mut State, name: &str, channels: usize, whitening: Whitening) -> Result<Self> {
        whitening.check()?;
        let layout = BlockLayout::conv(BlockMode::Paper, channels, 1, 1, whitening.block)?;
        let (s, d) = (layout.statistics(), layout.d);
        state.room_for(&[s, d, d])?;
        let identity = (0..s * d * d).map(|i| if i / d % d == i % d { 1.0 } else { 0.0 }).collect();
        Ok(Self {
            weight: state.parameter(&format!("{name}.weight"), &[channels], vec![1.0; channels]),
            bias: state.parameter(&format!("{name}.bias"), &[channels], vec![0.0; channels]),
            running_mean: state.buffer(&format!("{name}.running_mean"), Type::vec4(&[s, d]), vec![0.0; s * d]),
            running_wm: state.buffer(&format!("{name}.running_wm"), Type::vec4(&[s, d, d]), identity),
            layout,
            whitening,
        })
    }

    /// Mean (S,d) and D (S,d,d), of this step or running.
    fn statistics(&self, ctx: &mut Forward<'_>, x: Var) -> Result<[Var; 2]> {
        let running = [self.running_mean, self.running_wm].map(|id| ctx.tensor(id));
        if !ctx.mode.training() {
            return Ok(running);
        }
        if ctx.tape.ty(x).rows() * ctx.tape.processes() < 2 {
            return Err(Error::Usage(
                "iterative norm sees one value of each channel, whose covariance is 0; choose a batch size of at least 2, or no \
                 normalisation"
                    .into(),
            ));
        }
        let own = ops::covariance(ctx.tape, x, self.layout, PIXELS, self.whitening.eps)?;
        let found = ops::average_covariance(ctx.tape, own)?;
        let deconv = self.whitening.inverse_root(ctx.tape, found.covariance)?;
        let found = [found.mean, deconv];
        for (running, value) in running.into_iter().zip(found) {
            ops::running_average(ctx.tape, running, value, self.whitening.momentum, 1.0)?;
        }
        Ok(found)
    }

    fn normalize(&self, ctx: &mut Forward<'_>, x: Var, added: Option<Var>, relu: bool) -> Result<Var> {
        let [mean, deconv] = self.statistics(ctx, x)?;
        let (weight, bias) = (ctx.tensor(self.weight), ctx.tensor(self.bias));
        let (tape, groups, d) = (&mut *ctx.tape, self.layout.statistics(), self.layout.d);
        let channels = self.layout.channels;
        // Row o of D times w_o: an image whose channels are the rows.
        let rows = ops::to_plain(tape, deconv)?;
        let rows = tape.view(rows, &[1, channels, d, 1])?;
        let (rows, scale) = (ops::to_vec4(tape, rows)?, tape.view(weight, &[1, channels])?);
        let scale = ops::to_vec4(tape, scale)?;
        let scaled = ops::mul_channels(tape, rows, scale)?;
        let scaled = ops::to_plain(tape, scaled)?;
        let shape = [channels, d, 1, 1];
        let scaled = tape.view(scaled, &shape)?;
        let columns = ops::weight_columns(tape, scaled, groups)?;
        let mean = ops::feature_mean(tape, mean, self.layout)?;
        let options = ConvOptions { groups, relu, ..ConvOptions::default() };
        ops::conv2d_centered(tape, [x, mean], columns, &shape, Epilogue { bias: Some(bias), added }, options)
    }
}

impl Module for IterNorm {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        self.normalize(ctx, x, None, false)
    }

    fn forward_relu(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        self.normalize(ctx, x, None, true)
    }

    fn forward_added(&self, ctx: &mut Forward<'_>, x: Var, added: Var) -> Result<Var> {
        self.normalize(ctx, x, Some(added), true)
    }
}
