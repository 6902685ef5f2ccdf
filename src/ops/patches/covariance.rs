//! Mean and covariance of sampled patches, per block (method, section 4), and their gradient (method, section 9.2).
//!
//! The sampled patches are gathered once into centred rows per block, which the reduction and the backward product both
//! stream. With the usual step (3 for a 3x3 kernel) patches do not overlap, so the rows take no more room than the map
//! itself; in `reference` mode the entries of a block are scattered over channels and taps, and gathering them inside
//! the reduction would cost scalar loads in its inner loop. R d^2 multiply-adds forward (one triangle), twice that
//! backward.

use super::blocks::{BlockLayout, RowGeometry, Sampling};
use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::pointwise::{add::add, average::average, fill::constant, mul::mul};
use crate::ops::products::gram::GramProduct;
use crate::ops::products::matmul::matmul;
use crate::ops::products::matrix::{product, transposed};
use crate::ops::products::product::Product;
use crate::ops::products::transpose::{launch_transpose, transpose};
use crate::ops::sums::column_sum::{launch_column_sum, launch_shifted_sum};
use crate::ops::{expect_activation, expect_same};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};
use std::any::Any;

kernel_params! {
    struct RowParams {
        vectors: u32, d: u32, d4: u32, samples: u32, chunks: u32, blocks: u32, kernel: u32, interleaved: u32, grid: u32,
        height: u32, width: u32, channel_stride: u32, out_height: u32, out_width: u32, step: u32,
        padding: u32, dilation: u32,
    }
}
kernel_params! {
    struct Col2imParams {
        items: u32, pixels: u32, d: u32, d4: u32, samples: u32, blocks: u32, kernel: u32, height: u32, width: u32, channel_stride: u32, out_height: u32, out_width: u32, step: u32, padding: u32, dilation: u32,
        channels: u32, add: u32, mask: u32,
    }
}
kernel_params! {
    struct CenterParams { items: u32, columns4: u32, rows: u32, chunks: u32, offset: u32, scale: f32 }
}

/// Patches that an invocation of `im2col_blocks.wgsl` walks over, rows of `center.wgsl`, pixels of
/// `col2im_blocks.wgsl`.
const LINES: usize = 8;

pub(crate) static IM2COL: Shader = Shader::new::<RowParams>("patches/im2col_blocks.wgsl", 1, 1);
static COL2IM: Shader = Shader::with_variants::<Col2imParams>(
    "patches/col2im_blocks.wgsl",
    3,
    1,
    &[
        &[("SAMPLES", 0), ("INTERLEAVED", 0)],
        &[("SAMPLES", 0), ("INTERLEAVED", 1)],
        &[("SAMPLES", 1), ("INTERLEAVED", 0)],
        &[("SAMPLES", 1), ("INTERLEAVED", 1)],
        &[("SAMPLES", 2), ("INTERLEAVED", 0)],
        &[("SAMPLES", 2), ("INTERLEAVED", 1)],
    ],
);
static CENTER: Shader = Shader::new::<CenterParams>("patches/center.wgsl", 3, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&IM2COL, &COL2IM, &CENTER];

/// Statistics of a layer's input.
#[derive(Clone, Copy, Debug)]
pub struct CovarianceVars {
    /// Mean of each entry, (S,d).
    pub mean: Var,
    /// Covariance plus `eps` on the diagonal, (S,d,d).
    pub covariance: Var,
}

/// Mean and regularised covariance of the sampled patches of `x` (N,C,H,W) or (N,F).
///
/// # Errors
/// The input does not have the layout's channels, or no patch fits.
pub fn covariance(
    tape: &mut Tape,
    x: Var,
    layout: BlockLayout,
    sampling: Sampling,
    eps: f32,
) -> Result<CovarianceVars> {
    let outputs = tape.apply(Covariance { layout, sampling, eps }, &[x])?;
    Ok(CovarianceVars { mean: outputs[0], covariance: outputs[1] })
}

