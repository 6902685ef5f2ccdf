//! Means over windows: fixed ones, ones that share the map out, and the whole map.
//!
//! `y[n,c,i,j] = 1 / area * sum over the window of x[n,c,a,b]`. A fixed window is `k` x `k` at `(i s - p, j s - p)`,
//! and its area is always `k^2`: padding counts as zeros. Of `o` adaptive windows on a side of `n` pixels window `i`
//! covers `floor(i n / o) .. ceil((i + 1) n / o)`.

use super::window::{Window, resized};
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::sums::column_sum::launch_column_sum;
use crate::ops::{MOST_SIDE, expect_activation};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct AveragePoolParams {
        vectors: u32, channels4: u32, height: u32, width: u32, out_height: u32, out_width: u32,
        kernel: u32, stride: u32, padding: u32,
    }
}

const KINDS: &[&[(&str, u32)]] = &[&[("ADAPTIVE", 0)], &[("ADAPTIVE", 1)]];
static AVERAGE_POOL: Shader = Shader::with_variants::<AveragePoolParams>("pool/average_pool.wgsl", 1, 1, KINDS);
static AVERAGE_POOL_GRAD: Shader =
    Shader::with_variants::<AveragePoolParams>("pool/average_pool_grad.wgsl", 1, 1, KINDS);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&AVERAGE_POOL, &AVERAGE_POOL_GRAD];

/// Mean of `x` (N,C,H,W) over `kernel` x `kernel` windows, padding counted, to (N,C,Ho,Wo),
/// `Ho = floor((H + 2 padding - kernel) / stride) + 1`. `kernel^2` reads per output.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 1, 2, 4]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::avg_pool2d(&mut tape, x, 2, 2, 0)?;
/// assert_eq!(tape.shape(y), [1, 1, 1, 2]);
/// assert_eq!(tape.compute(y, &[&[1.0, 2.0, 5.0, 6.0, 3.0, 4.0, 7.0, 8.0]])?, [2.5, 6.5]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// The window does not fit into the padded map, or the padding exceeds half of it.
pub fn avg_pool2d(tape: &mut Tape, x: Var, kernel: usize, stride: usize, padding: usize) -> Result<Var> {
    let windows = Windows::Fixed(Window { kernel, stride, padding });
    let [_, _, h, w] = tape.ty(x).nchw();
    // One window over the whole map goes the way that shares a large window among many invocations.
    if [h, w] == [kernel, kernel] && stride > 0 && padding == 0 {
        return global_avg_pool(tape, x);
    }
    tape.apply1(AveragePool { name: "avg_pool2d", windows }, &[x])
}

/// Mean of `x` (N,C,H,W) over `out[0]` x `out[1]` windows that cover the map, to `(N,C,out[0],out[1])`. They overlap
/// where the sides do not divide. About one read per pixel.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 1, 3, 3]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::adaptive_avg_pool2d(&mut tape, x, [2, 2])?;
/// let map = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
/// assert_eq!(tape.compute(y, &[&map])?, [3.0, 4.0, 6.0, 7.0]); // 3 is the mean of 1, 2, 4 and 5
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// `out` has a 0, or `x` has no pixels.
pub fn adaptive_avg_pool2d(tape: &mut Tape, x: Var, out: [usize; 2]) -> Result<Var> {
    tape.apply1(AveragePool { name: "adaptive_avg_pool2d", windows: Windows::Adaptive(out) }, &[x])
}

