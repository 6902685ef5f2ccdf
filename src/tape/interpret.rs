//! A tape on the CPU in `f64`, through the references.

use super::{Array, Source, State, Tape, Var};
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

/// Runs every operation's reference in order. Inputs come from `values`; state comes from there too, or else from `state`.
pub fn interpret(tape: &Tape, state: &State, values: &mut Values) {
    for (index, info) in tape.vars().iter().enumerate() {
        if let Source::State(id) = info.source {
            let tensor = state.get(id);
            let initial = || Array::from_f32(&tensor.ty.shape, &tensor.values);
            values.by_var.entry(Var(index)).or_insert_with(initial);
        }
    }
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
            values.by_var.insert(*var, value);
        }
    }
}
