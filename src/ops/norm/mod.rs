//! Normalisation, and the averages that it takes.

pub(super) mod batch_norm;
pub(super) mod first_average;
pub(super) mod group_norm;
pub(super) mod running_average;
pub(super) mod scalar_norm;
