//! What goes wrong on a device outside of any call: refused commands, exhausted memory, the loss of the device.

use super::Gpu;
use crate::{Error, Result};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the device has reported.
#[derive(Debug, Default)]
struct Reported {
    /// The first complaint since the last check.
    first: Option<String>,
    /// Memory has been refused.
    memory: bool,
    /// Why the device is gone, for good.
    lost: Option<String>,
}

/// What a device has reported, shared with its callbacks.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(Arc<Mutex<Reported>>);

impl Failures {
    fn lock(&self) -> MutexGuard<'_, Reported> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what `device` reports from now on. Of many complaints the first is the cause; the others would only flood
    /// a log.
    pub fn watch(&self, device: &wgpu::Device) {
        let on_error = self.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let mut reported = on_error.lock();
            reported.memory |= matches!(error, wgpu::Error::OutOfMemory { .. });
            if reported.first.is_none() && reported.lost.is_none() {
                log::debug!("{error}");
                reported.first = Some(error.to_string());
            }
        }));
        let on_loss = self.clone();
        device.set_device_lost_callback(move |reason, message| {
            // Dropping the last handle is not a loss.
            if reason != wgpu::DeviceLostReason::Destroyed || !message.contains("dropped") {
                on_loss.lose(if message.is_empty() { "the driver gives no reason".into() } else { message });
            }
        });
    }

    /// The device is gone, for the first reason given.
    pub fn lose(&self, reason: String) {
        let mut reported = self.lock();
        reported.memory |= reason.contains("memory");
        reported.lost.get_or_insert(reason);
    }
}

impl Gpu {
    /// Whether the device is gone.
    pub(super) fn is_lost(&self) -> bool {
        self.inner.failures.lock().lost.is_some()
    }

    /// The loss of the device, if it is gone.
    pub(super) fn check_lost(&self) -> Result<()> {
        if self.is_lost() { self.check() } else { Ok(()) }
    }

    /// The loss of the device, if it is gone, or else the first error that it has reported since the last call, if any.
    ///
    /// # Errors
    /// Those.
    pub fn check(&self) -> Result<()> {
        if self.inner.failures.lock().first.is_some() {
            // The first complaint may be a consequence of a loss that is reported only when the device is asked.
            self.poll_all();
        }
        let mut reported = self.inner.failures.lock();
        let (first, memory, lost) = (reported.first.take(), reported.memory, reported.lost.clone());
        reported.memory &= lost.is_some();
        match (first, lost) {
            (None, None) => Ok(()),
            _ if memory => Err(self.out_of_memory()),
            (_, Some(reason)) => Err(Error::DeviceLost(reason)),
            (Some(first), None) => Err(Error::Gpu(first)),
        }
    }

    /// What had been asked for when memory was refused: more than there is, so that from now on [`Gpu::room`] is less.
    fn out_of_memory(&self) -> Error {
        let need = self.counters().buffer_bytes;
        let given = need.saturating_sub(1);
        self.inner.live.refused.fetch_min(given, Ordering::Relaxed);
        Error::Memory {
            owner: format!("the adapter '{}'", self.adapter().name),
            need,
            offer: given,
            cure: "use a smaller batch size or a smaller network, or close what else uses this memory".into(),
        }
    }

    /// What is behind a failed call: the loss of the device where there is one.
    pub(super) fn explain(&self, e: impl std::fmt::Display) -> Error {
        self.poll_all();
        self.check().err().unwrap_or_else(|| Error::Gpu(e.to_string()))
    }
}
