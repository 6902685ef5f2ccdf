//! Updates of parameters.

pub(super) mod adam;
pub(super) mod axpby;
pub(super) mod clip;
pub(super) mod sgd;
