//! Convolutions and linear layers. `weight.rs` and the geometry of `patches` say what is computed, `kind.rs` which
//! kernels do it; `conv2d.rs`, `input_grad.rs` and `weight_grad.rs` are the operations.

pub(super) mod centering;
pub(super) mod conv2d;
pub(super) mod depthwise;
pub(super) mod grouped;
pub(crate) mod implicit;
pub(crate) mod implicit_weight_grad;
mod input_grad;
mod kind;
mod params;
pub(super) mod pointwise;
mod reference;
pub(super) mod unpack;
mod weight;
pub(super) mod weight_columns;
mod weight_grad;
