//! Reverse-mode differentiation by appending operations to the tape.

use super::{Op, Source, Tape, Var};
use crate::{Error, Result};
use std::collections::HashMap;
use std::rc::Rc;

/// What a gradient rule sees.
pub struct Backward<'a> {
    /// The tape to append to.
    pub tape: &'a mut Tape,
    /// Inputs of the operation.
    pub inputs: &'a [Var],
    /// Outputs of the operation.
    pub outputs: &'a [Var],
    /// Gradient of each output, where one arrived.
    pub grads: &'a [Option<Var>],
    gathered: &'a mut Gradients,
}

impl Backward<'_> {
    /// True when input `i` needs a gradient.
    pub fn needs(&self, i: usize) -> bool {
        self.tape.needs_grad(self.inputs[i])
    }

    /// The gradient of output `i`.
    ///
    /// # Errors
    /// None arrived although another output's did.
    pub fn grad(&self, i: usize) -> Result<Var> {
        self.grads[i].ok_or_else(|| Error::shape("backward", format!("output {i} received no gradient")))
    }

    /// Takes what later operations have contributed to the gradient of input `i` so far: a rule that adds to it in its
    /// own kernel saves a pass. What the rule returns for this input then counts as the sum.
    pub fn take(&mut self, i: usize) -> Option<Var> {
        self.gathered.by_var.remove(&self.inputs[i])
    }

    /// Whether the gradient of output `i` is already zero wherever the output is not above 0, as the gradient of a
    /// ReLU's is.
    pub fn masked(&self, i: usize) -> bool {
        self.grads[i].is_some_and(|grad| self.gathered.masked.contains(&(self.outputs[i], grad)))
    }

    /// Says that `grad`, the gradient of input `i`, which [is rectified](Tape::is_rectified), is zero wherever that is
    /// not above 0.
    pub fn mask(&mut self, i: usize, grad: Option<Var>) {
        self.gathered.masked.extend(grad.map(|grad| (self.inputs[i], grad)));
    }

    /// Appends `op` on `inputs` when input `i` needs a gradient.
    pub fn when(&mut self, i: usize, op: impl Op + 'static, inputs: &[Var]) -> Result<Option<Var>> {
        self.append_when(i, Rc::new(op), inputs)
    }

    fn append_when(&mut self, i: usize, op: Rc<dyn Op>, inputs: &[Var]) -> Result<Option<Var>> {
        if self.needs(i) { Ok(Some(self.tape.append1(op, inputs)?)) } else { Ok(None) }
    }
}

/// How the tape records the sum of two values: an operation, which it knows none of.
pub(crate) type Sum = fn(&mut Tape, Var, Var) -> Result<Var>;

/// Gradients by value, as far as they were needed.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    by_var: HashMap<Var, Var>,
    /// Values with those gradients of theirs that a ReLU would leave as they are.
    masked: Vec<(Var, Var)>,
}

impl Gradients {
    /// The gradient of `var`; `None` where the loss does not depend on it, and where it is that of a hidden ReLU's
    /// output of which only what the ReLU lets pass was computed: [`Tape::retain_grad`] keeps such a gradient whole.
    pub fn get(&self, var: Var) -> Option<Var> {
        self.by_var.get(&var).copied().filter(|grad| !self.masked.contains(&(var, *grad)))
    }

    /// Puts `grad` in the place of the gradient of `var`.
    pub(crate) fn set(&mut self, var: Var, grad: Var) {
        self.by_var.insert(var, grad);
    }

    fn accumulate(&mut self, tape: &mut Tape, sum_of: Sum, var: Var, grad: Var) -> Result<()> {
        let sum = match self.by_var.get(&var) {
            Some(seen) => {
                let sum = sum_of(tape, *seen, grad)?;
                let masked = [*seen, grad].iter().all(|part| self.masked.contains(&(var, *part)));
                if masked {
                    self.masked.push((var, sum));
                }
                sum
            }
            None => grad,
        };
        self.by_var.insert(var, sum);
        Ok(())
    }

    /// Moves what views have received to the values they look at.
    fn settle(&mut self, tape: &mut Tape, sum_of: Sum, var: Var) -> Result<()> {
        let views: Vec<Var> =
            (0..tape.vars.len()).map(Var).filter(|v| tape.vars[v.0].source == Source::View(var)).collect();
        for view in views {
            self.settle(tape, sum_of, view)?;
            if let Some(grad) = self.by_var.remove(&view) {
                let shape = tape.shape(var).to_vec();
                let grad = tape.view(grad, &shape)?;
                self.accumulate(tape, sum_of, var, grad)?;
            }
        }
        Ok(())
    }
}

impl Tape {
    /// Appends the gradient of `sum(value * seed)` with respect to everything it depends on, for each `(value, seed)`.
    ///
    /// # Errors
    /// An operation on the way has no gradient rule.
    pub(crate) fn differentiate(&mut self, seeds: &[(Var, Var)], sum_of: Sum) -> Result<Gradients> {
        let mut gradients = Gradients::default();
        for (var, seed) in seeds {
            gradients.accumulate(self, sum_of, *var, *seed)?;
        }
        for index in (0..self.nodes.len()).rev() {
            let node = self.nodes[index].clone();
            for output in &node.outputs {
                gradients.settle(self, sum_of, *output)?;
            }
            if !node.op.differentiable() || !node.inputs.iter().any(|var| self.needs_grad(*var)) {
                continue;
            }
            let grads: Vec<Option<Var>> = node.outputs.iter().map(|var| gradients.by_var.get(var).copied()).collect();
            if grads.iter().all(Option::is_none) {
                continue;
            }
            let op = Rc::clone(&node.op);
            let (inputs, outputs) = (&node.inputs, &node.outputs);
            let mut context = Backward { tape: self, inputs, outputs, grads: &grads, gathered: &mut gradients };
            let flows = op.backward(&mut context)?;
            for (input, flow) in node.inputs.iter().zip(flows) {
                if let Some(grad) = flow
                    && self.needs_grad(*input)
                {
                    gradients.accumulate(self, sum_of, *input, grad)?;
                }
            }
        }
        let roots: Vec<Var> = (0..self.vars.len()).map(Var).collect();
        for var in roots {
            if matches!(self.vars[var.0].source, Source::Input | Source::State(_)) {
                gradients.settle(self, sum_of, var)?;
            }
        }
        Ok(gradients)
    }
}
