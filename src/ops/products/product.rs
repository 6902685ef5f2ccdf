//! Launches of batched matrix products `c = a b`, and what Newton-Schulz needs of them: pairs, symmetry, `alpha` and a
//! diagonal.
//!
//! Matrices are (S,M,K) in vectors of four. 2 S M N K floating-point operations; half of it for a result known to be
//! symmetric.

use super::sum_parts::{SumParts, stored};
use super::tiles::choose_to_fill;
use crate::gpu::{Shader, Slot, Tile, Tiles};
use crate::tape::Launch;
use crate::{kernel_params, tile_variants};

kernel_params! {
    struct MatmulParams {
        m: u32, n: u32, k: u32, alpha: f32, beta: f32, diagonal: f32, shared_a: u32, row_added: u32, relu: u32,
        parts: u32, stages: u32,
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

/// Steps of k that GPUs stage at once, DEPTH in `shaders/shared/staged_body.wgsl`.
const DEPTH: usize = 16;

/// Rounds of a loop that a stage takes at most: kernels for CPUs take four steps at once.
const ROUNDS: usize = DEPTH / 4;

/// Stages of a part: of fewer its partial sum takes longer to be stored, and added by a launch of its own, than to be
/// computed.
const LEAST_STAGES: usize = 6;

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

    /// Tiles of one size that are computed, in all batches of (m,n).
    fn count(&self, [tm, tn, lx, ly]: Tile, [batches, m, n]: [usize; 3]) -> usize {
        let (height, width) = (ly * tm, lx * tn * 4);
        let columns = n.div_ceil(width);
        let below = |row: usize| if self.symmetric { row * height / width } else { 0 };
        batches * (0..m.div_ceil(height)).map(|row| columns - below(row)).sum::<usize>()
    }

    /// Appends the launch, or two where tiles are too few for a GPU and k is long, or k is longer than a driver loops:
    /// parts of k each, and their sum; `[batches, m, n, k]`.
    pub fn launch(self, launch: &mut Launch<'_>, [batches, m, n, k]: [usize; 4], c: Slot) {
        let n4 = n.div_ceil(4);
        let flags = [
            ("SYMMETRIC", u32::from(self.symmetric)),
            ("PAIR", u32::from(self.pair.is_some())),
            ("B_TRANSPOSED", u32::from(self.transposed)),
        ];
        let count = |tile| self.count(tile, [batches, m, n]);
        let Some((kernel, tile @ [tm, tn, lx, ly])) = choose_to_fill(&TILES, launch, n4, &flags, count) else { return };
        let stages = (k.div_ceil(DEPTH) * if self.pair.is_some() { 2 } else { 1 }).max(1);
        let most = if launch.profile.parts { (stages / LEAST_STAGES).max(1) } else { 1 };
        let wanted = launch.profile.workgroups.div_ceil(count(tile).max(1)).min(most);
        let stages_per_part = stages.div_ceil(wanted).min(launch.profile.rounds / ROUNDS);
        let parts = stages.div_ceil(stages_per_part);
        if !launch.profile.parts && self.pair.is_some() {
            launch.takes_rounds(stages * ROUNDS);
        }
        let partial = (parts > 1).then(|| launch.scratch("partial", stored([batches, parts, m, n])));
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
            parts: parts as u32,
            stages: stages_per_part as u32,
        };
        let grid = [n4.div_ceil(lx * tn), m.div_ceil(ly * tm), batches * parts].map(|v| v as u32);
        launch.dispatch(kernel, &params, &[self.a, self.b, a2, b2, added], &[partial.unwrap_or(c)], grid);
        if let Some(partial) = partial {
            let Self { alpha, added, diagonal, relu, symmetric, .. } = self;
            let sum = SumParts { alpha, added, diagonal, relu, symmetric };
            sum.launch(launch, [batches, parts, m, n], partial, c);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Result;
    use crate::gpu::Profile;
    use crate::ops::linear;
    use crate::tape::{Tape, Type, lower};

    /// Workgroups of the launches of a linear layer.
    fn grids(profile: Profile, rows: usize, features: usize, outputs: usize) -> Result<Vec<[u32; 3]>> {
        let mut tape = Tape::for_adapter(profile);
        let x = tape.resident("x", Type::vec4(&[rows, features]), false);
        let w = tape.resident("w", Type::plain(&[outputs, features]), false);
        let y = linear(&mut tape, x, w, None)?;
        tape.output(y);
        Ok(lower(&tape, profile)?.dispatches.iter().map(|dispatch| dispatch.grid).collect())
    }

    #[test]
    fn long_sums_of_few_tiles_are_computed_in_parts() -> Result<()> {
        // 18 tiles in 4 parts of 9 stages, or in the 6 that are long enough; then their sum.
        assert_eq!(grids(Profile::GPU, 576, 576, 64)?, [[2, 9, 4], [36, 1, 1]]);
        assert_eq!(grids(Profile::CARD, 576, 576, 64)?, [[2, 9, 6], [36, 1, 1]]);
        // 81 large tiles are enough for some and not for others; 36 stages.
        assert_eq!(grids(Profile::GPU, 576, 576, 576)?, [[9, 9, 1]]);
        assert_eq!(grids(Profile::CARD, 576, 576, 576)?, [[18, 9, 2], [324, 1, 1]]);
        // A part would be too short.
        assert_eq!(grids(Profile::CARD, 64, 176, 64)?, [[2, 1, 1]]);
        // CPUs have few cores.
        assert_eq!(grids(Profile { parts: false, ..Profile::CARD }, 576, 576, 64)?.len(), 1);
        Ok(())
    }
}
