//! Two networks of the same seed on the same images, a few steps in turn.
//!
//! The networks share the GPU, so each has it to itself for its turn: what a turn takes is what its steps cost, whoever came before.
//! Both are at the same step after each round, where they are judged, kept and paused.

use crate::pad;
use crate::seen::{colours, layer, mnist};
use crate::thrown::{numbers, object, pause, thrown};
use js_sys::{Array, Float32Array, Uint8Array, Uint8ClampedArray};
use mexhat::data::{self, Splits};
use mexhat::gpu::Gpu;
use mexhat::models::Norm;
use mexhat::study::{CovariancePair, covariances};
use mexhat::train::{Event, NetOptions, Options, Saved, ScheduleKind, Trainer};
use mexhat::{Error, Result};
use std::path::Path;
use wasm_bindgen::prelude::*;
use web_time::Instant;

/// What the page may choose: the options of `mexhat train`, and how the race is shown.
struct RaceOptions {
    run: Options,
    /// The two that race.
    norms: [Norm; 2],
    /// Steps between two looks at the test images.
    look_every: u64,
    /// Most steps in flight of one network.
    ahead: usize,
}

impl RaceOptions {
    /// Reads JSON; what is missing has the race's default, which for some options is not that of `mexhat train`.
    fn read(text: &str) -> Result<Self> {
        let wrong = |e: serde_json::Error| Error::Usage(format!("the page's options: {e}"));
        let shown: Shown = serde_json::from_str(text).map_err(wrong)?;
        let mut run: Options = serde_json::from_str(text).map_err(wrong)?;
        run.batch_size = shown.batch_size;
        run.limit_train = Some(shown.limit_train);
        run.limit_test = Some(shown.limit_test);
        run.schedule = ScheduleKind::Constant;
        run.epochs = Some(shown.epochs);
        let (look_every, ahead) = (shown.look_every.max(1), shown.ahead.max(1));
        Ok(Self { run, norms: shown.norms, look_every, ahead })
    }
}

/// Options that `mexhat train` does not have, and those that have another default here.
#[derive(serde::Deserialize)]
#[serde(default)]
struct Shown {
    batch_size: usize,
    limit_train: usize,
    limit_test: usize,
    epochs: u64,
    look_every: u64,
    ahead: usize,
    norms: [Norm; 2],
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            batch_size: 64,
            limit_train: 4096,
            limit_test: 512,
            // Until the visitor has seen enough.
            epochs: 1_000_000,
            look_every: 20,
            ahead: 2,
            norms: [Norm::Batch, Norm::Deconv],
        }
    }
}

/// One network of the race.
struct Lane {
    norm: Norm,
    trainer: Trainer,
    /// Steps whose loss is known.
    step: u64,
    /// The step at which it was judged last.
    judged: Option<u64>,
    /// Seconds of its turns so far, and the turn that it is in: when it began and at which step.
    seconds: f64,
    turn: Option<(Instant, u64)>,
    /// Mean milliseconds of a step, over so many turns.
    ms: Option<f64>,
    turns: u64,
    over: bool,
    /// A checkpoint to go on from when the GPU goes away.
    kept: Vec<u8>,
}

/// The race.
#[wasm_bindgen]
pub struct Race {
    gpu: Gpu,
    options: RaceOptions,
    splits: Splits,
    lanes: Vec<Lane>,
    /// The step to which both train in this round.
    goal: u64,
    pictured: Instant,
    kept: Option<Instant>,
}

/// Least share of a new turn in the running mean of step times; at first all turns count the same.
const FRESH: f64 = 0.05;
/// The first steps compile, and are no measure.
const WARM: u64 = 2;
/// Milliseconds of a turn, and its most steps.
const TURN: (f64, u64) = (120.0, 32);
/// Steps of the first looks at the test images; then every `look_every`.
const EARLY: [u64; 5] = [0, 1, 2, 5, 10];
/// Test images that an early look takes.
const FEW: usize = 64;
/// Milliseconds between two pictures of the kernels.
const PICTURE_MS: u128 = 500;
/// Milliseconds between two checkpoints in memory.
const KEEP_MS: u128 = 5000;

