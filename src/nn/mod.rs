//! Layers with parameters. Each knows its tensors in the [`State`](crate::tape::State) and appends itself to a tape; names
//! give PyTorch keys.

mod batch_norm;
mod channel_deconv;
mod conv;
mod deconv;
mod init;
mod linear;
mod module;

pub use batch_norm::BatchNorm;
pub use channel_deconv::ChannelDeconv;
pub use conv::Conv2d;
pub use deconv::{Delinear, FastDeconv, Folded, Whitening};
pub use linear::Linear;

pub use module::{Activate, AvgPool, Flatten, Forward, GlobalAvgPool, MaxPool, Mode, Module, Sequential};
