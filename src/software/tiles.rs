//! The kernels of products in register tiles, in place of those for GPUs.
//!
//! A vector costs some hundred cycles to load, because lanes load by themselves, so large tiles compute faster; but
//! every multiply-add of a tile is compiled before the first step: with 16 vectors a product reaches more than 40 % of
//! its peak, 32 gain little, and each doubling takes three times as long to compile. So tiles are few, and of 16
//! vectors at most.

use crate::gpu::{Shader, Tiles};
use crate::ops::conv::{implicit, implicit_weight_grad};
use crate::ops::products::{gram, product};
use crate::tile_variants;

/// A kernel of the same parameters and bindings as that of `$of`, with tiles of its own.
macro_rules! instead {
    ($of:path, $flags:expr, $file:literal, $sizes:expr) => {
        Tiles { shader: Shader { file: $file, variants: tile_variants!($sizes, $flags), ..$of.shader }, sizes: $sizes }
    };
}

static MATMUL: Tiles =
    instead!(product::TILES, product::FLAGS, "software/matmul.wgsl", &[(5, [8, 4, 2, 4]), (1, [8, 2, 1, 8])]);
static MATMUL_SUBGROUP: Tiles = instead!(
    product::TILES,
    product::FLAGS,
    "software/matmul_subgroup.wgsl",
    // A launch of one workgroup that shares rows takes Mesa's software driver milliseconds instead of 50 us (measured
    // at 8 and 32 columns): a tile is used from the first size on that fills more than one.
    &[(9, [16, 1, 8, 1]), (3, [8, 1, 2, 4]), (1, [8, 1, 1, 8])]
);
static GRAM: Tiles = instead!(gram::TILES, gram::FLAGS, "software/gram.wgsl", &[(5, [4, 2, 4, 2]), (1, [4, 2, 1, 8])]);
static GRAM_SUBGROUP: Tiles = instead!(
    gram::TILES,
    gram::FLAGS,
    "software/gram_subgroup.wgsl",
    &[(8, [8, 1, 8, 1]), (2, [4, 1, 2, 4]), (1, [4, 1, 1, 8])]
);
static CONV: Tiles =
    instead!(implicit::TILES, implicit::FLAGS, "software/conv.wgsl", &[(5, [8, 4, 2, 4]), (1, [8, 2, 1, 8])]);
static CONV_SUBGROUP: Tiles = instead!(
    implicit::TILES,
    implicit::FLAGS,
    "software/conv_subgroup.wgsl",
    &[(8, [16, 1, 8, 1]), (4, [16, 1, 4, 2]), (2, [8, 1, 2, 4]), (1, [8, 1, 1, 8])]
);
static WEIGHT_GRAD: Tiles = instead!(
    implicit_weight_grad::TILES,
    &[&[]],
    "software/conv_weight_grad.wgsl",
    &[(5, [4, 2, 4, 2]), (1, [4, 2, 1, 8])]
);
static WEIGHT_GRAD_SUBGROUP: Tiles = instead!(
    implicit_weight_grad::TILES,
    &[&[]],
    "software/conv_weight_grad_subgroup.wgsl",
    &[(8, [8, 1, 8, 1]), (4, [4, 1, 4, 2]), (2, [4, 1, 2, 4]), (1, [4, 1, 1, 8])]
);
pub(super) const SHADERS: &[&Shader] = &[
    &MATMUL.shader,
    &MATMUL_SUBGROUP.shader,
    &GRAM.shader,
    &GRAM_SUBGROUP.shader,
    &CONV.shader,
    &CONV_SUBGROUP.shader,
    &WEIGHT_GRAD.shader,
    &WEIGHT_GRAD_SUBGROUP.shader,
];

/// Kernel of a GPU, of lanes alone, of lanes in subgroups.
static KERNELS: [[&Tiles; 3]; 4] = [
    [&product::TILES, &MATMUL, &MATMUL_SUBGROUP],
    [&gram::TILES, &GRAM, &GRAM_SUBGROUP],
    [&implicit::TILES, &CONV, &CONV_SUBGROUP],
    [&implicit_weight_grad::TILES, &WEIGHT_GRAD, &WEIGHT_GRAD_SUBGROUP],
];

fn instead_of(tiles: &'static Tiles, family: usize) -> &'static Tiles {
    KERNELS.iter().find(|row| row[0].shader.file == tiles.shader.file).map_or(tiles, |row| row[family])
}

pub(super) fn register(tiles: &'static Tiles) -> &'static Tiles {
    instead_of(tiles, 1)
}

pub(super) fn subgroup(tiles: &'static Tiles) -> &'static Tiles {
    instead_of(tiles, 2)
}