/// The statistics of the patches of all processes that train as one, from those of each: the mean of the means, and the
/// mean of the covariances, each taken about the mean of all.
///
/// # Errors
/// As the operations that it records.
pub fn average_covariance(tape: &mut Tape, own: CovarianceVars) -> Result<CovarianceVars> {
    if tape.processes() == 1 {
        return Ok(own);
    }
    let ty = tape.ty(own.mean).clone();
    let [s, d] = [ty.shape[0], ty.shape[1]];
    let mean = average(tape, &[own.mean])?[0];
    let minus = constant(tape, ty.clone(), -1.0)?;
    let negative = mul(tape, mean, minus, 1.0)?;
    let off = add(tape, own.mean, negative)?;
    let off = tape.view(off, &[s, 1, d])?;
    let column = transpose(tape, off)?;
    let outer = matmul(tape, column, off)?;
    let about = add(tape, own.covariance, outer)?;
    Ok(CovarianceVars { mean, covariance: average(tape, &[about])?[0] })
}

/// Whether `op` is that of [`covariance`].
pub(crate) fn is_covariance(op: &dyn Op) -> bool {
    let op: &dyn Any = op;
    op.is::<Covariance>()
}

/// The sampled patches themselves, (S,R,d), not centred.
///
/// # Errors
/// As [`covariance`].
pub fn im2col_blocks(tape: &mut Tape, x: Var, layout: BlockLayout, sampling: Sampling) -> Result<Var> {
    tape.apply1(Im2colBlocks { layout, sampling }, &[x])
}

/// Adds rows (S,R,d) back to where [`im2col_blocks`] of an input of type `x` took them from: its adjoint, and its
/// inverse where each element is sampled once. What no row comes from is 0.
///
/// # Errors
/// The rows are not what [`im2col_blocks`] makes of `x`.
pub fn col2im_blocks(tape: &mut Tape, rows: Var, x: Type, layout: BlockLayout, sampling: Sampling) -> Result<Var> {
    let g = RowGeometry::new("col2im_blocks", x.nchw(), layout, sampling)?;
    expect_same("col2im_blocks", tape.ty(rows), &Type::vec4(&[layout.statistics(), g.rows, layout.d]))?;
    tape.apply1(Col2imBlocks { layout, sampling, x, masked: false }, &[rows])
}

impl RowParams {
    fn new(g: &RowGeometry) -> Self {
        let layout = g.layout;
        let (grid, step, padding, dilation) = match g.sampling {
            Sampling::Grid { step, padding, dilation } => (1, step, padding, dilation),
            Sampling::Pixels { step } => (0, step, 0, 1),
        };
        let (d4, chunks) = (layout.d.div_ceil(4), g.samples.div_ceil(LINES));
        Self {
            vectors: (layout.blocks * chunks * d4) as u32,
            d: layout.d as u32,
            d4: d4 as u32,
            samples: g.samples as u32,
            chunks: chunks as u32,
            blocks: layout.blocks as u32,
            kernel: layout.kernel as u32,
            interleaved: u32::from(layout.interleaved),
            grid,
            height: g.h as u32,
            width: g.w as u32,
            channel_stride: layout.channels.next_multiple_of(4) as u32,
            out_height: g.oh as u32,
            out_width: g.ow as u32,
            step: step as u32,
            padding: padding as u32,
            dilation: dilation as u32,
        }
    }

    fn col2im(self, g: &RowGeometry) -> Col2imParams {
        Col2imParams {
            items: ((g.n * g.h * g.w).div_ceil(LINES) * g.layout.channels.div_ceil(4)) as u32,
            pixels: (g.n * g.h * g.w) as u32,
            d: self.d,
            d4: self.d4,
            samples: self.samples,
            blocks: self.blocks,
            kernel: self.kernel,
            height: self.height,
            width: self.width,
            channel_stride: self.channel_stride,
            out_height: self.out_height,
            out_width: self.out_width,
            step: self.step,
            padding: self.padding,
            dilation: self.dilation,
            channels: (g.layout.features() / (g.layout.kernel * g.layout.kernel)) as u32,
            add: 0,
            mask: 0,
        }
    }
}