#[wasm_bindgen]
impl Race {
    /// Opens the GPU, draws the digits and builds both networks. `options` is JSON: the options of `mexhat train`,
    /// `look_every` and `ahead`; what is missing has a default.
    ///
    /// `files` are the four IDX files of MNIST, `{ name: bytes }`, or null for drawn digits. `model` is a saved network, or
    /// empty: its settings take the place of those in `options`, and the lane of its norm begins with its values.
    pub async fn create(options: String, files: JsValue, model: Vec<u8>) -> Result<Race, JsValue> {
        let mut options = RaceOptions::read(&options).map_err(thrown)?;
        let saved = if model.is_empty() {
            None
        } else {
            Some(Saved::read(Path::new("the chosen file"), &model).map_err(thrown)?)
        };
        if let Some(saved) = &saved {
            options.run.net = saved.spec.net.clone();
            if !options.norms.contains(&saved.spec.net.norm) {
                options.norms[0] = saved.spec.net.norm;
            }
        }
        let gpu = Gpu::open_async(None).await.map_err(thrown)?;
        let splits = if files.is_null() || files.is_undefined() {
            data::load("glyphs", &options.run.load()).map_err(thrown)?
        } else {
            mnist(&files, &options.run).map_err(thrown)?
        };
        options.run.data = splits.train.name.clone();
        let mut lanes = options
            .norms
            .into_iter()
            .map(|norm| Lane::new(&gpu, &options, splits.clone(), norm, &[]))
            .collect::<Result<Vec<_>>>()
            .map_err(thrown)?;
        if let Some(saved) = &saved
            && let Some(lane) = lanes.iter_mut().find(|lane| lane.norm == saved.spec.net.norm)
        {
            let options = Options { net: saved.spec.net.clone(), ..options.run.clone() };
            lane.trainer = Trainer::warm(&gpu, &options, splits.clone(), saved).map_err(thrown)?;
        }
        Ok(Race { gpu, options, splits, lanes, goal: 0, pictured: Instant::now(), kept: None })
    }

    /// The network of a lane as `model.safetensors`, which `mexhat eval` reads.
    pub async fn save(&mut self, index: usize) -> Result<Uint8Array, JsValue> {
        match self.lanes[index].trainer.snapshot().await {
            Ok(snapshot) => Ok(Uint8Array::from(&snapshot.model[..])),
            Err(error) => Err(self.explained(error).await),
        }
    }

    /// What the network of a lane says to the test images: `{ counts: [truth][guess], mistakes: [{ index, label, guess, share }] }`.
    pub async fn judge(&mut self, index: usize) -> Result<JsValue, JsValue> {
        let guesses = match self.lanes[index].trainer.guesses().await {
            Ok(guesses) => guesses,
            Err(error) => return Err(self.explained(error).await),
        };
        let classes = self.splits.train.classes();
        let mut counts = vec![vec![0u32; classes]; classes];
        let mistakes = Array::new();
        for (index, guess) in guesses.iter().enumerate() {
            counts[guess.label as usize][guess.guess as usize] += 1;
            if guess.label != guess.guess {
                mistakes.push(&object(&[
                    ("index", (index as u32).into()),
                    ("label", guess.label.into()),
                    ("guess", guess.guess.into()),
                    ("share", guess.share.into()),
                ]));
            }
        }
        let counts: Array = counts.into_iter().map(|row| numbers(row.into_iter().map(f64::from))).collect();
        Ok(object(&[("lane", (index as u32).into()), ("counts", counts.into()), ("mistakes", mistakes.into())]).into())
    }

