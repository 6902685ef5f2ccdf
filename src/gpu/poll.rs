//! Asking a native device for finished work.
//!
//! `wgpu::Device::poll` panics when the driver says there that the device is gone, although every other call reports
//! that as an error. A training run has checkpoints to point at then, so the panic is caught and becomes the loss that
//! it is.

use super::Gpu;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static POLLING: Cell<bool> = const { Cell::new(false) };
}

/// Leaves out the report of a panic that [`Gpu::ask`] catches on this thread; all others are reported as before.
fn keep_quiet_while_polling() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !POLLING.get() {
                report(info);
            }
        }));
    });
}

impl Gpu {
    /// Runs callbacks that are due, waiting as `poll` says. A lost device is not asked again: nothing comes from it any
    /// more.
    pub(super) fn ask(&self, poll: wgpu::PollType) {
        if self.is_lost() {
            return;
        }
        keep_quiet_while_polling();
        POLLING.set(true);
        let polled = panic::catch_unwind(AssertUnwindSafe(|| self.inner.device.poll(poll)));
        POLLING.set(false);
        match polled {
            Ok(Ok(_)) => {}
            Ok(Err(e)) => log::debug!("poll: {e}"),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map_or("the driver reports no reason", |text| text.as_str());
                let reason = text.lines().last().unwrap_or(text).trim();
                self.inner.failures.lose(reason.to_owned());
            }
        }
    }
}
