//! A network that learns: stepping, predicting, saving, in one place for programs, for the trainer and for a page.

mod again;
mod data;
mod file;
mod fit;
mod look;
mod loss;
#[cfg(not(target_arch = "wasm32"))]
mod numbers;
mod pixels;
mod predict;
pub(super) mod record;
mod scaler;
mod update;

pub use data::{Batch, Batches, Data, Examples, Order, Stream, Targets};
pub(super) use fit::keeps;
pub use fit::{Fit, Fitting};
pub use look::Tensor;
pub use loss::Loss;
pub(super) use loss::counted;
#[cfg(not(target_arch = "wasm32"))]
pub(super) use numbers::Bad;
pub use pixels::Pixels;
pub use update::{Adam, Sgd, Update};

use crate::data::{Form, IGNORED, Images, Normalize};
use crate::gpu::{Gpu, Timings};
use crate::models::Model;
use crate::nn::Network;
use crate::optim::Scalars;
use crate::tape::{Compiled, MemoryUse, Session, State};
use crate::{Error, Result, plural};
use again::Kept;
use record::Pass;
use scaler::Scaler;
use std::collections::VecDeque;

/// A network on a GPU that learns, predicts, and is looked at.
///
/// ```no_run
/// use mexhat::nn::{Conv, Network};
/// use mexhat::train::{Examples, Fit, Learner, Sgd};
/// # fn main() -> mexhat::Result<()> {
/// # let (images, labels) = (vec![0u8; 512 * 784], vec![0u32; 512]);
/// let gpu = mexhat::Gpu::open(None)?;
/// let mut net = Network::new([1, 28, 28]);
/// net.conv(Conv::new(16, 5)).relu().max_pool(2).flatten().linear(10);
/// let mut learner = Learner::new(&gpu, net, Sgd::new(0.1))?;
/// for step in learner.fit(&Examples::new(&images, [1, 28, 28], &labels)?, Fit::default())? {
///     println!("{:?}", step?);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Learner {
    pub(super) network: Network,
    pub(super) model: Model,
    pub(super) state: State,
    pub(super) session: Session,
    update: Option<Update>,
    loss: Loss,
    passes: Vec<(Pass, Compiled)>,
    /// Names of the layers and shapes of what they make of so many images, once that was asked for.
    watched: Option<(usize, NamedShapes)>,
    flights: VecDeque<Flight>,
    /// Loss and hits of the parts of a step that have come back, while others have not.
    sums: [f64; 2],
    /// What training goes back to when the device goes away.
    pub(super) kept: Option<Kept>,
    /// Steps submitted; also the number of training forwards, which decides what is frozen.
    pub(super) step: u64,
    pub(super) normalize: Normalize,
    /// What it was trained on.
    data: String,
    /// What its classes are called, where that is known.
    class_names: Vec<String>,
}

/// Layers by name, each with the shape of what it puts out.
type NamedShapes = Vec<(String, Vec<usize>)>;

/// A step that has been submitted and whose loss is not known yet.
struct Flight {
    pass: Pass,
    step: u64,
    lr: f64,
    /// Images of the whole step, of which this is a part.
    images: usize,
    /// Labels of the whole step that count.
    counted: usize,
}

/// A part of a step: its pass, images, targets and scalars.
type StepPart<'a> = (Pass, Images<'a>, &'a [u8], Scalars);

/// A step whose loss is known.
///
/// ```
/// use mexhat::train::{Batch, Learner};
/// # async fn train(learner: &mut Learner, batch: &Batch) -> mexhat::Result<()> {
/// learner.submit(batch, 0.1, 0).await?;
/// if let Some(step) = learner.take().await? {
///     println!("step {}: loss {:.3} over {} images", step.step, step.loss, step.images);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Number of the step, from 1.
    pub step: u64,
    /// Mean loss of its batch, before the update.
    pub loss: f32,
    /// Share of right answers in its batch, of pixels where they have labels; no number where there are no labels.
    pub accuracy: f32,
    /// Learning rate of its update.
    pub lr: f64,
    /// Images of its batch.
    pub images: usize,
}

impl Learner {
    /// A network with fresh values and what trains it: an [`Sgd`], an [`Adam`], or any [`Update`].
    ///
    /// # Errors
    /// A layer does not fit what comes before it (it is named), a number is out of range, or the GPU lacks memory.
    pub fn new(gpu: &Gpu, network: Network, update: impl Into<Update>) -> Result<Self> {
        Self::begin(gpu, network, Some(update.into()), State::on(gpu), |_| Ok(()))
    }

