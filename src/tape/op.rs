//! What an operation is.

use super::{Array, Backward, Launch, Type, Var};
use crate::{Error, Result};
use std::any::Any;
use std::fmt::Debug;

/// An operation: shape rule, gradient rule, launch and CPU reference in one place.
pub trait Op: Any + Debug {
    /// Name on the tape, in profiles and in errors.
    fn name(&self) -> &'static str;

    /// Types of the outputs, or the error that a user reads.
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>>;

    /// False for operations without a gradient rule (updates, metrics, gradient operations).
    fn differentiable(&self) -> bool {
        false
    }

    /// True for operations that touch values too small or too delicate for f16, such as logits: those stay f32 whatever
    /// the [precision](super::Precision).
    fn exact(&self) -> bool {
        false
    }

    /// Whether the first output is that of a ReLU, which this operation's gradient rule takes into account.
    fn rectified(&self) -> bool {
        false
    }

    /// Appends the operations that compute the gradient of each input that needs one.
    ///
    /// # Errors
    /// There is no gradient rule, or its own operations refuse their inputs.
    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let _ = context;
        Err(Error::shape(self.name(), "has no gradient; detach its input or leave it out of the loss"))
    }

    /// Appends the kernel launches.
    fn launch(&self, launch: &mut Launch<'_>);

    /// The same in plain Rust: row-major inputs to row-major outputs. For an update, `inputs` end with the
    /// present values of the targets.
    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array>;
}
