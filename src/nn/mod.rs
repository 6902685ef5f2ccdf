//! Networks, their layers, and modules of one's own.
//!
//! A [`Network`] is plain data; building it makes modules with tensors, whose names are PyTorch's keys. A layer of
//! one's own is a [`Module`] made of [`functional`] operations, given to a network by [`Layers::custom`]:
//!
//! ```
//! use mexhat::nn::{Conv, Forward, Module, Network, StateId, Var, functional};
//!
//! /// A product with a learned weight.
//! #[derive(Debug)]
//! struct Scale(StateId);
//!
//! impl Module for Scale {
//!     fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> mexhat::Result<Var> {
//!         let weight = ctx.tensor(self.0);
//!         functional::linear(ctx.tape, x, weight, None)
//!     }
//! }
//!
//! let mut net = Network::new([1, 28, 28]);
//! net.conv(Conv::new(16, 5)).relu().global_avg_pool().flatten();
//! net.custom("scale", |init, input| Ok(Box::new(Scale(init.uniform("weight", &[10, input[0]], input[0])))));
//! ```

mod batch_norm;
mod channel_deconv;
mod conv;
mod deconv;
mod group_norm;
mod init;
mod iter_norm;
pub(crate) mod iterations;
mod linear;
mod module;
mod network;
mod norm;
mod room;

use crate::{Result, ops};

// The modules that layers become, for the tests that hold them against references.
#[doc(hidden)]
pub use batch_norm::BatchNorm;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use batch_norm::EPS as BATCH_NORM_EPS;
#[doc(hidden)]
pub use channel_deconv::ChannelDeconv;
pub use channel_deconv::ChannelWhitening;
#[doc(hidden)]
pub use conv::Conv2d;
pub use deconv::Whitening;
#[doc(hidden)]
pub use deconv::{Delinear, FastDeconv, Folded};
#[doc(hidden)]
pub use group_norm::GroupNorm;
#[doc(hidden)]
pub use iter_norm::IterNorm;
#[doc(hidden)]
pub use linear::PlainLinear;
pub(crate) use network::CLASSES;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use network::named;
pub use network::{Conv, Custom, Init, Layer, Layers, Linear, Model, Network, Node, Watch};
pub(crate) use network::{block_fc, num_groups, scaled};
pub use norm::Norm;

#[doc(hidden)]
pub use module::{Activate, AdaptiveAvgPool, Dropout, Flatten, GlobalAvgPool, Interpolate, Sequential};
pub use module::{AvgPool, Forward, MaxPool, Mode, Module};

#[doc(inline)]
pub use crate::ops::BlockMode;
#[doc(inline)]
pub use crate::tape::{DType, State, StateId, Tape, Var};

pub mod functional;

/// The input of `count` images of (C, H, W).
pub(crate) fn images(tape: &mut Tape, count: usize, [c, h, w]: [usize; 3]) -> Var {
    tape.input("images", &[count, c, h, w], DType::F32)
}

/// The inputs of as many as bytes, with views and tables, and the images made of them.
///
/// # Errors
/// As [`ops::image_batch`](crate::ops::image_batch).
pub(crate) fn images_of_bytes(tape: &mut Tape, count: usize, shape: [usize; 3]) -> Result<Var> {
    let bytes = tape.input("bytes", &[count, ops::image_words(shape)], DType::U32);
    let views = tape.input("views", &[count, ops::VIEW], DType::U32);
    let tables = tape.input("tables", &[shape[0], 256], DType::F32);
    ops::image_batch(tape, [bytes, views, tables], shape)
}
