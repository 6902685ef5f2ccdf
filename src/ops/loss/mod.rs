//! Losses.

pub(super) mod argmax;
pub(super) mod cross_entropy;
pub(super) mod one_hot;
pub(super) mod pair_loss;
pub(super) mod softmax;

use crate::tape::Type;

/// Which variant of a kernel over rows suits rows of `ty`, and how many invocations it gives to each.
fn lanes(ty: &Type) -> (usize, usize) {
    if ty.inner4() > 16 { (1, 64) } else { (0, 4) }
}
