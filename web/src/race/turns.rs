//! Whose turn it is, for how long, and what is told of it.

use super::Race;
use crate::seen::layer;
use crate::thrown::{object, pause, thrown};
use js_sys::Array;
use mexhat::models::Norm;
use mexhat::train::{CovariancePair, Event, covariances};
use mexhat::{Error, Result};
use wasm_bindgen::prelude::*;
use web_time::Instant;

/// Milliseconds of a turn, and its most steps.
const TURN: (f64, u64) = (120.0, 32);
/// Steps of the first looks at the test images; then every `look_every`.
const EARLY: [u64; 5] = [0, 1, 2, 5, 10];
/// Test images that an early look takes.
const FEW: usize = 64;
/// Milliseconds between two pictures of the kernels.
pub(super) const PICTURE_MS: u128 = 500;
/// Milliseconds between two moments at which the networks are kept in memory.
const KEEP_MS: u128 = 5000;

impl Race {
    pub(super) async fn covariances_of(&mut self, index: usize) -> Result<Vec<CovariancePair>> {
        let trainer = &mut self.lanes[index].trainer;
        trainer.snapshot().await?;
        let (images, count) = trainer.samples(64)?;
        covariances(&self.gpu, trainer.model(), trainer.state(), &images, count).await
    }

    /// The first complaint is often a consequence of a lost device, whose loss a browser reports a moment later.
    pub(super) async fn explained(&self, error: Error) -> JsValue {
        if matches!(error, Error::Gpu(_)) {
            for _ in 0..10 {
                pause(20).await;
                if let Err(lost @ Error::DeviceLost(_)) = self.gpu.check() {
                    return thrown(lost);
                }
            }
        }
        thrown(error)
    }

    /// The furthest step of a network that is not over.
    pub(super) fn furthest(&self) -> u64 {
        self.lanes.iter().filter(|lane| !lane.over).map(|lane| lane.step).max().unwrap_or(self.goal)
    }

    /// The network whose turn it is.
    pub(super) fn behind(&self) -> Option<usize> {
        self.lanes.iter().position(|lane| !lane.over && lane.step < self.goal)
    }

    /// A network that is to be judged at this step.
    pub(super) fn unjudged(&self) -> Option<usize> {
        let due = EARLY.contains(&self.goal)
            || [self.options.look_every, self.epoch()].iter().any(|n| self.goal.is_multiple_of(*n));
        self.lanes.iter().position(|lane| due && !lane.over && lane.judged != Some(lane.step))
    }

    /// Steps of an epoch, at whose end a trainer evaluates by itself: the race does so before, between two turns.
    fn epoch(&self) -> u64 {
        self.lanes[0].trainer.plan().batches
    }

    /// As many steps as a turn has room for, and not beyond the next look.
    pub(super) fn next_goal(&self) -> u64 {
        let slowest = self.lanes.iter().filter(|lane| !lane.over).filter_map(|lane| lane.ms).reduce(f64::max);
        let steps = slowest.map_or(1, |ms| ((TURN.0 / ms) as u64).clamp(1, TURN.1));
        let next = |every: u64| (self.goal / every + 1) * every;
        let early = EARLY.into_iter().find(|step| *step > self.goal).unwrap_or(u64::MAX);
        (self.goal + steps).min(early).min(next(self.options.look_every)).min(next(self.epoch()))
    }

    /// What has happened since it was told last.
    pub(super) fn told(&mut self) -> Array {
        std::mem::replace(&mut self.events, Array::new())
    }

    /// Waits for the steps in flight and brings both networks to the same step.
    pub(super) async fn settled(&mut self) -> Result<(), JsValue> {
        for index in 0..self.lanes.len() {
            if self.lanes[index].over {
                continue;
            }
            match self.lanes[index].trainer.settle().await {
                Ok(settled) => settled.iter().for_each(|event| self.report(index, event)),
                Err(error) => self.fail(index, error).await?,
            }
            self.lanes[index].end_turn();
        }
        self.goal = self.furthest();
        self.finish().await
    }

    /// Trains the networks that are behind up to the goal.
    pub(super) async fn finish(&mut self) -> Result<(), JsValue> {
        while let Some(index) = self.behind() {
            self.train(index).await?;
        }
        Ok(())
    }

    /// The next event of a network's turn.
    pub(super) async fn train(&mut self, index: usize) -> Result<(), JsValue> {
        let (goal, ahead) = (self.goal, self.options.ahead);
        let lane = &mut self.lanes[index];
        lane.turn.get_or_insert_with(|| (Instant::now(), lane.step));
        // Nothing is submitted beyond the turn.
        lane.trainer.set_ahead(ahead.min((goal - lane.step) as usize));
        match lane.trainer.next().await {
            Ok(Some(event)) => self.report(index, &event),
            Ok(None) => lane.over = true,
            Err(error) => self.fail(index, error).await?,
        }
        let lane = &mut self.lanes[index];
        if lane.over || lane.step >= goal {
            lane.end_turn();
        }
        Ok(())
    }

