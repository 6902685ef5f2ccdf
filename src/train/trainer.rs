//! The loop: steps are submitted ahead, losses come back in order.

use super::checkpoint::{ModelSpec, Progress, Saved, Snapshot};
use super::clock::Instant;
use super::evaluate;
use super::record;
use super::{Event, Options, RunPlan, Started, Summary};
use crate::data::{Batch, Epoch, Loader, LoaderOptions, Splits};
use crate::gpu::{AdapterSummary, Gpu, Timings};
use crate::models::Model;
use crate::nn::Mode;
use crate::tape::{Compiled, Session, State, Tape};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::sync::Arc;

/// Which tape a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    /// On the epoch's shorter last batch.
    short: bool,
    mode: Mode,
}

/// A step that has been submitted and whose loss is not known yet.
struct Flight {
    tape: usize,
    step: u64,
    lr: f64,
    images: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Train,
    Evaluate,
    Save,
    Finish,
    Over,
}

/// Seconds after which a run is worth keeping in the middle of an epoch, and at its end.
const SAVE_SECONDS: (f64, f64) = (120.0, 10.0);

/// A training run in progress.
pub struct Trainer {
    options: Options,
    pub(super) spec: ModelSpec,
    plan: RunPlan,
    pub(super) state: State,
    pub(super) session: Session,
    pub(super) model: Model,
    kinds: Vec<Kind>,
    steps: Vec<Compiled>,
    evals: Vec<Compiled>,
    train: Loader,
    pub(super) test: Loader,
    epoch: Option<Epoch>,
    flights: VecDeque<Flight>,
    events: VecDeque<Event>,
    failure: Option<Error>,
    stage: Stage,
    stopping: bool,
    /// Steps submitted.
    step: u64,
    evaluated: Option<u64>,
    last_eval: Option<(f32, f32)>,
    saved: Instant,
    timer: Timer,
    /// Most steps in flight; above the ring's depth it does not matter.
    ahead: usize,
    /// Made when a first picture is to be read.
    reader: Option<Compiled>,
    /// Between two looks at the kernels: least steps and seconds.
    pace: Option<(u64, f64)>,
    /// Step and time of the last such look.
    looked: Option<(u64, Instant)>,
    /// Made when the test images are to be read.
    pub(super) judge: Option<Compiled>,
}

impl Trainer {
    /// Builds the network, records and compiles its tapes: everything that can be refused or can be slow.
    ///
    /// # Errors
    /// Options are out of range, or do not fit the data or the device.
    pub fn new(gpu: &Gpu, options: &Options, splits: Splits) -> Result<Self> {
        let spec = ModelSpec::new(options, &splits);
        Self::build(gpu, options, splits, spec, None)
    }

    /// Goes on where the checkpoint stands, exactly. `options` are the checkpoint's, save perhaps for the run's length.
    ///
    /// # Errors
    /// As [`Trainer::new`], and when the checkpoint belongs to another network or other data.
    pub fn resume(gpu: &Gpu, options: &Options, splits: Splits, saved: &Saved<'_>) -> Result<Self> {
        let spec = ModelSpec::new(options, &splits);
        if spec != saved.spec {
            return Err(Error::Usage(format!(
                "the data '{}' or the network are not what the run began with, so it cannot go on exactly; \
                 put the data back as it was, or begin a new run",
                options.data
            )));
        }
        Self::build(gpu, options, splits, spec, Some(saved))
    }

    /// Begins a run with the values of a saved network of the same kind, whatever data it was trained on; images are
    /// normalised as it knows them.
    ///
    /// # Errors
    /// As [`Trainer::new`], and when the file holds another network.
    pub fn warm(gpu: &Gpu, options: &Options, mut splits: Splits, saved: &Saved<'_>) -> Result<Self> {
        splits.normalize = saved.spec.normalize.clone();
        let spec = ModelSpec::new(options, &splits);
        let differs = (&spec.net, spec.input, spec.classes) != (&saved.spec.net, saved.spec.input, saved.spec.classes);
        if differs || spec.network != saved.spec.network {
            return Err(Error::Usage(format!(
                "the file holds a {} with norm {} for images of {:?} in {} classes, not the {} with norm {} for {:?} in {} that \
                 is asked for; choose its settings",
                saved.spec.net.model,
                saved.spec.net.norm,
                saved.spec.input,
                saved.spec.classes,
                spec.net.model,
                spec.net.norm,
                spec.input,
                spec.classes
            )));
        }
        Self::build(gpu, options, splits, spec, Some(saved))
    }

