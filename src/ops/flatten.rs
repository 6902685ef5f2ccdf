//! (N,C,H,W) to (N, C H W) in PyTorch's order. Free for one pixel per image; otherwise one read and one write per element.

use super::expect_activation;
use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct FlattenParams { vectors: u32, channels: u32, channels4: u32, pixels: u32, features: u32, features4: u32 }
}

static FLATTEN: Shader =
    Shader::with_variants::<FlattenParams>("flatten.wgsl", 1, 1, &[&[("FORWARD", 0)], &[("FORWARD", 1)]]);
pub(super) const SHADERS: &[&Shader] = &[&FLATTEN];

/// (N,C,H,W) to (N, C H W); (N,F) stays as it is.
///
/// # Errors
/// `x` is not an activation.
pub fn flatten(tape: &mut Tape, x: Var) -> Result<Var> {
    let ty = tape.ty(x).clone();
    expect_activation("flatten", &ty)?;
    let [n, c, h, w] = ty.nchw();
    match (ty.shape.len(), h * w) {
        (2, _) => Ok(x),
        (_, 1) => tape.view(x, &[n, c]),
        _ => tape.apply1(Flatten { to: vec![n, c * h * w] }, &[x]),
    }
}

/// One of the two shapes has four dimensions, the other two.
#[derive(Debug)]
struct Flatten {
    to: Vec<usize>,
}

impl Op for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![Type::vec4(&self.to)])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (grad, to) = (context.grad(0)?, context.tape.shape(context.inputs[0]).to_vec());
        Ok(vec![context.when(0, Self { to }, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let forward = self.to.len() == 2;
        let (flat, map) =
            if forward { (launch.outputs[0], launch.inputs[0]) } else { (launch.inputs[0], launch.outputs[0]) };
        let vectors = launch.outputs[0].stored() / 4;
        let params = FlattenParams {
            vectors: vectors as u32,
            channels: map.inner() as u32,
            channels4: map.inner4() as u32,
            pixels: (map.shape[2] * map.shape[3]) as u32,
            features: flat.inner() as u32,
            features4: flat.inner4() as u32,
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&FLATTEN, usize::from(forward)), &params, &reads, &writes, vectors);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![Array { shape: self.to.clone(), data: inputs[0].data.clone() }]
    }
}
