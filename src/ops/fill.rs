//! A constant tensor.

use super::vectors;
use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct FillParams { vectors: u32, inner: u32, inner4: u32, value: f32 }
}

/// The kernel.
pub static FILL: Shader = Shader::new::<FillParams>("fill.wgsl", 0, 1);
pub(super) const SHADERS: &[&Shader] = &[&FILL];

/// `value` in every element of a tensor of type `ty`.
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
        // Padding of a row-major buffer is never read as an element.
        let (inner, inner4) =
            if ty.stored() == ty.len() { (u32::MAX, 1) } else { (ty.inner() as u32, ty.inner4() as u32) };
        let params = FillParams { vectors: vectors(ty) as u32, inner, inner4, value: self.value };
        let write = launch.writes[0];
        launch.flat(Kernel::new(&FILL, 0), &params, &[], &[write], vectors(ty));
    }

    fn twin(&self, _: &[&Array]) -> Vec<Array> {
        vec![Array::zeros(&self.ty.shape).map(|_| f64::from(self.value))]
    }
}
