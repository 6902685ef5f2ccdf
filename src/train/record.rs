//! The tapes of a run: a training step and an evaluation, each for a given number of images.

use crate::Result;
use crate::gpu::Profile;
use crate::models::Model;
use crate::nn::{Forward, Mode};
use crate::ops;
use crate::optim::Optimizer;
use crate::tape::{DType, State, Tape, Var};

/// Images and labels go in, in this order, loss and hits come out.
fn loss(tape: &mut Tape, model: &Model, state: &State, batch: usize, mode: Mode) -> Result<Var> {
    let [c, h, w] = model.input;
    let images = tape.input("images", &[batch, c, h, w], DType::F32);
    let labels = tape.input("labels", &[batch], DType::U32);
    let logits = model.forward(&mut Forward { tape, state, mode }, images)?;
    let found = ops::cross_entropy_hits(tape, logits, labels, None)?;
    tape.output(found.loss);
    tape.output(found.hits);
    Ok(found.loss)
}

/// A training step on `batch` images for an adapter of this profile: forward, loss, backward, update. Inputs: images, labels, scalars. Adds the
/// optimiser's moments to `state`.
pub(super) fn train_step(
    profile: Profile,
    model: &Model,
    state: &mut State,
    optimizer: &Optimizer,
    batch: usize,
    mode: Mode,
) -> Result<Tape> {
    let mut tape = Tape::for_adapter(profile);
    let loss = loss(&mut tape, model, state, batch, mode)?;
    let gradients = tape.backward(loss)?;
    let parameters = state.parameters();
    optimizer.apply(&mut tape, state, &parameters, &gradients)?;
    Ok(tape)
}

/// An evaluation of `batch` images with running statistics. Inputs: images, labels.
pub(super) fn eval_step(model: &Model, state: &State, batch: usize) -> Result<Tape> {
    let mut tape = Tape::new();
    loss(&mut tape, model, state, batch, Mode::Eval)?;
    Ok(tape)
}

/// The logits of `batch` images with running statistics. Input: the images.
pub(super) fn logits_step(model: &Model, state: &State, batch: usize) -> Result<Tape> {
    let mut tape = Tape::new();
    let [c, h, w] = model.input;
    let images = tape.input("images", &[batch, c, h, w], DType::F32);
    let logits = model.forward(&mut Forward { tape: &mut tape, state, mode: Mode::Eval }, images)?;
    tape.output(logits);
    Ok(tape)
}

/// The probabilities of the classes for `batch` images. Input: the images.
pub(super) fn read_step(model: &Model, state: &State, batch: usize) -> Result<Tape> {
    let mut tape = Tape::new();
    let [c, h, w] = model.input;
    let image = tape.input("images", &[batch, c, h, w], DType::F32);
    let logits = model.forward(&mut Forward { tape: &mut tape, state, mode: Mode::Eval }, image)?;
    let shares = ops::softmax(&mut tape, logits)?;
    tape.output(shares);
    Ok(tape)
}
