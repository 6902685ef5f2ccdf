//! Batched matrix products `c = a b`, and what Newton-Schulz needs of them: pairs, symmetry, `alpha` and a diagonal.
//!
//! Matrices are (S,M,K) in vectors of four. 2 S M N K floating-point operations; half of it for a result known to be
//! symmetric.

use super::gram::gram;
use super::tiles::{Tile, Tiles, tile_variant};
use super::transpose::transposed;
use crate::gpu::{Family, Shader, Slot};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Layout, Op, Tape, Type, Var};
use crate::{Error, Result};
use std::ops::RangeInclusive;

kernel_params! {
    struct MatmulParams {
        m: u32, n: u32, k: u32, alpha: f32, beta: f32, diagonal: f32, shared_a: u32, by_columns: u32, row_added: u32, relu: u32,
    }
}

static MATMUL: Shader = Shader::with_variants::<MatmulParams>(
    "products/matmul.wgsl",
    5,
    1,
    &[
        tile_variant!(16, 4, 4, 2, SYMMETRIC = 0, PAIR = 0, TURNED = 0),
        tile_variant!(8, 4, 2, 4, SYMMETRIC = 0, PAIR = 0, TURNED = 0),
        tile_variant!(8, 2, 1, 8, SYMMETRIC = 0, PAIR = 0, TURNED = 0),
        tile_variant!(16, 4, 4, 2, SYMMETRIC = 0, PAIR = 1, TURNED = 0),
        tile_variant!(8, 4, 2, 4, SYMMETRIC = 0, PAIR = 1, TURNED = 0),
        tile_variant!(8, 2, 1, 8, SYMMETRIC = 0, PAIR = 1, TURNED = 0),
        tile_variant!(16, 4, 4, 2, SYMMETRIC = 1, PAIR = 0, TURNED = 0),
        tile_variant!(8, 4, 2, 4, SYMMETRIC = 1, PAIR = 0, TURNED = 0),
        tile_variant!(8, 2, 1, 8, SYMMETRIC = 1, PAIR = 0, TURNED = 0),
        tile_variant!(16, 4, 4, 2, SYMMETRIC = 1, PAIR = 1, TURNED = 0),
        tile_variant!(8, 4, 2, 4, SYMMETRIC = 1, PAIR = 1, TURNED = 0),
        tile_variant!(8, 2, 1, 8, SYMMETRIC = 1, PAIR = 1, TURNED = 0),
        tile_variant!(16, 4, 4, 2, SYMMETRIC = 0, PAIR = 0, TURNED = 1),
        tile_variant!(8, 4, 2, 4, SYMMETRIC = 0, PAIR = 0, TURNED = 1),
        tile_variant!(8, 2, 1, 8, SYMMETRIC = 0, PAIR = 0, TURNED = 1),
    ],
);
static MATMUL_SUBGROUP: Shader = Shader::with_variants::<MatmulParams>(
    "products/matmul_subgroup.wgsl",
    5,
    1,
    &[
        tile_variant!(64, 1, 8, 1, SYMMETRIC = 0, PAIR = 0, TURNED = 0),
        tile_variant!(20, 3, 4, 2, SYMMETRIC = 0, PAIR = 0, TURNED = 0),
        tile_variant!(32, 1, 8, 1, SYMMETRIC = 0, PAIR = 0, TURNED = 0),
        tile_variant!(8, 1, 2, 4, SYMMETRIC = 0, PAIR = 0, TURNED = 0),
        tile_variant!(8, 1, 1, 8, SYMMETRIC = 0, PAIR = 0, TURNED = 0),
        tile_variant!(64, 1, 8, 1, SYMMETRIC = 0, PAIR = 1, TURNED = 0),
        tile_variant!(20, 3, 4, 2, SYMMETRIC = 0, PAIR = 1, TURNED = 0),
        tile_variant!(32, 1, 8, 1, SYMMETRIC = 0, PAIR = 1, TURNED = 0),
        tile_variant!(8, 1, 2, 4, SYMMETRIC = 0, PAIR = 1, TURNED = 0),
        tile_variant!(8, 1, 1, 8, SYMMETRIC = 0, PAIR = 1, TURNED = 0),
        tile_variant!(20, 3, 4, 2, SYMMETRIC = 1, PAIR = 0, TURNED = 1),
        tile_variant!(64, 1, 8, 1, SYMMETRIC = 1, PAIR = 0, TURNED = 1),
        tile_variant!(32, 1, 8, 1, SYMMETRIC = 1, PAIR = 0, TURNED = 1),
        tile_variant!(8, 1, 2, 4, SYMMETRIC = 1, PAIR = 0, TURNED = 1),
        tile_variant!(8, 1, 1, 8, SYMMETRIC = 1, PAIR = 0, TURNED = 1),
        tile_variant!(20, 3, 4, 2, SYMMETRIC = 1, PAIR = 1, TURNED = 1),
        tile_variant!(64, 1, 8, 1, SYMMETRIC = 1, PAIR = 1, TURNED = 1),
        tile_variant!(32, 1, 8, 1, SYMMETRIC = 1, PAIR = 1, TURNED = 1),
        tile_variant!(8, 1, 2, 4, SYMMETRIC = 1, PAIR = 1, TURNED = 1),
        tile_variant!(8, 1, 1, 8, SYMMETRIC = 1, PAIR = 1, TURNED = 1),
        tile_variant!(64, 1, 8, 1, SYMMETRIC = 0, PAIR = 0, TURNED = 1),
        tile_variant!(20, 3, 4, 2, SYMMETRIC = 0, PAIR = 0, TURNED = 1),
        tile_variant!(32, 1, 8, 1, SYMMETRIC = 0, PAIR = 0, TURNED = 1),
        tile_variant!(8, 1, 2, 4, SYMMETRIC = 0, PAIR = 0, TURNED = 1),
        tile_variant!(8, 1, 1, 8, SYMMETRIC = 0, PAIR = 0, TURNED = 1),
    ],
);
static MATMUL_SHARED: Shader = Shader::with_variants::<MatmulParams>(
    "products/matmul_shared.wgsl",
    5,
    1,
    &[
        tile_variant!(8, 2, 8, 8, SYMMETRIC = 0, PAIR = 0, TURNED = 0),
        tile_variant!(8, 1, 8, 8, SYMMETRIC = 0, PAIR = 0, TURNED = 0),
        tile_variant!(8, 1, 4, 16, SYMMETRIC = 0, PAIR = 0, TURNED = 0),
        tile_variant!(8, 2, 8, 8, SYMMETRIC = 0, PAIR = 1, TURNED = 0),
        tile_variant!(8, 1, 8, 8, SYMMETRIC = 0, PAIR = 1, TURNED = 0),
        tile_variant!(8, 1, 4, 16, SYMMETRIC = 0, PAIR = 1, TURNED = 0),
        tile_variant!(8, 2, 8, 8, SYMMETRIC = 1, PAIR = 0, TURNED = 0),
        tile_variant!(8, 1, 8, 8, SYMMETRIC = 1, PAIR = 0, TURNED = 0),
        tile_variant!(8, 1, 4, 16, SYMMETRIC = 1, PAIR = 0, TURNED = 0),
        tile_variant!(8, 2, 8, 8, SYMMETRIC = 1, PAIR = 1, TURNED = 0),
        tile_variant!(8, 1, 8, 8, SYMMETRIC = 1, PAIR = 1, TURNED = 0),
        tile_variant!(8, 1, 4, 16, SYMMETRIC = 1, PAIR = 1, TURNED = 0),
        tile_variant!(8, 2, 8, 8, SYMMETRIC = 0, PAIR = 0, TURNED = 1),
        tile_variant!(8, 1, 8, 8, SYMMETRIC = 0, PAIR = 0, TURNED = 1),
        tile_variant!(8, 1, 4, 16, SYMMETRIC = 0, PAIR = 0, TURNED = 1),
    ],
);
// A launch of one workgroup that shares rows takes Mesa's software driver milliseconds instead of 50 us (measured at 8 and 32
// columns): a tile is used from the first size on that fills more than one.
const TILES: Tiles = Tiles {
    alone: (&MATMUL, &[(32, [16, 4, 4, 2]), (5, [8, 4, 2, 4]), (1, [8, 2, 1, 8])]),
    subgroup: (
        &MATMUL_SUBGROUP,
        &[(17, [64, 1, 8, 1]), (10, [32, 1, 8, 1]), (9, [20, 3, 4, 2]), (3, [8, 1, 2, 4]), (1, [8, 1, 1, 8])],
    ),
    shared: Some((&MATMUL_SHARED, &[(16, [8, 2, 8, 8]), (5, [8, 1, 8, 8]), (1, [8, 1, 4, 16])])),
};
/// Rows of matrices that a tile of 32 rows would fill badly: those of 3x3 patches of 4 channels have a tile of their own.
const NARROW: RangeInclusive<usize> = 33..=36;
pub(in crate::ops) const SHADERS: &[&Shader] = &[&MATMUL, &MATMUL_SUBGROUP, &MATMUL_SHARED];

