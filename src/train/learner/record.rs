//! The tapes of a learner, each for a given number of images.

use super::{Loss, Update};
use crate::Result;
use crate::gpu::Profile;
use crate::models::Model;
use crate::nn::{self, Forward, Mode};
use crate::ops;
use crate::tape::{State, Tape, Var};

/// What a tape is for, and how many images it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// A training step of this kind. Inputs: images, targets, scalars. Outputs: loss and, where there are labels, hits.
    Train(Mode, usize),
    /// Loss and hits with running statistics. Inputs: images, targets.
    Judge(usize),
    /// What the network puts out, with running statistics. Input: images.
    Outputs(usize),
    /// The softmax of it.
    Shares(usize),
}

impl Pass {
    fn images(self) -> usize {
        match self {
            Self::Train(_, n) | Self::Judge(n) | Self::Outputs(n) | Self::Shares(n) => n,
        }
    }

    fn mode(self) -> Mode {
        if let Self::Train(mode, _) = self { mode } else { Mode::Eval }
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
    let mut tape = if let Pass::Train(..) = pass { Tape::for_adapter(profile) } else { Tape::new() };
    let images = nn::images(&mut tape, pass.images(), model.input);
    let judged = matches!(pass, Pass::Train(..) | Pass::Judge(_));
    let targets = judged.then(|| loss.targets(&mut tape, pass.images(), &model.output));
    let output = model.forward(&mut Forward { tape: &mut tape, state, mode: pass.mode() }, images)?;
    let Some(targets) = targets else {
        let output = if let Pass::Shares(_) = pass { ops::softmax(&mut tape, output)? } else { output };
        tape.output(output);
        return Ok(tape);
    };
    let loss = if let Pass::Train(..) = pass { loss } else { loss.judging() };
    let (loss, hits) = loss.record(&mut tape, output, targets)?;
    let told: Vec<Var> = [loss].into_iter().chain(hits).collect();
    ops::average(&mut tape, &told)?.into_iter().for_each(|value| tape.output(value));
    if let (Pass::Train(..), Some(update)) = (pass, update) {
        let gradients = tape.backward(loss)?;
        update.record(&mut tape, state, gradients)?;
    }
    Ok(tape)
}