/// Mean of `x` (N,C,H,W) over the whole map, to (N,C,1,1). One read per pixel, shared among many invocations.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 2, 1, 2]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::global_avg_pool(&mut tape, x)?;
/// assert_eq!(tape.shape(y), [1, 2, 1, 1]);
/// assert_eq!(tape.compute(y, &[&[1.0, 3.0, 10.0, 30.0]])?, [2.0, 20.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// `x` has no pixels.
pub fn global_avg_pool(tape: &mut Tape, x: Var) -> Result<Var> {
    tape.apply1(AveragePool { name: "global_avg_pool", windows: Windows::Adaptive([1, 1]) }, &[x])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Windows {
    Fixed(Window),
    Adaptive([usize; 2]),
}

impl Windows {
    fn over(self, op: &'static str, x: &Type) -> Result<[usize; 2]> {
        match self {
            Self::Fixed(window) => window.over(op, x),
            Self::Adaptive(out) => {
                expect_activation(op, x)?;
                if out.iter().any(|side| !(1..=MOST_SIDE).contains(side)) || x.is_empty() {
                    let what = format!(
                        "expected an output with sides from 1 to {MOST_SIDE}, from a map of at least 1x1, found {x} to {out:?}"
                    );
                    return Err(Error::shape(op, what));
                }
                Ok(out)
            }
        }
    }

    /// First pixel and end of window `o` of `outs` inside a side of `size` pixels.
    fn span(self, o: usize, size: usize, outs: usize) -> (usize, usize) {
        match self {
            Self::Fixed(w) => {
                let start = o * w.stride;
                (start.saturating_sub(w.padding), (start + w.kernel - w.padding).min(size))
            }
            Self::Adaptive(_) => (o * size / outs, ((o + 1) * size).div_ceil(outs)),
        }
    }

    /// Pixels of the longest of `outs` windows along a side of `size`, at most.
    fn longest(self, size: usize, outs: usize) -> usize {
        match self {
            Self::Fixed(w) => w.kernel,
            Self::Adaptive(_) => size / outs + 2,
        }
    }

    /// Windows that a pixel is in along a side, at most.
    fn most(self, size: usize, outs: usize) -> usize {
        match self {
            Self::Fixed(w) => w.kernel.div_ceil(w.stride),
            Self::Adaptive(_) => outs / size + 2,
        }
    }

    fn area(self, rows: (usize, usize), columns: (usize, usize)) -> f64 {
        match self {
            Self::Fixed(w) => (w.kernel * w.kernel) as f64,
            Self::Adaptive(_) => ((rows.1 - rows.0) * (columns.1 - columns.0)) as f64,
        }
    }

    /// The kernel variant and its parameters for maps `x` and `y`, one invocation per vector of `over`.
    fn params(self, x: &Type, y: &Type, over: &Type) -> (usize, AveragePoolParams) {
        let ([_, _, height, width], [_, _, out_height, out_width]) = (x.nchw(), y.nchw());
        let (variant, window) = match self {
            Self::Fixed(window) => (0, window),
            Self::Adaptive(_) => (1, Window { kernel: 1, stride: 1, padding: 0 }),
        };
        let params = AveragePoolParams {
            vectors: (over.stored() / 4) as u32,
            channels4: over.inner4() as u32,
            height: height as u32,
            width: width as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            kernel: window.kernel as u32,
            stride: window.stride as u32,
            padding: window.padding as u32,
        };
        (variant, params)
    }

    /// Calls `visit(y index, x index, area)` for every pixel of every window.
    fn each(self, x: &Array, y: &Array, mut visit: impl FnMut(usize, usize, f64)) {
        let ([n, c, h, w], [_, _, oh, ow]) = (x.nchw(), y.nchw());
        for (out, (channel, i, j)) in (0..n * c * oh * ow).map(|p| (p, (p / (oh * ow), p / ow % oh, p % ow))) {
            let (rows, columns) = (self.span(i, h, oh), self.span(j, w, ow));
            for a in rows.0..rows.1 {
                for b in columns.0..columns.1 {
                    visit(out, (channel * h + a) * w + b, self.area(rows, columns));
                }
            }
        }
    }
}

#[derive(Debug)]
struct AveragePool {
    name: &'static str,
    windows: Windows,
}

impl Op for AveragePool {
    fn name(&self) -> &'static str {
        self.name
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![resized(inputs[0], self.windows.over(self.name, inputs[0])?)])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let x = context.tape.ty(context.inputs[0]).clone();
        Ok(vec![context.when(0, AveragePoolGrad { windows: self.windows, x }, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (x, y) = (launch.inputs[0], launch.outputs[0]);
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        if self.windows == Windows::Adaptive([1, 1]) {
            let [n, _, h, w] = x.nchw();
            launch_column_sum(launch, [n, h * w, x.inner4()], 1.0 / (h * w) as f32, reads[0], writes[0]);
            return;
        }
        let (variant, params) = self.windows.params(x, y, y);
        let [[_, _, h, w], [_, _, oh, ow]] = [x.nchw(), y.nchw()];
        launch.takes_rounds(self.windows.longest(h, oh) * (1 + self.windows.longest(w, ow)));
        launch.flat(Kernel::new(&AVERAGE_POOL, variant), &params, &reads, &writes, params.vectors as usize);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let x = inputs[0];
        let [n, c, _, _] = x.nchw();
        let Ok([oh, ow]) = self.windows.over(self.name, &Type::vec4(&x.shape)) else { return Vec::new() };
        let mut y = Array::zeros(&[n, c, oh, ow]);
        let mut sums = vec![0.0; y.data.len()];
        self.windows.each(x, &y, |out, at, area| sums[out] += x.data[at] / area);
        y.data = sums;
        vec![y]
    }
}

/// `gx = sum over the windows that cover a pixel of gy / area`, shape of `x`.
#[derive(Debug)]
struct AveragePoolGrad {
    windows: Windows,
    x: Type,
}

impl Op for AveragePoolGrad {
    fn name(&self) -> &'static str {
        "average_pool_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.x.clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let gy = launch.inputs[0];
        let (variant, params) = self.windows.params(&self.x, gy, &self.x);
        let [[_, _, h, w], [_, _, oh, ow]] = [self.x.nchw(), gy.nchw()];
        launch.takes_rounds(self.windows.most(h, oh) * (1 + self.windows.most(w, ow)));
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&AVERAGE_POOL_GRAD, variant), &params, &reads, &writes, params.vectors as usize);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let gy = inputs[0];
        let mut gx = Array::zeros(&self.x.shape);
        let mut sums = vec![0.0; gx.data.len()];
        self.windows.each(&gx, gy, |out, at, area| sums[at] += gy.data[out] / area);
        gx.data = sums;
        vec![gx]
    }
}
