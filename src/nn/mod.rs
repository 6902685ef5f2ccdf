//! Layers with parameters. Each knows its tensors in the [`State`](crate::tape::State) and appends itself to a tape; names
//! give PyTorch keys.

mod batch_norm;
mod channel_deconv;
mod conv;
mod deconv;
mod init;
mod linear;
mod module;
mod network;
mod norm;

pub use batch_norm::BatchNorm;
pub use channel_deconv::{ChannelDeconv, ChannelWhitening};
pub use conv::Conv2d;
pub use deconv::{Delinear, FastDeconv, Folded, Whitening};
pub use linear::PlainLinear;
pub use network::{Conv, Custom, Init, Layer, Layers, Linear, Model, Network, Node, Watch};
pub use norm::Norm;

pub use module::{
    Activate, AdaptiveAvgPool, AvgPool, Dropout, Flatten, Forward, GlobalAvgPool, MaxPool, Mode, Module, Resize,
    Sequential,
};
