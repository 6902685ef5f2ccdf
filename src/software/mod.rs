//! Everything that exists only because a CPU computes: what adapters that do are given in place of what GPUs are.
//!
//! The engine asks by the hooks of a [`Profile`] and knows nothing of this. On such adapters
//! - kernels of products work in register tiles, by lanes alone or in subgroups of exactly 8 (`tiles.rs`);
//! - no invocation loops for longer than Mesa's driver lets it, which ends loops after 65,535 rounds and goes on as if
//!   nothing had been;
//! - kernels load their inputs from images rather than buffers: `images.rs` copies them there, `text.rs` rewrites the
//!   loads.
//!
//! Measured on lavapipe, a training step of the yardstick takes 1.5 to 1.8 times as long by lanes alone as in
//! subgroups, and three times as long from buffers as from images.

mod images;
mod text;
mod tiles;

use crate::gpu::{AdapterKind, AdapterSummary, Profile, Shader, TextPass, Tiles};
use crate::named::named;
use crate::{Error, Result};

/// Every kernel of this room, for the tests of shaders.
pub const SHADERS: &[&Shader] = tiles::SHADERS;

named! {
    /// How the kernels of matrix products and convolutions share what they load.
    pub enum Family: "family of kernels" {
        /// Register tiles, nothing shared: every adapter can run it.
        Register = "register",
        /// Register tiles whose rows are passed around in a subgroup of exactly 8 lanes.
        Subgroup = "subgroup",
        /// What GPUs are given, tiles staged in workgroup memory; every adapter can run it.
        Shared = "shared",
    }
}

named! {
    /// Where kernels load their inputs from.
    pub enum Loads: "place to load from" {
        /// The storage buffers themselves.
        Buffers = "buffers",
        /// Images that the buffers are copied to before a launch.
        Textures = "textures",
    }
}

impl From<Loads> for TextPass {
    fn from(loads: Loads) -> Self {
        Self(match loads {
            Loads::Buffers => |text| text,
            Loads::Textures => |text| text::from_images(&text),
        })
    }
}

/// What is asked for in place of an adapter's own profile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Kernels of products.
    pub family: Option<Family>,
    /// Where kernels load from.
    pub loads: Option<Loads>,
}

const LANES: u32 = 8;

fn has_lanes(adapter: &AdapterSummary) -> bool {
    adapter.subgroup == (LANES, LANES)
}

/// Rounds of its loops after which Mesa's driver ends them (`LP_MAX_TGSI_LOOP_ITERATIONS` in its source); other drivers
/// do not.
const MOST_ROUNDS: usize = 65_535;

/// What is chosen for few lanes, where tiny launches are dear: they are kept busy by little, and each part of a sum has
/// to be stored and added again.
const FEW_LANES: Profile = Profile {
    workgroups: 8,
    parts: false,
    gradient_sums: 1024,
    column_sums: 0,
    cached: 1 << 16,
    strip: 32,
    whole_newton_schulz: false,
    ..Profile::GPU
};

fn of(adapter: &AdapterSummary, family: Family, loads: Loads) -> Profile {
    let rounds = if adapter.is_software() { MOST_ROUNDS } else { usize::MAX };
    let (name, tiles): (_, fn(&'static Tiles) -> &'static Tiles) = match (family, loads) {
        (Family::Shared, Loads::Buffers) if adapter.kind == AdapterKind::Discrete => return Profile::CARD,
        (Family::Shared, Loads::Buffers) => return Profile { rounds, ..Profile::GPU },
        (Family::Shared, Loads::Textures) => ("gpu, textures", Profile::GPU.tiles),
        (Family::Register, Loads::Buffers) => ("register, buffers", tiles::register),
        (Family::Register, Loads::Textures) => ("register, textures", tiles::register),
        (Family::Subgroup, Loads::Buffers) => ("subgroup, buffers", tiles::subgroup),
        (Family::Subgroup, Loads::Textures) => ("subgroup, textures", tiles::subgroup),
    };
    let own = match family {
        Family::Shared => Profile { name, rounds, ..Profile::GPU },
        Family::Register | Family::Subgroup => Profile { name, rounds, tiles, ..FEW_LANES },
    };
    match loads {
        Loads::Buffers => own,
        Loads::Textures => Profile { program: images::copy_inputs, text: |text| text::from_images(&text), ..own },
    }
}

/// The profile of `adapter`, as far as `wish` does not ask for another one.
///
/// # Errors
/// Subgroups are asked for where the adapter has none of that size.
pub fn profile(adapter: &AdapterSummary, wish: Wish) -> Result<Profile> {
    let own = match (adapter.is_software(), has_lanes(adapter)) {
        (false, _) => (Family::Shared, Loads::Buffers),
        (true, true) => (Family::Subgroup, Loads::Textures),
        (true, false) => (Family::Register, Loads::Textures),
    };
    let (family, loads) = (wish.family.unwrap_or(own.0), wish.loads.unwrap_or(own.1));
    if family == Family::Subgroup && !has_lanes(adapter) {
        let (name, (least, most)) = (&adapter.name, adapter.subgroup);
        return Err(Error::Usage(format!(
            "kernels in subgroups need subgroups of exactly {LANES} lanes; '{name}' has {least} to {most}; \
             expected register or shared"
        )));
    }
    Ok(of(adapter, family, loads))
}

/// `own`, the profile of an adapter, and the others that it can run on the same device, for tests: those that load
/// alike, and the kernels of GPUs as the smallest one would have them, in large tiles and few parts.
pub fn profiles(adapter: &AdapterSummary, own: Profile) -> Vec<Profile> {
    let families = [Family::Register, Family::Subgroup, Family::Shared].into_iter();
    let families: Vec<Family> = families.filter(|family| *family != Family::Subgroup || has_lanes(adapter)).collect();
    let of_all = |loads| {
        let small = Profile { name: "gpu, two workgroups", workgroups: 2, ..of(adapter, Family::Shared, loads) };
        families.iter().map(|family| of(adapter, *family, loads)).chain([small]).collect::<Vec<_>>()
    };
    let all = [Loads::Buffers, Loads::Textures].map(of_all);
    let mut alike = all.into_iter().find(|alike| alike.contains(&own)).unwrap_or_default();
    alike.sort_by_key(|profile| *profile != own);
    alike
}