/// One product: `c = alpha (a b [+ a2 b2]) [+ beta added] + diagonal I`, or `c = relu(...)`.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops) struct Product {
    pub a: Slot,
    pub b: Slot,
    pub pair: Option<(Slot, Slot)>,
    pub alpha: f32,
    /// `(added, beta)`: a matrix where the result is symmetric, else for each batch a row that goes to all of its rows.
    pub added: Option<(Slot, f32)>,
    pub diagonal: f32,
    /// Follow up with `max(c, 0)`.
    pub relu: bool,
    /// The factors are symmetric and commute, so the result is symmetric: compute one triangle.
    pub symmetric: bool,
    /// `b` is given by its columns, as matrices (n,k).
    pub turned: bool,
    /// `a` is one matrix for all batches.
    pub shared_a: bool,
}

impl Product {
    pub fn new(a: Slot, b: Slot) -> Self {
        Self {
            a,
            b,
            pair: None,
            alpha: 1.0,
            added: None,
            diagonal: 0.0,
            relu: false,
            symmetric: false,
            turned: false,
            shared_a: false,
        }
    }

    /// Appends the launch; `[batches, m, n, k]`.
    pub fn launch(self, launch: &mut Launch<'_>, [batches, m, n, k]: [usize; 4], c: Slot) {
        let n4 = n.div_ceil(4);
        let family = launch.profile.family;
        // Factors of a symmetric product are symmetric, and lanes that walk along rows meet each cache line in one piece.
        let turned = self.turned || (self.symmetric && family == Family::Subgroup);
        let flags = [
            ("SYMMETRIC", u32::from(self.symmetric)),
            ("PAIR", u32::from(self.pair.is_some())),
            ("TURNED", u32::from(turned)),
        ];
        // On a CPU the smaller factor stays in a core's cache while the larger one passes once.
        let by_columns = family != Family::Shared && !self.symmetric && m < n;
        // Rows fill tiles as badly as columns.
        let narrow = family == Family::Subgroup && NARROW.contains(&m);
        let columns4 = if narrow { n4.min(NARROW.end() / 4) } else { n4 };
        let count = |[tm, tn, lx, ly]: Tile| {
            let all = batches * n4.div_ceil(lx * tn) * m.div_ceil(ly * tm);
            if self.symmetric { all.div_ceil(2) } else { all }
        };
        let Some((kernel, [tm, tn, lx, ly])) = TILES.choose_to_fill(launch, columns4, &flags, count) else { return };
        let (a2, b2) = self.pair.unwrap_or((self.a, self.b));
        let (added, beta) = self.added.unwrap_or((self.a, 0.0));
        let params = MatmulParams {
            m: m as u32,
            n: n as u32,
            k: k as u32,
            alpha: self.alpha,
            beta,
            diagonal: self.diagonal,
            shared_a: u32::from(self.shared_a),
            by_columns: u32::from(by_columns),
            row_added: u32::from(self.added.is_some() && !self.symmetric),
            relu: u32::from(self.relu),
        };
        let mut grid = [n4.div_ceil(lx * tn), m.div_ceil(ly * tm), batches].map(|v| v as u32);
        if by_columns {
            grid.swap(0, 1);
        }
        launch.dispatch(kernel, &params, &[self.a, self.b, a2, b2, added], &[c], grid);
    }
}