    /// Time of every kernel, from one more training step on the last images. The step changes the trainer's network, so
    /// this belongs behind the run.
    ///
    /// # Errors
    /// The adapter has no timestamp queries, or the device fails.
    pub async fn profile(&mut self) -> Result<Timings> {
        self.steps[0].executable().profile().await
    }

    fn build(gpu: &Gpu, options: &Options, splits: Splits, spec: ModelSpec, saved: Option<&Saved<'_>>) -> Result<Self> {
        let timer = Timer::start();
        options.validate()?;
        let images = splits.train.len();
        let plan = RunPlan::new(options, images)?;
        let train = Loader::new(
            Arc::new(splits.train),
            splits.normalize.clone(),
            Some(splits.augment),
            LoaderOptions {
                batch_size: plan.batch_size,
                shuffle: true,
                drop_last: plan.drops_last(images),
                seed: options.seed,
            },
        )?;
        let test = evaluate::loader(Arc::new(splits.test), &splits.normalize, plan.batch_size)?;

        let mut state = State::new();
        let model = spec.build(options.seed, &mut state)?;
        let kinds = kinds(&plan, &model);
        let optimizer = options.optimizer();
        let size = |kind: &Kind| if kind.short { plan.last } else { plan.batch_size };
        let mut tapes = kinds
            .iter()
            .map(|kind| record::train_step(gpu.profile(), &model, &mut state, &optimizer, size(kind), kind.mode))
            .collect::<Result<Vec<Tape>>>()?;
        let tests = test.dataset().len();
        let eval_size = plan.batch_size.min(tests);
        tapes.push(record::eval_step(&model, &state, eval_size)?);
        if tests % eval_size > 0 {
            tapes.push(record::eval_step(&model, &state, tests % eval_size)?);
        }

        let mut progress = Progress::default();
        if let Some(saved) = saved {
            saved.restore(&mut state)?;
            progress = saved.run.as_ref().map(|(_, progress)| *progress).unwrap_or_default();
        }
        let mut session = Session::new(gpu, &state)?;
        let mut steps = session.compile(&tapes.iter().collect::<Vec<_>>())?;
        let evals = steps.split_off(kinds.len());
        let mut trainer = Self {
            // The schedule's length is settled now, whatever --steps says when the run goes on.
            options: Options { epochs: Some(plan.epochs), ..options.clone() },
            spec,
            plan,
            state,
            session,
            model,
            kinds,
            steps,
            evals,
            train,
            test,
            epoch: None,
            flights: VecDeque::new(),
            events: VecDeque::new(),
            failure: None,
            stage: Stage::Train,
            stopping: false,
            step: progress.step,
            evaluated: None,
            last_eval: progress.last_eval,
            saved: Instant::now(),
            timer: Timer { seconds: progress.seconds, ..timer },
            ahead: usize::MAX,
            reader: None,
            pace: None,
            looked: None,
            judge: None,
        };
        let started = trainer.started();
        trainer.events.push_back(Event::Started(started));
        Ok(trainer)
    }

