//! A constant tensor.

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::vectors;
use crate::tape::{Array, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct FillParams { vectors: u32, inner: u32, inner4: u32, value: f32 }
}

static FILL: Shader = Shader::new::<FillParams>("pointwise/fill.wgsl", 0, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&FILL];

/// `value` in every element of a tensor of type `ty`.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 2]);
/// let like_x = tape.ty(x).clone();
/// let one = f::constant(&mut tape, like_x, 1.0)?;
/// let y = f::add(&mut tape, x, one)?;
/// assert_eq!(tape.compute(y, &[&[2.0, 3.0]])?, [3.0, 4.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn constant(tape: &mut Tape, ty: Type, value: f32) -> Result<Var> {
    tape.apply1(Fill { ty, value }, &[])
}

#[derive(Debug)]
struct Fill {
    ty: Type,
    value: f32,
}

impl Op for Fill {
    fn name(&self) -> &'static str {
        "fill"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.ty.clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ty = launch.outputs[0];
        // A row-major buffer is one run: kernels that read it as vectors count on zeros after its end.
        let (inner, inner4) = if ty.stored() == ty.len() { (ty.len(), vectors(ty)) } else { (ty.inner(), ty.inner4()) };
        let params =
            FillParams { vectors: vectors(ty) as u32, inner: inner as u32, inner4: inner4 as u32, value: self.value };
        let write = launch.writes[0];
        launch.flat(Kernel::new(&FILL, 0), &params, &[], &[write], vectors(ty));
    }

    #[cfg(reference)]
    fn reference(&self, _: &[&Array]) -> Vec<Array> {
        vec![Array::zeros(&self.ty.shape).map(|_| f64::from(self.value))]
    }
}
