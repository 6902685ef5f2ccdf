//! Updates of parameters.

pub(super) mod adam;
pub(super) mod axpby;
pub(super) mod clip;
pub(super) mod grad_scaler;
pub(super) mod sgd;
pub(super) mod unscale;
