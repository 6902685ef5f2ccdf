//! The gradient of a tape, which takes two operations to record: a sum, and a constant to begin with.

use crate::Result;
use crate::ops;
use crate::tape::{Gradients, Tape, Var};

impl Tape {
    /// Appends the gradient of `sum(value * seed)` with respect to everything it depends on, for each `(value, seed)`.
    ///
    /// # Errors
    /// An operation on the way has no gradient rule.
    pub fn backward_from(&mut self, seeds: &[(Var, Var)]) -> Result<Gradients> {
        self.differentiate(seeds, ops::add)
    }

    /// Appends the gradient of the scalar `loss` with respect to everything it depends on.
    ///
    /// # Errors
    /// As [`Tape::backward_from`].
    pub fn backward(&mut self, loss: Var) -> Result<Gradients> {
        let one = ops::constant(self, self.ty(loss).clone(), 1.0)?;
        self.backward_from(&[(loss, one)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{BlockLayout, BlockMode, Sampling};
    use crate::tape::{Array, State, Type, Values, interpret};

    /// The gradient of `sum(seed y)` with respect to the output of a hidden ReLU, which a maximum over windows reads,
    /// or else a covariance.
    fn hidden(pooled: bool, retained: bool) -> Result<Option<Vec<f64>>> {
        let mut tape = Tape::new();
        let x = tape.resident("x", Type::vec4(&[1, 1, 2, 2]), true);
        let hidden = ops::relu(&mut tape, x)?;
        if retained {
            tape.retain_grad(hidden)?;
        }
        let y = if pooled {
            ops::max_pool2d(&mut tape, hidden, 1, 1, 0)?
        } else {
            let layout = BlockLayout::conv(BlockMode::Paper, 1, 1, 1, 1)?;
            ops::covariance(&mut tape, hidden, layout, Sampling::Pixels { step: 1 }, 0.1)?.mean
        };
        assert!(tape.retain_grad(hidden).is_err(), "it has been read");
        let ty = tape.ty(y).clone();
        let seed = ops::constant(&mut tape, ty, 4.0)?;
        let Some(grad) = tape.backward_from(&[(y, seed)])?.get(hidden) else { return Ok(None) };
        let mut values = Values::default();
        values.set(x, Array::from_f32(&[1, 1, 2, 2], &[1.0, -1.0, 2.0, -2.0]));
        interpret(&tape, &State::new(), &mut values);
        Ok(Some(values.get(&tape, grad).data))
    }

    #[test]
    fn the_gradient_of_a_hidden_relu_is_whole_or_none() -> Result<()> {
        assert_eq!(hidden(true, true)?, Some(vec![4.0; 4]));
        assert_eq!(hidden(false, true)?, Some(vec![1.0; 4]));
        // Masked where it is made, so that it is nobody else's.
        assert_eq!(hidden(true, false)?, None);
        assert_eq!(hidden(false, false)?, None);
        Ok(())
    }
}
