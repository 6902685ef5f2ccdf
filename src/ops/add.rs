//! `y = a + b`, shape by shape.

use super::{expect_same, vectors};
use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct AddParams { vectors: u32 }
}

static ADD: Shader = Shader::new::<AddParams>("add.wgsl", 2, 1);
pub(super) const SHADERS: &[&Shader] = &[&ADD];

/// `a + b` of two tensors of one shape.
pub fn add(tape: &mut Tape, a: Var, b: Var) -> Result<Var> {
    tape.apply1(Add, &[a, b])
}

#[derive(Debug)]
struct Add;

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_same(self.name(), inputs[0], inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        Ok(vec![Some(grad), Some(grad)])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&ADD, 0), &AddParams { vectors: count as u32 }, &reads, &writes, count);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![inputs[0].zip(inputs[1], |a, b| a + b)]
    }
}