fn gather(launch: &mut Launch<'_>, g: &RowGeometry, x: Slot, rows: Slot) {
    let params = RowParams::new(g);
    launch.flat(Kernel::new(&IM2COL, 0), &params, &[x], &[rows], params.vectors as usize);
}

/// Appends the gathering of every patch of an activation (N,C,H,W) into rows of C k k features; returns the rows, or
/// `None` where no patch fits, which refuses the operation.
pub(in crate::ops) fn gather_patches(
    launch: &mut Launch<'_>,
    shape: [usize; 4],
    kernel: usize,
    sampling: Sampling,
    x: Slot,
) -> Option<Slot> {
    let channels = shape[1];
    let d = channels * kernel * kernel;
    let layout = BlockLayout { channels, kernel, groups: 1, blocks: 1, d, pooled: false, interleaved: false };
    let g = launch.or_refuse(RowGeometry::new("conv2d", shape, layout, sampling))?;
    let out = launch.scratch("patches", g.rows * d.next_multiple_of(4));
    gather(launch, &g, x, out);
    Some(out)
}

/// `centred = scale (rows - mean - rest)` for rows of `[S, R, vectors]`, `offset` rows behind the beginning.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct Centring {
    pub shape: [usize; 3],
    pub offset: usize,
    pub scale: f32,
}

impl Centring {
    /// Appends the launch, which reads rows, mean and rest.
    pub fn launch(self, launch: &mut Launch<'_>, reads: [Slot; 3], centred: Slot) {
        let [s, rows, columns4] = self.shape;
        let chunks = rows.div_ceil(LINES);
        let items = s * chunks * columns4;
        let params = CenterParams {
            items: items as u32,
            columns4: columns4 as u32,
            rows: rows as u32,
            chunks: chunks as u32,
            offset: self.offset as u32,
            scale: self.scale,
        };
        launch.flat(Kernel::new(&CENTER, 0), &params, &reads, &[centred], items);
    }
}

fn col2im_kernel(g: &RowGeometry) -> Kernel {
    let samples = match g.sampling {
        Sampling::Pixels { .. } => 0,
        Sampling::Grid { .. } if g.disjoint() => 1,
        Sampling::Grid { .. } => 2,
    };
    Kernel::new(&COL2IM, samples * 2 + usize::from(g.layout.interleaved))
}

/// Appends `kernel`, which adds back the rows that a launch reads first, added to what a second input has gathered;
/// with `masked` the last input is the ReLU's output that the rows were sampled from.
fn launch_col2im(launch: &mut Launch<'_>, kernel: Kernel, masked: bool, g: &RowGeometry) {
    let (rows, write, inputs) = (launch.reads[0], launch.writes[0], launch.reads.len());
    let mut params = RowParams::new(g).col2im(g);
    (params.add, params.mask) = (u32::from(inputs > 1 + usize::from(masked)), u32::from(masked));
    // What is not read is small, in case that it is copied.
    let unread = launch.scratch("unread", 4);
    let [gathered, mask] = [1, inputs - 1].map(|i| if inputs > 1 { launch.reads[i] } else { unread });
    launch.flat(kernel, &params, &[rows, gathered, mask], &[write], params.items as usize);
}

/// The gradient of input 0 by adding `g_rows` back to it, added to what others have gathered, and masked where the
/// input is a ReLU's output.
fn col2im_gradient(
    context: &mut Backward<'_>,
    g_rows: Var,
    layout: BlockLayout,
    sampling: Sampling,
) -> Result<Vec<Option<Var>>> {
    let input = context.inputs[0];
    let x = context.tape.ty(input).clone();
    let mask = context.tape.is_rectified(input).then_some(input);
    let inputs: Vec<Var> = [g_rows].into_iter().chain(context.take(0)).chain(mask).collect();
    let grad = context.tape.apply1(Col2imBlocks { layout, sampling, x, masked: mask.is_some() }, &inputs)?;
    context.mask(0, mask.map(|_| grad));
    Ok(vec![Some(grad)])
}

