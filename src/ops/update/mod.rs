//! Updates of parameters.

pub(super) mod adam;
pub(super) mod sgd;
