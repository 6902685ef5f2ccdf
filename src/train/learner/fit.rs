//! Training over epochs, as a stream of events.

use super::{Batch, Batches, Data, Learner, Order, Step};
use crate::data::Augment;
use crate::optim::Schedule;
use crate::train::clock::Instant;
use crate::train::trainer::{Losses, has_covariance, too_often};
use crate::train::{Event, ScheduleKind, Split};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::time::Duration;

/// How to train. The defaults: one epoch, batches of 128, shuffled, the learning rate the same throughout.
///
/// ```
/// use mexhat::data::Dataset;
/// use mexhat::train::{Fit, ScheduleKind};
/// let test = Dataset::new("dots", 2, [1, 1, 1], vec![0, 255], vec![0, 1])?;
/// let fit = Fit { epochs: 10, schedule: ScheduleKind::Cosine, test: Some(&test), ..Fit::default() };
/// assert_eq!((fit.batch_size, fit.shuffle), (128, true));
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Fit<'a> {
    /// Passes over the data.
    pub epochs: u64,
    /// Images per step, or with [`Update::accumulate`](super::Update::accumulate) of each batch that a step adds up.
    pub batch_size: usize,
    /// How the learning rate changes over the run.
    pub schedule: ScheduleKind,
    /// Another order in every epoch.
    pub shuffle: bool,
    /// Random changes to the images of a [`Dataset`](crate::data::Dataset).
    pub augment: Augment,
    /// Images to judge by at the end of every epoch.
    pub test: Option<&'a dyn Data>,
    /// Seed of order, augmentation and dropout.
    pub seed: u64,
}

impl Default for Fit<'_> {
    fn default() -> Self {
        Self {
            epochs: 1,
            batch_size: 128,
            schedule: ScheduleKind::Constant,
            shuffle: true,
            augment: Augment::NONE,
            test: None,
            seed: 0,
        }
    }
}

/// A training run: an iterator of what happens in it. Dropping it ends training after the steps in flight.
///
/// The last, shorter batch of an epoch is kept, unless it is below a quarter of a batch: statistics of a handful of
/// images would outweigh it in running averages.
///
/// ```
/// use mexhat::train::{Data, Event, Fit, Learner};
/// # fn train(learner: &mut Learner, data: &dyn Data) -> mexhat::Result<()> {
/// let mut fitting = learner.fit(data, Fit { epochs: 5, ..Fit::default() })?;
/// while let Some(event) = fitting.next().transpose()? {
///     match event {
///         Event::Step { loss, .. } if loss < 0.01 => break, // the run ends with the iterator
///         Event::Step { step: 1000, .. } => fitting.learner().set_lr(0.01)?,
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Fitting<'a> {
    learner: &'a mut Learner,
    data: &'a dyn Data,
    fit: Fit<'a>,
    schedule: Schedule,
    epoch: u64,
    batches: Option<Batches<'a>>,
    events: VecDeque<Event>,
    /// Batches of this epoch that were taken.
    taken: usize,
    /// Steps before this run.
    before: u64,
    /// Last step that was told.
    told: u64,
    /// Epochs that have been judged.
    judged: u64,
    /// Where training goes back to when the device goes away: epoch, batches taken, and since when.
    kept: Option<(u64, usize, Instant)>,
    /// An epoch begins: a good moment to keep its values.
    fresh: bool,
    losses: Losses,
    failure: Option<Error>,
    over: bool,
}

/// Values are kept in host memory this often, besides at the beginning of every epoch: it waits for the steps in
/// flight.
const KEEP: Duration = Duration::from_secs(60);

/// Whether a last batch of `images` beside `batch_size` is worth a step: from a quarter of a batch on. Statistics of a
/// handful of images, or of one, would outweigh it in the running averages.
pub(in crate::train) fn keeps(images: usize, batch_size: usize) -> bool {
    // One image has no statistics; where more were not asked for, it is not left over.
    images == batch_size || images > 1 && images * 4 >= batch_size
}

