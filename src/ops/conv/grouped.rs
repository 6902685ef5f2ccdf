//! Launches of convolutions in groups, which `conv2d.rs` asks for where there is more than one: any sizes of the
//! groups, depthwise with and without multiplier (the usual ones through `depthwise.rs`). 2 N Ho Wo O (C/g) kh kw
//! floating-point operations in each direction.

use super::centering::with_mean;
use super::depthwise::Depthwise;
use super::params::conv_params;
use super::unpack::launch_unpack;
use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::patches::geometry::Geometry;
use crate::tape::Launch;

conv_params! {
    struct ConvGroupedParams {
        kernel_height: u32, pixels: u32, invocations: u32, groups: u32, inputs_per_group: u32, outputs_per_group: u32,
        has_bias: u32, relu: u32,
    }
}
conv_params! {
    struct GroupedWeightGradParams {
        taps: u32, lines: u32, lines_per_split: u32, invocations: u32, groups: u32, inputs_per_group: u32,
        outputs_per_group: u32, centered: u32,
    }
}
kernel_params! {
    struct PackGroupedParams {
        vectors: u32, taps: u32, rows: u32, columns: u32, columns4: u32, columns_per_group: u32, transposed: u32,
    }
}

static CONV: Shader = Shader::with_variants::<ConvGroupedParams>(
    "conv/conv_grouped.wgsl",
    3,
    1,
    &[
        &[("TRANSPOSED", 0), ("GROUPING", 0)],
        &[("TRANSPOSED", 0), ("GROUPING", 1)],
        &[("TRANSPOSED", 0), ("GROUPING", 2)],
        &[("TRANSPOSED", 1), ("GROUPING", 0)],
        &[("TRANSPOSED", 1), ("GROUPING", 1)],
        &[("TRANSPOSED", 1), ("GROUPING", 2)],
    ],
);
/// Pixels of an invocation, `TM` of `conv_grouped.wgsl`.
const PIXELS: usize = 4;
static WEIGHT_GRAD: Shader = Shader::with_variants::<GroupedWeightGradParams>(
    "conv/conv_grouped_weight_grad.wgsl",
    3,
    1,
    &[&[("GROUPING", 0)], &[("GROUPING", 1)], &[("GROUPING", 2)]],
);
static PACK: Shader = Shader::new::<PackGroupedParams>("conv/pack_grouped_weight.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&CONV, &WEIGHT_GRAD, &PACK];

/// How four neighbouring outputs find their inputs; the numbers are the kernels' `GROUPING`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grouping {
    /// Each in a group of its own.
    Scattered = 0,
    /// All in one group, whose inputs are whole vectors.
    Whole = 1,
    /// One input each, at its own place.
    Depthwise = 2,
}

impl Grouping {
    fn new(inputs: usize, outputs: usize) -> Self {
        match (inputs, outputs) {
            (1, 1) => Self::Depthwise,
            _ if inputs.is_multiple_of(4) && outputs.is_multiple_of(4) => Self::Whole,
            _ => Self::Scattered,
        }
    }
}

/// One direction of the convolution: inputs and outputs of a group, and maps (C,H,W) of all of them.
struct Direction {
    transposed: bool,
    inputs: usize,
    outputs: usize,
    from: [usize; 3],
    to: [usize; 3],
}

impl Direction {
    fn new(g: &Geometry, transposed: bool) -> Self {
        let (inputs, outputs) = (g.c / g.options.groups, g.o / g.options.groups);
        if transposed {
            Self { transposed, inputs: outputs, outputs: inputs, from: g.output(), to: g.input() }
        } else {
            Self { transposed, inputs, outputs, from: g.input(), to: g.output() }
        }
    }

    fn pack(&self, launch: &mut Launch<'_>, weight: Slot, taps: usize) -> Slot {
        let columns4 = self.to[0].div_ceil(4);
        let vectors = taps * self.inputs * columns4;
        let params = PackGroupedParams {
            vectors: vectors as u32,
            taps: taps as u32,
            rows: self.inputs as u32,
            columns: self.to[0] as u32,
            columns4: columns4 as u32,
            columns_per_group: self.outputs as u32,
            transposed: u32::from(self.transposed),
        };
        let packed = launch.scratch("packed", vectors * 4);
        launch.flat(Kernel::new(&PACK, 0), &params, &[weight], &[packed], vectors);
        packed
    }

