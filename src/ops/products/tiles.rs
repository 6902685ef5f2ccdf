//! Register tiles and lane shapes of the product kernels, chosen from a static table by adapter and size.
//!
//! The families are those of [`Family`]. On software adapters a vector costs some hundred cycles to load, because lanes load by
//! themselves, but every multiply-add of a tile is compiled before the first step: tiles of 64 vectors, which compute fastest, take three
//! times as long to compile as those of 16. So large tiles are for products that are large enough to earn that back, and all are few.

use crate::gpu::{Family, Kernel, Shader};
use crate::tape::Launch;

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
    /// The kernel for `columns4` vectors of columns, with the constants `flags` besides those of its tile; none, and a launch that is
    /// refused, where the shader has no such variant. What it leaves idle of an adapter is for the caller to fill, by splitting sums.
    pub fn choose(
        &self,
        launch: &mut Launch<'_>,
        columns4: usize,
        flags: &[(&'static str, u32)],
    ) -> Option<(Kernel, Tile)> {
        self.choose_to_fill(launch, columns4, flags, |_| usize::MAX)
    }

    /// As [`Tiles::choose`] where sums are not split: real GPUs that a product's largest tiles do not fill get the next smaller ones.
    /// `count` says how many tiles of a size a product has.
    pub fn choose_to_fill(
        &self,
        launch: &mut Launch<'_>,
        columns4: usize,
        flags: &[(&'static str, u32)],
        count: impl Fn(Tile) -> usize,
    ) -> Option<(Kernel, Tile)> {
        let profile = launch.profile;
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
        if variant.is_none() {
            launch.refuse(format!(
                "the kernel {} has no variant {constants:?}; this is a mistake in mexhat",
                shader.file
            ));
        }
        variant.map(|variant| (Kernel::new(shader, variant), tile))
    }
}

/// The constants of one tile followed by others, for a shader's list of variants.
macro_rules! tile_variant {
    ($tm:literal, $tn:literal, $lx:literal, $ly:literal $(, $name:ident = $value:literal)*) => {
        &[("TM", $tm), ("TN", $tn), ("LX", $lx), ("LY", $ly) $(, (stringify!($name), $value))*]
    };
}
pub(in crate::ops) use tile_variant;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;
    use crate::gpu::Profile;
    use crate::kernel_params;
    use crate::tape::{Array, Op, Tape, Type, lower};

    kernel_params! {
        struct NoParams { items: u32 }
    }
    static SHADER: Shader =
        Shader::with_variants::<NoParams>("none.wgsl", 0, 1, &[tile_variant!(8, 1, 8, 8, PAIR = 0)]);
    const TILES: Tiles = Tiles {
        alone: (&SHADER, &[(5, [8, 1, 8, 8]), (1, [4, 1, 4, 4])]),
        #[cfg(not(target_arch = "wasm32"))]
        subgroup: (&SHADER, &[(1, [8, 1, 8, 8])]),
        shared: None,
    };

    /// An operation that launches one kernel for so many vectors of columns.
    #[derive(Debug)]
    struct Tiled(usize, u32);

    impl Op for Tiled {
        fn name(&self) -> &'static str {
            "tiled"
        }

        fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
            Ok(vec![Type::plain(&[4])])
        }

        fn launch(&self, launch: &mut Launch<'_>) {
            let Some((kernel, _)) = TILES.choose(launch, self.0, &[("PAIR", self.1)]) else { return };
            let write = launch.writes[0];
            launch.flat(kernel, &NoParams { items: 1 }, &[], &[write], 1);
        }

        fn twin(&self, _: &[&Array]) -> Vec<Array> {
            vec![Array::zeros(&[4])]
        }
    }

    fn launches(op: Tiled) -> Result<usize> {
        let mut tape = Tape::new();
        let y = tape.apply1(op, &[])?;
        tape.output(y);
        Ok(lower(&tape, Profile::PORTABLE)?.dispatches.len())
    }

    #[test]
    fn a_missing_variant_is_an_error_that_names_kernel_and_constants() -> Result<()> {
        assert_eq!(launches(Tiled(5, 0))?, 1);
        for (op, constants) in [
            (Tiled(1, 0), r#"[("TM", 4), ("TN", 1), ("LX", 4), ("LY", 4), ("PAIR", 0)]"#),
            (Tiled(5, 1), r#"[("TM", 8), ("TN", 1), ("LX", 8), ("LY", 8), ("PAIR", 1)]"#),
        ] {
            let found = launches(op).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(found.contains(&format!("tiled: the kernel none.wgsl has no variant {constants}")), "'{found}'");
        }
        Ok(())
    }

    #[test]
    fn a_tape_for_one_adapter_is_refused_for_another() -> Result<()> {
        let record = |tape: &mut Tape| -> Result<()> {
            let y = tape.apply1(Tiled(5, 0), &[])?;
            tape.output(y);
            Ok(())
        };
        let other = Profile { software: false, ..Profile::PORTABLE };
        let (mut own, mut any) = (Tape::for_adapter(Profile::PORTABLE), Tape::new());
        record(&mut own)?;
        record(&mut any)?;
        assert!(lower(&own, Profile::PORTABLE).is_ok() && lower(&any, other).is_ok());
        let found = lower(&own, other).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(found.contains("recorded for an adapter of"), "'{found}'");
        Ok(())
    }
}
