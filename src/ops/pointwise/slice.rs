//! Some of the channels.

use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::{expect_activation, vectors};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};
use std::ops::Range;

kernel_params! {
    struct SliceParams { vectors: u32, x_channels4: u32, y_channels4: u32, x_first: u32, y_first: u32, count: u32 }
}

static SLICE: Shader = Shader::new::<SliceParams>("pointwise/slice.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&SLICE];

/// Channels `start..end` of (N,C,H,W) or (N,C); one read and one write per element.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 3, 1, 2]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::slice(&mut tape, x, 1..3)?;
/// assert_eq!(tape.shape(y), [1, 2, 1, 2]);
/// assert_eq!(tape.compute(y, &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])?, [3.0, 4.0, 5.0, 6.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// The range is empty or reaches beyond the channels.
pub fn slice(tape: &mut Tape, x: Var, channels: Range<usize>) -> Result<Var> {
    let ty = tape.ty(x);
    expect_activation("slice", ty)?;
    let [_, c, _, _] = ty.nchw();
    if channels.is_empty() || channels.end > c {
        return Err(Error::shape(
            "slice",
            format!("expected a range of channels within 0..{c} of {ty}, found {channels:?}"),
        ));
    }
    if channels == (0..c) {
        return Ok(x);
    }
    let out = with_channels(ty, channels.len());
    tape.apply1(Shift { from: channels.start, to: 0, count: channels.len(), out }, &[x])
}

/// The type of `ty` with another number of channels.
pub(in crate::ops) fn with_channels(ty: &Type, channels: usize) -> Type {
    let mut shape = ty.shape.clone();
    shape[1] = channels;
    Type::vec4(&shape)
}

/// `y[to + k] = x[from + k]` for `k < count`, 0 elsewhere: a slice, or its adjoint.
#[derive(Clone, Debug)]
pub(in crate::ops) struct Shift {
    pub from: usize,
    pub to: usize,
    pub count: usize,
    pub out: Type,
}

impl Op for Shift {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.out.clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let out = context.tape.ty(context.inputs[0]).clone();
        let adjoint = Self { from: self.to, to: self.from, count: self.count, out };
        Ok(vec![context.when(0, adjoint, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(&self.out);
        let params = SliceParams {
            vectors: count as u32,
            x_channels4: launch.inputs[0].inner4() as u32,
            y_channels4: self.out.inner4() as u32,
            x_first: self.from as u32,
            y_first: self.to as u32,
            count: self.count as u32,
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&SLICE, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let x = inputs[0];
        let mut y = Array::zeros(&self.out.shape);
        let [n, c, h, w] = x.nchw();
        let [_, to_channels, _, _] = y.nchw();
        let pixels = h * w;
        for image in 0..n {
            let from = (image * c + self.from) * pixels;
            let to = (image * to_channels + self.to) * pixels;
            let size = self.count * pixels;
            y.data[to..to + size].copy_from_slice(&x.data[from..from + size]);
        }
        vec![y]
    }
}
