//! Between row-major tensors and activations in vectors of four.

use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Layout, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct RelayoutParams { vectors: u32, channels4: u32, pixels: u32, row: u32, len: u32 }
}

static RELAYOUT: Shader =
    Shader::with_variants::<RelayoutParams>("pointwise/relayout.wgsl", 1, 1, &[&[("TO_VEC4", 0)], &[("TO_VEC4", 1)]]);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&RELAYOUT];

/// A row-major (N,C,H,W), (N,F) or (S,R,C) tensor in vectors of four. Reads and writes each element once.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let images = tape.leaf("images", &[1, 1, 4, 4]);
/// assert!(f::max_pool2d(&mut tape, images, 2, 2, 0).is_err()); // not an activation yet
/// let x = f::to_vec4(&mut tape, images)?;
/// let y = f::max_pool2d(&mut tape, x, 2, 2, 0)?;
/// assert_eq!(tape.shape(y), [1, 1, 2, 2]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn to_vec4(tape: &mut Tape, x: Var) -> Result<Var> {
    convert(tape, x, Layout::Vec4)
}

/// The same elements row-major. Reads and writes each element once.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[2, 3]);
/// let x = f::to_vec4(&mut tape, x)?;
/// assert!(tape.view(x, &[3, 2]).is_err()); // its rows of 3 lie in vectors of four
/// let plain = f::to_plain(&mut tape, x)?;
/// let y = tape.view(plain, &[3, 2])?;
/// assert_eq!(tape.shape(y), [3, 2]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn to_plain(tape: &mut Tape, x: Var) -> Result<Var> {
    convert(tape, x, Layout::Plain)
}

fn convert(tape: &mut Tape, x: Var, to: Layout) -> Result<Var> {
    if tape.ty(x).layout == to { Ok(x) } else { tape.apply1(Relayout { to }, &[x]) }
}

/// Appends what fills the rows of a row-major matrix up to whole vectors, if they are not; returns the result.
pub(in crate::ops) fn launch_padded(launch: &mut Launch<'_>, [rows, columns]: [usize; 2], x: Slot) -> Slot {
    if columns.is_multiple_of(4) {
        return x;
    }
    let vectors = rows * columns.div_ceil(4);
    let padded = launch.scratch("padded", vectors * 4);
    let params = RelayoutParams {
        vectors: vectors as u32,
        channels4: columns.div_ceil(4) as u32,
        pixels: 1,
        row: columns as u32,
        len: (rows * columns) as u32,
    };
    launch.flat(Kernel::new(&RELAYOUT, 1), &params, &[x], &[padded], vectors);
    padded
}

/// Appends the launch between `packed`, in vectors, and rows of `row` elements for each image, in the order (c, h, w).
pub(in crate::ops) fn launch_relayout(launch: &mut Launch<'_>, to_vec4: bool, packed: &Type, row: usize) {
    let pixels = if let [_, _, h, w] = packed.shape[..] { h * w } else { 1 };
    let len = packed.rows() / pixels * row;
    let vectors = if to_vec4 { packed.stored() / 4 } else { len.div_ceil(4) };
    let params = RelayoutParams {
        vectors: vectors as u32,
        channels4: packed.inner4() as u32,
        pixels: pixels as u32,
        row: row as u32,
        len: len as u32,
    };
    let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
    launch.flat(Kernel::new(&RELAYOUT, usize::from(to_vec4)), &params, &reads, &writes, vectors);
}

#[derive(Debug)]
struct Relayout {
    to: Layout,
}

impl Op for Relayout {
    fn name(&self) -> &'static str {
        "relayout"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let x = inputs[0];
        if !matches!(x.shape.len(), 1..=4) || x.is_empty() {
            return Err(Error::shape(
                self.name(),
                format!("expected one to four dimensions, none of them 0, found {x}"),
            ));
        }
        Ok(vec![Type { layout: self.to, ..x.clone() }])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let back = context.tape.ty(context.inputs[0]).layout;
        Ok(vec![context.when(0, Self { to: back }, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let to_vec4 = self.to == Layout::Vec4;
        let packed = if to_vec4 { launch.outputs[0] } else { launch.inputs[0] };
        let pixels = if let [_, _, h, w] = packed.shape[..] { h * w } else { 1 };
        launch_relayout(launch, to_vec4, packed, packed.inner() * pixels);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![inputs[0].clone()]
    }
}
