//! The loop: steps are submitted ahead, losses come back in order.

use super::{Stage, Trainer};
use crate::data::{Batch, Loader};
use crate::nn::{Norm, Whitening};
use crate::train::clock::Instant;
use crate::train::{Best, CheckpointEvery, Evaluation, Event, Learner, Options, Split, Step, evaluate};
use crate::{Error, Result};

/// Seconds after which a run is worth keeping at the end of an epoch.
const EPOCH_SECONDS: f64 = 10.0;

impl Trainer {
    /// The next event; `None` after [`Event::Done`].
    ///
    /// # Errors
    /// The loss is no longer a number, or the device failed and another did not help. Nothing follows an error.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if let Some(failure) = self.failure.take() {
                return Err(self.explained(failure).await);
            }
            if self.stage == Stage::Over {
                return Ok(None);
            }
            if let Err(error) = self.advance().await {
                self.failed(error);
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
    /// [`crate::Error::Usage`] when it is not a positive number.
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

    /// Asks for an [`Event::Kernels`] during training too, each at least so many steps and seconds after the one
    /// before. Reading them waits for the steps in flight, so that both should be well above a step.
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

    /// As [`Trainer::settle`], then evaluates and reads the kernels, wherever in the epoch the run is.
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

    async fn advance(&mut self) -> Result<()> {
        match self.stage {
            Stage::Train => self.train_some().await,
            Stage::Reopen => {
                self.reopen().await;
                Ok(())
            }
            Stage::Evaluate => self.evaluate().await,
            Stage::Save => {
                // Short epochs are not worth a file each.
                let long = !self.repeats() && self.saved.1.elapsed().as_secs_f64() > EPOCH_SECONDS;
                if self.ended() || self.save_is_due() || long {
                    if !self.learner.is_kept() {
                        self.learner.keep().await?;
                    }
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
            _ if step <= self.saved.0 || self.repeats() => false,
            CheckpointEvery::Steps(steps) => step.is_multiple_of(steps),
            CheckpointEvery::Seconds(seconds) => self.saved.1.elapsed().as_secs() >= seconds,
        }
    }

    /// Whether the steps now made have been told before the device went away.
    fn repeats(&self) -> bool {
        self.learner.steps() < self.told
    }

    fn ended(&self) -> bool {
        self.stopping || self.learner.steps() >= self.plan.steps || self.is_stale()
    }

    /// Whether so many epochs were no better than the best that the run ends.
    pub(super) fn is_stale(&self) -> bool {
        self.compared == Some(self.learner.steps()) && self.progress().is_stale(self.options.patience)
    }

    /// At the end of an epoch, in runs with patience: tells an evaluation that is the best so far.
    fn compare_with_best(&mut self) {
        let (step, batches) = (self.learner.steps(), self.plan.batches);
        let Some((loss, accuracy)) = self.last_validation else { return };
        if self.options.patience.is_none() || !step.is_multiple_of(batches) {
            return;
        }
        let found = Best { epoch: step / batches, loss, accuracy };
        // An evaluation that a lost device cut off is made again.
        if self.best.is_none_or(|best| best.epoch == found.epoch || found.beats(&best)) {
            self.best = Some(found);
            self.events.push_back(Event::Best(found));
        }
        self.compared = Some(step);
    }

    /// Takes what has come back; when nothing has, submits one more step.
    async fn train_some(&mut self) -> Result<()> {
        while let Some(step) = self.learner.try_take()? {
            self.completed(step);
            if self.failure.is_some() {
                return Ok(());
            }
        }
        if !self.events.is_empty() {
            return Ok(());
        }
        if self.learner.in_flight() >= self.ahead {
            let step = self.learner.take().await?;
            step.into_iter().for_each(|step| self.completed(step));
            return Ok(());
        }
        if self.wants_kernels() {
            self.looked = Some((self.learner.steps(), Instant::now()));
            if let Some(event) = self.kernels().await? {
                self.events.push_back(event);
            }
        }
        let save = self.agreed_save()?;
        let batch = if save || self.ended() { None } else { self.next_batch() };
        if let Some(batch) = batch {
            return self.submit(batch).await;
        }
        self.drain().await?;
        self.timer.pause();
        // A loss that is no number has ended the run.
        if self.stage == Stage::Train {
            let interrupted = self.stopping && self.learner.steps() < self.plan.steps;
            let fresh = self.evaluated >= Some(self.learner.steps());
            let within = save && !self.ended() && !self.learner.steps().is_multiple_of(self.plan.batches);
            if !within {
                self.epoch = None;
            }
            self.stage = if interrupted || fresh || within { Stage::Save } else { Stage::Evaluate };
        }
        Ok(())
    }

    /// Whether a checkpoint is due, as all processes see it; asks them also whether one is to stop. They must drain and
    /// submit alike.
    fn agreed_save(&mut self) -> Result<bool> {
        let mut votes = [self.save_is_due(), self.stopping].map(|vote| f32::from(u8::from(vote)));
        if let Some(processes) = self.learner.gpu().processes() {
            processes.average(&mut votes)?;
        }
        let [save, stopping] = votes.map(|vote| vote > 0.0);
        self.stopping = stopping;
        Ok(save)
    }

    fn wants_kernels(&self) -> bool {
        let Some((steps, seconds)) = self.pace else { return false };
        self.looked
            .is_none_or(|(step, time)| self.learner.steps() >= step + steps && time.elapsed().as_secs_f64() >= seconds)
    }

    /// The next batch of this epoch; `None` at its end.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        let (epoch, batch) = (self.learner.steps() / self.plan.batches, self.learner.steps() % self.plan.batches);
        if self.epoch.is_none() {
            self.epoch = Some(self.train.epoch(epoch as usize, batch as usize));
        }
        self.epoch.as_mut()?.next()
    }

    pub(super) async fn submit(&mut self, batch: Batch) -> Result<()> {
        self.timer.resume();
        let lr = self.plan.schedule.lr(self.options.base_lr(), self.learner.steps());
        let (images, seed) = (self.train.images(&batch), self.dropout_seed());
        self.learner.submit_raw(images, batch.targets(), batch.len, lr, seed).await?;
        self.train.recycle(batch);
        Ok(())
    }

    /// What is dropped is another in each process.
    fn dropout_seed(&self) -> u64 {
        let rank = self.learner.gpu().processes().map_or(0, |processes| processes.rank());
        self.options.seed.wrapping_add((rank as u64) << 32)
    }

    /// Waits for every step in flight.
    pub(super) async fn drain(&mut self) -> Result<()> {
        while let Some(step) = self.learner.take().await? {
            self.completed(step);
        }
        Ok(())
    }

    /// Reports the oldest step in flight, and ends the run when its loss is no number.
    fn completed(&mut self, completed: Step) {
        if self.failure.is_some() {
            return;
        }
        let Step { step, loss, accuracy, lr, images } = completed;
        // Every process makes the same steps with as many images.
        self.timer.completed(images * self.plan.processes);
        if step <= self.told {
            return;
        }
        self.told = step;
        let epoch = (step - 1) / self.plan.batches;
        self.events.push_back(Event::Step { step, epoch, loss, lr, accuracy });
        if !loss.is_finite() {
            self.failure = Some(self.diverge(&format!("the loss is {loss} at step {step}"), lr));
        }
    }

    /// On the validation images, where there are some; on the test images where there are none, and at the end of the
    /// run.
    async fn evaluate(&mut self) -> Result<()> {
        if let Some(validation) = self.validation.clone() {
            self.last_validation = self.judge(&validation, Split::Validation).await?;
            self.compare_with_best();
        }
        if self.failure.is_none() && (self.validation.is_none() || self.ended()) {
            let test = self.test.clone();
            self.last_eval = self.judge(&test, Split::Test).await?;
        }
        if self.failure.is_some() {
            return Ok(());
        }
        if let Some(event) = self.kernels().await? {
            self.events.push_back(event);
        }
        self.evaluated = Some(self.learner.steps());
        self.stage = Stage::Save;
        Ok(())
    }

    /// Loss and accuracy on one split; a loss that is no number ends the run.
    async fn judge(&mut self, images: &Loader, split: Split) -> Result<Option<(f32, f32)>> {
        let output = self.learner.model.output.clone();
        let (full, last) = self.learner.judges(self.plan.part_size, images.dataset().len())?;
        let Evaluation { loss, accuracy, mean_iou, .. } = evaluate::run(images, &output, full, last).await?;
        let (step, epoch) = (self.learner.steps(), self.learner.steps() / self.plan.batches);
        self.events.push_back(Event::Eval { step, epoch, split, loss, accuracy, mean_iou });
        if split == Split::Test {
            self.last_iou = mean_iou;
        }
        if loss.is_finite() {
            return Ok(Some((loss, accuracy)));
        }
        let lr = self.plan.schedule.lr(self.options.base_lr(), step.saturating_sub(1));
        let mut error = self.diverge(&format!("the {split} loss is {loss} after step {step}"), lr);
        let left = self.untrained_share(step);
        if left > 0.01
            && let Error::Run(what) = &mut error
        {
            what.push_str(&format!(
                "; or it was judged too early: training losses are numbers, and the running statistics that evaluation takes are averages \
                 over steps, of which {:.0} % are still what they began with; more steps before the first evaluation (a smaller batch) \
                 would tell",
                100.0 * left
            ));
        }
        self.failure = Some(error);
        Ok(None)
    }

    /// What running statistics still hold of what they began with, after `steps`.
    fn untrained_share(&self, steps: u64) -> f64 {
        let averages = matches!(self.spec.net.norm, Norm::Deconv | Norm::Iterative | Norm::Batch);
        if averages { (1.0 - f64::from(Whitening::default().momentum)).powf(steps as f64) } else { 0.0 }
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
