//! The operations, in rooms. Each file holds one: shape rule, gradient rule, launch, CPU reference; its kernels are in
//! the room of the same name in `shaders/`. Adding one touches its two files and the names below.
//!
//! Activations are in vectors of four ([`Layout::Vec4`](crate::tape::Layout)); [`to_vec4`] brings row-major inputs
//! there. Parameters and labels are row-major.

mod autograd;
pub(crate) mod conv;
mod loss;
mod merge;
mod newton_schulz;
mod norm;
mod patches;
mod pointwise;
mod pool;
pub(crate) mod products;
mod sums;
mod update;
mod whitening;

pub(crate) use conv::centering::MEAN_SHIFTS;
pub use conv::centering::shifted_bias;
pub use conv::conv2d::{Epilogue, conv2d, conv2d_centered, conv2d_columns, linear, linear_columns};
pub use conv::weight_columns::{weight_columns, weight_rows};
#[cfg(not(target_arch = "wasm32"))]
pub use loss::argmax::argmax;
pub use loss::cross_entropy::{
    CrossEntropy, CrossEntropyOptions, cross_entropy, cross_entropy_hits, cross_entropy_weighted,
};
pub use loss::one_hot::one_hot;
pub use loss::pair_loss::{binary_cross_entropy_with_logits, least_squares, least_squares_labels, mse_loss};
pub use loss::softmax::{log_softmax, softmax};
pub use merge::{dual_path_merge, se_block};
pub(crate) use newton_schulz::{MOST_ITERATIONS, is_newton_schulz};
pub use newton_schulz::{
    NewtonSchulzVars, newton_schulz, newton_schulz_all, newton_schulz_converged, newton_schulz_uncoupled,
};
pub use norm::batch_norm::{BatchNorm, NormOptions, batch_norm, batch_norm_eval};
pub use norm::first_average::{count_step, first_then_average};
pub use norm::group_norm::{group_norm, groups_that_fit};
pub use norm::running_average::running_average;
pub use norm::scalar_norm::{ScalarStatistics, scalar_norm, scalar_statistics};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use patches::blocks::RowGeometry;
pub use patches::blocks::{BlockLayout, BlockMode, Sampling, block_size};
pub(crate) use patches::covariance::IM2COL as IM2COL_BLOCKS;
pub(crate) use patches::covariance::is_covariance;
pub use patches::covariance::{CovarianceVars, average_covariance, col2im_blocks, covariance, im2col_blocks};
pub use patches::geometry::ConvOptions;
pub use patches::im2col::{PatchOptions, col2im, im2col};
pub use patches::second_moment::second_moment;
pub use pointwise::add::{add, add_relu};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use pointwise::average::{COPY, CopyParams};
pub use pointwise::average::{average, averaged_copies};
pub use pointwise::concat::concat;
pub use pointwise::dropout::{dropout, dropout_with_mask};
pub use pointwise::fill::constant;
pub use pointwise::flatten::flatten;
pub(crate) use pointwise::image_batch::{VIEW, image_batch, image_words};
pub use pointwise::mul::mul;
pub use pointwise::mul_channels::mul_channels;
pub use pointwise::relayout::{to_plain, to_vec4};
pub use pointwise::slice::slice;
pub use pointwise::unary::{Activation, activation, relu, sigmoid};
pub use pool::average_pool::{adaptive_avg_pool2d, avg_pool2d, global_avg_pool};
pub use pool::interpolate::interpolate;
pub use pool::max_pool::max_pool2d;
pub use products::matmul::{gram, matmul, matmul_nt};
pub use products::strided_rows::every_row;
pub use products::transpose::transpose;
pub use sums::column_sum::column_sum;
pub use sums::row_mean::{center_rows, row_mean};
pub use update::accumulate::accumulate;
pub use update::adam::{AdamOptions, adam};
pub use update::clip::clip_grad_norm;
#[cfg(not(target_arch = "wasm32"))]
pub use update::grad_scaler::{GradScaler, unscale};
pub use update::sgd::{SgdOptions, sgd};
pub use update::weight_average::weight_average;
pub use whitening::feature_mean::feature_mean;
pub use whitening::fold_weight::fold_weight;

use crate::gpu::Shader;
use crate::tape::{Layout, Type};
use crate::{Error, Result};

/// Longest side, kernel, step or border: products of two of them and a small factor fit into 32 bits.
const MOST_SIDE: usize = 1 << 15;

/// Every kernel that is shipped, for the tests of shaders: the lists `SHADERS` of the files here, as `build.rs` finds
/// them.
pub const SHADERS: &[&[&Shader]] = include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// Refuses anything but an activation: (N,C,H,W) or (N,F) in vectors of four.
pub(crate) fn expect_activation(op: &'static str, ty: &Type) -> Result<()> {
    if ty.layout == Layout::Vec4 && matches!(ty.shape.len(), 2 | 4) {
        return Ok(());
    }
    Err(Error::shape(op, format!("expected an activation (N,C,H,W) or (N,F) in vectors of four, found {ty}")))
}

/// Refuses two different types.
pub(crate) fn expect_same(op: &'static str, a: &Type, b: &Type) -> Result<()> {
    if a == b { Ok(()) } else { Err(Error::shape(op, format!("expected two equal shapes, found {a} and {b}"))) }
}

/// Vectors of four in a buffer of this type.
pub(crate) fn vectors(ty: &Type) -> usize {
    ty.stored().div_ceil(4)
}
