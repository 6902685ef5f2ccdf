//! Gradients times the last of the step's scalars.
#![cfg(not(target_arch = "wasm32"))]

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::vectors;
use crate::tape::{Array, Launch, Op, Type};

kernel_params! {
    struct UnscaleParams { vectors: u32 }
}

static UNSCALE: Shader = Shader::new::<UnscaleParams>("update/unscale.wgsl", 2, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&UNSCALE];

/// Of a gradient and the step's scalars.
#[derive(Debug)]
pub(super) struct Unscale;

impl Op for Unscale {
    fn name(&self) -> &'static str {
        "unscale"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&UNSCALE, 0), &UnscaleParams { vectors: count as u32 }, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![inputs[0].map(|v| v * inputs[1].data[10])]
    }
}