/// (S, rows, columns) of a batch of matrices.
pub(in crate::ops) fn matrix(op: &'static str, ty: &Type) -> Result<[usize; 3]> {
    match (ty.layout, ty.shape.as_slice()) {
        (Layout::Vec4, [s, m, n]) => Ok([*s, *m, *n]),
        _ => Err(Error::shape(op, format!("expected matrices (S,M,N) in vectors of four, found {ty}"))),
    }
}

/// `a b` of (S,M,K) and (S,K,N).
///
/// # Errors
/// The matrices do not fit.
pub fn matmul(tape: &mut Tape, a: Var, b: Var) -> Result<Var> {
    tape.apply1(Matmul, &[a, b])
}

/// `a b^T` of (S,M,K) and (S,N,K).
///
/// # Errors
/// The matrices do not fit.
pub fn matmul_nt(tape: &mut Tape, a: Var, b: Var) -> Result<Var> {
    tape.apply1(MatmulNt, &[a, b])
}

#[derive(Debug)]
struct Matmul;

impl Op for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let ([s, m, k], [s2, k2, n]) = (matrix("matmul", inputs[0])?, matrix("matmul", inputs[1])?);
        if (s, k) != (s2, k2) {
            return Err(Error::shape("matmul", format!("cannot multiply {} by {}", inputs[0], inputs[1])));
        }
        Ok(vec![Type::vec4(&[s2, m, n])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (a, b, g) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        let ga = if context.needs(0) { Some(matmul_nt(context.tape, g, b)?) } else { None };
        let gb = if context.needs(1) { Some(gram(context.tape, a, g)?) } else { None };
        Ok(vec![ga, gb])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ([s, m, k], n) = (dims(launch.inputs[0]), launch.outputs[0].inner());
        let c = launch.writes[0];
        Product::new(launch.reads[0], launch.reads[1]).launch(launch, [s, m, n, k], c);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![product(inputs[0], inputs[1])]
    }
}

