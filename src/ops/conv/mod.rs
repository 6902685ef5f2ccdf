//! Convolutions and linear layers.

pub(super) mod conv2d;
pub(super) mod depthwise;
pub(super) mod grouped;
pub(super) mod pointwise;
pub(super) mod weight_columns;
