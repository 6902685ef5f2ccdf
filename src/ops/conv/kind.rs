//! Which kernels compute a convolution.

use super::pointwise;
use super::weight::Weight;
use crate::gpu::Profile;
use crate::ops::patches::geometry::Geometry;

/// The kinds of convolutions, each with kernels of its own in every direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// More than one group (`grouped.rs`, and `depthwise.rs` for the usual depthwise ones).
    Grouped,
    /// A plain product of pixels and weight (`pointwise.rs`).
    Product,
    /// An implicit product, any other (`implicit.rs`, `implicit_weight_grad.rs`).
    Implicit,
}

impl Kind {
    pub fn of(g: &Geometry, weight: &Weight) -> Self {
        match g.options.groups {
            1 if pointwise::suits(g, weight) => Self::Product,
            1 => Self::Implicit,
            _ => Self::Grouped,
        }
    }

    /// As [`Kind::of`] at a launch, which may add a map: long sums over few pixels, such as a linear layer's, are
    /// products where those are computed in parts.
    pub fn launched(g: &Geometry, weight: &Weight, profile: Profile, adds: bool) -> Self {
        if profile.parts && !adds && pointwise::fits(g, weight) { Self::Product } else { Self::of(g, weight) }
    }

    /// Whether its kernels add a map to what they compute.
    pub fn adds(self) -> bool {
        self == Self::Implicit
    }
}
