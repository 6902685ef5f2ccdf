//! A tape on the CPU in `f64`, through the references.

use super::{Array, Source, State, Tape, Var};
use crate::gpu::rounded_to_f16;
use crate::{Error, Result, plural};
use std::collections::HashMap;

/// Values of a tape after a step on the CPU.
#[derive(Clone, Debug, Default)]
pub struct Values {
    by_var: HashMap<Var, Array>,
}

impl Values {
    /// Sets an input or a state value before [`interpret`].
    pub fn set(&mut self, var: Var, value: Array) {
        self.by_var.insert(var, value);
    }

    /// The value of `var`; zeros if it was never set or computed.
    pub fn get(&self, tape: &Tape, var: Var) -> Array {
        let root = tape.root(var);
        let mut array = self.by_var.get(&root).cloned().unwrap_or_else(|| Array::zeros(tape.shape(root)));
        array.shape = tape.shape(var).to_vec();
        array
    }
}

/// Runs every operation's reference in order; what lies in f16 on a device is rounded to that. Inputs come from
/// `values`; state comes from there too, or else from `state`.
pub fn interpret(tape: &Tape, state: &State, values: &mut Values) {
    for (index, info) in tape.vars().iter().enumerate() {
        if let Source::State(id) = info.source {
            let tensor = state.get(id);
            let initial = || Array::from_f32(&tensor.ty.shape, &tensor.values);
            values.by_var.entry(Var(index)).or_insert_with(initial);
        }
    }
    let halves = tape.halves();
    for node in tape.nodes() {
        let mut inputs: Vec<Array> = node.inputs.iter().map(|var| values.get(tape, *var)).collect();
        for output in &node.outputs {
            if matches!(tape.vars()[output.0].source, Source::State(_)) {
                inputs.push(values.get(tape, *output));
            }
        }
        let outputs = node.op.reference(&inputs.iter().collect::<Vec<_>>());
        for (var, value) in node.outputs.iter().zip(outputs) {
            debug_assert_eq!(value.data.len(), tape.ty(*var).len(), "{} reference: {}", node.op.name(), tape.ty(*var));
            let value = if halves[var.0] { value.map(rounded_to_f16) } else { value };
            values.by_var.insert(*var, value);
        }
    }
}

impl Tape {
    /// The value of `var`, row-major, where the tape's inputs have these row-major values, in the order in which they
    /// were put on the tape. It is computed on the CPU in `f64`, slowly: to try out a module or a loss without a GPU.
    ///
    /// ```
    /// use mexhat::nn::{Tape, functional as f};
    /// let mut tape = Tape::new();
    /// let (a, b) = (tape.leaf("a", &[1, 2]), tape.leaf("b", &[1, 2]));
    /// let sum = f::add(&mut tape, a, b)?;
    /// assert_eq!(tape.compute(sum, &[&[1.0, 2.0], &[10.0, 20.0]])?, [11.0, 22.0]);
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    ///
    /// # Errors
    /// An input has no values or another number of them, or the tape reads a network's tensors, whose values it does
    /// not know.
    pub fn compute(&self, var: Var, inputs: &[&[f32]]) -> Result<Vec<f32>> {
        let refuse = |what: String| Err(Error::shape("compute", what));
        if let Some(tensor) = self.vars().iter().find(|info| matches!(info.source, Source::State(_))) {
            return refuse(format!("the tape reads the tensor '{}' of a network; expected inputs only", tensor.label));
        }
        let expected = self.inputs();
        if expected.len() != inputs.len() {
            return refuse(format!(
                "expected values for {}, found {}",
                plural::count(expected.len(), "input"),
                inputs.len()
            ));
        }
        let mut values = Values::default();
        for (input, given) in expected.into_iter().zip(inputs) {
            let (ty, label) = (self.ty(input), &self.vars()[input.0].label);
            if ty.len() != given.len() {
                return refuse(format!("input '{label}' {ty} has {} values, found {}", ty.len(), given.len()));
            }
            values.set(input, Array::from_f32(&ty.shape, given));
        }
        interpret(self, &State::new(), &mut values);
        Ok(values.get(self, var).data.into_iter().map(|value| value as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;

    #[test]
    fn inputs_that_do_not_fit_are_refused() -> Result<()> {
        let mut tape = Tape::new();
        let x = tape.leaf("x", &[1, 2]);
        let y = ops::relu(&mut tape, x)?;
        let refused = |tape: &Tape, inputs: &[&[f32]]| tape.compute(y, inputs).map_err(|e| e.to_string()).unwrap_err();
        assert_eq!(tape.compute(y, &[&[-1.0, 2.0]])?, [0.0, 2.0]);
        assert_eq!(refused(&tape, &[]), "compute: expected values for 1 input, found 0");
        assert_eq!(refused(&tape, &[&[1.0]]), "compute: input 'x' [1, 2] has 2 values, found 1");
        let mut state = State::new();
        let weight = state.parameter("weight", &[1], vec![0.0]);
        tape.state(&state, weight);
        assert!(refused(&tape, &[&[1.0, 2.0]]).contains("'weight'"));
        Ok(())
    }
}
