//! Updates of parameters.

pub(super) mod accumulate;
pub(super) mod adam;

pub(super) mod clip;
pub(super) mod grad_scaler;
pub(super) mod sgd;
pub(super) mod unscale;
pub(super) mod weight_average;