impl Learner {
    /// Trains, one event after the other; nothing happens between them. Images are normalised as
    /// [`Learner::with_normalize`] says.
    ///
    /// # Errors
    /// The data do not fit the network, a number is out of range, or the batch size is 1 in a network that whitens: one
    /// image has no covariance.
    pub fn fit<'a>(&'a mut self, data: &'a dyn Data, fit: Fit<'a>) -> Result<Fitting<'a>> {
        if data.shape() != self.network.input {
            let (found, expected) = (data.shape(), self.network.input);
            return Err(Error::Usage(format!(
                "the network takes images of {expected:?} (channels, height, width), but the data has {found:?}"
            )));
        }
        if fit.batch_size == 0 || fit.epochs == 0 {
            let (size, epochs) = (fit.batch_size, fit.epochs);
            let what = format!("expected a batch size and epochs of at least 1, found {size} and {epochs}");
            return Err(Error::Usage(what));
        }
        has_covariance(fit.batch_size, &self.network)?;
        let images = data.images();
        let fit = Fit { batch_size: fit.batch_size.saturating_mul(self.update()?.accumulate), ..fit };
        if let Some(images) = images.filter(|n| *n < fit.batch_size) {
            let what =
                format!("a step takes {} images, but there are {images}; expected at most those", fit.batch_size);
            return Err(Error::Usage(what));
        }
        let schedule = match (fit.schedule, images) {
            (ScheduleKind::Constant, _) => Schedule::Constant,
            (kind, Some(images)) => {
                let (whole, rest) = (images / fit.batch_size, images % fit.batch_size);
                let batches = whole as u64 + u64::from(rest > 0 && keeps(rest, fit.batch_size));
                kind.over(batches.saturating_mul(fit.epochs))
            }
            (kind, None) => {
                return Err(Error::Usage(format!(
                    "the schedule {kind} ends with the run, and this data does not say how long an epoch is; say it, or \
                     choose the schedule constant"
                )));
            }
        };
        self.data = data.name().to_owned();
        if data.class_names().len() == self.model.classes {
            self.class_names = data.class_names().to_vec();
        }
        let before = self.step;
        Ok(Fitting {
            learner: self,
            data,
            fit,
            schedule,
            epoch: 0,
            batches: None,
            events: VecDeque::new(),
            taken: 0,
            before,
            told: before,
            judged: 0,
            kept: None,
            fresh: true,
            losses: Losses::default(),
            failure: None,
            over: false,
        })
    }
}