    /// The next event; `None` after [`Event::Done`].
    ///
    /// # Errors
    /// The loss is no longer a number, or the device failed. Nothing follows an error.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.stage == Stage::Over {
                return Ok(None);
            }
            if let Err(error) = self.advance().await {
                self.stage = Stage::Over;
                if matches!(error, Error::DeviceLost(_)) {
                    self.events.push_back(Event::DeviceLost);
                }
                self.failure = Some(error);
            }
        }
    }

    /// Ends the run after the steps in flight: their losses, a [`Event::Save`] and [`Event::Done`] follow.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Changes the learning rate of all steps not yet submitted; the schedule still acts on it.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is not a positive number.
    pub fn set_lr(&mut self, lr: f64) -> Result<()> {
        let options = Options { lr: Some(lr), ..self.options.clone() };
        options.validate()?;
        self.options = options;
        Ok(())
    }

    /// Lets at most so many steps (at least 1) be in flight: fewer answer sooner to whoever stops or changes the run.
    pub fn set_ahead(&mut self, steps: usize) {
        self.ahead = steps.max(1);
    }

    /// Asks for an [`Event::Kernels`] during training too, each at least so many steps and seconds after the one before.
    /// Reading them waits for the steps in flight, so that both should be well above a step.
    pub fn show_kernels(&mut self, steps: u64, seconds: f64) {
        self.pace = Some((steps.max(1), seconds));
    }

    /// Waits for the steps in flight; their events are returned and no step is submitted.
    ///
    /// # Errors
    /// As [`Trainer::next`].
    pub async fn settle(&mut self) -> Result<Vec<Event>> {
        self.drain().await?;
        self.failure.take().map_or_else(|| Ok(self.events.drain(..).collect()), Err)
    }

    /// As [`Trainer::settle`], then evaluates the test split and reads the kernels, wherever in the epoch the run is.
    ///
    /// # Errors
    /// As [`Trainer::next`].
    pub async fn look(&mut self) -> Result<Vec<Event>> {
        let mut events = self.settle().await?;
        self.timer.pause();
        let stage = self.stage;
        self.evaluate().await?;
        self.stage = stage;
        events.extend(self.events.drain(..));
        Ok(events)
    }

    /// The first layer's deconvolution kernels as they are now, an [`Event::Kernels`]; `None` without such a layer.
    ///
    /// # Errors
    /// The device failed.
    pub async fn look_at_kernels(&mut self) -> Result<Option<Event>> {
        self.kernels().await
    }

    /// The probability of each class for one image, (C, H, W) in 0..1, by the network as it is now.
    ///
    /// # Errors
    /// The image has another size than the network's, or the device failed.
    pub async fn read(&mut self, image: &[f32]) -> Result<Vec<f32>> {
        let [channels, height, width] = self.spec.input;
        if image.len() != channels * height * width {
            return Err(Error::Usage(format!(
                "expected one image of {:?} (channels, height, width), found {} values",
                self.spec.input,
                image.len()
            )));
        }
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.session.compile(&[&record::read_step(&self.model, &self.state, 1)?])?.remove(0),
        };
        let normalize = &self.spec.normalize;
        let plane = height * width;
        let values: Vec<f32> =
            image.iter().enumerate().map(|(i, v)| (v - normalize.mean[i / plane]) / normalize.std[i / plane]).collect();
        reader.submit(&[bytemuck::cast_slice(&values)]).await?;
        let read = reader.take().await?;
        self.reader = Some(reader);
        read.map(|(_, mut outputs)| outputs.remove(0)).ok_or_else(|| Error::Run("the picture gave no result".into()))
    }

    /// Parameters, buffers and moments as they are now. At [`Event::Save`] nothing is in flight; otherwise the steps in
    /// flight are waited for, and their events follow.
    pub async fn snapshot(&mut self) -> Result<Snapshot> {
        self.drain().await?;
        self.session.download(&mut self.state).await?;
        Snapshot::new(&self.state, &self.spec, &self.options, self.progress())
    }

    /// What the run was asked to do, its number of epochs settled.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The network.
    pub fn model(&self) -> &Model {
        &self.model
    }

    pub(super) fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Tensors as of the last [`Trainer::snapshot`].
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Length and schedule of the run.
    pub fn plan(&self) -> &RunPlan {
        &self.plan
    }

    /// The summary as of now.
    pub fn summary(&self) -> Summary {
        let AdapterSummary { name, backend, .. } = self.session.gpu().adapter().clone();
        Summary {
            model: self.spec.net.model.clone(),
            norm: self.spec.net.norm.to_string(),
            data: self.spec.data.clone(),
            device: name,
            backend,
            steps: self.done(),
            epochs: self.done() / self.plan.batches,
            loss: self.last_eval.map(|eval| eval.0),
            accuracy: self.last_eval.map(|eval| eval.1),
            train_seconds: self.timer.total(),
            images_per_second: self.timer.images_per_second(),
            first_step_seconds: self.timer.first_step,
            gpu_bytes: self.session.memory().total(),
            parameters: self.state.parameter_count(),
            interrupted: self.done() < self.plan.steps,
        }
    }

    fn started(&self) -> Started {
        let summary = self.summary();
        Started {
            model: summary.model,
            norm: summary.norm,
            data: summary.data,
            device: summary.device,
            backend: summary.backend,
            parameters: summary.parameters,
            train_images: self.train.dataset().len(),
            test_images: self.test.dataset().len(),
            batch_size: self.plan.batch_size,
            steps: self.plan.steps,
            steps_per_epoch: self.plan.batches,
            done: self.step,
            gpu_bytes: summary.gpu_bytes,
        }
    }

    /// Steps whose loss is known.
    fn done(&self) -> u64 {
        self.step - self.flights.len() as u64
    }

    fn progress(&self) -> Progress {
        Progress {
            step: self.step,
            epoch: self.step / self.plan.batches,
            batch: self.step % self.plan.batches,
            seconds: self.timer.total(),
            last_eval: self.last_eval,
        }
    }

    async fn advance(&mut self) -> Result<()> {
        match self.stage {
            Stage::Train => self.train_some().await,
            Stage::Evaluate => self.evaluate().await,
            Stage::Save => {
                // Short epochs are not worth a file each.
                if self.ended() || self.saved.elapsed().as_secs_f64() > SAVE_SECONDS.1 {
                    self.events.push_back(Event::Save { step: self.step });
                    self.saved = Instant::now();
                }
                self.stage = if self.ended() { Stage::Finish } else { Stage::Train };
                Ok(())
            }
            Stage::Finish => {
                self.events.push_back(Event::Done(self.summary()));
                self.stage = Stage::Over;
                Ok(())
            }
            Stage::Over => Ok(()),
        }
    }

    fn ended(&self) -> bool {
        self.stopping || self.step >= self.plan.steps
    }

    /// Takes what has come back; when nothing has, submits one more step.
    async fn train_some(&mut self) -> Result<()> {
        while let Some(flight) = self.flights.front() {
            let Some((_, outputs)) = self.steps[flight.tape].try_take()? else { break };
            self.landed(&outputs);
            if self.failure.is_some() {
                return Ok(());
            }
        }
        if !self.events.is_empty() {
            return Ok(());
        }
        if let Some(flight) = self.flights.front().filter(|_| self.flights.len() >= self.ahead) {
            let taken = self.steps[flight.tape].take().await?;
            return taken.map_or_else(
                || Err(Error::Run("a training step gave no result".into())),
                |(_, outputs)| {
                    self.landed(&outputs);
                    Ok(())
                },
            );
        }
        if self.wants_kernels() {
            self.looked = Some((self.step, Instant::now()));
            if let Some(event) = self.kernels().await? {
                self.events.push_back(event);
            }
        }
        let save = self.saved.elapsed().as_secs_f64() > SAVE_SECONDS.0;
        let batch = if save || self.ended() { None } else { self.next_batch() };
        if let Some(batch) = batch {
            return self.submit(batch).await;
        }
        self.drain().await?;
        self.timer.pause();
        // A loss that is no number has ended the run.
        if self.stage == Stage::Train {
            let interrupted = self.stopping && self.step < self.plan.steps;
            let fresh = self.evaluated == Some(self.step);
            let within = save && !self.ended() && !self.step.is_multiple_of(self.plan.batches);
            if !within {
                self.epoch = None;
            }
            self.stage = if interrupted || fresh || within { Stage::Save } else { Stage::Evaluate };
        }
        Ok(())
    }

    fn wants_kernels(&self) -> bool {
        let Some((steps, seconds)) = self.pace else { return false };
        self.looked.is_none_or(|(step, time)| self.step >= step + steps && time.elapsed().as_secs_f64() >= seconds)
    }

    /// The next batch of this epoch; `None` at its end.
    fn next_batch(&mut self) -> Option<Batch> {
        let (epoch, batch) = (self.step / self.plan.batches, self.step % self.plan.batches);
        if self.epoch.is_none() {
            self.epoch = Some(self.train.epoch(epoch as usize, batch as usize));
        }
        self.epoch.as_mut()?.next()
    }

    async fn submit(&mut self, batch: Batch) -> Result<()> {
        self.timer.resume();
        let lr = self.plan.schedule.lr(self.options.base_lr(), self.step);
        let scalars = self.options.optimizer().scalars(lr, self.step + 1, self.options.seed);
        let kind = Kind { short: batch.len < self.plan.batch_size, mode: self.model.mode_at(self.step) };
        let tape = self
            .kinds
            .iter()
            .position(|known| *known == kind)
            .ok_or_else(|| Error::Run(format!("a batch of {} images was not planned for", batch.len)))?;
        let inputs = [bytemuck::cast_slice(&batch.images), bytemuck::cast_slice(&batch.labels), scalars.bytes()];
        self.steps[tape].submit(&inputs).await?;
        self.step += 1;
        self.flights.push_back(Flight { tape, step: self.step, lr, images: batch.len });
        self.train.recycle(batch);
        Ok(())
    }

    /// Waits for every step in flight.
    async fn drain(&mut self) -> Result<()> {
        while let Some(flight) = self.flights.front() {
            let Some((_, outputs)) = self.steps[flight.tape].take().await? else {
                return Err(Error::Run("a training step gave no result".into()));
            };
            self.landed(&outputs);
        }
        Ok(())
    }

    /// Reports the oldest step in flight, and ends the run when its loss is no number.
    fn landed(&mut self, outputs: &[Vec<f32>]) {
        let Some(Flight { step, lr, images, .. }) = self.flights.pop_front() else { return };
        if self.failure.is_some() {
            return;
        }
        self.timer.landed(images);
        let (loss, accuracy) = (outputs[0][0], outputs[1][0] / images as f32);
        let epoch = (step - 1) / self.plan.batches;
        self.events.push_back(Event::Step { step, epoch, loss, lr, accuracy });
        if !loss.is_finite() {
            self.failure = Some(Error::Run(format!(
                "the loss is {loss} at step {step} (learning rate {lr:.3e}), so training has diverged; try a smaller --lr \
                 (a third or a tenth of {}), {}or --norm deconv, which bears larger rates",
                self.options.base_lr(),
                if self.spec.net.norm == crate::models::Norm::Deconv { "a larger --eps, " } else { "" },
            )));
            self.stage = Stage::Over;
        }
    }

    async fn evaluate(&mut self) -> Result<()> {
        let (full, last) = self.evals.split_at_mut(1);
        let found = evaluate::run(&self.test, &mut full[0], last.first_mut()).await?;
        let (step, epoch) = (self.step, self.step / self.plan.batches);
        self.last_eval = Some((found.loss, found.accuracy));
        self.evaluated = Some(step);
        self.events.push_back(Event::Eval { step, epoch, loss: found.loss, accuracy: found.accuracy });
        if let Some(event) = self.kernels().await? {
            self.events.push_back(event);
        }
        self.stage = Stage::Save;
        Ok(())
    }

    /// The kernels that the first layer's running deconvolution applies, where there is one.
    async fn kernels(&mut self) -> Result<Option<Event>> {
        let Some(first) = &self.model.first else { return Ok(None) };
        let (layout, deconv) = (first.layout(), first.running().1);
        self.session.download_some(&mut self.state, &[deconv]).await?;
        let (kernel, d) = (layout.kernel, layout.d);
        let channels = d / (kernel * kernel);
        let values = crate::viz::central_kernels(&self.state.get(deconv).values[..d * d], channels, kernel)?;
        Ok(Some(Event::Kernels { step: self.step, channels, kernel, values }))
    }
}

