//! Weight gradients as implicit matrix products: sums over parts of the pixels, and the sum of those.

use super::centering::with_mean;
use super::implicit::{columns_of_tile, with_patches};
use super::params::conv_params;
use super::weight::Weight;
use super::weight_columns::launch_rows_of_sum;
use crate::gpu::{Shader, Tile, Tiles};
use crate::ops::patches::geometry::Geometry;
use crate::ops::products::tiles::{LONG_SUM, choose};
use crate::ops::sums::column_sum::launch_single_sum;
use crate::tape::Launch;
use crate::tile_variants;

conv_params! {
    struct WeightGradParams { taps: u32, pixels: u32, pixels_per_split: u32, channels: u32, centered: u32 }
}

const SIZES: &[(usize, Tile)] = &[(16, [2, 2, 8, 8]), (8, [2, 1, 8, 8]), (4, [2, 1, 4, 16]), (1, [1, 1, 2, 32])];
pub(crate) static TILES: Tiles = Tiles {
    shader: Shader::with_variants::<WeightGradParams>(
        "conv/conv_weight_grad.wgsl",
        3,
        1,
        tile_variants!(SIZES, &[&[]]),
    ),
    sizes: SIZES,
};
pub(in crate::ops) const SHADERS: &[&Shader] = &[&TILES.shader];

/// Pixels whose gradients, `outputs4` vectors each, stay in a core's cache of `cached` vectors while all rows of the
/// weight's gradient are summed; sums of fewer than these cost more to add than they save.
fn cached_pixels(cached: usize, outputs4: usize) -> usize {
    (cached / outputs4).max(512)
}

/// Appends the weight's gradient; reads x, gy and perhaps the mean.
pub(super) fn launch_weight_grad(launch: &mut Launch<'_>, g: Geometry, weight: &Weight) {
    let Some((g, x)) = with_patches(g, launch, launch.reads[0]) else { return };
    let write = launch.writes[0];
    let (c4, o4, pixels) = (g.c.div_ceil(4), g.o.div_ceil(4), g.n * g.oh * g.ow);
    let Some((kernel, [tm, tn, lx, ly])) = choose(&TILES, launch, columns_of_tile(pixels, o4), &[]) else {
        return;
    };
    let grid = [o4.div_ceil(lx * tn), (g.taps() * c4).div_ceil(ly * tm)];
    let wanted = LONG_SUM * launch.profile.workgroups;
    let least = pixels.div_ceil(cached_pixels(launch.profile.cached, o4));
    let pixels_per_split = pixels.div_ceil((wanted / (grid[0] * grid[1])).clamp(least, pixels.div_ceil(16)));
    let splits = pixels.div_ceil(pixels_per_split);
    let columns = !weight.lies_in_rows();
    let rows = g.taps() * g.c;
    // A sum of one part is already what columns are.
    let whole = columns && splits == 1;
    let partial = if whole { write } else { launch.scratch("partial", splits * rows * o4 * 4) };
    let params = WeightGradParams {
        taps: g.taps() as u32,
        pixels: pixels as u32,
        pixels_per_split: pixels_per_split as u32,
        channels: g.c as u32,
        centered: u32::from(launch.reads.len() > 2),
        ..WeightGradParams::between(&g, g.input(), g.output())
    };
    let reads = with_mean(launch, x);
    let grid = [grid[0] as u32, grid[1] as u32, splits as u32];
    launch.dispatch(kernel, &params, &reads, &[partial], grid);
    if !columns {
        launch_rows_of_sum(launch, (partial, splits), (&[g.o, rows], 1), write);
    } else if !whole {
        launch_single_sum(launch, [splits, rows * o4], partial, write);
    }
}
