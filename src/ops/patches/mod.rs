//! Patches of maps: where they lie, cut into blocks, gathered as rows, added back, and their covariance.

pub(super) mod blocks;
pub(super) mod covariance;
pub(super) mod geometry;
pub(super) mod im2col;
pub(super) mod second_moment;
