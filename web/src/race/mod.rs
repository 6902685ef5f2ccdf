//! Two to four networks of the same seed on the same images, a few steps in turn.
//!
//! The networks share the GPU, so each has it to itself for its turn: what a turn takes is what its steps cost, whoever
//! came before. All are at the same step after each round, where they are judged, kept and paused.

mod lane;
mod options;
mod turns;

use crate::given;
use crate::pad;
use crate::seen::colours;
use crate::thrown::{numbers, object, thrown};
use js_sys::{Array, Float32Array, Uint8Array, Uint8ClampedArray};
use lane::Lane;
use mexhat::Result;
use mexhat::data::Splits;
use mexhat::gpu::Gpu;
use mexhat::models;
use mexhat::train::{Options, Saved, Tensor, Trainer};
pub use options::RaceOptions;
use std::path::Path;
use turns::PICTURE_MS;
use wasm_bindgen::prelude::*;
use web_time::Instant;

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
    /// What has happened and is not told yet: a device that goes away takes none of it along.
    events: Array,
}

#[wasm_bindgen]
impl Race {
    /// Opens the GPU, draws the digits and builds the networks. `options` is JSON: the options of `mexhat train`,
    /// `look_every` and `ahead`; what is missing has a default.
    ///
    /// `data` is what the reader's wasm has found in files, or null for drawn digits. `model` is a saved network, or
    /// empty: its settings take the place of those in `options`, and the lane of its norm begins with its values.
    pub async fn create(options: String, data: JsValue, model: Vec<u8>) -> Result<Race, JsValue> {
        let mut options = RaceOptions::read(&options).map_err(thrown)?;
        let saved = if model.is_empty() {
            None
        } else {
            Some(Saved::read(Path::new("the chosen file"), &model).map_err(thrown)?)
        };
        if let Some(saved) = &saved {
            options.run.net = saved.spec.net.clone();
            if !models::NAMES.contains(&options.run.net.model.as_str()) {
                // A network of somebody's own, known only by its layers.
                options.run.network = saved.spec.network.clone();
            }
            if !options.norms.contains(&saved.spec.net.norm) {
                options.norms[0] = saved.spec.net.norm;
            }
        }
        let gpu = Gpu::open_async(None).await.map_err(thrown)?;
        let splits = given::splits(&data, &mut options).map_err(thrown)?;
        options.run.data = splits.train.name.clone();
        let mut lanes = options
            .norms
            .iter()
            .map(|norm| Lane::new(&gpu, &options, splits.clone(), *norm))
            .collect::<Result<Vec<_>>>()
            .map_err(thrown)?;
        if let Some(saved) = &saved
            && let Some(lane) = lanes.iter_mut().find(|lane| lane.norm == saved.spec.net.norm)
        {
            let options = Options { net: saved.spec.net.clone(), ..options.run.clone() };
            lane.trainer = Trainer::warm(&gpu, &options, splits.clone(), saved).map_err(thrown)?;
        }
        Ok(Race { gpu, options, splits, lanes, goal: 0, pictured: Instant::now(), kept: None, events: Array::new() })
    }

    /// The network of a lane as `model.safetensors`, which `mexhat eval` reads.
    pub async fn save(&mut self, index: usize) -> Result<Uint8Array, JsValue> {
        match self.lanes[index].trainer.snapshot().await {
            Ok(snapshot) => Ok(Uint8Array::from(&snapshot.model[..])),
            Err(error) => Err(self.explained(error).await),
        }
    }

    /// What the network of a lane says to the test images:
    /// `{ counts: [truth][guess], mistakes: [{ index, label, guess, share }] }`.
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
    /// `[{ name, statistics, d, scale, before, after }]`, the colours of `before` up to its largest magnitude, of
    /// `after` up to 1.
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

    /// Opens the GPU anew after it went away and builds both networks there; [`Race::catch_up`] must follow. Returns
    /// the steps at which they were kept.
    pub async fn reopen(&mut self) -> Result<Vec<u32>, JsValue> {
        self.gpu = Gpu::open_async(None).await.map_err(thrown)?;
        let mut kept = Vec::new();
        for lane in &mut self.lanes {
            // The turn in which it happened is no measure.
            lane.turn = None;
            kept.push(lane.trainer.move_to(&self.gpu).map(|step| step as u32));
        }
        match kept.into_iter().collect() {
            Ok(kept) => Ok(kept),
            Err(error) => Err(self.explained(error).await),
        }
    }

    /// Each network makes the steps since it was kept once more, and stands where it stood.
    #[wasm_bindgen(js_name = catchUp)]
    pub async fn catch_up(&mut self) -> Result<(), JsValue> {
        for index in 0..self.lanes.len() {
            if let Err(error) = self.lanes[index].trainer.catch_up().await {
                return Err(self.explained(error).await);
            }
        }
        Ok(())
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
        let options = mexhat::json::text(&self.options.run).unwrap_or_default();
        object(&[
            ("device", adapter.name.as_str().into()),
            ("software", adapter.is_software().into()),
            ("networks", networks.collect::<Array>().into()),
            ("images", (self.splits.train.len() as u32).into()),
            ("tests", (self.splits.test.len() as u32).into()),
            ("data", self.splits.train.name.as_str().into()),
            ("options", js_sys::JSON::parse(&options).unwrap_or(JsValue::NULL)),
            ("batch", (self.options.batch_size as u32).into()),
            ("model", self.options.run.net.model.as_str().into()),
        ])
        .into()
    }

