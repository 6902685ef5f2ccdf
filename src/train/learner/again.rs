//! What a learner goes back to when its device goes away, so that training ends with the same bytes as without that.

use super::Learner;
use crate::gpu::Gpu;
use crate::tape::Session;
use crate::{Error, Result};

/// A moment of training in host memory, and how it went on from there.
#[derive(Clone, Debug)]
pub(in crate::train) struct Kept {
    /// Steps done at that moment.
    step: u64,
    /// Values of every tensor, in the order of the state.
    values: Vec<Vec<f32>>,
    /// Learning rates of the steps since: they may have been set by hand.
    rates: Vec<f64>,
}

impl Kept {
    /// The learning rate with which `step` was made after that moment, or `lr` from now on.
    pub fn rate(&mut self, step: u64, lr: f64) -> f64 {
        let at = (step - self.step - 1) as usize;
        if at == self.rates.len() {
            self.rates.push(lr);
        }
        self.rates[at]
    }
}

impl Learner {
    /// Reads every tensor from the device and keeps the values. Nothing may be in flight.
    ///
    /// # Errors
    /// The device failed; then what was kept before still is.
    pub(in crate::train) async fn keep(&mut self) -> Result<()> {
        self.session.download(&mut self.state).await?;
        self.keep_host_values();
        Ok(())
    }

    /// Keeps the values that the host has, which are those of the device.
    pub(in crate::train) fn keep_host_values(&mut self) {
        let values = self.state.iter().map(|(_, tensor)| tensor.values.clone()).collect();
        self.kept = Some(Kept { step: self.step, values, rates: Vec::new() });
    }

    /// Puts the values that are kept into the host's tensors; the step that they are of, `None` when none are kept.
    fn take_kept_values(&mut self) -> Option<u64> {
        let kept = self.kept.as_ref()?;
        let ids: Vec<_> = self.state.iter().map(|(id, _)| id).collect();
        for (id, values) in ids.into_iter().zip(&kept.values) {
            self.state.get_mut(id).values.clone_from(values);
        }
        Some(kept.step)
    }

    /// Stands where it was kept, with nothing in flight; of use when no device is left.
    pub(in crate::train) fn go_back(&mut self) {
        self.flights.clear();
        self.sums = [0.0; 2];
        if let Some(step) = self.take_kept_values() {
            self.step = step;
        }
    }

    /// The step to which training would go back.
    pub(in crate::train) fn kept_step(&self) -> Option<u64> {
        self.kept.as_ref().map(|kept| kept.step)
    }

    /// The learning rate with which the next step was made before, or `lr`.
    pub(in crate::train) fn rate_again(&mut self, lr: f64) -> f64 {
        self.kept.as_mut().map_or(lr, |kept| kept.rate(self.step + 1, lr))
    }

    /// Whether the host has the values of all steps that were submitted.
    pub(in crate::train) fn is_kept(&self) -> bool {
        self.flights.is_empty() && self.kept.as_ref().is_some_and(|kept| kept.step == self.step)
    }

    /// Opens the adapter anew and goes on there; see [`Learner::move_to`].
    ///
    /// # Errors
    /// As [`Learner::move_to`], or the adapter does not come back.
    pub(in crate::train) async fn reopen(&mut self) -> Result<()> {
        let gpu = self.session.gpu().reopen().await?;
        self.move_to(&gpu)
    }

    /// Builds everything on another device, as it was at the moment that is kept. Steps since are made again, at the
    /// same learning rates, whatever is asked for.
    ///
    /// # Errors
    /// Nothing is kept, or the new device fails too.
    pub(in crate::train) fn move_to(&mut self, gpu: &Gpu) -> Result<()> {
        let nothing = || Error::DeviceLost("nothing was kept to go on from".into());
        self.kept.as_ref().ok_or_else(nothing)?;
        self.go_back();
        let passes: Vec<_> = self.passes.iter().map(|(pass, _)| *pass).collect();
        self.session = Session::new(gpu, &self.state)?;
        self.passes.clear();
        self.prepare(&passes)?;
        gpu.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_made_again_have_their_learning_rates() {
        let mut kept = Kept { step: 10, values: Vec::new(), rates: Vec::new() };
        assert_eq!([(11, 0.1), (12, 0.2)].map(|(step, lr)| kept.rate(step, lr)), [0.1, 0.2]);
        assert_eq!([11, 12, 13].map(|step| kept.rate(step, 0.5)), [0.1, 0.2, 0.5]);
    }
}
