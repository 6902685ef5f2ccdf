//! What whitening does to weights and their means.

pub(super) mod feature_mean;
pub(super) mod fold_weight;
