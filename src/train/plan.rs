//! How long a run is and what its learning rate does, known before it begins.

use super::learner::keeps;
use super::options::BATCH_SIZE;
use super::{Options, Progress};
use crate::data::Form;
use crate::optim::Schedule;
use crate::plural::count;
use crate::{Error, Result};

/// Epochs without `--epochs` or `--steps`.
const EPOCHS: u64 = 1;

/// The batch that was asked for; without that 128, or for small data the largest power of two that makes four steps of
/// an epoch.
fn batch_size(asked: Option<usize>, images: usize) -> usize {
    if asked.is_some() || images / 4 >= BATCH_SIZE {
        return asked.unwrap_or(BATCH_SIZE);
    }
    let largest = (images / 4).max(2);
    (1 << largest.ilog2()).min(images.max(1))
}

/// Steps and epochs of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPlan {
    /// Images per step of one process.
    pub batch_size: usize,
    /// Batches whose gradients a step adds up.
    pub parts: usize,
    /// Images of each of them.
    pub part_size: usize,
    /// Processes that take as many each in a step, and train as one.
    pub processes: usize,
    /// Images of a batch that were asked for, where they were.
    pub asked: Option<usize>,
    /// Training images.
    pub images: usize,
    /// Steps of one epoch.
    pub batches: u64,
    /// Images of the epoch's last step.
    pub last: usize,
    /// Images that an epoch leaves out, too few for a step of their own; other ones in every epoch.
    pub left_over: usize,
    /// Epochs over which the schedule runs.
    pub epochs: u64,
    /// Steps after which the run is over.
    pub steps: u64,
    /// Learning rate over the steps.
    pub schedule: Schedule,
    /// How training images reach the device.
    pub(crate) form: Form,
}

impl RunPlan {
    /// The plan of `options` for so many training images.
    ///
    /// The last, shorter batch of an epoch is kept (method, section 10.2), unless it is below a quarter of a batch:
    /// statistics of a handful of images, or of one, would outweigh it in the running averages. The default batch gets
    /// smaller where an epoch would have fewer than four.
    ///
    /// # Errors
    /// The batch is larger than the data set.
    pub fn new(options: &Options, images: usize) -> Result<Self> {
        Self::going_on(options, images, &Progress::default())
    }

    /// As [`RunPlan::new`] for a run that has come so far: its schedule is no shorter than it was, unless epochs are
    /// given.
    ///
    /// # Errors
    /// As [`RunPlan::new`], and when the progress is not that of a run with such batches.
    pub fn going_on(options: &Options, images: usize, done: &Progress) -> Result<Self> {
        let (parts, processes) = (options.accumulate, options.processes);
        let part_size = batch_size(options.batch_size, images / parts / processes);
        let size = part_size.saturating_mul(parts);
        let all = size.saturating_mul(processes);
        if all > images && processes > 1 {
            return Err(Error::Usage(format!(
                "{processes} processes with {size} images a step each take {all}, but the data set '{}' has only {}; choose a smaller \
                 `batch_size`, or fewer processes",
                options.data,
                count(images, "training image")
            )));
        }
        if size > images {
            let most = images / parts;
            let times = if parts > 1 { format!(" and `accumulate` {parts}") } else { String::new() };
            return Err(Error::Usage(format!(
                "`batch_size` is {part_size}{times}, but the data set '{}' has only {}; expected 1 to {most}",
                options.data,
                count(images, "training image")
            )));
        }
        let rest = images % all;
        // The shares of a shorter batch would differ, and with them what their means weigh.
        let keep = rest > 0 && keeps(rest, size) && processes == 1;
        let batches = (images / all) as u64 + u64::from(keep);
        let needed = options.steps.map_or(0, |steps| steps.div_ceil(batches));
        let epochs = options.epochs.unwrap_or(EPOCHS.max(needed).max(done.epochs));
        if (done.epoch, done.batch) != (done.step / batches, done.step % batches) {
            return Err(Error::Usage(format!(
                "the checkpoint stands at batch {} of epoch {} after {}, but an epoch of '{}' has {}; \
                 it belongs to another run",
                done.batch,
                done.epoch,
                count(done.step, "step"),
                options.data,
                count(batches, "batch")
            )));
        }
        let total = batches.saturating_mul(epochs);
        let schedule = if options.warmup == 0 {
            options.schedule.over(total)
        } else {
            let then = options.schedule.over(total.saturating_sub(options.warmup));
            Schedule::Warmup { steps: options.warmup, then: Box::new(then) }
        };
        let steps = options.steps.map_or(total, |steps| steps.min(total));
        let last = if keep { rest } else { size };
        let left_over = if keep { 0 } else { rest };
        Ok(Self {
            batch_size: size,
            parts,
            part_size,
            processes,
            asked: options.batch_size,
            images,
            batches,
            last,
            left_over,
            // Pictures of a batch are mixed before it is cut into parts.
            form: if options.mixup.is_some() { Form::Values } else { Form::Bytes },
            epochs,
            steps,
            schedule,
        })
    }

