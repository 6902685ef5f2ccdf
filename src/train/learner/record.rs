//! The tapes of a learner, each for a given number of images.

use super::scaler::Scaler;
use super::{Loss, Update};
use crate::Result;
use crate::data::Form;
use crate::gpu::Profile;
use crate::models::Model;
use crate::nn::{self, Forward, Mode};
use crate::ops;
use crate::tape::{Precision, State, Tape, Var};

/// What a tape is for, and how many images it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// A training step of this kind. Inputs: images, targets, scalars. Outputs: loss, where there are labels hits, in
    /// half precision the scale.
    Train(Mode, usize, Form),
    /// The part of a training step before the last, which changes no parameter. As [`Pass::Train`].
    Gather(Mode, usize, Form),
    /// Loss and hits with running statistics, and of a map of classes the one at each pixel. Inputs: images, targets.
    Judge(usize, Form),
    /// What the network puts out, with running statistics. Input: images.
    Outputs(usize),
    /// The softmax of it.
    Shares(usize),
    /// The output of every layer, with running statistics. Input: images.
    Layers(usize),
    /// The class at each pixel of it, (N,H,W), or of each image, (N).
    #[cfg(not(target_arch = "wasm32"))]
    Classes(usize),
}

impl Pass {
    /// The passes of a training step on `images` in `parts` as equal as can be, the largest first.
    pub(crate) fn of_step(mode: Mode, images: usize, parts: usize, form: Form) -> Vec<Self> {
        let parts = parts.clamp(1, images.max(1));
        let size = |part: usize| images / parts + usize::from(part < images % parts);
        let of = |part| match part + 1 < parts {
            true => Self::Gather(mode, size(part), form),
            false => Self::Train(mode, size(part), form),
        };
        (0..parts).map(of).collect()
    }

    pub(crate) fn images(self) -> usize {
        match self {
            Self::Train(_, n, _) | Self::Gather(_, n, _) | Self::Judge(n, _) => n,
            Self::Outputs(n) | Self::Shares(n) | Self::Layers(n) => n,
            #[cfg(not(target_arch = "wasm32"))]
            Self::Classes(n) => n,
        }
    }

    fn mode(self) -> Mode {
        if let Self::Train(mode, ..) | Self::Gather(mode, ..) = self { mode } else { Mode::Eval }
    }

    /// How its images come in.
    fn form(self) -> Form {
        match self {
            Self::Train(.., form) | Self::Gather(.., form) | Self::Judge(_, form) => form,
            _ => Form::Values,
        }
    }

    /// Whether it belongs to a training step.
    pub(crate) fn trains(self) -> bool {
        matches!(self, Self::Train(..) | Self::Gather(..))
    }
}

/// The tape of `pass`. Moments that the optimiser needs and `state` does not have yet are added.
pub(crate) fn record(
    pass: Pass,
    profile: Profile,
    model: &Model,
    state: &mut State,
    (update, loss): (Option<&Update>, &Loss),
) -> Result<Tape> {
    let precision = update.filter(|_| pass.trains()).map_or(Precision::F32, |update| update.precision);
    let tape = if pass.trains() { Tape::for_adapter(profile) } else { Tape::new() };
    let mut tape = tape.with_precision(precision);
    if !pass.trains() {
        tape.replace_states(state.averages().into_iter().collect());
    }
    let images = match pass.form() {
        Form::Values => nn::images(&mut tape, pass.images(), model.input),
        Form::Bytes => nn::images_of_bytes(&mut tape, pass.images(), model.input)?,
    };
    let loss = if pass.trains() { loss } else { loss.judging() };
    let judged = pass.trains() || matches!(pass, Pass::Judge(..));
    let targets = judged.then(|| loss.targets(&mut tape, pass.images(), &model.output));
    if let Pass::Layers(_) = pass {
        let mut outputs = Vec::new();
        let mut ctx = Forward { tape: &mut tape, state, mode: pass.mode() };
        model.forward_watched(&mut ctx, images, &mut |_, value| outputs.push(value))?;
        outputs.into_iter().for_each(|value| tape.output(value));
        return Ok(tape);
    }
    let output = model.forward(&mut Forward { tape: &mut tape, state, mode: pass.mode() }, images)?;
    let Some((targets, more)) = targets else {
        let output = match pass {
            Pass::Shares(_) => ops::softmax(&mut tape, output)?,
            #[cfg(not(target_arch = "wasm32"))]
            Pass::Classes(_) => ops::argmax(&mut tape, output)?,
            _ => output,
        };
        tape.output(output);
        return Ok(tape);
    };
    #[cfg(not(target_arch = "wasm32"))]
    let classes = match pass {
        Pass::Judge(..) if model.output.len() == 3 && loss.takes_labels() => Some(ops::argmax(&mut tape, output)?),
        _ => None,
    };
    let (loss, hits) = with_auxiliary(loss, &mut tape, output, (targets, &more))?;
    let told: Vec<Var> = [loss].into_iter().chain(hits).collect();
    ops::average(&mut tape, &told)?.into_iter().for_each(|value| tape.output(value));
    #[cfg(not(target_arch = "wasm32"))]
    classes.into_iter().for_each(|value| tape.output(value));
    if let Some(update) = update.filter(|_| pass.trains()) {
        let scaler = Scaler::of(update, state);
        let mut gradients = match scaler {
            Some(scaler) => scaler.backward(&mut tape, state, loss)?,
            None => tape.backward(loss)?,
        };
        match pass {
            Pass::Gather(..) => update.gather(&mut tape, state, &mut gradients)?,
            _ => {
                update.record(&mut tape, state, gradients)?;
                let scale = scaler.map(|scaler| scaler.scale(&mut tape, state));
                scale.into_iter().for_each(|scale| tape.output(scale));
            }
        }
    }
    Ok(tape)
}

/// The loss of `output` and those of the auxiliary heads with their weights, and the hits of `output`.
fn with_auxiliary(loss: &Loss, tape: &mut Tape, output: Var, targets: (Var, &[Var])) -> Result<(Var, Option<Var>)> {
    let (mut total, hits) = loss.record(tape, output, targets)?;
    for (head, weight) in tape.take_auxiliary() {
        let (own, _) = loss.record(tape, head, targets)?;
        let like = tape.ty(own).clone();
        let weight = ops::constant(tape, like, weight)?;
        let own = ops::mul(tape, own, weight, 1.0)?;
        total = ops::add(tape, total, own)?;
    }
    Ok((total, hits))
}
