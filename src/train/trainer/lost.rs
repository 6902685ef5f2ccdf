//! Going on after the device went away: a new one, the values last kept, and the steps since once more.
//!
//! The values are kept where nothing is in flight anyway, at each [`Event::Save`], so that steps wait for nothing. That
//! costs a copy of them in host memory and reading them once a minute, and a loss costs at most the steps of a minute.
//! Steps made again are the same to the bit and are not told again.

use super::{Stage, Trainer};
use crate::gpu::Gpu;
use crate::train::Event;
use crate::train::clock::Instant;
use crate::{Error, Result};

/// A device that goes away again within so many seconds is not opened a third time.
const SOON: f64 = 30.0;

/// Whether a run opens a new device by itself. In a page several share one, and the page sees to it; see
/// [`Trainer::move_to`].
const OPENS: bool = cfg!(not(target_arch = "wasm32"));

/// What is known of devices that went away.
#[derive(Default)]
pub(in crate::train) struct Losses {
    /// When a new device was opened, and the last step that had been told by then.
    opened: Option<(Instant, u64)>,
}

impl Losses {
    /// Whether a loss now, after so many steps, is worth another device: it comes late, and there was progress since
    /// the last.
    pub fn bearable(&self, told: u64) -> bool {
        let soon = |(opened, before): &(Instant, u64)| opened.elapsed().as_secs_f64() < SOON || told <= *before;
        !self.opened.as_ref().is_some_and(soon)
    }

    /// A new device is open.
    pub fn opened(&mut self, told: u64) {
        self.opened = Some((Instant::now(), told));
    }
}

/// The end of a run whose device does not stay.
pub(in crate::train) fn too_often(reason: String) -> Error {
    let again = "; it went away again soon after it had been opened anew, so training ends here. Look for what resets it (heat, power, \
                 the driver's log, other programs), then go on from the last checkpoint";
    Error::DeviceLost(if cfg!(target_arch = "wasm32") { reason } else { reason + again })
}

/// What `begin` makes on `gpu`, or on a new device when that goes away meanwhile, with the reason.
pub(super) fn begin_again<T>(gpu: &Gpu, begin: impl Fn(&Gpu) -> Result<T>) -> (Result<T>, Option<String>) {
    match begin(gpu) {
        #[cfg(not(target_arch = "wasm32"))]
        Err(Error::DeviceLost(reason)) => {
            let again = pollster::block_on(gpu.reopen()).and_then(|gpu| begin(&gpu));
            (again, Some(reason))
        }
        begun => (begun, None),
    }
}

impl Trainer {
    /// Waits for the steps in flight, whose events follow, and keeps the values in memory for [`Trainer::move_to`].
    ///
    /// # Errors
    /// The device failed; then what was kept before still is.
    pub async fn keep(&mut self) -> Result<()> {
        self.drain().await?;
        self.learner.keep().await
    }

    /// Builds everything on another device after the first went away, as it was when it was last kept;
    /// [`Trainer::catch_up`] must follow. A run that opens its own devices does both by itself; this is for several
    /// that share one. Returns the step that was kept.
    ///
    /// # Errors
    /// The new device fails too; this can be called again with another one.
    pub fn move_to(&mut self, gpu: &Gpu) -> Result<u64> {
        let kept = self.learner.kept_step().unwrap_or_default();
        self.learner.move_to(gpu)?;
        (self.stage, self.failure, self.epoch) = (Stage::Train, None, None);
        Ok(kept)
    }

    /// Makes the steps since the last [`Trainer::keep`] once more, up to the last that was told. They are the same to
    /// the bit and are not told again.
    ///
    /// # Errors
    /// The device failed.
    pub async fn catch_up(&mut self) -> Result<()> {
        while self.learner.steps() < self.told {
            let Some(batch) = self.next_batch() else {
                self.epoch = None;
                continue;
            };
            self.submit(batch).await?;
            self.drain().await?;
        }
        Ok(())
    }

    /// Ends the run with `error`, or goes on where that can be.
    pub(super) fn failed(&mut self, error: Error) {
        let Error::DeviceLost(reason) = error else {
            self.stage = Stage::Over;
            self.failure = Some(error);
            return;
        };
        self.timer.pause();
        if self.stage == Stage::Evaluate {
            // Half an evaluation is not told: it is made again.
            self.events.retain(|event| !matches!(event, Event::Eval { .. } | Event::Best(_)));
        }
        // The other processes do not go back along with it.
        let alone = self.options.processes == 1;
        let from = self.learner.kept_step().filter(|_| alone && OPENS && self.losses.bearable(self.told));
        self.events.push_back(Event::DeviceLost { step: self.told, from, reason: reason.clone() });
        self.stage = Stage::Reopen;
        if from.is_none() {
            self.give_up(reason);
        }
    }

    /// The run is over, and stands where it was kept.
    fn give_up(&mut self, reason: String) {
        self.stage = Stage::Over;
        self.failure = Some(too_often(reason));
        self.learner.go_back();
    }

    /// Opens a new device and goes back to what was kept.
    pub(super) async fn reopen(&mut self) {
        match self.learner.reopen().await {
            Ok(()) => {
                self.losses.opened(self.told);
                self.epoch = None;
                self.stage = Stage::Train;
            }
            Err(Error::DeviceLost(reason)) => self.give_up(reason),
            Err(error) => {
                self.stage = Stage::Over;
                self.failure = Some(error);
                self.learner.go_back();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_loss_is_borne_only_late_and_behind_new_steps() {
        let at = |seconds| Instant::now().checked_sub(std::time::Duration::from_secs(seconds)).unwrap();
        let bearable = |opened, told| Losses { opened }.bearable(told);
        assert!(bearable(None, 0));
        assert!(bearable(Some((at(60), 5)), 6));
        assert!(!bearable(Some((at(60), 5)), 5), "no progress");
        assert!(!bearable(Some((at(3), 5)), 6), "within seconds");
    }
}
