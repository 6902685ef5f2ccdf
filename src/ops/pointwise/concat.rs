//! Activations side by side.

use super::slice::{Shift, with_channels};
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::expect_activation;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct ConcatParams { vectors: u32, x_channels4: u32, y_channels4: u32, first4: u32, count4: u32, to: u32, count: u32 }
}

static CONCAT: Shader = Shader::new::<ConcatParams>("pointwise/concat.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&CONCAT];

/// The channels of all `parts` (N,C_i,H,W), one part after the other; one read and one write per element.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (a, b) = (tape.leaf("a", &[1, 1, 1, 2]), tape.leaf("b", &[1, 2, 1, 2]));
/// let (a, b) = (f::to_vec4(&mut tape, a)?, f::to_vec4(&mut tape, b)?);
/// let y = f::concat(&mut tape, &[a, b])?;
/// assert_eq!(tape.shape(y), [1, 3, 1, 2]);
/// assert_eq!(tape.compute(y, &[&[1.0, 2.0], &[3.0, 4.0, 5.0, 6.0]])?, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// There is no part, or two differ in more than their channels.
pub fn concat(tape: &mut Tape, parts: &[Var]) -> Result<Var> {
    match parts {
        [] => Err(Error::shape("concat", "expected at least one part, found none")),
        [part] => Ok(*part),
        _ => tape.apply1(Concat, parts),
    }
}

#[derive(Debug)]
struct Concat;

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        for part in inputs {
            expect_activation(self.name(), part)?;
            if part.is_empty() || with_channels(part, 1) != with_channels(inputs[0], 1) {
                let first = inputs[0];
                let what =
                    format!("the parts must have elements and differ in channels only, found {first} and {part}");
                return Err(Error::shape(self.name(), what));
            }
        }
        Ok(vec![with_channels(inputs[0], inputs.iter().map(|part| part.inner()).sum())])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let (mut from, mut grads) = (0, Vec::new());
        for i in 0..context.inputs.len() {
            let out = context.tape.ty(context.inputs[i]).clone();
            let count = out.inner();
            grads.push(context.when(i, Shift { from, to: 0, count, out }, &[grad])?);
            from += count;
        }
        Ok(grads)
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let channels4 = launch.outputs[0].inner4();
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        let mut to = 0;
        for (i, read) in reads.iter().enumerate() {
            let part = launch.inputs[i];
            let (rows, after) = (part.rows(), to + part.inner());
            let (first4, end4) = (to / 4, after.div_ceil(4));
            let params = ConcatParams {
                vectors: (rows * (end4 - first4)) as u32,
                x_channels4: part.inner4() as u32,
                y_channels4: channels4 as u32,
                first4: first4 as u32,
                count4: (end4 - first4) as u32,
                to: to as u32,
                count: part.inner() as u32,
            };
            launch.flat(Kernel::new(&CONCAT, 0), &params, &[*read], &writes, rows * (end4 - first4));
            to = after;
        }
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [n, _, h, w] = inputs[0].nchw();
        let mut shape = inputs[0].shape.clone();
        shape[1] = inputs.iter().map(|part| part.shape[1]).sum();
        let mut data = Vec::new();
        for image in 0..n {
            for part in inputs {
                let size = part.shape[1] * h * w;
                data.extend(&part.data[image * size..(image + 1) * size]);
            }
        }
        vec![Array { shape, data }]
    }
}
