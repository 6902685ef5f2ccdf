//! The mean row of each matrix, and rows less their mean.

use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::products::matrix::matrix;
use crate::ops::sums::column_sum::launch_column_sum;
use crate::tape::{Array, Backward, Launch, Layout, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct BroadcastParams { vectors: u32, columns4: u32, rows: u32, scale: f32 }
}

static BROADCAST: Shader =
    Shader::with_variants::<BroadcastParams>("sums/broadcast_rows.wgsl", 2, 1, &[&[("ADD", 0)], &[("ADD", 1)]]);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&BROADCAST];

/// Mean over the rows of (S,R,d): (S,d). Reads each element once.
///
/// # Errors
/// There is no row.
pub fn row_mean(tape: &mut Tape, rows: Var) -> Result<Var> {
    let [_, r, _] = matrix("row_mean", tape.ty(rows))?;
    if r == 0 {
        return Err(Error::shape("row_mean", format!("expected at least one row, found {}", tape.ty(rows))));
    }
    tape.apply1(RowSum { scale: 1.0 / r as f64 }, &[rows])
}

/// `rows[s][r] - mean[s]` of rows (S,R,d), or rows (R,d), and mean (S,d). Reads and writes each element once.
///
/// # Errors
/// The shapes do not fit.
pub fn center_rows(tape: &mut Tape, rows: Var, mean: Var) -> Result<Var> {
    let [s, _, d] = batch("center_rows", tape.ty(rows))?;
    if *tape.ty(mean) != Type::vec4(&[s, d]) {
        let what = format!("expected a mean [{s}, {d}] for rows {}, found {}", tape.ty(rows), tape.ty(mean));
        return Err(Error::shape("center_rows", what));
    }
    tape.apply1(Broadcast { y: tape.ty(rows).clone(), scale: -1.0 }, &[mean, rows])
}

/// Matrices (S,R,d), of which (R,d) is one.
fn batch(op: &'static str, ty: &Type) -> Result<[usize; 3]> {
    match (ty.layout, ty.shape.as_slice()) {
        (Layout::Vec4, [r, d]) => Ok([1, *r, *d]),
        _ => matrix(op, ty),
    }
}

fn batch_shape(shape: &[usize]) -> [usize; 3] {
    if let [r, d] = *shape { [1, r, d] } else { [shape[0], shape[1], shape[2]] }
}

/// Appends `y = x + scale v` of [s, r, d], v (s,d) in every row; reads v and x.
pub(in crate::ops) fn launch_broadcast(
    launch: &mut Launch<'_>,
    [s, r, d]: [usize; 3],
    scale: f32,
    reads: [Slot; 2],
    y: Slot,
) {
    broadcast(launch, [s, r, d], (scale, true), reads, y);
}

fn broadcast(launch: &mut Launch<'_>, [s, r, d]: [usize; 3], (scale, add): (f32, bool), reads: [Slot; 2], y: Slot) {
    let vectors = s * r * d.div_ceil(4);
    let params = BroadcastParams { vectors: vectors as u32, columns4: d.div_ceil(4) as u32, rows: r as u32, scale };
    launch.flat(Kernel::new(&BROADCAST, usize::from(add)), &params, &reads, &[y], vectors);
}

/// `scale * sum over rows`, (S,R,d) to (S,d).
#[derive(Debug)]
struct RowSum {
    scale: f64,
}

impl Op for RowSum {
    fn name(&self) -> &'static str {
        "row_sum"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let [s, _, d] = batch(self.name(), inputs[0])?;
        Ok(vec![Type::vec4(&[s, d])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (grad, y) = (context.grad(0)?, context.tape.ty(context.inputs[0]).clone());
        Ok(vec![context.when(0, Broadcast { y, scale: self.scale }, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ([s, r, d], from, to) = (batch_shape(&launch.inputs[0].shape), launch.reads[0], launch.writes[0]);
        launch_column_sum(launch, [s, r, d.div_ceil(4)], self.scale as f32, from, to);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [s, r, d] = batch_shape(&inputs[0].shape);
        let mut sums = Array::zeros(&[s, d]);
        for (i, v) in inputs[0].data.iter().enumerate() {
            sums.data[i / (r * d) * d + i % d] += v;
        }
        vec![sums.map(|v| v * self.scale)]
    }
}

/// `scale v[s]` in each row of a result of type `y`, added to the second input where there is one.
#[derive(Debug)]
struct Broadcast {
    y: Type,
    scale: f64,
}

impl Op for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast_rows"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.y.clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let g_v = context.when(0, RowSum { scale: self.scale }, &[grad])?;
        Ok([g_v].into_iter().chain(context.inputs.get(1).map(|_| Some(grad))).collect())
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (shape, y) = (batch_shape(&self.y.shape), launch.writes[0]);
        let add = launch.reads.len() > 1;
        let reads = [launch.reads[0], launch.reads[usize::from(add)]];
        broadcast(launch, shape, (self.scale as f32, add), reads, y);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let [_, rows, d] = batch_shape(&self.y.shape);
        let mut y = inputs.get(1).map_or_else(|| Array::zeros(&self.y.shape), |x| (*x).clone());
        for (i, v) in y.data.iter_mut().enumerate() {
            *v += self.scale * inputs[0].data[i / (rows * d) * d + i % d];
        }
        vec![y]
    }
}
