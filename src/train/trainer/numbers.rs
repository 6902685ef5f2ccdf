//! After a run has diverged: which operation of which step made the first value that is no number.

use super::Trainer;
use crate::train::learner::Bad;
use crate::{Error, Result};

impl Trainer {
    /// `error`, that the run has diverged, with what went bad first where that is asked for.
    pub(super) async fn explained(&mut self, error: Error) -> Error {
        if !self.diverged || !std::mem::take(&mut self.options.check_numbers) {
            return error;
        }
        let steps = self.learner.step;
        let found = self.first_bad().await;
        self.learner.step = steps;
        Error::Run(match found {
            Ok(Some(bad)) => format!("{error}. First went bad: {bad}"),
            Ok(None) => format!("{error}. What went bad first did not show when the last steps were made again"),
            Err(e) => format!("{error}. What went bad first could not be found: {e}"),
        })
    }

    /// Makes the steps since the last checkpoint again, one by one, and looks into the first that gives what is no
    /// number.
    async fn first_bad(&mut self) -> Result<Option<Bad>> {
        let end = self.learner.steps();
        while self.learner.take().await?.is_some() {}
        self.learner.go_back();
        self.learner.session.upload(&self.learner.state);
        self.epoch = None;
        while self.learner.steps() < end {
            let Some(batch) = self.next_batch() else {
                self.epoch = None;
                continue;
            };
            let lr = self.plan.schedule.lr(self.options.base_lr(), self.learner.steps());
            let lr = self.learner.rate_again(lr);
            let (seed, labels) = (self.options.seed, batch.targets());
            let before = self.learner.state.clone();
            let images = self.train.images(&batch);
            self.learner.submit_raw(images, labels, batch.len, lr, seed).await?;
            let finite = self.learner.take().await?.is_some_and(|step| step.loss.is_finite());
            self.learner.session.download(&mut self.learner.state).await?;
            let finite = finite && self.learner.state.iter().all(|(_, t)| t.values.iter().all(|v| v.is_finite()));
            if !finite {
                self.learner.state = before;
                self.learner.step -= 1;
                return self.learner.first_bad((images, labels, batch.len), lr, seed).await;
            }
        }
        Ok(None)
    }
}