    /// As [`Learner::new`], its tensors in `state`, with values that `restore` puts there.
    pub(super) fn begin(
        gpu: &Gpu,
        network: Network,
        update: Option<Update>,
        mut state: State,
        restore: impl FnOnce(&mut State) -> Result<()>,
    ) -> Result<Self> {
        let model = network.build(&mut state)?;
        if let Some(update) = &update {
            update.check()?;
            update.reserve(&mut state);
        }
        restore(&mut state)?;
        let session = Session::new(gpu, &state)?;
        Ok(Self {
            normalize: Normalize::none(network.input[0]),
            network,
            model,
            state,
            session,
            update,
            loss: Loss::default(),
            passes: Vec::new(),
            watched: None,
            flights: VecDeque::new(),
            sums: [0.0; 2],
            kept: None,
            step: 0,
            data: String::new(),
            class_names: Vec::new(),
        })
    }

    /// With another loss than cross-entropy.
    pub fn with_loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self.passes.clear();
        self
    }

    /// With images normalised so, per channel, before they reach the network: in training, in predictions, and after
    /// loading.
    ///
    /// # Errors
    /// Not one mean and one positive deviation for each channel.
    pub fn with_normalize(mut self, normalize: Normalize) -> Result<Self> {
        normalize.check(self.network.input[0])?;
        self.normalize = normalize;
        Ok(self)
    }

    /// Leaves the parameters of these layers as they are from now on: `conv1`, or a block such as `layer1.0`. Running
    /// statistics go on.
    ///
    /// # Errors
    /// A name is no layer with parameters. Then nothing is frozen.
    pub fn freeze(&mut self, layers: &[&str]) -> Result<()> {
        self.set_trainable(layers, false)
    }

    /// Takes back [`Learner::freeze`].
    ///
    /// # Errors
    /// As [`Learner::freeze`].
    pub fn unfreeze(&mut self, layers: &[&str]) -> Result<()> {
        self.set_trainable(layers, true)
    }

    fn set_trainable(&mut self, layers: &[&str], trainable: bool) -> Result<()> {
        let mut found = Vec::new();
        for layer in layers {
            let prefix = format!("{layer}.");
            let of = |name: &str| name.starts_with(&prefix) || name == *layer;
            let tensors = self.state.iter().filter(|(_, t)| t.parameter && of(&t.name));
            let ids: Vec<_> = tensors.map(|(id, _)| id).collect();
            if ids.is_empty() {
                let known = self.layers_with_parameters().join(", ");
                return Err(Error::Usage(format!("no layer '{layer}' has parameters; expected one of {known}")));
            }
            found.extend(ids);
        }
        found.into_iter().for_each(|id| self.state.get_mut(id).trainable = trainable);
        self.passes.retain(|(pass, _)| !pass.trains());
        Ok(())
    }

    fn layers_with_parameters(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (_, tensor) in self.state.iter().filter(|(_, t)| t.parameter) {
            let layer = tensor.name.rsplit_once('.').map_or(tensor.name.as_str(), |(layer, _)| layer);
            if names.last().is_none_or(|last| last != layer) {
                names.push(layer.into());
            }
        }
        names
    }

    /// Compiles what is missing of `passes`, together, so that they share their memory.
    pub(super) fn prepare(&mut self, passes: &[Pass]) -> Result<()> {
        let missing: Vec<Pass> = passes.iter().copied().filter(|p| self.place(*p).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let profile = self.session.gpu().profile();
        let mut tapes = Vec::with_capacity(missing.len());
        for pass in &missing {
            let how = (self.update.as_ref(), &self.loss);
            tapes.push(record::record(*pass, profile, &self.model, &mut self.state, how)?);
        }
        let compiled = self.session.compile(&tapes.iter().collect::<Vec<_>>())?;
        self.passes.extend(missing.into_iter().zip(compiled));
        Ok(())
    }

    fn place(&self, pass: Pass) -> Option<usize> {
        self.passes.iter().position(|(known, _)| *known == pass)
    }

    /// The compiled `pass`, made now if it has to be.
    pub(super) fn pass(&mut self, pass: Pass) -> Result<&mut Compiled> {
        self.prepare(&[pass])?;
        let at = self.place(pass).ok_or_else(|| Error::Run(format!("{pass:?} was not prepared")))?;
        Ok(&mut self.passes[at].1)
    }

    /// The judging passes for so many images, as bytes, in batches of `batch_size`: of a whole batch, and of what is
    /// left over.
    pub(super) fn judges(
        &mut self,
        batch_size: usize,
        images: usize,
    ) -> Result<(&mut Compiled, Option<&mut Compiled>)> {
        let size = batch_size.min(images);
        let rest = images % size;
        let (full, last) = (Pass::Judge(size, Form::Bytes), (rest > 0).then_some(Pass::Judge(rest, Form::Bytes)));
        self.prepare(&[&[full], last.as_slice()].concat())?;
        let gone = || Error::Run("an evaluation was not prepared".into());
        let full = self.place(full).ok_or_else(gone)?;
        let Some(last) = last.and_then(|last| self.place(last)) else { return Ok((&mut self.passes[full].1, None)) };
        let [full, last] = self.passes.get_disjoint_mut([full, last]).map_err(|_| gone())?;
        Ok((&mut full.1, Some(&mut last.1)))
    }

    /// Submits a training step with the learning rate `lr`, without waiting for it.
    ///
    /// # Errors
    /// The batch does not fit the network or the loss; the device failed.
    pub async fn submit(&mut self, batch: &Batch, lr: f64, seed: u64) -> Result<()> {
        let images = self.images_of(batch)?;
        self.submit_raw(Images::Values(&batch.images), targets_bytes(&batch.targets), images, lr, seed).await
    }

    /// As [`Learner::submit`] for a batch that fits.
    pub(super) async fn submit_raw(
        &mut self,
        images: Images<'_>,
        targets: &[u8],
        count: usize,
        lr: f64,
        seed: u64,
    ) -> Result<()> {
        let (lr, step) = (self.rate_again(lr), self.step + 1);
        let loss = self.loss.clone();
        // With mixup an image has two labels, and both count.
        let counted = match loss.takes_labels() && self.model.output.len() == 3 {
            true => counted(bytemuck::cast_slice(targets), &self.model.output),
            false => count,
        };
        for (pass, images, targets, scalars) in self.parts(images, targets, count, lr, seed)? {
            let inputs = loss.inputs(images, targets, &scalars);
            self.pass(pass)?.submit(&inputs.iter().map(|bytes| &**bytes).collect::<Vec<_>>()).await?;
            self.flights.push_back(Flight { pass, step, lr, images: count, counted });
        }
        self.step = step;
        Ok(())
    }

    /// The parts of the next step: their passes, images, targets and scalars.
    fn parts<'a>(
        &self,
        images: Images<'a>,
        targets: &'a [u8],
        count: usize,
        lr: f64,
        seed: u64,
    ) -> Result<Vec<StepPart<'a>>> {
        let (update, step) = (self.update()?, self.step + 1);
        let scalars = update.rule.scalars(lr, step, seed).with_decay(update.decay(step));
        let each_target = targets.len() / count.max(1);
        let mut first = 0;
        let passes = Pass::of_step(self.model.mode_at(self.step), count, update.accumulate, images.form());
        let passes = passes.into_iter().enumerate();
        let part = |(part, pass): (usize, Pass)| {
            let at = first..first + pass.images();
            first = at.end;
            let share = pass.images() as f64 / count as f64;
            let targets = &targets[at.start * each_target..at.end * each_target];
            (pass, images.part(at, count), targets, scalars.of_part(part, share, step, seed))
        };
        Ok(passes.map(part).collect())
    }

    /// The oldest step whose loss has come back, without waiting.
    ///
    /// # Errors
    /// The device failed.
    pub fn try_take(&mut self) -> Result<Option<Step>> {
        while let Some(flight) = self.flights.front() {
            let pass = flight.pass;
            let Some((_, outputs)) = self.pass(pass)?.try_take()? else { return Ok(None) };
            if let Some(step) = self.completed(&outputs)? {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    /// The oldest step not taken yet, waiting for it; `None` when none is in flight.
    ///
    /// # Errors
    /// The device failed.
    pub async fn take(&mut self) -> Result<Option<Step>> {
        while let Some(flight) = self.flights.front() {
            let pass = flight.pass;
            let Some((_, outputs)) = self.pass(pass)?.take().await? else {
                return Err(Error::Run("a training step gave no result".into()));
            };
            if let Some(step) = self.completed(&outputs)? {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    /// The step whose last part has come back.
    fn completed(&mut self, outputs: &[Vec<f32>]) -> Result<Option<Step>> {
        let Some(Flight { pass, step, lr, images, counted }) = self.flights.pop_front() else { return Ok(None) };
        let share = pass.images() as f64 / images as f64;
        let hits = outputs.get(1).filter(|_| self.loss.takes_labels()).map_or(f64::NAN, |hits| f64::from(hits[0]));
        let [loss, right] = self.sums;
        self.sums = [loss + share * f64::from(outputs[0][0]), right + hits];
        let Pass::Train(..) = pass else { return Ok(None) };
        if let Some(scale) = outputs.last().filter(|_| self.update.is_some_and(|update| update.precision.is_half())) {
            Scaler::check(scale[0], step)?;
        }
        let [loss, right] = std::mem::take(&mut self.sums);
        Ok(Some(Step { step, loss: loss as f32, accuracy: (right / counted.max(1) as f64) as f32, lr, images }))
    }

    /// Steps that are in flight.
    pub fn in_flight(&self) -> usize {
        self.flights.iter().filter(|flight| matches!(flight.pass, Pass::Train(..))).count()
    }

    /// Number of images of a batch that fits the network and the loss.
    fn images_of(&self, batch: &Batch) -> Result<usize> {
        let count = Pixels::from(&batch.images).count(self.network.input)?;
        let each: usize = self.model.output[1..].iter().product();
        match &batch.targets {
            Targets::Labels(labels) if self.loss.takes_labels() => {
                if labels.len() != count * each {
                    let what = format!(
                        "expected {} for each of {}, found {}",
                        plural::count(each, "label"),
                        plural::count(count, "image"),
                        labels.len()
                    );
                    return Err(Error::Usage(what));
                }
                let (classes, map) = (self.model.classes, self.model.output.len() == 3);
                let none = |label: u32| map && label == u32::from(IGNORED);
                match labels.iter().find(|label| **label as usize >= classes && !none(**label)) {
                    Some(label) => Err(Error::Usage(format!(
                        "an image has label {label}, but the network tells {classes} classes apart, 0 to {}",
                        classes - 1
                    ))),
                    None => Ok(count),
                }
            }
            Targets::Values(values) if !self.loss.takes_labels() => {
                let each: usize = self.model.output.iter().product();
                if values.len() == count * each {
                    return Ok(count);
                }
                let what = format!(
                    "expected {} for each of {}, found {}",
                    plural::count(each, "value"),
                    plural::count(count, "image"),
                    values.len()
                );
                Err(Error::Usage(what))
            }
            _ => Err(Error::Usage(format!(
                "the loss {:?} takes {}; give those, or choose another loss",
                self.loss,
                if self.loss.takes_labels() { "labels" } else { "values" }
            ))),
        }
    }

    /// The device: another than the one it was given once that has gone away in [`Learner::fit`].
    pub fn gpu(&self) -> &Gpu {
        self.session.gpu()
    }

    /// The network as it was written down.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What its classes are called: as the data set said that it was trained on, or nothing.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Training steps submitted so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Number of trainable values.
    pub fn parameters(&self) -> usize {
        self.state.parameter_count()
    }

    /// Where the bytes on the GPU are.
    pub fn memory(&self) -> MemoryUse {
        self.session.memory()
    }

    /// Changes the learning rate of all steps not yet submitted by [`Learner::fit`].
    ///
    /// # Errors
    /// It is no positive number.
    pub fn set_lr(&mut self, lr: f64) -> Result<()> {
        let update = Update { lr, ..self.update()? };
        update.check()?;
        self.update = Some(update);
        Ok(())
    }

    fn update(&self) -> Result<Update> {
        let without = "a loaded network has no update rule; give it one with Learner::with_update";
        self.update.ok_or_else(|| Error::Usage(without.into()))
    }

    /// Time of every kernel, from one more training step on the last batch. The step changes the network, so this
    /// belongs behind a run.
    ///
    /// # Errors
    /// No step was made, the adapter has no timestamp queries, or the device failed.
    pub async fn profile(&mut self) -> Result<Timings> {
        let step = self.passes.iter_mut().find(|(pass, _)| matches!(pass, Pass::Train(..)));
        let (_, step) = step.ok_or_else(|| Error::Usage("there is no step to profile; train first".into()))?;
        step.executable().profile().await
    }
}

pub(super) fn targets_bytes(targets: &Targets) -> &[u8] {
    match targets {
        Targets::Labels(labels) => bytemuck::cast_slice(labels),
        Targets::Values(values) => bytemuck::cast_slice(values),
    }
}