/// [`Col2imBlocks`] on the CPU: adds rows to where they come from.
fn added_back(x: &Type, sources: impl Iterator<Item = Option<usize>>, masked: bool, inputs: &[&Array]) -> Vec<Array> {
    let gathered = inputs.get(1).filter(|_| inputs.len() > 1 + usize::from(masked));
    let mut sum = gathered.map_or_else(|| Array::zeros(&x.shape), |gathered| (*gathered).clone());
    for (at, v) in sources.zip(&inputs[0].data) {
        if let Some(at) = at {
            sum.data[at] += v;
        }
    }
    vec![if masked { sum.zip(inputs[inputs.len() - 1], crate::ops::pointwise::unary::masked) } else { sum }]
}

fn gathered(g: &RowGeometry, x: &Array) -> Array {
    let data = g.sources().iter().map(|at| at.map_or(0.0, |at| x.data[at])).collect();
    Array { shape: vec![g.layout.statistics(), g.rows, g.layout.d], data }
}

#[derive(Debug)]
struct Im2colBlocks {
    layout: BlockLayout,
    sampling: Sampling,
}

impl Op for Im2colBlocks {
    fn name(&self) -> &'static str {
        "im2col_blocks"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), inputs[0])?;
        let g = RowGeometry::new(self.name(), inputs[0].nchw(), self.layout, self.sampling)?;
        Ok(vec![Type::vec4(&[self.layout.statistics(), g.rows, self.layout.d])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let x = context.tape.ty(context.inputs[0]).clone();
        Ok(vec![if context.needs(0) {
            Some(col2im_blocks(context.tape, grad, x, self.layout, self.sampling)?)
        } else {
            None
        }])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let x = launch.inputs[0];
        let g = RowGeometry::new(self.name(), x.nchw(), self.layout, self.sampling);
        let Some(g) = launch.or_refuse(g) else { return };
        let (x, rows) = (launch.reads[0], launch.writes[0]);
        gather(launch, &g, x, rows);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let g = RowGeometry::new(self.name(), inputs[0].nchw(), self.layout, self.sampling);
        g.map(|g| vec![gathered(&g, inputs[0])]).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Covariance {
    layout: BlockLayout,
    sampling: Sampling,
    eps: f32,
}

impl Op for Covariance {
    fn name(&self) -> &'static str {
        "covariance"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), inputs[0])?;
        let g = RowGeometry::new(self.name(), inputs[0].nchw(), self.layout, self.sampling)?;
        if g.rows == 0 {
            return Err(Error::shape(self.name(), format!("expected at least one image, found {}", inputs[0])));
        }
        let (s, d) = (self.layout.statistics(), self.layout.d);
        Ok(vec![Type::vec4(&[s, d]), Type::vec4(&[s, d, d]), Type::vec4(&[s, g.rows, d])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        if !context.needs(0) {
            return Ok(vec![None]);
        }
        let rows = context.outputs[2];
        let ty = context.tape.ty(context.outputs[1]).clone();
        let [g_mean, g_cov] = [0, 1].map(|i| context.grads[i]);
        let g_cov = g_cov.map_or_else(|| constant(context.tape, ty, 0.0), Ok)?;
        let inputs: Vec<Var> = [rows, g_cov].into_iter().chain(g_mean).collect();
        let g_rows = context.tape.apply1(CovarianceGrad, &inputs)?;
        col2im_gradient(context, g_rows, self.layout, self.sampling)
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let x = launch.inputs[0];
        let g = RowGeometry::new(self.name(), x.nchw(), self.layout, self.sampling);
        let Some(g) = launch.or_refuse(g) else { return };
        let (s, d, d4) = (self.layout.statistics(), self.layout.d, self.layout.d.div_ceil(4));
        let (x, [mean, cov, rows]) = (launch.reads[0], [0, 1, 2].map(|i| launch.writes[i]));
        let patches = launch.scratch("patches", s * g.rows * d4 * 4);
        gather(launch, &g, x, patches);
        let (shape, share) = ([s, g.rows, d4], 1.0 / g.rows as f32);
        launch_column_sum(launch, shape, share, patches, mean);
        // Where the spread is far below the mean, the rounding of the mean alone would leave rows whose sum is not
        // zero, and the backward product relies on that sum (method, section 9.2).
        let rest = launch.scratch("rest", s * d4 * 4);
        launch_shifted_sum(launch, shape, share, patches, Some(mean), rest);
        Centring { shape, offset: 0, scale: 1.0 }.launch(launch, [patches, mean, rest], rows);
        GramProduct { a: rows, b: rows, scale: 1.0 / g.rows as f32, diagonal: self.eps }.launch(
            launch,
            [s, g.rows, d, d],
            cov,
        );
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let Ok(g) = RowGeometry::new(self.name(), inputs[0].nchw(), self.layout, self.sampling) else { return vec![] };
        let mut rows = gathered(&g, inputs[0]);
        let (s, r, d) = (rows.shape[0], rows.shape[1], rows.shape[2]);
        let mut mean = Array::zeros(&[s, d]);
        for (i, v) in rows.data.iter().enumerate() {
            mean.data[i / (r * d) * d + i % d] += v / r as f64;
        }
        for (i, v) in rows.data.iter_mut().enumerate() {
            *v -= mean.data[i / (r * d) * d + i % d];
        }
        let mut cov = product(&transposed(&rows), &rows).map(|v| v / r as f64);
        for i in 0..s * d {
            cov.data[i * d + i % d] += f64::from(self.eps);
        }
        vec![mean, cov, rows]
    }
}

/// `g_rows = (rows (g + g^T) + 1 g_mean^T) / R`: the gradient of rows from those of their covariance and, where a third
/// input has it, their mean.
#[derive(Debug)]
pub(in crate::ops) struct CovarianceGrad;

impl Op for CovarianceGrad {
    fn name(&self) -> &'static str {
        "covariance_grad"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let [s, r, d] = crate::ops::products::matrix::dims(launch.inputs[0]);
        let (rows, g, out) = (launch.reads[0], launch.reads[1], launch.writes[0]);
        let symmetric = launch.scratch("symmetric", s * d * d.next_multiple_of(4));
        launch_transpose(launch, [s, d, d], [1.0, 1.0], g, symmetric);
        let (alpha, g_mean) = (1.0 / r as f32, launch.reads.get(2).copied());
        let product = Product { alpha, added: g_mean.map(|g| (g, alpha)), ..Product::new(rows, symmetric) };
        product.launch(launch, [s, r, d, d], out);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let symmetric = inputs[1].zip(&transposed(inputs[1]), |a, b| a + b);
        let (r, d) = (inputs[0].shape[1], inputs[0].shape[2]);
        let mut g_rows = product(inputs[0], &symmetric).map(|v| v / r as f64);
        if let Some(g_mean) = inputs.get(2) {
            for (i, v) in g_rows.data.iter_mut().enumerate() {
                *v += g_mean.data[i / (r * d) * d + i % d] / r as f64;
            }
        }
        vec![g_rows]
    }
}

/// `x = col2im(rows)`: rows back to the map, added to what a second input has gathered there, and zero where the last
/// one is not above 0.
#[derive(Debug)]
struct Col2imBlocks {
    layout: BlockLayout,
    sampling: Sampling,
    x: Type,
    masked: bool,
}

impl Op for Col2imBlocks {
    fn name(&self) -> &'static str {
        "col2im_blocks"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.x.clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let rows = im2col_blocks(context.tape, grad, self.layout, self.sampling)?;
        let mut grads = vec![Some(rows)];
        if context.inputs.len() > 1 {
            grads.push(Some(grad));
        }
        Ok(grads)
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let g = RowGeometry::new(self.name(), self.x.nchw(), self.layout, self.sampling);
        let Some(g) = launch.or_refuse(g) else { return };
        launch_col2im(launch, col2im_kernel(&g), self.masked, &g);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let Ok(g) = RowGeometry::new(self.name(), self.x.nchw(), self.layout, self.sampling) else { return vec![] };
        added_back(&self.x, g.sources().into_iter(), self.masked, inputs)
    }
}
