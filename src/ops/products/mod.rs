//! Products of matrices.

pub(super) mod gram;
pub(super) mod matmul;
pub(super) mod second_moment;
pub(super) mod strided_rows;
pub(super) mod tiles;
pub(super) mod transpose;
