//! Register tiles and lane shapes of the product kernels, chosen from a static table by adapter and size.
//!
//! The families are those of [`Family`]. On software adapters a vector costs some hundred cycles to load, because lanes load by
//! themselves, but every multiply-add of a tile is compiled before the first step: tiles of 64 vectors, which compute fastest, take three
//! times as long to compile as those of 16. So large tiles are for products that are large enough to earn that back, and all are few.

use crate::gpu::{Family, Kernel, Profile, Shader};

/// `[TM, TN, LX, LY]`: an invocation owns TM rows (vectors of rows in reductions over rows) and TN vectors of columns; LX lanes lie along the columns, LY along the rows.
pub(in crate::ops) type Tile = [usize; 4];

/// Workgroups of 64 that fill a real GPU: two for each core of a middling card. WebGPU does not report cores; smaller GPUs are filled by fewer, and
/// lose little by smaller tiles.
const FILLING: usize = 128;

/// The tiles of one kernel in both families, each with the least number of column vectors that it is for.
pub(in crate::ops) struct Tiles {
    pub alone: (&'static Shader, &'static [(usize, Tile)]),
    pub subgroup: (&'static Shader, &'static [(usize, Tile)]),
    /// Where there is none, lanes work alone.
    pub shared: Option<(&'static Shader, &'static [(usize, Tile)])>,
}

impl Tiles {
    /// The kernel for `columns4` vectors of columns, with the constants `flags` besides those of its tile. What it leaves idle of an adapter
    /// is for the caller to fill, by splitting sums.
    pub fn choose(&self, profile: Profile, columns4: usize, flags: &[(&'static str, u32)]) -> (Kernel, Tile) {
        self.choose_to_fill(profile, columns4, flags, |_| usize::MAX)
    }

    /// As [`Tiles::choose`] where sums are not split: real GPUs that a product's largest tiles do not fill get the next smaller ones.
    /// `count` says how many tiles of a size a product has.
    pub fn choose_to_fill(
        &self,
        profile: Profile,
        columns4: usize,
        flags: &[(&'static str, u32)],
        count: impl Fn(Tile) -> usize,
    ) -> (Kernel, Tile) {
        let (shader, table) = match profile.family {
            Family::Subgroup => self.subgroup,
            Family::Shared => self.shared.unwrap_or(self.alone),
            _ => self.alone,
        };
        let widest = table.iter().position(|(least, _)| columns4 >= *least).unwrap_or(table.len() - 1);
        let real = profile.family == Family::Shared && !profile.software;
        // The tiles behind the second are for few columns and waste what many have.
        let index = usize::from(real && widest == 0 && count(table[0].1) < FILLING).max(widest);
        let tile = table[index].1;
        let sizes = ["TM", "TN", "LX", "LY"].into_iter().zip(tile.map(|size| size as u32));
        let constants: Vec<_> = sizes.chain(flags.iter().copied()).collect();
        let variant = shader.variants.iter().position(|variant| constants.iter().all(|one| variant.contains(one)));
        debug_assert!(variant.is_some(), "{} ships no {constants:?}", shader.file);
        (Kernel::new(shader, variant.unwrap_or_default()), tile)
    }
}

/// The constants of one tile followed by others, for a shader's list of variants.
macro_rules! tile_variant {
    ($tm:literal, $tn:literal, $lx:literal, $ly:literal $(, $name:ident = $value:literal)*) => {
        &[("TM", $tm), ("TN", $tn), ("LX", $lx), ("LY", $ly) $(, (stringify!($name), $value))*]
    };
}
pub(in crate::ops) use tile_variant;
