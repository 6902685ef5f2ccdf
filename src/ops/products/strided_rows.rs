//! Every n-th row of a batch of matrices, and back.

use super::matrix::{dims, matrix};
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct StridedRowsParams { vectors: u32, columns4: u32, rows: u32, kept: u32, step: u32 }
}

static STRIDED_ROWS: Shader = Shader::with_variants::<StridedRowsParams>(
    "products/strided_rows.wgsl",
    1,
    1,
    &[&[("SCATTER", 0)], &[("SCATTER", 1)]],
);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&STRIDED_ROWS];

/// Rows 0, step, 2 step ... of (S,R,d): (S, ceil(R/step), d). With step 1 the rows themselves, at no cost.
///
/// # Errors
/// `step` is 0 or `rows` are not matrices.
pub fn every_row(tape: &mut Tape, rows: Var, step: usize) -> Result<Var> {
    let [_, r, _] = matrix("every_row", tape.ty(rows))?;
    match step {
        0 => Err(Error::shape("every_row", "expected a step of at least 1, found 0")),
        1 => Ok(rows),
        _ => tape.apply1(StridedRows { rows: r, step, scatter: false }, &[rows]),
    }
}

/// Takes every step-th of `rows` rows, or puts them back among rows of zeros.
#[derive(Debug)]
struct StridedRows {
    rows: usize,
    step: usize,
    scatter: bool,
}

impl Op for StridedRows {
    fn name(&self) -> &'static str {
        "strided_rows"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let [s, _, d] = matrix(self.name(), inputs[0])?;
        Ok(vec![Type::vec4(&[s, if self.scatter { self.rows } else { self.rows.div_ceil(self.step) }, d])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        Ok(vec![context.when(0, Self { scatter: !self.scatter, ..*self }, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ([s, r, d], x, y) = (dims(launch.outputs[0]), launch.reads[0], launch.writes[0]);
        let vectors = s * r * d.div_ceil(4);
        let params = StridedRowsParams {
            vectors: vectors as u32,
            columns4: d.div_ceil(4) as u32,
            rows: self.rows as u32,
            kept: self.rows.div_ceil(self.step) as u32,
            step: self.step as u32,
        };
        launch.flat(Kernel::new(&STRIDED_ROWS, usize::from(self.scatter)), &params, &[x], &[y], vectors);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (s, d, kept) = (inputs[0].shape[0], inputs[0].shape[2], self.rows.div_ceil(self.step));
        let mut y = Array::zeros(&[s, if self.scatter { self.rows } else { kept }, d]);
        for index in 0..s * kept * d {
            let (batch, k, i) = (index / (kept * d), index / d % kept, index % d);
            let far = (batch * self.rows + k * self.step) * d + i;
            let (to, from) = if self.scatter { (far, index) } else { (index, far) };
            y.data[to] = inputs[0].data[from];
        }
        vec![y]
    }
}
