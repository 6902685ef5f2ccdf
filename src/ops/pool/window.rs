//! The square window of a pooling operation: sizes, and what does not fit.

use crate::ops::MOST_SIDE;
use crate::tape::Type;
use crate::{Error, Result};

/// A square window that moves over a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Window {
    /// Output height and width on the activation `x` (N,C,H,W).
    pub fn over(&self, op: &'static str, x: &Type) -> Result<[usize; 2]> {
        crate::ops::expect_activation(op, x)?;
        let Self { kernel, stride, padding } = *self;
        if kernel == 0 || stride == 0 || padding > kernel / 2 {
            return Err(Error::shape(
                op,
                format!(
                    "expected kernel and stride of at least 1 and padding of at most half the kernel, found kernel \
                     {kernel}, stride {stride}, padding {padding}"
                ),
            ));
        }
        if kernel > MOST_SIDE || stride > MOST_SIDE {
            let what = format!("expected kernel and stride of at most {MOST_SIDE}, found {kernel} and {stride}");
            return Err(Error::shape(op, what));
        }
        let [n, c, h, w] = x.nchw();
        if n * c == 0 || h + 2 * padding < kernel || w + 2 * padding < kernel {
            return Err(Error::shape(
                op,
                format!(
                    "a {kernel}x{kernel} window with padding {padding} does not fit into {x}; take a smaller kernel"
                ),
            ));
        }
        Ok([h, w].map(|size| (size + 2 * padding - kernel) / stride + 1))
    }

    /// Input coordinate under tap `tap` of output `out`, if inside a map of `size`.
    pub fn input_at(&self, out: usize, tap: usize, size: usize) -> Option<usize> {
        (out * self.stride + tap).checked_sub(self.padding).filter(|at| *at < size)
    }
}

/// The type of an activation with `x`'s images and channels and a map of `size`.
pub(in crate::ops) fn resized(x: &Type, size: [usize; 2]) -> Type {
    let [n, c, _, _] = x.nchw();
    Type::vec4(&[n, c, size[0], size[1]])
}
