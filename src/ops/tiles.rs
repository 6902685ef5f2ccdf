//! Register tiles and lane shapes of the product kernels, chosen from a static table by adapter and size.
//!
//! The families are those of [`Family`]. A tile costs its loads far more than its multiply-adds on software adapters (about 50 cycles
//! for a vector, because each of eight lanes loads by itself), so theirs are large. Those of lanes that work alone stop
//! where a browser's software adapter would take seconds to compile one: each loaded vector becomes some sixty branches there. For
//! the same reason they are few.

use crate::gpu::{Family, Kernel, Profile, Shader};

/// `[TM, TN, LX, LY]`: an invocation owns TM rows (vectors of rows in reductions over rows) and TN vectors of columns; LX lanes lie along the columns, LY along the rows.
pub(super) type Tile = [usize; 4];

/// The tiles of one kernel in both families, each with the least number of column vectors that it is for.
pub(super) struct Tiles {
    pub alone: (&'static Shader, &'static [(usize, Tile)]),
    pub subgroup: (&'static Shader, &'static [(usize, Tile)]),
    /// Where there is none, lanes work alone.
    pub shared: Option<(&'static Shader, &'static [(usize, Tile)])>,
}

impl Tiles {
    /// The kernel for `columns4` vectors of columns. `set` numbers the sets of variants that share one tile table, such as
    /// plain and transposed.
    pub fn choose(&self, profile: Profile, columns4: usize, set: usize) -> (Kernel, Tile) {
        let (shader, table) = match profile.family {
            Family::Subgroup => self.subgroup,
            Family::Shared => self.shared.unwrap_or(self.alone),
            Family::Register => self.alone,
        };
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
