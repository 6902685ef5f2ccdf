//! Inverse square roots by Newton-Schulz iterations.

pub(super) mod fitted;
pub(super) mod large;
pub(super) mod small;
pub(super) mod steps;
