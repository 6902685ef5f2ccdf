//! Sums and means over rows, which rooms above take bias gradients, statistics and their centred rows from.

pub(super) mod column_sum;
pub(super) mod row_mean;
