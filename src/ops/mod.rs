//! The operations. Each file holds one: shape rule, gradient rule, launch, CPU twin; its kernel is the file of the
//! same name in `shaders/`. Adding one touches its two files, the lists below and `src/gpu/shader_list.rs`.
//!
//! Activations are in vectors of four ([`Layout::Vec4`](crate::tape::Layout)); [`to_vec4`] brings row-major inputs
//! there. Parameters and labels are row-major.

mod adam;
mod add;
mod average_pool;
mod batch_norm;
mod bilinear;
mod blocks;
mod column_sum;
mod concat;
mod conv;
mod conv_depthwise;
mod conv_grouped;
mod conv_pointwise;
mod covariance;
mod cross_entropy;
mod dropout;
mod fill;
mod first_average;
mod flatten;
mod fold_weight;
mod gram;
mod matmul;
mod max_pool;
mod merge;
mod mul;
mod mul_channels;
mod newton_schulz;
mod newton_schulz_fitted;
mod newton_schulz_small;
mod newton_schulz_steps;
mod one_hot;
mod pair_loss;
mod patches;
mod relayout;
mod row_mean;
mod running_average;
mod scalar_norm;
mod second_moment;
mod sgd;
mod slice;
mod softmax;
mod strided_rows;
mod tiles;
mod transpose;
mod unary;
mod weight_columns;
mod window;

pub use adam::{AdamOptions, adam};
pub use add::{add, add_relu};
pub use average_pool::{adaptive_avg_pool2d, avg_pool2d, global_avg_pool};
pub use batch_norm::{BatchNorm, NormOptions, batch_norm, batch_norm_eval};
pub use bilinear::bilinear;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use blocks::RowGeometry;
pub use blocks::{BlockLayout, BlockMode, Sampling, block_size};
pub use column_sum::column_sum;
pub use concat::concat;
pub use conv::{ConvOptions, Epilogue, conv2d, conv2d_columns, linear, linear_columns};
pub use covariance::{CovarianceVars, covariance, fold_rows, sample_rows};
pub use cross_entropy::{CrossEntropy, cross_entropy, cross_entropy_hits};
pub use dropout::{dropout, dropout_with_mask};
pub use fill::{FILL, constant};
pub use first_average::{count_step, first_then_average};
pub use flatten::flatten;
pub use fold_weight::{FoldedWeight, fold_weight};
pub use gram::gram;
pub use matmul::{matmul, matmul_nt};
pub use max_pool::max_pool2d;
pub use merge::{dual_path_merge, se_block};
pub use mul::mul;
pub use mul_channels::mul_channels;
pub(crate) use newton_schulz::MOST_ITERATIONS;
pub use newton_schulz::{NewtonSchulzVars, newton_schulz, newton_schulz_all, newton_schulz_uncoupled};
pub use one_hot::one_hot;
pub use pair_loss::{bce_with_logits, l2_onehot, l2_onehot_labels, mse};
pub use patches::{PatchOptions, fold, patches};
pub use relayout::{to_plain, to_vec4};
pub use row_mean::{center_rows, row_mean};
pub use running_average::running_average;
pub use scalar_norm::{ScalarStatistics, scalar_norm, scalar_statistics};
pub use second_moment::second_moment;
pub use sgd::{SgdOptions, sgd};
pub use slice::slice;
pub use softmax::{log_softmax, softmax};
pub use strided_rows::every_row;
pub use transpose::transpose;
pub use unary::{Activation, activation, relu, sigmoid};
pub use weight_columns::{weight_columns, weight_rows};

use crate::gpu::Shader;
use crate::tape::{Layout, Type};
use crate::{Error, Result};

/// Every kernel that is shipped, for the tests of shaders.
#[rustfmt::skip]
pub const SHADERS: &[&[&Shader]] = &[
    adam::SHADERS,
    add::SHADERS,
    average_pool::SHADERS,
    batch_norm::SHADERS,
    bilinear::SHADERS,
    column_sum::SHADERS,
    concat::SHADERS,
    conv::SHADERS,
    conv_depthwise::SHADERS,
    conv_grouped::SHADERS,
    covariance::SHADERS,
    cross_entropy::SHADERS,
    dropout::SHADERS,
    fill::SHADERS,
    first_average::SHADERS,
    fold_weight::SHADERS,
    gram::SHADERS,
    matmul::SHADERS,
    max_pool::SHADERS,
    mul::SHADERS,
    mul_channels::SHADERS,
    newton_schulz::SHADERS,
    newton_schulz::SUM_SHADERS,
    newton_schulz_small::SHADERS,
    one_hot::SHADERS,
    pair_loss::SHADERS,
    patches::SHADERS,
    relayout::SHADERS,
    row_mean::SHADERS,
    running_average::SHADERS,
    scalar_norm::SHADERS,
    sgd::SHADERS,
    slice::SHADERS,
    softmax::SHADERS,
    strided_rows::SHADERS,
    transpose::SHADERS,
    unary::SHADERS,
    weight_columns::SHADERS,
];

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
