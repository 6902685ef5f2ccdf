//! A new device in place of one that went away.

use super::{Gpu, adapter};
use crate::{Error, Result};
#[cfg(not(target_arch = "wasm32"))]
use std::sync::PoisonError;
use std::time::Duration;

/// How long a driver is left alone before each attempt; a reset takes it a second or two.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// How often a browser is asked before a failure is taken for no loss.
const ASKED: usize = 20;

impl Gpu {
    /// A new device on the same adapter, with nothing on it. The old one and all that was made on it stay lost.
    ///
    /// # Errors
    /// The adapter does not come back within some seconds.
    pub(crate) async fn reopen(&self) -> Result<Self> {
        let mut last = Error::NoAdapter(format!("the adapter '{}' is no longer there", self.adapter().name));
        for pause in PAUSES {
            self.rest(pause);
            let Some(found) = adapter::again(self.adapter()).await else { continue };
            match Self::on(found, self.profile(), self.inner.kept.clone(), self.inner.checked).await {
                Ok(gpu) => {
                    self.hand_on(&gpu);
                    return Ok(gpu);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// What is behind a failure: the loss of the device, which a browser reports a moment after its first consequences.
    pub async fn cause(&self, error: Error) -> Error {
        if !cfg!(target_arch = "wasm32") || !matches!(error, Error::Gpu(_)) {
            return error;
        }
        for _ in 0..ASKED {
            // The answer comes from where the report does, and behind it.
            adapter::adapters().await;
            if let Err(lost) = self.check_lost() {
                return lost;
            }
        }
        error
    }

    /// Whoever is told of compiling is told of the new device's.
    #[cfg(not(target_arch = "wasm32"))]
    fn hand_on(&self, gpu: &Self) {
        let told = self.inner.progress.lock().unwrap_or_else(PoisonError::into_inner).take();
        *gpu.inner.progress.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }

    #[cfg(target_arch = "wasm32")]
    fn hand_on(&self, _gpu: &Self) {}

    #[cfg(not(target_arch = "wasm32"))]
    fn rest(&self, pause: Duration) {
        std::thread::sleep(pause);
    }

    /// Nothing may block here, and a browser takes its time by itself.
    #[cfg(target_arch = "wasm32")]
    fn rest(&self, _pause: Duration) {}
}
