//! Operations on values of a tape, of which modules and losses are made. Each says its shapes, formula and errors;
//! gradients come by themselves. [`Tape::compute`](super::Tape::compute) tries them out on a few values, without a GPU.
//!
//! ```
//! use mexhat::nn::{Tape, functional as f};
//! use mexhat::train::Loss;
//! let least_squares = Loss::labels(|tape: &mut Tape, output, labels| f::least_squares_labels(tape, output, labels));
//! ```

#[doc(inline)]
pub use crate::ops::{
    Activation, ConvOptions, Epilogue, NormOptions, activation, adaptive_avg_pool2d, add, add_relu, avg_pool2d,
    binary_cross_entropy_with_logits, concat, constant, conv2d, cross_entropy, dropout, flatten, global_avg_pool,
    group_norm, interpolate, least_squares, least_squares_labels, linear, log_softmax, matmul, max_pool2d, mse_loss,
    mul, mul_channels, one_hot, relu, sigmoid, slice, softmax, to_plain, to_vec4, transpose,
};
