//! What whitening does to weights and rows.

pub(super) mod feature_mean;
pub(super) mod fold_weight;
pub(super) mod row_mean;
