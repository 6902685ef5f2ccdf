//! Whitening of activations as a layer of its own, without weights (method, section 8).

use super::{Forward, Mode, Module};
use crate::ops::{self, BlockLayout, Sampling, ScalarStatistics};
use crate::tape::{State, StateId, Type, Var};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// `y = D (x - mean)` over interleaved blocks of channels that share one mean and one `D ~ (X X^T / n + eps I)^(-1/2)`.
///
/// As published, the second moment is not centred. The channels that fill no block are scaled by one scalar mean and
/// one unbiased variance. (N,F) counts as one pixel. Everything is differentiated, all statistics included. Tensors,
/// for blocks of b channels: `NAME.running_mean1` (b,1), `NAME.running_deconv` (b,b), `NAME.running_mean2` (1),
/// `NAME.running_var` (1), and `NAME.num_batches_tracked` (1), the training steps so far: the first one sets the
/// running statistics, the later ones are averaged into them. In files the last three are (1,1), (1,1) and a whole
/// number, as in the authors' layer. Evaluation before any training step leaves whole blocks as they are.
#[derive(Clone, Debug)]
pub struct ChannelDeconv {
    running_mean: StateId,
    running_deconv: StateId,
    running_scalar_mean: StateId,
    running_variance: StateId,
    steps: StateId,
    layout: BlockLayout,
    options: ChannelWhitening,
}

/// How a [`ChannelDeconv`] whitens; the defaults are the authors'.
///
/// ```
/// use mexhat::nn::{ChannelWhitening, Conv, Network};
/// let mut net = Network::new([3, 32, 32]);
/// net.conv(Conv::new(16, 3)).channel_deconv(ChannelWhitening { block: 8, ..Default::default() });
/// let mut state = mexhat::nn::State::new();
/// assert_eq!(net.build(&mut state)?.output, [16, 32, 32]);
/// assert!(state.find("channel_deconv1.running_deconv").is_some());
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChannelWhitening {
    /// Channels per block, at most those of the input.
    pub block: usize,
    /// Added to the diagonal of the second moment.
    pub eps: f32,
    /// Newton-Schulz iterations.
    pub iterations: usize,
    /// Statistics use every q-th position per direction, where the map is as large as that.
    pub sampling_stride: usize,
    /// Share of the present step in the running statistics.
    pub momentum: f32,
}

impl Default for ChannelWhitening {
    fn default() -> Self {
        Self { block: 64, eps: 1e-2, iterations: 5, sampling_stride: 3, momentum: 0.1 }
    }
}

/// A block's pixels, all of them.
const ALL: Sampling = Sampling::Pixels { step: 1 };

impl ChannelDeconv {
    /// Whitens `channels` channels.
    ///
    /// # Errors
    /// No block fits into the channels, or another number is out of range.
    pub fn new(state: &mut State, name: &str, channels: usize, options: ChannelWhitening) -> Result<Self> {
        let ChannelWhitening { block, eps, iterations, sampling_stride, momentum } = options;
        if block == 0 || block > channels {
            let what = format!("{name}: block is {block}; expected 1 to {channels}, the channels of its input");
            return Err(Error::Usage(what));
        }
        let eps_fits = eps > 0.0 && eps.is_finite();
        let iterations_fit = (1..=ops::MOST_ITERATIONS).contains(&iterations);
        if !iterations_fit || sampling_stride == 0 || !eps_fits || !(0.0..=1.0).contains(&momentum) {
            let what = format!(
                "{name}: expected eps and sampling stride above 0, 1 to {} iterations and a momentum of 0 to 1, found {eps}, \
                 {sampling_stride}, {iterations} and {momentum}",
                ops::MOST_ITERATIONS
            );
            return Err(Error::Usage(what));
        }
        state.room_for(&[block, block])?;
        let identity = (0..block * block).map(|i| if i / block == i % block { 1.0 } else { 0.0 }).collect();
        let mut scalar = |key: &str, shape: &[usize], value| {
            state.buffer_saved_as(shape, &format!("{name}.{key}"), Type::plain(&[1]), vec![value])
        };
        let running_scalar_mean = scalar("running_mean2", &[1, 1], 0.0);
        let running_variance = scalar("running_var", &[1, 1], 1.0);
        let steps = scalar("num_batches_tracked", &[], 0.0);
        let mean1 = format!("{name}.running_mean1");
        Ok(Self {
            running_mean: state.buffer(&mean1, Type::plain(&[block, 1]), vec![0.0; block]),
            running_deconv: state.buffer(&format!("{name}.running_deconv"), Type::vec4(&[block, block]), identity),
            running_scalar_mean,
            running_variance,
            steps,
            layout: BlockLayout {
                channels,
                kernel: 1,
                groups: 1,
                blocks: channels / block,
                d: block,
                pooled: true,
                interleaved: true,
            },
            options,
        })
    }

