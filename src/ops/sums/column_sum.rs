//! Sums over all rows of a matrix or all pixels of an activation: bias gradients, means.

use crate::gpu::{Kernel, Profile, Shader, Slot};
use crate::kernel_params;
use crate::tape::{Array, Launch, Layout, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct ColumnSumParams { batches: u32, rows: u32, columns4: u32, splits: u32, rows_per_split: u32, scale: f32 }
}
kernel_params! {
    struct TotalParams { batches: u32, rows: u32, columns4: u32, scale: f32 }
}

static COLUMN_SUM: Shader =
    Shader::with_variants::<ColumnSumParams>("sums/column_sum.wgsl", 2, 1, &[&[("SHIFTED", 0)], &[("SHIFTED", 1)]]);
static TOTAL: Shader = Shader::new::<TotalParams>("sums/column_total.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&COLUMN_SUM, &TOTAL];

/// Of more columns than this an invocation each is enough; of fewer a workgroup each adds the partial sums.
const FEW: usize = 1024;

/// Chunks of `rows` rows that each of `columns` vectors is summed in, and rows in each. Partly pairwise sums round
/// less; and real GPUs want tens of thousands of invocations, where eight rows are enough for each.
pub(in crate::ops) fn chunks(profile: Profile, rows: usize, columns: usize) -> (usize, usize) {
    let pairwise = rows.isqrt().clamp(1, 256).min(rows);
    let filling = (profile.column_sums / columns.max(1)).min(rows / 8);
    let per_split = rows.div_ceil(pairwise.max(filling));
    (rows.div_ceil(per_split), per_split)
}

/// Appends launches that put `scale * sum over rows` of `batches` matrices (rows, 4 columns4) at `from` into `to`.
pub(crate) fn launch_column_sum(launch: &mut Launch<'_>, shape: [usize; 3], scale: f32, from: Slot, to: Slot) {
    launch_shifted_sum(launch, shape, scale, from, None, to);
}

/// As [`launch_column_sum`], of the rows minus `shift` (batches, 4 columns4).
pub(crate) fn launch_shifted_sum(
    launch: &mut Launch<'_>,
    shape: [usize; 3],
    scale: f32,
    from: Slot,
    shift: Option<Slot>,
    to: Slot,
) {
    let [batches, rows, columns4] = shape;
    let few = batches * columns4 <= FEW;
    if few && rows <= 512 && shift.is_none() {
        return launch_total(launch, shape, scale, from, to);
    }
    let (splits, rows_per_split) = chunks(launch.profile, rows, batches * columns4);
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
    if few {
        return launch_total(launch, [batches, splits, columns4], scale, partial, to);
    }
    params = ColumnSumParams { rows: splits as u32, splits: 1, rows_per_split: splits as u32, scale, ..params };
    launch.flat(Kernel::new(&COLUMN_SUM, 0), &params, &[partial, partial], &[to], batches * columns4);
}

/// A workgroup for each column.
fn launch_total(launch: &mut Launch<'_>, shape: [usize; 3], scale: f32, from: Slot, to: Slot) {
    let [batches, rows, columns4] = shape.map(|size| size as u32);
    let params = TotalParams { batches, rows, columns4, scale };
    launch.flat(Kernel::new(&TOTAL, 0), &params, &[from], &[to], 64 * shape[0] * shape[2]);
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

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [n, c, h, w] = inputs[0].nchw();
        let mut sums = Array::zeros(&[c]);
        for (i, v) in inputs[0].data.iter().enumerate().take(n * c * h * w) {
            sums.data[i / (h * w) % c] += v;
        }
        vec![sums]
    }
}
