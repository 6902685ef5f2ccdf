//! The end of the weight's gradient where channels are grouped, depthwise ones among them.

use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::patches::geometry::Geometry;
use crate::tape::Launch;

kernel_params! {
    struct UnpackParams { vectors: u32, splits: u32, taps: u32, channels: u32, outputs: u32, outputs4: u32 }
}

static UNPACK: Shader = Shader::new::<UnpackParams>("conv/unpack_grouped_weight_grad.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&UNPACK];

/// Appends the launch that adds `splits` partial weight gradients, of `channels` for each tap, and turns them into a
/// row-major weight.
pub(super) fn launch_unpack(
    launch: &mut Launch<'_>,
    g: &Geometry,
    [splits, channels]: [usize; 2],
    partial: Slot,
    write: Slot,
) {
    let o4 = g.o.div_ceil(4);
    let vectors = g.taps() * channels * o4;
    let params = UnpackParams {
        vectors: vectors as u32,
        splits: splits as u32,
        taps: g.taps() as u32,
        channels: channels as u32,
        outputs: g.o as u32,
        outputs4: o4 as u32,
    };
    launch.flat(Kernel::new(&UNPACK, 0), &params, &[partial], &[write], vectors);
}
