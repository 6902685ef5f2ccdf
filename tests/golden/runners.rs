//! One runner per operation of the manifest: builds a tape and names its outputs.

use super::case::Runner;
use super::{channel, deconvolution, glue, losses, merge, model, norm, optim, pooling, trace};

/// The runner of the operation `op`.
pub fn runner(op: &str) -> Option<Runner> {
    glue::runner(op)
        .or_else(|| deconvolution::runner(op))
        .or_else(|| norm::runner(op))
        .or_else(|| pooling::runner(op))
        .or_else(|| optim::runner(op))
        .or_else(|| channel::runner(op))
        .or_else(|| losses::runner(op))
        .or_else(|| merge::runner(op))
        .map(Runner::Tape)
        .or_else(|| deconvolution::steps(op))
        .or_else(|| optim::steps(op))
        .or_else(|| trace::steps(op))
        .or_else(|| model::steps(op))
}
