//! How long a run is and what its learning rate does, known before it begins.

use super::learner::keeps;
use super::{Options, Progress};
use crate::optim::Schedule;
use crate::{Error, Result};

/// Epochs without `--epochs` or `--steps`.
const EPOCHS: u64 = 1;

/// Steps and epochs of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPlan {
    /// Images per step.
    pub batch_size: usize,
    /// Steps of one epoch.
    pub batches: u64,
    /// Images of the epoch's last step.
    pub last: usize,
    /// Epochs over which the schedule runs.
    pub epochs: u64,
    /// Steps after which the run is over.
    pub steps: u64,
    /// Learning rate over the steps.
    pub schedule: Schedule,
}

impl RunPlan {
    /// The plan of `options` for so many training images.
    ///
    /// The last, shorter batch of an epoch is kept (method, section 10.2), unless it is below a sixteenth of a batch:
    /// whitening statistics of a handful of images would outweigh it in the running averages.
    ///
    /// # Errors
    /// The batch is larger than the data set.
    pub fn new(options: &Options, images: usize) -> Result<Self> {
        Self::going_on(options, images, &Progress::default())
    }

    /// As [`RunPlan::new`] for a run that has come so far: its schedule is no shorter than it was, unless epochs are given.
    ///
    /// # Errors
    /// As [`RunPlan::new`], and when the progress is not that of a run with such batches.
    pub fn going_on(options: &Options, images: usize, done: &Progress) -> Result<Self> {
        let size = options.batch_size;
        if size > images {
            return Err(Error::Usage(format!(
                "--batch-size is {size}, but the data set '{}' has only {images} training images; expected 1 to {images}",
                options.data
            )));
        }
        let rest = images % size;
        let keep = rest > 0 && keeps(rest, size);
        let batches = (images / size) as u64 + u64::from(keep);
        let needed = options.steps.map_or(0, |steps| steps.div_ceil(batches));
        let epochs = options.epochs.unwrap_or(EPOCHS.max(needed).max(done.epochs));
        if (done.epoch, done.batch) != (done.step / batches, done.step % batches) {
            return Err(Error::Usage(format!(
                "the checkpoint stands at batch {} of epoch {} after {} steps, but an epoch of '{}' has {batches} batches; \
                 it belongs to another run",
                done.batch, done.epoch, done.step, options.data
            )));
        }
        let total = batches.saturating_mul(epochs);
        let schedule = options.schedule.over(total);
        let steps = options.steps.map_or(total, |steps| steps.min(total));
        Ok(Self { batch_size: size, batches, last: if keep { rest } else { size }, epochs, steps, schedule })
    }

    /// Whether the shorter last batch is left out.
    pub fn drops_last(&self, images: usize) -> bool {
        self.batches == (images / self.batch_size) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(images: usize, batch_size: usize, steps: Option<u64>, epochs: Option<u64>) -> Result<RunPlan> {
        RunPlan::new(&Options { batch_size, steps, epochs, ..Default::default() }, images)
    }

    #[test]
    fn last_batches_are_kept_unless_tiny() {
        let kept = plan(50_000, 128, None, Some(1)).unwrap();
        assert_eq!((kept.batches, kept.last, kept.drops_last(50_000)), (391, 80, false));
        let dropped = plan(129, 128, None, Some(1)).unwrap();
        assert_eq!((dropped.batches, dropped.last, dropped.drops_last(129)), (1, 128, true));
        let even = plan(256, 128, None, Some(1)).unwrap();
        assert_eq!((even.batches, even.last), (2, 128));
    }

    #[test]
    fn steps_end_the_run_and_leave_the_schedule() {
        let (short, whole) = (plan(1000, 100, Some(5), None).unwrap(), plan(1000, 100, None, None).unwrap());
        assert_eq!((short.steps, whole.steps), (5, 10));
        assert_eq!(short.schedule, whole.schedule);
        assert_eq!(plan(1000, 100, Some(75), None).unwrap().epochs, 8);
        assert_eq!(plan(1000, 100, Some(75), Some(2)).unwrap().steps, 20);
        assert!(plan(10, 11, None, None).unwrap_err().to_string().contains("only 10 training images"));
    }
}
