//! Convolutions as implicit matrix products: forward, and the input's gradient.
//!
//! 2 N Ho Wo O C kh kw floating-point operations each. Row-major weights are packed for the kernel on the way (O C kh
//! kw moves); columns (`weight_columns.rs`) are taken as they lie.

use super::params::conv_params;
use super::weight::Weight;
use crate::gpu::{Kernel, Shader, Slot, Tile, Tiles};
use crate::ops::patches::blocks::Sampling;
use crate::ops::patches::geometry::{ConvOptions, FEW_PIXELS, Geometry};
use crate::ops::products::tiles::choose_to_fill;
use crate::tape::Launch;
use crate::{kernel_params, tile_variants};

conv_params! {
    struct ConvParams {
        kernel_height: u32, pixels: u32, has_bias: u32, has_added: u32, relu: u32, tap_rows: u32, channel_rows: u32,
        last_row: u32,
    }
}
kernel_params! {
    struct PackParams {
        blocks: u32, taps: u32, rows: u32, rows4: u32, columns: u32, columns4: u32, row_stride: u32, column_stride: u32,
        flipped: u32,
    }
}
kernel_params! {
    struct PackColumnsParams { blocks: u32, taps: u32, outputs4: u32, channels: u32, channels4: u32, flipped: u32 }
}

