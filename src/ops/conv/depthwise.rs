//! Launches of depthwise convolutions with kernels of 3x3 or 5x5, stride and dilation 1, which `grouped.rs` asks for;
//! it has the others itself. Each row of the map is loaded once for all taps: about 2.5 vectors for an output of a 3x3
//! kernel, where a load for each tap would take 9.

use super::centering::with_mean;
use super::unpack::launch_unpack;
use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::patches::geometry::Geometry;
use crate::tape::Launch;

kernel_params! {
    struct DepthwiseParams {
        height: u32, width: u32, out_height: u32, out_width: u32, outputs4: u32, padding: u32, pixels: u32, tiles: u32,
        strips: u32, strip: u32, invocations: u32, flipped: u32, has_bias: u32,
    }
}
kernel_params! {
    struct DepthwiseWeightGradParams {
        height: u32, width: u32, out_height: u32, out_width: u32, outputs4: u32, padding: u32, tiles: u32, all_tiles: u32,
        tiles_per_split: u32, invocations: u32, channels: u32,
    }
}

const KERNEL_3: [(&str, u32); 3] = [("KERNEL", 3), ("BEFORE", 2), ("SPAN", COLUMNS as u32 + 2)];
const KERNEL_5: [(&str, u32); 3] = [("KERNEL", 5), ("BEFORE", 4), ("SPAN", COLUMNS as u32 + 4)];
const fn and([a, b, c]: [(&'static str, u32); 3], flag: (&'static str, u32)) -> [(&'static str, u32); 4] {
    [a, b, c, flag]
}
static CONV: Shader = Shader::with_variants::<DepthwiseParams>(
    "conv/conv_depthwise.wgsl",
    3,
    1,
    &[
        &and(KERNEL_3, ("RELU", 0)),
        &and(KERNEL_5, ("RELU", 0)),
        &and(KERNEL_3, ("RELU", 1)),
        &and(KERNEL_5, ("RELU", 1)),
    ],
);
static WEIGHT_GRAD: Shader = Shader::with_variants::<DepthwiseWeightGradParams>(
    "conv/conv_depthwise_weight_grad.wgsl",
    3,
    1,
    &[
        &and(KERNEL_3, ("CENTERED", 0)),
        &and(KERNEL_5, ("CENTERED", 0)),
        &and(KERNEL_3, ("CENTERED", 1)),
        &and(KERNEL_5, ("CENTERED", 1)),
    ],
);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&CONV, &WEIGHT_GRAD];
/// Columns of an invocation, `TM` of the kernels.
const COLUMNS: usize = 4;

/// A convolution that these kernels can compute.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct Depthwise {
    variant: usize,
}

impl Depthwise {
    /// None where the general kernels have to do it.
    pub fn of(g: &Geometry) -> Option<Self> {
        let own = g.c == g.options.groups && g.o == g.c;
        let dense = g.options.stride == 1 && g.options.dilation == 1 && g.options.padding < g.kh;
        let variant = [3, 5].iter().position(|k| [g.kh, g.kw] == [*k; 2])?;
        (own && dense).then_some(Self { variant })
    }

    /// `y` from x, packed weight and bias; flipped, `gx` from gy and packed weight.
    pub fn launch(self, launch: &mut Launch<'_>, g: &Geometry, flipped: bool, packed: Slot, bias: Option<Slot>) {
        let ([height, width], [out_height, out_width]) =
            if flipped { ([g.oh, g.ow], [g.h, g.w]) } else { ([g.h, g.w], [g.oh, g.ow]) };
        let (outputs4, tiles) = (g.c.div_ceil(4), out_width.div_ceil(COLUMNS));
        // A strip loads kernel - 1 rows more than it has; real GPUs need the invocations more than they mind the loads.
        let strip = launch.profile.strip.min(out_height);
        let strips = out_height.div_ceil(strip);
        let invocations = g.n * strips * tiles * outputs4;
        let params = DepthwiseParams {
            height: height as u32,
            width: width as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            outputs4: outputs4 as u32,
            padding: if flipped { g.kh - 1 - g.options.padding } else { g.options.padding } as u32,
            pixels: (g.n * out_height * out_width) as u32,
            tiles: tiles as u32,
            strips: strips as u32,
            strip: strip as u32,
            invocations: invocations as u32,
            flipped: u32::from(flipped),
            has_bias: u32::from(bias.is_some()),
        };
        let (reads, write) = ([launch.reads[0], packed, bias.unwrap_or(packed)], launch.writes[0]);
        let kernel = Kernel::new(&CONV, self.variant + if g.options.relu && !flipped { 2 } else { 0 });
        launch.flat(kernel, &params, &reads, &[write], invocations);
    }

    /// `gw` from `x`, `gy` and perhaps the mean.
    pub fn launch_weight_grad(self, launch: &mut Launch<'_>, g: &Geometry, write: Slot) {
        let (outputs4, tiles) = (g.c.div_ceil(4), g.ow.div_ceil(COLUMNS));
        let all_tiles = g.n * tiles;
        let wanted = launch.profile.gradient_sums;
        let longest = launch.profile.rounds / (g.oh + g.kh);
        let tiles_per_split = all_tiles.div_ceil((wanted / outputs4).clamp(1, all_tiles)).min(longest.max(1));
        let splits = all_tiles.div_ceil(tiles_per_split);
        let invocations = splits * outputs4;
        let params = DepthwiseWeightGradParams {
            height: g.h as u32,
            width: g.w as u32,
            out_height: g.oh as u32,
            out_width: g.ow as u32,
            outputs4: outputs4 as u32,
            padding: g.options.padding as u32,
            tiles: tiles as u32,
            all_tiles: all_tiles as u32,
            tiles_per_split: tiles_per_split as u32,
            invocations: invocations as u32,
            channels: g.c as u32,
        };
        let variant = self.variant + if launch.reads.len() > 2 { 2 } else { 0 };
        let reads = with_mean(launch, launch.reads[0]);
        let partial = launch.scratch("partial", splits * g.taps() * outputs4 * 4);
        launch.flat(Kernel::new(&WEIGHT_GRAD, variant), &params, &reads, &[partial], invocations);
        launch_unpack(launch, g, [splits, 1], partial, write);
    }
}
