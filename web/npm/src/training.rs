//! How to train, as JavaScript says it, and what is told of it.

use crate::json;
use mexhat::train::{Adam, Event, Fit, OptimizerKind, ScheduleKind, Sgd, Update};
use mexhat::{Error, Result};
use serde::Deserialize;

/// The options of a training; what is missing has the default of `mexhat::train`.
#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Given {
    epochs: u64,
    batch_size: usize,
    lr: Option<f64>,
    schedule: ScheduleKind,
    optimizer: OptimizerKind,
    momentum: f32,
    nesterov: bool,
    weight_decay: f32,
    clip_grad_norm: Option<f32>,
    accumulate: usize,
    average: Option<f64>,
    shuffle: bool,
    seed: u64,
}

impl Default for Given {
    fn default() -> Self {
        let fit = Fit::default();
        Self {
            epochs: fit.epochs,
            batch_size: fit.batch_size,
            lr: None,
            schedule: fit.schedule,
            optimizer: OptimizerKind::Sgd,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
            clip_grad_norm: None,
            accumulate: 1,
            average: None,
            shuffle: fit.shuffle,
            seed: fit.seed,
        }
    }
}

/// How to train, without images to judge by.
pub struct Training {
    pub fit: Fit<'static>,
    pub update: Update,
}

/// Reads options.
///
/// # Errors
/// A key is unknown or has a value that it may not have.
pub fn read(text: &str) -> Result<Training> {
    let plain = |error: serde_json::Error| {
        let text = error.to_string();
        let what = text.rsplit_once(" at line ").map_or(&text[..], |(what, _)| what);
        Error::Usage(format!("the options of the training: {what}"))
    };
    let given: Given = serde_json::from_str(text).map_err(plain)?;
    let adam = |lr: f64| Adam::new(lr).weight_decay(given.weight_decay);
    let update = match given.optimizer {
        OptimizerKind::Sgd => {
            let sgd = Sgd { nesterov: given.nesterov, ..Sgd::new(given.lr.unwrap_or(0.1)) };
            sgd.momentum(given.momentum).weight_decay(given.weight_decay).into()
        }
        OptimizerKind::Adam => Update::from(adam(given.lr.unwrap_or(1e-3))),
        OptimizerKind::AdamW => adam(given.lr.unwrap_or(1e-3)).decoupled().into(),
    };
    let update =
        Update { clip_grad_norm: given.clip_grad_norm, accumulate: given.accumulate, average: given.average, ..update };
    let Given { epochs, batch_size, schedule, shuffle, seed, .. } = given;
    Ok(Training { fit: Fit { epochs, batch_size, schedule, shuffle, seed, ..Fit::default() }, update })
}

/// An event as text of JSON, with a step's accuracy, which files leave out.
pub fn told(event: &Event) -> String {
    let Event::Step { step, epoch, loss, lr, accuracy } = event else { return json(event) };
    json(&serde_json::json!({
        "event": "step", "step": step, "epoch": epoch, "loss": loss, "lr": lr, "accuracy": accuracy,
    }))
}
