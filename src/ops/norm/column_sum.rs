//! Sums over all rows of a matrix or all pixels of an activation: bias gradients, means.

use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::tape::{Array, Launch, Layout, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct ColumnSumParams { batches: u32, rows: u32, columns4: u32, splits: u32, rows_per_split: u32, scale: f32 }
}

static COLUMN_SUM: Shader =
    Shader::with_variants::<ColumnSumParams>("norm/column_sum.wgsl", 2, 1, &[&[("SHIFTED", 0)], &[("SHIFTED", 1)]]);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&COLUMN_SUM];

/// Appends launches that put `scale * sum over rows` of `batches` matrices (rows, 4 columns4) at `from` into `to`.
/// In two passes, so that the sums are partly pairwise and many invocations share the work.
pub(crate) fn launch_column_sum(launch: &mut Launch<'_>, shape: [usize; 3], scale: f32, from: Slot, to: Slot) {
    launch_shifted_sum(launch, shape, scale, from, None, to);
}

/// As [`launch_column_sum`], of the rows minus `shift` (batches, 4 columns4).
pub(crate) fn launch_shifted_sum(
    launch: &mut Launch<'_>,
    [batches, rows, columns4]: [usize; 3],
    scale: f32,
    from: Slot,
    shift: Option<Slot>,
    to: Slot,
) {
    let splits = rows.isqrt().clamp(1, 256).min(rows);
    let rows_per_split = rows.div_ceil(splits);
    let splits = rows.div_ceil(rows_per_split);
    let partial = launch.scratch("partial", batches * splits * columns4 * 4);
    let mut params = ColumnSumParams {
        batches: batches as u32,
        rows: rows as u32,
        columns4: columns4 as u32,
        splits: splits as u32,
        rows_per_split: rows_per_split as u32,
        scale: 1.0,
    };
    let first = Kernel::new(&COLUMN_SUM, usize::from(shift.is_some()));
    launch.flat(first, &params, &[from, shift.unwrap_or(from)], &[partial], batches * splits * columns4);
    params = ColumnSumParams { rows: splits as u32, splits: 1, rows_per_split: splits as u32, scale, ..params };
    launch.flat(Kernel::new(&COLUMN_SUM, 0), &params, &[partial, partial], &[to], batches * columns4);
}

/// Appends the launch that sums few rows of `columns4` vectors in a single pass: partial sums, batches.
pub(crate) fn launch_single_sum(launch: &mut Launch<'_>, [rows, columns4]: [usize; 2], from: Slot, to: Slot) {
    let params = ColumnSumParams {
        batches: 1,
        rows: rows as u32,
        columns4: columns4 as u32,
        splits: 1,
        rows_per_split: rows as u32,
        scale: 1.0,
    };
    launch.flat(Kernel::new(&COLUMN_SUM, 0), &params, &[from, from], &[to], columns4);
}

/// Sum over N, H and W of an activation (N,C,H,W), or over N of (N,F): one row-major value per channel.
pub fn column_sum(tape: &mut Tape, x: Var) -> Result<Var> {
    tape.apply1(ColumnSum, &[x])
}

#[derive(Debug)]
pub(in crate::ops) struct ColumnSum;

impl Op for ColumnSum {
    fn name(&self) -> &'static str {
        "column_sum"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        if inputs[0].layout != Layout::Vec4 {
            return Err(Error::shape(self.name(), format!("expected vectors of four, found row-major {}", inputs[0])));
        }
        Ok(vec![Type::plain(&[inputs[0].inner()])])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ty = launch.inputs[0];
        let (from, to) = (launch.reads[0], launch.writes[0]);
        launch_column_sum(launch, [1, ty.rows(), ty.inner4()], 1.0, from, to);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let [n, c, h, w] = inputs[0].nchw();
        let mut sums = Array::zeros(&[c]);
        for (i, v) in inputs[0].data.iter().enumerate().take(n * c * h * w) {
            sums.data[i / (h * w) % c] += v;
        }
        vec![sums]
    }
}
