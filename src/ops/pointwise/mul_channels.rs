//! Scaling of whole channels: the end of a squeeze-and-excitation block.

use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::sums::column_sum::launch_column_sum;
use crate::ops::{expect_activation, vectors};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct MulChannelsParams { vectors: u32, channels4: u32, pixels: u32 }
}
kernel_params! {
    struct ChannelDotParams { vectors: u32, channels4: u32, pixels: u32, splits: u32, pixels_per_split: u32 }
}

static MUL_CHANNELS: Shader = Shader::new::<MulChannelsParams>("pointwise/mul_channels.wgsl", 2, 1);
static CHANNEL_DOT: Shader = Shader::new::<ChannelDotParams>("pointwise/channel_dot.wgsl", 2, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&MUL_CHANNELS, &CHANNEL_DOT];

/// `y[n,c,i,j] = a[n,c,i,j] s[n,c]` of `a` (N,C,H,W) and `s` (N,C,1,1) or (N,C); two reads and one write per element.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (a, s) = (tape.leaf("a", &[1, 2, 1, 2]), tape.leaf("s", &[1, 2]));
/// let (a, s) = (f::to_vec4(&mut tape, a)?, f::to_vec4(&mut tape, s)?);
/// let y = f::mul_channels(&mut tape, a, s)?;
/// assert_eq!(tape.compute(y, &[&[1.0, 2.0, 3.0, 4.0], &[10.0, 100.0]])?, [10.0, 20.0, 300.0, 400.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// `s` is not one value for each image and channel of `a`.
pub fn mul_channels(tape: &mut Tape, a: Var, s: Var) -> Result<Var> {
    tape.apply1(MulChannels, &[a, s])
}

#[derive(Debug)]
struct MulChannels;

impl Op for MulChannels {
    fn name(&self) -> &'static str {
        "mul_channels"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let (a, s) = (inputs[0], inputs[1]);
        expect_activation(self.name(), a)?;
        expect_activation(self.name(), s)?;
        let [n, c, _, _] = a.nchw();
        if s.nchw() != [n, c, 1, 1] {
            return Err(Error::shape(self.name(), format!("{a} needs a scale [{n}, {c}, 1, 1], found {s}")));
        }
        Ok(vec![a.clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (a, s, gy) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        let dot = ChannelDot { s: context.tape.ty(s).clone() };
        Ok(vec![context.when(0, Self, &[gy, s])?, context.when(1, dot, &[a, gy])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ty = launch.outputs[0];
        let [_, _, h, w] = ty.nchw();
        let count = vectors(ty);
        let params = MulChannelsParams { vectors: count as u32, channels4: ty.inner4() as u32, pixels: (h * w) as u32 };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&MUL_CHANNELS, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (mut y, s) = (inputs[0].clone(), inputs[1]);
        let [_, _, h, w] = y.nchw();
        for (i, v) in y.data.iter_mut().enumerate() {
            *v *= s.data[i / (h * w)];
        }
        vec![y]
    }
}

/// `sum over the pixels of a b`, for each image and channel; `s` is the type of the result.
#[derive(Debug)]
struct ChannelDot {
    s: Type,
}

impl Op for ChannelDot {
    fn name(&self) -> &'static str {
        "channel_dot"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        crate::ops::expect_same(self.name(), inputs[0], inputs[1])?;
        Ok(vec![self.s.clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ty = launch.inputs[0];
        let [n, _, h, w] = ty.nchw();
        let (pixels, channels4) = (h * w, ty.inner4());
        let pixels_per_split = pixels.div_ceil(pixels.isqrt().clamp(1, 256));
        let splits = pixels.div_ceil(pixels_per_split);
        let count = n * splits * channels4;
        let params = ChannelDotParams {
            vectors: count as u32,
            channels4: channels4 as u32,
            pixels: pixels as u32,
            splits: splits as u32,
            pixels_per_split: pixels_per_split as u32,
        };
        let (reads, write) = (launch.reads.clone(), launch.writes[0]);
        let partial = launch.scratch("partial", count * 4);
        launch.flat(Kernel::new(&CHANNEL_DOT, 0), &params, &reads, &[partial], count);
        launch_column_sum(launch, [n, splits, channels4], 1.0, partial, write);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [_, _, h, w] = inputs[0].nchw();
        let mut s = Array::zeros(&self.s.shape);
        for (i, (a, b)) in inputs[0].data.iter().zip(&inputs[1].data).enumerate() {
            s.data[i / (h * w)] += a * b;
        }
        vec![s]
    }
}