impl Fitting<'_> {
    /// The next event; `None` at the end. Nothing follows an error.
    ///
    /// # Errors
    /// A batch cannot be read or does not fit the network or the loss, the loss or an operation refuses what it is
    /// given, memory does not suffice, or the device failed and no other could be opened.
    pub async fn next_async(&mut self) -> Option<Result<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(Ok(event));
            }
            if self.over {
                return self.failure.take().map(Err);
            }
            if let Err(e) = self.advance().await
                && let Err(e) = self.survive(e).await
            {
                self.over = true;
                self.failure = Some(e);
            }
        }
    }

    /// The learner, between two events: to look at it, or to change its learning rate.
    pub fn learner(&mut self) -> &mut Learner {
        self.learner
    }

    /// Takes what has come back; when nothing has, submits one more step.
    async fn advance(&mut self) -> Result<()> {
        while let Some(step) = self.learner.try_take()? {
            self.completed(step)?;
        }
        if !self.events.is_empty() {
            return Ok(());
        }
        if self.fresh || self.kept.is_some_and(|(.., since)| since.elapsed() >= KEEP) {
            self.keep().await?;
            return Ok(());
        }
        if self.batches.is_none() {
            let mut batches = self.data.epoch(self.order())?;
            for _ in 0..self.taken {
                batches.next().transpose()?;
            }
            self.batches = Some(batches);
        }
        let batch = match self.batches.as_mut().and_then(Iterator::next).transpose()? {
            Some(batch) => self.kept(batch)?,
            None => None,
        };
        let Some(batch) = batch else { return self.end_epoch().await };
        let lr = self.schedule.lr(self.learner.update()?.lr, self.learner.step - self.before);
        self.learner.submit(&batch, lr, self.fit.seed).await?;
        self.taken += 1;
        Ok(())
    }

    /// Keeps where training stands, in case the device goes away.
    async fn keep(&mut self) -> Result<()> {
        self.settle().await?;
        self.learner.keep().await?;
        self.kept = Some((self.epoch, self.taken, Instant::now()));
        self.fresh = false;
        Ok(())
    }

    /// Waits for the steps in flight.
    async fn settle(&mut self) -> Result<()> {
        while let Some(step) = self.learner.take().await? {
            self.completed(step)?;
        }
        Ok(())
    }

    /// Goes on after the device went away, from what was kept; other errors stay.
    async fn survive(&mut self, error: Error) -> Result<()> {
        let reason = match self.learner.session.gpu().cause(error).await {
            Error::DeviceLost(reason) => reason,
            other => return Err(other),
        };
        let kept = self.kept.filter(|_| self.losses.bearable(self.told));
        let from = kept.and(self.learner.kept_step());
        self.events.push_back(Event::DeviceLost { step: self.told, from, reason: reason.clone() });
        let Some((epoch, taken, _)) = kept else { return Err(too_often(reason)) };
        self.learner.reopen().await?;
        self.losses.opened(self.told);
        (self.epoch, self.taken, self.batches) = (epoch, taken, None);
        (self.kept, self.fresh) = (Some((epoch, taken, Instant::now())), false);
        Ok(())
    }

    /// The batch, unless it is a last one that is too short.
    fn kept(&self, batch: Batch) -> Result<Option<Batch>> {
        let images = self.learner.images_of(&batch)?;
        Ok(keeps(images, self.fit.batch_size).then_some(batch))
    }

    fn order(&self) -> Order {
        Order {
            epoch: self.epoch,
            batch_size: self.fit.batch_size,
            shuffle: self.fit.shuffle,
            seed: self.fit.seed,
            normalize: self.learner.normalize.clone(),
            augment: self.fit.augment,
        }
    }

    async fn end_epoch(&mut self) -> Result<()> {
        self.settle().await?;
        let steps = self.learner.step - self.before;
        if steps == 0 {
            return Err(Error::Usage("the data gave no batch of images; expected at least one".into()));
        }
        if let Some(test) = self.fit.test.filter(|_| self.judged <= self.epoch) {
            let found =
                self.learner.evaluate_async(test, self.fit.batch_size / self.learner.update()?.accumulate).await?;
            let (step, epoch) = (self.learner.step, self.epoch + 1);
            let (split, loss, accuracy) = (Split::Test, found.loss, found.accuracy);
            self.events.push_back(Event::Eval { step, epoch, split, loss, accuracy, mean_iou: found.mean_iou });
            self.judged = epoch;
        }
        (self.batches, self.taken, self.fresh, self.epoch) = (None, 0, true, self.epoch + 1);
        self.over = self.epoch == self.fit.epochs;
        Ok(())
    }

    fn completed(&mut self, completed: Step) -> Result<()> {
        let Step { step, loss, accuracy, lr, .. } = completed;
        // Of an earlier run that was dropped, or made again.
        if step <= self.told {
            return Ok(());
        }
        self.told = step;
        if !loss.is_finite() {
            return Err(Error::Run(format!(
                "the loss is {loss} at step {step} (learning rate {lr:.3e}), so training has diverged; try a smaller learning \
                 rate, a larger eps of the whitening, or deconvolution in place of other norms"
            )));
        }
        self.events.push_back(Event::Step { step, epoch: self.epoch, loss, lr, accuracy });
        Ok(())
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Iterator for Fitting<'_> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        pollster::block_on(self.next_async())
    }
}
