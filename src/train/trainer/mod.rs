//! A run of the trainer: what it is made of, and how it is looked at; the loop is in [`run`].

mod images;
mod lost;
#[cfg(not(target_arch = "wasm32"))]
mod numbers;
mod run;
mod timer;

use super::checkpoint::{DataMark, Progress, Saved, SavedRun, Snapshot};
use super::clock::Instant;
use super::evaluate;
use super::memory::{Paper, cannot_be_built, passes};
use super::{Best, Event, Learner, ModelSpec, Options, RunPlan, Started, Summary};
use crate::data::{Epoch, Loader, Report, Splits};
use crate::gpu::{AdapterSummary, Gpu, Timings};
use crate::models::{Model, Norm};
use crate::tape::{Precision, State};
use crate::{Error, Result};
pub(super) use images::has_covariance;
use images::{suits, training_images};
use lost::begin_again;
pub(super) use lost::{Losses, too_often};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use timer::Timer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Train,
    /// A new device is to be opened.
    Reopen,
    Evaluate,
    Save,
    Finish,
    Over,
}

/// A training run in progress.
///
/// ```
/// use mexhat::train::{Event, Options, Trainer};
/// use mexhat::{Gpu, data};
/// # async fn train() -> mexhat::Result<()> {
/// let options = Options { data: "mnist".into(), steps: Some(200), ..Default::default() };
/// let splits = data::load(&options.data, &options.load())?;
/// let mut trainer = Trainer::new(&Gpu::open_async(None).await?, &options, splits)?;
/// while let Some(event) = trainer.next().await? {
///     match event {
///         Event::Step { loss, .. } if loss < 0.05 => trainer.stop(), // the last evaluation and Event::Done follow
///         Event::Step { step, loss, .. } => println!("step {step}: loss {loss:.3}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Trainer {
    options: Options,
    pub(super) spec: ModelSpec,
    plan: RunPlan,
    pub(super) learner: Learner,
    pub(super) train: Loader,
    report: Report,
    pub(super) test: Loader,
    validation: Option<Loader>,
    /// Made when a first checkpoint is.
    mark: Option<DataMark>,
    epoch: Option<Epoch>,
    events: VecDeque<Event>,
    failure: Option<Error>,
    stage: Stage,
    /// Last step that was told.
    told: u64,
    losses: Losses,
    stopping: bool,
    diverged: bool,
    evaluated: Option<u64>,
    last_eval: Option<(f32, f32)>,
    last_iou: Option<f32>,
    last_validation: Option<(f32, f32)>,
    /// The best epoch on the validation images, in runs with patience.
    best: Option<Best>,
    /// Steps after which an epoch was last compared with the best.
    compared: Option<u64>,
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

    /// Goes on where the checkpoint stands, exactly. `options` are the checkpoint's, save perhaps for the run's length
    /// and the place of its data.
    ///
    /// # Errors
    /// As [`Trainer::new`], and when the checkpoint belongs to another network or other data, or is none of a run.
    pub fn resume(gpu: &Gpu, options: &Options, mut splits: Splits, saved: &Saved<'_>) -> Result<Self> {
        let spec = ModelSpec::going_on(options, &mut splits, &saved.spec);
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

    fn build(
        gpu: &Gpu,
        options: &Options,
        mut splits: Splits,
        spec: ModelSpec,
        saved: Option<&Saved<'_>>,
    ) -> Result<Self> {
        let mut timer = Timer::start();
        options.validate()?;
        let rank = rank(gpu, options)?;
        let images = splits.train.len();
        let progress = saved.and_then(|saved| saved.run.as_ref()).map_or_else(Progress::default, |run| run.progress);
        timer.seconds = progress.seconds;
        let plan = RunPlan::going_on(options, images, &progress)?;
        let network = spec.network(options.seed)?;
        let notes = suits(options, plan.part_size, &network, &splits)?;
        splits.report.notes.extend(notes);
        let loss = options.loss(&splits.train)?;
        let train = training_images(splits.train, &splits.normalize, splits.augment, (options, &plan, rank))?;
        let judged_by = |data| evaluate::loader(Arc::new(data), &splits.normalize, plan.part_size);
        let validation = splits.validation.map(judged_by).transpose()?;
        let test = judged_by(splits.test)?;

        let update = options.update();
        let judged: Vec<usize> =
            [validation.as_ref(), Some(&test)].into_iter().flatten().map(|images| images.dataset().len()).collect();
        // What a checkpoint describes takes no more room than the file has.
        let state = |gpu: &Gpu| saved.filter(|saved| saved.run.is_some()).map_or_else(|| State::on(gpu), Saved::state);
        let restore = |state: &mut State| saved.map_or(Ok(()), |saved| saved.restore(state));
        let own = options.network.is_some();
        let begun = |gpu: &Gpu| {
            let learner = Learner::begin(gpu, network.clone(), Some(update), state(gpu), restore)?;
            let mut learner = learner.with_normalize(spec.normalize.clone())?.with_loss(loss.clone());
            spec.check(&learner.model)?;
            learner.step = progress.step;
            let taken = match (&options.init, saved) {
                (Some(init), None) => begin_with(&mut learner, Path::new(init))?,
                _ => Default::default(),
            };
            if progress.step == 0 {
                learner.begin_averages();
            }
            learner.freeze(&options.freeze.iter().map(String::as_str).collect::<Vec<_>>())?;
            if learner.state.parameters().is_empty() {
                let what = "nothing is left to train: all layers with parameters are frozen, or there are none; leave some out of `freeze`";
                return Err(Error::Usage(what.into()));
            }
            learner.prepare(&passes(&plan, &learner.model, &judged))?;
            learner.keep_host_values();
            Ok((learner, taken))
        };
        let (begun, lost) = begin_again(gpu, begun);
        let (learner, taken) = begun.map_err(|error| match error {
            Error::Limit { .. } | Error::Memory { .. } => {
                Paper { gpu, spec: spec.clone(), plan: plan.clone(), judged: judged.clone(), update, own }.advise(error)
            }
            Error::Usage(_) | Error::Shape { .. } if !own && saved.is_none() => cannot_be_built(&spec, error),
            error => error,
        })?;
        splits.report.add(taken);
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
            told: progress.step,
            losses: Losses::default(),
            stopping: false,
            diverged: false,
            evaluated: None,
            last_eval: progress.last_eval,
            last_iou: progress.mean_iou,
            last_validation: progress.last_validation,
            best: progress.best,
            compared: None,
            saved: (progress.step, Instant::now()),
            timer,
            ahead: usize::MAX,
            pace: None,
            looked: None,
        };
        let started = trainer.started();
        trainer.events.push_back(Event::Started(started));
        if let Some(reason) = lost {
            let step = progress.step;
            trainer.losses.opened(step);
            trainer.events.push_back(Event::DeviceLost { step, from: Some(step), reason });
        }
        Ok(trainer)
    }

    /// `error` itself: no page asks for what went bad first, and would download what finds it.
    #[cfg(target_arch = "wasm32")]
    async fn explained(&mut self, error: Error) -> Error {
        error
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
        Ok(self.learner.shares(image.into()).await?.values)
    }

    /// Parameters, buffers and moments as they are now. At [`Event::Save`] nothing is in flight; otherwise the steps in
    /// flight are waited for, and their events follow. Once the device is gone for good they are those last kept.
    ///
    /// # Errors
    /// A value is no longer a number: such a network is not kept.
    pub async fn snapshot(&mut self) -> Result<Snapshot> {
        self.drain().await?;
        if let Some(failure) = self.failure.take() {
            return Err(self.explained(failure).await);
        }
        if !self.learner.is_kept() {
            self.learner.keep().await?;
        }
        let broken = self.learner.state.iter().find(|(_, tensor)| tensor.values.iter().any(|v| !v.is_finite()));
        if let Some(name) = broken.map(|(_, tensor)| tensor.name.clone()) {
            let step = self.learner.steps();
            let what = format!("'{name}' holds values that are no numbers after step {step}");
            let error = self.diverge(&what, self.plan.schedule.lr(self.options.base_lr(), step.saturating_sub(1)));
            return Err(self.explained(error).await);
        }
        let mark = self.mark.get_or_insert_with(|| {
            let validation = self.validation.as_ref().map(|images| &**images.dataset());
            DataMark::of(self.train.dataset(), validation, self.test.dataset())
        });
        let (options, data) = (self.options.clone(), mark.clone());
        Snapshot::new(&self.learner.state, &self.spec, &SavedRun { options, progress: self.progress(), data })
    }

    /// Ends the run, because `what` is no longer a number.
    fn diverge(&mut self, what: &str, lr: f64) -> Error {
        self.diverged = true;
        self.stage = Stage::Over;
        Error::Run(
            format!(
                "{what} (learning rate {lr:.3e}), so training has diverged; try a smaller `lr` (a third or a tenth of {}){}",
                self.options.base_lr(),
                match (self.options.precision, self.spec.net.norm) {
                    (Precision::F16, _) => ", or `precision` f32, which holds larger values",
                    (_, Norm::Deconv) => " or a larger `eps`",
                    _ => ", or `norm` deconv, which bears larger rates",
                },
            ) + if self.options.check_numbers || cfg!(target_arch = "wasm32") {
                ""
            } else {
                "; `check_numbers` names what went bad first"
            },
        )
    }

    /// What the run was asked to do.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The device: another than the one it was given once that has gone away.
    pub fn gpu(&self) -> &Gpu {
        self.learner.gpu()
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

    /// What was decided about the data.
    pub fn report(&self) -> &Report {
        &self.report
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
            mean_iou: self.last_iou,
            validation_loss: self.last_validation.map(|eval| eval.0),
            validation_accuracy: self.last_validation.map(|eval| eval.1),
            best: self.best,
            stopped_early: self.is_stale(),
            train_seconds: self.timer.total(),
            images_per_second: self.timer.images_per_second(),
            first_step_seconds: self.timer.first_step,
            gpu_bytes: self.learner.memory().total(),
            parameters: self.learner.parameters(),
            interrupted: !self.diverged && !self.is_stale() && self.done() < self.plan.steps,
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
            validation_images: self.validation.as_ref().map_or(0, |images| images.dataset().len()),
            test_images: self.test.dataset().len(),
            batch_size: self.plan.batch_size * self.plan.processes,
            steps: self.plan.steps,
            steps_per_epoch: self.plan.batches,
            done: self.learner.steps(),
            gpu_bytes: summary.gpu_bytes,
            decided: self.report.lines().into_iter().chain(self.plan.notes()).collect(),
            warnings: self.report.warnings.clone(),
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
            mean_iou: self.last_iou,
            last_validation: self.last_validation,
            best: self.best,
        }
    }
}

/// The number of this process among those that train as one.
fn rank(gpu: &Gpu, options: &Options) -> Result<usize> {
    let (rank, count) = gpu.processes().map_or((0, 1), |processes| (processes.rank(), processes.count()));
    if count != options.processes {
        return Err(Error::Usage(format!(
            "the run is one of {} processes, found {count}; start as many, or begin a new run",
            options.processes
        )));
    }
    Ok(rank)
}

/// Takes the values of a run's network or of a file; says which did not fit.
#[cfg(not(target_arch = "wasm32"))]
fn begin_with(learner: &mut Learner, path: &Path) -> Result<(Vec<String>, Option<String>)> {
    let (file, bytes) = super::read_model(path)?;
    learner.take_values(&file, &bytes).map(|loaded| (loaded.notes(&file), loaded.warning(&file)))
}

#[cfg(target_arch = "wasm32")]
fn begin_with(_: &mut Learner, path: &Path) -> Result<(Vec<String>, Option<String>)> {
    Err(Error::Usage(format!("`init` names the file {}, and a page reads none", path.display())))
}