    /// Goes on until something has happened; returns its events, of which there may be none; `undefined` when both
    /// networks are over.
    pub async fn advance(&mut self) -> Result<Option<Array>, JsValue> {
        if self.lanes.iter().all(|lane| lane.over) {
            return Ok(None);
        }
        if let Some(index) = self.behind() {
            self.train(index).await?;
        } else if let Some(index) = self.unjudged() {
            self.look_at(index).await?;
        } else {
            self.keep().await?;
            if self.goal > 0 && self.pictured.elapsed().as_millis() > PICTURE_MS {
                self.picture().await?;
            }
            self.goal = self.next_goal();
        }
        Ok(Some(self.told()))
    }

    /// Whether networks are to be judged at this step: then [`Race::advance`] judges one of them, a pause or not.
    #[wasm_bindgen(getter)]
    pub fn due(&self) -> bool {
        self.behind().is_none() && self.unjudged().is_some()
    }

    /// One step of each network, nothing in flight before or after.
    #[wasm_bindgen(js_name = stepOnce)]
    pub async fn step_once(&mut self) -> Result<Array, JsValue> {
        self.settled().await?;
        self.goal = self.furthest() + 1;
        self.finish().await?;
        self.picture().await?;
        Ok(self.told())
    }

    /// Waits for the steps in flight and brings the networks to the same step, for a pause.
    pub async fn settle(&mut self) -> Result<Array, JsValue> {
        self.settled().await?;
        Ok(self.told())
    }

    /// Evaluates both networks now, on all test images.
    pub async fn look(&mut self) -> Result<Array, JsValue> {
        for index in 0..self.lanes.len() {
            if !self.lanes[index].over {
                self.evaluate(index).await?;
            }
        }
        Ok(self.told())
    }

    /// The learning rate from the next step on.
    #[wasm_bindgen(js_name = setRate)]
    pub fn set_rate(&mut self, lr: f64) -> Result<(), JsValue> {
        self.lanes.iter_mut().try_for_each(|lane| lane.trainer.set_lr(lr)).map_err(thrown)
    }

    /// Reads a drawing: `ink` of `width` columns, 0 to 255. Returns
    /// `{ picture: 28x28 bytes, shares: [10 of each network] }`, or null when nothing is drawn.
    pub async fn read(&mut self, ink: Vec<u8>, width: usize) -> Result<JsValue, JsValue> {
        let Some(picture) = pad::centre(&ink, width) else { return Ok(JsValue::NULL) };
        let bytes: Vec<u8> = picture.iter().map(|v| (v * 255.0).round() as u8).collect();
        let shares = self.shares(&picture).await?;
        Ok(object(&[("picture", Uint8ClampedArray::from(&bytes[..]).into()), ("shares", shares.into())]).into())
    }

    /// What each network says to a picture as the data has them, (C,H,W), 0 to 255: its shares of the classes.
    pub async fn guess(&mut self, pixels: Vec<u8>) -> Result<Array, JsValue> {
        let picture: Vec<f32> = pixels.iter().map(|v| f32::from(*v) / 255.0).collect();
        self.shares(&picture).await
    }

    /// What each layer makes of a picture as the data has them, (C,H,W), 0 to 255: for each network
    /// `[{ name, shape, values }]`, shapes (C,H,W) or (F).
    pub async fn activations(&mut self, pixels: Vec<u8>) -> Result<Array, JsValue> {
        let networks = Array::new();
        for index in 0..self.lanes.len() {
            let found = match self.lanes[index].trainer.activations(&pixels).await {
                Ok(found) => found,
                Err(error) => return Err(self.explained(error).await),
            };
            let layer = |(name, tensor): &(String, Tensor)| {
                object(&[
                    ("name", name.as_str().into()),
                    ("shape", numbers(tensor.shape[1..].iter().map(|side| *side as f64))),
                    ("values", Float32Array::from(&tensor.values[..]).into()),
                ])
            };
            networks.push(&found.iter().map(layer).collect::<Array>());
        }
        Ok(networks)
    }

    /// What has been created and submitted so far:
    /// `{ submissions, dispatches, buffers, bytes, pipelines, bindGroups }`.
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
    /// The probabilities that each network gives to a picture in 0..1.
    async fn shares(&mut self, picture: &[f32]) -> Result<Array, JsValue> {
        let shares = Array::new();
        for index in 0..self.lanes.len() {
            match self.lanes[index].trainer.read(picture).await {
                Ok(read) => shares.push(&Float32Array::from(&read[..])),
                Err(error) => return Err(self.explained(error).await),
            };
        }
        Ok(shares)
    }
}

/// Refuses a file that is no saved network, as [`Race::create`] would.
#[wasm_bindgen(js_name = examineModel)]
pub fn examine_model(bytes: &[u8]) -> Result<(), JsValue> {
    Saved::read(Path::new("the chosen file"), bytes).map(drop).map_err(thrown)
}