#[derive(Debug)]
struct MatmulNt;

impl Op for MatmulNt {
    fn name(&self) -> &'static str {
        "matmul_nt"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let ([s, m, k], [s2, n, k2]) = (matrix(self.name(), inputs[0])?, matrix(self.name(), inputs[1])?);
        if (s, k) != (s2, k2) {
            let what = format!("cannot multiply {} by the transpose of {}", inputs[0], inputs[1]);
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![Type::vec4(&[s, m, n])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (a, b, g) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        let ga = if context.needs(0) { Some(matmul(context.tape, g, b)?) } else { None };
        let gb = if context.needs(1) { Some(gram(context.tape, g, a)?) } else { None };
        Ok(vec![ga, gb])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ([s, m, k], n) = (dims(launch.inputs[0]), launch.inputs[1].shape[1]);
        let (a, b, c) = (launch.reads[0], launch.reads[1], launch.writes[0]);
        Product { turned: true, ..Product::new(a, b) }.launch(launch, [s, m, n, k], c);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![product(inputs[0], &transposed(inputs[1]))]
    }
}

/// (S, M, N) of a type that `infer` has accepted.
pub(in crate::ops) fn dims(ty: &Type) -> [usize; 3] {
    [ty.shape[0], ty.shape[1], ty.shape[2]]
}

/// `a b` per batch on the CPU; `a` may be one for all.
pub(in crate::ops) fn product(a: &Array, b: &Array) -> Array {
    let (s, m, k, n) = (b.shape[0], a.shape[1], a.shape[2], b.shape[2]);
    let mut c = Array::zeros(&[s, m, n]);
    for batch in 0..s {
        for i in 0..m {
            for p in 0..k {
                let left = a.data[(batch % a.shape[0] * m + i) * k + p];
                for j in 0..n {
                    c.data[(batch * m + i) * n + j] += left * b.data[(batch * k + p) * n + j];
                }
            }
        }
    }
    c
}
