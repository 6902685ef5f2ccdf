//! Products of matrices: types and references, launches, and above them the operations.

pub(crate) mod gram;
pub(super) mod matmul;
pub(super) mod matrix;
pub(crate) mod product;
pub(super) mod strided_rows;
pub(super) mod sum_parts;
pub(super) mod tiles;
pub(super) mod transpose;