    fn launch(&self, launch: &mut Launch<'_>, g: &Geometry, weight: Slot, bias: Option<Slot>) {
        let (x, write) = (launch.reads[0], launch.writes[0]);
        let packed = self.pack(launch, weight, g.taps());
        if let Some(depthwise) = Depthwise::of(g) {
            return depthwise.launch(launch, g, self.transposed, packed, bias);
        }
        let [columns, out_height, out_width] = self.to;
        let pixels = g.n * out_height * out_width;
        let invocations = pixels.div_ceil(PIXELS) * columns.div_ceil(4);
        let params = ConvGroupedParams {
            kernel_height: g.kh as u32,
            pixels: pixels as u32,
            invocations: invocations as u32,
            groups: g.options.groups as u32,
            inputs_per_group: self.inputs as u32,
            outputs_per_group: self.outputs as u32,
            has_bias: u32::from(bias.is_some()),
            relu: u32::from(g.options.relu && !self.transposed),
            ..ConvGroupedParams::between(g, self.from, self.to)
        };
        launch.takes_rounds(g.kh * (1 + g.kw * (1 + self.inputs)));
        let variant = Grouping::new(self.inputs, self.outputs) as usize + if self.transposed { 3 } else { 0 };
        let reads = [x, packed, bias.unwrap_or(packed)];
        launch.flat(Kernel::new(&CONV, variant), &params, &reads, &[write], invocations);
    }
}

/// `y` from `x`, the row-major weight and perhaps the bias.
pub(in crate::ops) fn launch_forward(launch: &mut Launch<'_>, g: &Geometry, weight: Slot, bias: Option<Slot>) {
    Direction::new(g, false).launch(launch, g, weight, bias);
}

/// `gx` from `gy` and the row-major weight.
pub(in crate::ops) fn launch_input_grad(launch: &mut Launch<'_>, g: &Geometry, weight: Slot) {
    Direction::new(g, true).launch(launch, g, weight, None);
}

/// Row-major `gw` from `x`, `gy` and perhaps the mean: partial sums over lines, then their sum.
pub(in crate::ops) fn launch_weight_grad(launch: &mut Launch<'_>, g: &Geometry, write: Slot) {
    if let Some(depthwise) = Depthwise::of(g) {
        return depthwise.launch_weight_grad(launch, g, write);
    }
    let Direction { inputs, outputs, .. } = Direction::new(g, false);
    let grouping = Grouping::new(inputs, outputs);
    let (o4, lines) = (g.o.div_ceil(4), g.n * g.oh);
    let vectors = g.taps() * inputs * o4;
    let per_split = if grouping == Grouping::Whole { vectors / 4 } else { vectors };
    let wanted = launch.profile.gradient_sums;
    let longest = launch.profile.rounds / (g.ow + 1);
    let lines_per_split = lines.div_ceil((wanted / per_split).clamp(1, lines)).min(longest.max(1));
    let splits = lines.div_ceil(lines_per_split);
    let params = GroupedWeightGradParams {
        taps: g.taps() as u32,
        lines: lines as u32,
        lines_per_split: lines_per_split as u32,
        invocations: (splits * per_split) as u32,
        groups: g.options.groups as u32,
        inputs_per_group: inputs as u32,
        outputs_per_group: outputs as u32,
        centered: u32::from(launch.reads.len() > 2),
        ..GroupedWeightGradParams::between(g, g.input(), g.output())
    };
    let reads = with_mean(launch, launch.reads[0]);
    let partial = launch.scratch("partial", splits * vectors * 4);
    let kernel = Kernel::new(&WEIGHT_GRAD, grouping as usize);
    launch.flat(kernel, &params, &reads, &[partial], splits * per_split);
    launch_unpack(launch, g, [splits, inputs], partial, write);
}
