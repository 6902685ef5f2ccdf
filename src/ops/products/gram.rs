//! `c = a^T b`: of tall matrices a reduction over rows in partial sums, of wide ones a product with `a` turned first.
//!
//! 2 S R da db floating-point operations; half of it for `a^T a`, of which one triangle is computed.

use super::matmul::{Product, dims, matmul, matmul_nt, matrix, product};
use super::tiles::{Tiles, tile_variant};
use super::transpose::{launch_transpose, transposed};
use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct GramParams { rows: u32, da4: u32, db4: u32, splits: u32, rows_per_split: u32 }
}
kernel_params! {
    struct ReduceParams {
        items: u32, da: u32, da4: u32, db: u32, db4: u32, splits: u32, scale: f32, diagonal: f32,
    }
}

static GRAM: Shader = Shader::with_variants::<GramParams>(
    "products/gram.wgsl",
    2,
    1,
    &[
        tile_variant!(4, 2, 4, 2, SYMMETRIC = 0),
        tile_variant!(4, 2, 1, 8, SYMMETRIC = 0),
        tile_variant!(4, 2, 4, 2, SYMMETRIC = 1),
        tile_variant!(4, 2, 1, 8, SYMMETRIC = 1),
    ],
);
static GRAM_SUBGROUP: Shader = Shader::with_variants::<GramParams>(
    "products/gram_subgroup.wgsl",
    2,
    1,
    &[
        tile_variant!(8, 1, 8, 1, SYMMETRIC = 0),
        tile_variant!(4, 1, 2, 4, SYMMETRIC = 0),
        tile_variant!(4, 1, 1, 8, SYMMETRIC = 0),
        tile_variant!(8, 1, 8, 1, SYMMETRIC = 1),
        tile_variant!(4, 1, 2, 4, SYMMETRIC = 1),
        tile_variant!(4, 1, 1, 8, SYMMETRIC = 1),
    ],
);
static GRAM_SHARED: Shader = Shader::with_variants::<GramParams>(
    "products/gram_shared.wgsl",
    2,
    1,
    &[
        tile_variant!(2, 2, 8, 8, SYMMETRIC = 0),
        tile_variant!(2, 1, 8, 8, SYMMETRIC = 0),
        tile_variant!(1, 1, 4, 16, SYMMETRIC = 0),
        tile_variant!(2, 2, 8, 8, SYMMETRIC = 1),
        tile_variant!(2, 1, 8, 8, SYMMETRIC = 1),
        tile_variant!(1, 1, 4, 16, SYMMETRIC = 1),
    ],
);
const TILES: Tiles = Tiles {
    alone: (&GRAM, &[(5, [4, 2, 4, 2]), (1, [4, 2, 1, 8])]),
    subgroup: (&GRAM_SUBGROUP, &[(8, [8, 1, 8, 1]), (2, [4, 1, 2, 4]), (1, [4, 1, 1, 8])]),
    shared: Some((&GRAM_SHARED, &[(16, [2, 2, 8, 8]), (8, [2, 1, 8, 8]), (1, [1, 1, 4, 16])])),
};
static REDUCE: Shader = Shader::with_variants::<ReduceParams>(
    "products/gram_reduce.wgsl",
    1,
    1,
    &[&[("SYMMETRIC", 0)], &[("SYMMETRIC", 1)]],
);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&GRAM, &GRAM_SUBGROUP, &GRAM_SHARED, &REDUCE];

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
        let Some((kernel, [tm, tn, lx, ly])) = TILES.choose(launch, db4, &flags) else { return };
        let tiles = [db4.div_ceil(lx * tn), da4.div_ceil(ly * tm)];
        let wanted = if launch.profile.software { 64 } else { 2048 };
        // Sums longer than this lose accuracy, and a long loop starves the other lanes.
        let least_splits = rows.div_ceil(2048);
        let most_splits = rows.div_ceil(32).max(1);
        let splits = (wanted / (tiles[0] * tiles[1] * batches)).clamp(least_splits, most_splits.max(least_splits));
        let rows_per_split = rows.div_ceil(splits);
        let splits = rows.div_ceil(rows_per_split);
        let partial = launch.scratch("partial", batches * splits * da4 * 4 * db4 * 4);
        let params = GramParams {
            rows: rows as u32,
            da4: da4 as u32,
            db4: db4 as u32,
            splits: splits as u32,
            rows_per_split: rows_per_split as u32,
        };
        let grid = [tiles[0] as u32, tiles[1] as u32, (batches * splits) as u32];
        launch.dispatch(kernel, &params, &[self.a, self.b], &[partial], grid);
        launch_reduce(launch, [batches, splits, da, db], (self.scale, self.diagonal), symmetric, partial, c);
    }
}

/// Appends `c = scale (sum of `splits` partial sums) + diagonal I`; `[batches, splits, da, db]`.
pub(in crate::ops) fn launch_reduce(
    launch: &mut Launch<'_>,
    [batches, splits, da, db]: [usize; 4],
    (scale, diagonal): (f32, f32),
    symmetric: bool,
    partial: Slot,
    c: Slot,
) {
    let (da4, db4) = (da.div_ceil(4), db.div_ceil(4));
    let items = batches * da4 * db4;
    let params = ReduceParams {
        items: items as u32,
        da: da as u32,
        da4: da4 as u32,
        db: db as u32,
        db4: db4 as u32,
        splits: splits as u32,
        scale,
        diagonal,
    };
    launch.flat(Kernel::new(&REDUCE, usize::from(symmetric)), &params, &[partial], &[c], items);
}

/// Appends `c = a^T b` of (S,R,da) and (S,R,db).
pub(in crate::ops) fn launch_gram(launch: &mut Launch<'_>, [s, r, da, db]: [usize; 4], [a, b]: [Slot; 2], c: Slot) {
    // Partial sums of a result that is larger than a cost more than turning a.
    if a != b && r <= db {
        let turned = launch.scratch("turned", s * da * r.next_multiple_of(4));
        launch_transpose(launch, [s, r, da], [0.0, 1.0], a, turned);
        return Product::new(turned, b).launch(launch, [s, da, db, r], c);
    }
    GramProduct { a, b, scale: 1.0, diagonal: 0.0 }.launch(launch, [s, r, da, db], c);
}

/// `a^T b` of (S,R,da) and (S,R,db).
///
/// # Errors
/// The matrices do not fit.
pub fn gram(tape: &mut Tape, a: Var, b: Var) -> Result<Var> {
    tape.apply1(Gram, &[a, b])
}

#[derive(Debug)]
struct Gram;

impl Op for Gram {
    fn name(&self) -> &'static str {
        "gram"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let ([s, r, da], [s2, r2, db]) = (matrix("gram", inputs[0])?, matrix("gram", inputs[1])?);
        if (s, r) != (s2, r2) {
            return Err(Error::shape(
                "gram",
                format!("expected equal batches and rows, found {} and {}", inputs[0], inputs[1]),
            ));
        }
        Ok(vec![Type::vec4(&[s, da, db])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (a, b, g) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        let ga = if context.needs(0) { Some(matmul_nt(context.tape, b, g)?) } else { None };
        let gb = if context.needs(1) { Some(matmul(context.tape, a, g)?) } else { None };
        Ok(vec![ga, gb])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ([s, r, da], db) = (dims(launch.inputs[0]), launch.inputs[1].inner());
        let (factors, c) = ([launch.reads[0], launch.reads[1]], launch.writes[0]);
        launch_gram(launch, [s, r, da, db], factors, c);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![product(&transposed(inputs[0]), inputs[1])]
    }
}