    /// What was decided that the options do not say.
    pub fn notes(&self) -> Vec<String> {
        let Self { batch_size, part_size, asked, images, left_over, .. } = self;
        let mut notes = Vec::new();
        if self.processes > 1 {
            notes.push(format!(
                "note: {} processes with {} a step train as one with {}",
                self.processes,
                count(*batch_size, "image"),
                batch_size * self.processes
            ));
        }
        if asked.is_none() && *part_size != BATCH_SIZE {
            notes.push(format!(
                "note: batches of {part_size} instead of {BATCH_SIZE}, because the data set has {}; `batch_size` \
                 chooses another size",
                count(*images, "training image")
            ));
        }
        if let Schedule::Warmup { steps, .. } = &self.schedule
            && *steps >= self.steps
        {
            notes.push(format!(
                "note: the learning rate rises over {}, but the run has {}, so it never reaches its full value",
                count(*steps, "step"),
                self.steps
            ));
        }
        if *left_over > 0 {
            notes.push(format!(
                "note: {left_over} of {images} images left over from batches of {batch_size}, too few for a step of their \
                 own; each epoch leaves out others"
            ));
        }
        notes
    }

    /// Whether the shorter last batch is left out.
    pub fn drops_last(&self, images: usize) -> bool {
        self.batches == (images / (self.batch_size * self.processes)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(
        images: usize,
        batch_size: impl Into<Option<usize>>,
        steps: Option<u64>,
        epochs: Option<u64>,
    ) -> Result<RunPlan> {
        RunPlan::new(&Options { batch_size: batch_size.into(), steps, epochs, ..Default::default() }, images)
    }

    #[test]
    fn last_batches_are_kept_unless_tiny() {
        let kept = plan(50_000, 128, None, Some(1)).unwrap();
        assert_eq!((kept.batches, kept.last, kept.drops_last(50_000)), (391, 80, false));
        let dropped = plan(49, 16, None, Some(1)).unwrap();
        assert_eq!((dropped.batches, dropped.last, dropped.drops_last(49)), (3, 16, true));
        let said = dropped.notes();
        assert!(said[0].contains("1 of 49 images left over") && said[0].contains("too few for a step"), "{said:?}");
        let quarter = plan(52, 16, None, Some(1)).unwrap();
        assert_eq!((quarter.batches, quarter.last, quarter.notes()), (4, 4, vec![]));
        let even = plan(1024, 128, None, Some(1)).unwrap();
        assert_eq!((even.batches, even.last), (8, 128));
    }

    #[test]
    fn the_default_batch_adapts_and_says_so() {
        let size = |images| plan(images, None, None, None).unwrap().batch_size;
        assert_eq!([1, 2, 3, 9, 40, 511, 512, 60_000].map(size), [1, 2, 2, 2, 8, 64, 128, 128]);
        let notes = plan(40, None, None, None).unwrap().notes();
        assert!(notes[0].contains("batches of 8 instead of 128") && notes.len() == 1, "{notes:?}");
        assert_eq!(plan(40, 16, None, None).unwrap().batch_size, 16);
        // What was asked for is kept, also where it is the default, or refused.
        let asked = plan(200, BATCH_SIZE, None, None).unwrap();
        assert_eq!((asked.batch_size, asked.batches, asked.notes().len()), (128, 2, 0));
        assert!(plan(100, BATCH_SIZE, None, None).unwrap_err().to_string().contains("only 100 training images"));
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
