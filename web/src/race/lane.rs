//! One network of the race, and how long its steps take.

use super::options::RaceOptions;
use mexhat::Result;
use mexhat::data::Splits;
use mexhat::gpu::Gpu;
use mexhat::models::Norm;
use mexhat::train::{NetOptions, Options, Trainer};
use web_time::Instant;

/// Least share of a new turn in the running mean of step times; at first all turns count the same.
const FRESH: f64 = 0.05;
/// The first steps compile, and are no measure.
const WARM: u64 = 2;

/// One network of the race.
pub(super) struct Lane {
    pub(super) norm: Norm,
    pub(super) trainer: Trainer,
    /// Steps whose loss is known.
    pub(super) step: u64,
    /// The step at which it was judged last.
    pub(super) judged: Option<u64>,
    /// Seconds of its turns so far, and the turn that it is in: when it began and at which step.
    pub(super) seconds: f64,
    pub(super) turn: Option<(Instant, u64)>,
    /// Mean milliseconds of a step, over so many turns.
    pub(super) ms: Option<f64>,
    pub(super) turns: u64,
    pub(super) over: bool,
}

impl Lane {
    /// The network of this norm.
    pub(super) fn new(gpu: &Gpu, options: &RaceOptions, splits: Splits, norm: Norm) -> Result<Self> {
        let net = NetOptions { norm, ..options.run.net.clone() };
        let network = options.run.network.clone().map(|network| network.norm(norm));
        let run = Options { net, network, ..options.run.clone() };
        let trainer = Trainer::new(gpu, &run, splits)?;
        Ok(Self { norm, trainer, step: 0, judged: None, seconds: 0.0, turn: None, ms: None, turns: 0, over: false })
    }

    /// Seconds of its turns so far.
    pub(super) fn clock(&self) -> f64 {
        self.seconds + self.turn.map_or(0.0, |(begun, _)| begun.elapsed().as_secs_f64())
    }

    /// Counts the turn that it was in.
    pub(super) fn end_turn(&mut self) {
        self.seconds = self.clock();
        let Some((begun, from)) = self.turn.take() else { return };
        let steps = self.step.saturating_sub(from);
        if from >= WARM && steps > 0 {
            let ms = begun.elapsed().as_secs_f64() * 1e3 / steps as f64;
            self.turns += 1;
            let share = FRESH.max(1.0 / self.turns as f64);
            self.ms = Some(self.ms.map_or(ms, |mean| mean + share * (ms - mean)));
        }
    }
}
