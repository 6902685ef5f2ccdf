//! Two networks of the same seed on the same images, step by step in turn.

use crate::pad;
use crate::thrown::{numbers, object, pause, thrown};
use js_sys::{Array, Float32Array, Reflect, Uint8Array, Uint8ClampedArray};
use mexhat::data::{self, Augment, Normalize, Splits};
use mexhat::gpu::Gpu;
use mexhat::models::Norm;
use mexhat::ops::BlockMode;
use mexhat::study::{CovariancePair, covariances};
use mexhat::train::{Event, LayerDeconv, NetOptions, Options, Saved, ScheduleKind, Trainer};
use mexhat::viz::{central_kernels, diverging, relative};
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
    looked: u64,
    pictured: Instant,
    ms: Option<f64>,
    over: bool,
    /// A checkpoint to go on from when the GPU goes away.
    kept: Vec<u8>,
    kept_at: Instant,
    /// Most steps in flight.
    ahead: usize,
}

/// The race.
#[wasm_bindgen]
pub struct Race {
    gpu: Gpu,
    options: RaceOptions,
    splits: Splits,
    lanes: Vec<Lane>,
    landed: Instant,
}

/// Share of a new step in the running mean of step times.
const FRESH: f64 = 0.2;
/// Milliseconds between two pictures of the kernels.
const PICTURE_MS: u128 = 500;
/// Milliseconds between two checkpoints in memory.
const KEEP_MS: u128 = 5000;
/// Kernel values of this size have the full colour.
const KERNEL_SCALE: f32 = 4.0;

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
            lane.trainer.set_ahead(lane.ahead);
        }
        Ok(Race { gpu, options, splits, lanes, landed: Instant::now() })
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
            let lr = lane.trainer.options().lr;
            let kept = std::mem::take(&mut lane.kept);
            *lane = Lane::new(&gpu, &self.options, self.splits.clone(), lane.norm, &kept).map_err(thrown)?;
            lane.trainer.set_lr(lr.unwrap_or(self.options.run.base_lr())).map_err(thrown)?;
        }
        self.gpu = gpu;
        self.landed = Instant::now();
        Ok(self.lanes.iter().map(|lane| lane.step as u32).collect())
    }

    /// `{ device, software, networks: [{ norm, parameters, bytes }], images, tests, batch, model, kernelScale }`.
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
            ("kernelScale", KERNEL_SCALE.into()),
        ])
        .into()
    }

    /// Goes on with the network that is behind until something has happened; returns its events, of which there
    /// may be none; `undefined` when both networks are over.
    pub async fn advance(&mut self) -> Result<Option<Array>, JsValue> {
        let events = Array::new();
        let Some(index) = (0..self.lanes.len()).filter(|i| !self.lanes[*i].over).min_by_key(|i| self.lanes[*i].step)
        else {
            return Ok(None);
        };
        let lane = &mut self.lanes[index];
        match lane.trainer.next().await {
            Ok(Some(event)) => self.report(index, &event, &events),
            Ok(None) => lane.over = true,
            Err(error @ (Error::DeviceLost(_) | Error::Gpu(_))) => return Err(self.explained(error).await),
            Err(error) => {
                lane.over = true;
                let message = error.to_string().into();
                events.push(&object(&[
                    ("event", "failed".into()),
                    ("lane", (index as u32).into()),
                    ("message", message),
                ]));
            }
        }
        let lane = &self.lanes[index];
        if !lane.over && lane.step > lane.looked && lane.step.is_multiple_of(self.options.look_every) {
            self.look_at(index, &events).await?;
        } else if lane.step > 0 && !lane.over && lane.pictured.elapsed().as_millis() > PICTURE_MS {
            self.picture(index, &events).await?;
        }
        Ok(Some(events))
    }

    /// One step of each network, nothing in flight before or after.
    #[wasm_bindgen(js_name = stepOnce)]
    pub async fn step_once(&mut self) -> Result<Array, JsValue> {
        let events = self.settle().await?;
        for index in 0..self.lanes.len() {
            self.lanes[index].trainer.set_ahead(1);
            let before = self.lanes[index].step;
            while !self.lanes[index].over && self.lanes[index].step == before {
                match self.lanes[index].trainer.next().await {
                    Ok(Some(event)) => self.report(index, &event, &events),
                    Ok(None) => self.lanes[index].over = true,
                    Err(error) => return Err(self.explained(error).await),
                }
            }
            self.lanes[index].trainer.set_ahead(self.options.ahead);
            self.picture(index, &events).await?;
        }
        Ok(events)
    }

    /// Waits for the steps in flight, for a pause.
    pub async fn settle(&mut self) -> Result<Array, JsValue> {
        let events = Array::new();
        for index in 0..self.lanes.len() {
            if self.lanes[index].over {
                continue;
            }
            match self.lanes[index].trainer.settle().await {
                Ok(settled) => settled.iter().for_each(|event| self.report(index, event, &events)),
                Err(error) => return Err(self.explained(error).await),
            }
        }
        Ok(events)
    }

    /// Evaluates both networks now.
    pub async fn look(&mut self) -> Result<Array, JsValue> {
        let events = Array::new();
        for index in 0..self.lanes.len() {
            if !self.lanes[index].over {
                self.look_at(index, &events).await?;
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

    async fn look_at(&mut self, index: usize, events: &Array) -> Result<(), JsValue> {
        let seen = match self.lanes[index].trainer.look().await {
            Ok(seen) => seen,
            // Evaluating adds nothing to a network that has diverged; its next step says so.
            Err(Error::Run(_)) => Vec::new(),
            Err(error) => return Err(self.explained(error).await),
        };
        seen.iter().for_each(|event| self.report(index, event, events));
        self.keep(index).await?;
        let now = Instant::now();
        let lane = &mut self.lanes[index];
        lane.looked = lane.step;
        lane.pictured = now;
        self.landed = now;
        Ok(())
    }

    /// Keeps a checkpoint now and then.
    async fn keep(&mut self, index: usize) -> Result<(), JsValue> {
        let lane = &mut self.lanes[index];
        if !lane.kept.is_empty() && lane.kept_at.elapsed().as_millis() < KEEP_MS {
            return Ok(());
        }
        match lane.trainer.snapshot().await {
            Ok(snapshot) => {
                lane.kept = snapshot.checkpoint;
                lane.kept_at = Instant::now();
                Ok(())
            }
            Err(error) => Err(self.explained(error).await),
        }
    }

    async fn picture(&mut self, index: usize, events: &Array) -> Result<(), JsValue> {
        let lane = &mut self.lanes[index];
        lane.pictured = Instant::now();
        if lane.norm != Norm::Deconv {
            return Ok(());
        }
        match lane.trainer.layers().await {
            Ok(layers) => {
                let list = Array::new();
                for layer in &layers {
                    list.push(&self.layer(layer));
                }
                let step = self.lanes[index].step as f64;
                events.push(&object(&[
                    ("event", "layers".into()),
                    ("lane", (index as u32).into()),
                    ("step", step.into()),
                    ("layers", list.into()),
                ]));
                Ok(())
            }
            Err(error) => Err(self.explained(error).await),
        }
    }

    /// `{ name, d, statistics, channels, kernel, values, colours }`: kernels (channels,channels,kernel,kernel) of the first block
    /// where its entries are taps of whole channels; otherwise D itself, `channels` 1 and `kernel` d.
    fn layer(&self, layer: &LayerDeconv) -> JsValue {
        let kernel = if layer.weight.len() == 4 { layer.weight[2] } else { 1 };
        let channels = layer.d / (kernel * kernel);
        let whole =
            self.options.run.net.mode == BlockMode::Paper || channels >= layer.weight.get(1).copied().unwrap_or(0);
        let kernels = if kernel > 1 && whole { central_kernels(&layer.deconv, channels, kernel).ok() } else { None };
        let (channels, side, values) = match kernels {
            Some(kernels) => (channels, kernel, kernels),
            None => (1, layer.d, layer.deconv.clone()),
        };
        object(&[
            ("name", layer.name.as_str().into()),
            ("d", (layer.d as u32).into()),
            ("statistics", (layer.statistics as u32).into()),
            ("channels", (channels as u32).into()),
            ("kernel", (side as u32).into()),
            ("values", Float32Array::from(&values[..]).into()),
            ("colours", colours(&values, KERNEL_SCALE).into()),
        ])
        .into()
    }

    /// Adds a step or an evaluation as a plain object that also names its network and, of a step, what it took.
    fn report(&mut self, index: usize, event: &Event, events: &Array) {
        let lane = (index as u32).into();
        match event {
            Event::Step { step, epoch, loss, lr, accuracy } => {
                let now = Instant::now();
                // The networks share the GPU: a step takes from the last result of either to its own.
                let ms = now.duration_since(self.landed).as_secs_f64() * 1e3;
                self.landed = now;
                let runner = &mut self.lanes[index];
                runner.step = *step;
                // The first steps compile.
                if *step > 2 {
                    runner.ms = Some(runner.ms.map_or(ms, |mean| mean + FRESH * (ms - mean)));
                }
                let rate = runner.ms.map(|ms| self.options.run.batch_size as f64 / ms * 1e3);
                let or_null = |value: Option<f64>| value.map_or(JsValue::NULL, JsValue::from);
                events.push(&object(&[
                    ("event", "step".into()),
                    ("lane", lane),
                    ("step", (*step as f64).into()),
                    ("epoch", (*epoch as f64).into()),
                    ("loss", (*loss).into()),
                    ("lr", (*lr).into()),
                    ("accuracy", (*accuracy).into()),
                    ("ms", or_null(runner.ms)),
                    ("rate", or_null(rate)),
                ]));
            }
            Event::Eval { step, epoch, loss, accuracy } => {
                events.push(&object(&[
                    ("event", "eval".into()),
                    ("lane", lane),
                    ("step", (*step as f64).into()),
                    ("epoch", (*epoch as f64).into()),
                    ("loss", (*loss).into()),
                    ("accuracy", (*accuracy).into()),
                ]));
            }
            // The pictures of all layers come on their own, and the page knows the rest.
            _ => {}
        }
    }
}

/// Colours (RGBA) of values on a fixed scale.
fn colours(values: &[f32], scale: f32) -> Uint8ClampedArray {
    let colours = values.iter().flat_map(|v| {
        let [r, g, b] = diverging(relative(*v, scale));
        [r, g, b, 255]
    });
    Uint8ClampedArray::from(&colours.collect::<Vec<u8>>()[..])
}

/// The splits of MNIST from its IDX files `{ name: bytes }`, unpacked or not.
fn mnist(files: &JsValue, options: &Options) -> Result<Splits> {
    let read = |name: &'static str| {
        let found = Reflect::get(files, &name.into()).ok().and_then(|bytes| bytes.dyn_into::<Uint8Array>().ok());
        found.map(|bytes| (name, bytes.to_vec())).ok_or_else(|| Error::input(name, "is missing; MNIST has four files"))
    };
    let split = |images: &'static str, labels: &'static str| {
        let ((i, images), (l, labels)) = (read(images)?, read(labels)?);
        data::idx::dataset("mnist", (i, &images), (l, &labels))
    };
    let mut train = split("train-images-idx3-ubyte", "train-labels-idx1-ubyte")?;
    let mut test = split("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")?;
    if train.shape != test.shape || train.shape[1..] != [pad::SIDE; 2] {
        let what = format!("expected pictures of 28 x 28, found {:?} and {:?} (C,H,W)", train.shape, test.shape);
        return Err(Error::input("MNIST", what));
    }
    train.truncate(options.limit_train.unwrap_or(usize::MAX));
    test.truncate(options.limit_test.unwrap_or(usize::MAX));
    Ok(Splits::new(train, test, Normalize::mnist(), Augment::NONE))
}

impl Lane {
    /// The network of this norm, fresh or (when `kept` holds one) at a checkpoint.
    fn new(gpu: &Gpu, options: &RaceOptions, splits: Splits, norm: Norm, kept: &[u8]) -> Result<Self> {
        let net = NetOptions { norm, ..options.run.net.clone() };
        let run = Options { net, ..options.run.clone() };
        let mut trainer = if kept.is_empty() {
            Trainer::new(gpu, &run, splits)?
        } else {
            Trainer::resume(gpu, &run, splits, &Saved::read(Path::new("checkpoint"), kept)?)?
        };
        trainer.set_ahead(options.ahead);
        let (step, now) = (trainer.summary().steps, Instant::now());
        Ok(Self {
            norm,
            trainer,
            step,
            looked: step,
            pictured: now,
            ms: None,
            over: false,
            kept: kept.to_vec(),
            kept_at: now,
            ahead: options.ahead,
        })
    }
}
