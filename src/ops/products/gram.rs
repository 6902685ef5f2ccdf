//! Launches of `c = a^T b`: of tall matrices a reduction over rows in partial sums, of wide ones a product with `a`
//! transposed first.
//!
//! 2 S R da db floating-point operations; half of it for `a^T a`, of which one triangle is computed.

use super::product::Product;
use super::sum_parts::{SumParts, stored};
use super::tiles::{LONG_SUM, choose};
use super::transpose::launch_transpose;
use crate::gpu::{Shader, Slot, Tile, Tiles};
use crate::tape::Launch;
use crate::{kernel_params, tile_variants};

kernel_params! {
    struct GramParams { rows: u32, da4: u32, db4: u32, splits: u32, rows_per_split: u32 }
}

pub(crate) const FLAGS: &[&[(&str, u32)]] = &[&[("SYMMETRIC", 0)], &[("SYMMETRIC", 1)]];
const SIZES: &[(usize, Tile)] = &[(16, [2, 2, 8, 8]), (8, [2, 1, 8, 8]), (1, [1, 1, 4, 16])];
pub(crate) static TILES: Tiles = Tiles {
    shader: Shader::with_variants::<GramParams>("products/gram.wgsl", 2, 1, tile_variants!(SIZES, FLAGS)),
    sizes: SIZES,
};
pub(in crate::ops) const SHADERS: &[&Shader] = &[&TILES.shader];

/// One reduction: `c = scale a^T b + diagonal I`.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct GramProduct {
    pub a: Slot,
    pub b: Slot,
    pub scale: f32,
    pub diagonal: f32,
}

impl GramProduct {
    /// Appends the launches; `[batches, rows, da, db]`.
    pub fn launch(self, launch: &mut Launch<'_>, [batches, rows, da, db]: [usize; 4], c: Slot) {
        let (da4, db4) = (da.div_ceil(4), db.div_ceil(4));
        let symmetric = self.a == self.b;
        let flags = [("SYMMETRIC", u32::from(symmetric))];
        let Some((kernel, [tm, tn, lx, ly])) = choose(&TILES, launch, db4, &flags) else { return };
        let tiles = [db4.div_ceil(lx * tn), da4.div_ceil(ly * tm)];
        // Sums longer than this lose accuracy, and a long loop starves the other lanes.
        let least_splits = rows.div_ceil(2048);
        let most_splits = rows.div_ceil(32).max(1);
        let splits = (LONG_SUM * launch.profile.workgroups / (tiles[0] * tiles[1] * batches))
            .clamp(least_splits, most_splits.max(least_splits));
        let rows_per_split = rows.div_ceil(splits);
        let splits = rows.div_ceil(rows_per_split);
        let partial = launch.scratch("partial", stored([batches, splits, da, db]));
        let params = GramParams {
            rows: rows as u32,
            da4: da4 as u32,
            db4: db4 as u32,
            splits: splits as u32,
            rows_per_split: rows_per_split as u32,
        };
        let grid = [tiles[0] as u32, tiles[1] as u32, (batches * splits) as u32];
        launch.dispatch(kernel, &params, &[self.a, self.b], &[partial], grid);
        let sum = SumParts { alpha: self.scale, added: None, diagonal: self.diagonal, relu: false, symmetric };
        sum.launch(launch, [batches, splits, da, db], partial, c);
    }
}

/// Appends `c = a^T b` of (S,R,da) and (S,R,db).
pub(in crate::ops) fn launch_gram(launch: &mut Launch<'_>, [s, r, da, db]: [usize; 4], [a, b]: [Slot; 2], c: Slot) {
    // Partial sums of a result that is larger than a cost more than turning a.
    if a != b && r <= db {
        let transposed = launch.scratch("transposed", s * da * r.next_multiple_of(4));
        launch_transpose(launch, [s, r, da], [0.0, 1.0], a, transposed);
        return Product::new(transposed, b).launch(launch, [s, da, db, r], c);
    }
    GramProduct { a, b, scale: 1.0, diagonal: 0.0 }.launch(launch, [s, r, da, db], c);
}