    /// A network that has diverged is over, and the other goes on; other errors end the race.
    pub(super) async fn fail(&mut self, index: usize, error: Error) -> Result<(), JsValue> {
        if !matches!(error, Error::Run(_)) {
            return Err(self.explained(error).await);
        }
        let lane = &mut self.lanes[index];
        lane.over = true;
        self.events.push(&object(&[
            ("event", "failed".into()),
            ("lane", (index as u32).into()),
            ("step", ((lane.step + 1) as f64).into()),
            ("message", error.to_string().into()),
        ]));
        Ok(())
    }

    /// Judges a network: early by a few of the test images, which is quick.
    pub(super) async fn look_at(&mut self, index: usize) -> Result<(), JsValue> {
        let lane = &mut self.lanes[index];
        let step = lane.step;
        if EARLY.contains(&step) {
            let guesses = match lane.trainer.guesses_of(FEW).await {
                Ok(guesses) => guesses,
                Err(error) => return Err(self.explained(error).await),
            };
            let right = guesses.iter().filter(|guess| guess.guess == guess.label).count();
            let images = guesses.len();
            self.judged(index, right as f64 / images.max(1) as f64, images);
        } else {
            self.evaluate(index).await?;
        }
        // A device that went away meanwhile has judged nothing.
        self.lanes[index].judged = Some(step);
        Ok(())
    }

    /// Judges a network by all test images.
    pub(super) async fn evaluate(&mut self, index: usize) -> Result<(), JsValue> {
        let seen = match self.lanes[index].trainer.look().await {
            Ok(seen) => seen,
            // Evaluating adds nothing to a network that has diverged; its next step says so.
            Err(Error::Run(_)) => Vec::new(),
            Err(error) => return Err(self.explained(error).await),
        };
        seen.iter().for_each(|event| self.report(index, event));
        Ok(())
    }

    /// Tells the accuracy of a network on so many test images.
    fn judged(&self, index: usize, accuracy: f64, images: usize) {
        let lane = &self.lanes[index];
        self.events.push(&object(&[
            ("event", "eval".into()),
            ("lane", (index as u32).into()),
            ("step", (lane.step as f64).into()),
            ("seconds", lane.clock().into()),
            ("accuracy", accuracy.into()),
            ("images", (images as u32).into()),
            ("quick", (images < self.splits.test.len()).into()),
        ]));
    }

    /// Keeps both networks in memory now and then, at the same step.
    pub(super) async fn keep(&mut self) -> Result<(), JsValue> {
        if self.kept.is_some_and(|kept| kept.elapsed().as_millis() < KEEP_MS) {
            return Ok(());
        }
        for index in 0..self.lanes.len() {
            if self.lanes[index].over {
                continue;
            }
            if let Err(error) = self.lanes[index].trainer.keep().await {
                return Err(self.explained(error).await);
            }
        }
        self.kept = Some(Instant::now());
        Ok(())
    }

    /// Pictures of each network's deconvolutions.
    pub(super) async fn picture(&mut self) -> Result<(), JsValue> {
        self.pictured = Instant::now();
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            if lane.norm != Norm::Deconv || lane.over {
                continue;
            }
            let layers = match lane.trainer.layers().await {
                Ok(layers) => layers,
                Err(error) => return Err(self.explained(error).await),
            };
            let mode = self.options.run.net.mode;
            self.events.push(&object(&[
                ("event", "layers".into()),
                ("lane", (index as u32).into()),
                ("step", (self.lanes[index].step as f64).into()),
                ("layers", layers.iter().map(|one| layer(one, mode)).collect::<Array>().into()),
            ]));
        }
        Ok(())
    }

    /// Adds a step or an evaluation as a plain object that also names its network and the seconds of its turns so far.
    pub(super) fn report(&mut self, index: usize, event: &Event) {
        match event {
            Event::Step { step, epoch, loss, lr, accuracy } => {
                let runner = &mut self.lanes[index];
                runner.step = *step;
                let rate = runner.ms.map(|ms| self.options.batch_size as f64 / ms * 1e3);
                let or_null = |value: Option<f64>| value.map_or(JsValue::NULL, JsValue::from);
                self.events.push(&object(&[
                    ("event", "step".into()),
                    ("lane", (index as u32).into()),
                    ("step", (*step as f64).into()),
                    ("seconds", runner.clock().into()),
                    ("epoch", (*epoch as f64).into()),
                    ("loss", (*loss).into()),
                    ("lr", (*lr).into()),
                    ("accuracy", (*accuracy).into()),
                    ("ms", or_null(runner.ms)),
                    ("rate", or_null(rate)),
                ]));
            }
            // A network that has diverged has none.
            Event::Eval { accuracy, .. } if accuracy.is_finite() => {
                self.judged(index, f64::from(*accuracy), self.splits.test.len());
            }
            // The pictures of all layers come on their own, and the page knows the rest.
            _ => {}
        }
    }
}