    /// As `forward`, with the `D` (1,b,b) that was used.
    ///
    /// # Errors
    /// The input is not an activation of the layer's channels, or has a single value in the left over channels.
    pub fn forward_with_deconv(&self, ctx: &mut Forward<'_>, x: Var) -> Result<(Var, Var)> {
        let ty = ctx.tape.ty(x).clone();
        let [_, channels, h, w] = ty.nchw();
        let q = self.options.sampling_stride;
        let step = if h >= q && w >= q { q * q } else { 1 };
        let rows = ops::im2col_blocks(ctx.tape, x, self.layout, ALL)?;
        let (mean, deconv) = self.statistics(ctx, rows, step)?;
        let centered = ops::center_rows(ctx.tape, rows, mean)?;
        let white = ops::matmul(ctx.tape, centered, deconv)?;
        let mut y = ops::col2im_blocks(ctx.tape, white, ty, self.layout, ALL)?;
        let whole = self.layout.features();
        if whole < channels {
            let statistics = self.scalar_statistics(ctx, x, whole, step)?;
            let rest = ops::scalar_norm(ctx.tape, x, statistics, whole, self.options.eps)?;
            y = ops::add(ctx.tape, y, rest)?;
        }
        if ctx.mode.training() {
            let steps = ctx.tape.state(ctx.state, self.steps);
            ops::count_step(ctx.tape, steps)?;
        }
        Ok((y, deconv))
    }

    /// Mean (1,b) and D (1,b,b), of this step or running.
    fn statistics(&self, ctx: &mut Forward<'_>, rows: Var, step: usize) -> Result<(Var, Var)> {
        let b = self.layout.d;
        let running_mean = ctx.tape.state(ctx.state, self.running_mean);
        let running_deconv = ctx.tape.state(ctx.state, self.running_deconv);
        if ctx.mode == Mode::Eval {
            let flat = ctx.tape.view(running_mean, &[1, b])?;
            return Ok((ops::to_vec4(ctx.tape, flat)?, ctx.tape.view(running_deconv, &[1, b, b])?));
        }
        let sampled = ops::every_row(ctx.tape, rows, step)?;
        let mean = ops::row_mean(ctx.tape, sampled)?;
        let moment = ops::second_moment(ctx.tape, sampled, self.options.eps)?;
        let deconv = ops::newton_schulz(ctx.tape, moment, self.options.iterations)?;
        let column = ops::to_plain(ctx.tape, mean)?;
        let column = ctx.tape.view(column, &[b, 1])?;
        self.average(ctx, running_mean, column)?;
        let square = ctx.tape.view(deconv, &[b, b])?;
        self.average(ctx, running_deconv, square)?;
        Ok((mean, deconv))
    }

    /// Mean and variance of the channels from `first` on, of this step or running.
    fn scalar_statistics(&self, ctx: &mut Forward<'_>, x: Var, first: usize, step: usize) -> Result<ScalarStatistics> {
        let mean = ctx.tape.state(ctx.state, self.running_scalar_mean);
        let variance = ctx.tape.state(ctx.state, self.running_variance);
        if ctx.mode == Mode::Eval {
            return Ok(ScalarStatistics { mean, variance });
        }
        let statistics = ops::scalar_statistics(ctx.tape, x, first, step)?;
        self.average(ctx, mean, statistics.mean)?;
        self.average(ctx, variance, statistics.variance)?;
        Ok(statistics)
    }

    fn average(&self, ctx: &mut Forward<'_>, target: Var, value: Var) -> Result<()> {
        let steps = ctx.tape.state(ctx.state, self.steps);
        ops::first_then_average(ctx.tape, target, value, steps, self.options.momentum)
    }
}

impl Module for ChannelDeconv {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        Ok(self.forward_with_deconv(ctx, x)?.0)
    }
}