pub(crate) const FLAGS: &[&[(&str, u32)]] = &[&[("TRANSPOSED", 0)], &[("TRANSPOSED", 1)]];
const SIZES: &[(usize, Tile)] = &[(16, [8, 2, 8, 8]), (8, [8, 1, 8, 8]), (4, [8, 1, 4, 16]), (1, [4, 1, 2, 32])];
pub(crate) static TILES: Tiles = Tiles {
    shader: Shader::with_variants::<ConvParams>("conv/conv.wgsl", 4, 1, tile_variants!(SIZES, FLAGS)),
    sizes: SIZES,
};
static PACK: Shader = Shader::new::<PackParams>("conv/pack_weight.wgsl", 1, 1);
static PACK_COLUMNS: Shader = Shader::new::<PackColumnsParams>("conv/pack_columns.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&TILES.shader, &PACK, &PACK_COLUMNS];

/// Vectors of columns for which a convolution of few pixels takes its tile, however many it has.
const FEW: usize = 32;

pub(super) fn columns_of_tile(pixels: usize, columns4: usize) -> usize {
    if pixels > FEW_PIXELS { columns4 } else { FEW }
}

/// With one to three channels a vector of four is mostly padding, tap after tap. There the patches are gathered first
/// (a row of c k k features per output pixel) and the convolution becomes 1x1 on those. `None` where that was refused.
pub(super) fn with_patches(g: Geometry, launch: &mut Launch<'_>, x: Slot) -> Option<(Geometry, Slot)> {
    if g.c > 3 || g.taps() == 1 || g.kh != g.kw || g.options.groups > 1 {
        return Some((g, x));
    }
    let ConvOptions { stride, padding, dilation, .. } = g.options;
    let rows = crate::ops::patches::covariance::gather_patches(
        launch,
        [g.n, g.c, g.h, g.w],
        g.kh,
        Sampling::Grid { step: stride, padding, dilation },
        x,
    )?;
    let options = ConvOptions { relu: g.options.relu, ..Default::default() };
    let features = g.c * g.taps();
    Some((Geometry { c: features, h: g.oh, w: g.ow, kh: 1, kw: 1, options, ..g }, rows))
}

/// Appends the convolution; reads x and weight, and what is added to their product.
pub(super) fn launch_forward(launch: &mut Launch<'_>, g: Geometry, weight: &Weight, [bias, added]: [Option<Slot>; 2]) {
    let Some((g, x)) = with_patches(g, launch, launch.reads[0]) else { return };
    let (packed, rows) = match weight {
        Weight::Rows => {
            let packing = Packing {
                rows: g.c,
                columns: g.o,
                taps: g.taps(),
                row_stride: g.taps(),
                column_stride: g.c * g.taps(),
                flipped: false,
            };
            (pack(launch, launch.reads[1], &packing), WeightRowOrder::packed(g.c))
        }
        Weight::Columns(_) => (launch.reads[1], WeightRowOrder::columns(g.taps())),
    };
    let params = ConvParams {
        has_bias: u32::from(bias.is_some()),
        has_added: u32::from(added.is_some()),
        relu: u32::from(g.options.relu),
        ..ConvParams::new(&g, g.input(), g.output(), rows)
    };
    let reads = [x, packed, bias.unwrap_or(packed), added.unwrap_or(packed)];
    let write = launch.writes[0];
    dispatch_conv(launch, &params, ("TRANSPOSED", 0), reads, write);
}

/// Appends the input's gradient; reads gy, weight and perhaps what has been gathered.
pub(super) fn launch_input_grad(launch: &mut Launch<'_>, g: &Geometry, weight: &Weight) {
    // At stride 1 the adjoint is a convolution with the kernel turned around: one kernel less to compile. A padding
    // that would be negative wraps, and wraps back in the kernel.
    let plain = g.turns();
    let reach = (g.options.dilation * (g.kh - 1)) as u32;
    let packed = match weight {
        Weight::Rows => {
            let packing = Packing {
                rows: g.o,
                columns: g.c,
                taps: g.taps(),
                row_stride: g.c * g.taps(),
                column_stride: g.taps(),
                flipped: plain,
            };
            pack(launch, launch.reads[1], &packing)
        }
        Weight::Columns(_) => pack_columns(launch, launch.reads[1], g, plain),
    };
    let padding = g.options.padding as u32;
    let gathered = launch.reads.get(2).copied();
    let params = ConvParams {
        padding: if plain { reach.wrapping_sub(padding) } else { padding },
        has_added: u32::from(gathered.is_some()),
        ..ConvParams::new(g, g.output(), g.input(), WeightRowOrder::packed(g.o))
    };
    let reads = [launch.reads[0], packed, packed, gathered.unwrap_or(packed)];
    let write = launch.writes[0];
    dispatch_conv(launch, &params, ("TRANSPOSED", u32::from(!plain)), reads, write);
}

/// Where the row of a tap and channel stands among those that a kernel loads its weight from: `tap` rows further for
/// each tap, `channel` for each channel.
#[derive(Clone, Copy)]
struct WeightRowOrder {
    tap: usize,
    channel: usize,
}

impl WeightRowOrder {
    /// As [`pack`] leaves them: tap by tap, channels filled up to whole vectors.
    fn packed(channels: usize) -> Self {
        Self { tap: channels.next_multiple_of(4), channel: 1 }
    }

    /// As columns have them: channel by channel.
    fn columns(taps: usize) -> Self {
        Self { tap: 1, channel: taps }
    }
}

impl ConvParams {
    /// From maps (C,H,W), whose channels are summed over, to others.
    fn new(g: &Geometry, from: [usize; 3], to: [usize; 3], rows: WeightRowOrder) -> Self {
        Self {
            kernel_height: g.kh as u32,
            pixels: (g.n * to[1] * to[2]) as u32,
            tap_rows: rows.tap as u32,
            channel_rows: rows.channel as u32,
            last_row: ((g.taps() - 1) * rows.tap + (from[0] - 1) * rows.channel) as u32,
            ..Self::between(g, from, to)
        }
    }
}

/// How weights are packed: rows are summed over, columns are computed; strides are those in the row-major weight.
struct Packing {
    rows: usize,
    columns: usize,
    taps: usize,
    row_stride: usize,
    column_stride: usize,
    /// The last tap first.
    flipped: bool,
}

fn pack(launch: &mut Launch<'_>, weight: Slot, packing: &Packing) -> Slot {
    let Packing { rows, columns, taps, .. } = *packing;
    let (rows4, columns4) = (rows.div_ceil(4), columns.div_ceil(4));
    let blocks = taps * rows4 * columns4;
    let packed = launch.scratch("packed", blocks * 16);
    let params = PackParams {
        blocks: blocks as u32,
        taps: taps as u32,
        rows: rows as u32,
        rows4: rows4 as u32,
        columns: columns as u32,
        columns4: columns4 as u32,
        row_stride: packing.row_stride as u32,
        column_stride: packing.column_stride as u32,
        flipped: u32::from(packing.flipped),
    };
    launch.flat(Kernel::new(&PACK, 0), &params, &[weight], &[packed], blocks);
    packed
}

/// As [`pack`] for the input gradient, of columns.
fn pack_columns(launch: &mut Launch<'_>, columns: Slot, g: &Geometry, flipped: bool) -> Slot {
    let (outputs4, channels4) = (g.o.div_ceil(4), g.c.div_ceil(4));
    let blocks = g.taps() * outputs4 * channels4;
    let packed = launch.scratch("packed", blocks * 16);
    let params = PackColumnsParams {
        blocks: blocks as u32,
        taps: g.taps() as u32,
        outputs4: outputs4 as u32,
        channels: g.c as u32,
        channels4: channels4 as u32,
        flipped: u32::from(flipped),
    };
    launch.flat(Kernel::new(&PACK_COLUMNS, 0), &params, &[columns], &[packed], blocks);
    packed
}

/// Appends the kernel with a constant set; reads x, weight, bias and what is added.
fn dispatch_conv(
    launch: &mut Launch<'_>,
    params: &ConvParams,
    flag: (&'static str, u32),
    reads: [Slot; 4],
    write: Slot,
) {
    let (pixels, outputs4) = (params.pixels as usize, params.outputs4 as usize);
    let [high, wide, channels4] =
        [params.kernel_height, params.kernel_width, params.channels4].map(|size| size as usize);
    launch.takes_rounds(high * (1 + wide * (1 + channels4)));
    let columns4 = columns_of_tile(pixels, outputs4);
    let count = |[tm, tn, lx, ly]: Tile| pixels.div_ceil(tm * ly) * outputs4.div_ceil(lx * tn);
    let Some((kernel, tile)) = choose_to_fill(&TILES, launch, columns4, &[flag], count) else { return };
    let [tm, tn, lx, ly] = tile.map(|v| v as u32);
    let tiles = params.pixels.div_ceil(tm * ly);
    let rows = tiles.div_ceil(65_535).max(1);
    let grid = [tiles.div_ceil(rows), rows, params.outputs4.div_ceil(lx * tn)];
    launch.dispatch(kernel, params, &reads, &[write], grid);
}