    /// The pixels of a test image, 0 to 255.
    #[wasm_bindgen(js_name = testImage)]
    pub fn test_image(&self, index: usize) -> Option<Vec<u8>> {
        self.lanes[0].trainer.test_image(index).map(<[u8]>::to_vec)
    }

    /// Covariance of each deconvolution of a lane before and after it, as pictures:
    /// `[{ name, statistics, d, scale, before, after }]`, the colours of `before` up to its largest magnitude, of `after` up to 1.
    pub async fn covariances(&mut self, index: usize) -> Result<Array, JsValue> {
        let found = match self.covariances_of(index).await {
            Ok(found) => found,
            Err(error) => return Err(self.explained(error).await),
        };
        let list = Array::new();
        for pair in found {
            let scale = pair.before.iter().fold(0.0f32, |most, v| most.max(v.abs()));
            list.push(&object(&[
                ("name", pair.name.as_str().into()),
                ("statistics", (pair.statistics as u32).into()),
                ("d", (pair.d as u32).into()),
                ("scale", scale.into()),
                ("before", colours(&pair.before, scale).into()),
                ("after", colours(&pair.after, 1.0).into()),
            ]));
        }
        Ok(list)
    }

    /// Opens the GPU anew after it went away; each network goes on from its last checkpoint. Returns the step of each.
    pub async fn recover(&mut self) -> Result<Vec<u32>, JsValue> {
        let gpu = Gpu::open_async(None).await.map_err(thrown)?;
        for lane in &mut self.lanes {
            let (lr, seconds, ms) = (lane.trainer.options().lr, lane.seconds, lane.ms);
            let kept = std::mem::take(&mut lane.kept);
            let fresh = Lane::new(&gpu, &self.options, self.splits.clone(), lane.norm, &kept).map_err(thrown)?;
            *lane = Lane { seconds, ms, judged: Some(fresh.step), ..fresh };
            lane.trainer.set_lr(lr.unwrap_or(self.options.run.base_lr())).map_err(thrown)?;
        }
        self.gpu = gpu;
        self.goal = self.furthest();
        Ok(self.lanes.iter().map(|lane| lane.step as u32).collect())
    }

    /// `{ device, software, networks: [{ norm, parameters, bytes }], images, tests, batch, model }`.
    pub fn about(&self) -> JsValue {
        let adapter = self.gpu.adapter();
        let summaries: Vec<_> = self.lanes.iter().map(|lane| lane.trainer.summary()).collect();
        let networks = summaries.iter().map(|s| {
            object(&[
                ("norm", s.norm.as_str().into()),
                ("parameters", (s.parameters as u32).into()),
                ("bytes", (s.gpu_bytes as f64).into()),
            ])
        });
        let options = serde_json::to_string(&self.options.run).unwrap_or_default();
        object(&[
            ("device", adapter.name.as_str().into()),
            ("software", adapter.is_software().into()),
            ("networks", networks.collect::<Array>().into()),
            ("images", (self.splits.train.len() as u32).into()),
            ("tests", (self.splits.test.len() as u32).into()),
            ("data", self.splits.train.name.as_str().into()),
            ("options", js_sys::JSON::parse(&options).unwrap_or(JsValue::NULL)),
            ("batch", (self.options.run.batch_size as u32).into()),
            ("model", self.options.run.net.model.as_str().into()),
        ])
        .into()
    }

    /// Goes on until something has happened; returns its events, of which there may be none; `undefined` when both networks are over.
    pub async fn advance(&mut self) -> Result<Option<Array>, JsValue> {
        let events = Array::new();
        if self.lanes.iter().all(|lane| lane.over) {
            return Ok(None);
        }
        if let Some(index) = self.behind() {
            self.train(index, &events).await?;
        } else if let Some(index) = self.unjudged() {
            self.look_at(index, &events).await?;
        } else {
            self.keep().await?;
            if self.goal > 0 && self.pictured.elapsed().as_millis() > PICTURE_MS {
                self.picture(&events).await?;
            }
            self.goal = self.next_goal();
        }
        Ok(Some(events))
    }