/// The kinds of training step that this run will need.
fn kinds(plan: &RunPlan, model: &Model) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for mode in [Mode::Train, Mode::Frozen] {
        for short in [false, true] {
            let reached = (0..plan.steps.min(1000)).any(|step| model.mode_at(step) == mode);
            if reached && (!short || plan.last < plan.batch_size) {
                kinds.push(Kind { short, mode });
            }
        }
    }
    kinds
}

/// Time of training steps; evaluations and the caller's pauses between epochs are left out.
struct Timer {
    begin: Instant,
    running: Option<Instant>,
    /// Seconds so far, earlier sessions included.
    seconds: f64,
    first_step: f64,
    /// Seconds and images of this session after its first step.
    steady: (f64, usize),
    landed: Option<Instant>,
}

impl Timer {
    fn start() -> Self {
        Self { begin: Instant::now(), running: None, seconds: 0.0, first_step: 0.0, steady: (0.0, 0), landed: None }
    }

    fn resume(&mut self) {
        self.running.get_or_insert_with(Instant::now);
    }

    fn pause(&mut self) {
        if let Some(since) = self.running.take() {
            self.seconds += since.elapsed().as_secs_f64();
        }
        self.landed = None;
    }

    fn landed(&mut self, images: usize) {
        let now = Instant::now();
        if self.first_step == 0.0 {
            self.first_step = now.duration_since(self.begin).as_secs_f64();
        } else if let Some(before) = self.landed.or(self.running) {
            self.steady.0 += now.duration_since(before).as_secs_f64();
            self.steady.1 += images;
        }
        self.landed = Some(now);
    }

    fn total(&self) -> f64 {
        self.seconds + self.running.map_or(0.0, |since| since.elapsed().as_secs_f64())
    }

    fn images_per_second(&self) -> f64 {
        if self.steady.0 > 0.0 { self.steady.1 as f64 / self.steady.0 } else { 0.0 }
    }
}
