//! Maximum over square windows.
//!
//! `y[n,c,i,j] = max over (u,v) of x[n,c, i s + u - p, j s + v - p]`; places outside the map never win. The gradient
//! goes to the first maximum in row-major order, whose tap the forward pass keeps, one byte per output.

use super::window::{Window, resized};
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Backward, DType, Launch, Layout, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct MaxPoolParams {
        vectors: u32, channels4: u32, height: u32, width: u32, out_height: u32, out_width: u32,
        kernel: u32, stride: u32, padding: u32, rectified: u32,
    }
}
kernel_params! {
    struct MaxPoolGradParams {
        vectors: u32, channels4: u32, height: u32, width: u32, out_height: u32, out_width: u32,
        blocks_high: u32, blocks_wide: u32, kernel: u32, stride: u32, padding: u32,
    }
}

/// Windows (kernel, stride) with a variant of their own, in the order of the variants; any other takes the first.
const FIXED: [(usize, usize); 3] = [(0, 0), (2, 2), (3, 2)];
static MAX_POOL: Shader = Shader::with_variants::<MaxPoolParams>(
    "pool/max_pool.wgsl",
    1,
    2,
    &[&[], &[("KERNEL", 2), ("STRIDE", 2)], &[("KERNEL", 3), ("STRIDE", 2)]],
);
static MAX_POOL_GRAD: Shader = Shader::with_variants::<MaxPoolGradParams>(
    "pool/max_pool_grad.wgsl",
    2,
    1,
    &[&[], &[("BLOCK", 2), ("KERNEL", 2), ("STRIDE", 2)], &[("BLOCK", 2), ("KERNEL", 3), ("STRIDE", 2)]],
);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&MAX_POOL, &MAX_POOL_GRAD];

/// Largest kernel: a tap's number fits into one byte.
const LARGEST: usize = 16;
/// The tap of a window of a ReLU's output in which nothing is above 0: no gradient passes such a ReLU.
const NONE: usize = 255;

fn variant(window: Window) -> usize {
    FIXED.iter().position(|fixed| *fixed == (window.kernel, window.stride)).unwrap_or(0)
}

/// Maximum of `x` (N,C,H,W) over `kernel` x `kernel` windows to (N,C,Ho,Wo),
/// `Ho = floor((H + 2 padding - kernel) / stride) + 1`. `kernel^2` reads per output.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 1, 2, 4]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::max_pool2d(&mut tape, x, 2, 2, 0)?;
/// assert_eq!(tape.shape(y), [1, 1, 1, 2]);
/// assert_eq!(tape.compute(y, &[&[1.0, 2.0, 5.0, 6.0, 3.0, 4.0, 7.0, 8.0]])?, [4.0, 8.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// The window does not fit into the padded map, is larger than 16x16, or the padding exceeds half of it.
pub fn max_pool2d(tape: &mut Tape, x: Var, kernel: usize, stride: usize, padding: usize) -> Result<Var> {
    let rectified = tape.is_rectified(x) && kernel < LARGEST;
    tape.apply1(MaxPool { window: Window { kernel, stride, padding }, rectified }, &[x])
}

