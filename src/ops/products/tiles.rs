//! The choice of a tile for a kernel of products, from the table of the adapter's profile by size.

use crate::gpu::{Kernel, Tile, Tiles};
use crate::tape::Launch;

/// Sums over rows and pixels are long and cheap to split: into so many times the workgroups that an adapter wants.
pub(in crate::ops) const LONG_SUM: usize = 8;

/// The kernel for `columns4` vectors of columns, with the constants `flags` besides those of its tile; none, and a
/// launch that is refused, where the shader has no such variant. What it leaves idle of an adapter is for the caller to
/// fill, by splitting sums.
pub(in crate::ops) fn choose(
    tiles: &'static Tiles,
    launch: &mut Launch<'_>,
    columns4: usize,
    flags: &[(&'static str, u32)],
) -> Option<(Kernel, Tile)> {
    choose_to_fill(tiles, launch, columns4, flags, |_| usize::MAX)
}

/// As [`choose`], of what adapters that take products in parts get the next smaller tiles where the largest ones do not
/// fill them: they leave less to fill by parts of sums, which have to be stored. `count` says how many tiles of a size
/// a product has.
pub(in crate::ops) fn choose_to_fill(
    tiles: &'static Tiles,
    launch: &mut Launch<'_>,
    columns4: usize,
    flags: &[(&'static str, u32)],
    count: impl Fn(Tile) -> usize,
) -> Option<(Kernel, Tile)> {
    let Tiles { shader, sizes } = (launch.profile.tiles)(tiles);
    let widest = sizes.iter().position(|(least, _)| columns4 >= *least).unwrap_or(sizes.len() - 1);
    // The tiles behind the second are for few columns and waste what many have.
    let idle = launch.profile.parts && widest == 0 && count(sizes[0].1) < launch.profile.workgroups;
    let tile = sizes[widest.max(usize::from(idle))].1;
    let names = ["TM", "TN", "LX", "LY"].into_iter().zip(tile.map(|size| size as u32));
    let constants: Vec<_> = names.chain(flags.iter().copied()).collect();
    let variant = shader.variants.iter().position(|variant| **variant == *constants);
    if variant.is_none() {
        launch.refuse(format!("the kernel {} has no variant {constants:?}; this is a mistake in mexhat", shader.file));
    }
    variant.map(|variant| (Kernel::new(shader, variant), tile))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;
    use crate::gpu::{Profile, Shader};
    use crate::tape::{Array, Op, Tape, Type, lower};
    use crate::{kernel_params, tile_variants};

    kernel_params! {
        struct NoParams { items: u32 }
    }
    static TILES: Tiles = Tiles {
        shader: Shader::with_variants::<NoParams>(
            "none.wgsl",
            0,
            1,
            tile_variants!(&[(5, [8, 1, 8, 8])], &[&[("PAIR", 0)]]),
        ),
        sizes: &[(5, [8, 1, 8, 8]), (1, [4, 1, 4, 4])],
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
            let Some((kernel, _)) = choose(&TILES, launch, self.0, &[("PAIR", self.1)]) else { return };
            let write = launch.writes[0];
            launch.flat(kernel, &NoParams { items: 1 }, &[], &[write], 1);
        }

        fn reference(&self, _: &[&Array]) -> Vec<Array> {
            vec![Array::zeros(&[4])]
        }
    }

    fn launches(op: Tiled) -> Result<usize> {
        let mut tape = Tape::new();
        let y = tape.apply1(op, &[])?;
        tape.output(y);
        Ok(lower(&tape, Profile::GPU)?.dispatches.len())
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
        let other = Profile { name: "another", ..Profile::GPU };
        let (mut own, mut any) = (Tape::for_adapter(Profile::GPU), Tape::new());
        record(&mut own)?;
        record(&mut any)?;
        assert!(lower(&own, Profile::GPU).is_ok() && lower(&any, other).is_ok());
        let found = lower(&own, other).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(found.contains("recorded for an adapter of"), "'{found}'");
        Ok(())
    }
}
