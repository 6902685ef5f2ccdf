//! Means over the processes that train as one.

use crate::gpu::{Average, Kernel, Shader};
use crate::kernel_params;
use crate::ops::vectors;
use crate::tape::{Array, Backward, DType, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    /// Of a copy.
    pub(crate) struct CopyParams { vectors: u32 }
}

impl CopyParams {
    /// Of so many vectors of four.
    pub(crate) fn new(vectors: usize) -> Self {
        Self { vectors: vectors as u32 }
    }
}

pub(crate) static COPY: Shader = Shader::new::<CopyParams>("pointwise/copy.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&COPY];

/// The mean of each of `parts` over the processes that train as one; on one process the parts themselves, which costs
/// nothing.
///
/// With the loss of all being the mean of the losses of each, the gradient of such a mean is the mean of the gradients.
///
/// # Errors
/// A part is not of f32.
pub fn average(tape: &mut Tape, parts: &[Var]) -> Result<Vec<Var>> {
    if tape.processes() == 1 { Ok(parts.to_vec()) } else { tape.apply(Mean, parts) }
}

/// What [`average`] records for several processes: a copy of each part, which is averaged where there are others.
///
/// # Errors
/// A part is not of f32.
pub fn averaged_copies(tape: &mut Tape, parts: &[Var]) -> Result<Vec<Var>> {
    tape.apply(Mean, parts)
}

#[derive(Debug)]
struct Mean;

impl Op for Mean {
    fn name(&self) -> &'static str {
        "average"
    }

    fn exact(&self) -> bool {
        true
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        if let Some(other) = inputs.iter().find(|ty| ty.dtype != DType::F32) {
            return Err(Error::shape(self.name(), format!("expected f32, found {other}")));
        }
        Ok(inputs.iter().map(|ty| (*ty).clone()).collect())
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let arrived: Vec<Var> = context.grads.iter().flatten().copied().collect();
        let mut means = context.tape.apply(Self, &arrived)?.into_iter();
        Ok(context.grads.iter().map(|grad| grad.and_then(|_| means.next())).collect())
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        for i in 0..launch.reads.len() {
            let (count, read, write) = (vectors(launch.outputs[i]), launch.reads[i], launch.writes[i]);
            launch.flat(Kernel::new(&COPY, 0), &CopyParams::new(count), &[read], &[write], count);
            launch.average(Average::Mean);
        }
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        inputs.iter().map(|array| (*array).clone()).collect()
    }
}
