//! Options and sizes of a convolution. What computes one is in the files of its kind.

use crate::ops::MOST_SIDE;
use crate::tape::Type;
use crate::{Error, Result};

/// A convolution of so few pixels, such as a linear layer's, with a pixel for each image, is done with any kernel
/// sooner than with one of its own, which has to be compiled.
pub(in crate::ops) const FEW_PIXELS: usize = 256;

/// Stride, zero padding, dilation (each the same in both directions) and groups of a convolution.
///
/// ```
/// use mexhat::nn::{Tape, functional::{self as f, ConvOptions, Epilogue}};
/// let mut tape = Tape::new();
/// let (x, weight) = (tape.leaf("x", &[1, 3, 32, 32]), tape.leaf("weight", &[8, 3, 3, 3]));
/// let x = f::to_vec4(&mut tape, x)?;
/// let halved = ConvOptions { stride: 2, padding: 1, ..Default::default() };
/// let y = f::conv2d(&mut tape, x, weight, Epilogue::default(), halved)?;
/// assert_eq!(tape.shape(y), [1, 8, 16, 16]);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions {
    /// Step between output positions.
    pub stride: usize,
    /// Zeros around the map.
    pub padding: usize,
    /// Step between taps.
    pub dilation: usize,
    /// Independent groups of channels.
    pub groups: usize,
    /// Follow up with `max(y, 0)` in the same kernel.
    pub relu: bool,
}

impl Default for ConvOptions {
    fn default() -> Self {
        Self { stride: 1, padding: 0, dilation: 1, groups: 1, relu: false }
    }
}

/// Sizes of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) struct Geometry {
    pub n: usize,
    pub c: usize,
    pub h: usize,
    pub w: usize,
    pub o: usize,
    pub kh: usize,
    pub kw: usize,
    pub oh: usize,
    pub ow: usize,
    pub options: ConvOptions,
}

impl Geometry {
    /// Sizes for input `x` and weight `w`, or what does not fit.
    pub fn new(op: &'static str, x: &[usize], w: &[usize], options: ConvOptions) -> Result<Self> {
        let [n, c, h, wd] = Type::plain(x).nchw();
        let ConvOptions { stride, padding, dilation, groups, .. } = options;
        let (o, per_group, kh, kw) = match *w {
            [o, i, kh, kw] => (o, i, kh, kw),
            [o, i] => (o, i, 1, 1),
            _ => return Err(Error::shape(op, format!("expected a weight (O,C/groups,kh,kw) or (O,F), found {w:?}"))),
        };
        if stride == 0 || dilation == 0 || groups == 0 || kh == 0 || kw == 0 {
            return Err(Error::shape(
                op,
                format!("stride, dilation, groups and kernel must be at least 1: {options:?}"),
            ));
        }
        if [kh, kw, stride, dilation, padding].iter().any(|side| *side > MOST_SIDE) {
            let what = format!("stride, dilation, padding and kernel must be at most {MOST_SIDE}: {options:?}");
            return Err(Error::shape(op, what));
        }
        if per_group * groups != c || !o.is_multiple_of(groups) {
            return Err(Error::shape(
                op,
                format!(
                    "input {x:?} has {c} channels, but weight {w:?} with {groups} groups takes {}",
                    per_group * groups
                ),
            ));
        }
        let reach = |k: usize| dilation * (k - 1) + 1;
        if h + 2 * padding < reach(kh) || wd + 2 * padding < reach(kw) {
            return Err(Error::shape(
                op,
                format!(
                    "a {kh}x{kw} kernel with dilation {dilation} does not fit into input {x:?} with padding {padding}"
                ),
            ));
        }
        let out = |size: usize, k: usize| (size + 2 * padding - reach(k)) / stride + 1;
        Ok(Self { n, c, h, w: wd, o, kh, kw, oh: out(h, kh), ow: out(wd, kw), options })
    }

    /// (C,H,W) of the input.
    pub fn input(&self) -> [usize; 3] {
        [self.c, self.h, self.w]
    }

    /// (C,H,W) of the output.
    pub fn output(&self) -> [usize; 3] {
        [self.o, self.oh, self.ow]
    }

    pub fn taps(&self) -> usize {
        self.kh * self.kw
    }

    /// Whether the adjoint is a convolution with the kernel turned around.
    pub fn turns(&self) -> bool {
        self.options.stride == 1 && self.kh == self.kw
    }

    /// Input coordinates under tap (u, v) of output (i, j), if inside the map.
    pub fn input_at(&self, i: usize, j: usize, u: usize, v: usize) -> Option<(usize, usize)> {
        let at = |out: usize, tap: usize, size: usize| {
            let t = (out * self.options.stride + tap * self.options.dilation).checked_sub(self.options.padding)?;
            (t < size).then_some(t)
        };
        Some((at(i, u, self.h)?, at(j, v, self.w)?))
    }
}
