//! Which value of a step was the first that is no number.

use super::record;
use super::{Learner, StepPart};
use crate::Result;
use crate::data::Images;
use crate::tape::{DType, Node, Session, Source, State, Tape, Var};
use std::collections::{BTreeSet, HashMap};
use std::fmt;

/// Part of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Forward,
    Backward,
    Update,
}

/// The first value of a step that is no number.
#[derive(Clone, Debug)]
pub(in crate::train) struct Bad {
    /// The step.
    pub step: u64,
    operation: &'static str,
    part: Part,
    /// What it writes, or the tensors of the state next to it.
    tensors: Vec<String>,
    shape: Vec<usize>,
    /// Values that are no numbers, and all.
    count: (usize, usize),
    /// Largest magnitude that went in.
    largest: f32,
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, operation, shape, count: (bad, all), largest, .. } = self;
        let tensors = self.tensors.join(", ");
        match self.part {
            Part::Update => write!(f, "step {step}, {operation}, the update of {tensors}")?,
            Part::Forward => write!(f, "step {step}, {operation}, forward, next to {tensors}")?,
            Part::Backward => write!(f, "step {step}, {operation}, backward, next to {tensors}")?,
        }
        write!(f, ": {bad} of {all} values {shape:?} are no numbers; the largest that went in was {largest:.1e}")
    }
}

/// The name of the tensor of the state that `var` is, if it is one.
fn state_name(tape: &Tape, state: &State, var: Var) -> Option<String> {
    match tape.vars()[var.0].source {
        Source::State(id) => Some(state.get(id).name.clone()),
        _ => None,
    }
}

/// The tensors of the state nearest to node `index`: those that it reads, or those of its neighbours on the tape, and
/// so on.
fn nearby(tape: &Tape, state: &State, index: usize) -> Vec<String> {
    let nodes = tape.nodes();
    let touched =
        |node: &Node| -> Vec<Var> { node.inputs.iter().chain(&node.outputs).map(|var| tape.root(*var)).collect() };
    let touched: Vec<Vec<Var>> = nodes.iter().map(touched).collect();
    let named = |var: &Var| state_name(tape, state, *var);
    let mut seen: BTreeSet<usize> = BTreeSet::from([index]);
    let mut level = vec![index];
    while !level.is_empty() {
        let names: BTreeSet<String> = level.iter().flat_map(|node| &touched[*node]).filter_map(named).collect();
        if !names.is_empty() {
            return names.into_iter().collect();
        }
        let vars: BTreeSet<Var> = level.iter().flat_map(|node| &touched[*node]).copied().collect();
        level =
            (0..nodes.len()).filter(|i| !seen.contains(i) && touched[*i].iter().any(|v| vars.contains(v))).collect();
        seen.extend(&level);
    }
    vec!["the images".into()]
}

impl Learner {
    /// The first value that is no number in the step that comes next on this batch; `None` when all are. The step is
    /// made aside: the network stays as the host has it. It takes memory for every value of the step.
    ///
    /// # Errors
    /// There is no room for all values, or the device failed.
    pub(in crate::train) async fn first_bad(
        &self,
        (images, targets, count): (Images<'_>, &[u8], usize),
        lr: f64,
        seed: u64,
    ) -> Result<Option<Bad>> {
        let mut state = self.state.clone();
        let mut session = Session::new(self.session.gpu(), &state)?;
        for part in self.parts(images, targets, count, lr, seed)? {
            let found = self.first_bad_of(&mut session, &mut state, part).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// As `first_bad`, of one part of the step.
    async fn first_bad_of(
        &self,
        session: &mut Session,
        state: &mut State,
        (pass, images, targets, scalars): StepPart<'_>,
    ) -> Result<Option<Bad>> {
        let update = self.update()?;
        let profile = session.gpu().profile();
        let mut tape = record::record(pass, profile, &self.model, state, (Some(&update), &self.loss))?;
        let loss = tape.root(tape.outputs()[0]);
        let known = tape.outputs().len();
        let floats = |tape: &Tape, var: &Var| tape.ty(*var).dtype == DType::F32;
        let watched: Vec<(usize, Var)> = (0..)
            .zip(tape.nodes())
            .flat_map(|(i, node)| node.outputs.iter().map(move |var| (i, *var)))
            .filter(|(_, var)| floats(&tape, var))
            .collect();
        watched.iter().for_each(|(_, var)| tape.output(*var));
        let mut step = session.compile(&[&tape])?.remove(0);
        let inputs = self.loss.inputs(images, targets, &scalars);
        step.submit(&inputs.iter().map(|bytes| &**bytes).collect::<Vec<_>>()).await?;
        let outputs = step.take().await?.map(|(_, outputs)| outputs).unwrap_or_default();
        let values: HashMap<Var, &Vec<f32>> = watched.iter().map(|(_, var)| *var).zip(&outputs[known..]).collect();
        let Some((index, var)) = watched.iter().find(|(_, var)| values[var].iter().any(|v| !v.is_finite())) else {
            return Ok(None);
        };
        let (node, forward) =
            (&tape.nodes()[*index], tape.nodes().iter().position(|node| node.outputs.contains(&loss)));
        let updates: Vec<String> = node.outputs.iter().filter_map(|var| state_name(&tape, state, *var)).collect();
        let (part, tensors) = match updates.is_empty() {
            false => (Part::Update, updates),
            true if forward.is_some_and(|last| *index > last) => (Part::Backward, nearby(&tape, state, *index)),
            true => (Part::Forward, nearby(&tape, state, *index)),
        };
        let input = |var: &Var| -> f32 {
            let root = tape.root(*var);
            let values = match tape.vars()[root.0].source {
                Source::State(id) => &state.get(id).values[..],
                Source::Input if tape.vars()[root.0].label == "images" => match images {
                    Images::Values(values) => values,
                    Images::Bytes { .. } => &[],
                },
                _ => values.get(&root).map_or(&[][..], |values| &values[..]),
            };
            values.iter().fold(0.0, |most: f32, v| most.max(v.abs()))
        };
        Ok(Some(Bad {
            step: self.step + 1,
            operation: node.op.name(),
            part,
            tensors,
            shape: tape.shape(*var).to_vec(),
            count: (values[var].iter().filter(|v| !v.is_finite()).count(), values[var].len()),
            largest: node.inputs.iter().map(input).fold(0.0, f32::max),
        }))
    }
}