    /// One step of each network, nothing in flight before or after.
    #[wasm_bindgen(js_name = stepOnce)]
    pub async fn step_once(&mut self) -> Result<Array, JsValue> {
        let events = self.settle().await?;
        self.goal = self.furthest() + 1;
        self.finish(&events).await?;
        self.picture(&events).await?;
        Ok(events)
    }

    /// Waits for the steps in flight and brings both networks to the same step, for a pause.
    pub async fn settle(&mut self) -> Result<Array, JsValue> {
        let events = Array::new();
        for index in 0..self.lanes.len() {
            if self.lanes[index].over {
                continue;
            }
            match self.lanes[index].trainer.settle().await {
                Ok(settled) => settled.iter().for_each(|event| self.report(index, event, &events)),
                Err(error) => self.fail(index, error, &events).await?,
            }
            self.lanes[index].end_turn();
        }
        self.goal = self.furthest();
        self.finish(&events).await?;
        Ok(events)
    }

    /// Evaluates both networks now, on all test images.
    pub async fn look(&mut self) -> Result<Array, JsValue> {
        let events = Array::new();
        for index in 0..self.lanes.len() {
            if !self.lanes[index].over {
                self.evaluate(index, &events).await?;
            }
        }
        Ok(events)
    }

    /// The learning rate from the next step on.
    #[wasm_bindgen(js_name = setRate)]
    pub fn set_rate(&mut self, lr: f64) -> Result<(), JsValue> {
        self.lanes.iter_mut().try_for_each(|lane| lane.trainer.set_lr(lr)).map_err(thrown)
    }

    /// Reads a drawing: `ink` of `width` columns, 0 to 255. Returns `{ picture: 28x28 bytes, shares: [10 of each network] }`,
    /// or null when nothing is drawn.
    pub async fn read(&mut self, ink: Vec<u8>, width: usize) -> Result<JsValue, JsValue> {
        let Some(picture) = pad::centre(&ink, width) else { return Ok(JsValue::NULL) };
        let bytes: Vec<u8> = picture.iter().map(|v| (v * 255.0).round() as u8).collect();
        let shares = Array::new();
        for index in 0..self.lanes.len() {
            match self.lanes[index].trainer.read(&picture).await {
                Ok(read) => shares.push(&Float32Array::from(&read[..])),
                Err(error) => return Err(self.explained(error).await),
            };
        }
        Ok(object(&[("picture", Uint8ClampedArray::from(&bytes[..]).into()), ("shares", shares.into())]).into())
    }

    /// What has been created and submitted so far: `{ submissions, dispatches, buffers, bytes, pipelines, bindGroups }`.
    pub fn counters(&self) -> JsValue {
        let counters = self.gpu.counters();
        let number = |value: u64| JsValue::from(value as f64);
        object(&[
            ("submissions", number(counters.submissions)),
            ("dispatches", number(counters.dispatches)),
            ("buffers", number(counters.buffers)),
            ("bytes", number(counters.buffer_bytes)),
            ("pipelines", number(counters.pipelines)),
            ("bindGroups", number(counters.bind_groups)),
        ])
        .into()
    }

    /// Loses the device, to see what happens.
    #[wasm_bindgen(js_name = loseDevice)]
    pub fn lose_device(&self) {
        self.gpu.destroy();
    }
}

impl Race {
    async fn covariances_of(&mut self, index: usize) -> Result<Vec<CovariancePair>> {
        let trainer = &mut self.lanes[index].trainer;
        trainer.snapshot().await?;
        let (images, count) = trainer.samples(64)?;
        covariances(&self.gpu, trainer.model(), trainer.state(), &images, count).await
    }

