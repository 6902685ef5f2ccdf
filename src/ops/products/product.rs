//! Launches of batched matrix products `c = a b`, and what Newton-Schulz needs of them: pairs, symmetry, `alpha` and a diagonal.
//!
//! Matrices are (S,M,K) in vectors of four. 2 S M N K floating-point operations; half of it for a result known to be
//! symmetric.

use super::tiles::choose_to_fill;
use crate::gpu::{Shader, Slot, Tile, Tiles};
use crate::tape::Launch;
use crate::{kernel_params, tile_variants};

kernel_params! {
    struct MatmulParams {
        m: u32, n: u32, k: u32, alpha: f32, beta: f32, diagonal: f32, shared_a: u32, row_added: u32, relu: u32,
    }
}

/// No pair is transposed, nor are symmetric factors.
pub(crate) const FLAGS: &[&[(&str, u32)]] = &[
    &[("SYMMETRIC", 0), ("PAIR", 0), ("B_TRANSPOSED", 0)],
    &[("SYMMETRIC", 0), ("PAIR", 1), ("B_TRANSPOSED", 0)],
    &[("SYMMETRIC", 1), ("PAIR", 0), ("B_TRANSPOSED", 0)],
    &[("SYMMETRIC", 1), ("PAIR", 1), ("B_TRANSPOSED", 0)],
    &[("SYMMETRIC", 0), ("PAIR", 0), ("B_TRANSPOSED", 1)],
];
const SIZES: &[(usize, Tile)] = &[(16, [8, 2, 8, 8]), (5, [8, 1, 8, 8]), (1, [8, 1, 4, 16])];
pub(crate) static TILES: Tiles = Tiles {
    shader: Shader::with_variants::<MatmulParams>("products/matmul.wgsl", 5, 1, tile_variants!(SIZES, FLAGS)),
    sizes: SIZES,
};
pub(in crate::ops) const SHADERS: &[&Shader] = &[&TILES.shader];

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
    pub transposed: bool,
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
            transposed: false,
            shared_a: false,
        }
    }

    /// Appends the launch; `[batches, m, n, k]`.
    pub fn launch(self, launch: &mut Launch<'_>, [batches, m, n, k]: [usize; 4], c: Slot) {
        let n4 = n.div_ceil(4);
        let flags = [
            ("SYMMETRIC", u32::from(self.symmetric)),
            ("PAIR", u32::from(self.pair.is_some())),
            ("B_TRANSPOSED", u32::from(self.transposed)),
        ];
        let count = |[tm, tn, lx, ly]: Tile| {
            let all = batches * n4.div_ceil(lx * tn) * m.div_ceil(ly * tm);
            if self.symmetric { all.div_ceil(2) } else { all }
        };
        let Some((kernel, [tm, tn, lx, ly])) = choose_to_fill(&TILES, launch, n4, &flags, count) else { return };
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
            row_added: u32::from(self.added.is_some() && !self.symmetric),
            relu: u32::from(self.relu),
        };
        let grid = [n4.div_ceil(lx * tn), m.div_ceil(ly * tm), batches].map(|v| v as u32);
        launch.dispatch(kernel, &params, &[self.a, self.b, a2, b2, added], &[c], grid);
    }
}
