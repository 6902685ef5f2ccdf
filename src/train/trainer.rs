//! The loop: steps are submitted ahead, losses come back in order.

use super::checkpoint::{DataMark, Progress, Saved, SavedRun, Snapshot};
use super::clock::Instant;
use super::evaluate;
use super::learner::record::Pass;
use super::{CheckpointEvery, Event, Learner, ModelSpec, Options, RunPlan, Started, Step, Summary, Update};
use crate::data::{Batch, Dataset, Epoch, Loader, LoaderOptions, Report, Splits};
use crate::gpu::{AdapterSummary, Gpu, Timings};
use crate::models::Model;
use crate::nn::Mode;
use crate::tape::State;
use crate::{Error, Result};
use std::collections::VecDeque;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Train,
    Evaluate,
    Save,
    Finish,
    Over,
}

/// Seconds after which a run is worth keeping at the end of an epoch.
const EPOCH_SECONDS: f64 = 10.0;

/// A training run in progress.
pub struct Trainer {
    options: Options,
    pub(super) spec: ModelSpec,
    plan: RunPlan,
    pub(super) learner: Learner,
    pub(super) train: Loader,
    report: Report,
    pub(super) test: Loader,
    validation: Option<Dataset>,
    /// Made when a first checkpoint is.
    mark: Option<DataMark>,
    epoch: Option<Epoch>,
    events: VecDeque<Event>,
    failure: Option<Error>,
    stage: Stage,
    stopping: bool,
    diverged: bool,
    evaluated: Option<u64>,
    last_eval: Option<(f32, f32)>,
    /// Step and time of the last [`Event::Save`].
    saved: (u64, Instant),
    timer: Timer,
    /// Most steps in flight; above the ring's depth it does not matter.
    ahead: usize,
    /// Between two looks at the kernels: least steps and seconds.
    pace: Option<(u64, f64)>,
    /// Step and time of the last such look.
    looked: Option<(u64, Instant)>,
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

