//! Losses.

pub(super) mod cross_entropy;
pub(super) mod one_hot;
pub(super) mod pair_loss;
pub(super) mod softmax;
