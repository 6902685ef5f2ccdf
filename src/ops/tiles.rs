//! Register tiles and lane shapes of the product kernels, chosen from a static table by adapter and size.
//!
//! Two families: lanes that work alone (every adapter) and lanes of a subgroup of eight that pass rows around (native
//! adapters with exactly that subgroup, such as Mesa's software driver).

use crate::gpu::{Family, Kernel, Profile, Shader};

/// `[TM, TN, LX, LY]`: an invocation owns TM rows and TN vectors of columns; LX lanes lie along the columns, LY along the rows.
pub(super) type Tile = [usize; 4];

/// The tiles of one kernel in both families, each with the least number of column vectors that it is for.
pub(super) struct Tiles {
    pub alone: (&'static Shader, &'static [(usize, Tile)]),
    pub subgroup: (&'static Shader, &'static [(usize, Tile)]),
}

impl Tiles {
    /// The kernel for `columns4` vectors of columns. `set` numbers the sets of variants that share one tile table, such as
    /// plain and transposed.
    pub fn choose(&self, profile: Profile, columns4: usize, set: usize) -> (Kernel, Tile) {
        let (shader, table) = if profile.family == Family::Subgroup { self.subgroup } else { self.alone };
        let index = table.iter().position(|(least, _)| columns4 >= *least).unwrap_or(table.len() - 1);
        (Kernel::new(shader, set * table.len() + index), table[index].1)
    }
}

/// The constants of one tile followed by others, for a shader's list of variants.
macro_rules! tile_variant {
    ($tm:literal, $tn:literal, $lx:literal, $ly:literal $(, $name:ident = $value:literal)*) => {
        &[("TM", $tm), ("TN", $tn), ("LX", $lx), ("LY", $ly) $(, (stringify!($name), $value))*]
    };
}
pub(super) use tile_variant;