    /// The first complaint is often a consequence of a lost device, whose loss a browser reports a moment later.
    async fn explained(&self, error: Error) -> JsValue {
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
    fn furthest(&self) -> u64 {
        self.lanes.iter().filter(|lane| !lane.over).map(|lane| lane.step).max().unwrap_or(self.goal)
    }

    /// The network whose turn it is.
    fn behind(&self) -> Option<usize> {
        self.lanes.iter().position(|lane| !lane.over && lane.step < self.goal)
    }

    /// A network that is to be judged at this step.
    fn unjudged(&self) -> Option<usize> {
        let due = EARLY.contains(&self.goal)
            || [self.options.look_every, self.epoch()].iter().any(|n| self.goal.is_multiple_of(*n));
        self.lanes.iter().position(|lane| due && !lane.over && lane.judged != Some(lane.step))
    }

    /// Steps of an epoch, at whose end a trainer evaluates by itself: the race does so before, between two turns.
    fn epoch(&self) -> u64 {
        self.lanes[0].trainer.plan().batches
    }

    /// As many steps as a turn has room for, and not beyond the next look.
    fn next_goal(&self) -> u64 {
        let slowest = self.lanes.iter().filter(|lane| !lane.over).filter_map(|lane| lane.ms).reduce(f64::max);
        let steps = slowest.map_or(1, |ms| ((TURN.0 / ms) as u64).clamp(1, TURN.1));
        let next = |every: u64| (self.goal / every + 1) * every;
        let early = EARLY.into_iter().find(|step| *step > self.goal).unwrap_or(u64::MAX);
        (self.goal + steps).min(early).min(next(self.options.look_every)).min(next(self.epoch()))
    }

    /// Trains the networks that are behind up to the goal.
    async fn finish(&mut self, events: &Array) -> Result<(), JsValue> {
        while let Some(index) = self.behind() {
            self.train(index, events).await?;
        }
        Ok(())
    }

    /// The next event of a network's turn.
    async fn train(&mut self, index: usize, events: &Array) -> Result<(), JsValue> {
        let (goal, ahead) = (self.goal, self.options.ahead);
        let lane = &mut self.lanes[index];
        lane.turn.get_or_insert_with(|| (Instant::now(), lane.step));
        // Nothing is submitted beyond the turn.
        lane.trainer.set_ahead(ahead.min((goal - lane.step) as usize));
        match lane.trainer.next().await {
            Ok(Some(event)) => self.report(index, &event, events),
            Ok(None) => lane.over = true,
            Err(error) => self.fail(index, error, events).await?,
        }
        let lane = &mut self.lanes[index];
        if lane.over || lane.step >= goal {
            lane.end_turn();
        }
        Ok(())
    }

    /// A network that has diverged is over, and the other goes on; other errors end the race.
    async fn fail(&mut self, index: usize, error: Error, events: &Array) -> Result<(), JsValue> {
        if !matches!(error, Error::Run(_)) {
            return Err(self.explained(error).await);
        }
        let lane = &mut self.lanes[index];
        lane.over = true;
        events.push(&object(&[
            ("event", "failed".into()),
            ("lane", (index as u32).into()),
            ("step", ((lane.step + 1) as f64).into()),
            ("message", error.to_string().into()),
        ]));
        Ok(())
    }

    /// Judges a network: early by a few of the test images, which is quick.
    async fn look_at(&mut self, index: usize, events: &Array) -> Result<(), JsValue> {
        let lane = &mut self.lanes[index];
        lane.judged = Some(lane.step);
        if !EARLY.contains(&lane.step) {
            return self.evaluate(index, events).await;
        }
        let guesses = match lane.trainer.guesses_of(FEW).await {
            Ok(guesses) => guesses,
            Err(error) => return Err(self.explained(error).await),
        };
        let right = guesses.iter().filter(|guess| guess.guess == guess.label).count();
        let images = guesses.len();
        self.judged(index, right as f64 / images.max(1) as f64, images, events);
        Ok(())
    }

    /// Judges a network by all test images.
    async fn evaluate(&mut self, index: usize, events: &Array) -> Result<(), JsValue> {
        let seen = match self.lanes[index].trainer.look().await {
            Ok(seen) => seen,
            // Evaluating adds nothing to a network that has diverged; its next step says so.
            Err(Error::Run(_)) => Vec::new(),
            Err(error) => return Err(self.explained(error).await),
        };
        seen.iter().for_each(|event| self.report(index, event, events));
        Ok(())
    }

    /// Tells the accuracy of a network on so many test images.
    fn judged(&self, index: usize, accuracy: f64, images: usize, events: &Array) {
        let lane = &self.lanes[index];
        events.push(&object(&[
            ("event", "eval".into()),
            ("lane", (index as u32).into()),
            ("step", (lane.step as f64).into()),
            ("seconds", lane.clock().into()),
            ("accuracy", accuracy.into()),
            ("images", (images as u32).into()),
            ("quick", (images < self.splits.test.len()).into()),
        ]));
    }

    /// Keeps checkpoints of both networks now and then, of the same step.
    async fn keep(&mut self) -> Result<(), JsValue> {
        if self.kept.is_some_and(|kept| kept.elapsed().as_millis() < KEEP_MS) {
            return Ok(());
        }
        for index in 0..self.lanes.len() {
            if self.lanes[index].over {
                continue;
            }
            match self.lanes[index].trainer.snapshot().await {
                Ok(snapshot) => self.lanes[index].kept = snapshot.checkpoint,
                Err(error) => return Err(self.explained(error).await),
            }
        }
        self.kept = Some(Instant::now());
        Ok(())
    }

    /// Pictures of each network's deconvolutions.
    async fn picture(&mut self, events: &Array) -> Result<(), JsValue> {
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
            events.push(&object(&[
                ("event", "layers".into()),
                ("lane", (index as u32).into()),
                ("step", (self.lanes[index].step as f64).into()),
                ("layers", layers.iter().map(|one| layer(one, mode)).collect::<Array>().into()),
            ]));
        }
        Ok(())
    }

