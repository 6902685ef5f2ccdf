//! Bilinear resampling with pixel centres at half coordinates: PyTorch's `interpolate(mode="bilinear",
//! align_corners=False)`, without antialiasing.
//!
//! Along each direction output `o` of `outs` reads at `src = max((o + 0.5) size / outs - 0.5, 0)`: pixels
//! `low = floor(src)` and `min(low + 1, size - 1)` with weights `1 - (src - low)` and `src - low`. All of it is
//! computed in integers, so forward and gradient agree exactly on who reads whom.

use super::window::resized;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::{MOST_SIDE, expect_activation};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct InterpolateParams {
        vectors: u32, channels4: u32, height: u32, width: u32, out_height: u32, out_width: u32,
    }
}

static INTERPOLATE: Shader = Shader::new::<InterpolateParams>("pool/interpolate.wgsl", 1, 1);
static INTERPOLATE_GRAD: Shader = Shader::new::<InterpolateParams>("pool/interpolate_grad.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&INTERPOLATE, &INTERPOLATE_GRAD];

/// `x` (N,C,H,W) resampled bilinearly to `(N,C,size[0],size[1])`. Four reads per output; the gradient reads about
/// `(2 outs / size + 1)^2` outputs per pixel.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 1, 1, 2]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::interpolate(&mut tape, x, [1, 4])?;
/// assert_eq!(tape.compute(y, &[&[0.0, 4.0]])?, [0.0, 1.0, 3.0, 4.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// A side is 0 or above 32,768.
pub fn interpolate(tape: &mut Tape, x: Var, size: [usize; 2]) -> Result<Var> {
    tape.apply1(Interpolate { size }, &[x])
}

/// The two pixels that output `o` reads along one direction, with their weights.
fn source(o: usize, size: usize, outs: usize) -> [(usize, f64); 2] {
    let numerator = ((2 * o + 1) * size).saturating_sub(outs);
    let low = (numerator / (2 * outs)).min(size - 1);
    let weight = (numerator - low * 2 * outs) as f64 / (2 * outs) as f64;
    [(low, 1.0 - weight), ((low + 1).min(size - 1), weight)]
}

/// Calls `visit(y index, x index, weight)` for all four pixels of every output.
fn each(x: &Array, y: &Array, mut visit: impl FnMut(usize, usize, f64)) {
    let ([n, c, h, w], [_, _, oh, ow]) = (x.nchw(), y.nchw());
    for (out, (channel, i, j)) in (0..n * c * oh * ow).map(|p| (p, (p / (oh * ow), p / ow % oh, p % ow))) {
        for (a, row_weight) in source(i, h, oh) {
            for (b, column_weight) in source(j, w, ow) {
                visit(out, (channel * h + a) * w + b, row_weight * column_weight);
            }
        }
    }
}

fn params(x: &Type, y: &Type, over: &Type) -> InterpolateParams {
    let ([_, _, height, width], [_, _, out_height, out_width]) = (x.nchw(), y.nchw());
    InterpolateParams {
        vectors: (over.stored() / 4) as u32,
        channels4: over.inner4() as u32,
        height: height as u32,
        width: width as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
    }
}

#[derive(Debug)]
struct Interpolate {
    size: [usize; 2],
}

impl Op for Interpolate {
    fn name(&self) -> &'static str {
        "interpolate"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), inputs[0])?;
        let [_, _, h, w] = inputs[0].nchw();
        let [oh, ow] = self.size;
        if [h, w, oh, ow].iter().any(|side| *side == 0 || *side > MOST_SIDE) {
            let what = format!("expected sides from 1 to {MOST_SIDE}, found {h}x{w} to {oh}x{ow}");
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![resized(inputs[0], self.size)])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let x = context.tape.ty(context.inputs[0]).clone();
        Ok(vec![context.when(0, InterpolateGrad { x }, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (x, y) = (launch.inputs[0], launch.outputs[0]);
        let params = params(x, y, y);
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&INTERPOLATE, 0), &params, &reads, &writes, params.vectors as usize);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let x = inputs[0];
        let [n, c, _, _] = x.nchw();
        let mut y = Array::zeros(&[n, c, self.size[0], self.size[1]]);
        let mut sums = vec![0.0; y.data.len()];
        each(x, &y, |out, at, weight| sums[out] += weight * x.data[at]);
        y.data = sums;
        vec![y]
    }
}

/// The adjoint: `gx[pixel] = sum of weight gy` over the outputs that read the pixel, shape of `x`.
#[derive(Debug)]
struct InterpolateGrad {
    x: Type,
}

impl Op for InterpolateGrad {
    fn name(&self) -> &'static str {
        "interpolate_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.x.clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let [[_, _, h, w], [_, _, oh, ow]] = [self.x.nchw(), launch.inputs[0].nchw()];
        launch.takes_rounds((2 * oh / h + 1) * (2 + 2 * ow / w));
        let params = params(&self.x, launch.inputs[0], &self.x);
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&INTERPOLATE_GRAD, 0), &params, &reads, &writes, params.vectors as usize);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let gy = inputs[0];
        let mut gx = Array::zeros(&self.x.shape);
        let mut sums = vec![0.0; gx.data.len()];
        each(&gx, gy, |out, at, weight| sums[at] += weight * gy.data[out]);
        gx.data = sums;
        vec![gx]
    }
}
