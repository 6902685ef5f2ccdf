//! The explicit patch matrix and its adjoint. Convolutions and covariances do without it; it is here for its own sake.

use super::geometry::{ConvOptions, Geometry};
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::{expect_activation, vectors};
use crate::tape::{Array, Backward, Launch, Layout, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct Im2colParams {
        elements: u32, height: u32, width: u32, channels: u32, channels4: u32, out_height: u32, out_width: u32,
        kernel_height: u32, kernel_width: u32, stride: u32, padding: u32, dilation: u32,
    }
}
kernel_params! {
    struct Col2imParams {
        vectors: u32, height: u32, width: u32, channels: u32, channels4: u32, out_height: u32, out_width: u32,
        kernel_height: u32, kernel_width: u32, stride: u32, padding: u32, dilation: u32,
    }
}

static IM2COL: Shader = Shader::new::<Im2colParams>("patches/im2col.wgsl", 1, 1);
static COL2IM: Shader = Shader::new::<Col2imParams>("patches/col2im.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&IM2COL, &COL2IM];

/// How patches lie on a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchOptions {
    /// Height and width of a patch.
    pub kernel: [usize; 2],
    /// Step between patches.
    pub stride: usize,
    /// Zeros around the map.
    pub padding: usize,
    /// Step between the taps of a patch.
    pub dilation: usize,
}

impl PatchOptions {
    fn geometry(&self, op: &'static str, maps: &[usize]) -> Result<Geometry> {
        let channels = Type::plain(maps).nchw()[1];
        let Self { kernel: [kh, kw], stride, padding, dilation } = *self;
        let options = ConvOptions { stride, padding, dilation, ..Default::default() };
        Geometry::new(op, maps, &[1, channels, kh, kw], options)
    }
}

/// All patches of `x` (N,C,H,W), row-major (N, C kh kw, L): a column for each of the L patches, in row-major order of
/// their places, with features in the order (c, kh, kw), as PyTorch's `unfold`. Writes kh kw / stride^2 times what it
/// reads.
///
/// # Errors
/// `x` is not an activation, or a patch does not fit into the padded map.
pub fn im2col(tape: &mut Tape, x: Var, options: PatchOptions) -> Result<Var> {
    tape.apply1(Im2col { options }, &[x])
}

/// The adjoint of [`im2col`]: adds the columns of row-major `columns` (N, C kh kw, L) up where they came from, on maps
/// (N,C,H,W) of `size` [H, W].
///
/// # Errors
/// `columns` has not the shape that [`im2col`] gives on such maps.
pub fn col2im(tape: &mut Tape, columns: Var, size: [usize; 2], options: PatchOptions) -> Result<Var> {
    let taps = options.kernel[0] * options.kernel[1];
    let maps = match tape.shape(columns) {
        [n, features, _] if taps > 0 && features % taps == 0 => Type::vec4(&[*n, features / taps, size[0], size[1]]),
        _ => {
            let found = tape.ty(columns);
            return Err(Error::shape("col2im", format!("expected columns (N, C * {taps}, L), found {found}")));
        }
    };
    tape.apply1(Col2im { options, maps }, &[columns])
}

fn columns(g: &Geometry) -> Vec<usize> {
    vec![g.n, g.c * g.taps(), g.oh * g.ow]
}

/// Calls `visit(place in the maps, place in the columns)` for every tap inside the maps.
fn taps(g: &Geometry, mut visit: impl FnMut(usize, usize)) {
    for plane in 0..g.n * g.c {
        for (tap, l) in (0..g.taps()).flat_map(|tap| (0..g.oh * g.ow).map(move |l| (tap, l))) {
            if let Some((h, w)) = g.input_at(l / g.ow, l % g.ow, tap / g.kw, tap % g.kw) {
                visit((plane * g.h + h) * g.w + w, (plane * g.taps() + tap) * g.oh * g.ow + l);
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Im2col {
    options: PatchOptions,
}

impl Op for Im2col {
    fn name(&self) -> &'static str {
        "im2col"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), inputs[0])?;
        Ok(vec![Type::plain(&columns(&self.options.geometry(self.name(), &inputs[0].shape)?))])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let maps = context.tape.ty(context.inputs[0]).clone();
        Ok(vec![context.when(0, Col2im { options: self.options, maps }, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let g = self.options.geometry(self.name(), &launch.inputs[0].shape);
        let Some(g) = launch.or_refuse(g) else { return };
        let elements = launch.outputs[0].len();
        let params = Im2colParams {
            elements: elements as u32,
            height: g.h as u32,
            width: g.w as u32,
            channels: g.c as u32,
            channels4: g.c.div_ceil(4) as u32,
            out_height: g.oh as u32,
            out_width: g.ow as u32,
            kernel_height: g.kh as u32,
            kernel_width: g.kw as u32,
            stride: self.options.stride as u32,
            padding: self.options.padding as u32,
            dilation: self.options.dilation as u32,
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&IM2COL, 0), &params, &reads, &writes, elements);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let Ok(g) = self.options.geometry(self.name(), &inputs[0].shape) else { unreachable!("checked by infer") };
        let mut y = Array::zeros(&columns(&g));
        taps(&g, |map, column| y.data[column] = inputs[0].data[map]);
        vec![y]
    }
}

#[derive(Clone, Debug)]
struct Col2im {
    options: PatchOptions,
    maps: Type,
}

impl Op for Col2im {
    fn name(&self) -> &'static str {
        "col2im"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let wanted = columns(&self.options.geometry(self.name(), &self.maps.shape)?);
        if inputs[0].layout != Layout::Plain || inputs[0].shape != wanted {
            let (maps, found) = (&self.maps, inputs[0]);
            let what = format!("maps {maps} have row-major columns {wanted:?} with {:?}, found {found}", self.options);
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![self.maps.clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        Ok(vec![context.when(0, Im2col { options: self.options }, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let g = self.options.geometry(self.name(), &self.maps.shape);
        let Some(g) = launch.or_refuse(g) else { return };
        let count = vectors(&self.maps);
        let params = Col2imParams {
            vectors: count as u32,
            height: g.h as u32,
            width: g.w as u32,
            channels: g.c as u32,
            channels4: g.c.div_ceil(4) as u32,
            out_height: g.oh as u32,
            out_width: g.ow as u32,
            kernel_height: g.kh as u32,
            kernel_width: g.kw as u32,
            stride: self.options.stride as u32,
            padding: self.options.padding as u32,
            dilation: self.options.dilation as u32,
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&COL2IM, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let Ok(g) = self.options.geometry(self.name(), &self.maps.shape) else { unreachable!("checked by infer") };
        let mut x = Array::zeros(&self.maps.shape);
        taps(&g, |map, column| x.data[map] += inputs[0].data[column]);
        vec![x]
    }
}