    /// Adds a step or an evaluation as a plain object that also names its network and the seconds of its turns so far.
    fn report(&mut self, index: usize, event: &Event, events: &Array) {
        match event {
            Event::Step { step, epoch, loss, lr, accuracy } => {
                let runner = &mut self.lanes[index];
                runner.step = *step;
                let rate = runner.ms.map(|ms| self.options.run.batch_size as f64 / ms * 1e3);
                let or_null = |value: Option<f64>| value.map_or(JsValue::NULL, JsValue::from);
                events.push(&object(&[
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
            Event::Eval { accuracy, .. } => {
                self.judged(index, f64::from(*accuracy), self.splits.test.len(), events);
            }
            // The pictures of all layers come on their own, and the page knows the rest.
            _ => {}
        }
    }
}

impl Lane {
    /// The network of this norm, fresh or (when `kept` holds one) at a checkpoint.
    fn new(gpu: &Gpu, options: &RaceOptions, splits: Splits, norm: Norm, kept: &[u8]) -> Result<Self> {
        let net = NetOptions { norm, ..options.run.net.clone() };
        let run = Options { net, ..options.run.clone() };
        let trainer = if kept.is_empty() {
            Trainer::new(gpu, &run, splits)?
        } else {
            Trainer::resume(gpu, &run, splits, &Saved::read(Path::new("checkpoint"), kept)?)?
        };
        let step = trainer.summary().steps;
        Ok(Self {
            norm,
            trainer,
            step,
            judged: None,
            seconds: 0.0,
            turn: None,
            ms: None,
            turns: 0,
            over: false,
            kept: kept.to_vec(),
        })
    }

    /// Seconds of its turns so far.
    fn clock(&self) -> f64 {
        self.seconds + self.turn.map_or(0.0, |(begun, _)| begun.elapsed().as_secs_f64())
    }

    /// Counts the turn that it was in.
    fn end_turn(&mut self) {
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
