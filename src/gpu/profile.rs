//! What differs between adapters: which kernels they are given, and what becomes of programs and of the text of
//! shaders.

use super::{Program, Shader};
use std::fmt;

/// `[TM, TN, LX, LY]`: an invocation owns TM rows (vectors of rows in reductions over rows) and TN vectors of columns;
/// LX lanes lie along the columns, LY along the rows.
pub type Tile = [usize; 4];

/// A kernel of products with the tiles that it is shipped with.
#[derive(Debug)]
pub struct Tiles {
    /// The kernel; its variants are each tile with each set of other constants, see
    /// [`tile_variants`](crate::tile_variants).
    pub shader: Shader,
    /// Each tile with the least number of column vectors that it is for, the widest first.
    pub sizes: &'static [(usize, Tile)],
}

/// How an adapter is served. Its hooks change nothing for GPUs; what they do for adapters that compute on the CPU is in
/// [`software`](crate::software).
#[derive(Clone, Copy)]
pub struct Profile {
    /// For people and reports; no two profiles of one number of processes have the same.
    pub name: &'static str,
    /// Workgroups of 64 that keep it busy; WebGPU does not report cores, so by the class of the adapter. Products of
    /// fewer tiles are given smaller ones, or more workgroups that share a sum.
    pub workgroups: usize,
    /// Whether products of too few tiles to fill it are given smaller ones, and computed in parts of their sums.
    pub parts: bool,
    /// Invocations that sums of the weights' gradients are cut up for, where they have kernels of their own.
    pub gradient_sums: usize,
    /// Invocations that sums over columns are cut up for, beyond what keeps their rounding small; 0 for no more than
    /// that.
    pub column_sums: usize,
    /// Vectors that stay in the cache of a core while it sums a weight's gradient, in no longer parts; [`usize::MAX`]
    /// where none does.
    pub cached: usize,
    /// Rows that an invocation of a depthwise convolution walks down.
    pub strip: usize,
    /// Whether all Newton-Schulz iterations of a small matrix are one launch.
    pub whole_newton_schulz: bool,
    /// Rounds of all its loops together that one invocation may take. Some drivers end loops without a word, see
    /// [`software`](crate::software).
    pub rounds: usize,
    /// The kernel and tiles in place of those for GPUs.
    pub tiles: fn(&'static Tiles) -> &'static Tiles,
    /// Processes that train as one, each on a device of its own: statistics and gradients are averaged over them.
    pub processes: usize,
    /// A pass over a recorded program: more resources, and copies between them.
    pub program: fn(&mut Program),
    /// A pass over the text of a shader.
    pub text: fn(String) -> String,
}

impl Profile {
    /// What GPUs are given, and every adapter can run: those of laptops and phones, and all in a browser, which does
    /// not say more.
    pub const GPU: Self = Self {
        name: "gpu",
        workgroups: 64,
        parts: true,
        gradient_sums: 65_536,
        column_sums: 32_768,
        cached: usize::MAX,
        strip: 8,
        whole_newton_schulz: true,
        rounds: usize::MAX,
        tiles: |tiles| tiles,
        processes: 1,
        program: |_| {},
        text: |text| text,
    };

    /// What cards are given: four for each core of a middling one.
    pub const CARD: Self = Self { name: "card", workgroups: 256, ..Self::GPU };
}

impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.processes) == (other.name, other.processes)
    }
}

impl Eq for Profile {}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Each tile with each set of other constants: the variants of a kernel of products.
pub const fn crossed<const WIDTH: usize, const COUNT: usize>(
    sizes: &[(usize, Tile)],
    flags: &[&[(&'static str, u32)]],
) -> [[(&'static str, u32); WIDTH]; COUNT] {
    const NAMES: [&str; 4] = ["TM", "TN", "LX", "LY"];
    let mut all = [[("", 0); WIDTH]; COUNT];
    let mut i = 0;
    while i < COUNT {
        let (tile, flags) = (sizes[i % sizes.len()].1, flags[i / sizes.len()]);
        let mut j = 0;
        while j < WIDTH {
            all[i][j] = if j < NAMES.len() { (NAMES[j], tile[j] as u32) } else { flags[j - NAMES.len()] };
            j += 1;
        }
        i += 1;
    }
    all
}

/// The variants of a kernel of products: each of its tiles with each set of other constants.
#[doc(hidden)]
#[macro_export]
macro_rules! tile_variants {
    ($sizes:expr, $flags:expr) => {{
        const TILE_SIZES: &[(usize, $crate::gpu::Tile)] = $sizes;
        const OTHERS: &[&[(&str, u32)]] = $flags;
        const COUNT: usize = TILE_SIZES.len() * OTHERS.len();
        static ALL: [[(&str, u32); 4 + OTHERS[0].len()]; COUNT] = $crate::gpu::crossed(TILE_SIZES, OTHERS);
        const EACH: [&[(&str, u32)]; COUNT] = {
            let mut each: [&[(&str, u32)]; COUNT] = [&[]; COUNT];
            let mut i = 0;
            while i < COUNT {
                each[i] = &ALL[i];
                i += 1;
            }
            each
        };
        &EACH
    }};
}

#[cfg(test)]
mod tests {

    #[test]
    fn variants_are_tiles_times_flags() {
        let variants: &[&[(&str, u32)]] =
            tile_variants!(&[(5, [8, 1, 8, 4]), (1, [4, 2, 3, 9])], &[&[("PAIR", 0)], &[("PAIR", 1)]]);
        let of = |[tm, tn, lx, ly, pair]: [u32; 5]| [("TM", tm), ("TN", tn), ("LX", lx), ("LY", ly), ("PAIR", pair)];
        let expected = [[8, 1, 8, 4, 0], [4, 2, 3, 9, 0], [8, 1, 8, 4, 1], [4, 2, 3, 9, 1]].map(of);
        assert_eq!(variants, expected.each_ref().map(|variant| &variant[..]));
        assert_eq!(tile_variants!(&[(1, [4, 2, 3, 9])], &[&[]]).len(), 1);
    }
}