    /// Goes on where the checkpoint stands, exactly. `options` are the checkpoint's, save perhaps for the run's length and the
    /// place of its data.
    ///
    /// # Errors
    /// As [`Trainer::new`], and when the checkpoint belongs to another network or other data, or is none of a run.
    pub fn resume(gpu: &Gpu, options: &Options, splits: Splits, saved: &Saved<'_>) -> Result<Self> {
        let spec = ModelSpec::new(options, &splits);
        let Some(run) = &saved.run else {
            return Err(Error::Usage("a network without its run cannot go on; expected a checkpoint".into()));
        };
        let found = DataMark::of(&splits.train, splits.validation.as_ref(), &splits.test);
        if found != run.data {
            return Err(Error::Usage(format!(
                "the data '{}' is not what the run began with, so it cannot go on exactly: expected {}; found {found}. \
                 Put the data back as it was, name where it is now, or begin a new run",
                options.data, run.data
            )));
        }
        if !spec.goes_on_as(&saved.spec) {
            return Err(Error::Usage(format!(
                "the network, or how its images are normalised and changed, is not what the run on '{}' began with, so it \
                 cannot go on exactly; begin a new run",
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
        self.learner.profile().await
    }

    fn build(gpu: &Gpu, options: &Options, splits: Splits, spec: ModelSpec, saved: Option<&Saved<'_>>) -> Result<Self> {
        let timer = Timer::start();
        options.validate()?;
        let images = splits.train.len();
        let progress = saved.and_then(|saved| saved.run.as_ref()).map_or_else(Progress::default, |run| run.progress);
        if options.batch_size == 1 && spec.net.norm == crate::models::Norm::Deconv {
            return Err(Error::Usage(
                "the batch size is 1, but one image has no covariance, so deconvolution would learn nothing that holds for others; \
                 choose a batch size of at least 2, better 16, or no normalisation"
                    .into(),
            ));
        }
        let plan = RunPlan::going_on(options, images, &progress)?;
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
        let validation = splits.validation;
        let test = evaluate::loader(Arc::new(splits.test), &splits.normalize, plan.batch_size)?;

        let update = Update { rule: options.optimizer(), lr: options.base_lr() };
        let network = spec.network(options.seed)?;
        // What a checkpoint describes takes no more room than the file has.
        let state = saved.filter(|saved| saved.run.is_some()).map_or_else(State::new, Saved::state);
        let restore = |state: &mut State| saved.map_or(Ok(()), |saved| saved.restore(state));
        let mut learner =
            Learner::begin(gpu, network, Some(update), state, restore)?.with_normalize(spec.normalize.clone())?;
        spec.check(&learner.model)?;
        learner.step = progress.step;
        learner.prepare(&passes(&plan, &learner.model, test.dataset().len()))?;
        let mut trainer = Self {
            options: options.clone(),
            spec,
            plan,
            learner,
            train,
            report: splits.report,
            test,
            validation,
            mark: None,
            epoch: None,
            events: VecDeque::new(),
            failure: None,
            stage: Stage::Train,
            stopping: false,
            diverged: false,
            evaluated: None,
            last_eval: progress.last_eval,
            saved: (progress.step, Instant::now()),
            timer: Timer { seconds: progress.seconds, ..timer },
            ahead: usize::MAX,
            pace: None,
            looked: None,
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
        events.extend(self.events.drain(..));
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.stage = stage;
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
        if image.len() != self.spec.input.iter().product::<usize>() {
            return Err(Error::Usage(format!(
                "expected one image of {:?} (channels, height, width), found {} values",
                self.spec.input,
                image.len()
            )));
        }
        Ok(self.learner.predict_async(image).await?.values)
    }

    /// Parameters, buffers and moments as they are now. At [`Event::Save`] nothing is in flight; otherwise the steps in
    /// flight are waited for, and their events follow.
    ///
    /// # Errors
    /// A value is no longer a number: such a network is not kept.
    pub async fn snapshot(&mut self) -> Result<Snapshot> {
        self.drain().await?;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let Learner { session, state, .. } = &mut self.learner;
        session.download(state).await?;
        let broken = state.iter().find(|(_, tensor)| tensor.values.iter().any(|v| !v.is_finite()));
        if let Some(name) = broken.map(|(_, tensor)| tensor.name.clone()) {
            let step = self.learner.steps();
            let what = format!("'{name}' holds values that are no numbers after step {step}");
            return Err(self.diverge(&what, self.plan.schedule.lr(self.options.base_lr(), step.saturating_sub(1))));
        }
        let mark = self
            .mark
            .get_or_insert_with(|| DataMark::of(self.train.dataset(), self.validation.as_ref(), self.test.dataset()));
        let (options, data) = (self.options.clone(), mark.clone());
        Snapshot::new(&self.learner.state, &self.spec, &SavedRun { options, progress: self.progress(), data })
    }

    /// Ends the run, because `what` is no longer a number.
    fn diverge(&mut self, what: &str, lr: f64) -> Error {
        self.diverged = true;
        self.stage = Stage::Over;
        Error::Run(format!(
            "{what} (learning rate {lr:.3e}), so training has diverged; try a smaller --lr (a third or a tenth of {}), {}or \
             --norm deconv, which bears larger rates",
            self.options.base_lr(),
            if self.spec.net.norm == crate::models::Norm::Deconv { "a larger --eps, " } else { "" },
        ))
    }

    /// What the run was asked to do.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The network.
    pub fn model(&self) -> &Model {
        &self.learner.model
    }

    pub(super) fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Tensors as of the last [`Trainer::snapshot`].
    pub fn state(&self) -> &State {
        &self.learner.state
    }

    /// Length and schedule of the run.
    pub fn plan(&self) -> &RunPlan {
        &self.plan
    }

    /// The summary as of now.
    pub fn summary(&self) -> Summary {
        let AdapterSummary { name, backend, .. } = self.learner.session.gpu().adapter().clone();
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
            gpu_bytes: self.learner.memory().total(),
            parameters: self.learner.parameters(),
            interrupted: !self.diverged && self.done() < self.plan.steps,
            diverged: self.diverged,
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
            done: self.learner.steps(),
            gpu_bytes: summary.gpu_bytes,
            decided: self.report.lines().into_iter().chain(self.plan.notes()).collect(),
        }
    }

    /// Steps whose loss is known.
    fn done(&self) -> u64 {
        self.learner.steps() - self.learner.in_flight() as u64
    }

    fn progress(&self) -> Progress {
        Progress {
            step: self.learner.steps(),
            epoch: self.learner.steps() / self.plan.batches,
            batch: self.learner.steps() % self.plan.batches,
            epochs: self.plan.epochs,
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
                if self.ended() || self.save_is_due() || self.saved.1.elapsed().as_secs_f64() > EPOCH_SECONDS {
                    self.events.push_back(Event::Save { step: self.learner.steps() });
                    self.saved = (self.learner.steps(), Instant::now());
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

    /// Whether so much has happened since the last checkpoint that the next belongs here.
    fn save_is_due(&self) -> bool {
        let step = self.learner.steps();
        match self.options.checkpoint_every {
            _ if step <= self.saved.0 => false,
            CheckpointEvery::Steps(steps) => step.is_multiple_of(steps),
            CheckpointEvery::Seconds(seconds) => self.saved.1.elapsed().as_secs() >= seconds,
        }
    }

    fn ended(&self) -> bool {
        self.stopping || self.learner.steps() >= self.plan.steps
    }

    /// Takes what has come back; when nothing has, submits one more step.
    async fn train_some(&mut self) -> Result<()> {
        while let Some(step) = self.learner.try_take()? {
            self.landed(step);
            if self.failure.is_some() {
                return Ok(());
            }
        }
        if !self.events.is_empty() {
            return Ok(());
        }
        if self.learner.in_flight() >= self.ahead {
            let step = self.learner.take().await?;
            step.into_iter().for_each(|step| self.landed(step));
            return Ok(());
        }
        if self.wants_kernels() {
            self.looked = Some((self.learner.steps(), Instant::now()));
            if let Some(event) = self.kernels().await? {
                self.events.push_back(event);
            }
        }
        let save = self.save_is_due();
        let batch = if save || self.ended() { None } else { self.next_batch() };
        if let Some(batch) = batch {
            return self.submit(batch).await;
        }
        self.drain().await?;
        self.timer.pause();
        // A loss that is no number has ended the run.
        if self.stage == Stage::Train {
            let interrupted = self.stopping && self.learner.steps() < self.plan.steps;
            let fresh = self.evaluated == Some(self.learner.steps());
            let within = save && !self.ended() && !self.learner.steps().is_multiple_of(self.plan.batches);
            if !within {
                self.epoch = None;
            }
            self.stage = if interrupted || fresh || within { Stage::Save } else { Stage::Evaluate };
        }
        Ok(())
    }

    fn wants_kernels(&self) -> bool {
        let Some((steps, seconds)) = self.pace else { return false };
        self.looked
            .is_none_or(|(step, time)| self.learner.steps() >= step + steps && time.elapsed().as_secs_f64() >= seconds)
    }

    /// The next batch of this epoch; `None` at its end.
    fn next_batch(&mut self) -> Option<Batch> {
        let (epoch, batch) = (self.learner.steps() / self.plan.batches, self.learner.steps() % self.plan.batches);
        if self.epoch.is_none() {
            self.epoch = Some(self.train.epoch(epoch as usize, batch as usize));
        }
        self.epoch.as_mut()?.next()
    }

    async fn submit(&mut self, batch: Batch) -> Result<()> {
        self.timer.resume();
        let lr = self.plan.schedule.lr(self.options.base_lr(), self.learner.steps());
        let labels = bytemuck::cast_slice(&batch.labels);
        self.learner.submit_raw(&batch.images, labels, batch.len, lr, self.options.seed).await?;
        self.train.recycle(batch);
        Ok(())
    }

    /// Waits for every step in flight.
    async fn drain(&mut self) -> Result<()> {
        while let Some(step) = self.learner.take().await? {
            self.landed(step);
        }
        Ok(())
    }

    /// Reports the oldest step in flight, and ends the run when its loss is no number.
    fn landed(&mut self, landed: Step) {
        if self.failure.is_some() {
            return;
        }
        let Step { step, loss, accuracy, lr, images } = landed;
        self.timer.landed(images);
        let epoch = (step - 1) / self.plan.batches;
        self.events.push_back(Event::Step { step, epoch, loss, lr, accuracy });
        if !loss.is_finite() {
            self.failure = Some(self.diverge(&format!("the loss is {loss} at step {step}"), lr));
        }
    }

    async fn evaluate(&mut self) -> Result<()> {
        let (full, last) = self.learner.judges(self.plan.batch_size, self.test.dataset().len())?;
        let found = evaluate::run(&self.test, full, last).await?;
        let (step, epoch) = (self.learner.steps(), self.learner.steps() / self.plan.batches);
        self.evaluated = Some(step);
        self.events.push_back(Event::Eval { step, epoch, loss: found.loss, accuracy: found.accuracy });
        if !found.loss.is_finite() {
            let lr = self.plan.schedule.lr(self.options.base_lr(), step.saturating_sub(1));
            self.failure = Some(self.diverge(&format!("the test loss is {} after step {step}", found.loss), lr));
            return Ok(());
        }
        self.last_eval = Some((found.loss, found.accuracy));
        if let Some(event) = self.kernels().await? {
            self.events.push_back(event);
        }
        self.stage = Stage::Save;
        Ok(())
    }

    /// The kernels that the first layer's running deconvolution applies, where there is one.
    async fn kernels(&mut self) -> Result<Option<Event>> {
        let Some(first) = &self.learner.model.first else { return Ok(None) };
        let (layout, deconv) = (first.layout(), first.running().1);
        let Learner { session, state, .. } = &mut self.learner;
        session.download_some(state, &[deconv]).await?;
        let (kernel, d) = (layout.kernel, layout.d);
        let channels = d / (kernel * kernel);
        let values = crate::viz::central_kernels(&self.learner.state.get(deconv).values[..d * d], channels, kernel)?;
        Ok(Some(Event::Kernels { step: self.learner.steps(), channels, kernel, values }))
    }
}

/// Everything that this run will need compiled, the training step that it begins with first.
pub(super) fn passes(plan: &RunPlan, model: &Model, tests: usize) -> Vec<Pass> {
    let mut passes = Vec::new();
    for mode in [Mode::Train, Mode::Frozen] {
        let reached = (0..plan.steps.min(1000)).any(|step| model.mode_at(step) == mode);
        for size in [plan.batch_size, plan.last] {
            let pass = Pass::Train(mode, size);
            if reached && !passes.contains(&pass) {
                passes.push(pass);
            }
        }
    }
    let size = plan.batch_size.min(tests);
    passes.extend([size, tests % size].into_iter().filter(|size| *size > 0).map(Pass::Judge));
    passes
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