/// Outputs: the maxima, and the winning taps of four neighbouring channels in the bytes of one word.
#[derive(Debug)]
struct MaxPool {
    window: Window,
    /// Windows without a value above 0 have no winner.
    rectified: bool,
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let size = self.window.over(self.name(), inputs[0])?;
        if self.window.kernel > LARGEST {
            let found = self.window.kernel;
            return Err(Error::shape(self.name(), format!("expected a kernel of at most {LARGEST}, found {found}")));
        }
        let y = resized(inputs[0], size);
        let tap = Type { shape: vec![y.stored() / 4], layout: Layout::Plain, dtype: DType::U32 };
        Ok(vec![y, tap])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (grad, tap) = (context.grad(0)?, context.outputs[1]);
        let x = context.tape.ty(context.inputs[0]).clone();
        let grad = context.when(0, MaxPoolGrad { window: self.window, x }, &[grad, tap])?;
        context.mask(0, grad.filter(|_| self.rectified));
        Ok(vec![grad])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (x, y) = (launch.inputs[0], launch.outputs[0]);
        let ([_, _, height, width], [_, _, out_height, out_width]) = (x.nchw(), y.nchw());
        let count = y.stored() / 4;
        let params = MaxPoolParams {
            vectors: count as u32,
            channels4: y.inner4() as u32,
            height: height as u32,
            width: width as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            kernel: self.window.kernel as u32,
            stride: self.window.stride as u32,
            padding: self.window.padding as u32,
            rectified: u32::from(self.rectified),
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&MAX_POOL, variant(self.window)), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let x = inputs[0];
        let [n, c, h, w] = x.nchw();
        let k = self.window.kernel;
        let size = |size: usize| (size + 2 * self.window.padding - k) / self.window.stride + 1;
        let (oh, ow) = (size(h), size(w));
        let mut y = Array::zeros(&[n, c, oh, ow]);
        let mut tap = Array::zeros(&[n * oh * ow * c.div_ceil(4)]);
        for (place, (image, channel, i, j)) in places([n, c, oh, ow]).enumerate() {
            let mut best: Option<(f64, usize)> = None;
            for (u, v) in (0..k * k).map(|t| (t / k, t % k)) {
                if let (Some(a), Some(b)) = (self.window.input_at(i, u, h), self.window.input_at(j, v, w)) {
                    let value = x.at4(image, channel, a, b);
                    if best.is_none_or(|(most, _)| value > most) {
                        best = Some((value, u * k + v));
                    }
                }
            }
            let (most, mut winner) = best.unwrap_or_default();
            if self.rectified && most <= 0.0 {
                winner = NONE;
            }
            y.data[place] = most;
            tap.data[word([c, oh, ow], image, channel, i, j)] += (winner << (channel % 4 * 8)) as f64;
        }
        vec![y, tap]
    }
}

/// (n,c,i,j) in row-major order.
fn places([n, c, h, w]: [usize; 4]) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..n * c * h * w).map(move |i| (i / (w * h * c), i / (w * h) % c, i / w % h, i % w))
}

/// The word that holds the tap of (n,c,i,j).
fn word([c, h, w]: [usize; 3], n: usize, channel: usize, i: usize, j: usize) -> usize {
    ((n * h + i) * w + j) * c.div_ceil(4) + channel / 4
}

/// `gx` from `gy` and the winning taps, shape of `x`.
#[derive(Debug)]
struct MaxPoolGrad {
    window: Window,
    x: Type,
}

impl Op for MaxPoolGrad {
    fn name(&self) -> &'static str {
        "max_pool2d_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.x.clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let gy = launch.inputs[0];
        let ([n, _, height, width], [_, _, out_height, out_width]) = (self.x.nchw(), gy.nchw());
        let Window { kernel, stride, padding } = self.window;
        let variant = variant(self.window);
        let block = if variant == 0 { 1 } else { stride };
        let blocks = |size: usize| (size + padding - 1) / block - padding / block + 1;
        let (high, wide) = (blocks(height), blocks(width));
        let count = n * high * wide * gy.inner4();
        let params = MaxPoolGradParams {
            vectors: count as u32,
            channels4: gy.inner4() as u32,
            height: height as u32,
            width: width as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            blocks_high: high as u32,
            blocks_wide: wide as u32,
            kernel: kernel as u32,
            stride: stride as u32,
            padding: padding as u32,
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&MAX_POOL_GRAD, variant), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (gy, tap) = (inputs[0], inputs[1]);
        let [n, c, oh, ow] = gy.nchw();
        let [_, _, h, w] = self.x.nchw();
        let k = self.window.kernel;
        let mut gx = Array::zeros(&self.x.shape);
        for (place, (image, channel, i, j)) in places([n, c, oh, ow]).enumerate() {
            let winner = tap.data[word([c, oh, ow], image, channel, i, j)] as u32 >> (channel % 4 * 8) & 255;
            let (u, v) = (winner as usize / k, winner as usize % k);
            if winner as usize == NONE && k < LARGEST {
                continue;
            }
            if let (Some(a), Some(b)) = (self.window.input_at(i, u, h), self.window.input_at(j, v, w)) {
                let at = gx.index4(image, channel, a, b);
                gx.data[at] += gy.data[place];
            }
        }
        vec![gx]
    }
}
