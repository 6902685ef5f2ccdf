//! Optimisers and learning-rate schedules.
//!
//! An [`Optimizer`] appends its update of every parameter to the tape of a training step; what changes from step to
//! step (learning rate, bias corrections) goes up as the eight [`Scalars`] of that step.

mod optimizer;
mod schedule;

pub use optimizer::{Optimizer, Scalars};
pub use schedule::Schedule;
